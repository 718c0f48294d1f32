package emulator

import (
	"time"

	"github.com/flexvc/flexvc/internal/emulator/fault"
	"github.com/flexvc/flexvc/internal/emulator/outbox"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

// What is told of a worker, as TaskRouter's callbacks call it.
// https://www.twilio.com/docs/taskrouter/api/event/reference
const (
	WorkerCreated    = "worker.created"
	WorkerDeleted    = "worker.deleted"
	WorkerActivity   = "worker.activity.update"
	WorkerAttributes = "worker.attributes.update"
	WorkerCapacity   = "worker.capacity.update"
)

// WorkerEvent is one thing that happened to a worker.
type WorkerEvent struct {
	ID       string // EV…
	Kind     string
	Account  string // its SID
	Space    store.Workspace
	Worker   *store.Worker // after the change; as it last was when deleted
	Activity *store.Activity
	Previous *store.Activity // with WorkerActivity
	Stayed   time.Duration   // in Previous
	At       time.Time       // to the millisecond; rises with each event of one worker
}

// workerEvents is what the next event needs of those before. The store's lock
// guards it.
type workerEvents struct {
	epoch int64 // keeps IDs apart from those of an earlier process on the same data
	n     uint64
	last  map[string]time.Time // by worker
}

// workerChanged tells the watchers, and the products, of a worker whose record
// was replaced. The store is locked.
func (e *Emulator) workerChanged(c store.WorkerChange) {
	w := c.Is
	if w == nil {
		w = c.Was
	}
	for _, tell := range e.watchers {
		tell(w.SID)
	}
	now := e.Now().Truncate(time.Millisecond)
	switch {
	case c.Was == nil:
		e.tell(c.Space, &WorkerEvent{Kind: WorkerCreated, Worker: w}, now)
		return
	case c.Is == nil:
		e.tell(c.Space, &WorkerEvent{Kind: WorkerDeleted, Worker: w}, now)
		return
	}
	if c.Is.Activity != c.Was.Activity {
		e.tell(c.Space, &WorkerEvent{
			Kind: WorkerActivity, Worker: w, Previous: c.Space.Activity(c.Was.Activity), Stayed: now.Sub(c.Was.StatusChanged),
		}, now)
	}
	switch {
	case c.Is.Attributes != c.Was.Attributes:
		e.tell(c.Space, &WorkerEvent{Kind: WorkerAttributes, Worker: w}, now)
	case c.Capacity:
		e.tell(c.Space, &WorkerEvent{Kind: WorkerCapacity, Worker: w}, now)
	}
}

func (e *Emulator) tell(sp *store.Space, ev *WorkerEvent, now time.Time) {
	f := &e.events
	f.n++
	ev.ID = "EV" + SIDMarker + store.Derive(24, "EV", f.epoch, f.n)
	ev.Account, ev.Space, ev.Activity = e.store.Meta.Account.SID, sp.Workspace, sp.Activity(ev.Worker.Activity)
	if last := f.last[ev.Worker.SID]; !now.After(last) {
		now = last.Add(time.Millisecond)
	}
	f.last[ev.Worker.SID], ev.At = now, now
	for _, p := range e.table.products {
		if p.Told != nil {
			p.Told(e, ev)
		}
	}
}

// Watch has tell called with the SID of every worker that is created, changed
// or deleted, by whomever, and with "" when all may have changed. The emulator
// is locked meanwhile: tell must neither wait nor ask it anything. Watch is
// called before the emulator serves.
func (e *Emulator) Watch(tell func(workerSID string)) { e.watchers = append(e.watchers, tell) }

// Store returns what the account holds, which has a lock of its own.
func (e *Emulator) Store() *store.Store { return e.store }

// Post has something told to others. It does not wait.
func (e *Emulator) Post(p outbox.Posting) { e.outbox.Add(p) }

// Deliveries returns the latest thousand requests that told of events, oldest
// first.
func (e *Emulator) Deliveries() []outbox.Delivery { return e.outbox.Deliveries() }

// Faults returns what every declared fault has done so far.
func (e *Emulator) Faults() []fault.Status { return e.faults.Status() }

// SetFaults replaces the declared faults and starts their counts anew. A
// specification that means nothing is problem.Usage and changes nothing.
func (e *Emulator) SetFaults(specs ...string) error {
	return e.faults.Replace(specs, e.table.targets())
}

// UnfiredFaults returns an error that names every declared fault that never
// struck, or struck less often than it says: a test that relied on one proved
// nothing.
func (e *Emulator) UnfiredFaults() error { return e.faults.Unfired() }
