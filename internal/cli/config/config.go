package config

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/problem"
)

func New(app *cli.App) *cobra.Command {
	return cli.Parent("config", "Show and change settings",
		`Show and change the settings of a profile in flexvc.yaml. Secrets are no settings:
they are never shown, and cannot be set here.`,
		newConfigGetCmd(app, nil), newConfigSetCmd(app, nil), newConfigListCmd(app, nil))
}

// configGetOptions is one `flexvc config get`.
type configGetOptions struct {
	App  *cli.App
	Name string
}

func newConfigGetCmd(app *cli.App, runF func(context.Context, *configGetOptions) error) *cobra.Command {
	opts := &configGetOptions{App: app}
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
			return configGetRun(cmd.Context(), opts)
		},
	}
}

func configGetRun(_ context.Context, opts *configGetOptions) error {
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
		return cli.PrintJSON(app.UI.Out, struct {
			V int `json:"v"`
			settingRow
		}{1, row})
	}
	if row.Value == "" {
		return cli.Silent(problem.NotFound)
	}
	app.UI.Printf("%s\n", row.Value)
	return nil
}

// configSetOptions is one `flexvc config set`.
type configSetOptions struct {
	App   *cli.App
	Name  string
	Value string
}

func newConfigSetCmd(app *cli.App, runF func(context.Context, *configSetOptions) error) *cobra.Command {
	opts := &configSetOptions{App: app}
	return &cobra.Command{
		Use:   "set <name> <value>",
		Short: "Change one setting",
		Long: `Change a setting in flexvc.yaml; an empty value takes it away. The profile is the
one named with -p, which is made if need be, or else the active one. Comments and
the order of the file stay. A secret is refused: it does not belong in a file that
is read, shared and backed up.`,
		Example: `  $ flexvc config set token_url https://voice.acme.example/generateToken
  $ flexvc config set active_profile acme`,
		Args:              cli.NameArgs(2, "give a name and a value"),
		ValidArgsFunction: completeSettings,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Name, opts.Value = args[0], args[1]
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return configSetRun(cmd.Context(), opts)
		},
	}
}

func configSetRun(ctx context.Context, opts *configSetOptions) error {
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
		return cli.PrintJSON(app.UI.Out, struct {
			V       int    `json:"v"`
			File    string `json:"file"`
			Profile string `json:"profile,omitempty"`
			Name    string `json:"name"`
			Value   string `json:"value"`
		}{1, cfg.File, profile, opts.Name, opts.Value})
	}
	where := file
	if profile != "" {
		where += ", profile " + profile
	}
	if opts.Value == "" {
		app.UI.Chat("%s is not set any more (%s)\n", opts.Name, where)
	} else {
		app.UI.Chat("%s is set (%s)\n", opts.Name, where)
	}
	return nil
}

// configListOptions is one `flexvc config list`.
type configListOptions struct {
	App     *cli.App
	Keyring config.Keyring
	Origin  bool
}

func newConfigListCmd(app *cli.App, runF func(context.Context, *configListOptions) error) *cobra.Command {
	opts := &configListOptions{App: app, Keyring: config.SystemKeyring{}}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List all settings of a profile",
		Long:  "List all settings of a profile with the value that applies, and with --origin where\nit comes from. Of a secret it is only said whether it is set.",
		Args:  cli.NameArgs(0, "flexvc config list takes no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return configListRun(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVar(&opts.Origin, "origin", false, "show where each value comes from")
	return cmd
}

// settingRow is one line of a list.
type settingRow struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Origin string `json:"origin,omitempty"`
}

// configView is what `flexvc config list` prints.
type configView interface {
	list(cfg *config.Config, rows []settingRow) error
}

var (
	_ configView = configText{}
	_ configView = configJSON{}
)

func configListRun(_ context.Context, opts *configListOptions) error {
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
		return configJSON{opts}.list(cfg, rows)
	}
	return configText{opts}.list(cfg, rows)
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

type configText struct{ *configListOptions }

func (v configText) list(cfg *config.Config, rows []settingRow) error {
	ui := v.App.UI
	ui.Note("profile %q of %s", cfg.Profile, cfg.Short(cfg.File))
	headers := []string{"SETTING", "VALUE", "ORIGIN"}
	if !v.Origin {
		headers = headers[:2]
	}
	cells := make([][]string, len(rows))
	for i, row := range rows {
		value := strings.TrimSpace(row.Value)
		if ui.OutTTY {
			value = ui.SID(value)
		}
		if value == "" {
			value = "unset"
		}
		cells[i] = []string{row.Name, value, row.Origin}[:len(headers)]
	}
	ui.Table(headers, cells)
	return nil
}

type configJSON struct{ *configListOptions }

func (v configJSON) list(cfg *config.Config, rows []settingRow) error {
	if !v.Origin {
		for i := range rows {
			rows[i].Origin = ""
		}
	}
	return cli.PrintJSON(v.App.UI.Out, struct {
		V        int          `json:"v"`
		File     string       `json:"file"`
		Profile  string       `json:"profile"`
		Settings []settingRow `json:"settings"`
	}{1, cfg.File, cfg.Profile, rows})
}

func completeSettings(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Concat(config.Names(), []string{config.ActiveProfile}), cobra.ShellCompDirectiveNoFileComp
}
