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

// The kinds of items of a plan to push events.
const (
	PushSink         SetupKind = "sink"
	PushSubscription SetupKind = "subscription"
	PushCallback     SetupKind = "callback"
)

// pushedKinds are the events that tell what the watch looks at. Those of
// capacity and channels come with every call and tell nothing of it.
var pushedKinds = []twilio.EventKind{twilio.EventCreated, twilio.EventDeleted, twilio.EventActivity, twilio.EventAttributes}

// streamPrefix is how Event Streams' types of TaskRouter events begin.
const streamPrefix = "com.twilio.taskrouter."

// Pushing sets up what makes Twilio push a workspace's events to a server, and
// takes it away. Its sink and subscription carry a description by which they are
// known again; all others are somebody else's and left alone. Plan only reads;
// Apply may stop or be killed anywhere: the next Plan and Apply complete it, and
// remove what the first left twice.
type Pushing struct {
	Workspace     string // SID
	Sinks         SinkAPI
	Subscriptions SubscriptionAPI
	Callbacks     CallbackAPI
}

// Description is what flexvc's sink and subscription of the workspace are
// called at Twilio.
func (p *Pushing) Description() string { return "flexvc events of " + p.Workspace }

// PushStatus is what there is.
type PushStatus struct {
	Sinks         []twilio.Sink         // flexvc's
	Subscriptions []twilio.Subscription // flexvc's
	Types         map[string][]string
	OtherSinks    int
	Callback      twilio.Callback

	all      []twilio.Sink
	borrowed map[string]bool // sinks that somebody else's subscription uses
}

// PushPlan is what Apply would do, in order.
type PushPlan struct {
	Items []SetupItem
	Left  []twilio.Sink // flexvc's by name, but in use by somebody else's subscription

	steps []func(context.Context) (id string, err error)
}

// Count returns how many items have the action.
func (p *PushPlan) Count(action SetupAction) int {
	n := 0
	for _, item := range p.Items {
		if item.Action == action {
			n++
		}
	}
	return n
}

// Pending reports whether anything would change.
func (p *PushPlan) Pending() bool { return p.Count(SetupSame) < len(p.Items) }

func (p *PushPlan) add(item SetupItem, step func(context.Context) (string, error)) {
	p.Items, p.steps = append(p.Items, item), append(p.steps, step)
}

