package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// streams is an account's Event Streams, with the rules that Twilio has.
type streams struct {
	sinks         []twilio.Sink
	subscriptions []twilio.Subscription
	types         map[string][]string
	callback      twilio.Callback
	made          int

	calls, failAt int
	after         bool // the call that fails has had its effect
}

func (s *streams) call(effect func() error) error {
	s.calls++
	if s.calls != s.failAt {
		return effect()
	}
	if s.after {
		_ = effect()
	}
	return problem.New(problem.NetworkUnreachable, "cannot do it: the network is gone")
}

func (s *streams) sid(kind string) string {
	s.made++
	return fmt.Sprintf("%s%032d", kind, s.made)
}

func (s *streams) Sinks(context.Context) (all []twilio.Sink, err error) {
	err = s.call(func() error { all = slices.Clone(s.sinks); return nil })
	return
}

func (s *streams) CreateSink(_ context.Context, description, destination string) (made twilio.Sink, err error) {
	err = s.call(func() error {
		made = twilio.Sink{SID: s.sid("DG"), Description: description, Type: "webhook", Status: "active", Destination: destination, Method: "POST"}
		s.sinks = append(s.sinks, made)
		return nil
	})
	return
}

func (s *streams) DeleteSink(_ context.Context, sid string) error {
	return s.call(func() error {
		if slices.ContainsFunc(s.subscriptions, func(u twilio.Subscription) bool { return u.SinkSID == sid }) {
			return problem.New(problem.RequestRefused, "cannot delete it: in use")
		}
		s.sinks = slices.DeleteFunc(s.sinks, func(k twilio.Sink) bool { return k.SID == sid })
		return nil
	})
}

func (s *streams) Subscriptions(context.Context) (all []twilio.Subscription, err error) {
	err = s.call(func() error { all = slices.Clone(s.subscriptions); return nil })
	return
}

func (s *streams) SubscribedTypes(_ context.Context, sid string) (types []string, err error) {
	err = s.call(func() error { types = s.types[sid]; return nil })
	return
}

func (s *streams) Subscribe(_ context.Context, description, sinkSID string, types []string) (made twilio.Subscription, err error) {
	err = s.call(func() error {
		if slices.ContainsFunc(s.subscriptions, func(u twilio.Subscription) bool { return u.SinkSID == sinkSID }) {
			return problem.New(problem.RequestRefused, "cannot subscribe: the sink is in use")
		}
		made = twilio.Subscription{SID: s.sid("DF"), Description: description, SinkSID: sinkSID}
		s.subscriptions, s.types[made.SID] = append(s.subscriptions, made), types
		return nil
	})
	return
}

func (s *streams) Unsubscribe(_ context.Context, sid string) error {
	return s.call(func() error {
		s.subscriptions = slices.DeleteFunc(s.subscriptions, func(u twilio.Subscription) bool { return u.SID == sid })
		return nil
	})
}

func (s *streams) Callback(context.Context) (c twilio.Callback, err error) {
	err = s.call(func() error { c = s.callback; return nil })
	return
}

func (s *streams) SetCallback(_ context.Context, c twilio.Callback) error {
	return s.call(func() error { s.callback = c; return nil })
}

const pushAddress = "https://voice.example.com/events/twilio"

// crowded is an account in which others have sinks, one of them under a name
// like ours, and an old deployment of ours is left.
func crowded() (*streams, *Events) {
	s := &streams{types: map[string][]string{}}
	p := &Events{Workspace: "WS1", Sinks: s, Subscriptions: s, Callbacks: s}
	other := func(description, subscription, destination string) {
		sink := twilio.Sink{SID: s.sid("DG"), Description: description, Type: "webhook", Status: "active", Destination: destination, Method: "POST"}
		s.sinks = append(s.sinks, sink)
		if subscription != "" {
			sub := twilio.Subscription{SID: s.sid("DF"), Description: subscription, SinkSID: sink.SID}
			s.subscriptions, s.types[sub.SID] = append(s.subscriptions, sub), []string{"com.twilio.taskrouter.worker.created"}
		}
	}
	other("somebody's", "somebody's", pushAddress)
	other("flexvc events of WS2", "flexvc events of WS2", pushAddress)
	other(p.Description(), "somebody's", pushAddress) // ours by name, theirs by use
	other(p.Description(), p.Description(), "https://old.example.com/events/twilio")
	other(p.Description(), "", "https://older.example.com/events/twilio")
	return s, p
}

// others is what must never change.
func (s *streams) others() string {
	var b strings.Builder
	for _, one := range s.sinks[:3] {
		fmt.Fprintln(&b, one)
	}
	for _, one := range s.subscriptions {
		if one.Description != "flexvc events of WS1" {
			fmt.Fprintln(&b, one, s.types[one.SID])
		}
	}
	return b.String()
}

func (p *Events) rerun(t *testing.T, plan func(context.Context) (*EventsPlan, error)) error {
	t.Helper()
	made, err := plan(t.Context())
	if err != nil {
		return err
	}
	return made.Apply(t.Context(), func(Item, error) {})
}

