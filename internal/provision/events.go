package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// SinkAPI manages the account's sinks.
type SinkAPI interface {
	Sinks(ctx context.Context) ([]twilio.Sink, error)
	// CreateSink makes a webhook sink. It is not repeated when its answer is
	// lost: it may have been made all the same.
	CreateSink(ctx context.Context, description, destination string) (twilio.Sink, error)
	DeleteSink(ctx context.Context, sid string) error
}

// SubscriptionAPI manages the account's subscriptions.
type SubscriptionAPI interface {
	Subscriptions(ctx context.Context) ([]twilio.Subscription, error)
	SubscribedTypes(ctx context.Context, sid string) ([]string, error)
	// Subscribe is not repeated when its answer is lost, as CreateSink.
	Subscribe(ctx context.Context, description, sinkSID string, types []string) (twilio.Subscription, error)
	Unsubscribe(ctx context.Context, sid string) error
}

// CallbackAPI reads and sets the workspace's callback.
type CallbackAPI interface {
	Callback(ctx context.Context) (twilio.Callback, error)
	SetCallback(ctx context.Context, c twilio.Callback) error
}

// The kinds of a plan to push events, or not to.
const (
	KindSink         Kind = "sink"
	KindSubscription Kind = "subscription"
	KindCallback     Kind = "callback"
)

// pushedKinds are the events that tell what the watch looks at. Those of
// capacity and channels come with every call and tell nothing of it.
var pushedKinds = []twilio.EventKind{twilio.EventCreated, twilio.EventDeleted, twilio.EventActivity, twilio.EventAttributes}

// streamPrefix is how Event Streams' types of TaskRouter events begin.
const streamPrefix = "com.twilio.taskrouter."

// Events sets up what makes Twilio push a workspace's events to a server, and
// takes it away. Its sink and subscription carry a description by which they are
// known again; all others are somebody else's and left alone. What an interrupted
// run left twice, the next one removes.
type Events struct {
	Workspace     string // SID
	Sinks         SinkAPI
	Subscriptions SubscriptionAPI
	Callbacks     CallbackAPI
}

// Description is what flexvc's sink and subscription of the workspace are
// called at Twilio.
func (e *Events) Description() string { return "flexvc events of " + e.Workspace }

// EventsStatus is what there is.
type EventsStatus struct {
	Sinks         []twilio.Sink         // flexvc's
	Subscriptions []twilio.Subscription // flexvc's
	Types         map[string][]string
	OtherSinks    int
	Callback      twilio.Callback

	borrowed map[string]bool // sinks that somebody else's subscription uses
}

// EventsPlan is the way to events that are pushed, or not any more.
type EventsPlan struct {
	Plan
	Left []twilio.Sink // flexvc's by name, but in use by somebody else's subscription
}

