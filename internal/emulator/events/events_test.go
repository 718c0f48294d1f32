//go:build ignore

package emulator_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
)

const eventsAPI = "https://events.twilio.com/v1"

// received is one request that told of events.
type received struct {
	url, signature, contentType, authorization string
	form                                       url.Values       // of a callback
	events                                     []map[string]any // of a sink
	body                                       string
}

func (r received) kinds() string {
	if r.form != nil {
		return r.form.Get("EventType")
	}
	var all []string
	for _, ev := range r.events {
		all = append(all, strings.TrimPrefix(ev["type"].(string), "com.twilio.taskrouter."))
	}
	return strings.Join(all, " ")
}

func (r received) payload() map[string]any {
	return r.events[0]["data"].(map[string]any)["payload"].(map[string]any)
}

// receiver is a server of the customer's, without a port.
type receiver struct {
	t      testing.TB
	answer func(n int) int // status for the n-th request, from 1; nil is 204
	n      atomic.Int64
	got    chan received
}

func newReceiver(t testing.TB) *receiver { return &receiver{t: t, got: make(chan received, 1000)} }

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	in := received{
		url: req.URL.String(), signature: req.Header.Get("X-Twilio-Signature"), contentType: req.Header.Get("Content-Type"),
		authorization: req.Header.Get("Authorization"), body: string(body),
	}
	if in.contentType == "application/json" {
		err = json.Unmarshal(body, &in.events)
	} else {
		in.form, err = url.ParseQuery(string(body))
	}
	if err != nil {
		r.t.Errorf("a delivery cannot be read: %v: %s", err, body)
	}
	n := int(r.n.Add(1))
	status := http.StatusNoContent
	if r.answer != nil {
		status = r.answer(n)
	}
	r.got <- in
	return &http.Response{StatusCode: status, Body: http.NoBody, Request: req}, nil
}

func (r *receiver) next() received {
	r.t.Helper()
	select {
	case in := <-r.got:
		return in
	case <-time.After(10 * time.Second):
		r.t.Fatal("no event arrived")
		return received{}
	}
}

// test waits for a test event and returns its ID.
func (r *receiver) test() string {
	r.t.Helper()
	for {
		in := r.next()
		if in.kinds() == "com.twilio.eventstreams.test-event" {
			return in.events[0]["data"].(map[string]any)["test_id"].(string)
		}
	}
}

// subscribe makes a sink and a subscription to all worker events.
func (c *client) subscribe(config string) (sink string) {
	c.Helper()
	sink = c.post(eventsAPI+"/Sinks", []string{"Description", "test", "SinkType", "webhook", "SinkConfiguration", config}).want(c, 201).json(c)["sid"].(string)
	fields := []string{"Description", "test", "SinkSid", sink}
	for _, kind := range []string{"created", "deleted", "activity.update", "attributes.update", "capacity.update"} {
		fields = append(fields, "Types", `{"type":"com.twilio.taskrouter.worker.`+kind+`","schema_version":4}`)
	}
	c.post(eventsAPI+"/Subscriptions", fields).want(c, 201)
	return sink
}

const webhook = `{"destination":"http://127.0.0.1/hook","method":"POST"}`

// oneWorker is an emulator with a worker named a.
func oneWorker(t testing.TB, r *receiver, faults ...string) (*emulator.Emulator, *client, string) {
	e := start(t, emulator.Options{
		Seed:     &emulator.Seed{Workers: []emulator.SeedWorker{{FriendlyName: "a", Attributes: `{"n":0}`, Version: 7}}},
		Outbound: r, Faults: faults,
	})
	c := as(t, e)
	return e, c, c.workspace() + "/Workers/" + e.ExportWorkers()[0].SID
}

