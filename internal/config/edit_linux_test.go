package config

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/flexvc/flexvc/internal/problem"
)

// A full disk is one that takes fewer bytes than the file needs.
func TestFullDiskLeavesTheOldFile(t *testing.T) {
	small := t.TempDir()
	if err := syscall.Mount("flexvc-test", small, "tmpfs", 0, "size=4k"); err != nil {
		t.Skipf("cannot mount a small disk here: %v", err)
	}
	defer syscall.Unmount(small, syscall.MNT_DETACH)
	p := newPlace(t)
	path := filepath.Join(small, "flexvc.yaml")
	if err := os.WriteFile(path, []byte("version: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, make([]byte, 8192)); err == nil {
		t.Fatal("WriteFile filled more than the disk holds")
	}
	if err := CheckWritable(path, path); !problem.Is(err, problem.ConfigUnwritable) || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("CheckWritable = %v", err)
	}
	if err := p.edit(path, func(e *Editor) error { return e.Set("acme", Region, "ie1") }); !problem.Is(err, problem.ConfigUnwritable) {
		t.Errorf("Edit = %v", err)
	}
	if got := p.read(path); got != "version: 1\n" {
		t.Errorf("file is %q", got)
	}
	if left := p.leftovers(path); left != nil {
		t.Errorf("left behind: %v", left)
	}
}
