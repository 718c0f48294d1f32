package emulator

import (
	"slices"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

// WorkerState is one worker, with its attributes text exactly as it is stored.
type WorkerState struct {
	SID          string `json:"sid"`
	FriendlyName string `json:"friendly_name"`
	Activity     string `json:"activity"` // its name
	Attributes   string `json:"attributes"`
	ETag         string `json:"etag"`
}

// ActivityState is one activity.
type ActivityState struct {
	SID          string `json:"sid"`
	FriendlyName string `json:"friendly_name"`
	Available    bool   `json:"available"`
}

// KeyState is one API key without its secret.
type KeyState struct {
	SID          string  `json:"sid"`
	FriendlyName string  `json:"friendly_name"`
	Type         KeyType `json:"type"`
}

// State is what the Flex workspace and the account hold, oldest first, without
// secrets.
type State struct {
	Now        time.Time       `json:"now"`
	Workers    []WorkerState   `json:"workers"`
	Activities []ActivityState `json:"activities"`
	Keys       []KeyState      `json:"keys"`
}

// Export returns the state.
func (e *Emulator) Export() State {
	s := State{Now: e.Now()}
	e.mu.RLock()
	defer e.mu.RUnlock()
	sp := e.st.space(e.st.meta.Account.WorkspaceSID)
	for _, w := range sp.workers {
		s.Workers = append(s.Workers, sp.state(w))
	}
	for _, a := range sp.activities {
		s.Activities = append(s.Activities, ActivityState{a.SID, a.FriendlyName, a.Available})
	}
	for _, k := range e.st.keys {
		s.Keys = append(s.Keys, KeyState{k.SID, k.FriendlyName, k.Type})
	}
	return s
}

// ExportWorkers returns every worker of the Flex workspace, oldest first.
func (e *Emulator) ExportWorkers() []WorkerState {
	e.mu.RLock()
	defer e.mu.RUnlock()
	sp := e.st.space(e.st.meta.Account.WorkspaceSID)
	all := make([]WorkerState, len(sp.workers))
	for i, w := range sp.workers {
		all[i] = sp.state(w)
	}
	return all
}

func (sp *space) state(w *worker) WorkerState {
	return WorkerState{SID: w.SID, FriendlyName: w.FriendlyName, Activity: sp.activity(w.Activity).FriendlyName, Attributes: w.Attributes, ETag: w.etag()}
}

// Bump raises a worker's ETag as a reservation or a change of capacity does,
// which leave the attributes alone. An unknown worker is problem.NotFound.
func (e *Emulator) Bump(workerSID string) error {
	return e.change(workerSID, workerCapacity, func(*worker) {})
}

// Edit replaces a worker's attributes behind the API's back, by any text. An
// unknown worker is problem.NotFound.
func (e *Emulator) Edit(workerSID, attributes string) error {
	return e.change(workerSID, "", func(w *worker) { w.Attributes = attributes })
}

// change replaces a worker by an edited copy; told is the event for one that
// changes nothing that others see.
func (e *Emulator) change(workerSID, told string, how func(*worker)) error {
	now := e.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	sp, w := e.st.worker(workerSID)
	if w == nil {
		return problem.New(problem.NotFound, "cannot change worker %s: it does not exist", workerSID)
	}
	changed := *w
	changed.Version++
	changed.Updated = now.Truncate(time.Second)
	how(&changed)
	if err := e.st.put(changed.record()); err != nil {
		return problem.New(problem.StateUnwritable, "cannot write the emulator's data: %w", err)
	}
	sp.set(&changed)
	e.events.changed(sp, w, &changed, told)
	return nil
}

// BrowserStatus is how far a simulation is.
type BrowserStatus struct {
	Options    BrowserOptions `json:"options"`
	Done       bool           `json:"done"`
	Overwrites []Overwrite    `json:"overwrites"`
	Last       map[string]int `json:"last"` // by worker: what must be under the key now
}

// Status returns how far the simulation is.
func (b *Browser) Status() BrowserStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := make(map[string]int, len(b.last))
	for sid, seq := range b.last {
		last[sid] = seq
	}
	return BrowserStatus{Options: b.opts, Done: b.over, Overwrites: slices.Clone(b.made), Last: last}
}

func (s *browserSet) status() []BrowserStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []BrowserStatus{}
	for _, b := range s.list {
		all = append(all, b.Status())
	}
	return all
}
