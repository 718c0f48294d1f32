package fleet

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/workers/workerstest"
)

const (
	onTab       = `{"extensionVoiceClientEnabled":true,"contact_uri":"client:carol"}`
	onExtension = `{"extensionVoiceClientEnabled":true,"contact_uri":"client:ext_carol"}`
	staleText   = `{"extensionVoiceClientEnabled":false,"contact_uri":"client:ext_carol"}`
)

// viewer keeps what a watch delivers.
type viewer struct {
	mu     sync.Mutex
	states map[string]State
	said   []Difference
	status Status
}

func (v *viewer) deliver(u Update) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.states == nil {
		v.states = map[string]State{}
	}
	for _, sid := range u.Gone {
		delete(v.states, sid)
	}
	for _, r := range u.Rows {
		v.states[r.SID] = r.State
	}
	v.said = append(v.said, u.Differences...)
	v.status = u.Status
}

func (v *viewer) now() Status {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.status
}

func (v *viewer) state(i int) State {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.states[workerstest.SID(i)]
}

// inWatch runs a watch of f on virtual time.
func inWatch(t *testing.T, f *workerstest.Workspace, o Options, story func(*Watcher, *viewer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o.Rules, o.Interval, o.Now = testRules, 10*time.Second, time.Now
		w, v := NewWatcher(f, o), &viewer{}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Follow(ctx, v.deliver) }()
		time.Sleep(time.Second)
		synctest.Wait()
		story(w, v)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the watch ends with %v", err)
		}
	})
}

func TestWatchSeesAChangeWithinOneInterval(t *testing.T) {
	for _, nulls := range []bool{false, true} {
		f := workerstest.New(onExtension, `{}`)
		f.NullList = nulls
		inWatch(t, f, Options{}, func(_ *Watcher, v *viewer) {
			if v.state(0) != StateOK || v.now().Sweeps != 1 {
				t.Fatalf("at first it is %s after %d sweeps", v.state(0), v.now().Sweeps)
			}
			f.Set(0, onTab)
			time.Sleep(10*time.Second + 2*deliverEvery)
			synctest.Wait()
			if v.state(0) != StateDrift {
				t.Errorf("lists without attributes %v: after one interval it is %s", nulls, v.state(0))
			}
			if len(v.said) != 1 || v.said[0].From.State != StateOK || v.said[0].To.State != StateDrift {
				t.Errorf("what is told is %+v", v.said)
			}
		})
	}
}

