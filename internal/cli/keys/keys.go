// Package keys is flexvc keys: its flags, what it runs, and what it prints. What
// should exist at Twilio belongs to internal/provision.
package keys

import (
	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
)

func New(app *cli.App) *cobra.Command {
	return cli.Parent("keys <command>", "API keys that sign voice tokens: replace them",
		`Voice tokens are signed with an API key. The token Function has one of its own, which
flexvc function deploy creates and flexvc keys rotate replaces without a token being
refused. The key of flexvc serve is created by flexvc init and replaced with
flexvc init --new-api-key.`,
		newRotate(app))
}
