package runs

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/bulk"
	"github.com/flexvc/flexvc/internal/ui"
)

type resumeOptions struct {
	App         *cli.App
	Run         string
	RetryFailed bool
	Workspace   string
	Concurrency int
}

func newResume(app *cli.App, runF func(context.Context, *resumeOptions) error) *cobra.Command {
	opts := &resumeOptions{App: app}
	if runF == nil {
		runF = resumeRun
	}
	cmd := &cobra.Command{
		Use:   "resume <run>",
		Short: "Continue a run that was stopped",
		Long: `Continue a run that was stopped, crashed, or could not write its journal. It was
confirmed when it started, so there is no further question. Writes that were in flight
are looked up first, so none is made twice.`,
		Example: `  $ flexvc runs resume 01J8X4
  $ flexvc runs resume 01J8X4 --retry-failed`,
		Args:              oneRun,
		ValidArgsFunction: completeRuns(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Run = args[0]
			if err := cli.CheckConcurrency(opts.Concurrency); err != nil {
				return err
			}
			return runF(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVar(&opts.RetryFailed, "retry-failed", false, "retry workers that failed")
	cli.WorkspaceFlag(cmd, &opts.Workspace)
	cli.ConcurrencyFlag(cmd, &opts.Concurrency)
	return cmd
}

func resumeRun(ctx context.Context, opts *resumeOptions) error {
	b, folder, err := openRun(ctx, opts.App, opts.Run, opts.Workspace, opts.Concurrency)
	if err != nil {
		return err
	}
	defer b.Session.Release()
	lock, err := folder.Lock("runs resume")
	if err != nil {
		return err
	}
	defer lock.Release()
	run, err := lock.Reopen(opts.Run, opts.RetryFailed)
	if err != nil {
		return err
	}
	if n := len(run.Damage); n > 0 {
		opts.App.UI.Warn("%s of run %s's journal cannot be read (see flexvc runs show %s)", ui.Plural(n, "line"), run.ID, run.ID)
	}
	view := bulk.NewView(opts.App, run.Header, b.Session.Retries)
	return b.Apply(ctx, folder, run, view)
}
