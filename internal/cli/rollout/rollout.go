// Package rollout is flexvc rollout: its flags, what it runs, and what it
// prints. The server that knows the browsers belongs to internal/rollout.
package rollout

import (
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/spf13/cobra"
)

func New(app *cli.App) *cobra.Command {
	return cli.Parent("rollout <command>", "See how the extension's roll-out progresses",
		"See how far a version of the extension offered by flexvc serve has spread.",
		newStatus(app, nil))
}
