package cli

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/workers"
)

type runsResumeOptions struct {
	App         *App
	Run         string
	RetryFailed bool
	Workspace   string
	Concurrency int
}

func newRunsResumeCmd(app *App, runF func(context.Context, *runsResumeOptions) error) *cobra.Command {
	opts := &runsResumeOptions{App: app}
	if runF == nil {
		runF = runsResumeRun
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
			if err := checkConcurrency(opts.Concurrency); err != nil {
				return err
			}
			return runF(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVar(&opts.RetryFailed, "retry-failed", false, "try workers again that failed")
	workspaceFlag(cmd, &opts.Workspace)
	concurrencyFlag(cmd, &opts.Concurrency)
	return cmd
}

func runsResumeRun(ctx context.Context, opts *runsResumeOptions) error {
	b, folder, err := openRun(ctx, opts.App, opts.Run, opts.Workspace, opts.Concurrency)
	if err != nil {
		return err
	}
	defer b.session.close()
	lock, err := folder.Lock("runs resume")
	if err != nil {
		return err
	}
	defer lock.Release()
	run, err := lock.Reopen(opts.Run, opts.RetryFailed)
	if err != nil {
		return err
	}
	view := newBulkView(opts.App, run.Header, b.session.retries)
	return b.apply(ctx, folder, run, view)
}

type runsRollbackOptions struct {
	App         *App
	Run         string
	Workspace   string
	Concurrency int
	DryRun      bool
	ExitCode    bool
	Yes         bool
}

func newRunsRollbackCmd(app *App, runF func(context.Context, *runsRollbackOptions) error) *cobra.Command {
	opts := &runsRollbackOptions{App: app}
	if runF == nil {
		runF = runsRollbackRun
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
			err := errors.Join(checkPlanFlags(opts.DryRun, opts.ExitCode), checkConcurrency(opts.Concurrency))
			if err != nil {
				return err
			}
			return runF(cmd.Context(), opts)
		},
	}
	workspaceFlag(cmd, &opts.Workspace)
	planFlags(cmd, &opts.DryRun, &opts.ExitCode, &opts.Yes)
	concurrencyFlag(cmd, &opts.Concurrency)
	return cmd
}

func runsRollbackRun(ctx context.Context, opts *runsRollbackOptions) error {
	b, folder, err := openRun(ctx, opts.App, opts.Run, opts.Workspace, opts.Concurrency)
	if err != nil {
		return err
	}
	defer b.session.close()
	b.dryRun, b.exitCode, b.yes = opts.DryRun, opts.ExitCode, opts.Yes
	id, err := workers.ParseRunID(opts.Run)
	if err != nil {
		return err
	}
	header := workers.Header{Command: "runs rollback", Selection: id, Of: id}
	return b.run(ctx, header, func(lock *workers.Lock) (*workers.Plan, error) {
		return workers.PlanRollback(ctx, b.session.Workers, folder, id, opts.Concurrency, lock)
	})
}

// openRun opens the session that a run belongs to. A run of another workspace
// is told apart from one that is not there at all.
func openRun(ctx context.Context, app *App, name, workspace string, concurrency int) (*bulk, workers.Folder, error) {
	id, err := workers.ParseRunID(name)
	if err != nil {
		return nil, workers.Folder{}, err
	}
	session, err := app.Open(ctx, SessionOptions{Workspace: workspace, Discover: true})
	if err != nil {
		return nil, workers.Folder{}, err
	}
	b := &bulk{app: app, session: session, concurrency: concurrency}
	folder, err := b.folder()
	if err == nil {
		err = whereIs(app, id, folder)
	}
	if err != nil {
		session.close()
		return nil, folder, err
	}
	return b, folder, nil
}

func whereIs(app *App, id string, folder workers.Folder) error {
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
