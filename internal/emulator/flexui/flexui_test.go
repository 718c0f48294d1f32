package flexui_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/emulatortest"
	"github.com/flexvc/flexvc/internal/emulator/flexui"
)

// desk is an emulated account with one agent, the back end of Flex UI, and a
// client that takes it for every Twilio host.
type desk struct {
	testing.TB
	e      *emulator.Emulator
	s      *flexui.Server
	http   *http.Client
	worker string
	token  string
	ws     string // Workspaces/WS...
}

const attributes = `{"full_name":"Test Agent","email":"agent@example.com","roles":["agent"],"contact_uri":"client:ext_agent_40example_2Ecom","id":12345678901234567890}`

func open(t testing.TB, change func(*flexui.Options)) *desk {
	t.Helper()
	e, err := emulatortest.New(emulator.Options{Seed: &emulator.Seed{Workers: []emulator.SeedWorker{
		{FriendlyName: "agent", Attributes: attributes, Activity: "Available"},
		{FriendlyName: "other", Attributes: `{"email":"other@example.com"}`},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	o := flexui.Options{Emulator: e}
	if change != nil {
		change(&o)
	}
	s := flexui.New(o)
	server := httptest.NewServer(s)
	target, _ := url.Parse(server.URL)
	d := &desk{TB: t, e: e, s: s, worker: e.Agents()[0].SID, ws: "Workspaces/" + e.Account().WorkspaceSID}
	d.http = &http.Client{Transport: reroute{target}}
	if d.token, err = e.MintFlexToken(d.worker, time.Hour); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		server.Close()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// reroute sends every request to one server and keeps the host it is for.
type reroute struct{ to *url.URL }

func (r reroute) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Host = req.URL.Host
	req.URL.Scheme, req.URL.Host = r.to.Scheme, r.to.Host
	return http.DefaultTransport.RoundTrip(req)
}

type answer struct {
	*http.Response
	text string
}

func (d *desk) send(method, target, body string, header ...string) answer {
	d.Helper()
	req, err := http.NewRequestWithContext(d.Context(), method, target, strings.NewReader(body))
	if err != nil {
		d.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := d.http.Do(req)
	if err != nil {
		d.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.Fatal(err)
	}
	return answer{resp, string(text)}
}

func (a answer) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.text), v); err != nil {
		t.Fatalf("%s %s answered %d, which is not what is expected: %q", a.Request.Method, a.Request.URL.Path, a.StatusCode, a.text)
	}
}

// object is JSON that was received.
type object = map[string]any

// ask sends a request through the event bridge as Flex does, which calls its
// JSON a form.
func (d *desk) ask(method, path string, params any) (int, object) {
	d.Helper()
	body, err := json.Marshal(object{"url": path, "method": method, "params": params, "token": d.token})
	if err != nil {
		d.Fatal(err)
	}
	a := d.send("POST", "https://event-bridge.twilio.com/v1/wschannels", string(body), "Content-Type", "application/x-www-form-urlencoded", "apiversion", "v2")
	var v struct {
		Payload object
		Message string
	}
	a.into(d, &v)
	if a.StatusCode != http.StatusOK && v.Message == "" {
		d.Errorf("%s %s: %d without a message", method, path, a.StatusCode)
	}
	return a.StatusCode, v.Payload
}

func (d *desk) must(method, path string, params any) object {
	d.Helper()
	status, payload := d.ask(method, path, params)
	if status != http.StatusOK {
		d.Fatalf("%s %s: %d", method, path, status)
	}
	return payload
}

// events is a Flex tab's event socket.
type events struct {
	*desk
	conn *websocket.Conn
	init object
}

func (d *desk) connect() *events {
	d.Helper()
	conn, _, err := websocket.Dial(d.Context(), "wss://event-bridge.twilio.com/v1/wschannels?closeExistingSessions=false&clientVersion=2.1.1&token="+url.QueryEscape(d.token),
		&websocket.DialOptions{HTTPClient: d.http, HTTPHeader: http.Header{"Origin": {"https://flex.twilio.com"}}})
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { _ = conn.CloseNow() })
	x := &events{desk: d, conn: conn}
	x.init = x.next("init")
	return x
}

// next reads events until one of that kind comes, and returns its payload.
func (x *events) next(kind string) object {
	x.Helper()
	ctx, cancel := context.WithTimeout(x.Context(), 10*time.Second)
	defer cancel()
	for {
		_, data, err := x.conn.Read(ctx)
		if err != nil {
			x.Fatalf("waiting for %s: %v", kind, err)
		}
		if string(data) == " " {
			continue
		}
		var v struct {
			EventType string `json:"event_type"`
			Payload   object
		}
		if err := json.Unmarshal(data, &v); err != nil {
			x.Fatal(err)
		}
		if v.EventType == kind {
			return v.Payload
		}
	}
}

// telephone stands for the voice edge.
type telephone struct {
	mu    sync.Mutex
	err   error
	rung  []flexui.Dialled
	legs  []*leg
	ready chan *leg
	heard [][]flexui.Voice // what each Connect of a room said
}

// Conference implements flexui.Phone.
func (p *telephone) Conference(string, float64) flexui.Room { return room{p} }

type room struct{ phone *telephone }

func (r room) Connect(voices []flexui.Voice) {
	r.phone.mu.Lock()
	defer r.phone.mu.Unlock()
	r.phone.heard = append(r.phone.heard, voices)
}
func (r room) Close() {}

// hears is who hears whom at the moment, the customer first.
func (p *telephone) hears() []flexui.Voice {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard[len(p.heard)-1]
}

func newTelephone() *telephone { return &telephone{ready: make(chan *leg, 10)} }

func (p *telephone) Dial(_ context.Context, d flexui.Dialled) (flexui.Leg, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return nil, p.err
	}
	l := &leg{sid: fmt.Sprintf("%s%d", legSID[:33], len(p.legs)), answered: make(chan struct{}), ended: make(chan struct{})}
	p.rung, p.legs = append(p.rung, d), append(p.legs, l)
	p.ready <- l
	return l, nil
}

type leg struct {
	sid      string
	once     sync.Once
	answered chan struct{}
	ended    chan struct{}
}

// legSID is the first leg's.
const legSID = "CAe0e0e0e0aaaaaaaaaaaaaaaaaaaaaaa0"

func (l *leg) SID() string               { return l.sid }
func (l *leg) Answered() <-chan struct{} { return l.answered }
func (l *leg) Ended() <-chan struct{}    { return l.ended }
func (l *leg) Hangup()                   { l.once.Do(func() { close(l.ended) }) }

func sid(t testing.TB, o object, key string) string {
	t.Helper()
	s, _ := o[key].(string)
	if len(s) != 34 {
		t.Fatalf("%s is no SID in %v", key, o)
	}
	return s
}

// parsed decodes the JSON that TaskRouter keeps in a text.
func parsed(t testing.TB, o object) object {
	t.Helper()
	var v object
	dec := json.NewDecoder(bytes.NewReader([]byte(o["attributes"].(string))))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}
