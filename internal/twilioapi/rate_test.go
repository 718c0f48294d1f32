package twilioapi

import (
	"container/heap"
	"fmt"
	"testing"
	"time"
)

// The rate control is tried against servers that only exist as arithmetic: a
// queue of events moves the time, so that minutes pass at once and every run
// is the same.

// server decides whether a request that arrives at a moment passes.
type server interface {
	admit(at time.Duration) bool
}

// leaver is a server that also wants to know when a request is done.
type leaver interface {
	leave(at time.Duration)
}

// bucket refills at rate(at) per second and holds up to size tokens.
type bucket struct {
	rate   func(at time.Duration) float64
	size   float64
	tokens float64
	at     time.Duration
}

func newBucket(rate, size float64) *bucket {
	return &bucket{rate: func(time.Duration) float64 { return rate }, size: size, tokens: size}
}

func (b *bucket) admit(at time.Duration) bool {
	rate := b.rate(at)
	b.tokens = min(b.tokens+rate*(at-b.at).Seconds(), min(b.size, rate))
	b.at = at
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// window lets limit requests pass per second of the clock.
type window struct {
	limit, used int
	second      int64
}

func (w *window) admit(at time.Duration) bool {
	if s := int64((at + 370*time.Millisecond) / time.Second); s != w.second {
		w.second, w.used = s, 0
	}
	w.used++
	return w.used <= w.limit
}

// crowd lets limit requests be open at a time.
type crowd struct{ limit, open int }

func (c *crowd) admit(time.Duration) bool {
	if c.open >= c.limit {
		return false
	}
	c.open++
	return true
}

func (c *crowd) leave(time.Duration) { c.open-- }

// trial is one run: callers send one request after the other until n of them
// have passed.
type trial struct {
	server  server
	n       int
	callers int           // 32 if 0
	latency time.Duration // 50 ms if 0
	max     float64       // requests per second, never more; 0 for no bound

	// The callers are busy with something else, such as a slow disk, for the
	// last part of every period.
	period, busy time.Duration
}

// free returns when a caller that gets its answer at a moment may send again.
func (tr trial) free(at time.Duration) time.Duration {
	if tr.period == 0 {
		return at
	}
	if into := at % tr.period; into >= tr.period-tr.busy {
		return at - into + tr.period
	}
	return at
}

type result struct {
	took              time.Duration
	requests, limited int
	passedBy          []int // by whole second
}

func (r result) share() float64 { return float64(r.limited) / float64(r.requests) }

type event struct {
	at   time.Duration
	kind int // arrives at the server, comes back, wakes up
	term int
	ok   bool
	seq  int
}

const (
	wakes = iota
	arrives
	returns
	resumes
)

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any     { o := *e; x := o[len(o)-1]; *e = o[:len(o)-1]; return x }

func (tr trial) run() result {
	if tr.callers == 0 {
		tr.callers = 32
	}
	if tr.latency == 0 {
		tr.latency = 50 * time.Millisecond
	}
	epoch := time.Unix(1_700_000_000, 0)
	k := newControl(firstRate, tr.max)
	var (
		res     result
		queue   events
		seq     int
		waiting = tr.callers
		left    = tr.n // not yet passed
		toSend  = tr.n // not yet sent, or to be sent again
		asleep  bool
	)
	push := func(e event) { seq++; e.seq = seq; heap.Push(&queue, e) }
	send := func(now time.Duration) {
		for waiting > 0 && toSend > 0 && !asleep {
			if due := k.due().Sub(epoch); due > now {
				asleep = true
				push(event{at: due, kind: wakes})
				return
			}
			term := k.sent(epoch.Add(now))
			res.requests++
			waiting--
			toSend--
			push(event{at: now + tr.latency/2, kind: arrives, term: term})
		}
	}
	send(0)
	for left > 0 {
		e := heap.Pop(&queue).(event)
		switch e.kind {
		case wakes:
			asleep = false
		case arrives:
			ok := tr.server.admit(e.at)
			push(event{at: e.at + tr.latency/2, kind: returns, term: e.term, ok: ok})
		case resumes:
			waiting++
		case returns:
			k.answered(epoch.Add(e.at), e.term, e.ok)
			push(event{at: tr.free(e.at), kind: resumes})
			if e.ok {
				if l, is := tr.server.(leaver); is {
					l.leave(e.at)
				}
				left--
				res.took = e.at
				for int(e.at/time.Second) >= len(res.passedBy) {
					res.passedBy = append(res.passedBy, 0)
				}
				res.passedBy[e.at/time.Second]++
			} else {
				res.limited++
				toSend++
			}
		}
		send(e.at)
	}
	return res
}

func TestRateControlStaysJustUnderAnyLimit(t *testing.T) {
	for _, limit := range []float64{20, 50, 80, 130, 200, 300, 1000} {
		for _, latency := range []time.Duration{10, 50, 150} {
			for _, tc := range []struct {
				name   string
				server server
			}{
				{"bucket", newBucket(limit, limit)},
				{"small bucket", newBucket(limit, 5)},
				{"window", &window{limit: int(limit)}},
			} {
				n := int(100 * limit)
				r := trial{server: tc.server, n: n, latency: latency * time.Millisecond, callers: 250}.run()
				ratio, share := r.took.Seconds()*limit/float64(n), r.share()
				name := fmt.Sprintf("%s, %.0f/s, %d ms", tc.name, limit, latency)
				if ratio > 1.10 {
					t.Errorf("%s: took %.3f times what the limit allows", name, ratio)
				}
				// At 20/s a run of 100 s is too short for a share: what finding
				// the limit costs is counted instead.
				if share >= 0.01 && r.limited > 25 {
					t.Errorf("%s: %.2f %% of %d requests answered 429", name, 100*share, r.requests)
				}
			}
		}
	}
}

// A client that pauses lets the server's bucket fill, and then more passes than
// the limit for a while. That proves nothing about the limit.
func TestRateControlIsNotFooledByPauses(t *testing.T) {
	for _, tc := range []struct{ period, busy time.Duration }{
		{time.Second, 200 * time.Millisecond},
		{4 * time.Second, time.Second},
		{15 * time.Second, 3 * time.Second},
		{30 * time.Second, time.Second},
	} {
		const limit, n = 200, 20000
		r := trial{server: newBucket(limit, limit), n: n, period: tc.period, busy: tc.busy}.run()
		name := fmt.Sprintf("%s of every %s", tc.busy, tc.period)
		active := 1 - tc.busy.Seconds()/tc.period.Seconds()
		if ratio := r.took.Seconds() * limit * active / n; ratio > 1.10 {
			t.Errorf("%s: took %.3f times what limit and pauses allow", name, ratio)
		}
		if r.share() >= 0.01 {
			t.Errorf("%s: %.2f %% of %d requests answered 429", name, 100*r.share(), r.requests)
		}
	}
}

func TestRateControlStaysUnderAConcurrencyLimit(t *testing.T) {
	// Ten at a time for 25 ms each at the server: up to 400 a second.
	r := trial{server: &crowd{limit: 10}, n: 40_000, callers: 100}.run()
	if ratio := r.took.Seconds() / 100; ratio > 1.10 || r.share() >= 0.01 {
		t.Errorf("took %.3f times what the limit allows, %.2f %% answered 429", ratio, 100*r.share())
	}
}

func TestRateControlFollowsALimitThatDropsAndReturns(t *testing.T) {
	b := newBucket(0, 200)
	b.rate = func(at time.Duration) float64 {
		if 60*time.Second <= at && at < 120*time.Second {
			return 50
		}
		return 200
	}
	// 60 s at 200, 60 s at 50, then 200 again.
	r := trial{server: b, n: 12_000 + 3_000 + 24_000}.run()
	if r.took > 280*time.Second {
		t.Errorf("took %v where 240 s would do", r.took)
	}
	if r.share() >= 0.015 {
		t.Errorf("%.2f %% answered 429", 100*r.share())
	}
	for s, want := range map[int]int{55: 180, 70: 45, 110: 45, 170: 180} {
		if got := r.passedBy[s]; got < want {
			t.Errorf("in second %d %d requests passed, want at least %d", s, got, want)
		}
	}
}

func TestRateControlSharesALimitWithOthers(t *testing.T) {
	b := newBucket(200, 200)
	b.rate = func(at time.Duration) float64 {
		if at >= 30*time.Second {
			return 100
		}
		return 200
	}
	r := trial{server: b, n: 6_000 + 7_000}.run()
	if r.took > 110*time.Second || r.share() >= 0.02 {
		t.Errorf("took %v where 100 s would do, %.2f %% answered 429", r.took, 100*r.share())
	}
}

func TestMaxRateIsNeverExceeded(t *testing.T) {
	r := trial{server: newBucket(1000, 1000), n: 1_000, max: 25}.run()
	if r.limited != 0 {
		t.Errorf("%d requests answered 429", r.limited)
	}
	for s, n := range r.passedBy {
		if n > 26 {
			t.Errorf("%d requests in second %d, want 25", n, s)
		}
	}
	if r.took > 41*time.Second {
		t.Errorf("took %v, want 40 s", r.took)
	}
}

func TestRateIsPacedWithoutBursts(t *testing.T) {
	k := newControl(100, 100)
	now := time.Unix(1_700_000_000, 0)
	sent := func() (n int) {
		for !k.due().After(now) {
			k.sent(now)
			n++
		}
		return n
	}
	sent()
	now = now.Add(time.Hour)
	if n := sent(); n > 2 {
		t.Errorf("%d requests at once after an hour of rest", n)
	}
	// A timer that fires 3 ms late each time does not lower the rate.
	n := 0
	for end := now.Add(10 * time.Second); now.Before(end); {
		now = k.due().Add(3 * time.Millisecond)
		n += sent()
	}
	if n < 990 || n > 1010 {
		t.Errorf("%d requests in 10 s with late timers, want 1000", n)
	}
}

func TestUnusedRateDoesNotGrow(t *testing.T) {
	k := newControl(firstRate, 0)
	now := time.Unix(1_700_000_000, 0)
	for range 300 {
		k.answered(now, k.sent(now), true)
		now = now.Add(time.Second)
	}
	if k.rate > firstRate {
		t.Errorf("rate %.0f after five minutes of one request a second", k.rate)
	}
}

// BenchmarkRateControl prints, in the servers' own time, how a bulk change would
// run that the limit alone holds up for 100 s: at 200 requests a second that is
// one of 10,000 workers with two requests each.
func BenchmarkRateControl(b *testing.B) {
	for _, tc := range []struct {
		name  string
		limit float64
		make  func() server
	}{
		{"bucket-200", 200, func() server { return newBucket(200, 200) }},
		{"small-bucket-200", 200, func() server { return newBucket(200, 5) }},
		{"window-200", 200, func() server { return &window{limit: 200} }},
		{"bucket-20", 20, func() server { return newBucket(20, 20) }},
		{"bucket-1000", 1000, func() server { return newBucket(1000, 1000) }},
	} {
		b.Run(tc.name, func(b *testing.B) {
			var r result
			n := int(100 * tc.limit)
			for b.Loop() {
				r = trial{server: tc.make(), n: n, callers: 64}.run()
			}
			b.ReportMetric(r.took.Seconds(), "virtual-s")
			b.ReportMetric(r.took.Seconds()*tc.limit/float64(n), "x-limit")
			b.ReportMetric(100*r.share(), "%429")
		})
	}
}

func TestLateAnswersOfAnEarlierRateCutNothing(t *testing.T) {
	k := newControl(100, 0)
	now := time.Unix(1_700_000_000, 0)
	old := k.sent(now)
	k.answered(now, old, false)
	rate := k.rate
	for range 70 {
		now = k.due()
		k.sent(now)
		k.answered(now, old, false)
	}
	if k.rate != rate {
		t.Errorf("the rate went from %.0f to %.0f because of requests sent before it was cut", rate, k.rate)
	}
	k.answered(now, k.sent(now), false)
	if k.rate >= rate {
		t.Errorf("the rate stayed at %.0f although a request sent at it was refused", k.rate)
	}
}
