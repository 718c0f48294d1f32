package config

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
)

// NewProfiles is `flexvc profiles`.
func NewProfiles(app *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "profiles",
		Short: "List the profiles that -p accepts",
		Long: `List the profiles that -p accepts: those of flexvc.yaml, those of the twilio CLI, and the
emulator. The active one is used when -p names none. Nothing is asked of Twilio.`,
		Example: `  $ flexvc profiles
  $ flexvc profiles -o json | jq -r 'select(.active).name'`,
		Args:              cli.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return profilesRun(cmd.Context(), app) },
	}
}

func profilesRun(_ context.Context, app *cli.App) error {
	profiles, err := app.Profiles()
	if err != nil {
		return err
	}
	if app.JSON() {
		for _, p := range profiles {
			err := cli.PrintJSON(app.UI.Out, profileJSON{1, p.Name, p.Source, p.AccountSID, p.Active})
			if err != nil {
				return err
			}
		}
		return nil
	}
	rows := make([][]string, len(profiles))
	for i, p := range profiles {
		account, active := p.AccountSID, ""
		if app.UI.OutTTY {
			account = cli.Dash(app.UI, app.UI.SID(account))
		}
		if p.Active {
			active = "active"
		}
		rows[i] = []string{p.Name, p.Source, account, active}
	}
	app.UI.Table([]string{"PROFILE", "SOURCE", "ACCOUNT", ""}, rows)
	return nil
}
