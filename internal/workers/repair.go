package workers

import (
	"context"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
)

// Proposal is the change of one worker that waits for somebody's yes. It has
// the workspace's lock until it is closed.
type Proposal struct {
	Worker  Planned
	Changes []attributes.Change // none: nothing is left to do

	api    API
	folder Folder
	header Header
	lock   *Lock
	plan   *Plan
}

// Propose plans edit for one worker. Account, workspace, command and selection
// come from h. A worker that must be left alone is the error.
func (f Folder) Propose(ctx context.Context, api API, h Header, sid string, edit attributes.Edit) (*Proposal, error) {
	lock, err := f.Lock(h.Command)
	if err != nil {
		return nil, err
	}
	plan, err := PlanEdit(ctx, api, Selection{Names: []string{sid}}, edit, 1, lock)
	if err != nil {
		_ = lock.Release()
		return nil, err
	}
	p := &Proposal{api: api, folder: f, header: h, lock: lock, plan: plan}
	if len(plan.Blocked) > 0 {
		p.Close()
		return nil, problem.New(plan.Blocked[0].Code, "cannot change worker %s: %s", plan.Blocked[0].Name, plan.Blocked[0].Reason)
	}
	if len(plan.Change) > 0 {
		p.Worker, p.Changes = plan.Change[0], plan.Change[0].Changes
	}
	return p, nil
}

// Apply makes the change as a run of its own, so that it can be rolled back,
// and returns the run's name. The proposal is closed.
func (p *Proposal) Apply(ctx context.Context) (string, error) {
	defer p.Close()
	run, err := p.lock.Begin(p.header, p.plan)
	if err != nil {
		return "", err
	}
	var outcome Outcome
	tally, err := run.Apply(ctx, p.api, p.folder, ApplyOptions{Concurrency: 1, Done: func(o Outcome) { outcome = o }})
	if err == nil && tally.Failed > 0 {
		err = problem.New(outcome.Code, "cannot change worker %s: %s", outcome.Name, outcome.Reason)
	}
	return run.ID, err
}

// Close gives the lock back. It may be called again.
func (p *Proposal) Close() {
	if p.lock != nil {
		p.plan.Close()
		_ = p.lock.Release()
		p.lock = nil
	}
}
