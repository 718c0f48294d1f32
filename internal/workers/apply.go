package workers

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

const (
	// DefaultConcurrency is how many workers are in hand at a time. The pace is
	// not set by it but by the WorkerAPI, which keeps under Twilio's limit; it is
	// so high because each waits for the journal, and a disk may take a second.
	DefaultConcurrency = 96
	// outageAfter failures in a row that look like Twilio being away end a run.
	outageAfter = 64

	maxAttempts = 10 // writes of one worker that changes under our hands
	maxRounds   = 5  // times that overwritten workers are set again

	workerGone = "the worker no longer exists (404, code 20404)"
)

// ApplyOptions says how a run is carried out.
type ApplyOptions struct {
	Concurrency int             // DefaultConcurrency if zero
	Stop        <-chan struct{} // closed: finish what is in flight and return
	// Done is called when a worker is finished, never twice at a time. One that
	// something else overwrote may be finished again, with another status.
	Done func(Outcome)
}

// Apply carries the run out, looks at each changed worker again, and closes the
// journal. A worker that fails is in the tally; the error says why the run did
// not come to its end: Interrupted, Timeout, StateUnwritable, or what Twilio
// answered when going on made no sense. Such a run can be resumed.
func (r *Run) Apply(ctx context.Context, api API, f Folder, o ApplyOptions) (Tally, error) {
	if o.Concurrency <= 0 {
		o.Concurrency = DefaultConcurrency
	}
	a := &applying{run: r, api: api, ApplyOptions: o, halted: make(chan struct{})}
	op, done, err := r.operation(f)
	if err != nil {
		return r.Tally(), errors.Join(err, r.Close())
	}
	defer done()
	a.op = op
	var todo []*item
	for _, it := range r.items {
		if it.status == "" {
			todo = append(todo, it)
		}
	}
	a.pass(ctx, todo)
	a.verify(ctx)
	err = a.reason(ctx)
	if err == nil {
		now, tally := f.Now().UTC(), r.Tally()
		if _, e := r.journal.note(record{Kind: kindEnd, At: &now, Tally: &tally}); e == nil {
			r.Ended = true
		}
	}
	if e := r.Close(); e != nil && err == nil {
		err = r.resumable(e)
	}
	return r.Tally(), err
}

// applying is a run that is being carried out.
type applying struct {
	run *Run
	api API
	op  operation
	ApplyOptions

	mu     sync.Mutex
	fatal  error
	outage int           // failures in a row that look like Twilio being away
	halted chan struct{} // closed when fatal is set
}

// pass works through items. It returns when all are finished, or what is in
// flight is and the run was stopped.
func (a *applying) pass(ctx context.Context, items []*item) {
	queue := make(chan *item)
	var workers sync.WaitGroup
	for range min(a.Concurrency, len(items)) {
		workers.Go(func() {
			for it := range queue {
				a.finish(it, a.change(ctx, it))
			}
		})
	}
	for _, it := range items {
		if a.stopped(ctx) {
			break
		}
		select {
		case queue <- it:
		case <-a.Stop:
		case <-a.halted:
		case <-ctx.Done():
		}
	}
	close(queue)
	workers.Wait()
}

func (a *applying) stopped(ctx context.Context) bool {
	select {
	case <-a.Stop:
	case <-a.halted:
	case <-ctx.Done():
	default:
		return false
	}
	return true
}

// reason says why the run stopped before its end, if it did.
func (a *applying) reason(ctx context.Context) error {
	a.mu.Lock()
	fatal := a.fatal
	a.mu.Unlock()
	t := a.run.Tally()
	done := t.Planned - t.Left
	switch {
	case ctx.Err() == context.DeadlineExceeded:
		return a.run.resumable(problem.New(problem.Timeout, "stopped after %d of %d: the --timeout limit was reached", done, t.Planned))
	case ctx.Err() != nil:
		return a.run.resumable(problem.New(problem.Interrupted, "stopped at once after %d of %d; resume checks the writes that were in flight", done, t.Planned))
	case fatal != nil:
		return a.run.resumable(fatal)
	case a.stopped(ctx):
		return a.run.resumable(problem.New(problem.Interrupted, "stopped after %d of %d; no write is half-done", done, t.Planned))
	}
	return nil
}

