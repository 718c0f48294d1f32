package workers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
)

// A journal is a file of JSON lines, only ever appended to. It begins with the
// run and its plan, which appear at once or not at all. Then each worker's
// intent, with the text before and after, is on disk before the write to Twilio
// starts; the result follows. A crash can therefore lose a result, never an
// intent, and tear at most the last line.

// record is one line. Only the fields of its kind are set.
type record struct {
	Kind   kind    `json:"t"`
	Run    *Header `json:"run,omitempty"`
	SID    string  `json:"sid,omitempty"`
	Name   string  `json:"name,omitempty"`
	Before *string `json:"before,omitempty"`
	After  *string `json:"after,omitempty"`

	Changes []attributes.Change `json:"changes,omitempty"` // what an edit is to change, as planned

	Status   Status       `json:"status,omitempty"`
	Held     *string      `json:"held,omitempty"` // what Twilio answered, when it is not After
	Code     problem.Code `json:"code,omitempty"`
	Reason   string       `json:"reason,omitempty"`
	Remedy   string       `json:"remedy,omitempty"` // see Blocked
	Attempts int          `json:"attempts,omitempty"`
	Reset    bool         `json:"reset,omitempty"`   // set again: another program had undone it
	Updated  *time.Time   `json:"updated,omitempty"` // Twilio's date of the write

	At    *time.Time `json:"at,omitempty"`
	Tally *Tally     `json:"tally,omitempty"`
}

type kind string

const (
	kindRun     kind = "run"
	kindPlan    kind = "plan"    // a worker to change
	kindBlocked kind = "blocked" // a worker left alone, and why
	kindIntent  kind = "intent"
	kindResult  kind = "result"
	kindResume  kind = "resume"
	kindEnd     kind = "end"
)

// journalVersion is the v of the header. It changes when an older flexvc would
// misread a journal.
const journalVersion = 1

// place is where in a journal a record is.
type place struct {
	offset int64
	size   int
}

// sink is the file below a journal; tests put one in its place that breaks.
type sink interface {
	io.Writer
	io.ReaderAt
	Sync() error
	Close() error
}

// journal appends records. Many goroutines may wait for their records to be
// durable: one goroutine writes whatever has gathered and syncs once for all.
// Records that nobody waits for are written too, so that whoever reads the
// journal of a run under way sees how far it is.
type journal struct {
	path string
	file sink

	mu   sync.Mutex
	size int64 // where the next record goes
	next *batch
	err  error // the first failure; nothing is written after it

	unsynced bool // what was written last is not on disk for sure; the flusher's

	wake chan struct{}
	done chan struct{}
}

type batch struct {
	text    bytes.Buffer
	durable bool // somebody waits until it is on disk
	done    chan struct{}
	err     error
}

