// Package events is flexvc events: its flags, what it runs, and what it
// prints. What should exist at Twilio belongs to internal/provision.
package events

import (
	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
)

func New(app *cli.App) *cobra.Command {
	return cli.Parent("events", "Have Twilio push changes of workers", `Have Twilio push changes of workers to flexvc serve --events, so that flexvc watch and
/metrics know of drift within a second:

  flexvc serve --events     receives them; it needs the account's auth token, which
                            signs them, and an address that Twilio reaches
  flexvc events enable      makes Twilio call that address
  flexvc watch --events     follows what the server streams

Events come late, twice, out of order or not at all, so all workers are still listed
every few minutes.`,
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
