package keys

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
)

// rotateOptions is one `flexvc keys rotate`.
type rotateOptions struct {
	App *cli.App

	Now      bool
	DryRun   bool
	ExitCode bool
	Yes      bool
}

func newRotate(app *cli.App) *cobra.Command {
	opts := &rotateOptions{App: app}
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the token Function's API key",
		Long: `Replace the token Function's API key in two runs. The first creates a key, has the
Function sign with it, and asks the Function; if that fails, the Function signs with the
former key again. The former key stays, because tokens that it signed are still in use.
Once the last of them has expired, run the command again: it deletes the former key.
Before that, it changes nothing.

With --now the former key is deleted at once, for a key that has leaked: every token that
it signed is refused, and the extensions request new ones.

An interrupted run is continued by the next one. Managing API keys requires the
account's auth token or a Main API key.`,
		Example: `  $ flexvc keys rotate --dry-run
  $ flexvc keys rotate
  $ flexvc keys rotate --now --yes`,
		Args: cli.NameArgs(0, "flexvc keys rotate takes no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.CheckPlanFlags(opts.DryRun, opts.ExitCode); err != nil {
				return err
			}
			return rotateRun(cmd.Context(), opts)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&opts.Now, "now", false, "delete the former key at once; tokens that it signed are refused")
	cli.PlanFlags(cmd, &opts.DryRun, &opts.ExitCode, &opts.Yes)
	return cmd
}

func rotateRun(ctx context.Context, opts *rotateOptions) (err error) {
	app := opts.App
	cfg, err := app.Config()
	if err != nil {
		return err
	}
	session, err := app.Open(ctx, cli.SessionOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	if !opts.DryRun {
		release, err := cli.LockAccount(app, session.AccountSID, "function.lock", "flexvc function or flexvc keys")
		if err != nil {
			return err
		}
		defer release()
	}
	d, err := app.Function(session)
	if err != nil {
		return err
	}
	plan, err := d.PlanRotation(ctx, opts.Now)
	if err != nil {
		return err
	}
	return cli.Planned{
		App: app, Plan: &plan.Plan, DryRun: opts.DryRun, ExitCode: opts.ExitCode, Yes: opts.Yes,
		Text: text(app.UI, session, plan),
		JSON: jsonOf(cfg.Profile, session.AccountSID, plan),
	}.Run(ctx)
}
