package events_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/emulatortest"
	"github.com/flexvc/flexvc/internal/emulator/events"
	"github.com/flexvc/flexvc/internal/emulator/outbox"
)

// oneWorker is an emulator with a worker named a.
func oneWorker(t testing.TB, r *emulatortest.Receiver, faults ...string) (*emulator.Emulator, *emulatortest.Client, string) {
	e := emulatortest.Start(t, emulator.Options{
		Seed:     &emulator.Seed{Workers: []emulator.SeedWorker{{FriendlyName: "a", Attributes: `{"n":0}`, Version: 7}}},
		Outbound: r, Faults: faults,
	})
	c := emulatortest.As(t, e)
	return e, c, c.Workspace() + "/Workers/" + e.ExportWorkers()[0].SID
}

func TestEveryChangeOfAWorkerIsTold(t *testing.T) {
	r := emulatortest.NewReceiver(t)
	e, c, wk := oneWorker(t, r)
	c.Subscribe(emulatortest.Webhook)
	busy := c.Post(c.Workspace()+"/Activities", []string{"FriendlyName", "Busy", "Available", "true"}).Want(t, 201).JSON(t)["sid"].(string)
	sid := e.ExportWorkers()[0].SID
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"attributes", func() { c.Post(wk, []string{"Attributes", `{"n":1}`}).Want(t, 200) }, "worker.attributes.update"},
		{"activity", func() { c.Post(wk, []string{"ActivitySid", busy}).Want(t, 200) }, "worker.activity.update"},
		{"somebody else's write", func() { _ = e.Edit(sid, `{"n":2}`) }, "worker.attributes.update"},
		{"a reservation", func() { _ = e.Bump(sid) }, "worker.capacity.update"},
		{"another worker", func() { c.Post(c.Workspace()+"/Workers", []string{"FriendlyName", "b"}).Want(t, 201) }, "worker.created"},
		{"deletion", func() { c.Must("DELETE", wk, "", "").Want(t, 204) }, "worker.deleted"},
	} {
		step.do()
		if got := r.Next(); got.Kinds() != step.want {
			t.Errorf("%s is told as %s, want %s", step.name, got.Kinds(), step.want)
		}
	}
	c.Post(c.Workspace(), []string{"FriendlyName", "renamed"}).Want(t, 200)
	if len(r.Got) > 0 {
		t.Error("a change that is no worker's was told")
	}
}

func TestAnEventSaysWhatTheWorkerIsNow(t *testing.T) {
	r := emulatortest.NewReceiver(t)
	e, c, wk := oneWorker(t, r)
	c.Post(c.Workspace(), []string{"EventCallbackUrl", "http://127.0.0.1/callback?x=1", "EventsFilter", "worker.activity.update, worker.attributes.update"}).Want(t, 200)
	const text = `{"contact_uri":"client:ext_a","n":12345678901234567890,"s":"<&> é"}`
	c.Post(wk, []string{"Attributes", text}).Want(t, 200)
	callback := r.Next()
	w := e.ExportWorkers()[0]
	for field, want := range map[string]string{
		"EventType": "worker.attributes.update", "WorkspaceSid": e.Account().WorkspaceSID, "AccountSid": e.Account().SID, "WorkerSid": w.SID,
		"WorkerName": "a", "WorkerAttributes": text, "WorkerActivityName": "Offline", "WorkerVersion": strings.Trim(w.ETag, `"`), "ResourceType": "worker",
	} {
		if got := callback.Form.Get(field); got != want {
			t.Errorf("the callback's %s is %q, want %q", field, got, want)
		}
	}
	c.Must("DELETE", wk, "", "").Want(t, 204) // not in the filter
	c.Post(c.Workspace(), []string{"EventCallbackUrl", ""}).Want(t, 200)
	c.Subscribe(emulatortest.Webhook)
	c.Post(c.Workspace()+"/Workers", []string{"FriendlyName", "b", "Attributes", text}).Want(t, 201)
	told := r.Next()
	if told.Kinds() != "worker.created" {
		t.Fatalf("told %s: the filter let something else through", told.Kinds())
	}
	p := told.Payload()
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
	if got, want := outbox.Sign("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", form), "RSOYDt4T1cUTdK1PDd93/VVr8B8="; got != want {
		t.Errorf("the signature is %s, want %s", got, want)
	}
}

