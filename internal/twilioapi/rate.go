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
//   - At first the rate doubles every 1.25 s. The first 429 halves it.
//   - Then it is held. A 429 while it is held means that it was too high all
//     the time, so what passed since the cut is the limit, whether the server
//     counts in a bucket, by the second or in open requests. The rate goes a
//     little below that.
//   - After a while without a 429 it probes: slowly first, so that a limit that
//     is still there costs a few 429s, then faster, so that one that is gone is
//     noticed and the rate doubles again. A 429 ends the probe. Near a limit
//     that was measured the rate goes back below it and is held twice as long;
//     elsewhere it goes back a little, for the next measure or the next probe.
//
// Answers to requests sent before a cut say nothing about the rate after it,
// so a burst of 429s is one event.
const (
	firstRate      = 40.0 // requests per second
	expressionRate = 2.9
	lowestRate     = 0.5

	startGrowth = math.Ln2 / 1.25 // per second
	startCut    = 0.50            // a full bucket may have hidden the limit for a while

	below     = 0.98 // of a measured limit, to hold
	leastCut  = 0.97 // of the rate
	deepest   = 0.25 // of the rate
	sameLimit = 0.10 // two measures this close are of the same limit

	// fullBucket is how much of a limit, in time, may pass at once without
	// disproving it: a second's worth, and a margin. Beyond it all starts again.
	fullBucket = 1300 * time.Millisecond

	pause     = 100 * time.Millisecond // without a request, that a bucket gains from
	firstHold = time.Second
	shortHold = 5 * time.Second
	longHold  = 30 * time.Second

	seekGrowth  = 0.10            // per second, to begin with, where no limit is known
	probeGrowth = 0.01            // per second, to begin with, above a measured limit
	probeDouble = 3 * time.Second // until the growth has doubled
	probeMost   = 0.70            // per second

	// lateness is how late a timer may fire without the rate suffering.
	lateness = 5 * time.Millisecond
)

// seekCuts are what is left of the rate after the first, second and every later
// probe in a row that met a limit which could not be measured.
var seekCuts = [...]float64{0.90, 0.95, 0.97}

// control is the rate and how it came about. It has no clock and no lock: its
// owner passes the time, which may not go back.
type control struct {
	rate, max float64

	doubling bool // no 429 yet
	term     int  // number of cuts so far
	cutAt    time.Time
	idle     time.Duration // since cutAt, without anything to send
	pausedAt time.Time     // when the last such time ended
	passed   int           // answers other than 429 since cutAt
	recent   recent        // the same, over the last second
	hold     time.Duration
	limit    float64 // as measured; 0 when it is not known
	seeks    int     // probes in a row that met an unknown limit

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
		if idle >= pause {
			k.pausedAt = now
		}
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

func (k *control) grow(now time.Time) {
	growth := startGrowth
	if !k.doubling {
		// A pause fills the server's bucket, and then more passes than the limit
		// for a while: a probe begins anew when that is over.
		probing := min(now.Sub(k.cutAt)-k.held(), now.Sub(k.pausedAt)-shortHold)
		if probing <= 0 {
			return
		}
		begin := probeGrowth
		if k.limit == 0 {
			begin = max(probeGrowth, seekGrowth/float64(int(1)<<k.seeks))
		}
		growth = min(begin*math.Exp2(probing.Seconds()/probeDouble.Seconds()), probeMost)
	}
	if k.limit > 0 && float64(k.passed) > k.limit*(now.Sub(k.cutAt)+fullBucket).Seconds() {
		k.doubling, k.limit, k.seeks = true, 0, 0
	}
	k.rate = min(k.rate*math.Exp(growth*now.Sub(k.grownAt).Seconds()), k.max)
}

// answered notes an answer to a request sent in the given term.
func (k *control) answered(now time.Time, term int, passed bool) {
	if passed {
		k.passed++
		k.recent.add(now)
		return
	}
	if term != k.term {
		return
	}
	if k.doubling {
		k.doubling, k.hold = false, firstHold
		k.cut(now, k.rate*startCut)
		return
	}
	since := now.Sub(k.cutAt)
	span := since - k.idle
	if span < k.span() {
		return
	}
	through := float64(k.passed) / span.Seconds()
	if span < 2*time.Second {
		// A server that counts by the second may have let nothing through for
		// most of the first one.
		through = max(through, k.recent.rate(now))
	}
	switch {
	case since <= k.held():
		if math.Abs(through-k.limit) <= sameLimit*k.limit {
			k.hold = min(2*k.hold, longHold)
		} else {
			k.hold = shortHold
		}
		k.limit, k.seeks = through, 0
		k.cut(now, min(max(k.limit*below, k.rate*deepest), k.rate*leastCut))
	case k.limit > 0:
		k.hold = min(2*k.hold, longHold)
		k.limit = max(k.limit, through)
		k.cut(now, min(k.limit*below, k.rate*leastCut))
	default:
		k.hold = min(2*k.hold, longHold)
		k.cut(now, k.rate*seekCuts[min(k.seeks, len(seekCuts)-1)])
		k.seeks = min(k.seeks+1, 8)
	}
}

// held is how long the rate stays after a cut: at least so long that a server
// still overrun has been measured.
func (k *control) held() time.Duration { return max(k.hold, k.span()*3/2) }

// span is how long to count before what passed is a measure.
func (k *control) span() time.Duration {
	return min(max(time.Second, time.Duration(16/k.rate*float64(time.Second))), 2*time.Second)
}

func (k *control) cut(now time.Time, rate float64) {
	k.rate = max(rate, lowestRate)
	k.term++
	k.cutAt = now
	k.idle = 0
	k.passed = 0
	k.recent = recent{}
}

// recent counts what happened in the last second, in slots of 50 ms.
type recent struct {
	slots [20]int
	last  int64 // number of the newest slot
}

const slot = 50 * time.Millisecond

func (r *recent) move(now time.Time) {
	n := now.UnixNano() / int64(slot)
	for i := max(r.last+1, n-int64(len(r.slots))+1); i <= n; i++ {
		r.slots[i%int64(len(r.slots))] = 0
	}
	r.last = max(r.last, n)
}

func (r *recent) add(now time.Time) {
	r.move(now)
	r.slots[r.last%int64(len(r.slots))]++
}

// rate is per second, over the full slots and the part of the newest one.
func (r *recent) rate(now time.Time) float64 {
	r.move(now)
	sum := 0
	for _, n := range r.slots {
		sum += n
	}
	part := time.Duration(now.UnixNano() % int64(slot))
	return float64(sum) / (time.Duration(len(r.slots)-1)*slot + part).Seconds()
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
