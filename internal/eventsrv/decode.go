package eventsrv

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/twilio"
)

// notice is one event as Twilio told it.
type notice struct {
	id                 string // the same for the same event, however often it is told
	account, workspace string
	event              fleet.Event // without WorkerSID when it is about something else
	test               bool
}

const (
	cloudPrefix = "com.twilio.taskrouter."
	testType    = "com.twilio.eventstreams.test-event"
	maxEvents   = 10000 // in one request
)

var kinds = []twilio.EventKind{
	twilio.EventCreated, twilio.EventAttributes, twilio.EventActivity,
	twilio.EventCapacity, twilio.EventChannel, twilio.EventDeleted,
}

var errNoEvent = errors.New("not an event of Twilio's")

// text is a JSON string, or a number as its digits: Twilio's schemas and
// examples differ in which fields are which.
type text string

func (t *text) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, (*string)(t))
	}
	var n json.Number
	if err := json.Unmarshal(data, &n); err != nil {
		return err
	}
	*t = text(n)
	return nil
}

// cloudEvent is the part that counts of an element of Event Streams' array.
// https://www.twilio.com/docs/events/event-types/taskrouter/worker
type cloudEvent struct {
	SpecVersion string          `json:"specversion"`
	Type        string          `json:"type"`
	ID          string          `json:"id"`
	Time        time.Time       `json:"time"`
	Data        json.RawMessage `json:"data"`
}

type cloudPayload struct {
	AccountSID   string  `json:"account_sid"`
	WorkspaceSID string  `json:"workspace_sid"`
	Timestamp    text    `json:"timestamp"`
	WorkerSID    string  `json:"worker_sid"`
	WorkerName   string  `json:"worker_name"`
	Attributes   *string `json:"worker_attributes"`
	ActivitySID  string  `json:"worker_activity_sid"`
	ActivityName string  `json:"worker_activity_name"`
	Version      text    `json:"worker_version"`
}

// decodeCloud reads what Event Streams posts. An element that is no worker's is
// passed over, whatever it holds: a subscription may be extended by anyone.
func decodeCloud(body []byte) ([]notice, error) {
	var list []cloudEvent
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(&list); err != nil {
		return nil, errNoEvent // its text would repeat the body
	}
	if len(list) == 0 || len(list) > maxEvents {
		return nil, fmt.Errorf("%w: %d at once", errNoEvent, len(list))
	}
	var out []notice
	for _, c := range list {
		kind, ours := strings.CutPrefix(c.Type, cloudPrefix)
		switch {
		case c.SpecVersion != "1.0" || c.Type == "" || c.ID == "":
			return nil, errNoEvent
		case c.Type == testType:
			out = append(out, notice{test: true})
			continue
		case !ours || !slices.Contains(kinds, twilio.EventKind(kind)):
			out = append(out, notice{})
			continue
		}
		var data struct {
			Payload json.RawMessage `json:"payload"`
		}
		var p cloudPayload
		if json.Unmarshal(c.Data, &data) != nil || unwrap(data.Payload, &p) != nil {
			return nil, errNoEvent
		}
		n := notice{id: "stream:" + c.ID, account: p.AccountSID, workspace: p.WorkspaceSID, event: fleet.Event{
			WorkerSID: p.WorkerSID, Kind: twilio.EventKind(kind), At: instant(string(p.Timestamp), c.Time), Version: number(string(p.Version)),
			Name: p.WorkerName, ActivitySID: p.ActivitySID, ActivityName: p.ActivityName, Attributes: p.Attributes,
		}}
		if n.event.At.IsZero() {
			return nil, errNoEvent
		}
		out = append(out, n)
	}
	return out, nil
}

// unwrap reads a payload that is an object, or the text of one, as other
// products of Twilio send it.
func unwrap(payload json.RawMessage, into *cloudPayload) error {
	if len(payload) > 0 && payload[0] == '"' {
		var inner string
		if err := json.Unmarshal(payload, &inner); err != nil {
			return err
		}
		payload = json.RawMessage(inner)
	}
	return json.Unmarshal(payload, into)
}

// instant reads a date as the newer APIs write it, or seconds or milliseconds
// since 1970, and falls back on another.
func instant(s string, otherwise time.Time) time.Time {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UTC()
	}
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil || n <= 0:
		return otherwise.UTC()
	case n > 1e11: // the year 5138 in seconds, 1973 in milliseconds
		return time.UnixMilli(n).UTC()
	}
	return time.Unix(n, 0).UTC()
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// decodeForm reads a workspace callback.
// https://www.twilio.com/docs/taskrouter/api/event/reference
func decodeForm(body []byte) ([]notice, error) {
	f, err := url.ParseQuery(string(body))
	if err != nil || f.Get("EventType") == "" || f.Get("WorkspaceSid") == "" {
		return nil, errNoEvent
	}
	for _, values := range f {
		if len(values) > 1 {
			return nil, errNoEvent // the signature covers the first value only
		}
	}
	kind := twilio.EventKind(f.Get("EventType"))
	if !slices.Contains(kinds, kind) {
		return []notice{{}}, nil
	}
	n := notice{id: "callback:" + f.Get("Sid"), account: f.Get("AccountSid"), workspace: f.Get("WorkspaceSid"), event: fleet.Event{
		WorkerSID: f.Get("WorkerSid"), Kind: kind, At: instant(f.Get("TimestampMs"), instant(f.Get("Timestamp"), time.Time{})),
		Version: number(f.Get("WorkerVersion")), Name: f.Get("WorkerName"), ActivitySID: f.Get("WorkerActivitySid"), ActivityName: f.Get("WorkerActivityName"),
	}}
	if f.Has("WorkerAttributes") {
		attributes := f.Get("WorkerAttributes")
		n.event.Attributes = &attributes
	}
	if n.event.At.IsZero() {
		return nil, errNoEvent
	}
	if f.Get("Sid") == "" {
		n.id = fmt.Sprintf("callback:%s:%s:%d:%d", n.event.WorkerSID, kind, n.event.Version, n.event.At.UnixMilli())
	}
	return []notice{n}, nil
}