func TestEveryChangeOfAWorkerIsTold(t *testing.T) {
	r := newReceiver(t)
	e, c, wk := oneWorker(t, r)
	c.subscribe(webhook)
	busy := c.post(c.workspace()+"/Activities", []string{"FriendlyName", "Busy", "Available", "true"}).want(t, 201).json(t)["sid"].(string)
	sid := e.ExportWorkers()[0].SID
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"attributes", func() { c.post(wk, []string{"Attributes", `{"n":1}`}).want(t, 200) }, "worker.attributes.update"},
		{"activity", func() { c.post(wk, []string{"ActivitySid", busy}).want(t, 200) }, "worker.activity.update"},
		{"somebody else's write", func() { _ = e.Edit(sid, `{"n":2}`) }, "worker.attributes.update"},
		{"a reservation", func() { _ = e.Bump(sid) }, "worker.capacity.update"},
		{"another worker", func() { c.post(c.workspace()+"/Workers", []string{"FriendlyName", "b"}).want(t, 201) }, "worker.created"},
		{"deletion", func() { c.must("DELETE", wk, "", "").want(t, 204) }, "worker.deleted"},
	} {
		step.do()
		if got := r.next(); got.kinds() != step.want {
			t.Errorf("%s is told as %s, want %s", step.name, got.kinds(), step.want)
		}
	}
	c.post(c.workspace(), []string{"FriendlyName", "renamed"}).want(t, 200)
	if len(r.got) > 0 {
		t.Error("a change that is no worker's was told")
	}
}

func TestAnEventSaysWhatTheWorkerIsNow(t *testing.T) {
	r := newReceiver(t)
	e, c, wk := oneWorker(t, r)
	c.post(c.workspace(), []string{"EventCallbackUrl", "http://127.0.0.1/callback?x=1", "EventsFilter", "worker.activity.update, worker.attributes.update"}).want(t, 200)
	const text = `{"contact_uri":"client:ext_a","n":12345678901234567890,"s":"<&> é"}`
	c.post(wk, []string{"Attributes", text}).want(t, 200)
	callback := r.next()
	w := e.ExportWorkers()[0]
	for field, want := range map[string]string{
		"EventType": "worker.attributes.update", "WorkspaceSid": e.Account().WorkspaceSID, "AccountSid": e.Account().SID, "WorkerSid": w.SID,
		"WorkerName": "a", "WorkerAttributes": text, "WorkerActivityName": "Offline", "WorkerVersion": strings.Trim(w.ETag, `"`), "ResourceType": "worker",
	} {
		if got := callback.form.Get(field); got != want {
			t.Errorf("the callback's %s is %q, want %q", field, got, want)
		}
	}
	c.must("DELETE", wk, "", "").want(t, 204) // not in the filter
	c.post(c.workspace(), []string{"EventCallbackUrl", ""}).want(t, 200)
	c.subscribe(webhook)
	c.post(c.workspace()+"/Workers", []string{"FriendlyName", "b", "Attributes", text}).want(t, 201)
	told := r.next()
	if told.kinds() != "worker.created" {
		t.Fatalf("told %s: the filter let something else through", told.kinds())
	}
	p := told.payload()
	for field, want := range map[string]any{
		"eventtype": "worker.created", "workspace_sid": e.Account().WorkspaceSID, "worker_name": "b", "worker_attributes": text, "worker_activity_name": "Offline",
	} {
		if p[field] != want {
			t.Errorf("the event's %s is %v, want %v", field, p[field], want)
		}
	}
	if _, hasVersion := p["worker_version"]; hasVersion {
		t.Error("the event carries a version")
	}
}

// The signature of Twilio's own documentation and helper libraries.
// https://www.twilio.com/docs/usage/webhooks/webhooks-security
func TestSignaturesAreTwilios(t *testing.T) {
	form := url.Values{"CallSid": {"CA1234567890ABCDE"}, "Digits": {"1234"}, "From": {"+14158675309"}, "To": {"+18005551212"}, "Caller": {"+14158675309"}}
	if got, want := emulator.Sign("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", form), "RSOYDt4T1cUTdK1PDd93/VVr8B8="; got != want {
		t.Errorf("the signature is %s, want %s", got, want)
	}
}

