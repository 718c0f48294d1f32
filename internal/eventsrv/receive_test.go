package eventsrv

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

func TestAttackEmptyAuthToken(t *testing.T) {
	_, err := New(Config{AccountSID: testAccount, WorkspaceSID: testWorkspace}, Deps{})
	if !problem.Is(err, problem.CredentialsMissing) {
		t.Errorf("a server that takes anyone's signature starts: %v", err)
	}
}

func TestAttackUnsignedEvents(t *testing.T) {
	s := newServer(t, nil)
	for name, header := range map[string][]string{"none": nil, "wrong": {"bad"}, "empty": {""}, "two, one of them good": {"good", "bad"}} {
		r := httptest.NewRequest(http.MethodPost, "https://voice.example.com"+PathTwilio+"?bodySHA256=x", strings.NewReader(batch(cloud("EZ1", nil))))
		r.Header.Set("Content-Type", "application/json")
		r.Header["X-Twilio-Signature"] = header
		w := httptest.NewRecorder()
		s.Receiver().ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("signature %s: %d", name, w.Code)
		}
	}
	if got := s.held(t); len(got) != 0 {
		t.Errorf("unsigned events were taken: %+v", got)
	}
	wantMetric(t, s, `flexvc_event_requests_refused_total{reason="signature"} 4`)
}

// A form's signature covers names and values run together, so a form that is
// read as JSON, or the reverse, is something that Twilio never signed.
func TestAttackBodyOfTheOtherKind(t *testing.T) {
	s := newServer(t, nil)
	for name, try := range map[string]struct{ query, kind string }{
		"JSON without a digest": {"", "application/json"},
		"a form with a digest":  {"?bodySHA256=x", "application/x-www-form-urlencoded"},
		"a text":                {"?bodySHA256=x", "text/plain"},
	} {
		r := httptest.NewRequest(http.MethodPost, "https://voice.example.com"+PathTwilio+try.query, strings.NewReader(batch(cloud("EZ1", nil))))
		r.Header.Set("Content-Type", try.kind)
		if status := s.send(r); status != http.StatusUnsupportedMediaType {
			t.Errorf("%s: %d", name, status)
		}
	}
}

// TestAttackWithheldBodies: of what Twilio did not sign no byte is read, so it
// does not matter that the body never comes.
func TestAttackWithheldBodies(t *testing.T) {
	s := newServer(t, func(c *Config, _ *Deps) { c.MaxBody = 4 << 20 })
	server := httptest.NewServer(s.Receiver())
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	for name, try := range map[string]struct {
		query, headers, body string
		want                 int
	}{
		"no signature":         {"?bodySHA256=x", "Content-Type: application/json\r\nContent-Length: 4194304\r\n", "[", 403},
		"an empty signature":   {"?bodySHA256=x", "Content-Type: application/json\r\nX-Twilio-Signature: \r\nContent-Length: 4194304\r\n", "[", 403},
		"a wrong signature":    {"?bodySHA256=x", "Content-Type: application/json\r\nX-Twilio-Signature: bad\r\nContent-Length: 4194304\r\n", "[", 403},
		"no length":            {"?bodySHA256=x", "Content-Type: application/json\r\nX-Twilio-Signature: bad\r\nTransfer-Encoding: chunked\r\n", "1\r\n[\r\n", 403},
		"a long form":          {"", "Content-Type: application/x-www-form-urlencoded\r\nX-Twilio-Signature: good\r\nContent-Length: 65537\r\n", "a", 413},
		"JSON without digest":  {"", "Content-Type: application/json\r\nX-Twilio-Signature: good\r\nContent-Length: 4194304\r\n", "[", 415},
		"an empty digest":      {"?bodySHA256=", "Content-Type: application/json\r\nX-Twilio-Signature: good\r\nContent-Length: 4194304\r\n", "[", 415},
		"beyond Twilio's most": {"?bodySHA256=x", "Content-Type: application/json\r\nX-Twilio-Signature: good\r\nContent-Length: 4194305\r\n", "[", 413},
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(conn, "POST %s%s HTTP/1.1\r\nHost: x\r\n%s\r\n%s", PathTwilio, try.query, try.headers, try.body)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		_ = conn.Close()
		if err != nil {
			t.Errorf("%s: no answer without the rest of the body: %v", name, err)
			continue
		}
		if resp.StatusCode != try.want || !resp.Close {
			t.Errorf("%s: %d, connection closed: %v; want %d and closed", name, resp.StatusCode, resp.Close, try.want)
		}
	}
}

// A form that is longer than any of Twilio's is not read to its end either.
func TestAttackLongFormOfUnknownLength(t *testing.T) {
	s := newServer(t, nil)
	r := httptest.NewRequest(http.MethodPost, "https://voice.example.com"+PathTwilio, io.MultiReader(strings.NewReader("EventType="+strings.Repeat("x", maxForm))))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if status := s.send(r); status != http.StatusRequestEntityTooLarge {
		t.Errorf("answered %d", status)
	}
}

