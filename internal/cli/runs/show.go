package runs

import (
	"context"
	"slices"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/workers"
	"github.com/spf13/cobra"
)

type showOptions struct {
	App       *cli.App
	Run       string
	Workspace string
}

func newShow(app *cli.App, runF func(context.Context, *showOptions) error) *cobra.Command {
	opts := &showOptions{App: app}
	if runF == nil {
		runF = showRun
	}
	cmd := &cobra.Command{
		Use:               "show <run>",
		Short:             "Show how a run ended, worker by worker",
		Long:              "Show how a run ended: the counts, and each worker that failed or was skipped. With\n-o json, every worker of the run. Does not contact Twilio.",
		Args:              oneRun,
		ValidArgsFunction: completeRuns(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Run = args[0]
			return runF(cmd.Context(), opts)
		},
	}
	cmd.Flags().StringVar(&opts.Workspace, "workspace", "", "workspace of the run, WS…, if two have a run of that name")
	cli.NoCompletion(cmd, "workspace")
	return cmd
}

func showRun(_ context.Context, opts *showOptions) error {
	id, err := workers.ParseRunID(opts.Run)
	if err != nil {
		return err
	}
	folders, err := runFolders(opts.App, opts.Workspace)
	if err != nil {
		return err
	}
	folders = slices.DeleteFunc(folders, func(f workers.Folder) bool { return !f.Has(id) })
	switch len(folders) {
	case 0:
		return problem.New(problem.RunNotFound, "run %s does not exist", id).WithHint("list all runs: flexvc runs list")
	case 1:
	default:
		return cli.Usagef("%d workspaces have a run %s: choose one with --workspace", len(folders), id)
	}
	running := folders[0].Running()
	run, err := folders[0].Load(id)
	if err != nil {
		return err
	}
	defer run.Close()
	state, by := runState(folders[0], id, running, run.Ended)
	if by == "" && run.Tally().Failed > 0 {
		by = folders[0].SupersededBy(id) // its failed workers
	}
	return newRunsView(opts.App).show(run, state, by)
}
