package twilioapi

import (
	"context"
	"math"
	"sync"
	"time"
)

// Twilio publishes one limit only, three requests a second for lists with an
// expression; every other limit has to be found. A control does that from two
// facts: when requests were sent and whether their answer was 429.
//
//   - At first the rate doubles every second.
//   - A 429 cuts it. How far follows from what the server let through since
//     the cut before: at both cuts its patience was used up, so what passed
//     between them is its limit, whether it counts in a bucket, in windows or
//     in open requests. The new rate is a little below that.
//   - The rate is then held. If cut after cut finds the same limit, it is held
//     longer each time.
//   - After that it probes: slowly first, so that a limit that is still there
//     costs one or two 429s, then faster, so that one that is gone is noticed.
//
// Answers to requests sent before a cut say nothing about the rate after it
// and cause no further cut.
const (
	firstRate      = 40.0 // requests per second
	expressionRate = 2.9
	lowestRate     = 0.5

	below     = 0.98 // of the limit found, to hold
	firstCut  = 0.70 // of a rate that was still doubling: the limit is not known yet
	leastCut  = 0.97
	deepest   = 0.50
	shortHold = 5 * time.Second
	longHold  = 40 * time.Second
	sameLimit = 0.10 // two findings this close are the same limit

	probeFirst  = 0.01            // growth per second
	probeDouble = 2 * time.Second // until that growth has doubled
	probeLast   = 0.70            // doubling every second, as at first
)

// control is the rate and how it came about. It has no clock and no lock: its
// owner passes the time, which may not go back.
type control struct {
	rate, max float64

	doubling bool // no limit met yet
	term     int  // number of cuts so far
	cutAt    time.Time
	idle     time.Duration // since cutAt, without anything to send
	passed   int           // answers other than 429 since cutAt
	limit    float64       // the limit found at the last cut; 0 at first
	hold     time.Duration

	grownAt time.Time // up to when growth is reckoned
	next    time.Time // when the next request may be sent
}

// newControl starts at the given rate and never exceeds max, if max is not 0.
func newControl(start, max float64) *control {
	if max <= 0 {
		max = math.Inf(1)
	}
	return &control{rate: min(start, max), max: max, doubling: true}
}

// due returns when the next request may be sent, at the earliest.
func (k *control) due() time.Time { return k.next }

// sent notes that a request was sent now. Its answer must be told with the
// term that is returned.
func (k *control) sent(now time.Time) int {
	gap := time.Duration(float64(time.Second) / k.rate)
	// Nobody waited for the last slot: the rate is not what holds the work
	// back, so its being accepted proves nothing about a higher one.
	if idle := now.Sub(k.next); idle <= gap+lateness {
		k.grow(now)
	} else if !k.next.IsZero() {
		k.idle += idle
	}
	k.grownAt = now
	// A timer that fires late may be made up for, a pause may not: that would
	// be a burst.
	if late := now.Add(-lateness); k.next.Before(late) {
		k.next = late
	}
	k.next = k.next.Add(gap)
	return k.term
}

// lateness is how late a timer may fire without the rate suffering from it.
const lateness = 5 * time.Millisecond

func (k *control) grow(now time.Time) {
	since := now.Sub(k.grownAt).Seconds()
	growth := math.Ln2
	if !k.doubling {
		probing := now.Sub(k.cutAt) - k.hold
		if probing <= 0 {
			return
		}
		growth = min(probeFirst*math.Exp2(probing.Seconds()/probeDouble.Seconds()), probeLast)
	}
	k.rate = min(k.rate*math.Exp(growth*since), k.max)
}

// answered notes an answer to a request sent in the given term.
func (k *control) answered(now time.Time, term int, passed bool) {
	if passed {
		k.passed++
		return
	}
	if term != k.term {
		return
	}
	span := now.Sub(k.cutAt) - k.idle
	switch {
	case k.doubling:
		// What passed so far includes what the server lets a newcomer do.
		k.doubling = false
		k.hold = shortHold
		k.cut(now, k.rate*firstCut)
	case span >= k.span():
		found := float64(k.passed) / span.Seconds()
		if math.Abs(found-k.limit) <= sameLimit*k.limit {
			k.hold = min(2*k.hold, longHold)
		} else {
			k.hold = shortHold
		}
		k.limit = found
		k.cut(now, min(max(found*below, k.rate*deepest), k.rate*leastCut))
	}
}

// span is how long to count before what passed is a measure.
func (k *control) span() time.Duration {
	return min(max(300*time.Millisecond, time.Duration(16/k.rate*float64(time.Second))), 2*time.Second)
}

func (k *control) cut(now time.Time, rate float64) {
	k.rate = max(rate, lowestRate)
	k.term++
	k.cutAt = now
	k.idle = 0
	k.passed = 0
}

// pacer makes callers wait until the control lets them send, one after the
// other in the order they came.
type pacer struct {
	turn  chan struct{} // holds a token while nobody waits for the next slot
	now   func() time.Time
	sleep func(context.Context, time.Duration) error

	mu      sync.Mutex
	control *control
}

func newPacer(k *control, now func() time.Time, sleep func(context.Context, time.Duration) error) *pacer {
	p := &pacer{turn: make(chan struct{}, 1), now: now, sleep: sleep, control: k}
	p.turn <- struct{}{}
	return p
}

// wait returns when a request may be sent, with the term to pass to answered,
// or the context's error.
func (p *pacer) wait(ctx context.Context) (int, error) {
	select {
	case <-p.turn:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { p.turn <- struct{}{} }()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	for {
		p.mu.Lock()
		now := p.now()
		d := p.control.due().Sub(now)
		if d <= 0 {
			term := p.control.sent(now)
			p.mu.Unlock()
			return term, nil
		}
		p.mu.Unlock()
		if err := p.sleep(ctx, d); err != nil {
			return 0, err
		}
	}
}

func (p *pacer) answered(term int, passed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.control.answered(p.now(), term, passed)
}

func (p *pacer) rate() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.control.rate
}
