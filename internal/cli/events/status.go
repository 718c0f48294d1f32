package events

import (
	"context"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/spf13/cobra"
)

func newStatus(app *cli.App, runF func(context.Context, *options) error) *cobra.Command {
	opts := &options{App: app}
	if runF == nil {
		runF = statusRun
	}
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show where events are pushed",
		Long:    `Show flexvc's sinks and subscriptions for the workspace, and its event callback.`,
		Example: `  $ flexvc events status`,
		Args:    cli.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runF(cmd.Context(), opts) },
	}
	cli.WorkspaceFlag(cmd, &opts.Workspace)
	return cmd
}

func statusRun(ctx context.Context, opts *options) error {
	session, err := opts.App.Open(ctx, cli.SessionOptions{Workspace: opts.Workspace, Discover: true})
	if err != nil {
		return err
	}
	defer session.Release()
	status, err := session.Events().Status(ctx)
	if err != nil {
		return err
	}
	if opts.App.JSON() {
		return printEventsStatusJSON(opts.App.UI, session.WorkspaceSID, status)
	}
	printEventsStatus(opts.App.UI, status)
	return nil
}