// TestWatchFetchesOnlyWhatChanged: lists that leave attributes out must not cost
// a fetch per worker and sweep.
func TestWatchFetchesOnlyWhatChanged(t *testing.T) {
	f := workerstest.New(workerstest.Samples(50)...)
	f.NullList = true
	inWatch(t, f, Options{}, func(_ *Watcher, v *viewer) {
		time.Sleep(30 * time.Second) // the second look at each, as its second was not over at the first
		synctest.Wait()
		settled := f.Fetched
		if settled != 100 {
			t.Errorf("%d fetches for 50 workers, want two each", settled)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if f.Fetched != settled {
			t.Errorf("%d fetches although nothing changed", f.Fetched-settled)
		}
		f.Set(7, onTab)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := f.Fetched - settled; n < 1 || n > 2 || v.state(7) != StateDrift {
			t.Errorf("%d fetches for one change, which is %s", n, v.state(7))
		}
	})
}

func TestWatchKeepsThePictureWhenTheConnectionIsLost(t *testing.T) {
	f := workerstest.New(onExtension)
	inWatch(t, f, Options{}, func(w *Watcher, v *viewer) {
		f.Mu.Lock()
		f.Before = func(op, _ string) error { return problem.New(problem.NetworkUnreachable, "no route to Twilio") }
		f.Mu.Unlock()
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if v.now().Err == nil || v.state(0) != StateOK || !v.now().Retry.After(v.now().Whole) {
			t.Fatalf("the status is %+v, the worker %s", v.now(), v.state(0))
		}
		f.Mu.Lock()
		f.Before = nil
		f.Mu.Unlock()
		f.Set(0, onTab)
		w.Refresh()
		time.Sleep(time.Second)
		synctest.Wait()
		if v.now().Err != nil || v.state(0) != StateDrift {
			t.Errorf("after it came back: %+v, %s", v.now(), v.state(0))
		}
	})
}

func TestWatchEndsWhenTheFirstPictureFails(t *testing.T) {
	f := workerstest.New(onExtension)
	f.Before = func(string, string) error {
		return problem.New(problem.CredentialsRefused, "Twilio refuses the credentials")
	}
	w := NewWatcher(f, Options{Interval: time.Hour, Now: time.Now})
	if err := w.Follow(t.Context(), func(Update) {}); !problem.Is(err, problem.CredentialsRefused) {
		t.Errorf("it ends with %v", err)
	}
}

func TestWatchOnce(t *testing.T) {
	f := workerstest.New(onTab, onExtension, `walt`)
	v := &viewer{}
	w := NewWatcher(f, Options{Rules: testRules, Interval: time.Hour, Now: time.Now, Once: true})
	if err := w.Follow(t.Context(), v.deliver); err != nil {
		t.Fatal(err)
	}
	if v.state(0) != StateDrift || v.state(1) != StateOK || v.state(2) != StateInvalid || len(v.said) > 0 {
		t.Errorf("it shows %v and tells %v", v.states, v.said)
	}
}

// pushed is an event source that a test speaks through. It breaks when told to.
type pushed struct{ events chan Event }

func (p *pushed) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			select {
			case e, ok := <-p.events:
				if !ok {
					yield(Event{}, problem.New(problem.NetworkUnreachable, "the stream broke"))
					return
				}
				if !yield(e, nil) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func TestWatchAppliesEventsAtOnce(t *testing.T) {
	f := workerstest.New(onExtension)
	synctest.Test(t, func(t *testing.T) {
		p := &pushed{events: make(chan Event)}
		w, v := NewWatcher(f, Options{Rules: testRules, Interval: time.Hour, Now: time.Now, Events: p}), &viewer{}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Follow(ctx, v.deliver) }()
		time.Sleep(time.Second)
		text := onTab
		f.Set(0, text)
		p.events <- Event{
			WorkerSID: workerstest.SID(0), Kind: twilio.EventAttributes, At: f.Clock.Add(200 * time.Millisecond), Version: 9,
			Name: "agent0", ActivitySID: "WA1", ActivityName: "Available", Attributes: &text,
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if v.state(0) != StateDrift || !v.now().Pushed || v.now().Sweeps != 1 {
			t.Errorf("a second after the event it is %s, %+v", v.state(0), v.now())
		}
		// What happened while the stream was broken is found by a sweep.
		f.Set(0, staleText)
		close(p.events)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if v.state(0) != StateStale {
			t.Errorf("after the stream broke it is %s", v.state(0))
		}
		cancel()
		<-ended
	})
}

// slow takes longer to answer about one worker than a sweep is away.
type slow struct{ *workerstest.Workspace }

func (s slow) Worker(ctx context.Context, sid string) (twilio.Worker, error) {
	time.Sleep(15 * time.Second)
	return s.Workspace.Worker(ctx, sid)
}

// TestWatchSweepsAfterASlowLook: a sweep that was due while a worker was being
// fetched takes place, and so do all that follow.
func TestWatchSweepsAfterASlowLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p, v := workerstest.New(onExtension), &pushed{events: make(chan Event)}, &viewer{}
		w := NewWatcher(slow{f}, Options{Rules: testRules, Interval: 10 * time.Second, Now: time.Now, Events: p})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Follow(ctx, v.deliver) }()
		time.Sleep(time.Second)
		p.events <- Event{WorkerSID: "WKunknown", Kind: twilio.EventAttributes, At: time.Now(), Version: 1}
		time.Sleep(18 * time.Second)
		before := v.now().Sweeps
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := v.now().Sweeps - before; n < 5 {
			t.Errorf("%d sweeps in the minute afterwards", n)
		}
		cancel()
		<-ended
	})
}

// refusing is a source that is silent for a while and then says no.
type refusing struct{ after time.Duration }

var errRefusing = problem.New(problem.CredentialsRefused, "cannot follow events")

func (r refusing) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		select {
		case <-time.After(r.after):
			yield(Event{}, errRefusing)
		case <-ctx.Done():
		}
	}
}

// TestWatchEndsWhenEventsAreRefused: nobody asked for a picture that pretends to
// be live.
func TestWatchEndsWhenEventsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := refusing{time.Second} // after the first picture
		w := NewWatcher(workerstest.New(onExtension), Options{Rules: testRules, Interval: time.Hour, Now: time.Now, Events: r})
		if err := w.Follow(t.Context(), func(Update) {}); !errors.Is(err, errRefusing) {
			t.Errorf("it ends with %v", err)
		}
	})
}

// TestWatchPollsWhileEventsAreLost: rarely while they flow, as without them once
// they do not.
func TestWatchPollsWhileEventsAreLost(t *testing.T) {
	f := workerstest.New(onExtension)
	r := refusing{after: 5 * time.Minute}
	inWatch(t, f, Options{Pushed: 5 * time.Minute, Events: r}, func(w *Watcher, v *viewer) {
		w.Connected()
		time.Sleep(20 * time.Second) // the sweep that was due before
		synctest.Wait()
		before := v.now()
		if !before.Pushed || before.EventsErr != nil || before.Interval != 5*time.Minute {
			t.Fatalf("a connected source gives %+v", before)
		}
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if n := v.now().Sweeps; n != before.Sweeps {
			t.Errorf("%d sweeps in 4 minutes of events", n-before.Sweeps)
		}
		time.Sleep(40 * time.Second) // 5 minutes and a second since the start
		synctest.Wait()
		if s := v.now(); s.Pushed || !errors.Is(s.EventsErr, errRefusing) || s.Interval != 10*time.Second || s.Sweeps != before.Sweeps+1 {
			t.Fatalf("after the source said no it is %+v", s)
		}
		f.Set(0, onTab)
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if v.state(0) != StateDrift {
			t.Errorf("one interval later it is %s", v.state(0))
		}
	})
}
