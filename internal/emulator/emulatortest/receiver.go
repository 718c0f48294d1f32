package emulatortest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// EventsAPI is where Event Streams is asked.
const EventsAPI = "https://events.twilio.com/v1"

// Received is one request that told of events.
type Received struct {
	URL, Signature, ContentType, Authorization string
	Form                                       url.Values       // of a callback
	Events                                     []map[string]any // of a sink
	Body                                       string
}

// Kinds names what was told.
func (r Received) Kinds() string {
	if r.Form != nil {
		return r.Form.Get("EventType")
	}
	var all []string
	for _, ev := range r.Events {
		all = append(all, strings.TrimPrefix(ev["type"].(string), "com.twilio.taskrouter."))
	}
	return strings.Join(all, " ")
}

// Payload is that of the first event to a sink.
func (r Received) Payload() map[string]any {
	return r.Events[0]["data"].(map[string]any)["payload"].(map[string]any)
}

// Receiver is a server of the customer's, without a port.
type Receiver struct {
	t      testing.TB
	Answer func(n int) int // status for the n-th request, from 1; nil is 204
	n      atomic.Int64
	Got    chan Received
}

// NewReceiver returns a server that answers 204.
func NewReceiver(t testing.TB) *Receiver { return &Receiver{t: t, Got: make(chan Received, 1000)} }

// RoundTrip implements http.RoundTripper.
func (r *Receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	in := Received{
		URL: req.URL.String(), Signature: req.Header.Get("X-Twilio-Signature"), ContentType: req.Header.Get("Content-Type"),
		Authorization: req.Header.Get("Authorization"), Body: string(body),
	}
	if in.ContentType == "application/json" {
		err = json.Unmarshal(body, &in.Events)
	} else {
		in.Form, err = url.ParseQuery(string(body))
	}
	if err != nil {
		r.t.Errorf("a delivery cannot be read: %v: %s", err, body)
	}
	n := int(r.n.Add(1))
	status := http.StatusNoContent
	if r.Answer != nil {
		status = r.Answer(n)
	}
	r.Got <- in
	return &http.Response{StatusCode: status, Body: http.NoBody, Request: req}, nil
}

// Next waits for the next request.
func (r *Receiver) Next() Received {
	r.t.Helper()
	select {
	case in := <-r.Got:
		return in
	case <-time.After(10 * time.Second):
		r.t.Fatal("no event arrived")
		return Received{}
	}
}

// Test waits for a test event and returns its ID.
func (r *Receiver) Test() string {
	r.t.Helper()
	for {
		in := r.Next()
		if in.Kinds() == "com.twilio.eventstreams.test-event" {
			return in.Events[0]["data"].(map[string]any)["test_id"].(string)
		}
	}
}

// Subscribe makes a sink and a subscription to all worker events.
func (c *Client) Subscribe(config string) (sink string) {
	c.Helper()
	sink = c.Post(EventsAPI+"/Sinks", []string{"Description", "test", "SinkType", "webhook", "SinkConfiguration", config}).Want(c, 201).JSON(c)["sid"].(string)
	fields := []string{"Description", "test", "SinkSid", sink}
	for _, kind := range []string{"created", "deleted", "activity.update", "attributes.update", "capacity.update"} {
		fields = append(fields, "Types", `{"type":"com.twilio.taskrouter.worker.`+kind+`","schema_version":4}`)
	}
	c.Post(EventsAPI+"/Subscriptions", fields).Want(c, 201)
	return sink
}

// Webhook is the configuration of a sink at a Receiver.
const Webhook = `{"destination":"http://127.0.0.1/hook","method":"POST"}`
