//go:build !windows

package tree

import (
	"bytes"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/flexvc/flexvc/internal/problem"
)

// fullDisk is standard output on a disk that is full.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}
}

func TestResultsOnAFullDiskAreNotSaidToBeWritten(t *testing.T) {
	state := t.TempDir()
	getenv := func(name string) string {
		return map[string]string{"FLEXVC_STATE_DIR": state, "HOME": state}[name]
	}
	for _, c := range []struct {
		line string
		exit int
	}{
		{"--version", problem.ExitFailed},
		{"version", problem.ExitFailed},
		{"version -o json", problem.ExitFailed},
		{"completion bash", problem.ExitFailed},
		{"-p emulator workers list", problem.ExitFailed},
		{"-p emulator workers list -o json", problem.ExitFailed},
		{"-p emulator workers enable --all --dry-run", problem.ExitFailed},
		{"-p emulator runs list", problem.ExitDone}, // nothing to write
		{"-p emulator watch --once --exit-code", problem.ExitPending},
	} {
		var told bytes.Buffer
		if code := Main(strings.Fields(c.line), getenv, strings.NewReader(""), fullDisk{}, &told); code != c.exit {
			t.Errorf("flexvc %s: exit code %d, want %d", c.line, code, c.exit)
		}
		says := strings.Contains(told.String(), "cannot write results: no space left on device")
		if wrote := c.exit != problem.ExitDone; says != wrote {
			t.Errorf("flexvc %s says:\n%s", c.line, &told)
		}
	}
}
