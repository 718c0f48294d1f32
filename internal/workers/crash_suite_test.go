package workers

import (
	"context"
	"errors"
	"iter"
	"os"
	"sync"
	"testing"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/workers/workerstest"
)

// enabled returns what the texts become when enabled.
func enabled(t *testing.T, texts []string) []string {
	t.Helper()
	var after []string
	for _, text := range texts {
		next, _, err := attributes.Edit{Enable: true}.Apply(text)
		if err != nil {
			next = text
		}
		after = append(after, next)
	}
	return after
}

// crash ends a process in the middle: after a number of steps nothing it does
// has an effect any more.
type crash struct {
	mu    sync.Mutex
	left  int // steps until the end; negative: never
	steps int
	dead  bool
	// power loses what was written but not synced.
	power bool
}

var errDead = errors.New("the process is dead")

// step takes one step and reports whether the process still lives after it.
func (c *crash) step() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return false
	}
	c.steps++
	if c.left == 0 {
		c.dead = true
	}
	c.left--
	return !c.dead
}

// mortal is a journal's file in a process that may die. Every write has two
// places to die: before it, and in the middle of it.
type mortal struct {
	*os.File
	crash  *crash
	synced int64
}

func (m *mortal) Write(p []byte) (int, error) {
	if !m.crash.step() {
		m.lose()
		return 0, errDead
	}
	if !m.crash.step() {
		n, _ := m.File.Write(p[:len(p)/2])
		m.lose()
		return n, errDead
	}
	return m.File.Write(p)
}

func (m *mortal) Sync() error {
	if !m.crash.step() {
		m.lose()
		return errDead
	}
	info, err := m.File.Stat()
	if err == nil {
		m.synced = info.Size()
	}
	return err
}

func (m *mortal) lose() {
	if m.crash.power {
		_ = m.File.Truncate(m.synced)
	}
}

func (m *mortal) Close() error { return m.File.Close() }

// wrap is a Folder's wrap.
func (c *crash) wrap(s sink) sink {
	file := s.(*os.File)
	m := &mortal{File: file, crash: c}
	if info, err := file.Stat(); err == nil {
		m.synced = info.Size()
	}
	return m
}

// mortalAPI is a WorkerAPI in a process that may die: before a request is sent,
// or after it was carried out and before the answer arrived.
type mortalAPI struct {
	*workerstest.Workspace
	crash *crash
}

func (m mortalAPI) Workers(ctx context.Context, expression string) iter.Seq2[twilio.Worker, error] {
	return func(yield func(twilio.Worker, error) bool) {
		if !m.crash.step() {
			yield(twilio.Worker{}, errDead)
			return
		}
		for w, err := range m.Workspace.Workers(ctx, expression) {
			if !yield(w, err) {
				return
			}
		}
	}
}

func (m mortalAPI) Worker(ctx context.Context, sid string) (twilio.Worker, error) {
	if !m.crash.step() {
		return twilio.Worker{}, errDead
	}
	return m.Workspace.Worker(ctx, sid)
}

func (m mortalAPI) SetAttributes(ctx context.Context, sid, attributes, etag string) (twilio.Worker, error) {
	if !m.crash.step() {
		return twilio.Worker{}, errDead
	}
	w, err := m.Workspace.SetAttributes(ctx, sid, attributes, etag)
	if !m.crash.step() {
		return twilio.Worker{}, errDead
	}
	return w, err
}