// Status reads what there is.
func (p *Pushing) Status(ctx context.Context) (*PushStatus, error) {
	s := &PushStatus{Types: map[string][]string{}, borrowed: map[string]bool{}}
	var err error
	if s.all, err = p.Sinks.Sinks(ctx); err != nil {
		return nil, err
	}
	subscriptions, err := p.Subscriptions.Subscriptions(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range s.all {
		if one.Description == p.Description() && one.Type == "webhook" {
			s.Sinks = append(s.Sinks, one)
		} else {
			s.OtherSinks++
		}
	}
	for _, one := range subscriptions {
		if one.Description != p.Description() || !slices.ContainsFunc(s.Sinks, func(k twilio.Sink) bool { return k.SID == one.SinkSID }) {
			s.borrowed[one.SinkSID] = true
			continue
		}
		s.Subscriptions = append(s.Subscriptions, one)
		if s.Types[one.SID], err = p.Subscriptions.SubscribedTypes(ctx, one.SID); err != nil {
			return nil, err
		}
	}
	s.Callback, err = p.Callbacks.Callback(ctx)
	return s, err
}

// Enable plans a sink and a subscription that lead to address.
func (p *Pushing) Enable(ctx context.Context, address string) (*PushPlan, error) {
	s, err := p.Status(ctx)
	if err != nil {
		return nil, err
	}
	plan := &PushPlan{}
	keep := -1
	for i, one := range s.Sinks {
		if one.Destination == address && one.Method == "POST" && one.Status == "active" && !s.borrowed[one.SID] {
			// Prefer the one that is in use already.
			if keep < 0 || slices.ContainsFunc(s.Subscriptions, func(u twilio.Subscription) bool { return u.SinkSID == one.SID }) {
				keep = i
			}
		}
	}
	sink := SetupItem{Kind: PushSink, Action: SetupAdd, Name: p.Description(), Detail: "to " + address}
	var sinkSID string
	if keep >= 0 {
		sinkSID = s.Sinks[keep].SID
		sink.Action, sink.ID = SetupSame, sinkSID
	}
	plan.add(sink, func(ctx context.Context) (string, error) {
		if keep >= 0 {
			return sinkSID, nil
		}
		made, err := p.Sinks.CreateSink(ctx, p.Description(), address)
		sinkSID = made.SID
		return made.SID, err
	})
	wanted := streamTypes()
	subscription := SetupItem{Kind: PushSubscription, Action: SetupAdd, Name: p.Description(), Detail: fmt.Sprintf("%d types of worker events", len(wanted))}
	var old string
	for _, one := range s.Subscriptions {
		if keep < 0 || one.SinkSID != sinkSID {
			continue
		}
		old, subscription.ID, subscription.Action = one.SID, one.SID, SetupSame
		if !containsAll(s.Types[one.SID], wanted) {
			subscription.Action = SetupChange
		}
	}
	plan.add(subscription, func(ctx context.Context) (string, error) {
		if subscription.Action == SetupSame {
			return old, nil
		}
		if old != "" { // a sink takes one
			if err := p.Subscriptions.Unsubscribe(ctx, old); err != nil {
				return "", err
			}
		}
		made, err := p.Subscriptions.Subscribe(ctx, p.Description(), sinkSID, wanted)
		return made.SID, err
	})
	// The old one goes when the new one stands: no event is lost between.
	p.remove(plan, s, func(sid string) bool { return keep >= 0 && sid == s.Sinks[keep].SID })
	return plan, nil
}

// Disable plans to take everything away that is flexvc's, the callback to
// address included; "" leaves the callback as it is.
func (p *Pushing) Disable(ctx context.Context, address string) (*PushPlan, error) {
	s, err := p.Status(ctx)
	if err != nil {
		return nil, err
	}
	plan := &PushPlan{}
	p.remove(plan, s, func(string) bool { return false })
	if address != "" && s.Callback.URL == address {
		plan.add(SetupItem{Kind: PushCallback, Action: SetupRemove, Name: address}, func(ctx context.Context) (string, error) {
			return "", p.Callbacks.SetCallback(ctx, twilio.Callback{})
		})
	}
	return plan, nil
}

// remove plans to take away flexvc's sinks that are not kept, each after its
// subscription.
func (p *Pushing) remove(plan *PushPlan, s *PushStatus, keep func(sid string) bool) {
	for _, one := range s.Subscriptions {
		if !keep(one.SinkSID) {
			plan.add(SetupItem{Kind: PushSubscription, Action: SetupRemove, Name: one.Description, ID: one.SID}, func(ctx context.Context) (string, error) {
				return one.SID, gone(p.Subscriptions.Unsubscribe(ctx, one.SID))
			})
		}
	}
	for _, one := range s.Sinks {
		switch {
		case keep(one.SID):
		case s.borrowed[one.SID]:
			plan.Left = append(plan.Left, one)
		default:
			plan.add(SetupItem{Kind: PushSink, Action: SetupRemove, Name: one.Description, ID: one.SID, Detail: "to " + one.Destination}, func(ctx context.Context) (string, error) {
				return one.SID, gone(p.Sinks.DeleteSink(ctx, one.SID))
			})
		}
	}
}

// gone takes for done what somebody else has done.
func gone(err error) error {
	if problem.Is(err, problem.NotFound) {
		return nil
	}
	return err
}

// EnableCallback plans to have the workspace call address. A workspace calls one
// address: somebody else's is EventsTaken.
func (p *Pushing) EnableCallback(ctx context.Context, address string) (*PushPlan, error) {
	now, err := p.Callbacks.Callback(ctx)
	if err != nil {
		return nil, err
	}
	if now.URL != "" && now.URL != address {
		return nil, problem.New(problem.EventsTaken, "cannot set the event callback of the workspace: it is in use for another address").
			WithDetail("it calls %s", Redact(now.URL)).
			WithHint("use Event Streams instead: flexvc events enable, without --callback")
	}
	item := SetupItem{Kind: PushCallback, Action: SetupAdd, Name: address}
	want := twilio.Callback{URL: address, Filter: joinKinds()}
	switch {
	case now.URL == address && (now.Filter == "" || containsAll(splitFilter(now.Filter), splitFilter(want.Filter))):
		item.Action = SetupSame
	case now.URL == address:
		item.Action = SetupChange
	}
	plan := &PushPlan{}
	plan.add(item, func(ctx context.Context) (string, error) {
		if item.Action == SetupSame {
			return "", nil
		}
		// Look once more: somebody may have taken it while the plan was read.
		if again, err := p.Callbacks.Callback(ctx); err != nil || again.URL != now.URL {
			if err == nil {
				err = problem.New(problem.EventsTaken, "cannot set the event callback of the workspace: somebody else has just set it")
			}
			return "", err
		}
		return "", p.Callbacks.SetCallback(ctx, want)
	})
	return plan, nil
}

// Apply carries a plan out and tells of each item that changes something. It
// stops at the first error.
func (p *Pushing) Apply(ctx context.Context, plan *PushPlan, done func(SetupItem, error)) error {
	for i, item := range plan.Items {
		id, err := plan.steps[i](ctx)
		if err == nil && id != "" {
			item.ID = id
		}
		if item.Action != SetupSame || err != nil {
			done(item, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
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
