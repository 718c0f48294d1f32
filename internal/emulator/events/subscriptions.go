//go:build ignore

package emulator

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sink is where Event Streams delivers to.
type sink struct {
	SID         string          `json:"sid"`
	Seq         uint64          `json:"seq"`
	Description string          `json:"description"`
	Type        string          `json:"type"`
	Config      json.RawMessage `json:"config"`
	Status      string          `json:"status"`
	TestID      string          `json:"test_id,omitempty"` // of the latest test event
	Created     time.Time       `json:"created"`
	Updated     time.Time       `json:"updated"`
}

// subscription sends events of some types to a sink.
type subscription struct {
	SID         string           `json:"sid"`
	Seq         uint64           `json:"seq"`
	Description string           `json:"description"`
	Sink        string           `json:"sink"`
	Types       []subscribedType `json:"types"` // by name
	Created     time.Time        `json:"created"`
	Updated     time.Time        `json:"updated"`
}

type subscribedType struct {
	Type          string `json:"type"`
	SchemaVersion int    `json:"schema_version"`
}

func (s *sink) record() record         { return record{"sink/" + s.SID, s} }
func (s *subscription) record() record { return record{"subscription/" + s.SID, s} }

func (s *state) sink(sid string) *sink {
	if i := slices.IndexFunc(s.sinks, func(x *sink) bool { return x.SID == sid }); i >= 0 {
		return s.sinks[i]
	}
	return nil
}

func (s *state) subscription(sid string) *subscription {
	if i := slices.IndexFunc(s.subscriptions, func(x *subscription) bool { return x.SID == sid }); i >= 0 {
		return s.subscriptions[i]
	}
	return nil
}

// sinkInUse reports whether a subscription leads to the sink.
func (s *state) sinkInUse(sid string) bool {
	return slices.ContainsFunc(s.subscriptions, func(x *subscription) bool { return x.Sink == sid })
}

// The life of a sink. https://www.twilio.com/docs/events/event-streams/sink-resource
const (
	sinkInitialized = "initialized"
	sinkValidating  = "validating"
	sinkActive      = "active"
)

const sinkWebhook = "webhook"

// latestSchema is the version a subscription gets that names none: that of
// TaskRouter.WDSEvent.
const latestSchema = 4

// typePrefix is how the worker events of TaskRouter's callbacks are called in
// Event Streams.
const typePrefix = "com.twilio.taskrouter."

// --- sinks

type sinkView struct {
	DateCreated       string            `json:"date_created"`
	DateUpdated       string            `json:"date_updated"`
	Description       string            `json:"description"`
	SID               string            `json:"sid"`
	SinkConfiguration json.RawMessage   `json:"sink_configuration"`
	SinkType          string            `json:"sink_type"`
	Status            string            `json:"status"`
	URL               string            `json:"url"`
	Links             map[string]string `json:"links"`
}

func (c *call) viewSink(s *sink) sinkView {
	url := c.base() + "/v1/Sinks/" + s.SID
	return sinkView{
		DateCreated: stamp(s.Created), DateUpdated: stamp(s.Updated), Description: s.Description, SID: s.SID,
		SinkConfiguration: s.Config, SinkType: s.Type, Status: s.Status, URL: url,
		Links: map[string]string{"sink_test": url + "/Test", "sink_validate": url + "/Validate"},
	}
}

func listSinks(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	l := listing[*sink]{rows: c.st.sinks, pos: func(s *sink) position { return position{Seq: s.Seq} }}
	status, byStatus := c.queried("Status")
	inUse, byUse := c.queried("InUse")
	used, ok := parseBool(inUse)
	if byUse && !ok {
		return invalid("Invalid InUse %q", inUse)
	}
	l.keep = func(s *sink) bool {
		return (!byStatus || s.Status == status) && (!byUse || c.st.sinkInUse(s.SID) == used)
	}
	return paged(c, "sinks", l, func(s *sink) any { return c.viewSink(s) })
}

// required returns a form field that has to be there.
func (c *call) required(name string) (string, reply, bool) {
	value, _ := c.filled(name)
	if value == "" {
		return "", invalid("Missing required parameter %s", name), false
	}
	return value, reply{}, true
}

