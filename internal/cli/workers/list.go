package workers

import (
	"context"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/workers"
	"github.com/spf13/cobra"
)

type listOptions struct {
	App *cli.App
	selectOptions
	Workspace   string
	Concurrency int
}

func newList(app *cli.App, runF func(context.Context, *listOptions) error) *cobra.Command {
	opts := &listOptions{App: app}
	if runF == nil {
		runF = listRun
	}
	cmd := &cobra.Command{
		Use:   "list [<worker>...]",
		Short: "List workers and where their calls ring",
		Long: `List workers with their extension flag and contact URI. Without a selection, list all
workers.

` + selectHelp,
		Example: `  $ flexvc workers list
  $ flexvc workers list --filter "team_name == 'sales'"
  $ flexvc workers list -o json | jq -r 'select(.extension=="enabled").name'`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeWorkers(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Workers = args
			if err := opts.check(false); err != nil {
				return err
			}
			if err := cli.CheckConcurrency(opts.Concurrency); err != nil {
				return err
			}
			return runF(cmd.Context(), opts)
		},
	}
	opts.flags(cmd)
	cli.WorkspaceFlag(cmd, &opts.Workspace)
	cli.ConcurrencyFlag(cmd, &opts.Concurrency)
	return cmd
}

func listRun(ctx context.Context, opts *listOptions) error {
	selection, err := opts.selection(opts.App.UI.In)
	if err != nil {
		return err
	}
	session, err := opts.App.Open(ctx, cli.SessionOptions{Workspace: opts.Workspace, Discover: true})
	if err != nil {
		return err
	}
	defer session.Release()
	view := newWorkersView(opts.App)
	if err := workers.Select(ctx, session.Workers, selection, opts.Concurrency, view.row); err != nil {
		return err
	}
	return view.end()
}
