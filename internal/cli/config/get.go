package config

import (
	"context"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/spf13/cobra"
)

// getOptions is one `flexvc config get`.
type getOptions struct {
	App  *cli.App
	Name string
}

func newGet(app *cli.App, runF func(context.Context, *getOptions) error) *cobra.Command {
	opts := &getOptions{App: app}
	return &cobra.Command{
		Use:               "get <name>",
		Short:             "Print one setting",
		Long:              "Print the value of a setting, whole and alone on a line. One without a value prints\nnothing and exits with 1.",
		Example:           "  $ flexvc config get workspace_sid",
		Args:              cli.NameArgs(1, "name one setting"),
		ValidArgsFunction: completeSettings,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Name = args[0]
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return getRun(cmd.Context(), opts)
		},
	}
}

func getRun(_ context.Context, opts *getOptions) error {
	app := opts.App
	if opts.Name != config.ActiveProfile {
		if err := config.Check(opts.Name); err != nil {
			return err
		}
	}
	cfg, err := app.Config()
	if err != nil {
		return err
	}
	row := settingRow{Name: opts.Name, Value: cfg.Value(opts.Name), Origin: cfg.Origin(opts.Name)}
	if opts.Name == config.ActiveProfile {
		row.Value, row.Origin = cfg.ActiveProfile(), "flexvc.yaml"
	}
	if app.JSON() {
		return cli.PrintJSON(app.UI.Out, settingJSON{1, row})
	}
	if row.Value == "" {
		return cli.Silent(problem.NotFound)
	}
	app.UI.Printf("%s\n", row.Value)
	return nil
}
