package taskrouter

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/fault"
	"github.com/flexvc/flexvc/internal/emulator/outbox"
)

var deliverCallback = fault.Target{Product: "taskrouter", ID: "DeliverCallback", Delivery: true}

// callbackPatience is how long a callback may take.
const callbackPatience = 15 * time.Second

// call tells the callback of a worker's workspace.
// https://www.twilio.com/docs/taskrouter/api/event/reference
func call(e *emulator.Emulator, ev *emulator.WorkerEvent) {
	if ev.Space.EventCallbackURL == "" || !filtered(ev.Space.EventsFilter, ev.Kind) {
		return
	}
	e.Post(outbox.Posting{
		Target: deliverCallback, Address: ev.Space.EventCallbackURL, Method: http.MethodPost, Patience: callbackPatience,
		Messages: []outbox.Message{{Name: ev.Kind, Body: ev}},
		Encode:   func(m []outbox.Message) (url.Values, []byte) { return form(m[0].Body.(*emulator.WorkerEvent)), nil },
	})
}

// filtered reports whether an EventsFilter lets an event through; an empty one
// lets all.
func filtered(filter, kind string) bool {
	if filter == "" {
		return true
	}
	for name := range strings.SplitSeq(filter, ",") {
		if strings.TrimSpace(name) == kind {
			return true
		}
	}
	return false
}

// form is the event as a callback tells it.
func form(ev *emulator.WorkerEvent) url.Values {
	f := url.Values{}
	for name, value := range map[string]string{
		"Sid": ev.ID, "EventType": ev.Kind, "AccountSid": ev.Account, "WorkspaceSid": ev.Space.SID, "WorkspaceName": ev.Space.FriendlyName,
		"EventDescription": "Worker " + ev.Worker.FriendlyName + ": " + ev.Kind, "ResourceType": "worker", "ResourceSid": ev.Worker.SID,
		"Timestamp": strconv.FormatInt(ev.At.Unix(), 10), "TimestampMs": strconv.FormatInt(ev.At.UnixMilli(), 10),
		"WorkerSid": ev.Worker.SID, "WorkerName": ev.Worker.FriendlyName, "WorkerAttributes": ev.Worker.Attributes,
		"WorkerActivitySid": ev.Activity.SID, "WorkerActivityName": ev.Activity.FriendlyName, "WorkerVersion": strconv.FormatInt(ev.Worker.Version, 10),
	} {
		f.Set(name, value)
	}
	if ev.Previous != nil {
		f.Set("WorkerPreviousActivitySid", ev.Previous.SID)
		f.Set("WorkerPreviousActivityName", ev.Previous.FriendlyName)
		f.Set("WorkerTimeInPreviousActivity", strconv.FormatInt(int64(ev.Stayed.Seconds()), 10))
		f.Set("WorkerTimeInPreviousActivityMs", strconv.FormatInt(ev.Stayed.Milliseconds(), 10))
	}
	return f
}
