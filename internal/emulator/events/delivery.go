package events

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/fault"
	"github.com/flexvc/flexvc/internal/emulator/outbox"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

var deliverEvent = fault.Target{Product: "events", ID: "DeliverEvent", Delivery: true}

// patience is how long a sink may take. Beyond it is Twilio's error 91308.
const patience = 5 * time.Second

// deliver tells the sinks that are subscribed to what happened to a worker.
func deliver(e *emulator.Emulator, ev *emulator.WorkerEvent) {
	for _, s := range subscriptions.In(e.Store()).Rows() {
		_, listens := slices.BinarySearchFunc(s.Types, subscribedType{Type: typePrefix + ev.Kind}, byType)
		to := sinks.In(e.Store()).Find(s.Sink)
		if !listens || to == nil || to.Status != sinkActive {
			continue
		}
		if p, ok := posting(e.Store(), to); ok {
			p.Messages = []outbox.Message{{Name: ev.Kind, Body: cloud(ev)}}
			e.Post(p)
		}
	}
}

// test delivers a test event to a sink.
func test(c *emulator.Call, s *sink) {
	p, ok := posting(c.Store, s)
	if !ok {
		return
	}
	const kind = "com.twilio.eventstreams.test-event"
	p.Batch, p.Messages = false, []outbox.Message{{Name: kind, Body: cloudEvent{
		SpecVersion: "1.0", Type: kind, Source: "Sink", ID: c.Account.SID,
		DataSchema: "https://events-schemas.twilio.com/EventStreams.TestSink/1.json", DataContentType: "application/json",
		Time: emulator.StampMillis(c.Now), Data: map[string]string{"test_id": s.TestID},
	}}}
	c.Post(p)
}

// posting is what all that a sink is told has. Only webhooks are told anything.
func posting(account *store.Store, s *sink) (outbox.Posting, bool) {
	conf, wrong := readWebhook(s.Config)
	return outbox.Posting{
		Target: deliverEvent, Receiver: s.SID, Batch: conf.BatchEvents, Address: conf.Destination, Method: conf.Method,
		Patience: patience, Encode: encode, Wanted: func() bool {
			account.RLock()
			defer account.RUnlock()
			return sinks.In(account).Find(s.SID) != nil
		},
	}, s.Type == sinkWebhook && wrong == ""
}

func encode(messages []outbox.Message) (url.Values, []byte) {
	var list []any
	for _, m := range messages {
		list = append(list, m.Body)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(list) // texts and numbers always encode
	return nil, bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// cloudEvent is one element of what a sink gets.
// https://github.com/cloudevents/spec/blob/v1.0/spec.md
type cloudEvent struct {
	SpecVersion     string `json:"specversion"`
	Type            string `json:"type"`
	Source          string `json:"source"`
	ID              string `json:"id"`
	DataSchema      string `json:"dataschema"`
	DataContentType string `json:"datacontenttype"`
	Time            string `json:"time"`
	Data            any    `json:"data"`
}

// cloud is the event as Event Streams tells it.
// https://www.twilio.com/docs/events/event-types/taskrouter/worker
func cloud(ev *emulator.WorkerEvent) cloudEvent {
	payload := map[string]any{
		"sid": ev.ID, "eventtype": ev.Kind, "account_sid": ev.Account, "timestamp": emulator.StampMillis(ev.At),
		"workspace_sid": ev.Space.SID, "workspace_name": ev.Space.FriendlyName,
		"worker_sid": ev.Worker.SID, "worker_name": ev.Worker.FriendlyName, "worker_attributes": ev.Worker.Attributes,
		"worker_activity_sid": ev.Activity.SID, "worker_activity_name": ev.Activity.FriendlyName,
	}
	if ev.Previous != nil {
		payload["worker_previous_activity_sid"] = ev.Previous.SID
		payload["worker_previous_activity_name"] = ev.Previous.FriendlyName
		payload["worker_time_in_previous_activity"] = int64(ev.Stayed.Seconds())
		payload["worker_time_in_previous_activity_ms"] = ev.Stayed.Milliseconds()
	}
	return cloudEvent{
		SpecVersion: "1.0", Type: typePrefix + ev.Kind, Source: "/v1/Workspaces/" + ev.Space.SID, ID: "EZ" + ev.ID[2:],
		DataSchema: "https://events-schemas.twilio.com/TaskRouter.WDSEvent/4.json", DataContentType: "application/json", Time: emulator.StampMillis(ev.At),
		Data: map[string]any{
			"sid": ev.ID, "name": ev.Kind, "account_sid": ev.Account, "timestamp": emulator.StampMillis(ev.At), "level": "INFO", "group": "worker",
			"product_name": "TaskRouter", "publisher": ev.Space.FriendlyName, "publisher_metadata": "{}",
			"payload_type": "application/json", "payload": payload,
		},
	}
}
