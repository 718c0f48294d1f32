package fleet

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/workers/workerstest"
	"github.com/google/go-cmp/cmp"
)

// plant is a workspace that changes while it is watched, and the way its events
// take: lost, doubled, late, out of order.
type plant struct {
	t     *testing.T
	rng   *rand.Rand
	clock time.Time
	fleet *Fleet

	order   []string
	Records map[string]*plantWorker
	births  int

	nulls bool // lists leave attributes out
	skew  time.Duration
	lost  float64
	made  int // events, doubles included
	queue deliveries
}

type plantWorker struct {
	twilio.Worker
	version int64
}

type delivery struct {
	at    time.Time
	event Event
}

type deliveries []delivery

func (d deliveries) Len() int           { return len(d) }
func (d deliveries) Less(a, b int) bool { return d[a].at.Before(d[b].at) }
func (d deliveries) Swap(a, b int)      { d[a], d[b] = d[b], d[a] }
func (d *deliveries) Push(v any)        { *d = append(*d, v.(delivery)) }
func (d *deliveries) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
}

func newPlant(t *testing.T, workers int, seed uint64) *plant {
	p := &plant{t: t, rng: rand.New(rand.NewPCG(seed, 1)), clock: noon, Records: map[string]*plantWorker{}}
	p.fleet = New(testRules, func() time.Time { return p.clock })
	for range workers {
		p.create()
	}
	return p
}

func (p *plant) create() *plantWorker {
	sid := workerstest.SID(p.births)
	p.births++
	w := &plantWorker{Worker: twilio.Worker{SID: sid, FriendlyName: "agent " + sid[28:]}}
	p.Records[sid] = w
	p.order = append(p.order, sid)
	p.touch(w)
	return w
}

var plantTexts = func() []string {
	var texts []string
	for _, flag := range []string{`"extensionVoiceClientEnabled":true,`, `"extensionVoiceClientEnabled":false,`, ""} {
		for _, uri := range []string{"client:a", "client:ext_a", "client:b", "client:ext_b", "sip:a@x"} {
			texts = append(texts, fmt.Sprintf(`{%s"contact_uri":"%s"}`, flag, uri))
		}
	}
	return append(texts, `walt`)
}()

var plantActivities = []string{"Offline", "Available", "Break", "Voice Client Offline"}

// touch gives w another look, by attributes and activity at once.
func (p *plant) touch(w *plantWorker) {
	text, activity := plantTexts[p.rng.IntN(len(plantTexts))], plantActivities[p.rng.IntN(len(plantActivities))]
	w.Attributes, w.ActivityName, w.ActivitySID, w.Available = &text, activity, "WA"+activity, activity == "Available"
	w.version += 1 + p.rng.Int64N(3) // reservations raise it too
	w.DateUpdated = p.clock.Truncate(time.Second)
}

// change lets something happen and sends its events off.
func (p *plant) change() {
	p.clock = p.clock.Add(time.Duration(p.rng.IntN(40)) * time.Millisecond)
	e := Event{Kind: twilio.EventAttributes, At: p.clock.Add(time.Duration(p.rng.Int64N(int64(p.skew + 1)))).Truncate(time.Millisecond)}
	var w *plantWorker
	switch n := p.rng.IntN(1000); {
	case n == 0 && len(p.order) > 10:
		at := p.rng.IntN(len(p.order))
		w = p.Records[p.order[at]]
		p.order = slices.Delete(p.order, at, at+1)
		delete(p.Records, w.SID)
		w.version++
		e.Kind = twilio.EventDeleted
	case n == 1:
		w = p.create()
		e.Kind = twilio.EventCreated
	default:
		w = p.Records[p.order[p.rng.IntN(len(p.order))]]
		if n < 500 { // some are busy, so that a second has many changes of one worker
			w = p.Records[p.order[p.rng.IntN(min(5, len(p.order)))]]
		}
		p.touch(w)
	}
	e.WorkerSID, e.Version, e.Name = w.SID, w.version, w.FriendlyName
	e.ActivitySID, e.ActivityName, e.Available, e.Attributes = w.ActivitySID, w.ActivityName, w.Available, w.Attributes
	switch p.rng.IntN(50) {
	case 0:
		e.Attributes = nil
	case 1:
		e.ActivitySID, e.ActivityName = "", ""
	case 2:
		e.Version = 0
	}
	for p.rng.Float64() >= p.lost {
		late := time.Duration(p.rng.IntN(300)) * time.Millisecond
		if p.rng.IntN(20) == 0 {
			late = time.Duration(p.rng.IntN(240)) * time.Second
		}
		heap.Push(&p.queue, delivery{p.clock.Add(late), e})
		if p.made++; p.rng.IntN(4) > 0 {
			break
		}
	}
}

