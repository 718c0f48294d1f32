package doctor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/workers"
)

// workers looks at everyone once, as flexvc watch does.
func (d *Doctor) workers(ctx context.Context) Result {
	if r, ok := d.reach(ctx); !ok {
		return r
	}
	if d.Settings.WorkspaceSID == "" {
		return skip("no workspace is set: flexvc init")
	}
	rules, loaded, err := d.Account.Judgement(ctx)
	if err != nil {
		return failure("cannot judge the workers", err, "try again")
	}
	states := map[string]fleet.State{}
	watcher := fleet.NewWatcher(&listing{d.Account.Workers}, fleet.Options{
		Rules: rules, Loaded: loaded, Once: true, Interval: time.Hour, Now: d.Now,
	})
	err = watcher.Follow(ctx, func(u fleet.Update) {
		for _, row := range u.Rows {
			states[row.SID] = row.State
		}
		for _, sid := range u.Gone {
			delete(states, sid)
		}
	})
	switch {
	case errors.Is(err, errHidden):
		return skip(fmt.Sprintf("Twilio's list omits the attributes of more than %d workers: flexvc watch --once", lookedUp))
	case err != nil:
		return failure("cannot list the workers", err, "try again")
	}
	counts := fleet.Counts{}
	for _, state := range states {
		counts[state]++
	}
	var r Result
	var wrong []string
	for _, state := range fleet.States() {
		if counts[state] > 0 && state.Faulty() {
			wrong = append(wrong, fmt.Sprintf("%d %s (%s)", counts[state], state, state.Meaning()))
		}
	}
	says := fmt.Sprintf("%d workers", len(states))
	if len(states) > 0 {
		says += ": " + counts.String()
	}
	switch {
	case len(wrong) == 0:
		r = pass(says)
	case counts[fleet.StateNoPlugin] > 0:
		r = warn(says, strings.Join(wrong, "; "), "flexvc plugin deploy")
	default:
		r = warn(says, strings.Join(wrong, "; "), "flexvc watch")
	}
	r.States = counts
	return r
}

// lookedUp is how many workers are fetched one by one at most, where Twilio's
// list omits their attributes: more would take longer than a check may.
const lookedUp = 500

var errHidden = errors.New("the list omits attributes")

// listing ends a list that would take too many fetches.
type listing struct{ workers.API }

func (l *listing) Workers(ctx context.Context, expression string) iter.Seq2[twilio.Worker, error] {
	return func(yield func(twilio.Worker, error) bool) {
		hidden := map[string]bool{} // pages that shift give a worker twice
		for w, err := range l.API.Workers(ctx, expression) {
			if err == nil && w.Attributes == nil {
				if hidden[w.SID] = true; len(hidden) > lookedUp {
					w, err = twilio.Worker{}, errHidden
				}
			}
			if !yield(w, err) || err != nil {
				return
			}
		}
	}
}
