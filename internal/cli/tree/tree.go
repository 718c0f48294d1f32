// Package tree holds the command tree: every command in its group, help
// topics, version and completion. What a command does belongs to its own
// folder.
package tree

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	configCmd "github.com/flexvc/flexvc/internal/cli/config"
	demoCmd "github.com/flexvc/flexvc/internal/cli/demo"
	doctorCmd "github.com/flexvc/flexvc/internal/cli/doctor"
	emulatorCmd "github.com/flexvc/flexvc/internal/cli/emulator"
	eventsCmd "github.com/flexvc/flexvc/internal/cli/events"
	functionCmd "github.com/flexvc/flexvc/internal/cli/function"
	initCmd "github.com/flexvc/flexvc/internal/cli/init"
	keysCmd "github.com/flexvc/flexvc/internal/cli/keys"
	packCmd "github.com/flexvc/flexvc/internal/cli/pack"
	pluginCmd "github.com/flexvc/flexvc/internal/cli/plugin"
	rolloutCmd "github.com/flexvc/flexvc/internal/cli/rollout"
	runsCmd "github.com/flexvc/flexvc/internal/cli/runs"
	serveCmd "github.com/flexvc/flexvc/internal/cli/serve"
	teardownCmd "github.com/flexvc/flexvc/internal/cli/teardown"
	watchCmd "github.com/flexvc/flexvc/internal/cli/watch"
	workersCmd "github.com/flexvc/flexvc/internal/cli/workers"
	"github.com/flexvc/flexvc/internal/problem"
)

// Main runs flexvc and returns its exit code.
func Main(args []string, getenv func(string) string, in io.Reader, out, err io.Writer) int {
	// Scripts and prompts ask for the version often; it needs no command tree.
	if len(args) == 1 && args[0] == "--version" {
		if _, err := fmt.Fprintln(out, cli.VersionLine()); err == nil {
			return problem.ExitDone
		} // the long way says why it cannot be written
	}
	return cli.Main(args, getenv, in, out, err, New)
}

// newRootCmd is the whole command tree.
func New(app *cli.App) *cobra.Command {
	return cli.NewRoot(app, []cli.Group{
		{ID: "provision", Title: "Provision:", Commands: []*cobra.Command{initCmd.New(app, nil), pluginCmd.New(app), functionCmd.New(app), keysCmd.New(app), workersCmd.New(app), teardownCmd.New(app, nil)}},
		{ID: "run", Title: "Run:", Commands: []*cobra.Command{
			packCmd.New(app, nil), serveCmd.New(app, nil), rolloutCmd.New(app), watchCmd.New(app, nil),
			eventsCmd.New(app), emulatorCmd.New(app, nil), runsCmd.New(app),
		}},
		{ID: "other", Title: "Other:", Commands: []*cobra.Command{demoCmd.New(app, nil), doctorCmd.New(app, nil), configCmd.New(app), configCmd.NewProfiles(app), newCompletionCmd(app), newVersionCmd(app)}},
	}, helpTopics())
}
