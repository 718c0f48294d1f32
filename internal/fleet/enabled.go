package fleet

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
)

// Enabled answers which workers are enabled from a listing that is kept, so that
// thousands of agents who log in at once cost no request each. A worker that the
// listing does not have is fetched; so is one that it has as disabled, as it may
// have been enabled since, but no more than lookAgain a second.
type Enabled struct {
	api Roster
	log func(err error) // told when workers cannot be listed
	now func() time.Time

	ready chan struct{} // closed with the first whole listing
	again *rate.Limiter

	mu      sync.RWMutex
	flags   map[string]bool
	fetched map[string]time.Time // workers found enabled since the latest whole listing began
	whole   time.Time            // when that was
	known   bool                 // there was one
	failing bool
}

const (
	// lookAgain bounds how many disabled workers are fetched, a second: in a pilot
	// most agents who ask are disabled, and the account's other requests need room.
	lookAgain      = 5
	lookAgainBurst = 20
	// stale is the age from which a listing is not believed any more: workers are
	// fetched one by one until Twilio lists them again.
	stale = 10 * time.Minute
)

// NewEnabled returns an Enabled that has listed nothing yet: Take gives it a
// listing that somebody else keeps, and Run keeps one of its own.
func NewEnabled(api Roster, now func() time.Time, failed func(err error)) *Enabled {
	return &Enabled{
		api: api, log: failed, now: now, ready: make(chan struct{}),
		again: rate.NewLimiter(lookAgain, lookAgainBurst), flags: map[string]bool{}, fetched: map[string]time.Time{},
	}
}

// Run lists the workers every interval until ctx ends.
func (e *Enabled) Run(ctx context.Context, interval time.Duration) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		err := NewWatcher(e.api, Options{Interval: interval, Now: e.now}).Follow(ctx, e.Take)
		if ctx.Err() != nil {
			return
		}
		e.log(err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// Take takes in what a watcher delivers.
func (e *Enabled) Take(u Update) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, row := range u.Rows {
		e.flags[row.SID] = row.Facts.Flag == attributes.Enabled
	}
	for _, sid := range u.Gone {
		delete(e.flags, sid)
	}
	if failing := u.Status.Err != nil; failing != e.failing {
		if e.failing = failing; failing {
			e.log(u.Status.Err)
		}
	}
	if u.Status.Sweeps == 0 {
		return
	}
	e.whole = u.Status.Whole
	for sid, at := range e.fetched {
		if at.Before(e.whole) {
			delete(e.fetched, sid)
		}
	}
	if !e.known {
		e.known = true
		close(e.ready)
	}
}

// Enabled reports whether a worker is enabled. It waits for the first listing,
// four fifths of the time that ctx leaves at most. Its errors are problems of a fetch.
func (e *Enabled) Enabled(ctx context.Context, sid string) (bool, error) {
	if deadline, ok := ctx.Deadline(); ok {
		wait := time.NewTimer(time.Until(deadline) / 5 * 4)
		defer wait.Stop()
		select {
		case <-e.ready:
		case <-wait.C:
		}
	}
	e.mu.RLock()
	on, listed := e.flags[sid]
	asked, found := e.fetched[sid]
	fresh := e.known && e.now().Sub(e.whole) < stale
	e.mu.RUnlock()
	switch {
	case fresh && listed && on, found && e.now().Sub(asked) < stale:
		return true, nil
	case fresh && listed && !e.again.Allow():
		return false, nil
	}
	asked = e.now()
	w, err := e.api.Worker(ctx, sid)
	if problem.Is(err, problem.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	flag, _ := attributes.Inspect(w.Attributes)
	if flag != attributes.Enabled {
		return false, nil
	}
	e.mu.Lock()
	e.fetched[sid] = asked
	e.mu.Unlock()
	return true, nil
}
