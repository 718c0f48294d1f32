// Package provision says what should exist in an account for flexvc (init, the
// pushing of events, the Flex plugin), plans how to get there, and does it on one
// engine. Not in it: workers and their attributes (package workers), the requests
// to Twilio (package twilioapi), and what is printed (package cli).
package provision

import (
	"context"
	"slices"

	"github.com/flexvc/flexvc/internal/problem"
)

// Kind is what an item is, for people and programs.
type Kind string

// Action says what Apply does with an item.
type Action string

// The actions.
const (
	Add    Action = "add"
	Change Action = "change"
	Remove Action = "remove"
	Same   Action = "same" // nothing: it is as it should be
)

// Item is one line of a plan.
type Item struct {
	Kind   Kind
	Action Action
	Name   string
	ID     string // SID or extension ID; empty until it is known
	Detail string // for people; may hold whole SIDs
}

// Plan is what Apply would do, in order. Planning only reads. Apply may stop or be
// killed anywhere: the next plan finds what is there, and its Apply leads to the
// same end.
type Plan struct {
	Items []Item

	steps  []step                      // one for each item
	finish func(context.Context) error // what to tidy up after the last item, even when all are the same; may be nil
}

// step carries out one item. It returns the item's ID as far as that is known,
// also when it fails.
type step func(context.Context) (id string, err error)

// bind makes a step of a function that works on the whole plan.
func bind[P any](apply func(context.Context, P) (string, error), p P) step {
	return func(ctx context.Context) (string, error) { return apply(ctx, p) }
}

// Step adds an item and what carries it out, which may be nil for one that is the
// same.
func (p *Plan) Step(item Item, do func(context.Context) (id string, err error)) { p.add(item, do) }

func (p *Plan) add(item Item, do step) {
	p.Items, p.steps = append(p.Items, item), append(p.steps, do)
}

// join adds the items of another plan.
func (p *Plan) join(other *Plan) {
	p.Items, p.steps = append(p.Items, other.Items...), append(p.steps, other.steps...)
}

// Count returns how many items have the action.
func (p *Plan) Count(action Action) int {
	n := 0
	for _, item := range p.Items {
		if item.Action == action {
			n++
		}
	}
	return n
}

// Pending reports whether anything would change.
func (p *Plan) Pending() bool { return p.Count(Same) < len(p.Items) }

// Apply does what the plan says and tells done about each item that was not the
// same, with the error that ended it, if one did. It stops at the first error.
func (p *Plan) Apply(ctx context.Context, done func(Item, error)) error {
	for i, item := range p.Items {
		if item.Action == Same {
			continue
		}
		var err error
		item.ID, err = p.steps[i](ctx)
		done(item, err)
		if err != nil {
			return err
		}
	}
	if p.finish == nil {
		return nil
	}
	return p.finish(ctx)
}

// ensure makes something. When that seems to fail, it counts what is there: the
// answer may have been lost on the way, or someone else was faster.
func ensure[T any](ctx context.Context, create func() (T, error), list func() ([]T, error), is func(T) bool) (T, error) {
	made, err := create()
	if err == nil || ctx.Err() != nil {
		return made, err
	}
	rows, listErr := list()
	if i := slices.IndexFunc(rows, is); listErr == nil && i >= 0 {
		return rows[i], nil
	}
	return made, err
}

// gone takes for done what somebody else has done.
func gone(err error) error {
	if problem.Is(err, problem.NotFound) {
		return nil
	}
	return err
}

// Work is an item that the caller carries out.
type Work struct {
	Item Item
	Do   func(context.Context) error
}

// NewPlan is a plan of work that is the caller's own.
func NewPlan(works []Work) *Plan {
	p := &Plan{}
	for _, w := range works {
		p.work(w)
	}
	return p
}

func (p *Plan) work(w Work) {
	p.add(w.Item, func(ctx context.Context) (string, error) { return w.Item.ID, w.Do(ctx) })
}