func newJournal(path string, file sink, size int64) *journal {
	j := &journal{
		path: path, file: file, size: size, next: newBatch(),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go j.flush()
	return j
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// commit returns when the record is on disk.
func (j *journal) commit(r record) (place, error) {
	at, b, err := j.add(r, true)
	if err != nil {
		return at, err
	}
	<-b.done
	return at, b.err
}

// note appends a record that may be lost in a crash: others can read it soon,
// but it reaches the disk with the next commit, or with close.
func (j *journal) note(r record) (place, error) {
	at, _, err := j.add(r, false)
	return at, err
}

func (j *journal) add(r record, durable bool) (place, *batch, error) {
	line, err := encode(r)
	if err != nil {
		return place{}, nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return place{}, nil, j.err
	}
	at := place{j.size, len(line)}
	j.size += int64(len(line))
	j.next.text.Write(line)
	j.next.durable = j.next.durable || durable
	select {
	case j.wake <- struct{}{}:
	default: // the flusher is already called
	}
	return at, j.next, nil
}

func (j *journal) flush() {
	defer close(j.done)
	for range j.wake {
		j.write()
	}
	j.write()
}

func (j *journal) write() {
	j.mu.Lock()
	b, err := j.next, j.err
	j.next = newBatch()
	j.mu.Unlock()
	if err == nil {
		if err = j.put(b); err != nil {
			err = unwritable(j.path, err)
		}
	}
	j.mu.Lock()
	if j.err == nil {
		j.err = err
	}
	j.mu.Unlock()
	b.err = err
	close(b.done)
}

func (j *journal) put(b *batch) error {
	if b.text.Len() > 0 {
		j.unsynced = true
		if _, err := j.file.Write(b.text.Bytes()); err != nil {
			return err
		}
	}
	if !b.durable || !j.unsynced {
		return nil
	}
	j.unsynced = false
	return j.file.Sync()
}

// close writes what is left and closes the file. Nobody may be appending.
func (j *journal) close() error {
	j.mu.Lock()
	j.next.durable = true
	j.mu.Unlock()
	close(j.wake)
	<-j.done
	err := j.file.Close()
	if j.err != nil {
		return j.err
	}
	if err != nil {
		return unwritable(j.path, err)
	}
	return nil
}

// readAt reads one record back.
func readAt(file io.ReaderAt, path string, at place) (record, error) {
	line := make([]byte, at.size)
	if _, err := file.ReadAt(line, at.offset); err != nil {
		return record{}, unreadable(path, err)
	}
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		return record{}, problem.New(problem.JournalDamaged, "cannot read %s: the record at byte %d is damaged", path, at.offset).Because(err)
	}
	return r, nil
}

// scan calls visit for every whole record and returns the length of the file
// up to the end of the last one. A last line without its line break was torn by
// a crash: no intent in it was acted upon, so it counts as not written.
func scan(path string, file io.Reader, visit func(record, place) error) (int64, error) {
	lines := bufio.NewReaderSize(file, 64<<10)
	size := int64(0)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return size, nil
		}
		if err != nil {
			return size, unreadable(path, err)
		}
		var r record
		if err = json.Unmarshal(line, &r); err == nil {
			err = visit(r, place{size, len(line)})
		}
		if p := problem.As(err); p != nil {
			return size, p
		}
		if err != nil {
			return size, problem.New(problem.JournalDamaged, "cannot read %s: line %d is damaged", path, number).
				Because(err).WithHint("restore the file from a backup; flexvc never rewrites a journal")
		}
		size += int64(len(line))
	}
}

func encode(r record) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(r)
	return b.Bytes(), err
}

func unreadable(path string, err error) error {
	return problem.New(problem.StateUnreadable, "cannot read %s: %w", path, problem.Reason(err)).
		WithHint("check the path and its permissions")
}

func unwritable(path string, err error) error {
	return problem.New(problem.StateUnwritable, "cannot write %s: %w", path, problem.Reason(err)).
		WithHint("check permissions and free space, then run the command again")
}

// ends returns the first record and, when it is a whole and short one, the last.
func ends(path string) (first, last record, err error) {
	const tail = 1 << 10 // an end record is shorter
	file, err := os.Open(path)
	if err != nil {
		return first, last, unreadable(path, err)
	}
	defer file.Close()
	line, err := bufio.NewReader(file).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &first) != nil {
		return first, last, problem.New(problem.JournalDamaged, "cannot read %s: line 1 is damaged", path)
	}
	info, err := file.Stat()
	if err != nil {
		return first, last, unreadable(path, err)
	}
	text := make([]byte, min(info.Size(), tail))
	if _, err := file.ReadAt(text, info.Size()-int64(len(text))); err != nil {
		return first, last, unreadable(path, err)
	}
	whole, ok := bytes.CutSuffix(text, []byte("\n"))
	if !ok {
		return first, last, nil
	}
	_ = json.Unmarshal(whole[bytes.LastIndexByte(whole, '\n')+1:], &last) // a longer one is no end record
	return first, last, nil
}