func createSink(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	description, rep, ok := c.required("Description")
	if !ok {
		return rep
	}
	config, rep, ok := c.required("SinkConfiguration")
	if !ok {
		return rep
	}
	kind, rep, ok := c.required("SinkType")
	if !ok {
		return rep
	}
	if !slices.Contains([]string{"kinesis", sinkWebhook, "segment", "email"}, kind) {
		return invalid("Invalid SinkType %q", kind)
	}
	var members map[string]any
	if json.Unmarshal([]byte(config), &members) != nil {
		return invalid("SinkConfiguration is not a JSON object")
	}
	status := sinkInitialized
	if kind == sinkWebhook {
		if _, err := readWebhook([]byte(config)); err != "" {
			return invalid("Invalid SinkConfiguration: %s", err)
		}
		status = sinkActive // a webhook needs no validation
	}
	now, n := c.now.Truncate(time.Second), c.st.next()
	s := &sink{
		SID: makeSID("DG", c.st.meta.Origin.SeedValue, n), Seq: n, Description: description, Type: kind,
		Config: json.RawMessage(config), Status: status, Created: now, Updated: now,
	}
	if err := c.st.put(c.st.meta.record(), s.record()); err != nil {
		return c.broken(err)
	}
	c.st.sinks = append(c.st.sinks, s)
	return ok201(c.viewSink(s))
}

// webhook is the configuration of a webhook sink.
type webhook struct {
	Destination string `json:"destination"`
	Method      string `json:"method"`
	BatchEvents bool   `json:"batch_events"`
}

// readWebhook returns the configuration, or what is wrong with it.
func readWebhook(config json.RawMessage) (w webhook, wrong string) {
	if json.Unmarshal(config, &w) != nil {
		return w, "a member has the wrong type"
	}
	u, err := url.Parse(w.Destination)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return w, "destination is not a URL"
	case w.Method != http.MethodPost && w.Method != http.MethodGet:
		return w, "method is neither POST nor GET"
	}
	return w, ""
}

func fetchSink(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := c.st.sink(c.vars["Sid"])
	if s == nil {
		return notFound(c.path)
	}
	return ok(http.StatusOK, c.viewSink(s))
}

func updateSink(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.st.sink(c.vars["Sid"])
	if s == nil {
		return notFound(c.path)
	}
	description, rep, given := c.required("Description")
	if !given {
		return rep
	}
	return c.setSink(s, func(s *sink) { s.Description = description }, func(s *sink) reply { return ok(http.StatusOK, c.viewSink(s)) })
}

// setSink stores a changed copy. The caller holds the lock.
func (c *call) setSink(s *sink, how func(*sink), answer func(*sink) reply) reply {
	changed := *s
	changed.Updated = c.now.Truncate(time.Second)
	how(&changed)
	if err := c.st.put(changed.record()); err != nil {
		return c.broken(err)
	}
	c.st.sinks[slices.Index(c.st.sinks, s)] = &changed
	return answer(&changed)
}

func deleteSink(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.st.sink(c.vars["Sid"])
	switch {
	case s == nil:
		return notFound(c.path)
	case c.st.sinkInUse(s.SID):
		return invalid("Sink with SID %s is in use", s.SID)
	}
	if err := c.st.put(forget("sink", s.SID)); err != nil {
		return c.broken(err)
	}
	c.st.sinks = slices.DeleteFunc(c.st.sinks, func(x *sink) bool { return x == s })
	return ok(http.StatusNoContent, nil)
}

func createSinkTest(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.st.sink(c.vars["Sid"])
	if s == nil {
		return notFound(c.path)
	}
	id := testID(c.requests.Load())
	return c.setSink(s, func(s *sink) {
		s.TestID = id
		if s.Type != sinkWebhook && s.Status == sinkInitialized {
			s.Status = sinkValidating
		}
	}, func(s *sink) reply {
		c.events.testSink(c.account, s, c.now)
		return ok201(map[string]string{"result": "submitted"})
	})
}

