package plugin

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/flexvc/flexvc/internal/buildinfo"
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/plugin"
	"github.com/spf13/cobra"
)

// pluginOptions is one `flexvc plugin deploy` or `rollback`.
type Options struct {
	App    *cli.App
	Bundle func(plugin.Settings) ([]byte, error)

	Version   string
	Changelog string
	Rollback  bool
	DryRun    bool
	ExitCode  bool
	Yes       bool
}

func NewDeploy(app *cli.App, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{App: app, Bundle: plugin.Bundle}
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Put the plugin into Flex",
		Long: `Put the plugin that this flexvc brings into Flex: upload it to Twilio Serverless,
build and deploy it there, tell Flex's Plugins API of the version, and release it
together with the plugins that are released now. Agents get it at the next start of
their Flex.

What is deployed or released already stays: other plugins, other files, and the earlier
versions of this one, to which a rollback goes. A run that was cut short is continued
by the next one.

Without --version it is flexvc's own version, or the one after the latest when only the
settings have changed.`,
		Example: `  $ flexvc plugin deploy --dry-run
  $ flexvc plugin deploy
  $ flexvc plugin deploy --version 2.0.0 --changelog "new token server" --yes`,
		Args: cli.NameArgs(0, "flexvc plugin deploy takes no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return opts.start(cmd.Context(), runF) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&opts.Version, "version", "", "version to deploy, newer than all others")
	flags.StringVar(&opts.Changelog, "changelog", "", "what Flex's list of plugins says about the version")
	cli.PlanFlags(cmd, &opts.DryRun, &opts.ExitCode, &opts.Yes)
	cli.NoCompletion(cmd, "version")
	cli.NoCompletion(cmd, "changelog")
	return cmd
}

func NewRollback(app *cli.App, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{App: app, Bundle: plugin.Bundle, Rollback: true}
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Release the version before the present one",
		Long: `Release what was released before the present version of the plugin: an older version,
or Flex without the plugin when there was none. Other plugins stay as they are now.
Nothing is deleted, so flexvc plugin deploy leads back.`,
		Example: `  $ flexvc plugin rollback --dry-run
  $ flexvc plugin rollback`,
		Args: cli.NameArgs(0, "flexvc plugin rollback takes no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return opts.start(cmd.Context(), runF) },
	}
	cmd.Flags().SortFlags = false
	cli.PlanFlags(cmd, &opts.DryRun, &opts.ExitCode, &opts.Yes)
	return cmd
}

func (o *Options) start(ctx context.Context, runF func(context.Context, *Options) error) error {
	if err := cli.CheckPlanFlags(o.DryRun, o.ExitCode); err != nil {
		return err
	}
	if runF == nil {
		runF = Run
	}
	return runF(ctx, o)
}

// pluginRun plans, shows, asks and applies.
func Run(ctx context.Context, opts *Options) (err error) {
	app := opts.App
	cfg, err := app.Config()
	if err != nil {
		return err
	}
	if !opts.Rollback {
		if err := pluginReady(app, cfg); err != nil {
			return err
		}
	}
	session, err := app.Open(ctx, cli.SessionOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	if !opts.DryRun {
		release, err := cli.LockAccount(app, session.AccountSID, "plugin.lock", "flexvc plugin")
		if err != nil {
			return err
		}
		defer release()
	}
	plan, err := opts.plan(ctx, cfg, session.Plugins)
	if err != nil {
		return err
	}
	return cli.Planned{
		App: app, Plan: &plan.Plan, DryRun: opts.DryRun, ExitCode: opts.ExitCode, Yes: opts.Yes,
		Text: pluginText(app.UI, session.AccountSID, opts.Rollback, plan),
		JSON: pluginJSON(cfg.Profile, session.AccountSID, plan),
	}.Run(ctx)
}

func (o *Options) plan(ctx context.Context, cfg *config.Config, d *provision.Plugin) (*provision.PluginPlan, error) {
	if o.Rollback {
		return d.PlanRollback(ctx)
	}
	return d.Plan(ctx, provision.PluginWant{
		Bundle:    cli.PluginBundle(cfg, o.Bundle),
		Version:   o.Version,
		Own:       strings.TrimPrefix(buildinfo.Version, "v"),
		Changelog: o.Changelog,
	})
}

// pluginReady refuses settings with which the plugin could not work, and warns
// of those with which it works on this machine only.
func pluginReady(app *cli.App, cfg *config.Config) error {
	if cfg.ActivitySID == "" {
		return problem.New(problem.ConfigInvalid, "cannot deploy the plugin: profile %q names no activity for agents without the extension", cfg.Profile).
			WithHint("flexvc init")
	}
	if at, err := url.Parse(cfg.Value(config.PluginTokenURL)); err == nil && at.Scheme == "http" && !cfg.Emulated() {
		app.UI.Warn("agents' browsers will ask %s for tokens, which is this machine only: set token_url with flexvc init --token-url", at)
	}
	return nil
}
