package workers

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/flexvc/flexvc/internal/durable"
)

// Begin writes the plan's journal: after it, the run can be resumed whatever
// happens. Command, selection, account and workspace come from h.
func (l *Lock) Begin(h Header, p *Plan) (*Run, error) {
	h.V, h.Edit, h.Of, h.Prefix, h.Same, h.Listed = journalVersion, p.edit, p.of, p.prefix, p.Same, p.listed
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
		records = append(records, record{Kind: kindBlocked, SID: b.SID, Name: b.Name, Code: b.Code, Reason: b.Reason, Remedy: b.Remedy})
	}
	for _, w := range p.Change {
		it := &item{sid: w.SID, name: w.Name, etag: w.etag, text: w.text}
		if p.edit != nil {
			it.planned = w.Changes
		}
		records = append(records, record{Kind: kindPlan, SID: w.SID, Name: w.Name, Changes: it.planned})
		run.add(it)
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
