package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/problem"
)

// Main runs flexvc and returns its exit code.
func Main(args []string, getenv func(string) string, in io.Reader, out, err io.Writer) int {
	// Scripts and prompts ask for the version often; it needs no command tree.
	if len(args) == 1 && args[0] == "--version" {
		if _, err := fmt.Fprintln(out, versionLine()); err == nil {
			return problem.ExitDone
		} // the long way says why it cannot be written
	}
	return runMain(args, getenv, in, out, err, newRootCmd)
}

// newRootCmd is the whole command tree.
func newRootCmd(app *App) *cobra.Command {
	return newRoot(app, []group{
		{"provision", "Provision:", []*cobra.Command{newInitCmd(app, nil), newPluginCmd(app), newWorkersCmd(app)}},
		{"run", "Run:", []*cobra.Command{
			newPackCmd(app, nil), newServeCmd(app, nil), newRolloutCmd(app), newWatchCmd(app, nil),
			newEventsCmd(app), newEmulatorCmd(app, nil), newRunsCmd(app),
		}},
		{"other", "Other:", []*cobra.Command{newDemoCmd(app, nil), newDoctorCmd(app, nil), newConfigCmd(app), newCompletionCmd(app), newVersionCmd(app)}},
	}, helpTopics())
}
