package config

import (
	"context"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/spf13/cobra"
)

// listOptions is one `flexvc config list`.
type listOptions struct {
	App     *cli.App
	Keyring config.Keyring
	Origin  bool
}

func newList(app *cli.App, runF func(context.Context, *listOptions) error) *cobra.Command {
	opts := &listOptions{App: app, Keyring: config.SystemKeyring{}}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List all settings of a profile",
		Long:  "List all settings of a profile with the value that applies, and with --origin where\nit comes from. Secrets show only as set or unset.",
		Args:  cli.NameArgs(0, "flexvc config list takes no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return listRun(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVar(&opts.Origin, "origin", false, "show where each value comes from")
	return cmd
}

func listRun(_ context.Context, opts *listOptions) error {
	cfg, err := opts.App.Config()
	if err != nil {
		return err
	}
	var rows []settingRow
	for _, name := range config.Names() {
		rows = append(rows, settingRow{name, cfg.Value(name), cfg.Origin(name)})
	}
	rows = append(rows, secretRows(cfg, opts.Keyring)...)
	if opts.App.JSON() {
		return jsonView{opts}.list(cfg, rows)
	}
	return textView{opts}.list(cfg, rows)
}

// secretRows says of each secret whether it is there, and nothing else.
func secretRows(cfg *config.Config, ring config.Keyring) []settingRow {
	mark := func(there bool) string {
		if there {
			return "set"
		}
		return "unset"
	}
	keeper := cfg.Secrets(ring)
	row := settingRow{"api_key_secret", "unset", ""}
	if cfg.APIKeySID != "" {
		secret, err := keeper.Get(cfg.APIKeySID)
		row.Value, row.Origin = mark(secret != ""), keeper.Place()
		if err != nil {
			row.Value = "unreadable"
		}
	}
	return []settingRow{{"credentials", mark(cfg.Credentials.Password != ""), cfg.CredentialsOrigin()}, row}
}