// TestAnInterruptedEnableIsCompleted breaks every call in turn, before and after
// its effect, and runs again.
func TestAnInterruptedEnableIsCompleted(t *testing.T) {
	for _, after := range []bool{false, true} {
		for failAt := 1; ; failAt++ {
			s, p := crowded()
			before := s.others()
			enable := func(ctx context.Context) (*EventsPlan, error) { return p.PlanEnable(ctx, pushAddress) }
			s.failAt, s.after = failAt, after
			err := p.rerun(t, enable)
			whole := s.calls < failAt
			if !whole && err == nil {
				t.Fatalf("call %d broke and nobody noticed", failAt)
			}
			s.failAt = 0
			if err := p.rerun(t, enable); err != nil {
				t.Fatalf("after a break at call %d (effect %v): %v", failAt, after, err)
			}
			plan, err := enable(t.Context())
			if err != nil || plan.Pending() {
				t.Fatalf("after a break at call %d (effect %v) the plan is %+v, %v", failAt, after, plan, err)
			}
			if len(plan.Left) != 1 || s.others() != before {
				t.Fatalf("somebody else's things were touched:\n%s\nwant\n%s", s.others(), before)
			}
			var ours []twilio.Subscription
			for _, one := range s.subscriptions {
				if one.Description == p.Description() {
					ours = append(ours, one)
				}
			}
			if len(ours) != 1 || !slices.Equal(s.types[ours[0].SID], streamTypes()) || len(s.sinks) != 4 || s.sinks[3].Destination != pushAddress {
				t.Fatalf("after a break at call %d (effect %v): %+v, sinks %+v", failAt, after, ours, s.sinks)
			}
			disable := func(ctx context.Context) (*EventsPlan, error) { return p.PlanDisable(ctx, "") }
			if err := p.rerun(t, disable); err != nil {
				t.Fatal(err)
			}
			if s.others() != before || len(s.sinks) != 3 || len(s.subscriptions) != 3 {
				t.Fatalf("after disable: %+v %+v", s.sinks, s.subscriptions)
			}
			if whole {
				break
			}
		}
	}
}

func TestASubscriptionIsExtended(t *testing.T) {
	s, p := crowded()
	enable := func(ctx context.Context) (*EventsPlan, error) { return p.PlanEnable(ctx, pushAddress) }
	if err := p.rerun(t, enable); err != nil {
		t.Fatal(err)
	}
	ours := s.subscriptions[len(s.subscriptions)-1]
	s.types[ours.SID] = []string{"com.twilio.taskrouter.worker.created"}
	plan, err := enable(t.Context())
	if err != nil || plan.Count(Change) != 1 || plan.Count(Add) != 0 {
		t.Fatalf("%+v %v", plan, err)
	}
	if err := p.rerun(t, enable); err != nil {
		t.Fatal(err)
	}
	if plan, err := enable(t.Context()); err != nil || plan.Pending() {
		t.Errorf("%+v %v", plan, err)
	}
}

func TestACallbackStaysWhoseItIs(t *testing.T) {
	for _, test := range []struct {
		before twilio.Callback
		want   Action // "" is refused
	}{
		{twilio.Callback{}, Add},
		{twilio.Callback{Filter: "task.created"}, Add},
		{twilio.Callback{URL: "https://theirs.example.com/?key=hidden"}, ""},
		{twilio.Callback{URL: pushAddress + "/"}, ""},
		{twilio.Callback{URL: pushAddress, Filter: "worker.created"}, Change},
		{twilio.Callback{URL: pushAddress}, Same},
		{twilio.Callback{URL: pushAddress, Filter: joinKinds() + ", task.created"}, Same},
	} {
		s := &streams{callback: test.before}
		p := &Events{Workspace: "WS1", Callbacks: s}
		plan, err := p.PlanCallback(t.Context(), pushAddress)
		if test.want == "" {
			if !problem.Is(err, problem.EventsTaken) || strings.Contains(problem.As(err).Detail, "hidden") {
				t.Errorf("%+v: %v", test.before, err)
			}
			continue
		}
		if err != nil || plan.Items[0].Action != test.want {
			t.Fatalf("%+v: %+v %v", test.before, plan, err)
		}
		if err := plan.Apply(t.Context(), func(Item, error) {}); err != nil {
			t.Fatal(err)
		}
		if again, err := p.PlanCallback(t.Context(), pushAddress); err != nil || again.Pending() {
			t.Errorf("%+v: a second run has %+v to do, %v", test.before, again, err)
		}
	}
}

func TestACallbackTakenMeanwhileIsNotReplaced(t *testing.T) {
	s := &streams{}
	p := &Events{Workspace: "WS1", Callbacks: s}
	plan, err := p.PlanCallback(t.Context(), pushAddress)
	if err != nil {
		t.Fatal(err)
	}
	s.callback.URL = "https://theirs.example.com/"
	if err := plan.Apply(t.Context(), func(Item, error) {}); !problem.Is(err, problem.EventsTaken) || s.callback.URL != "https://theirs.example.com/" {
		t.Errorf("%v, the callback is %s", err, s.callback.URL)
	}
}
