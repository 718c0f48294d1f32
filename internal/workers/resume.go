package workers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"slices"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// Resumable loads a run that was stopped, or that had failures if retryFailed is
// set. Those count as left then. The caller closes the run.
func (f Folder) Resumable(id string, retryFailed bool) (*Run, error) {
	run, err := f.Load(id)
	if err != nil {
		return nil, err
	}
	if err := f.resumable(run, retryFailed); err != nil {
		run.Close()
		return nil, err
	}
	return run, nil
}

func (f Folder) resumable(run *Run, retryFailed bool) error {
	if run.V == 0 {
		return problem.New(problem.JournalDamaged, "cannot resume run %s: the beginning of its journal is damaged", run.ID).
			WithHint("undo what it did: flexvc runs rollback %s", run.ID)
	}
	if by := f.rolledBackBy(run.ID); by != "" {
		return problem.New(problem.RunNotResumable, "cannot resume run %s: run %s rolled it back", run.ID, by).
			WithHint("start a new run: flexvc %s", run.Command)
	}
	for _, it := range run.items {
		it.settled = run.Ended && it.status == Changed
		if retryFailed && it.status == Failed {
			it.status = ""
		}
	}
	if t := run.Tally(); run.Ended && t.Left == 0 {
		p := problem.New(problem.RunNotResumable, "run %s has nothing left to do", run.ID)
		if t.Failed > 0 {
			return p.WithHint("retry its failed workers: flexvc runs resume %s --retry-failed", run.ID)
		}
		return p.WithHint("see how it ended: flexvc runs show %s", run.ID)
	}
	return nil
}

// rolledBackBy returns the latest run that rolled id back, or "".
func (f Folder) rolledBackBy(id string) string {
	for run, err := range f.Runs() {
		if err == nil && run.Of == id {
			return run.ID
		}
	}
	return ""
}

// PlanResume finds out what is left of a run, as the workers are now: those it has
// not come to, and those it changed that were undone before it could look again.
// lock is nil when the plan is only to be looked at.
func PlanResume(ctx context.Context, api API, f Folder, run *Run, concurrency int, lock *Lock) (*Plan, error) {
	op, done, err := run.operation(f)
	if err != nil {
		return nil, err
	}
	defer done()
	p := &Plan{edit: run.Edit, of: run.Of, prefix: run.Prefix, spool: newSpool(lock)}
	var sids []string
	for _, it := range run.items {
		if it.status == "" || it.status == Changed && !it.settled {
			sids = append(sids, it.sid)
		}
	}
	if len(sids) == 0 {
		return p, nil
	}
	found, err := find(ctx, api, Selection{Names: sids}, concurrency, func(w twilio.Worker) error {
		it, before := run.bySID[w.SID], len(p.Change)
		if err := p.add(w, resuming{op, it}); err != nil {
			return err
		}
		if it.status == Changed && len(p.Change) > before {
			p.Again++
		}
		return nil
	})
	if err != nil {
		p.Close()
		return nil, err
	}
	for _, sid := range found.missing {
		p.Total++
		p.Blocked = append(p.Blocked, Blocked{SID: sid, Name: run.bySID[sid].name, Code: problem.NotFound, Reason: workerGone})
	}
	return p, nil
}

// resuming is an operation on a worker of which the run knows what was planned.
type resuming struct {
	operation
	it *item
}

func (r resuming) next(sid, text string) (string, []attributes.Change, error) {
	after, changes, err := r.operation.next(sid, text)
	if err == nil {
		err = r.it.editedMeanwhile(changes)
	}
	return after, changes, err
}

// Reopen continues a run as planned.
func (l *Lock) Reopen(run *Run, p *Plan) error {
	if err := run.open(l.Folder); err != nil {
		return err
	}
	now := l.Now().UTC()
	if _, err := run.journal.note(record{Kind: kindResume, At: &now}); err != nil {
		return err
	}
	for _, w := range p.Change {
		it := run.bySID[w.SID]
		it.etag, it.text = w.etag, w.text
		if it.status == Changed {
			it.status, it.lost = "", true
		}
	}
	run.spool, run.Ended = p.spool, false
	l.say(run.ID)
	return nil
}

// Untold writes down why not all of a run that has ended could be told to whoever
// started it. It ends the journal once more, which any flexvc can read.
func (l *Lock) Untold(id, why string) error {
	run, err := l.Load(id)
	if err != nil {
		return err
	}
	if !run.Ended {
		return run.Close() // whoever resumes it is told
	}
	if err := run.open(l.Folder); err != nil {
		return errors.Join(err, run.Close())
	}
	now, tally := l.Now().UTC(), run.Tally()
	_, err = run.journal.note(record{Kind: kindEnd, At: &now, Tally: &tally, Untold: why})
	return errors.Join(err, run.Close())
}

// operation is what the run does, and what ends the use of it.
func (r *Run) operation(f Folder) (operation, func(), error) {
	if r.Edit != nil {
		edit := *r.Edit
		if edit.At > 0 {
			edit.At = f.Now().Unix() // not when the run began: that may be days ago
		}
		return editing{edit}, func() {}, nil
	}
	source, err := f.Load(r.Of)
	if err != nil {
		return nil, nil, err
	}
	return restoring{source, r.Prefix}, func() { _ = source.Close() }, nil
}

// Since returns the runs that began after the one of that name, the latest first.
// One that cannot be read has its name alone.
func (f Folder) Since(id string) (newer []Summary) {
	for s := range f.Runs() {
		if s.ID <= id {
			break
		}
		newer = append(newer, s)
	}
	return newer
}

// SupersededBy returns the latest run after which there is no more point in resuming
// the one of that name, since it would only undo it: one of the same selection, or of
// all workers, one that rolled it back, or one that was to change a worker which it
// has left or failed at. It is "" when there is none.
func (f Folder) SupersededBy(id string) string {
	ids := f.ids()
	at := slices.Index(ids, id)
	if at <= 0 {
		return ""
	}
	run, err := f.Load(id)
	if err != nil {
		return ""
	}
	defer run.Close()
	left := map[string]bool{}
	for _, it := range run.items {
		if it.status == "" || it.status == Failed {
			left[it.sid] = true
		}
	}
	for _, newer := range ids[:at] {
		if f.supersedes(newer, run, left) {
			return newer
		}
	}
	return ""
}

// supersedes reads no further than the newer run's plan.
func (f Folder) supersedes(newer string, run *Run, left map[string]bool) bool {
	file, err := os.Open(f.journalPath(newer))
	if err != nil {
		return false
	}
	defer file.Close()
	lines := bufio.NewReaderSize(file, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil || bytes.HasPrefix(line, []byte(`{"t":"intent"`)) {
			return false
		}
		rec, err := decode(line)
		if err != nil {
			continue
		}
		if h := rec.Run; h != nil && (h.Of == run.ID || h.Edit != nil && (h.Selection == "--all" || h.Selection == run.Selection)) {
			return true
		}
		if rec.Kind == kindPlan && left[rec.SID] {
			return true
		}
	}
}
