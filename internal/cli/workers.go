package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/workers"
)

func newWorkersCmd(app *App) *cobra.Command {
	return parent("workers <command>", "Switch workers to the extension and back",
		`See which agents take their calls in the extension, and switch them over. Each
change is planned, shown, confirmed and journalled; flexvc runs shows the journal.`,
		newWorkersListCmd(app, nil), newWorkersShowCmd(app, nil),
		newWorkersSetCmd(app, true, nil), newWorkersSetCmd(app, false, nil))
}

type workersListOptions struct {
	App *App
	selectOptions
	Workspace   string
	Concurrency int
}

func newWorkersListCmd(app *App, runF func(context.Context, *workersListOptions) error) *cobra.Command {
	opts := &workersListOptions{App: app}
	if runF == nil {
		runF = workersListRun
	}
	cmd := &cobra.Command{
		Use:   "list [<worker>...]",
		Short: "List workers and where their calls ring",
		Long: `List workers: what their attributes say about the extension, and their contact
URI. Without a selection all workers are listed.

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
			if err := checkConcurrency(opts.Concurrency); err != nil {
				return err
			}
			return runF(cmd.Context(), opts)
		},
	}
	opts.flags(cmd)
	workspaceFlag(cmd, &opts.Workspace)
	concurrencyFlag(cmd, &opts.Concurrency)
	return cmd
}

func workersListRun(ctx context.Context, opts *workersListOptions) error {
	selection, err := opts.selection(opts.App.UI.In)
	if err != nil {
		return err
	}
	session, err := opts.App.Open(ctx, SessionOptions{Workspace: opts.Workspace, Discover: true})
	if err != nil {
		return err
	}
	defer session.close()
	view := newWorkersView(opts.App)
	if err := workers.Select(ctx, session.Workers, selection, opts.Concurrency, view.row); err != nil {
		return err
	}
	return view.end()
}

type workersShowOptions struct {
	App       *App
	Worker    string
	Workspace string
}

func newWorkersShowCmd(app *App, runF func(context.Context, *workersShowOptions) error) *cobra.Command {
	opts := &workersShowOptions{App: app}
	if runF == nil {
		runF = workersShowRun
	}
	cmd := &cobra.Command{
		Use:   "show <worker>",
		Short: "Show one worker with its attributes",
		Long: `Show one worker with all its attributes. It is named by its friendly name, whatever
its case, or by its SID.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("name one worker")
			}
			return nil
		},
		ValidArgsFunction: completeWorkers(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Worker = args[0]
			return runF(cmd.Context(), opts)
		},
	}
	workspaceFlag(cmd, &opts.Workspace)
	return cmd
}

func workersShowRun(ctx context.Context, opts *workersShowOptions) error {
	session, err := opts.App.Open(ctx, SessionOptions{Workspace: opts.Workspace, Discover: true})
	if err != nil {
		return err
	}
	defer session.close()
	view := newWorkerView(opts.App)
	return workers.Select(ctx, session.Workers, workers.Selection{Names: []string{opts.Worker}}, 1, view.show)
}
