// Package workers is flexvc workers: its flags, what it runs, and what it
// prints. What a run does to a worker belongs to internal/workers.
package workers

import (
	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
)

func New(app *cli.App) *cobra.Command {
	return cli.Parent("workers <command>", "Switch workers to the extension and back",
		`See which agents take calls in the extension, and switch them over. Each change is
planned, shown, confirmed and journalled; see the journal with flexvc runs.`,
		newList(app, nil), newShow(app, nil),
		newSet(app, true, nil), newSet(app, false, nil))
}
