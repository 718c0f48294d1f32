package workers

import (
	"bytes"
	"io"
	"sync"

	"github.com/flexvc/flexvc/internal/problem"
)

// A journal is a file of JSON lines, only ever appended to. It begins with the
// run and its plan, which appear at once or not at all. Then each worker's
// intent, with the text before and after, is on disk before the write to Twilio
// starts; the result follows. A crash can therefore lose a result, never an
// intent, and tear at most the last line.

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

func unreadable(path string, err error) error {
	return problem.New(problem.StateUnreadable, "cannot read %s: %w", path, problem.Reason(err)).
		WithHint("check the path and its permissions")
}

func unwritable(path string, err error) error {
	return problem.New(problem.StateUnwritable, "cannot write %s: %w", path, problem.Reason(err)).
		WithHint("check permissions and free space, then run the command again")
}