func TestDeliveriesAreSigned(t *testing.T) {
	r := emulatortest.NewReceiver(t)
	e, c, wk := oneWorker(t, r)
	c.Subscribe(`{"destination":"http://user:word@127.0.0.1/hook?a=1","method":"POST"}`)
	c.Post(c.Workspace(), []string{"EventCallbackUrl", "http://127.0.0.1/callback?x=1"}).Want(t, 200)
	c.Post(wk, []string{"Attributes", `{"n":1}`}).Want(t, 200)
	for range 2 {
		in := r.Next()
		want := outbox.Sign(e.Account().AuthToken, in.URL, in.Form)
		if in.Signature != want {
			t.Errorf("%s is signed %s, want %s", in.URL, in.Signature, want)
		}
		if in.Form != nil {
			continue
		}
		sum := sha256.Sum256([]byte(in.Body))
		if want := "http://127.0.0.1/hook?a=1&bodySHA256=" + hex.EncodeToString(sum[:]); in.URL != want {
			t.Errorf("posted to %s, want %s", in.URL, want)
		}
		if in.Authorization != "Basic dXNlcjp3b3Jk" {
			t.Errorf("the user of the destination became %q", in.Authorization)
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
				r := emulatortest.NewReceiver(t)
				e, c, _ := oneWorker(t, r)
				c.Subscribe(emulatortest.Webhook)
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
				for len(r.Got) > 0 {
					got = append(got, strings.Trim((<-r.Got).Payload()["worker_attributes"].(string), `{}":n`))
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
		r := emulatortest.NewReceiver(t)
		r.Answer = func(n int) int {
			if n <= 4 {
				return 503
			}
			return 200
		}
		e, c, _ := oneWorker(t, r)
		sid := e.ExportWorkers()[0].SID
		c.Post(c.Workspace(), []string{"EventCallbackUrl", "http://127.0.0.1/callback"}).Want(t, 200)
		_ = e.Edit(sid, `{"n":1}`)
		time.Sleep(time.Hour)
		if len(r.Got) != 1 {
			t.Fatalf("a callback was tried %d times", len(r.Got))
		}
		c.Post(c.Workspace(), []string{"EventCallbackUrl", ""}).Want(t, 200)
		c.Subscribe(emulatortest.Webhook)
		_ = e.Edit(sid, `{"n":2}`)
		time.Sleep(4 * time.Hour)
		made := e.Deliveries()
		if last := made[len(made)-1]; len(r.Got) != 5 || last.Status != 200 || last.Attempts != 4 {
			t.Errorf("%d requests arrived, the last is %+v", len(r.Got), last)
		}
	})
}

func TestEventsThatWaitGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := emulatortest.NewReceiver(t)
		e, c, _ := oneWorker(t, r)
		c.Subscribe(`{"destination":"http://127.0.0.1/hook","method":"POST","batch_events":true}`)
		c.Subscribe(emulatortest.Webhook)
		for i := range 250 {
			_ = e.Edit(e.ExportWorkers()[0].SID, fmt.Sprintf(`{"n":%d}`, i+1))
		}
		synctest.Wait()
		sizes := map[bool]int{}
		seen := map[string]int{}
		for len(r.Got) > 0 {
			in := <-r.Got
			sizes[len(in.Events) > 1]++
			if len(in.Events) > 100 {
				t.Errorf("%d events at once", len(in.Events))
			}
			for _, ev := range in.Events {
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
	r := emulatortest.NewReceiver(t)
	_, c, _ := oneWorker(t, r)
	sink := c.Subscribe(emulatortest.Webhook)
	kinesis := c.Post(emulatortest.EventsAPI+"/Sinks", []string{"Description", "k", "SinkType", "kinesis", "SinkConfiguration", `{"arn":"x"}`}).Want(t, 201).JSON(t)
	created := `{"type":"com.twilio.taskrouter.worker.created"}`
	for name, fields := range map[string][]string{
		"a second subscription": {"Description", "d", "SinkSid", sink, "Types", created},
		"an inactive sink":      {"Description", "d", "SinkSid", kinesis["sid"].(string), "Types", created},
		"no types":              {"Description", "d", "SinkSid", sink},
		"no description":        {"SinkSid", sink, "Types", created},
	} {
		if a := c.Post(emulatortest.EventsAPI+"/Subscriptions", fields); a.StatusCode != 400 {
			t.Errorf("%s: %s", name, a.Status)
		}
	}
	free := c.Post(emulatortest.EventsAPI+"/Sinks", []string{"Description", "f", "SinkType", "webhook", "SinkConfiguration", emulatortest.Webhook}).Want(t, 201).JSON(t)["sid"].(string)
	for _, types := range []string{"[" + created + "]", `{}`, `{"type":"worker.created"}`, `{"type":"com.twilio.taskrouter.worker.attribute.update"}`, `{"type":"com.twilio.taskrouter.worker.created","schema_version":5}`} {
		c.Post(emulatortest.EventsAPI+"/Subscriptions", []string{"Description", "d", "SinkSid", free, "Types", types}).Want(t, 400)
	}
	c.Must("DELETE", emulatortest.EventsAPI+"/Sinks/"+sink, "", "").Want(t, 400)
	for _, config := range []string{"", "[]", `{"destination":"ftp://127.0.0.1","method":"POST"}`, `{"destination":"http://127.0.0.1","method":"PUT"}`, `{"destination":7,"method":"POST"}`} {
		c.Post(emulatortest.EventsAPI+"/Sinks", []string{"Description", "d", "SinkType", "webhook", "SinkConfiguration", config}).Want(t, 400)
	}
	c.Must("POST", emulatortest.EventsAPI+"/Sinks/"+free+"/Test", "", "").Want(t, 201)
	test := r.Next()
	if test.Kinds() != "com.twilio.eventstreams.test-event" {
		t.Errorf("the test event is %s", test.Kinds())
	}
	c.Post(emulatortest.EventsAPI+"/Sinks/"+free+"/Validate", []string{"TestId", "another"}).Want(t, 400)
	c.Must("POST", emulatortest.EventsAPI+"/Sinks/"+free+"/Test", "", "").Want(t, 201)
	c.Post(emulatortest.EventsAPI+"/Sinks/"+free+"/Validate", []string{"TestId", r.Test()}).Want(t, 201)
}

func TestSinksAreKept(t *testing.T) {
	dir := t.TempDir()
	e, err := emulatortest.New(emulator.Options{DataDir: dir, Agents: 1, Outbound: emulatortest.NewReceiver(t)})
	if err != nil {
		t.Fatal(err)
	}
	emulatortest.As(t, e).Subscribe(emulatortest.Webhook)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	r := emulatortest.NewReceiver(t)
	e = emulatortest.Start(t, emulator.Options{DataDir: dir, Outbound: r})
	if err := e.Edit(e.ExportWorkers()[0].SID, `{}`); err != nil {
		t.Fatal(err)
	}
	if got := r.Next().Kinds(); got != "worker.attributes.update" {
		t.Errorf("told %s", got)
	}
}

func TestNobodyElseIsTold(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 1})
	c := emulatortest.As(t, e)
	c.Post(c.Workspace(), []string{"EventCallbackUrl", "http://192.0.2.1/callback"}).Want(t, 200)
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

// TestEveryOperationHonoursTheSpecification calls every operation once; the
// client checks each answer.
func TestEveryOperationHonoursTheSpecification(t *testing.T) {
	r := emulatortest.NewReceiver(t)
	e := emulatortest.Start(t, emulator.Options{Outbound: r})
	c := emulatortest.As(t, e)
	sink := c.Post(emulatortest.EventsAPI+"/Sinks", []string{"Description", "a sink", "SinkType", "webhook", "SinkConfiguration", `{"destination":"https://example.com/e","method":"POST"}`}).Want(t, 201).JSON(t)["sid"].(string)
	dg := emulatortest.EventsAPI + "/Sinks/" + sink
	c.Get(emulatortest.EventsAPI+"/Sinks?InUse=false&Status=active").Want(t, 200)
	c.Get(dg).Want(t, 200)
	c.Post(dg, []string{"Description", "renamed"}).Want(t, 200)
	c.Must("POST", dg+"/Test", "", "").Want(t, 201)
	c.Post(dg+"/Validate", []string{"TestId", r.Test()}).Want(t, 201)
	df := emulatortest.EventsAPI + "/Subscriptions/" + c.Post(emulatortest.EventsAPI+"/Subscriptions", []string{"Description", "a subscription", "SinkSid", sink, "Types", `{"type":"com.twilio.taskrouter.worker.created"}`, "Types", `{"type":"com.twilio.taskrouter.worker.deleted","schema_version":2}`}).Want(t, 201).JSON(t)["sid"].(string)
	c.Get(emulatortest.EventsAPI+"/Subscriptions?SinkSid="+sink).Want(t, 200)
	c.Get(df).Want(t, 200)
	c.Post(df, []string{"Description", "renamed"}).Want(t, 200)
	c.Get(df+"/SubscribedEvents").Want(t, 200)
	c.Post(df+"/SubscribedEvents", []string{"Type", "com.twilio.taskrouter.worker.activity.update", "SchemaVersion", "3"}).Want(t, 201)
	de := df + "/SubscribedEvents/com.twilio.taskrouter.worker.activity.update"
	c.Get(de).Want(t, 200)
	c.Post(de, []string{"SchemaVersion", "4"}).Want(t, 200)
	c.Must("DELETE", de, "", "").Want(t, 204)
	c.Must("DELETE", df, "", "").Want(t, 204)
	c.Must("DELETE", dg, "", "").Want(t, 204)
	emulatortest.Covers(t, e, events.Product())
}
