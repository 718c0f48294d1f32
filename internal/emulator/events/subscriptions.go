package events

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

// subscription sends events of some types to a sink.
type subscription struct {
	store.Object
	Description string           `json:"description"`
	Sink        string           `json:"sink"`
	Types       []subscribedType `json:"types"` // by name
}

type subscribedType struct {
	Type          string `json:"type"`
	SchemaVersion int    `json:"schema_version"`
}

var subscriptions = store.NewKind[subscription]("subscription")

func subscriptionTable(c *emulator.Call) *store.Table[*subscription] {
	return subscriptions.In(c.Store)
}

func subscriptionInPath(c *emulator.Call) *subscription {
	return subscriptionTable(c).Find(cmp.Or(c.Vars["SubscriptionSid"], c.Vars["Sid"]))
}

// latestSchema is the version a subscription gets that names none: that of
// TaskRouter.WDSEvent.
const latestSchema = 4

// typePrefix is how the worker events of TaskRouter's callbacks are called in
// Event Streams.
const typePrefix = "com.twilio.taskrouter."

// workerEvents can be subscribed to. The last never occurs.
var workerEvents = []string{
	emulator.WorkerCreated, emulator.WorkerDeleted, emulator.WorkerActivity, emulator.WorkerAttributes, emulator.WorkerCapacity,
	"worker.channel.availability.update",
}

type subscriptionView struct {
	AccountSID  string            `json:"account_sid"`
	SID         string            `json:"sid"`
	DateCreated string            `json:"date_created"`
	DateUpdated string            `json:"date_updated"`
	Description string            `json:"description"`
	SinkSID     string            `json:"sink_sid"`
	URL         string            `json:"url"`
	Links       map[string]string `json:"links"`
}

func viewSubscription(c *emulator.Call, s *subscription) any {
	url := c.Base() + "/v1/Subscriptions/" + s.SID
	return subscriptionView{
		AccountSID: c.Account.SID, SID: s.SID, DateCreated: emulator.Stamp(s.Created), DateUpdated: emulator.Stamp(s.Updated),
		Description: s.Description, SinkSID: s.Sink, URL: url, Links: map[string]string{"subscribed_events": url + "/SubscribedEvents"},
	}
}

func listSubscriptions(c *emulator.Call) (emulator.Listing[*subscription], *emulator.Reply) {
	sid, given := c.Queried("SinkSid")
	return emulator.Oldest(subscriptionTable(c).Rows(), func(s *subscription) bool { return !given || s.Sink == sid }), nil
}

func createSubscription(c *emulator.Call) *emulator.Reply {
	description, no := c.Required("Description")
	if no != nil {
		return no
	}
	sid, no := c.Required("SinkSid")
	if no != nil {
		return no
	}
	to := sinkTable(c).Find(sid)
	switch {
	case to == nil:
		return emulator.Invalid("Sink with SID %s was not found", sid)
	case to.Status != sinkActive:
		return emulator.Invalid("Sink with SID %s is not active", sid)
	case inUse(c.Store, sid):
		return emulator.Invalid("Sink with SID %s is in use", sid)
	}
	var types []subscribedType
	for i, text := range c.Repeated("Types") {
		var one struct {
			Type          string
			SchemaVersion *int `json:"schema_version"`
		}
		if json.Unmarshal([]byte(text), &one) != nil || one.Type == "" {
			return emulator.Invalid("Missing required input parameter event_types[%d].type", i)
		}
		t, no := checkType(one.Type, one.SchemaVersion)
		if no != nil {
			return no
		}
		types = withType(types, t)
	}
	if len(types) == 0 {
		return emulator.Invalid("Missing required parameter Types")
	}
	s := &subscription{Object: c.New("DF"), Description: description, Sink: sid, Types: types}
	return emulator.Create(c, subscriptionTable(c), s, viewSubscription)
}

// checkType refuses types that are not Twilio's. Those of other products are
// taken and never occur.
func checkType(name string, version *int) (subscribedType, *emulator.Reply) {
	t := subscribedType{Type: name, SchemaVersion: latestSchema}
	if version != nil {
		t.SchemaVersion = *version
	}
	event, ours := strings.CutPrefix(name, typePrefix+"worker.")
	switch {
	case !strings.HasPrefix(name, "com.twilio."), ours && !slices.Contains(workerEvents, "worker."+event):
		return t, emulator.Invalid("Type %s not found in system", name)
	case t.SchemaVersion < 1 || ours && t.SchemaVersion > latestSchema:
		return t, emulator.Invalid("Invalid schema_version %d of %s", t.SchemaVersion, name)
	}
	return t, nil
}

// withType adds or replaces a type and keeps the list in order.
func withType(types []subscribedType, t subscribedType) []subscribedType {
	at, found := slices.BinarySearchFunc(types, t, byType)
	types = slices.Clone(types)
	if found {
		types[at] = t
		return types
	}
	return slices.Insert(types, at, t)
}

func byType(a, b subscribedType) int { return cmp.Compare(a.Type, b.Type) }

func updateSubscription(c *emulator.Call, s *subscription) *emulator.Reply {
	if description, given := c.Filled("Description"); given {
		s.Description = description
	}
	return nil
}

func deleteSubscription(c *emulator.Call) *emulator.Reply {
	s := subscriptionInPath(c)
	if s == nil {
		return c.NotFound()
	}
	return emulator.Delete(c, subscriptionTable(c), s)
}
