// Package config is flexvc config: its flags, what it runs, and what it
// prints. Reading and writing settings belongs to internal/config.
package config

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
)

func New(app *cli.App) *cobra.Command {
	return cli.Parent("config", "Show and change settings",
		`Show and change the settings of a profile in flexvc.yaml. Secrets are
not settings: they are never shown and cannot be set here.`,
		newGet(app, nil), newSet(app, nil), newList(app, nil), newExport(app, nil), newImport(app, nil))
}

var (
	_ view = textView{}
	_ view = jsonView{}
)

func completeSettings(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Concat(config.Names(), []string{config.ActiveProfile}), cobra.ShellCompDirectiveNoFileComp
}
