package workers

import (
	"context"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/workers"
	"github.com/spf13/cobra"
)

type showOptions struct {
	App       *cli.App
	Worker    string
	Workspace string
}

func newShow(app *cli.App, runF func(context.Context, *showOptions) error) *cobra.Command {
	opts := &showOptions{App: app}
	if runF == nil {
		runF = showRun
	}
	cmd := &cobra.Command{
		Use:   "show <worker>",
		Short: "Show one worker with its attributes",
		Long: `Show one worker, named by friendly name (case-insensitive) or SID, with all its
attributes.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return cli.Usagef("name one worker")
			}
			return nil
		},
		ValidArgsFunction: completeWorkers(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Worker = args[0]
			return runF(cmd.Context(), opts)
		},
	}
	cli.WorkspaceFlag(cmd, &opts.Workspace)
	return cmd
}

func showRun(ctx context.Context, opts *showOptions) error {
	session, err := opts.App.Open(ctx, cli.SessionOptions{Workspace: opts.Workspace, Discover: true})
	if err != nil {
		return err
	}
	defer session.Release()
	view := newWorkerView(opts.App)
	return workers.Select(ctx, session.Workers, workers.Selection{Names: []string{opts.Worker}}, 1, view.show)
}