// deliver hands over what has arrived by now.
func (p *plant) deliver() {
	for len(p.queue) > 0 && !p.queue[0].at.After(p.clock) {
		p.fleet.Apply(heap.Pop(&p.queue).(delivery).event)
	}
}

// sweep lists the workspace, page by page, and settles what is in doubt, while
// busy goes on in between.
func (p *plant) sweep(busy func()) {
	sweep := p.fleet.Mark()
	sids := slices.Clone(p.order) // a paged list goes by what was there when it began
	for page := range slices.Chunk(sids, 50) {
		asked := p.fleet.Mark()
		var rows []twilio.Worker
		for _, sid := range page {
			if w := p.Records[sid]; w != nil {
				row := w.Worker
				if p.nulls {
					row.Attributes = nil
				}
				rows = append(rows, row)
			}
		}
		busy() // the answer takes a while
		for _, row := range rows {
			p.fleet.Listed(sweep, asked, row)
		}
	}
	p.fleet.Swept(sweep)
	p.settle(busy)
}

func (p *plant) settle(busy func()) {
	for range 3 { // doubts that events keep raising wait for the next sweep
		doubts := p.fleet.Doubts()
		slices.Sort(doubts)
		for _, sid := range doubts {
			asked := p.fleet.Mark()
			w, exists := p.Records[sid]
			var answer twilio.Worker
			if exists {
				answer = w.Worker
			}
			if p.rng.IntN(20) == 0 {
				busy()
			}
			if exists {
				p.fleet.Fetched(asked, answer)
			} else {
				p.fleet.Missing(asked, sid)
			}
		}
	}
}

// compare holds the fleet to a fresh listing.
func (p *plant) compare(when string) {
	p.t.Helper()
	if doubts := p.fleet.Doubts(); len(doubts) > 0 {
		p.t.Fatalf("%s: %d workers are still in doubt", when, len(doubts))
	}
	fresh := New(testRules, func() time.Time { return p.clock })
	sweep := fresh.Mark()
	for _, sid := range p.order {
		fresh.Listed(sweep, sweep, p.Records[sid].Worker)
	}
	fresh.Swept(sweep)
	got, want := p.fleet.Rows(), fresh.Rows()
	for i := range got {
		got[i].State, got[i].Since = "", time.Time{}
	}
	for i := range want {
		want[i].State, want[i].Since = "", time.Time{}
	}
	// The states depend on the history as well; by themselves they are rows' facts.
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Fatalf("%s: the picture is not that of a fresh listing (-want +got):\n%s", when, diff)
	}
}

// TestLostDoubledAndReorderedEvents: whatever happens to the events, after a
// sweep the picture is that of a fresh listing.
func TestLostDoubledAndReorderedEvents(t *testing.T) {
	events := 1_000_000
	if testing.Short() || workerstest.Raced { // one goroutine: there is nothing for the detector to find
		events = 50_000
	}
	for _, nulls := range []bool{false, true} {
		t.Run(fmt.Sprintf("lists without attributes %v", nulls), func(t *testing.T) {
			p := newPlant(t, 500, 7)
			p.nulls, p.lost, p.skew = nulls, 0.2, 300*time.Millisecond
			busy := func() {
				for range p.rng.IntN(30) {
					p.change()
					p.deliver()
				}
			}
			p.sweep(func() {})
			for rounds := 0; p.made < events/2; rounds++ {
				for range 20_000 {
					p.change()
					p.deliver()
				}
				p.sweep(busy)
				if rounds%3 == 0 { // the world stands still, what is on its way arrives, a sweep
					p.clock = p.clock.Add(5 * time.Minute)
					p.deliver()
					p.sweep(func() {})
					p.compare(fmt.Sprintf("after %d events", p.made))
				}
			}
		})
	}
}

// TestLateEventsAfterTheSweep: an event that Twilio delivers long after its
// change takes nothing back.
func TestLateEventsAfterTheSweep(t *testing.T) {
	for seed := range uint64(20) {
		p := newPlant(t, 100, seed)
		p.lost = 0.3
		p.sweep(func() {})
		for range 3000 {
			p.change()
			p.deliver()
		}
		p.sweep(func() {})
		p.clock = p.clock.Add(5 * time.Minute)
		p.deliver()
		p.settle(func() {})
		p.compare(fmt.Sprintf("seed %d", seed))
	}
}

