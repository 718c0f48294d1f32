// Package bulk shows a bulk change of workers as people and programs see it:
// plan, confirmation, progress, result. What a run does to a worker belongs
// to internal/workers.
package bulk

import (
	"context"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/workers"
)

// bulk is a plan that is shown, confirmed and carried out.
type Job struct {
	App         *cli.App
	Session     *cli.Session
	Concurrency int

	DryRun, ExitCode, Yes bool

	Enables bool // look first at what agents who are enabled would miss
	Force   bool // enable them without the plugin
}

func (b *Job) Folder() (workers.Folder, error) {
	dir, err := b.App.RunsDir(b.Session.AccountSID, b.Session.WorkspaceSID)
	return workers.Folder{Path: dir, Now: b.App.Now}, err
}

// Run plans under the workspace's lock, shows the plan, asks, and applies.
func (b *Job) Run(ctx context.Context, header workers.Header, makePlan func(*workers.Lock) (*workers.Plan, error)) error {
	folder, err := b.Folder()
	if err != nil {
		return err
	}
	header.Account, header.Workspace, header.Forced = b.Session.AccountSID, b.Session.WorkspaceSID, b.Force
	var lock *workers.Lock
	if !b.DryRun {
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

	view := NewView(b.App, header, b.Session.Retries)
	var situation Situation
	if len(plan.Change) > 0 {
		if situation, err = b.look(ctx, plan, view); err != nil {
			return err
		}
	}
	if err := view.plan(plan, b.DryRun); err != nil {
		return err
	}
	if len(plan.Change) == 0 || b.DryRun {
		return b.unapplied(plan)
	}
	if !b.Yes {
		if yes, err := b.confirm(ctx, question(b.App.UI, header, len(plan.Change), situation), len(plan.Change), situation); err != nil || !yes {
			return b.declined(err)
		}
	}
	run, err := lock.Begin(header, plan)
	if err != nil {
		return err
	}
	return b.Apply(ctx, lock, run, view)
}

// look finds out where the plan would be carried out and tells what is missing there.
// Whatever enables workers is refused without the plugin, be it the command, the run that
// is resumed or a rollback of one that disabled them.
func (b *Job) look(ctx context.Context, plan *workers.Plan, view View) (Situation, error) {
	b.Enables = b.Enables || plan.Enables > 0
	situation, err := b.situation(ctx)
	if err != nil {
		return situation, err
	}
	refusal := situation.refusal(b.Force)
	if b.DryRun {
		refusal = nil
	}
	view.situation(situation, refusal != nil)
	return situation, refusal
}

// unapplied is the end of a command that had nothing to do, or was told not to.
func (b *Job) unapplied(plan *workers.Plan) error {
	strict := !b.DryRun || b.ExitCode
	switch {
	case b.ExitCode && len(plan.Change) > 0:
		return cli.Silent(problem.ChangesPending)
	case strict && len(plan.Blocked) > 0:
		return cli.Silent(problem.PartlyDone)
	}
	return nil
}

func (b *Job) declined(err error) error {
	if err != nil {
		return err
	}
	b.App.UI.Printf("Nothing was changed.\n")
	return cli.Silent(problem.Declined)
}

// Apply carries a run out. The first ^C lets the writes in flight finish.
func (b *Job) Apply(ctx context.Context, lock *workers.Lock, run *workers.Run, view View) error {
	stop := make(chan struct{})
	view.begin(run)
	restore := b.App.OnInterrupt(func() {
		view.stopping()
		close(stop)
	})
	defer restore()
	tally, err := run.Apply(ctx, b.Session.Workers, lock.Folder, workers.ApplyOptions{
		Concurrency: b.Concurrency,
		Stop:        stop,
		Done:        view.done,
	})
	err = view.end(run, tally, err)
	if lost := b.App.UI.Lost(); lost != nil {
		// The exit code tells it too; that the journal cannot be written is no news then.
		_ = lock.Untold(run.ID, problem.Reason(lost).Error())
	}
	return err
}
