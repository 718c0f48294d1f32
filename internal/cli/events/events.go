// Package events is flexvc events: its flags, what it runs, and what it
// prints. What should exist at Twilio belongs to internal/provision.
package events

import (
	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
)

func New(app *cli.App) *cobra.Command {
	return cli.Parent("events", "Have Twilio push worker changes", `Have Twilio push worker changes to flexvc serve --events, so that flexvc watch and
/metrics see drift within a second:

  flexvc serve --events     receives them; needs the account's auth token, which
                            signs them, and an address Twilio can reach
  flexvc events enable      has Twilio call that address
  flexvc watch --events     follows the server's stream

Events may come late, twice, out of order or not at all, so all workers are still
listed every few minutes.`,
		NewSet(app, true, nil), NewSet(app, false, nil), newStatus(app, nil))
}

// eventsOptions is one `flexvc events …`.
type options struct {
	App       *cli.App
	Enable    bool
	Workspace string
	URL       string
	Callback  bool
	DryRun    bool
	ExitCode  bool
	Yes       bool
}
