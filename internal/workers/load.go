package workers

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/flexvc/flexvc/internal/problem"
)

// Load reads a run's journal. What is damaged is in the run's Damage, and all
// else is there; JournalDamaged means that nothing could be read. The caller closes
// the run.
func (f Folder) Load(id string) (*Run, error) {
	id, err := ParseRunID(id)
	if err != nil {
		return nil, err
	}
	path := f.journalPath(id)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problem.New(problem.RunNotFound, "run %s does not exist in this workspace", id).
			WithHint("list runs: flexvc runs list")
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	r := newRun(path)
	r.reader = file
	if r.size, err = scan(path, file, r.replay, r.salvage); err == nil && r.V == 0 {
		err = r.withoutHeader(id)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Has reports whether a run of that name is in the folder.
func (f Folder) Has(id string) bool {
	_, err := os.Lstat(f.journalPath(id))
	return err == nil
}

var errOutOfPlace = errors.New("a record is out of place")

// replay applies one record.
func (r *Run) replay(rec record, at place) error {
	if rec.Kind == kindRun && (r.V > 0 || len(r.items)+len(r.Blocked) > 0) {
		return errOutOfPlace
	}
	it := r.bySID[rec.SID]
	if it == nil && (rec.Kind == kindIntent || rec.Kind == kindResult) {
		if rec.SID == "" || len(r.Damage) == 0 && r.V > 0 {
			return errOutOfPlace
		}
		it = &item{sid: rec.SID, damaged: true} // its plan is lost
	}
	if rec.Kind == kindIntent && (rec.Before == nil || rec.After == nil) {
		return errOutOfPlace
	}
	r.Ended, r.Untold = rec.Kind == kindEnd, rec.Untold
	switch rec.Kind {
	case kindRun:
		if rec.Run == nil || rec.Run.V < 1 {
			return errOutOfPlace
		}
		if rec.Run.V > journalVersion {
			return problem.New(problem.StateUnreadable, "cannot read %s: it was written by a newer flexvc", r.path).
				WithHint("upgrade flexvc")
		}
		r.Header = *rec.Run
	case kindPlan:
		if r.bySID[rec.SID] == nil {
			r.add(&item{sid: rec.SID, name: rec.Name, planned: rec.Changes})
		}
	case kindBlocked:
		r.Blocked = append(r.Blocked, Blocked{rec.SID, rec.Name, rec.Code, rec.Reason, rec.Remedy})
	case kindIntent:
		if it.planned == nil && r.Edit != nil {
			_, it.planned, _ = r.Edit.Apply(*rec.Before) // older journals have no changes in their plan
		}
		r.add(it)
		it.intended(at)
	case kindResult:
		r.add(it)
		it.finished(rec, at)
	case kindResume, kindEnd:
	default:
		return errOutOfPlace
	}
	return nil
}

// salvage notes a damaged line. If it is about a worker of the run, that one counts
// as unfinished, so that a resumed run looks at it; no worker comes into the run on
// the word of a damaged line.
func (r *Run) salvage(d Damage) {
	if it := r.bySID[d.SID]; it != nil {
		it.damaged, d.Name = true, it.name
		if kind(d.Record) == kindIntent {
			it.uncertain, it.status = true, ""
		}
	}
	r.Damage = append(r.Damage, d)
}

// withoutHeader makes do with a journal that does not say what its run was: it can
// be rolled back, not resumed.
func (r *Run) withoutHeader(id string) error {
	if len(r.items)+len(r.Blocked) == 0 {
		return problem.New(problem.JournalDamaged, "cannot read %s: line 1 is damaged", r.path).
			WithHint("restore the file from a backup")
	}
	if len(r.Damage) == 0 || r.Damage[0].Line > 1 {
		r.Damage = append([]Damage{{Line: 1, Record: string(kindRun)}}, r.Damage...)
	}
	workspace := filepath.Dir(r.path)
	r.Header = Header{ID: id, Account: filepath.Base(filepath.Dir(workspace)), Workspace: filepath.Base(workspace)}
	return nil
}

// intended notes an intent: the worker is unfinished until its result.
func (it *item) intended(at place) {
	it.last, it.uncertain, it.status = at, true, ""
}

func (it *item) finished(rec record, at place) {
	it.status, it.code, it.reason, it.remedy, it.attempts = rec.Status, rec.Code, rec.Reason, rec.Remedy, rec.Attempts
	if rec.Status != Changed {
		return
	}
	it.reset = it.reset || rec.Reset
	if it.uncertain {
		it.effective, it.uncertain, it.held = it.last, false, place{}
		if rec.Held != nil {
			it.held = at
		}
	}
	if rec.Updated != nil {
		it.updated = latest(it.updated, *rec.Updated)
	}
}

// pair is what a worker had before an intent and what it held after it.
type pair struct{ before, ours string }

// written returns what the run wrote to a worker, the latest first. An intent
// of which it is not known whether it was carried out is among them.
func (r *Run) written(sid string) ([]pair, error) {
	it := r.bySID[sid]
	if it == nil {
		return nil, nil
	}
	var pairs []pair
	for _, at := range []place{it.last, it.effective} {
		if at.size == 0 || (at == it.effective && len(pairs) > 0 && it.last == it.effective) {
			continue
		}
		intent, err := r.read(at)
		if err != nil {
			return nil, err
		}
		p := pair{*intent.Before, *intent.After}
		if at == it.effective && it.held.size > 0 {
			result, err := r.read(it.held)
			if err != nil {
				return nil, err
			}
			p.ours = *result.Held
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

func (r *Run) read(at place) (record, error) {
	var from io.ReaderAt = r.reader
	if r.journal != nil {
		from = r.journal.file
	}
	return readAt(from, r.path, at)
}