func TestDeliveriesAreSigned(t *testing.T) {
	r := newReceiver(t)
	e, c, wk := oneWorker(t, r)
	c.subscribe(`{"destination":"http://user:word@127.0.0.1/hook?a=1","method":"POST"}`)
	c.post(c.workspace(), []string{"EventCallbackUrl", "http://127.0.0.1/callback?x=1"}).want(t, 200)
	c.post(wk, []string{"Attributes", `{"n":1}`}).want(t, 200)
	for range 2 {
		in := r.next()
		want := emulator.Sign(e.Account().AuthToken, in.url, in.form)
		if in.signature != want {
			t.Errorf("%s is signed %s, want %s", in.url, in.signature, want)
		}
		if in.form != nil {
			continue
		}
		sum := sha256.Sum256([]byte(in.body))
		if want := "http://127.0.0.1/hook?a=1&bodySHA256=" + hex.EncodeToString(sum[:]); in.url != want {
			t.Errorf("posted to %s, want %s", in.url, want)
		}
		if in.authorization != "Basic dXNlcjp3b3Jk" {
			t.Errorf("the user of the destination became %q", in.authorization)
		}
	}
	for _, d := range e.Deliveries() {
		if strings.Contains(d.Target, "word") {
			t.Error("the log of deliveries holds a password")
		}
	}
}

// TestDeliveryFaults edits a worker six times, each time a second apart.
func TestDeliveryFaults(t *testing.T) {
	for _, test := range []struct{ fault, want string }{
		{"FetchWorker:drop", "1 2 3 4 5 6"},
		{"*:500", "1 2 3 4 5 6"},
		{"DeliverEvent:drop@2*2", "1 4 5 6"},
		{"DeliverEvent:twice@3*1", "1 2 3 3 4 5 6"},
		{"events.DeliverEvent:late@2*1", "1 3 2 4 5 6"},
		{"DeliverEvent:late@6*1", "1 2 3 4 5 6"},
		{"DeliverEvent:delay=2500ms@1*1", "2 3 1 4 5 6"},
	} {
		t.Run(test.fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(t)
				e, c, _ := oneWorker(t, r)
				c.subscribe(webhook)
				if err := e.SetFaults(test.fault); err != nil {
					t.Fatal(err)
				}
				for i := 1; i <= 6; i++ {
					if err := e.Edit(e.ExportWorkers()[0].SID, fmt.Sprintf(`{"n":%d}`, i)); err != nil {
						t.Fatal(err)
					}
					time.Sleep(999 * time.Millisecond)
				}
				time.Sleep(10 * time.Second)
				var got []string
				for len(r.got) > 0 {
					got = append(got, strings.Trim((<-r.got).payload()["worker_attributes"].(string), `{}":n`))
				}
				if s := strings.Join(got, " "); s != test.want {
					t.Errorf("arrived %s, want %s", s, test.want)
				}
			})
		})
	}
}

func TestASinkIsTriedAgainAndACallbackIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.answer = func(n int) int {
			if n <= 4 {
				return 503
			}
			return 200
		}
		e, c, _ := oneWorker(t, r)
		sid := e.ExportWorkers()[0].SID
		c.post(c.workspace(), []string{"EventCallbackUrl", "http://127.0.0.1/callback"}).want(t, 200)
		_ = e.Edit(sid, `{"n":1}`)
		time.Sleep(time.Hour)
		if len(r.got) != 1 {
			t.Fatalf("a callback was tried %d times", len(r.got))
		}
		c.post(c.workspace(), []string{"EventCallbackUrl", ""}).want(t, 200)
		c.subscribe(webhook)
		_ = e.Edit(sid, `{"n":2}`)
		time.Sleep(4 * time.Hour)
		made := e.Deliveries()
		if last := made[len(made)-1]; len(r.got) != 5 || last.Status != 200 || last.Attempts != 4 {
			t.Errorf("%d requests arrived, the last is %+v", len(r.got), last)
		}
	})
}

func TestEventsThatWaitGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		e, c, _ := oneWorker(t, r)
		c.subscribe(`{"destination":"http://127.0.0.1/hook","method":"POST","batch_events":true}`)
		c.subscribe(webhook)
		for i := range 250 {
			_ = e.Edit(e.ExportWorkers()[0].SID, fmt.Sprintf(`{"n":%d}`, i+1))
		}
		synctest.Wait()
		sizes := map[bool]int{}
		seen := map[string]int{}
		for len(r.got) > 0 {
			in := <-r.got
			sizes[len(in.events) > 1]++
			if len(in.events) > 100 {
				t.Errorf("%d events at once", len(in.events))
			}
			for _, ev := range in.events {
				seen[ev["id"].(string)]++
			}
		}
		if len(seen) != 250 || sizes[false] < 250 {
			t.Errorf("%d different events in %v requests", len(seen), sizes)
		}
		for id, n := range seen {
			if n != 2 {
				t.Errorf("event %s arrived %d times at two sinks", id, n)
			}
		}
	})
}

