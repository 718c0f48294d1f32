package config

import (
	"context"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/spf13/cobra"
)

// setOptions is one `flexvc config set`.
type setOptions struct {
	App   *cli.App
	Name  string
	Value string
}

func newSet(app *cli.App, runF func(context.Context, *setOptions) error) *cobra.Command {
	opts := &setOptions{App: app}
	return &cobra.Command{
		Use:   "set <name> <value>",
		Short: "Change one setting",
		Long: `Change a setting in flexvc.yaml; an empty value removes it. The profile is the one
named with -p, which is created if needed, or the active one. Comments and order are
preserved. Secrets are refused: they do not belong in a file that is shared and
backed up.`,
		Example: `  $ flexvc config set token_url https://voice.acme.example/generateToken
  $ flexvc config set active_profile acme`,
		Args:              cli.NameArgs(2, "expected a name and a value"),
		ValidArgsFunction: completeSettings,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Name, opts.Value = args[0], args[1]
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return setRun(cmd.Context(), opts)
		},
	}
}

func setRun(ctx context.Context, opts *setOptions) error {
	app := opts.App
	if opts.Name != config.ActiveProfile {
		if err := config.Check(opts.Name); err != nil {
			return err
		}
	}
	app.MayCreate()
	cfg, err := app.Config()
	if err != nil {
		return err
	}
	file := cfg.Short(cfg.File)
	editor, err := config.Edit(ctx, cfg.File, file)
	if err != nil {
		return err
	}
	defer editor.Close()
	if err := editor.Set(cfg.Profile, opts.Name, opts.Value); err != nil {
		return err
	}
	if err := editor.Save(); err != nil {
		return err
	}
	profile := cfg.Profile
	if opts.Name == config.ActiveProfile {
		profile = ""
	}
	if app.JSON() {
		return cli.PrintJSON(app.UI.Out, setJSON{1, cfg.File, profile, opts.Name, opts.Value})
	}
	where := file
	if profile != "" {
		where += ", profile " + profile
	}
	if opts.Value == "" {
		app.UI.Chat("%s removed (%s)\n", opts.Name, where)
	} else {
		app.UI.Chat("%s set (%s)\n", opts.Name, where)
	}
	return nil
}
