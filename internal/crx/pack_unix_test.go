//go:build !windows

package crx

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Two clones, two times, two umasks: one package, readable by all.
func TestPackIsTheSameEverywhere(t *testing.T) {
	var first []byte
	for _, c := range []struct {
		umask int
		mode  fs.FileMode
		when  time.Time
	}{
		{0o022, 0o644, time.Date(1999, 12, 31, 23, 59, 58, 0, time.UTC)},
		{0o077, 0o600, time.Date(2031, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))},
		{0o000, 0o755, time.Unix(0, 0)},
	} {
		old := syscall.Umask(c.umask)
		dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out.crx")
		for name, file := range sample() {
			path := filepath.Join(dir, filepath.FromSlash(name))
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, file.Data, c.mode), os.Chtimes(path, c.when, c.when)); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Pack(t.Context(), out, readSample(t, os.DirFS(dir)), testKey())
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(out); err != nil || info.Mode() != 0o644 {
			t.Errorf("mode is %v, %v", info.Mode(), err)
		}
		if first == nil {
			first = data
		}
		if !bytes.Equal(first, data) {
			t.Errorf("with %+v the package is another", c)
		}
	}
	if !bytes.Equal(first, packed(t, sample())) {
		t.Error("from memory the package is another")
	}
}