func TestTheSignedAddressIsWhatTwilioCalled(t *testing.T) {
	for _, test := range []struct{ configured, asked, want string }{
		{"", "https://voice.example.com/events/twilio?a=1&bodySHA256=x", "https://voice.example.com/events/twilio?a=1&bodySHA256=x"},
		{"", "http://127.0.0.1:3001/events/twilio?bodySHA256=x", "http://127.0.0.1:3001/events/twilio?bodySHA256=x"},
		{"https://public.example.com/tw", "http://10.0.0.7:3001/events/twilio?bodySHA256=x", "https://public.example.com/tw?bodySHA256=x"},
		{"https://public.example.com/tw", "http://10.0.0.7:3001/events/twilio", "https://public.example.com/tw"},
	} {
		var got string
		s := newServer(t, func(c *Config, d *Deps) {
			c.URL = test.configured
			d.SignedAddress = func(address, _ string) bool { got = address; return false }
			d.Signed = func(address string, _ []byte, _ string) bool { got = address; return false }
		})
		r := httptest.NewRequest(http.MethodPost, test.asked, strings.NewReader("{}"))
		if strings.Contains(test.asked, "bodySHA256") {
			r.Header.Set("Content-Type", "application/json")
		}
		s.send(r)
		if got != test.want {
			t.Errorf("%q asked as %s is checked as %s, want %s", test.configured, test.asked, got, test.want)
		}
	}
}

