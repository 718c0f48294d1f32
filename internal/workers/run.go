// Package workers changes many workers as one run: selection, plan, journal, lock,
// writes, verification, resumption and rollback. What the text of the attributes
// becomes is decided in internal/attributes, how a request reaches Twilio in
// internal/twilioapi, and what a person sees of a run in internal/cli.
package workers

import (
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
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
	Of        string           `json:"of,omitempty"`     // the run that this one rolls back
	Prefix    string           `json:"prefix,omitempty"` // the profile's identity prefix, in a rollback
	Same      int              `json:"same"`
	Listed    int              `json:"listed,omitempty"` // workers in the workspace, if all were listed
	Forced    bool             `json:"forced,omitempty"` // begun without the plugin, with --force
}

// Verb is what the run does to a worker, as a participle: enabled, disabled,
// repaired or restored; changed if that is not known.
func (h Header) Verb() string {
	switch {
	case h.Edit == nil && h.Of == "":
		return "changed" // the journal's first line is damaged
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
	Skipped Status = "skipped" // somebody gave it another value meanwhile
)

// Tally counts the workers of a run.
type Tally struct {
	Planned int `json:"planned"`         // workers to change when the run began
	Changed int `json:"changed"`         // workers
	Reset   int `json:"reset,omitempty"` // of Changed, set again after another program had undone it
	Same    int `json:"same"`            // before or by then
	Failed  int `json:"failed"`          // see their codes
	Skipped int `json:"skipped"`         // somebody else edited them meanwhile
	Blocked int `json:"blocked"`         // left alone by the plan
	Left    int `json:"left"`            // of Planned, without an end
}

// Whole reports whether every selected worker is as the run wanted it.
func (t Tally) Whole() bool { return t.Failed+t.Skipped+t.Blocked+t.Left == 0 }

// Outcome is how a run ended for one worker.
type Outcome struct {
	SID, Name string
	Status    Status
	Code      problem.Code
	Reason    string
	Remedy    string // see Blocked
	Attempts  int
}

// Run is a journalled run.
type Run struct {
	Header
	Blocked []Blocked
	Damage  []Damage // what cannot be read of its journal
	Ended   bool
	Untold  string // why not all of it was told when it ended: "broken pipe"

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
	remedy    string
	attempts  int
	reset     bool // see Tally

	planned []attributes.Change // what an edit is to change, to tell a person's edit from it

	last      place // its latest intent
	uncertain bool  // whether the latest intent was carried out is not known
	effective place // the latest intent known to have been carried out
	held      place // the result of that one, if Twilio holds other bytes than sent
	updated   time.Time
	damaged   bool // a record of it in the journal cannot be read
	settled   bool // changed, and looked at again, before the run was resumed
	lost      bool // a look after the write found the change undone

	etag string
	text place // in the spool
}

const journalSuffix = ".jsonl"

func (f Folder) journalPath(id string) string { return filepath.Join(f.Path, id+journalSuffix) }

func newRun(path string) *Run { return &Run{path: path, bySID: map[string]*item{}} }

// add adds a worker, unless it is there.
func (r *Run) add(it *item) {
	if r.bySID[it.sid] == it {
		return
	}
	r.items = append(r.items, it)
	r.bySID[it.sid] = it
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
			if it.reset {
				t.Reset++
			}
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
	return Outcome{it.sid, it.name, it.status, it.code, it.reason, it.remedy, it.attempts}
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

// A run's name is the second it started in, as six digits of Crockford's base
// 32: short enough to type, without letters that look like digits, and sorted
// by time until 2058. https://www.crockford.com/base32.html
const (
	idDigits   = 6
	idAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

var idEpoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func idNumber(t time.Time) uint64 { return uint64(max(t.Sub(idEpoch)/time.Second, 0)) }

func formatID(n uint64) string {
	id := make([]byte, idDigits)
	for i := idDigits - 1; i >= 0; i-- {
		id[i] = idAlphabet[n%32]
		n /= 32
	}
	return string(id)
}

// ParseRunID returns the run's name as flexvc writes it: lower case is fine, and
// O, I and L are read as the digits they look like.
func ParseRunID(text string) (string, error) {
	id := strings.NewReplacer("O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(strings.TrimSpace(text)))
	if len(id) != idDigits || strings.Trim(id, idAlphabet) != "" {
		return "", problem.New(problem.RunNotFound, "%q is not a run name", text).
			WithHint("list runs: flexvc runs list")
	}
	return id, nil
}
