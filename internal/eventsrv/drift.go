package eventsrv

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flexvc/flexvc/internal/fleet"
)

// DriftOptions say how drift is watched and told.
type DriftOptions struct {
	Rules    fleet.Rules
	Loaded   func(context.Context) (bool, error) // whether Flex loads the plugin; nil: it does
	Interval time.Duration                       // between two sweeps, which make up for events that are lost
	Hold     time.Duration                       // how long a worker has to be in a new state before it is told
	Notify   *Notifier                           // nil: metrics only
	Told     func(fleet.Update)                  // told what the picture is told; may be nil
	Log      *slog.Logger
	Now      func() time.Time
}

// Drift keeps the picture of all workers, its figures and its notifications.
type Drift struct {
	s   *Server
	api fleet.Roster
	o   DriftOptions

	counts map[fleet.State]*atomic.Int64
	begun  atomic.Int64 // of the latest whole sweep, seconds since 1970
	pushed atomic.Bool
	failed atomic.Bool

	mu     sync.Mutex
	states map[string]fleet.State
	told   map[string]fleet.State // what the world was told, or began with; fine unless it is in here
	held   map[string]held
	whole  bool          // the first picture is complete: what comes now is news
	wake   chan struct{} // held has changed
}

// held is a change that is not told yet: it may be undone in a moment.
type held struct {
	row  fleet.Row
	from fleet.State
	due  time.Time
}

// Drift watches the workers that api reads. Its figures appear with the
// server's once the first picture is complete.
func (s *Server) Drift(api fleet.Roster, o DriftOptions) *Drift {
	if o.Log == nil {
		o.Log = s.deps.Log
	}
	if o.Now == nil {
		o.Now = s.deps.Now
	}
	d := &Drift{
		s: s, api: api, o: o, counts: map[fleet.State]*atomic.Int64{}, wake: make(chan struct{}, 1),
		states: map[string]fleet.State{}, told: map[string]fleet.State{}, held: map[string]held{},
	}
	for _, state := range fleet.States() {
		d.counts[state] = new(atomic.Int64)
	}
	if o.Notify != nil {
		o.Notify.attach(s)
	}
	return d
}

// firstTrouble and lastTrouble are the waits before the first picture is tried
// again.
const (
	firstTrouble = 2 * time.Second
	lastTrouble  = time.Minute
)

