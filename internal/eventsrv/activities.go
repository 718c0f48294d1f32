package eventsrv

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/twilio"
)

// Activities knows which activities of the workspace are available. Asking
// never waits: one that is not known is looked up meanwhile.
type Activities struct {
	list func(context.Context) ([]twilio.Activity, error)
	log  *slog.Logger

	mu    sync.RWMutex
	known map[string]bool
	ask   chan struct{}
}

// activityRest keeps an activity that does not exist from being asked for over
// and over.
const activityRest = 10 * time.Second

// NewActivities returns a knower that asks with list.
func NewActivities(list func(context.Context) ([]twilio.Activity, error), log *slog.Logger) *Activities {
	return &Activities{list: list, log: log, known: map[string]bool{}, ask: make(chan struct{}, 1)}
}

// Available is for Deps.
func (a *Activities) Available(sid string) (available, known bool) {
	a.mu.RLock()
	available, known = a.known[sid]
	a.mu.RUnlock()
	if !known {
		select {
		case a.ask <- struct{}{}:
		default:
		}
	}
	return available, known
}

// Run looks up what is asked for until ctx ends. It begins with a look.
func (a *Activities) Run(ctx context.Context) {
	for {
		all, err := a.list(ctx)
		if err != nil && ctx.Err() == nil {
			a.log.Warn("cannot list the activities", "cause", err)
		}
		if err == nil {
			known := make(map[string]bool, len(all))
			for _, one := range all {
				known[one.SID] = one.Available
			}
			a.mu.Lock()
			a.known = known
			a.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(activityRest):
		}
		select {
		case <-ctx.Done():
			return
		case <-a.ask:
		}
	}
}