func TestASinkHasItsRules(t *testing.T) {
	r := newReceiver(t)
	_, c, _ := oneWorker(t, r)
	sink := c.subscribe(webhook)
	kinesis := c.post(eventsAPI+"/Sinks", []string{"Description", "k", "SinkType", "kinesis", "SinkConfiguration", `{"arn":"x"}`}).want(t, 201).json(t)
	created := `{"type":"com.twilio.taskrouter.worker.created"}`
	for name, fields := range map[string][]string{
		"a second subscription": {"Description", "d", "SinkSid", sink, "Types", created},
		"an inactive sink":      {"Description", "d", "SinkSid", kinesis["sid"].(string), "Types", created},
		"no types":              {"Description", "d", "SinkSid", sink},
		"no description":        {"SinkSid", sink, "Types", created},
	} {
		if a := c.post(eventsAPI+"/Subscriptions", fields); a.StatusCode != 400 {
			t.Errorf("%s: %s", name, a.Status)
		}
	}
	free := c.post(eventsAPI+"/Sinks", []string{"Description", "f", "SinkType", "webhook", "SinkConfiguration", webhook}).want(t, 201).json(t)["sid"].(string)
	for _, types := range []string{"[" + created + "]", `{}`, `{"type":"worker.created"}`, `{"type":"com.twilio.taskrouter.worker.attribute.update"}`, `{"type":"com.twilio.taskrouter.worker.created","schema_version":5}`} {
		c.post(eventsAPI+"/Subscriptions", []string{"Description", "d", "SinkSid", free, "Types", types}).want(t, 400)
	}
	c.must("DELETE", eventsAPI+"/Sinks/"+sink, "", "").want(t, 400)
	for _, config := range []string{"", "[]", `{"destination":"ftp://127.0.0.1","method":"POST"}`, `{"destination":"http://127.0.0.1","method":"PUT"}`, `{"destination":7,"method":"POST"}`} {
		c.post(eventsAPI+"/Sinks", []string{"Description", "d", "SinkType", "webhook", "SinkConfiguration", config}).want(t, 400)
	}
	c.must("POST", eventsAPI+"/Sinks/"+free+"/Test", "", "").want(t, 201)
	test := r.next()
	if test.kinds() != "com.twilio.eventstreams.test-event" {
		t.Errorf("the test event is %s", test.kinds())
	}
	c.post(eventsAPI+"/Sinks/"+free+"/Validate", []string{"TestId", "another"}).want(t, 400)
	c.must("POST", eventsAPI+"/Sinks/"+free+"/Test", "", "").want(t, 201)
	c.post(eventsAPI+"/Sinks/"+free+"/Validate", []string{"TestId", r.test()}).want(t, 201)
}

func TestSinksAreKept(t *testing.T) {
	dir := t.TempDir()
	e, err := emulator.New(emulator.Options{DataDir: dir, Agents: 1, Outbound: newReceiver(t)})
	if err != nil {
		t.Fatal(err)
	}
	as(t, e).subscribe(webhook)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t)
	e = start(t, emulator.Options{DataDir: dir, Outbound: r})
	if err := e.Edit(e.ExportWorkers()[0].SID, `{}`); err != nil {
		t.Fatal(err)
	}
	if got := r.next().kinds(); got != "worker.attributes.update" {
		t.Errorf("told %s", got)
	}
}

func TestNobodyElseIsTold(t *testing.T) {
	e := start(t, emulator.Options{Agents: 1})
	c := as(t, e)
	c.post(c.workspace(), []string{"EventCallbackUrl", "http://192.0.2.1/callback"}).want(t, 200)
	_ = e.Edit(e.ExportWorkers()[0].SID, `{"n":1}`)
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for len(e.Deliveries()) == 0 {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the delivery is neither made nor given up")
		}
	}
	if d := e.Deliveries()[0]; d.Status != 0 {
		t.Errorf("delivered to another machine: %+v", d)
	}
}
