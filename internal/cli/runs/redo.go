package runs

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/bulk"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/workers"
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
confirmed when it began, so nothing is asked again. Writes that were in flight are
looked up first: none is made twice.`,
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
	cmd.Flags().BoolVar(&opts.RetryFailed, "retry-failed", false, "try workers again that failed")
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
	view := bulk.NewView(opts.App, run.Header, b.Session.Retries)
	return b.Apply(ctx, folder, run, view)
}

type rollbackOptions struct {
	App         *cli.App
	Run         string
	Workspace   string
	Concurrency int
	DryRun      bool
	ExitCode    bool
	Yes         bool
}

func newRollback(app *cli.App, runF func(context.Context, *rollbackOptions) error) *cobra.Command {
	opts := &rollbackOptions{App: app}
	if runF == nil {
		runF = rollbackRun
	}
	cmd := &cobra.Command{
		Use:   "rollback <run>",
		Short: "Give workers back what they had before a run",
		Long: `Give workers back the exact attributes they had before a run. Only workers that
still hold exactly what the run wrote are restored; those edited since are left alone.
A rollback is a run of its own: it can be resumed, and rolled back.`,
		Example: `  $ flexvc runs rollback 01J8X4 --dry-run
  $ flexvc runs rollback 01J8X4 --yes`,
		Args:              oneRun,
		ValidArgsFunction: completeRuns(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Run = args[0]
			err := errors.Join(cli.CheckPlanFlags(opts.DryRun, opts.ExitCode), cli.CheckConcurrency(opts.Concurrency))
			if err != nil {
				return err
			}
			return runF(cmd.Context(), opts)
		},
	}
	cli.WorkspaceFlag(cmd, &opts.Workspace)
	cli.PlanFlags(cmd, &opts.DryRun, &opts.ExitCode, &opts.Yes)
	cli.ConcurrencyFlag(cmd, &opts.Concurrency)
	return cmd
}

func rollbackRun(ctx context.Context, opts *rollbackOptions) error {
	b, folder, err := openRun(ctx, opts.App, opts.Run, opts.Workspace, opts.Concurrency)
	if err != nil {
		return err
	}
	defer b.Session.Release()
	b.DryRun, b.ExitCode, b.Yes = opts.DryRun, opts.ExitCode, opts.Yes
	id, err := workers.ParseRunID(opts.Run)
	if err != nil {
		return err
	}
	header := workers.Header{Command: "runs rollback", Selection: id, Of: id}
	return b.Run(ctx, header, func(lock *workers.Lock) (*workers.Plan, error) {
		return workers.PlanRollback(ctx, b.Session.Workers, folder, id, opts.Concurrency, lock)
	})
}

// openRun opens the session that a run belongs to. A run of another workspace
// is told apart from one that is not there at all.
func openRun(ctx context.Context, app *cli.App, name, workspace string, concurrency int) (*bulk.Job, workers.Folder, error) {
	id, err := workers.ParseRunID(name)
	if err != nil {
		return nil, workers.Folder{}, err
	}
	session, err := app.Open(ctx, cli.SessionOptions{Workspace: workspace, Discover: true})
	if err != nil {
		return nil, workers.Folder{}, err
	}
	b := &bulk.Job{App: app, Session: session, Concurrency: concurrency}
	folder, err := b.Folder()
	if err == nil {
		err = whereIs(app, id, folder)
	}
	if err != nil {
		session.Release()
		return nil, folder, err
	}
	return b, folder, nil
}

func whereIs(app *cli.App, id string, folder workers.Folder) error {
	folders, err := runFolders(app, "")
	if err != nil {
		return err
	}
	elsewhere := ""
	for _, f := range folders {
		if !f.Has(id) {
			continue
		}
		if f.Path == folder.Path {
			return nil
		}
		elsewhere = f.Path
	}
	if elsewhere == "" {
		return problem.New(problem.RunNotFound, "there is no run %s in this workspace", id).
			WithHint("flexvc runs list shows all")
	}
	workspace, account := filepath.Base(elsewhere), filepath.Base(filepath.Dir(elsewhere))
	return problem.New(problem.RunNotFound, "run %s belongs to workspace %s of account %s, not to this one",
		id, app.UI.SID(workspace), app.UI.SID(account)).
		WithHint("choose that account with --profile, and add --workspace %s", workspace)
}
