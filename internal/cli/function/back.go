package function

import (
	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
)

func newRollback(app *cli.App) *cobra.Command {
	opts := &options{App: app, Rollback: true}
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Deploy the previous build and its settings",
		Long: `Deploy the build before the current one, with the settings that it was deployed with.
The address and the API key stay. Twilio deletes builds that are not deployed after seven
days: after that, deploy the settings you want with flexvc function deploy.`,
		Example: `  $ flexvc function rollback --dry-run
  $ flexvc function rollback`,
		Args: cli.NameArgs(0, "flexvc function rollback takes no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return opts.start(cmd.Context()) },
	}
	cmd.Flags().SortFlags = false
	cli.PlanFlags(cmd, &opts.DryRun, &opts.ExitCode, &opts.Yes)
	return cmd
}

func newRemove(app *cli.App) *cobra.Command {
	opts := &options{App: app, Remove: true}
	cmd := &cobra.Command{
		Use:   "remove",
		Short: "Delete the token Function and its key",
		Long: `Delete the Function's Serverless service with all that it holds, and its API keys.
Tokens that they signed are refused at once, so calls that ring by them are lost. While
token_url names the Function this is refused: first move agents to flexvc serve.
A service into which somebody else has put something stays.`,
		Example: `  $ flexvc function remove --dry-run
  $ flexvc function remove`,
		Args: cli.NameArgs(0, "flexvc function remove takes no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return opts.start(cmd.Context()) },
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&opts.Force, "force", false, "remove the Function even though token_url names it")
	cli.PlanFlags(cmd, &opts.DryRun, &opts.ExitCode, &opts.Yes)
	return cmd
}
