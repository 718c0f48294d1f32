// Package turns lets a bounded number of things be done at a time, fairly over who
// wants them done: one who asks for very much waits behind itself. What is done, and
// how fast anybody may ask at all, is not known here.
package turns

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// ErrBusy is returned to one who has waited long enough, or who would wait behind
// too many.
var ErrBusy = errors.New("too many are waiting")

// share is how many times what is free one owner may hold: alone it gets four
// fifths, two get four ninths each, and there is always something left for the next.
// https://doi.org/10.1109/90.664262 calls this a dynamic threshold.
const share = 4

// Turns hands out turns. Those that wait get theirs in the order of arrival within
// an owner, and one owner after the other.
type Turns struct {
	total, maxWaiting int

	mu      sync.Mutex
	free    int
	waiting int
	owners  map[string]*owner
	ring    *list.List // owners with somebody waiting; the front is next
}

type owner struct {
	name  string
	held  int
	queue list.List // of chan struct{}, closed with the turn
	place *list.Element
}

// New returns n turns, for which at most maxWaiting may wait.
func New(n, maxWaiting int) *Turns {
	return &Turns{total: n, maxWaiting: maxWaiting, free: n, owners: map[string]*owner{}, ring: list.New()}
}

// Take waits for a turn for at most patience, and returns how to give it back. Its
// error is ErrBusy, or ctx's.
func (t *Turns) Take(ctx context.Context, name string, patience time.Duration) (giveBack func(), err error) {
	t.mu.Lock()
	o := t.owners[name]
	if o == nil {
		o = &owner{name: name}
		t.owners[name] = o
	}
	giveBack = func() { t.giveBack(o) }
	if o.queue.Len() == 0 && t.mayHave(o) {
		t.grant(o)
		t.mu.Unlock()
		return giveBack, nil
	}
	if o.queue.Len() >= share*(t.maxWaiting-t.waiting) {
		t.dismiss(o)
		t.mu.Unlock()
		return nil, ErrBusy
	}
	turn := make(chan struct{})
	place := o.queue.PushBack(turn)
	t.waiting++
	if o.place == nil {
		o.place = t.ring.PushBack(o)
	}
	t.mu.Unlock()

	tooLong := time.NewTimer(patience)
	defer tooLong.Stop()
	select {
	case <-turn:
		return giveBack, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-tooLong.C:
		err = ErrBusy
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-turn: // just now
		return giveBack, nil
	default:
	}
	o.queue.Remove(place)
	t.waiting--
	t.dismiss(o)
	return nil, err
}

// Figures are how many turns are taken and how many wait for one.
func (t *Turns) Figures() (taken, waiting int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total - t.free, t.waiting
}

// mayHave reports whether there is a turn for o. The caller holds t.mu, here and
// below.
func (t *Turns) mayHave(o *owner) bool { return t.free > 0 && o.held < share*t.free }

func (t *Turns) grant(o *owner) {
	t.free--
	o.held++
}

func (t *Turns) giveBack(o *owner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free++
	o.held--
	for asked := t.ring.Len(); asked > 0 && t.free > 0 && t.ring.Len() > 0; asked-- {
		next := t.ring.Front().Value.(*owner)
		t.ring.MoveToBack(next.place)
		if !t.mayHave(next) {
			continue
		}
		t.grant(next)
		close(next.queue.Remove(next.queue.Front()).(chan struct{}))
		t.waiting--
		t.dismiss(next)
	}
	t.dismiss(o)
}

// dismiss takes an owner out of the round when none of its is waiting, and forgets
// one that holds nothing.
func (t *Turns) dismiss(o *owner) {
	if o.queue.Len() > 0 {
		return
	}
	if o.place != nil {
		t.ring.Remove(o.place)
		o.place = nil
	}
	if o.held == 0 {
		delete(t.owners, o.name)
	}
}