// Run watches until ctx ends.
func (d *Drift) Run(ctx context.Context) {
	var jobs sync.WaitGroup
	defer jobs.Wait()
	if d.o.Notify != nil {
		jobs.Go(func() { d.release(ctx) })
		jobs.Go(func() { d.o.Notify.run(ctx) })
	}
	for wait := firstTrouble; ; wait = min(2*wait, lastTrouble) {
		source := &ringSource{hub: d.s.hub, at: d.s.hub.head()}
		w := fleet.NewWatcher(d.api, fleet.Options{
			Rules: d.o.Rules, Loaded: d.o.Loaded, Interval: d.o.Interval, Events: source, Now: d.o.Now,
		})
		source.resync = w.Refresh
		err := w.Follow(ctx, d.take)
		if ctx.Err() != nil {
			return
		}
		d.o.Log.Warn("cannot list the workers", "cause", err, "again in", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// ringSource is the ring as a watcher reads it.
type ringSource struct {
	hub    *hub
	at     uint64
	resync func()
}

var _ fleet.EventSource = (*ringSource)(nil)

func (r *ringSource) Events(ctx context.Context) iter.Seq2[fleet.Event, error] {
	return func(yield func(fleet.Event, error) bool) {
		for {
			items, next, missed, wake := r.hub.since(r.at, atOnce)
			if missed {
				r.resync()
			}
			r.at = next
			for _, it := range items {
				if it.Name == nameResync {
					r.resync()
					continue
				}
				e, err := it.event()
				if err == nil && !yield(e, nil) {
					return
				}
			}
			if len(items) == atOnce {
				continue
			}
			select {
			case <-wake:
			case <-ctx.Done():
				return
			}
		}
	}
}

// take is told by the watcher, one update at a time.
func (d *Drift) take(u fleet.Update) {
	if d.o.Told != nil {
		d.o.Told(u)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, row := range u.Rows {
		if was, known := d.states[row.SID]; known {
			d.counts[was].Add(-1)
		}
		d.states[row.SID] = row.State
		d.counts[row.State].Add(1)
		d.news(row)
	}
	for _, sid := range u.Gone {
		if was, known := d.states[sid]; known {
			d.counts[was].Add(-1)
			delete(d.states, sid)
		}
		delete(d.told, sid)
		delete(d.held, sid)
	}
	d.pushed.Store(u.Status.Pushed)
	if failed := u.Status.Err != nil; failed != d.failed.Swap(failed) && failed {
		d.o.Log.Warn("cannot list the workers", "cause", u.Status.Err)
	}
	if u.Status.Sweeps == 0 {
		return
	}
	d.begun.Store(u.Status.Whole.Unix())
	if !d.whole {
		d.whole = true
		d.register()
		d.o.Log.Info("drift watched", "workers", len(d.states), "drift", d.counts[fleet.StateDrift].Load(), "stale", d.counts[fleet.StateStale].Load())
	}
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// news holds a change back, or takes one back that is undone. The caller holds
// d.mu.
func (d *Drift) news(row fleet.Row) {
	is, was := concern(row.State), d.told[row.SID]
	if was == "" {
		was = fleet.StateOK
	}
	switch {
	case !d.whole:
		d.note(row.SID, is)
	case is == was:
		delete(d.held, row.SID)
	default:
		h, waiting := d.held[row.SID]
		if !waiting || concern(h.row.State) != is {
			h.due = d.o.Now().Add(d.o.Hold)
		}
		h.row, h.from = row, was
		d.held[row.SID] = h
	}
}

func (d *Drift) note(sid string, is fleet.State) {
	if is == fleet.StateOK {
		delete(d.told, sid)
		return
	}
	d.told[sid] = is
}

// concern is a state as far as somebody has to be told: agents who come and go
// are no news.
func concern(s fleet.State) fleet.State {
	if s.Faulty() {
		return s
	}
	return fleet.StateOK
}

// register makes the figures visible. The caller holds d.mu.
func (d *Drift) register() {
	set := d.s.m.set
	for state, n := range d.counts {
		set.NewGauge(fmt.Sprintf("flexvc_workers{state=%q}", state), func() float64 { return float64(n.Load()) })
	}
	set.NewGauge("flexvc_workers_swept_timestamp_seconds", func() float64 { return float64(d.begun.Load()) })
	set.NewGauge("flexvc_workers_pushed", func() float64 {
		if d.pushed.Load() {
			return 1
		}
		return 0
	})
}

// release tells of changes that have lasted long enough.
func (d *Drift) release(ctx context.Context) {
	next := time.NewTimer(time.Hour)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		case <-next.C:
		}
		due, wait := d.due()
		for _, c := range due {
			if d.s.bus == nil || d.s.bus.claim(ctx, c.claim()) {
				d.o.Notify.add(c)
			}
		}
		next.Reset(wait)
	}
}

// due takes the changes whose time has come and returns when the next one's
// comes.
func (d *Drift) due() (due []Change, wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.o.Now()
	wait = time.Hour
	for sid, h := range d.held {
		if left := h.due.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		delete(d.held, sid)
		d.note(sid, concern(h.row.State))
		due = append(due, Change{
			SID: sid, Name: h.row.Name, From: h.from, To: h.row.State, Meaning: h.row.State.Meaning(),
			ContactURI: h.row.Facts.ContactURI, Since: h.row.Since.UTC(),
		})
	}
	return due, wait
}