// resumable adds to an error how to go on.
func (r *Run) resumable(err error) error {
	again := ""
	if r.Tally().Failed > 0 {
		again = " --retry-failed"
	}
	p := &problem.Problem{Code: problem.Internal, Summary: err.Error(), Err: err}
	if known := problem.As(err); known != nil {
		*p = *known
	}
	return p.WithHint("continue: flexvc runs resume %s%s     undo: flexvc runs rollback %s", r.ID, again, r.ID)
}

func (a *applying) halt(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fatal == nil {
		a.fatal = err
		close(a.halted)
	}
}

// finish records how a worker ended. Without a status it has not: a resumed run
// finds out.
func (a *applying) finish(it *item, result record) {
	if result.Status == "" {
		return
	}
	result.Kind, result.SID = kindResult, it.sid
	result.Attempts += it.attempts
	result.Reset = result.Status == Changed && it.lost
	write := a.run.journal.note
	if result.Held != nil {
		// A rollback could not tell these bytes from another's without it.
		write = a.run.journal.commit
	}
	at, err := write(result)
	if err != nil {
		a.halt(err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	it.finished(result, at)
	if result.Status != Failed {
		a.outage = 0
	}
	if a.Done != nil {
		a.Done(it.outcome())
	}
}

// change brings one worker to what the operation wants.
func (a *applying) change(ctx context.Context, it *item) (result record) {
	fail := func(err error) record {
		r := a.failed(ctx, it.sid, err)
		r.Attempts = result.Attempts
		return r
	}
	asked := false
	for result.Attempts < maxAttempts {
		w, err := a.fetch(ctx, it)
		if err != nil {
			return fail(err)
		}
		var before string
		if w.Attributes != nil {
			before = *w.Attributes
		}
		next, changes, err := a.op.next(it.sid, before)
		if err != nil {
			return fail(err)
		}
		if err := it.editedMeanwhile(changes); err != nil {
			return fail(err)
		}
		if len(changes) == 0 {
			result.Status, result.Updated = Same, &w.DateUpdated
			if it.uncertain || it.effective.size > 0 {
				// An earlier write arrived although its answer did not.
				result.Status = Changed
			}
			return result
		}
		if w.ETag == "" {
			return fail(problem.New(problem.TwilioAnswer, "Twilio's response has no ETag, so a write could overwrite someone else's change"))
		}
		at, err := a.run.journal.commit(record{Kind: kindIntent, SID: it.sid, Before: &before, After: &next})
		if err != nil {
			a.halt(err)
			return record{}
		}
		a.mu.Lock()
		it.intended(at)
		a.mu.Unlock()
		result.Attempts++
		got, err := a.api.SetAttributes(ctx, it.sid, next, w.ETag)
		if problem.Is(err, problem.PreconditionFailed) {
			continue
		}
		if problem.Is(err, problem.TwilioAnswer) && !asked {
			// The answer is unreadable, but the worker tells whether the write arrived.
			asked = true
			continue
		}
		if err != nil {
			return fail(err)
		}
		result.Status, result.Updated = Changed, &got.DateUpdated
		if got.Attributes != nil && *got.Attributes != next {
			result.Held = got.Attributes
		}
		return result
	}
	return fail(problem.New(problem.PreconditionFailed, "the worker changed during each of %d attempts", maxAttempts))
}

// editedMeanwhile returns the problem of a value that somebody has set explicitly
// since the plan: it is neither what was there nor what the run sets, so it is no
// old copy that a browser wrote back.
func (it *item) editedMeanwhile(changes []attributes.Change) error {
	for _, now := range changes {
		for _, then := range it.planned {
			if now.Key == then.Key && now.From != "" && !attributes.ReadsAs(now.From, then.From) {
				return problem.New(problem.EditedSince, "%s was set to %s since the plan", now.Key, now.From)
			}
		}
	}
	return nil
}

// fetch returns the worker, once from the plan if the plan had to fetch it.
func (a *applying) fetch(ctx context.Context, it *item) (twilio.Worker, error) {
	if it.text.size == 0 {
		return a.api.Worker(ctx, it.sid)
	}
	text, err := a.run.spool.get(it.text)
	it.text = place{}
	if err != nil {
		return a.api.Worker(ctx, it.sid)
	}
	return twilio.Worker{SID: it.sid, Attributes: &text, ETag: it.etag}, nil
}

// failed turns an error into a worker's result, or into the end of the run.
func (a *applying) failed(ctx context.Context, sid string, err error) record {
	p := problem.As(err)
	if ctx.Err() != nil || p == nil {
		if ctx.Err() == nil {
			a.halt(err)
		}
		return record{}
	}
	switch p.Code {
	case problem.EditedSince:
		return record{Status: Skipped, Code: p.Code, Reason: p.Summary, Remedy: a.op.remedy(sid, p.Code)}
	case problem.NotFound:
		return record{Status: Failed, Code: p.Code, Reason: workerGone}
	case problem.CredentialsRefused, problem.PermissionDenied, problem.WrongTarget,
		problem.StateUnreadable, problem.StateUnwritable, problem.JournalDamaged, problem.Interrupted:
		a.halt(err)
		return record{}
	case problem.NetworkUnreachable, problem.TwilioUnavailable, problem.RateLimited, problem.Timeout:
		a.mu.Lock()
		a.outage++
		away := a.outage >= min(2*a.Concurrency, outageAfter)
		a.mu.Unlock()
		if away {
			a.halt(err)
			return record{}
		}
	}
	return record{Status: Failed, Code: p.Code, Reason: p.Summary}
}

// verify looks at the changed workers again and sets those again that lost the
// change: a browser that has not heard of it yet writes back its old copy, and
// no If-Match holds it off.
func (a *applying) verify(ctx context.Context) {
	var changed []*item
	for _, it := range a.run.items {
		if it.status == Changed && !it.settled {
			changed = append(changed, it)
		}
	}
	for round := 0; len(changed) > 0 && !a.stopped(ctx); round++ {
		lost, err := a.lost(ctx, changed)
		if err != nil {
			if ctx.Err() == nil {
				a.halt(err)
			}
			return
		}
		if round == maxRounds {
			for _, it := range lost {
				a.finish(it, record{Status: Failed, Code: problem.PreconditionFailed, Reason: "another program keeps overwriting it"})
			}
			return
		}
		for _, it := range lost {
			it.lost = true
		}
		a.pass(ctx, lost)
		changed = slices.DeleteFunc(lost, func(it *item) bool { return it.status != Changed })
	}
}

// lost returns those of items that no longer hold the change.
func (a *applying) lost(ctx context.Context, items []*item) ([]*item, error) {
	bySID := make(map[string]*item, len(items))
	var sids []string
	for _, it := range items {
		bySID[it.sid] = it
		sids = append(sids, it.sid)
	}
	var lost []*item
	looked := map[string]bool{}
	look := func(w twilio.Worker) error {
		if w.Attributes == nil || looked[w.SID] {
			return nil
		}
		looked[w.SID] = true
		_, changes, err := a.op.next(w.SID, *w.Attributes)
		if problem.Is(err, problem.AttributesTooLong) || (err == nil && len(changes) > 0) {
			lost = append(lost, bySID[w.SID])
		}
		if p := problem.As(err); err != nil && (p == nil || !refuses(p.Code)) {
			return err
		}
		return nil
	}
	pages := fewSIDs
	if n := a.run.Listed; n > 0 {
		pages = (n + twilio.PageSize - 1) / twilio.PageSize
	}
	if len(items) <= pages {
		_, err := fetchAll(ctx, a.api, sids, a.Concurrency, look)
		return lost, err
	}
	var unknown []string
	for w, err := range a.api.Workers(ctx, "") {
		if err != nil {
			return nil, err
		}
		it := bySID[w.SID]
		switch {
		case it == nil:
		case w.Attributes != nil:
			if err := look(w); err != nil {
				return nil, err
			}
		case it.updated.IsZero() || w.DateUpdated.IsZero() || w.DateUpdated.After(it.updated):
			unknown = append(unknown, w.SID)
		}
		if a.stopped(ctx) {
			return nil, context.Cause(ctx)
		}
	}
	_, err := fetchAll(ctx, a.api, unknown, a.Concurrency, look)
	return lost, err
}
