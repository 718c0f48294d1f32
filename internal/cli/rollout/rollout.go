// Package rollout is flexvc rollout: its flags, what it runs, and what it
// prints. The server that knows the browsers belongs to internal/rollout.
package rollout

import (
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/spf13/cobra"
)

func New(app *cli.App) *cobra.Command {
	return cli.Parent("rollout <command>", "Watch the extension reach its browsers",
		"See how far a version of the extension that flexvc serve offers has come.",
		newStatus(app, nil))
}
