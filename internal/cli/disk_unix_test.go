//go:build !windows

package cli

import (
	"os/exec"
	"testing"
)

// fullDisks are ways to make room run out below a folder: the command that is
// to run out, and how there is room again.
var fullDisks = map[string]func(t *testing.T, s *served, folder string, args ...string) (cmd *exec.Cmd, free func()){
	"limit on the size of files": func(t *testing.T, s *served, _ string, args ...string) (*exec.Cmd, func()) {
		flexvc, _ := s.command(args...)
		cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-c", `ulimit -f 40 && exec "$@"`, "sh"}, flexvc.Args...)...)
		cmd.Env = flexvc.Env
		return cmd, func() {}
	},
}
