// Package function is flexvc function: its flags, what it runs, and what it
// prints. What should exist at Twilio belongs to internal/provision, the code that
// runs there to function.
package function

import (
	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/function"
	"github.com/flexvc/flexvc/internal/cli"
)

func New(app *cli.App) *cobra.Command {
	return cli.Parent("function <command>", "The token Function: voice tokens from Twilio Functions, without a server",
		`The token Function answers the extension's requests as flexvc serve does, but runs at
Twilio: flexvc deploys it over REST into a Serverless service of its own, with an API
key of its own. No server, no Node and no Twilio CLI are needed.

Every invocation is on its own: there is no shared rate limit and no cache, so each
request is an invocation that Twilio charges for, and one more request to validate the
Flex token. For more than a few hundred agents who log in at once, or to serve the
extension's updates and worker events too, use flexvc serve. docs/function.md has the
arithmetic, and how to move from one to the other.`,
		newDeploy(app, function.Source), newStatus(app, function.Source), newRollback(app), newRemove(app))
}
