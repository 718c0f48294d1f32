// Package plugin is flexvc plugin: its flags, what it runs, and what it
// prints. What should exist at Twilio belongs to internal/provision.
package plugin

import (
	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/plugin"
)

func New(app *cli.App) *cobra.Command { return NewWith(app, plugin.Bundle) }

// NewWith is New with another maker of bundles.
func NewWith(app *cli.App, bundle func(plugin.Settings) ([]byte, error)) *cobra.Command {
	return cli.Parent("plugin <command>", "The Flex plugin: deploy it, see what Flex loads, roll it back, remove it",
		`The plugin makes Flex use the extension: it passes on the Flex token, routes each
agent's calls to the extension, and makes Flex's own call controls work. flexvc
includes it and deploys it over Twilio's REST API; its settings come from flexvc.yaml.
Other plugins are never touched.`,
		newDeploy(app, bundle), newStatus(app, bundle), newRollback(app, bundle), newRemove(app, bundle))
}