func TestEventsURLsThatAreRefused(t *testing.T) {
	for _, address := range []string{"voice.example.com", "ftp://x", "http://voice.example.com/e", "https://u:p@x/e", "https://x/e?a=1", "https://x/e#a"} {
		if err := CheckURL(address); !problem.Is(err, problem.ConfigInvalid) {
			t.Errorf("%s: %v", address, err)
		} else if strings.Contains(err.Error(), "u:p") {
			t.Errorf("the error repeats the password: %v", err)
		}
	}
	for _, address := range []string{"", "https://voice.example.com/events/twilio", "http://127.0.0.1:3001/events/twilio", "http://localhost:3001/e"} {
		if err := CheckURL(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func ptr(s string) *string { return &s }

func TestWhatTwilioTellsIsUnderstood(t *testing.T) {
	whole := fleet.Event{
		WorkerSID: testWorker, Kind: twilio.EventAttributes, At: time.Date(2026, 3, 4, 13, 58, 54, 123e6, time.UTC), Name: "carol",
		ActivitySID: testActivity, ActivityName: "Available", Available: true, Attributes: ptr(`{"contact_uri":"client:carol","s":"<&>"}`),
	}
	with := func(change func(*fleet.Event)) fleet.Event {
		e := whole
		change(&e)
		return e
	}
	for name, test := range map[string]struct {
		change func(event, payload map[string]any)
		want   fleet.Event
	}{
		"as documented":          {nil, whole},
		"with a version":         {func(_, p map[string]any) { p["worker_version"] = 12 }, with(func(e *fleet.Event) { e.Version = 12 })},
		"a version as text":      {func(_, p map[string]any) { p["worker_version"] = "12" }, with(func(e *fleet.Event) { e.Version = 12 })},
		"a time in milliseconds": {func(_, p map[string]any) { p["timestamp"] = 1772632734123 }, whole},
		"a time in seconds":      {func(_, p map[string]any) { p["timestamp"] = "1772632734" }, with(func(e *fleet.Event) { e.At = e.At.Truncate(time.Second) })},
		"no time of its own":     {func(_, p map[string]any) { delete(p, "timestamp") }, with(func(e *fleet.Event) { e.At = time.Date(2026, 3, 4, 13, 58, 55, 0, time.UTC) })},
		"an unknown activity":    {func(_, p map[string]any) { p["worker_activity_sid"] = "WA2" }, with(func(e *fleet.Event) { e.ActivitySID, e.Available = "", false })},
		"no attributes":          {func(_, p map[string]any) { delete(p, "worker_attributes") }, with(func(e *fleet.Event) { e.Attributes = nil })},
		"payload as text":        {func(e, p map[string]any) { e["data"] = map[string]any{"payload": string(encode(p))} }, whole},
		"deletion":               {func(e, _ map[string]any) { e["type"] = "com.twilio.taskrouter.worker.deleted" }, with(func(e *fleet.Event) { e.Kind = twilio.EventDeleted })},
	} {
		s := newServer(t, nil)
		if status := s.post(batch(cloud("EZ1", test.change))); status != http.StatusNoContent {
			t.Errorf("%s: %d", name, status)
		}
		if diff := cmp.Diff([]fleet.Event{test.want}, s.held(t)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func callbackForm(change func(url.Values)) *http.Request {
	f := url.Values{
		"Sid": {"EV1"}, "EventType": {"worker.activity.update"}, "AccountSid": {testAccount}, "WorkspaceSid": {testWorkspace}, "TimestampMs": {"1772632734123"},
		"Timestamp": {"1772632734"}, "WorkerSid": {testWorker}, "WorkerName": {"carol"}, "WorkerAttributes": {`{}`}, "WorkerVersion": {"7"},
		"WorkerActivitySid": {testActivity}, "WorkerActivityName": {"Available"},
	}
	if change != nil {
		change(f)
	}
	r := httptest.NewRequest(http.MethodPost, "https://voice.example.com"+PathTwilio, strings.NewReader(f.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	return r
}

func TestCallbacksAreUnderstood(t *testing.T) {
	s := newServer(t, nil)
	if status := s.send(callbackForm(nil)); status != http.StatusNoContent {
		t.Fatal(status)
	}
	want := []fleet.Event{{
		WorkerSID: testWorker, Kind: twilio.EventActivity, At: time.UnixMilli(1772632734123).UTC(), Version: 7, Name: "carol",
		ActivitySID: testActivity, ActivityName: "Available", Available: true, Attributes: ptr(`{}`),
	}}
	if diff := cmp.Diff(want, s.held(t)); diff != "" {
		t.Error(diff)
	}
	s.send(callbackForm(nil))
	s.send(callbackForm(func(f url.Values) { f.Del("Sid") }))
	s.send(callbackForm(func(f url.Values) { f.Del("Sid") }))
	if got := len(s.held(t)); got != 2 {
		t.Errorf("%d events are held, want 2: the rest are doubles", got)
	}
	if status := s.send(callbackForm(func(f url.Values) { f.Add("WorkerSid", "WK2") })); status != http.StatusBadRequest {
		t.Errorf("a field that is not signed is taken: %d", status)
	}
	if status := s.send(callbackForm(func(f url.Values) { f.Set("EventType", "task.created") })); status != http.StatusNoContent {
		t.Errorf("another kind of event: %d, Twilio would count it as a failure", status)
	}
}

func TestEventsThatAreNotOurs(t *testing.T) {
	s := newServer(t, nil)
	status := s.post(batch(
		cloud("EZ1", func(_, p map[string]any) { p["workspace_sid"] = "WS2" }),
		cloud("EZ2", func(_, p map[string]any) { p["account_sid"] = "AC2" }),
		cloud("EZ3", func(e, _ map[string]any) { e["type"], e["data"] = "com.twilio.messaging.message.sent", 7 }),
		cloud("EZ4", func(e, _ map[string]any) { e["type"] = testType }),
		cloud("EZ5", nil),
		cloud("EZ5", nil),
	))
	if got := s.held(t); status != http.StatusNoContent || len(got) != 1 {
		t.Errorf("%d, %d events are held, want the one of our workspace", status, len(got))
	}
	for _, line := range []string{`{result="taken"} 1`, `{result="double"} 1`, `{result="other"} 3`, `{result="test"} 1`} {
		wantMetric(t, s, "flexvc_events_total"+line)
	}
}

func TestRequestsThatCannotBeRead(t *testing.T) {
	var log said
	s := newServer(t, func(c *Config, d *Deps) { c.MaxBody, d.Log = 10000, log.logger() })
	for body, want := range map[string]int{
		"": 400, "{}": 400, "[]": 400, "[1]": 400, `[{"specversion":"0.3"}]`: 400, "secret-attributes": 400,
		batch(cloud("", nil)): 400,
		batch(cloud("EZ1", func(e, _ map[string]any) { e["data"] = "secret-attributes" })):           400,
		batch(cloud("EZ1", func(e, p map[string]any) { delete(e, "time"); delete(p, "timestamp") })): 400,
		strings.Repeat(" ", 10001): 413,
	} {
		if got := s.post(body); got != want {
			t.Errorf("%.40q is answered %d, want %d", body, got, want)
		}
	}
	if len(s.held(t)) != 0 {
		t.Error("something was taken")
	}
	if strings.Contains(log.String(), "secret-attributes") {
		t.Errorf("the log repeats a body:\n%s", log.String())
	}
	r := httptest.NewRequest(http.MethodGet, "https://voice.example.com"+PathTwilio, nil)
	if got := s.send(r); got != http.StatusMethodNotAllowed {
		t.Errorf("GET is answered %d", got)
	}
}

// FuzzDecode: whatever a body holds, decoding ends, and what it yields is
// complete.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(batch(cloud("EZ1", nil))))
	f.Add([]byte("EventType=worker.deleted&WorkspaceSid=WS1&Timestamp=1"))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, decode := range []func([]byte) ([]notice, error){decodeCloud, decodeForm} {
			told, err := decode(body)
			if err != nil {
				continue
			}
			for _, n := range told {
				if n.id != "" && (n.event.At.IsZero() || n.event.Kind == "") {
					t.Errorf("%+v", n)
				}
			}
		}
	})
}
