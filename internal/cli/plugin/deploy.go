package plugin

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/flexvc/flexvc/internal/buildinfo"
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/plugin"
	"github.com/spf13/cobra"
)

// Options is one `flexvc plugin deploy`, `rollback` or `remove`.
type Options struct {
	App    *cli.App
	Bundle func(plugin.Settings) ([]byte, error)

	Version   string
	Changelog string
	Rollback  bool
	Remove    bool
	Workspace string
	Force     bool
	DryRun    bool
	ExitCode  bool
	Yes       bool
}

func newDeploy(app *cli.App, bundle func(plugin.Settings) ([]byte, error)) *cobra.Command {
	opts := &Options{App: app, Bundle: bundle}
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Deploy the plugin to Flex",
		Long: `Deploy the included plugin to Flex: upload it to Twilio Serverless, build and deploy it
there, register the version with Flex's Plugins API, and release it together with the
plugins that are already released. Agents get it when they next start Flex.

Everything already deployed or released is kept: other plugins, other files, and
earlier versions of this one for rollback. An interrupted run is continued by the next
one.

The default version is flexvc's own, or the next patch version if only the settings
have changed.`,
		Example: `  $ flexvc plugin deploy --dry-run
  $ flexvc plugin deploy
  $ flexvc plugin deploy --version 2.0.0 --changelog "new token server" --yes`,
		Args: cli.NameArgs(0, "flexvc plugin deploy takes no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return opts.start(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&opts.Version, "version", "", "version to deploy; must be newer than all others")
	flags.StringVar(&opts.Changelog, "changelog", "", "description of the version in Flex's plugin list")
	cli.PlanFlags(cmd, &opts.DryRun, &opts.ExitCode, &opts.Yes)
	cli.NoCompletion(cmd, "version")
	cli.NoCompletion(cmd, "changelog")
	return cmd
}

func (o *Options) start(ctx context.Context) error {
	if err := cli.CheckPlanFlags(o.DryRun, o.ExitCode); err != nil {
		return err
	}
	return Run(ctx, o)
}

// back reports whether the command releases what was before the plugin, or before
// its present version.
func (o *Options) back() bool { return o.Rollback || o.Remove }

// Run plans, shows, asks and applies.
func Run(ctx context.Context, opts *Options) (err error) {
	app := opts.App
	cfg, err := app.Config()
	if err != nil {
		return err
	}
	if !opts.back() {
		if err := pluginReady(app, cfg); err != nil {
			return err
		}
	}
	session, err := app.Open(ctx, cli.SessionOptions{Workspace: opts.Workspace, Discover: opts.back()})
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
	plan, err := opts.plan(ctx, cfg, app.Plugin(session))
	if err != nil {
		return err
	}
	var left fleet.Dependents
	if plan.Removes() {
		guard := &guard{app: app, session: session, rules: fleet.Rules{Prefix: cfg.IdentityPrefix}, force: opts.Force}
		if left, err = guard.count(ctx); err != nil {
			return err
		}
		plan.Last = guard.check
	}
	return cli.Planned{
		App: app, Plan: &plan.Plan, DryRun: opts.DryRun, ExitCode: opts.ExitCode, Yes: opts.Yes,
		Ready: func() error { return refusal(left, opts.Force) },
		Text:  pluginText(app.UI, session.AccountSID, opts, plan, left),
		JSON:  pluginJSON(cfg.Profile, session.AccountSID, plan, left),
	}.Run(ctx)
}

func (o *Options) plan(ctx context.Context, cfg *config.Config, d *provision.Plugin) (*provision.PluginPlan, error) {
	switch {
	case o.Rollback:
		return d.PlanRollback(ctx)
	case o.Remove:
		return d.PlanRemove(ctx)
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
		app.UI.Warn("browsers will request tokens from %s, which only works on this machine: set token_url with flexvc init --token-url", at)
	}
	return nil
}
