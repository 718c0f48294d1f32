package events

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

// sink is where Event Streams delivers to.
type sink struct {
	store.Object
	Description string          `json:"description"`
	Type        string          `json:"type"`
	Config      json.RawMessage `json:"config"`
	Status      string          `json:"status"`
	TestID      string          `json:"test_id,omitempty"` // of the latest test event
}

var sinks = store.NewKind[sink]("sink")

func sinkTable(c *emulator.Call) *store.Table[*sink] { return sinks.In(c.Store) }

// inPath is the sink in the path.
func sinkInPath(c *emulator.Call) *sink { return sinkTable(c).Find(c.Vars["Sid"]) }

// inUse reports whether a subscription leads to the sink.
func inUse(s *store.Store, sink string) bool {
	return slices.ContainsFunc(subscriptions.In(s).Rows(), func(x *subscription) bool { return x.Sink == sink })
}

// The life of a sink. https://www.twilio.com/docs/events/event-streams/sink-resource
const (
	sinkInitialized = "initialized"
	sinkValidating  = "validating"
	sinkActive      = "active"
)

const sinkWebhook = "webhook"

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

func viewSink(c *emulator.Call, s *sink) any {
	url := c.Base() + "/v1/Sinks/" + s.SID
	return sinkView{
		DateCreated: emulator.Stamp(s.Created), DateUpdated: emulator.Stamp(s.Updated), Description: s.Description, SID: s.SID,
		SinkConfiguration: s.Config, SinkType: s.Type, Status: s.Status, URL: url,
		Links: map[string]string{"sink_test": url + "/Test", "sink_validate": url + "/Validate"},
	}
}

func listSinks(c *emulator.Call) (l emulator.Listing[*sink], no *emulator.Reply) {
	status, byStatus := c.Queried("Status")
	text, byUse := c.Queried("InUse")
	used, ok := emulator.ParseBool(text)
	if byUse && !ok {
		return l, emulator.Invalid("Invalid InUse %q", text)
	}
	return emulator.Oldest(sinkTable(c).Rows(), func(s *sink) bool {
		return (!byStatus || s.Status == status) && (!byUse || inUse(c.Store, s.SID) == used)
	}), nil
}

func createSink(c *emulator.Call) *emulator.Reply {
	description, no := c.Required("Description")
	if no != nil {
		return no
	}
	config, no := c.Required("SinkConfiguration")
	if no != nil {
		return no
	}
	kind, no := c.Required("SinkType")
	if no != nil {
		return no
	}
	if !slices.Contains([]string{"kinesis", sinkWebhook, "segment", "email"}, kind) {
		return emulator.Invalid("Invalid SinkType %q", kind)
	}
	var members map[string]any
	if json.Unmarshal([]byte(config), &members) != nil {
		return emulator.Invalid("SinkConfiguration is not a JSON object")
	}
	status := sinkInitialized
	if kind == sinkWebhook {
		if _, err := readWebhook([]byte(config)); err != "" {
			return emulator.Invalid("Invalid SinkConfiguration: %s", err)
		}
		status = sinkActive // a webhook needs no validation
	}
	s := &sink{Object: c.New("DG"), Description: description, Type: kind, Config: json.RawMessage(config), Status: status}
	return emulator.Create(c, sinkTable(c), s, viewSink)
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

func updateSink(c *emulator.Call, s *sink) (no *emulator.Reply) {
	s.Description, no = c.Required("Description")
	return no
}

func deleteSink(c *emulator.Call) *emulator.Reply {
	s := sinkInPath(c)
	switch {
	case s == nil:
		return c.NotFound()
	case inUse(c.Store, s.SID):
		return emulator.Invalid("Sink with SID %s is in use", s.SID)
	}
	return emulator.Delete(c, sinkTable(c), s)
}

func createSinkTest(c *emulator.Call) *emulator.Reply {
	s := sinkInPath(c)
	if s == nil {
		return c.NotFound()
	}
	return emulator.Change(c, sinkTable(c), s, func(s *sink) *emulator.Reply {
		s.TestID = testID(c.Number)
		if s.Type != sinkWebhook && s.Status == sinkInitialized {
			s.Status = sinkValidating
		}
		return nil
	}, func(s *sink) *emulator.Reply {
		test(c, s)
		return emulator.Created(map[string]string{"result": "submitted"})
	})
}

// testID is shaped like the UUIDs that test events carry.
func testID(n uint64) string {
	h := store.Derive(32, "test event", n)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

func createSinkValidate(c *emulator.Call) *emulator.Reply {
	s := sinkInPath(c)
	if s == nil {
		return c.NotFound()
	}
	return emulator.Change(c, sinkTable(c), s, func(s *sink) *emulator.Reply {
		id, no := c.Required("TestId")
		if no == nil && id != s.TestID {
			no = emulator.Invalid("Invalid TestId")
		}
		s.Status = sinkActive
		return no
	}, func(*sink) *emulator.Reply { return emulator.Created(map[string]string{"result": "valid"}) })
}
