package provision

import (
	"encoding/json"
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
	ok, err := l.file.TryLock()
	if err != nil {
		return nil, unwritable(l.file.Path(), err)
	}
	if !ok {
		return nil, f.locked()
	}
	l.say("")
	return l, nil
}

// say writes down who has the lock. It only serves another run's message, so a
// failure is no reason to stop.
func (l *Lock) say(run string) {
	l.holder.Run = run
	text, _ := json.Marshal(l.holder)
	_ = os.WriteFile(filepath.Join(l.Path, "holder"), text, 0o600)
}

func (f Folder) locked() error {
	who := "another flexvc"
	var h holder
	text, _ := os.ReadFile(filepath.Join(f.Path, "holder"))
	if json.Unmarshal(text, &h) == nil && h.PID > 0 {
		p := problem.New(problem.Locked, "cannot change workers: flexvc %s (process %d) is changing this workspace", h.Command, h.PID)
		if h.Run != "" {
			p = problem.New(problem.Locked, "cannot change workers: run %s (flexvc %s, process %d) is changing this workspace", h.Run, h.Command, h.PID)
		}
		return p.WithHint("wait for it to end, or press ^C there")
	}
	return problem.New(problem.Locked, "cannot change workers: %s is changing this workspace", who).
		WithHint("wait for it to end")
}

// Release gives the lock back.
func (l *Lock) Release() error {
	_ = os.Remove(filepath.Join(l.Path, "holder"))
	return l.file.Unlock()
}