// testID is shaped like the UUIDs that test events carry.
func testID(n uint64) string {
	h := derive(32, "test event", n)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

func createSinkValidate(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.st.sink(c.vars["Sid"])
	if s == nil {
		return notFound(c.path)
	}
	id, rep, given := c.required("TestId")
	switch {
	case !given:
		return rep
	case id != s.TestID:
		return invalid("Invalid TestId")
	}
	return c.setSink(s, func(s *sink) { s.Status = sinkActive }, func(*sink) reply {
		return ok201(map[string]string{"result": "valid"})
	})
}

// --- subscriptions

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

func (c *call) viewSubscription(s *subscription) subscriptionView {
	url := c.base() + "/v1/Subscriptions/" + s.SID
	return subscriptionView{
		AccountSID: c.account.SID, SID: s.SID, DateCreated: stamp(s.Created), DateUpdated: stamp(s.Updated),
		Description: s.Description, SinkSID: s.Sink, URL: url, Links: map[string]string{"subscribed_events": url + "/SubscribedEvents"},
	}
}

func listSubscriptions(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	l := listing[*subscription]{rows: c.st.subscriptions, pos: func(s *subscription) position { return position{Seq: s.Seq} }}
	if sid, given := c.queried("SinkSid"); given {
		l.keep = func(s *subscription) bool { return s.Sink == sid }
	}
	return paged(c, "subscriptions", l, func(s *subscription) any { return c.viewSubscription(s) })
}

func createSubscription(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	description, rep, given := c.required("Description")
	if !given {
		return rep
	}
	sid, rep, given := c.required("SinkSid")
	if !given {
		return rep
	}
	to := c.st.sink(sid)
	switch {
	case to == nil:
		return invalid("Sink with SID %s was not found", sid)
	case to.Status != sinkActive:
		return invalid("Sink with SID %s is not active", sid)
	case c.st.sinkInUse(sid):
		return invalid("Sink with SID %s is in use", sid)
	}
	var types []subscribedType
	for i, text := range c.form["Types"] {
		var one struct {
			Type          string
			SchemaVersion *int `json:"schema_version"`
		}
		if json.Unmarshal([]byte(text), &one) != nil || one.Type == "" {
			return invalid("Missing required input parameter event_types[%d].type", i)
		}
		t, rep, good := checkType(one.Type, one.SchemaVersion)
		if !good {
			return rep
		}
		types = withType(types, t)
	}
	if len(types) == 0 {
		return invalid("Missing required parameter Types")
	}
	now, n := c.now.Truncate(time.Second), c.st.next()
	s := &subscription{
		SID: makeSID("DF", c.st.meta.Origin.SeedValue, n), Seq: n, Description: description, Sink: sid,
		Types: types, Created: now, Updated: now,
	}
	if err := c.st.put(c.st.meta.record(), s.record()); err != nil {
		return c.broken(err)
	}
	c.st.subscriptions = append(c.st.subscriptions, s)
	return ok201(c.viewSubscription(s))
}

// checkType refuses types that are not Twilio's. Those of other products are
// taken and never occur.
func checkType(name string, version *int) (subscribedType, reply, bool) {
	t := subscribedType{Type: name, SchemaVersion: latestSchema}
	if version != nil {
		t.SchemaVersion = *version
	}
	event, ours := strings.CutPrefix(name, typePrefix+"worker.")
	switch {
	case !strings.HasPrefix(name, "com.twilio."), ours && !slices.Contains(workerEvents, "worker."+event):
		return t, invalid("Type %s not found in system", name), false
	case t.SchemaVersion < 1 || ours && t.SchemaVersion > latestSchema:
		return t, invalid("Invalid schema_version %d of %s", t.SchemaVersion, name), false
	}
	return t, reply{}, true
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

func fetchSubscription(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := c.st.subscription(c.vars["Sid"])
	if s == nil {
		return notFound(c.path)
	}
	return ok(http.StatusOK, c.viewSubscription(s))
}

func updateSubscription(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.st.subscription(c.vars["Sid"])
	if s == nil {
		return notFound(c.path)
	}
	return c.setSubscription(s, func(s *subscription) {
		if description, given := c.filled("Description"); given {
			s.Description = description
		}
	}, func(s *subscription) reply { return ok(http.StatusOK, c.viewSubscription(s)) })
}

// setSubscription stores a changed copy. The caller holds the lock.
func (c *call) setSubscription(s *subscription, how func(*subscription), answer func(*subscription) reply) reply {
	changed := *s
	changed.Updated = c.now.Truncate(time.Second)
	how(&changed)
	if err := c.st.put(changed.record()); err != nil {
		return c.broken(err)
	}
	c.st.subscriptions[slices.Index(c.st.subscriptions, s)] = &changed
	return answer(&changed)
}

func deleteSubscription(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.st.subscription(c.vars["Sid"])
	if s == nil {
		return notFound(c.path)
	}
	if err := c.st.put(forget("subscription", s.SID)); err != nil {
		return c.broken(err)
	}
	c.st.subscriptions = slices.DeleteFunc(c.st.subscriptions, func(x *subscription) bool { return x == s })
	return ok(http.StatusNoContent, nil)
}

// --- subscribed events

type subscribedEventView struct {
	AccountSID      string `json:"account_sid"`
	Type            string `json:"type"`
	SchemaVersion   int    `json:"schema_version"`
	SubscriptionSID string `json:"subscription_sid"`
	URL             string `json:"url"`
}

func (c *call) viewSubscribedEvent(s *subscription, t subscribedType) subscribedEventView {
	return subscribedEventView{
		AccountSID: c.account.SID, Type: t.Type, SchemaVersion: t.SchemaVersion, SubscriptionSID: s.SID,
		URL: c.base() + "/v1/Subscriptions/" + s.SID + "/SubscribedEvents/" + t.Type,
	}
}

// subscribed finds the subscription and the type of the path. at is -1 when
// the subscription has no such type.
func (c *call) subscribed() (s *subscription, at int) {
	if s = c.st.subscription(c.vars["SubscriptionSid"]); s == nil {
		return nil, -1
	}
	at, found := slices.BinarySearchFunc(s.Types, subscribedType{Type: c.vars["Type"]}, byType)
	if !found {
		return s, -1
	}
	return s, at
}

func listSubscribedEvents(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s, _ := c.subscribed()
	if s == nil {
		return notFound(c.path)
	}
	return paged(c, "types", listing[subscribedType]{
		rows: s.Types, pos: func(t subscribedType) position { return position{Key: t.Type} },
	}, func(t subscribedType) any { return c.viewSubscribedEvent(s, t) })
}

func fetchSubscribedEvent(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s, at := c.subscribed()
	if at < 0 {
		return notFound(c.path)
	}
	return ok(http.StatusOK, c.viewSubscribedEvent(s, s.Types[at]))
}

func createSubscribedEvent(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, _ := c.subscribed()
	if s == nil {
		return notFound(c.path)
	}
	name, rep, given := c.required("Type")
	if !given {
		return rep
	}
	return c.subscribe(s, name, http.StatusCreated)
}

func updateSubscribedEvent(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, at := c.subscribed()
	if at < 0 {
		return notFound(c.path)
	}
	return c.subscribe(s, s.Types[at].Type, http.StatusOK)
}

// subscribe adds a type or changes its version. The caller holds the lock.
func (c *call) subscribe(s *subscription, name string, status int) reply {
	var version *int
	if text, given := c.filled("SchemaVersion"); given {
		n, err := strconv.Atoi(text)
		if err != nil {
			return invalid("Invalid SchemaVersion %q", text)
		}
		version = &n
	}
	t, rep, good := checkType(name, version)
	if !good {
		return rep
	}
	return c.setSubscription(s, func(s *subscription) { s.Types = withType(s.Types, t) }, func(s *subscription) reply {
		return ok(status, c.viewSubscribedEvent(s, t))
	})
}

func deleteSubscribedEvent(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, at := c.subscribed()
	switch {
	case at < 0:
		return notFound(c.path)
	case len(s.Types) == 1:
		return invalid("A Subscription needs at least one event type")
	}
	return c.setSubscription(s, func(s *subscription) {
		s.Types = slices.Delete(slices.Clone(s.Types), at, at+1)
	}, func(*subscription) reply { return ok(http.StatusNoContent, nil) })
}
