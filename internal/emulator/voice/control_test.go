package voice

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/emulator/voice/media"
)

// order asks a Control and wants a status; the answer is read into v.
func order(t *testing.T, c *Control, status int, verb, body string, v any) {
	t.Helper()
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/"+verb, strings.NewReader(body)))
	if w.Code != status {
		t.Fatalf("%s is answered %d, want %d: %s", verb, w.Code, status, w.Body)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(w.Body.Bytes(), v); err != nil {
		t.Fatalf("%s is answered %s", verb, w.Body)
	}
}

// A call ordered over HTTP: its customer plays a file, what it hears is
// recorded, and the recording is handed over once.
func TestControlCall(t *testing.T) {
	s := serve(t, nil)
	c := NewControl(s.Edge)
	worker := s.registered("alice")

	tune := media.EncodeWAV(take(media.Tone(440, -6), 50))
	body, err := json.Marshal(Order{Identity: "alice", From: "+15550123", WAV: tune, Record: true})
	if err != nil {
		t.Fatal(err)
	}
	var sid string
	order(t, c, 200, "call", string(body), &sid)
	invite := worker.expect("invite").Payload
	if invite.CallSID != sid {
		t.Fatalf("invited to %s, not %s", invite.CallSID, sid)
	}
	browser, page := newBrowser(t), s.connected("alice", 30)
	page.takeover(sid, browser.offer(false), invite.Reconnect)
	browser.take(page.expect("answer").Payload.SDP)

	named := fmt.Sprintf(`{"sid":%q}`, sid)
	call := c.find(sid)
	stats := until(t, call, "a second of audio", func(st Stats) bool { return st.Heard.Packets > 50 })
	var said, heard media.Flow
	window := fmt.Sprintf(`{"sid":%q,"start":0,"end":%d}`, sid, stats.Age)
	order(t, c, 200, "said", window, &said)
	order(t, c, 200, "heard", window, &heard)
	if said.Level < -12 || said.Packets == 0 || heard.Packets == 0 || heard.Lost != 0 {
		t.Errorf("said %+v, heard %+v", said, heard)
	}
	order(t, c, 200, "press", fmt.Sprintf(`{"sid":%q,"keys":"4"}`, sid), nil)
	order(t, c, 400, "press", fmt.Sprintf(`{"sid":%q,"keys":"x"}`, sid), nil)
	order(t, c, 200, "hangup", named, nil)
	page.expect("hangup")
	order(t, c, 200, "stats", named, &stats)
	if stats.Reason != ReasonCustomer || stats.From != "+15550123" {
		t.Errorf("%s from %s", stats.Reason, stats.From)
	}

	var recording []byte
	order(t, c, 200, "recording", named, &recording)
	samples, err := media.ReadWAV(bytes.NewReader(recording))
	if err != nil || len(samples) < 40*media.FrameSamples {
		t.Errorf("the recording has %d samples: %v", len(samples), err)
	}
	order(t, c, 404, "recording", named, nil)
	if left, err := os.ReadDir(c.folder); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(c.folder); !os.IsNotExist(err) {
		t.Errorf("the folder of recordings is left: %v", err)
	}
}

func TestControlRefuses(t *testing.T) {
	s := serve(t, nil)
	c := NewControl(s.Edge)
	for _, test := range []struct {
		verb, body string
		status     int
	}{
		{"call", `{"identity":"nobody"}`, 409},
		{"call", `{"identity":"nobody","record":true}`, 409},
		{"call", `{"identity":"nobody","wav":"bm8gd2F2"}`, 400},
		{"call", `{"identity":"nobody","record":"/etc/passwd"}`, 400},
		{"call", `{"audio":"/etc/passwd"}`, 400},
		{"call", `{`, 400},
		{"stats", `{"sid":"CA0"}`, 404},
		{"recording", `{"sid":"CA0"}`, 404},
		{"nothing", `{}`, 404},
	} {
		order(t, c, test.status, test.verb, test.body, nil)
	}
	if left, err := os.ReadDir(c.folder); err != nil || len(left) > 0 {
		t.Errorf("a call that never was left a recording: %v %v", left, err)
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/sockets", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET is answered %d", w.Code)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestControlFaults(t *testing.T) {
	s := serve(t, nil)
	c := NewControl(s.Edge)
	client := s.registered("alice")
	order(t, c, 200, "faults", `{"faults":{"refuse_sockets":true}}`, nil)
	if _, err := s.tryOpen(); err == nil {
		t.Error("a socket is opened that should be refused")
	}
	var fired map[string]int
	order(t, c, 200, "fired", `{}`, &fired)
	if fired["refuse_sockets"] != 1 {
		t.Errorf("fired: %v", fired)
	}
	var dropped int
	order(t, c, 200, "drop", `{"identity":"alice","code":1011}`, &dropped)
	if code := client.gone(); dropped != 1 || code != 1011 {
		t.Errorf("%d dropped with %d", dropped, code)
	}
	order(t, c, 200, "faults", `{"faults":{"refuse_sockets":true},"seconds":0.05}`, nil)
	if err := s.Wait(within(t), func() bool { return !s.Faults().RefuseSockets }); err != nil {
		t.Error("the fault does not end")
	}
	var events []Event
	order(t, c, 200, "events", `{"after":0}`, &events)
	if len(events) == 0 || events[0].Number != 1 || time.Since(events[0].At) > time.Minute {
		t.Errorf("events: %v", events)
	}
}
