package workers

import (
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/durable"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// Header says what a run is.
type Header struct {
	V         int              `json:"v"`
	ID        string           `json:"id"`
	Command   string           `json:"command"` // as typed: "workers enable", "runs rollback"
	Selection string           `json:"selection,omitempty"`
	Account   string           `json:"account"`
	Workspace string           `json:"workspace"`
	Started   time.Time        `json:"started"`
	Edit      *attributes.Edit `json:"edit,omitempty"`
	Of        string           `json:"of,omitempty"` // the run that this one rolls back
	Same      int              `json:"same"`
	Listed    int              `json:"listed,omitempty"` // workers in the workspace, if all were listed
}

// Verb is what the run does to a worker, as a participle: enabled, disabled,
// repaired or restored.
func (h Header) Verb() string {
	switch {
	case h.Edit == nil:
		return "restored"
	case h.Edit.URIOnly:
		return "repaired"
	case h.Edit.Enable:
		return "enabled"
	}
	return "disabled"
}

// Status is how a run ended for one worker; empty while it has not.
type Status string

// The ends.
const (
	Changed Status = "changed"
	Same    Status = "same"    // needed no change by then
	Failed  Status = "failed"  // see the code and reason
	Skipped Status = "skipped" // a rollback found it edited and left it alone
)

// Tally counts the workers of a run.
type Tally struct {
	Planned int `json:"planned"` // workers to change when the run began
	Changed int `json:"changed"`
	Same    int `json:"same"` // before or by then
	Failed  int `json:"failed"`
	Skipped int `json:"skipped"`
	Blocked int `json:"blocked"` // left alone by the plan
	Left    int `json:"left"`    // of Planned, without an end
}

// Whole reports whether every selected worker is as the run wanted it.
func (t Tally) Whole() bool { return t.Failed+t.Skipped+t.Blocked+t.Left == 0 }

// Outcome is how a run ended for one worker.
type Outcome struct {
	SID, Name string
	Status    Status
	Code      problem.Code
	Reason    string
	Attempts  int
}

// Run is a journalled run.
type Run struct {
	Header
	Blocked []Blocked
	Ended   bool

	path  string
	items []*item
	bySID map[string]*item
	size  int64 // of the whole records

	reader  *os.File // what Load opened, to read texts back
	journal *journal // nil unless the run may go on
	spool   *spool
}

// item is a worker in a run. Texts stay in the journal: only their places are
// kept, so that ten thousand workers fit into little memory.
type item struct {
	sid, name string
	status    Status
	code      problem.Code
	reason    string
	attempts  int

	last      place // its latest intent
	uncertain bool  // whether the latest intent was carried out is not known
	effective place // the latest intent known to have been carried out
	held      place // the result of that one, if Twilio holds other bytes than sent
	updated   time.Time

	etag string
	text place // in the spool
}

const journalSuffix = ".jsonl"

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
	for _, pattern := range []string{"*" + journalSuffix + tmpSuffix, spoolPattern} {
		names, _ := filepath.Glob(filepath.Join(l.Path, pattern))
		for _, name := range names {
			_ = os.Remove(name)
		}
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
		return nil, problem.New(problem.RunNotResumable, "cannot resume run %s: run %s has rolled it back", run.ID, by).
			WithHint("start a new one: flexvc %s", run.Command)
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
			return nil, p.WithHint("try its failed workers again: flexvc runs resume %s --retry-failed", run.ID)
		}
		return nil, p.WithHint("flexvc runs show %s tells how it ended", run.ID)
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
	file, err := os.OpenFile(r.path, os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return unwritable(r.path, err)
	}
	if err := file.Truncate(r.size); err != nil {
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

func (f Folder) journalPath(id string) string { return filepath.Join(f.Path, id+journalSuffix) }

func newRun(path string) *Run { return &Run{path: path, bySID: map[string]*item{}} }

func (r *Run) add(it *item) {
	r.items = append(r.items, it)
	r.bySID[it.sid] = it
}

// Load reads a run's journal. The caller closes the run.
func (f Folder) Load(id string) (*Run, error) {
	id, err := ParseRunID(id)
	if err != nil {
		return nil, err
	}
	path := f.journalPath(id)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problem.New(problem.RunNotFound, "there is no run %s in this workspace", id).
			WithHint("flexvc runs list shows them")
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	r := newRun(path)
	r.reader = file
	if r.size, err = scan(path, file, r.replay); err == nil && r.V == 0 {
		err = problem.New(problem.JournalDamaged, "cannot read %s: line 1 is damaged", path).
			WithHint("restore the file from a backup")
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

var errOutOfPlace = errors.New("the record does not belong there")

// replay applies one record.
func (r *Run) replay(rec record, at place) error {
	if (rec.Kind == kindRun) != (at.offset == 0) {
		return errOutOfPlace
	}
	it := r.bySID[rec.SID]
	if it == nil && (rec.Kind == kindIntent || rec.Kind == kindResult) {
		return errOutOfPlace
	}
	r.Ended = rec.Kind == kindEnd
	switch rec.Kind {
	case kindRun:
		if rec.Run == nil || rec.Run.V < 1 {
			return errOutOfPlace
		}
		if rec.Run.V > journalVersion {
			return problem.New(problem.StateUnreadable, "cannot read %s: a newer flexvc wrote it", r.path).
				WithHint("update flexvc")
		}
		r.Header = *rec.Run
	case kindPlan:
		r.add(&item{sid: rec.SID, name: rec.Name})
	case kindBlocked:
		r.Blocked = append(r.Blocked, Blocked{rec.SID, rec.Name, rec.Code, rec.Reason})
	case kindIntent:
		if rec.Before == nil || rec.After == nil {
			return errOutOfPlace
		}
		it.intended(at)
	case kindResult:
		it.finished(rec, at)
	case kindResume, kindEnd:
	default:
		return errOutOfPlace
	}
	return nil
}

// intended notes an intent: the worker is unfinished until its result.
func (it *item) intended(at place) {
	it.last, it.uncertain, it.status = at, true, ""
}

func (it *item) finished(rec record, at place) {
	it.status, it.code, it.reason, it.attempts = rec.Status, rec.Code, rec.Reason, rec.Attempts
	if rec.Status != Changed {
		return
	}
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

// holds reports whether w holds what its latest intent was to write.
func (r *Run) holds(w twilio.Worker) (bool, error) {
	pairs, err := r.written(w.SID)
	return err == nil && len(pairs) > 0 && w.Attributes != nil && *w.Attributes == pairs[0].ours, err
}

func (r *Run) read(at place) (record, error) {
	var from io.ReaderAt = r.reader
	if r.journal != nil {
		from = r.journal.file
	}
	return readAt(from, r.path, at)
}

// Resumed reports whether the run was read from its journal to go on with it.
func (r *Run) Resumed() bool { return r.reader != nil }

// Tally counts the run's workers as they are now.
func (r *Run) Tally() Tally {
	t := Tally{Planned: len(r.items), Same: r.Same, Blocked: len(r.Blocked)}
	for _, it := range r.items {
		switch it.status {
		case Changed:
			t.Changed++
		case Same:
			t.Same++
		case Failed:
			t.Failed++
		case Skipped:
			t.Skipped++
		default:
			t.Left++
		}
	}
	return t
}

// Outcomes yields the planned workers in their order.
func (r *Run) Outcomes() iter.Seq[Outcome] {
	return func(yield func(Outcome) bool) {
		for _, it := range r.items {
			if !yield(it.outcome()) {
				return
			}
		}
	}
}

func (it *item) outcome() Outcome {
	return Outcome{it.sid, it.name, it.status, it.code, it.reason, it.attempts}
}

// Close closes the run's files. The run itself ends in Apply.
func (r *Run) Close() error {
	var err error
	if r.journal != nil {
		err = r.journal.close()
		r.journal = nil
	}
	if r.reader != nil {
		_ = r.reader.Close()
		r.reader = nil
	}
	r.spool.close()
	return err
}

// Summary is a run in a list.
type Summary struct {
	Header
	Tally Tally
	Ended bool
}

// Runs yields the folder's runs, the latest first. A journal that cannot be
// read is yielded with its error and its name alone.
func (f Folder) Runs() iter.Seq2[Summary, error] {
	return func(yield func(Summary, error) bool) {
		names, _ := filepath.Glob(filepath.Join(f.Path, strings.Repeat("?", idDigits)+journalSuffix))
		slices.Sort(names)
		for _, path := range slices.Backward(names) {
			s, err := f.summary(path)
			if !yield(s, err) {
				return
			}
		}
	}
}

// summary reads a journal's first and last line only, if the run has ended.
func (f Folder) summary(path string) (Summary, error) {
	id := strings.TrimSuffix(filepath.Base(path), journalSuffix)
	unknown := Summary{Header: Header{ID: id}}
	first, last, err := ends(path)
	if err != nil {
		return unknown, err
	}
	if first.Run != nil && last.Kind == kindEnd && last.Tally != nil {
		return Summary{Header: *first.Run, Tally: *last.Tally, Ended: true}, nil
	}
	run, err := f.Load(id)
	if err != nil {
		return unknown, err
	}
	defer run.Close()
	return Summary{Header: run.Header, Tally: run.Tally(), Ended: run.Ended}, nil
}

// enablingRuns is how many runs EnabledAt looks at: each is read whole.
const enablingRuns = 20

// EnabledAt returns when each worker was enabled, as far as the latest runs
// here know. Journals that cannot be read are passed over.
func (f Folder) EnabledAt() map[string]time.Time {
	at := map[string]time.Time{}
	looked := 0
	for s, err := range f.Runs() {
		if err != nil || s.Edit == nil || !s.Edit.Enable {
			continue
		}
		if looked++; looked > enablingRuns {
			break
		}
		run, err := f.Load(s.ID)
		if err != nil {
			continue
		}
		for _, it := range run.items {
			if it.status == Changed {
				at[it.sid] = latest(at[it.sid], it.updated)
			}
		}
		_ = run.Close()
	}
	return at
}
