package cli

import (
	"context"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/workers"
)

// bulk is a plan that is shown, confirmed and carried out.
type bulk struct {
	app         *App
	session     *Session
	concurrency int

	dryRun, exitCode, yes bool
}

func (b *bulk) folder() (workers.Folder, error) {
	dir, err := b.app.RunsDir(b.session.AccountSID, b.session.WorkspaceSID)
	return workers.Folder{Path: dir, Now: b.app.Now}, err
}

// run plans under the workspace's lock, shows the plan, asks, and applies.
func (b *bulk) run(ctx context.Context, header workers.Header, makePlan func(*workers.Lock) (*workers.Plan, error)) error {
	folder, err := b.folder()
	if err != nil {
		return err
	}
	header.Account, header.Workspace = b.session.AccountSID, b.session.WorkspaceSID
	var lock *workers.Lock
	if !b.dryRun {
		if lock, err = folder.Lock(header.Command); err != nil {
			return err
		}
		defer lock.Release()
	}
	plan, err := makePlan(lock)
	if err != nil {
		return err
	}
	defer plan.Close()

	view := newBulkView(b.app, header, b.session.retries)
	if err := view.plan(plan, b.dryRun); err != nil {
		return err
	}
	if len(plan.Change) == 0 || b.dryRun {
		return b.unapplied(plan)
	}
	if !b.yes {
		if yes, err := b.confirm(ctx, header, plan); err != nil || !yes {
			return b.declined(err)
		}
	}
	run, err := lock.Begin(header, plan)
	if err != nil {
		return err
	}
	return b.apply(ctx, folder, run, view)
}

// unapplied is the end of a command that had nothing to do, or was told not to.
func (b *bulk) unapplied(plan *workers.Plan) error {
	strict := !b.dryRun || b.exitCode
	switch {
	case b.exitCode && len(plan.Change) > 0:
		return silent(problem.ChangesPending)
	case strict && len(plan.Blocked) > 0:
		return silent(problem.PartlyDone)
	}
	return nil
}

func (b *bulk) confirm(ctx context.Context, header workers.Header, plan *workers.Plan) (bool, error) {
	if b.app.JSON() {
		return false, problem.New(problem.ConfirmationNeeded, "cannot ask for confirmation with -o json").
			WithHint("review with --dry-run, then repeat with --yes")
	}
	return b.app.UI.Confirm(ctx, question(header, len(plan.Change)))
}

func (b *bulk) declined(err error) error {
	if err != nil {
		return err
	}
	b.app.UI.Printf("Nothing was changed.\n")
	return silent(problem.Declined)
}

// apply carries a run out. The first ^C lets the writes in flight finish.
func (b *bulk) apply(ctx context.Context, folder workers.Folder, run *workers.Run, view bulkView) error {
	stop := make(chan struct{})
	view.begin(run)
	restore := b.app.OnInterrupt(func() {
		view.stopping()
		close(stop)
	})
	defer restore()
	tally, err := run.Apply(ctx, b.session.Workers, folder, workers.ApplyOptions{
		Concurrency: b.concurrency,
		Stop:        stop,
		Done:        view.done,
	})
	return view.end(run, tally, err)
}
