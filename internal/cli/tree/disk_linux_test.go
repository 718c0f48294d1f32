package tree

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/flexvc/flexvc/internal/cli/clitest"
)

func init() {
	fullDisks["file system"] = func(t *testing.T, s *clitest.Flexvc, folder string, args ...string) (*exec.Cmd, func()) {
		mount := func(flags uintptr, size string) error {
			return syscall.Mount("tmpfs", folder, "tmpfs", flags, "mode=0700,size="+size)
		}
		if err := mount(0, "24k"); errors.Is(err, os.ErrPermission) {
			t.Skipf("mounting needs root: %v", err)
		} else if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(folder, 0); err != nil {
				t.Error(err)
			}
		})
		cmd, _ := s.Command(args...)
		return cmd, func() {
			if err := mount(syscall.MS_REMOUNT, "4m"); err != nil {
				t.Fatal(err)
			}
		}
	}
}