// Status reads what there is.
func (e *Events) Status(ctx context.Context) (*EventsStatus, error) {
	s := &EventsStatus{Types: map[string][]string{}, borrowed: map[string]bool{}}
	sinks, err := e.Sinks.Sinks(ctx)
	if err != nil {
		return nil, err
	}
	subscriptions, err := e.Subscriptions.Subscriptions(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range sinks {
		if one.Description == e.Description() && one.Type == "webhook" {
			s.Sinks = append(s.Sinks, one)
		} else {
			s.OtherSinks++
		}
	}
	for _, one := range subscriptions {
		if one.Description != e.Description() || !slices.ContainsFunc(s.Sinks, func(k twilio.Sink) bool { return k.SID == one.SinkSID }) {
			s.borrowed[one.SinkSID] = true
			continue
		}
		s.Subscriptions = append(s.Subscriptions, one)
		if s.Types[one.SID], err = e.Subscriptions.SubscribedTypes(ctx, one.SID); err != nil {
			return nil, err
		}
	}
	s.Callback, err = e.Callbacks.Callback(ctx)
	return s, err
}

// PlanEnable plans a sink and a subscription that lead to address.
func (e *Events) PlanEnable(ctx context.Context, address string) (*EventsPlan, error) {
	s, err := e.Status(ctx)
	if err != nil {
		return nil, err
	}
	plan := &EventsPlan{}
	keep := -1
	for i, one := range s.Sinks {
		if one.Destination == address && one.Method == "POST" && one.Status == "active" && !s.borrowed[one.SID] {
			// Prefer the one that is in use already.
			if keep < 0 || slices.ContainsFunc(s.Subscriptions, func(u twilio.Subscription) bool { return u.SinkSID == one.SID }) {
				keep = i
			}
		}
	}
	sink := Item{Kind: KindSink, Action: Add, Name: e.Description(), Detail: "to " + address}
	var sinkSID string
	if keep >= 0 {
		sinkSID = s.Sinks[keep].SID
		sink.Action, sink.ID = Same, sinkSID
	}
	plan.add(sink, func(ctx context.Context) (string, error) {
		made, err := e.Sinks.CreateSink(ctx, e.Description(), address)
		sinkSID = made.SID
		return made.SID, err
	})
	wanted := streamTypes()
	subscription := Item{Kind: KindSubscription, Action: Add, Name: e.Description(), Detail: fmt.Sprintf("%d types of worker events", len(wanted))}
	var old string
	for _, one := range s.Subscriptions {
		if keep < 0 || one.SinkSID != sinkSID {
			continue
		}
		old, subscription.ID, subscription.Action = one.SID, one.SID, Same
		if !containsAll(s.Types[one.SID], wanted) {
			subscription.Action = Change
		}
	}
	plan.add(subscription, func(ctx context.Context) (string, error) {
		if old != "" { // a sink takes one
			if err := e.Subscriptions.Unsubscribe(ctx, old); err != nil {
				return old, err
			}
		}
		made, err := e.Subscriptions.Subscribe(ctx, e.Description(), sinkSID, wanted)
		if err != nil {
			return old, err
		}
		return made.SID, nil
	})
	// The old one goes when the new one stands: no event is lost between.
	e.remove(plan, s, func(sid string) bool { return keep >= 0 && sid == s.Sinks[keep].SID })
	return plan, nil
}

// PlanDisable plans to take everything away that is flexvc's, the callback to
// address included; "" leaves the callback as it is.
func (e *Events) PlanDisable(ctx context.Context, address string) (*EventsPlan, error) {
	s, err := e.Status(ctx)
	if err != nil {
		return nil, err
	}
	plan := &EventsPlan{}
	e.remove(plan, s, func(string) bool { return false })
	if address != "" && s.Callback.URL == address {
		plan.add(Item{Kind: KindCallback, Action: Remove, Name: address}, func(ctx context.Context) (string, error) {
			return "", e.Callbacks.SetCallback(ctx, twilio.Callback{})
		})
	}
	return plan, nil
}

// remove plans to take away flexvc's sinks that are not kept, each after its
// subscription.
func (e *Events) remove(plan *EventsPlan, s *EventsStatus, keep func(sid string) bool) {
	for _, one := range s.Subscriptions {
		if !keep(one.SinkSID) {
			plan.add(Item{Kind: KindSubscription, Action: Remove, Name: one.Description, ID: one.SID}, func(ctx context.Context) (string, error) {
				return one.SID, gone(e.Subscriptions.Unsubscribe(ctx, one.SID))
			})
		}
	}
	for _, one := range s.Sinks {
		switch {
		case keep(one.SID):
		case s.borrowed[one.SID]:
			plan.Left = append(plan.Left, one)
		default:
			plan.add(Item{Kind: KindSink, Action: Remove, Name: one.Description, ID: one.SID, Detail: "to " + one.Destination}, func(ctx context.Context) (string, error) {
				return one.SID, gone(e.Sinks.DeleteSink(ctx, one.SID))
			})
		}
	}
}

// PlanCallback plans to have the workspace call address. A workspace calls one
// address: somebody else's is EventsTaken.
func (e *Events) PlanCallback(ctx context.Context, address string) (*EventsPlan, error) {
	now, err := e.Callbacks.Callback(ctx)
	if err != nil {
		return nil, err
	}
	if now.URL != "" && now.URL != address {
		return nil, problem.New(problem.EventsTaken, "cannot set the workspace's event callback: it is in use for another address").
			WithDetail("it calls %s", Redact(now.URL)).
			WithHint("use Event Streams instead: flexvc events enable, without --callback")
	}
	item := Item{Kind: KindCallback, Action: Add, Name: address}
	want := twilio.Callback{URL: address, Filter: joinKinds()}
	switch {
	case now.URL == address && (now.Filter == "" || containsAll(splitFilter(now.Filter), splitFilter(want.Filter))):
		item.Action = Same
	case now.URL == address:
		item.Action = Change
	}
	plan := &EventsPlan{}
	plan.add(item, func(ctx context.Context) (string, error) {
		// Look once more: somebody may have taken it while the plan was read.
		if again, err := e.Callbacks.Callback(ctx); err != nil || again.URL != now.URL {
			if err == nil {
				err = problem.New(problem.EventsTaken, "cannot set the workspace's event callback: someone else has just set it")
			}
			return "", err
		}
		return "", e.Callbacks.SetCallback(ctx, want)
	})
	return plan, nil
}

// Redact leaves of an address what may be shown: no user, no query.
func Redact(address string) string {
	address, _, _ = strings.Cut(address, "?")
	address, _, _ = strings.Cut(address, "#")
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return address
	}
	host, path, slash := strings.Cut(rest, "/")
	if at := strings.LastIndex(host, "@"); at >= 0 {
		host = host[at+1:]
	}
	if slash {
		host += "/" + path
	}
	return scheme + "://" + host
}

func streamTypes() []string {
	var all []string
	for _, kind := range pushedKinds {
		all = append(all, streamPrefix+string(kind))
	}
	return all
}

func joinKinds() string {
	var all []string
	for _, kind := range pushedKinds {
		all = append(all, string(kind))
	}
	return strings.Join(all, ",")
}

func splitFilter(filter string) []string {
	var all []string
	for name := range strings.SplitSeq(filter, ",") {
		all = append(all, strings.TrimSpace(name))
	}
	return all
}

func containsAll(has, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(one string) bool { return !slices.Contains(has, one) })
}