// watchedFleet is a fleet of one worker that was listed at noon, and its clock.
func watchedFleet(t *testing.T) (f *Fleet, clock *time.Time, listed twilio.Worker) {
	t.Helper()
	at := noon
	f = New(testRules, func() time.Time { return at })
	listed = workerWith(onExtension, "Available")
	listed.DateUpdated = noon
	sweep := f.Mark()
	f.Listed(sweep, sweep, listed)
	f.Swept(sweep)
	return f, &at, listed
}

func eventOf(w twilio.Worker, text string, at time.Time, version int64) Event {
	return Event{
		WorkerSID: w.SID, Kind: twilio.EventAttributes, At: at, Version: version, Name: w.FriendlyName,
		ActivitySID: w.ActivitySID, ActivityName: w.ActivityName, Attributes: &text,
	}
}

func TestFoldRules(t *testing.T) {
	state := func(f *Fleet) State {
		if rows := f.Rows(); len(rows) == 1 {
			return rows[0].State
		}
		return ""
	}
	check := func(what string, f *Fleet, want State, doubts int) {
		t.Helper()
		if got := state(f); got != want || len(f.Doubts()) != doubts {
			t.Errorf("%s: it is %q with %d in doubt, want %q with %d", what, got, len(f.Doubts()), want, doubts)
		}
	}

	f, _, w := watchedFleet(t)
	f.Apply(eventOf(w, onTab, noon.Add(5*time.Second), 7))
	f.Apply(eventOf(w, onExtension, noon.Add(5*time.Second), 6))
	check("an event that a later one has overtaken", f, StateDrift, 0)
	f.Apply(eventOf(w, onExtension, noon.Add(4*time.Second), 8))
	check("a later version with an earlier time", f, StateOK, 0)

	f, _, w = watchedFleet(t)
	f.Apply(eventOf(w, onTab, noon.Add(300*time.Millisecond), 3))
	check("an event of the second in which it was read", f, StateOK, 1)

	var clock *time.Time
	f, clock, w = watchedFleet(t)
	*clock = noon.Add(time.Minute)
	sweep := f.Mark()
	f.Listed(sweep, sweep, w)
	f.Swept(sweep)
	f.Apply(eventOf(w, onTab, noon.Add(300*time.Millisecond), 3))
	check("such an event long after that second was read whole", f, StateOK, 0)

	f, _, w = watchedFleet(t)
	f.Apply(eventOf(w, onTab, noon.Add(10*time.Second), 3))
	sweep = f.Mark()
	f.Listed(sweep, sweep, w)
	f.Swept(sweep)
	check("a listing that lags behind an event", f, StateDrift, 1)
	f.Fetched(f.Mark(), w)
	check("the fetch that settles it", f, StateOK, 0)

	f, _, w = watchedFleet(t)
	sweep = f.Mark()
	f.Apply(eventOf(w, onTab, noon.Add(10*time.Second), 3))
	f.Swept(sweep)
	check("an event while a listing that leaves the worker out goes on", f, StateDrift, 1)
	f.Missing(f.Mark(), w.SID)
	check("the fetch that does not find it", f, "", 0)
	f.Apply(eventOf(w, onTab, noon.Add(11*time.Second), 4))
	check("a late event of a worker that is gone", f, "", 0)

	f, _, w = watchedFleet(t)
	f.Apply(Event{WorkerSID: w.SID, Kind: twilio.EventDeleted, At: noon.Add(time.Second)})
	sweep = f.Mark()
	f.Listed(sweep, sweep, w)
	f.Swept(sweep)
	check("a listing with a worker that was deleted", f, "", 1)

	f, _, w = watchedFleet(t)
	sweep = f.Mark()
	newcomer := w
	newcomer.SID = workerstest.SID(9)
	f.Apply(Event{WorkerSID: newcomer.SID, Kind: twilio.EventCreated, At: noon.Add(time.Second), Version: 1})
	f.Fetched(f.Mark(), newcomer)
	f.Listed(sweep, sweep, w)
	f.Swept(sweep)
	if n := len(f.Rows()); n != 2 || len(f.Doubts()) > 0 {
		t.Errorf("a worker created after its page was read and fetched since: %d rows, %d in doubt", n, len(f.Doubts()))
	}

	f, _, w = watchedFleet(t)
	asked := f.Mark()
	f.Apply(eventOf(w, onTab, noon.Add(10*time.Second), 3))
	f.Fetched(asked, w)
	check("an answer that was overtaken by an event", f, StateDrift, 0)
}

// Rows returns all workers whose attributes are known, by SID.
func (f *Fleet) Rows() []Row {
	rows := make([]Row, 0, f.read)
	for _, m := range f.members {
		if m.facts.Flag != "" {
			rows = append(rows, m.row())
		}
	}
	slices.SortFunc(rows, func(a, b Row) int { return strings.Compare(a.SID, b.SID) })
	return rows
}
