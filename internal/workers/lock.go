package workers

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/flexvc/flexvc/internal/problem"
)

// Folder is where the runs of one workspace are journalled.
type Folder struct {
	Path string
	Now  func() time.Time

	wrap func(sink) sink // for tests of crashes; nil otherwise
}

// Lock is the right to change workers: one run per workspace at a time.
type Lock struct {
	Folder
	file   *flock.Flock
	holder holder
}

// holder is what the lock file says about who has it.
type holder struct {
	PID     int    `json:"pid"`
	Command string `json:"command"`
	Run     string `json:"run,omitempty"`
}

// Lock takes the lock for command. When another run has it the error is Locked
// and tells which. The system gives the lock back if the process dies.
func (f Folder) Lock(command string) (*Lock, error) {
	if err := os.MkdirAll(f.Path, 0o700); err != nil {
		return nil, unwritable(f.Path, err)
	}
	l := &Lock{
		Folder: f,
		file:   flock.New(filepath.Join(f.Path, "lock"), flock.SetPermissions(0o600)),
		holder: holder{PID: os.Getpid(), Command: command},
	}
	// Running may hold it for an instant.
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	switch ok, err := l.file.TryLockContext(ctx, 10*time.Millisecond); {
	case ok:
		l.say("")
		return l, nil
	case err == nil || errors.Is(err, context.DeadlineExceeded):
		return nil, f.locked()
	default:
		return nil, unwritable(l.file.Path(), err)
	}
}

// Running returns the run that is changing workers now, or "".
func (f Folder) Running() string {
	path := filepath.Join(f.Path, "lock")
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	probe := flock.New(path, flock.SetFlag(os.O_RDONLY))
	if free, err := probe.TryRLock(); free || err != nil {
		_ = probe.Close()
		return ""
	}
	return f.holder().Run
}

// say writes down who has the lock. It only serves another run's message, so a
// failure is no reason to stop.
func (l *Lock) say(run string) {
	l.holder.Run = run
	text, _ := json.Marshal(l.holder)
	_ = os.WriteFile(filepath.Join(l.Path, "holder"), text, 0o600)
}

func (f Folder) locked() error {
	if h := f.holder(); h.PID > 0 {
		p := problem.New(problem.Locked, "cannot change workers: flexvc %s (process %d) is changing this workspace", h.Command, h.PID)
		if h.Run != "" {
			p = problem.New(problem.Locked, "cannot change workers: run %s (flexvc %s, process %d) is changing this workspace", h.Run, h.Command, h.PID)
		}
		return p.WithHint("wait for it to finish, or press ^C in its terminal")
	}
	return problem.New(problem.Locked, "cannot change workers: another flexvc is changing this workspace").
		WithHint("wait for it to finish")
}

// holder is zero where nobody has written down who has the lock.
func (f Folder) holder() (h holder) {
	text, _ := os.ReadFile(filepath.Join(f.Path, "holder"))
	if json.Unmarshal(text, &h) != nil {
		return holder{}
	}
	return h
}

// Release gives the lock back.
func (l *Lock) Release() error {
	_ = os.Remove(filepath.Join(l.Path, "holder"))
	return l.file.Unlock()
}
