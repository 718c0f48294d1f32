//go:build !windows

package tree

import (
	"os/exec"
	"testing"

	"github.com/flexvc/flexvc/internal/cli/clitest"
)

// fullDisks are ways to make room run out below a folder: the command that is
// to run out, and how there is room again.
var fullDisks = map[string]func(t *testing.T, s *clitest.Flexvc, folder string, args ...string) (cmd *exec.Cmd, free func()){
	"limit on the size of files": func(t *testing.T, s *clitest.Flexvc, _ string, args ...string) (*exec.Cmd, func()) {
		flexvc, _ := s.Command(args...)
		cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-c", `ulimit -f 40 && exec "$@"`, "sh"}, flexvc.Args...)...)
		cmd.Env = flexvc.Env
		return cmd, func() {}
	},
}
