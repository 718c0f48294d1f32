// Package teardown is flexvc teardown: its flags, what it runs, and what it
// prints. What is taken away at Twilio belongs to internal/provision, what is done
// to a worker to internal/workers.
package teardown

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/workers"
)

// Options is one `flexvc teardown`.
type Options struct {
	App     *cli.App
	Keyring config.Keyring

	Workspace   string
	Purge       bool
	Concurrency int
	DryRun      bool
	ExitCode    bool
	Yes         bool
}

func New(app *cli.App, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{App: app, Keyring: config.SystemKeyring{}}
	if runF == nil {
		runF = Run
	}
	cmd := &cobra.Command{
		Use:   "teardown",
		Short: "Remove everything flexvc created",
		Long: `Remove everything flexvc's commands created in the account, in the order that loses no
call: take all workers off the extension and wait until none is left on it, then remove
the plugin from Flex's release, its files, the token Function with its API key, the event
sink and subscription, the token server's API key, and the activity if init created it
and nobody is in it.

What others created is kept and named: other plugins and their files, other sinks and
keys, an activity that was there before. Twilio deletes neither a plugin's registration
nor the history of releases; both stay and do nothing.

With --purge, this machine's part goes too: the profile in flexvc.yaml, the API key's
secret and the journals of the account. The extension's signing key is never deleted: it
is the extension's identity.

Safe to run again at any time: an interrupted teardown is continued. Managing API keys
requires the account's auth token or a Main API key.`,
		Example: `  $ flexvc teardown --dry-run
  $ flexvc teardown
  $ flexvc teardown --purge`,
		Args:              cli.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := errors.Join(cli.CheckPlanFlags(opts.DryRun, opts.ExitCode), cli.CheckConcurrency(opts.Concurrency))
			if err != nil {
				return err
			}
			return runF(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	cli.WorkspaceFlag(cmd, &opts.Workspace)
	flags.BoolVar(&opts.Purge, "purge", false, "also remove this machine's profile, secret and journals of the account")
	cli.ConcurrencyFlag(cmd, &opts.Concurrency)
	cli.PlanFlags(cmd, &opts.DryRun, &opts.ExitCode, &opts.Yes)
	return cmd
}

// Run plans, shows, asks and applies.
func Run(ctx context.Context, opts *Options) (err error) {
	app := opts.App
	cfg, err := app.Config()
	if err != nil {
		return err
	}
	session, err := app.Open(ctx, cli.SessionOptions{Workspace: opts.Workspace, Discover: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	if !opts.DryRun {
		for _, file := range []string{"setup.lock", "plugin.lock", "function.lock"} {
			release, err := cli.LockAccount(app, session.AccountSID, file, "flexvc command")
			if err != nil {
				return err
			}
			defer release()
		}
	}
	dir, err := app.RunsDir(session.AccountSID, session.WorkspaceSID)
	if err != nil {
		return err
	}
	m := &movers{
		opts: opts, session: session, rules: fleet.Rules{Prefix: cfg.IdentityPrefix},
		folder: workers.Folder{Path: dir, Now: app.Now},
	}
	before, err := m.plan(ctx)
	if err != nil {
		return err
	}
	var after []provision.Work
	if opts.Purge {
		if after, err = opts.purge(cfg, session); err != nil {
			return err
		}
	}
	function, err := app.Function(session)
	if err != nil {
		return err
	}
	t := &provision.Teardown{
		Plugin: app.Plugin(session), Function: function, Events: session.Events(), Keys: session.Keys, Workspace: session.Client.Workspace(session.WorkspaceSID),
		Settings: provision.Settings{
			ActivitySID: cfg.Stored(config.ActivitySID), CreatedActivitySID: cfg.Stored(config.CreatedActivitySID), APIKeySID: cfg.Stored(config.APIKey),
		},
	}
	plan, err := t.Plan(ctx, before, after, m.ready)
	if err != nil {
		return err
	}
	name, err := session.AccountName(ctx)
	if err != nil {
		name = "" // the SID has to do
	}
	planned := cli.Planned{
		App: app, Plan: &plan.Plan, DryRun: opts.DryRun, ExitCode: opts.ExitCode, Yes: opts.Yes,
		Text: text(app.UI, cfg.Profile, name, session, plan),
		JSON: jsonOf(cfg.Profile, name, session, plan),
	}
	if !session.Emulated {
		planned.TypedName = cfg.Profile
	}
	return planned.Run(ctx)
}

// ready keeps the plugin while a worker depends on it.
func (m *movers) ready(ctx context.Context) error {
	left, err := fleet.CountDependents(ctx, m.session.Workers, m.rules, m.opts.App.Now)
	if err == nil && !left.None() {
		err = problem.New(problem.WorkersDepend, "cannot remove the plugin: a worker was enabled in the meantime").
			WithHint("run flexvc teardown again")
	}
	return err
}
