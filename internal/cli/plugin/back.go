package plugin

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/plugin"
)

const guardHelp = `

Only the plugin moves agents to the extension and back. A release without it is
refused while a worker is enabled or still on the extension's address: disable them
first with flexvc workers disable --all --reset-contact-uri.`

func newRollback(app *cli.App, bundle func(plugin.Settings) ([]byte, error)) *cobra.Command {
	opts := &Options{App: app, Bundle: bundle, Rollback: true}
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Release the previous version",
		Long: `Release what was released before the current version of the plugin: an older version,
or Flex without the plugin if there was none. Other plugins stay as they are.
Nothing is deleted, so flexvc plugin deploy undoes it.` + guardHelp,
		Example: `  $ flexvc plugin rollback --dry-run
  $ flexvc plugin rollback`,
		Args: cli.NameArgs(0, "flexvc plugin rollback takes no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return opts.start(cmd.Context()) },
	}
	opts.backFlags(cmd)
	return cmd
}

func newRemove(app *cli.App, bundle func(plugin.Settings) ([]byte, error)) *cobra.Command {
	opts := &Options{App: app, Bundle: bundle, Remove: true}
	cmd := &cobra.Command{
		Use:   "remove",
		Short: "Release Flex without the plugin",
		Long: `Release the plugins that Flex loads now without this one, whatever its version. Other
plugins stay as they are. Nothing is deleted, so flexvc plugin deploy undoes it; flexvc
teardown deletes the files as well.` + guardHelp,
		Example: `  $ flexvc plugin remove --dry-run
  $ flexvc plugin remove`,
		Args: cli.NameArgs(0, "flexvc plugin remove takes no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return opts.start(cmd.Context()) },
	}
	opts.backFlags(cmd)
	return cmd
}

func (o *Options) backFlags(cmd *cobra.Command) {
	cmd.Flags().SortFlags = false
	cli.WorkspaceFlag(cmd, &o.Workspace)
	cmd.Flags().BoolVar(&o.Force, "force", false, "remove the plugin even though workers depend on it")
	cli.PlanFlags(cmd, &o.DryRun, &o.ExitCode, &o.Yes)
}

// guard keeps the plugin in Flex while agents' calls depend on it.
type guard struct {
	app     *cli.App
	session *cli.Session
	rules   fleet.Rules
	force   bool
}

func (g *guard) count(ctx context.Context) (fleet.Dependents, error) {
	return fleet.CountDependents(ctx, g.session.Workers, g.rules, g.app.Now)
}

// check looks once more, right before the release: a worker may have been enabled
// while somebody read the plan.
func (g *guard) check(ctx context.Context) error {
	if g.force {
		return nil
	}
	left, err := g.count(ctx)
	if err != nil {
		return err
	}
	return refusal(left, false)
}

// refusal is why the plugin has to stay, or nil.
func refusal(left fleet.Dependents, force bool) error {
	if force || left.None() {
		return nil
	}
	return problem.New(problem.WorkersDepend, "cannot remove the plugin: %s", depending(left)).
		WithHint("flexvc workers disable --all --reset-contact-uri, then run the command again")
}

// depending says of how many workers the calls would be lost.
func depending(left fleet.Dependents) string {
	switch {
	case left.Stale == 0:
		return ui.Plural(left.Enabled, "worker") + isOrAre(left.Enabled) + " enabled"
	case left.Enabled == 0:
		return ui.Plural(left.Stale, "disabled worker") + isOrAre(left.Stale) + " still on the extension's address"
	}
	return ui.Plural(left.Enabled, "worker") + isOrAre(left.Enabled) + " enabled and " +
		ui.Plural(left.Stale, "disabled worker") + isOrAre(left.Stale) + " still on the extension's address"
}

func isOrAre(n int) string {
	if n == 1 {
		return " is"
	}
	return " are"
}
