package workers

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/flexvc/flexvc/internal/durable"
	"github.com/flexvc/flexvc/internal/problem"
)

// Begin writes the plan's journal: after it, the run can be resumed whatever
// happens. Command, selection, account and workspace come from h.
func (l *Lock) Begin(h Header, p *Plan) (*Run, error) {
	h.V, h.Edit, h.Of, h.Same, h.Listed = journalVersion, p.edit, p.of, p.Same, p.listed
	h.Started = l.Now().UTC()
	n := idNumber(h.Started)
	for ; ; n++ {
		_, err := os.Lstat(l.journalPath(formatID(n)))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, unwritable(l.Path, err)
		}
	}
	h.ID = formatID(n)
	run := newRun(l.journalPath(h.ID))
	run.Header, run.Blocked, run.spool = h, p.Blocked, p.spool
	records := []record{{Kind: kindRun, Run: &h}}
	for _, b := range p.Blocked {
		records = append(records, record{Kind: kindBlocked, SID: b.SID, Name: b.Name, Code: b.Code, Reason: b.Reason})
	}
	for _, w := range p.Change {
		records = append(records, record{Kind: kindPlan, SID: w.SID, Name: w.Name})
		run.add(&item{sid: w.SID, name: w.Name, etag: w.etag, text: w.text})
	}
	if err := l.publish(run, records); err != nil {
		return nil, err
	}
	if err := run.open(l.Folder); err != nil {
		return nil, err
	}
	l.say(h.ID)
	return run, nil
}

// publish makes the run and its plan appear at once: a crash leaves either a
// whole journal or none.
func (l *Lock) publish(run *Run, records []record) error {
	l.sweep()
	tmp := run.path + tmpSuffix
	file, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return unwritable(tmp, err)
	}
	j := newJournal(tmp, l.sink(file), 0)
	for _, r := range records {
		if _, err := j.note(r); err != nil {
			break // close tells
		}
	}
	run.size = j.size
	if err := j.close(); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	if err := durable.Rename(tmp, run.path); err != nil {
		return unwritable(run.path, err)
	}
	return nil
}

const tmpSuffix = ".tmp"

// sweep removes what a crash left behind. The lock is held, so nobody uses it.
func (l *Lock) sweep() {
	left := l.files(func(name string) bool {
		return strings.HasSuffix(name, journalSuffix+tmpSuffix) || strings.HasPrefix(name, spoolPrefix)
	})
	for _, name := range left {
		_ = os.Remove(filepath.Join(l.Path, name))
	}
}

// Reopen continues a run that was stopped, or that had failures if retryFailed
// is set.
func (l *Lock) Reopen(id string, retryFailed bool) (*Run, error) {
	run, err := l.Load(id)
	if err != nil {
		return nil, err
	}
	if by, err := l.rolledBackBy(run.ID); err != nil || by != "" {
		run.Close()
		if err != nil {
			return nil, err
		}
		return nil, problem.New(problem.RunNotResumable, "cannot resume run %s: run %s rolled it back", run.ID, by).
			WithHint("start a new run: flexvc %s", run.Command)
	}
	if retryFailed {
		for _, it := range run.items {
			if it.status == Failed {
				it.status = ""
			}
		}
	}
	if run.Ended && run.Tally().Left == 0 {
		failed := run.Tally().Failed
		run.Close()
		p := problem.New(problem.RunNotResumable, "run %s has nothing left to do", run.ID)
		if failed > 0 {
			return nil, p.WithHint("retry its failed workers: flexvc runs resume %s --retry-failed", run.ID)
		}
		return nil, p.WithHint("see how it ended: flexvc runs show %s", run.ID)
	}
	if err := run.open(l.Folder); err != nil {
		run.Close()
		return nil, err
	}
	now := l.Now().UTC()
	if _, err := run.journal.note(record{Kind: kindResume, At: &now}); err != nil {
		run.Close()
		return nil, err
	}
	run.Ended = false
	l.say(run.ID)
	return run, nil
}

// rolledBackBy returns the latest run that rolled id back.
func (f Folder) rolledBackBy(id string) (string, error) {
	by := ""
	for run, err := range f.Runs() {
		if err == nil && run.Of == id {
			return run.ID, nil
		}
	}
	return by, nil
}

// open prepares the journal for appending: a torn last line is cut off.
func (r *Run) open(f Folder) error {
	// Not O_APPEND: Windows cannot cut a file that is open for appending only. The
	// lock keeps every other writer out.
	file, err := os.OpenFile(r.path, os.O_RDWR, 0o600)
	if err != nil {
		return unwritable(r.path, err)
	}
	err = file.Truncate(r.size)
	if err == nil {
		_, err = file.Seek(r.size, io.SeekStart)
	}
	if err != nil {
		_ = file.Close()
		return unwritable(r.path, err)
	}
	r.journal = newJournal(r.path, f.sink(file), r.size)
	return nil
}

func (f Folder) sink(file *os.File) sink {
	if f.wrap != nil {
		return f.wrap(file)
	}
	return file
}
