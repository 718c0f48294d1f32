package voice

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"

	"github.com/flexvc/flexvc/internal/emulator/certificate"

	"github.com/flexvc/flexvc/internal/emulator/voice/media"
)

func TestRegister(t *testing.T) {
	s := serve(t, nil)
	c := s.open()
	c.register(true) // a client replays this before its token was looked at
	if f := c.expect("error"); f.Payload.Error.Code != codeInvalid {
		t.Errorf("register before listen: %d", f.Payload.Error.Code)
	}
	c.listen(mint(t, "ext_user_40example_2Ecom", 600*time.Second), 0)
	p := c.expect("connected").Payload
	if p.Token.Identity != "ext_user_40example_2Ecom" || p.Token.TTL < 598 || p.Token.TTL > 600 {
		t.Errorf("token %+v", p.Token)
	}
	if p.Edge != "ashburn" || p.Home != "us1" || p.Gateway == "" || p.Region == "" {
		t.Errorf("connected %+v", p)
	}
	if n := s.Registered("ext_user_40example_2Ecom"); n != 0 {
		t.Errorf("%d registered before register", n)
	}
	c.register(true)
	c.expect("ready")
	c.register(true) // again every 30 s
	c.expect("ready")
	second := s.registered("ext_user_40example_2Ecom")
	if n := s.Registered("ext_user_40example_2Ecom"); n != 2 {
		t.Errorf("%d registered, want 2", n)
	}
	c.register(false)
	c.expect("offline")
	_ = second.conn.Close(1001, "")
	if err := s.Wait(within(t), func() bool { return len(s.Sockets()) == 1 }); err != nil {
		t.Fatal("the closed socket is still listed")
	}
	if n := s.Registered("ext_user_40example_2Ecom"); n != 0 {
		t.Errorf("%d registered, want none", n)
	}

	// Another agent's token on the same socket has to register anew.
	c.register(true)
	c.expect("ready")
	c.listen(mint(t, "bob", time.Hour), 0)
	c.expect("connected")
	if n := s.Registered("bob") + s.Registered("ext_user_40example_2Ecom"); n != 0 {
		t.Errorf("%d registered after a change of identity", n)
	}
}

func TestTokens(t *testing.T) {
	s := serve(t, nil)
	good := mint(t, "alice", time.Hour)
	type change = func(header map[string]any, claims jwt.MapClaims)
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"iss": testKey}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token string
		code  int
	}{
		"good":                {good, 0},
		"missing":             {"", codeInvalid},
		"malformed":           {"not.a.token", codeInvalid},
		"cut short":           {good[:len(good)/2], codeInvalid},
		"forged signature":    {good[:len(good)-6] + "AAAAAA", codeSignature},
		"unsigned":            {none, codeSignature},
		"no access token":     {mint(t, "alice", time.Hour, change(func(h map[string]any, _ jwt.MapClaims) { delete(h, "cty") })), codeInvalid},
		"unknown key":         {mint(t, "alice", time.Hour, change(func(_ map[string]any, m jwt.MapClaims) { m["iss"] = "SK2" })), codeAuthorization},
		"another account":     {mint(t, "alice", time.Hour, change(func(_ map[string]any, m jwt.MapClaims) { m["sub"] = "AC2" })), codeAccount},
		"expired":             {mint(t, "alice", -time.Second), codeExpired},
		"no expiry":           {mint(t, "alice", time.Hour, change(func(_ map[string]any, m jwt.MapClaims) { delete(m, "exp") })), codeInvalid},
		"not yet good":        {mint(t, "alice", time.Hour, change(func(_ map[string]any, m jwt.MapClaims) { m["nbf"] = time.Now().Add(time.Hour).Unix() })), codeInvalid},
		"24 hours":            {mint(t, "alice", 24*time.Hour), 0},
		"longer":              {mint(t, "alice", 24*time.Hour+time.Second), codeTooLong},
		"longer, without iat": {mint(t, "alice", 25*time.Hour, change(func(_ map[string]any, m jwt.MapClaims) { delete(m, "iat") })), codeTooLong},
		"nbf for iat": {mint(t, "alice", time.Hour, change(func(_ map[string]any, m jwt.MapClaims) {
			delete(m, "iat")
			m["nbf"] = time.Now().Add(-time.Minute).Unix()
		})), 0},
		"no identity": {mint(t, "", time.Hour), codeInvalid},
		"no voice grant": {mint(t, "alice", time.Hour, change(func(_ map[string]any, m jwt.MapClaims) {
			m["grants"] = map[string]any{"identity": "alice"}
		})), codeInvalid},
	} {
		client := s.open()
		client.listen(c.token, 0)
		if c.code == 0 {
			client.expect("connected")
		} else if f := client.expect("error"); f.Payload.Error.Code != c.code {
			t.Errorf("%s: code %d, want %d", name, f.Payload.Error.Code, c.code)
		}
		_ = client.conn.CloseNow()
	}

	outgoing := s.open()
	outgoing.listen(mint(t, "alice", time.Hour, func(_ map[string]any, m jwt.MapClaims) {
		m["grants"] = map[string]any{"identity": "alice", "voice": map[string]any{}}
	}), 0)
	outgoing.expect("connected")
	outgoing.register(true)
	if f := outgoing.expect("error"); f.Payload.Error.Code != codeAuthorization {
		t.Errorf("registering without the grant: %d", f.Payload.Error.Code)
	}

	// A refused token does not take away what the one before allowed.
	c := s.registered("alice")
	c.listen("nonsense", 0)
	c.expect("error")
	c.quiet()
}

// A verifier of one's own says what the client hears; its other errors are
// "authorization failed" and go no further.
func TestOwnVerifier(t *testing.T) {
	s := serve(t, func(o *Options) {
		o.Verify = func(_ context.Context, token string) (Claims, error) {
			switch token {
			case "good":
				return Claims{Identity: "alice", Incoming: true, Expires: time.Now().Add(time.Hour)}, nil
			case "stale":
				return Claims{Identity: "alice", Expires: time.Now().Add(-time.Hour)}, nil
			case "slow down":
				return Claims{}, &Refusal{31206, "rate exceeded authorized limit"}
			}
			return Claims{}, errors.New("database on fire")
		}
	})
	for token, code := range map[string]int{"stale": codeExpired, "slow down": 31206, "bad": codeAuthorization} {
		c := s.open()
		c.listen(token, 0)
		if f := c.expect("error"); f.Payload.Error.Code != code {
			t.Errorf("%s: %d, want %d", token, f.Payload.Error.Code, code)
		}
	}
	c := s.open()
	c.listen("good", 0)
	c.expect("connected")
}

// No token, signing secret or call token is ever logged.
func TestNothingSecretIsLogged(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	s := serve(t, func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return log.Write(b)
		}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	token := mint(t, "alice", time.Hour)
	c := s.open()
	c.listen(token[:len(token)-4]+"AAAA", 0)
	c.expect("error")
	c.listen(token, 0)
	c.expect("connected")
	k := s.take(CallOptions{}, 0)
	c.takeover(k.call.SID(), "v=0", k.token)
	c.expect("hangup")
	c.raw(`{"type":"listen","payload":{"token":"%s"`, token)
	hc, base := s.http("eventgw.twilio.com")
	req, err := http.NewRequestWithContext(within(t), "POST", base+"/v4/EndpointEvents", strings.NewReader(`{"group":"a","name":"b"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Twilio-Token", token)
	res, err := hc.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	k.call.Hangup()
	k.page.expect("hangup")
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(log.String(), "call.in-progress") {
		t.Fatal("nothing is logged")
	}
	for name, secret := range map[string]string{
		"token": token, "its signature": token[strings.LastIndex(token, ".")+1:], "call token": k.token, "secret": testSecret,
		"ICE password": attribute(k.answer, "a=ice-pwd:"),
	} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds the %s", name)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// inBubble runs an edge on virtual time and connections in memory.
func inBubble(t *testing.T, test func(t *testing.T, e *Edge, open func() *websocket.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		e, err := New(Options{Keys: testKeys})
		if err != nil {
			t.Fatal(err)
		}
		ln := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		server := &http.Server{Handler: e.Handler()}
		go server.Serve(ln)
		transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			near, far := net.Pipe()
			select {
			case ln.conns <- far:
				return near, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}
		test(t, e, func() *websocket.Conn {
			t.Helper()
			conn, _, err := websocket.Dial(context.Background(), "http://voice-js.roaming.twilio.com/signal",
				&websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
			if err != nil {
				t.Fatal(err)
			}
			return conn
		})
		e.Close()
		transport.CloseIdleConnections()
		server.Close()
	})
}

// pipes is a listener without a network.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// The client gives up after 15 s without a frame, so one comes every 10.
func TestHeartbeats(t *testing.T) {
	inBubble(t, func(t *testing.T, e *Edge, open func() *websocket.Conn) {
		c := newClient(t, open())
		began := time.Now()
		for range 3 {
			<-c.beats
		}
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("three heartbeats took %v", took)
		}
		e.SetFaults(Faults{Silent: true}, 65*time.Second)
		c.listen("unheard", 0)
		<-c.beats // once the fault has ended
		if took := time.Since(began); took != 100*time.Second {
			t.Errorf("the edge was silent until %v, want 100 s", took)
		}
		if n := e.Fired()["silent"]; n != 1 {
			t.Errorf("silent fired %d times", n)
		}
		if len(c.frames) != 0 {
			t.Errorf("a silent edge said %+v", <-c.frames)
		}
	})
}

// A client is told when its token ends, unless a new one came in time.
func TestTokenLife(t *testing.T) {
	inBubble(t, func(t *testing.T, e *Edge, open func() *websocket.Conn) {
		c, other := newClient(t, open()), newClient(t, open())
		began := time.Now()
		for _, x := range []*client{c, other} {
			x.listen(mint(t, "alice", 60*time.Second), 0)
			if ttl := x.expect("connected").Payload.Token.TTL; ttl != 60 {
				t.Errorf("ttl %d", ttl)
			}
			x.register(true)
			x.expect("ready")
		}
		wait := time.NewTimer(30 * time.Second)
		<-wait.C
		c.listen(mint(t, "alice", 60*time.Second), 0)
		c.expect("connected")
		<-time.After(30*time.Second + ms)
		if f := other.expect("error"); f.Payload.Error.Code != codeExpired {
			t.Errorf("code %d", f.Payload.Error.Code)
		}
		if n := e.Registered("alice"); n != 1 {
			t.Errorf("%d registered, want the one with the new token", n)
		}
		<-time.After(30 * time.Second)
		c.expect("error")
		if took := time.Since(began); took > 91*time.Second || e.Registered("alice") != 0 {
			t.Errorf("told after %v, %d registered", took, e.Registered("alice"))
		}
	})
}

// A delayed edge says the same in the same order, later.
func TestDelay(t *testing.T) {
	inBubble(t, func(t *testing.T, e *Edge, open func() *websocket.Conn) {
		e.SetFaults(Faults{Delay: 3 * time.Second}, 0)
		c, began := newClient(t, open()), time.Now()
		c.listen(mint(t, "alice", time.Hour), 0)
		c.register(true)
		c.expect("connected")
		c.expect("ready")
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %v", took)
		}
		if n := e.Fired()["delay"]; n != 2 {
			t.Errorf("delay fired %d times", n)
		}
	})
}

// What is lost is sent again, after twice the time each time, and says the same
// in the same order.
func TestLoss(t *testing.T) {
	f := Faults{Delay: 400 * time.Millisecond, Loss: 0.05}
	luck := []float64{0.01, 0.02, 0.9}
	draw := func() float64 { next := luck[0]; luck = luck[1:]; return next }
	if wait := f.stall(draw); wait != 1800*time.Millisecond {
		t.Errorf("lost twice: %v", wait)
	}
	luck = []float64{0.05}
	if wait := f.stall(draw); wait != 0 {
		t.Errorf("not lost: %v", wait)
	}
	inBubble(t, func(t *testing.T, e *Edge, open func() *websocket.Conn) {
		e.SetFaults(Faults{Loss: 1}, 0)
		c := newClient(t, open())
		go func() {
			time.Sleep(time.Millisecond)
			e.SetFaults(Faults{}, 0)
		}()
		c.listen(mint(t, "alice", time.Hour), 0)
		c.register(true)
		c.expect("connected")
		c.expect("ready")
		if e.Fired()["loss"] == 0 {
			t.Error("nothing was lost")
		}
	})
}

func TestFaultRefuseEdge(t *testing.T) {
	s := serve(t, nil)
	f := Faults{RefuseEdge: "ashburn"}
	for host, want := range map[string]bool{"voice-js.ashburn.twilio.com": true, "voice-js.roaming.twilio.com": false, "127.0.0.1": false} {
		if _, refuse := f.refused(host); refuse != want {
			t.Errorf("%s: %v", host, refuse)
		}
	}
	s.SetFaults(f, 0)
	s.registered("alice")
}

func TestFaultRefuseSockets(t *testing.T) {
	s := serve(t, nil)
	c := s.registered("alice")
	s.SetFaults(Faults{RefuseSockets: true}, 0)
	if _, err := s.tryOpen(); err == nil {
		t.Fatal("a socket was opened")
	}
	c.quiet() // the ones there are stay
	s.SetFaults(Faults{}, 0)
	s.registered("alice")
	if n := s.Fired()["refuse_sockets"]; n != 1 {
		t.Errorf("fired %d times", n)
	}
}

func TestFaultTokenError(t *testing.T) {
	s := serve(t, nil)
	c := s.open()
	s.SetFaults(Faults{TokenError: codeExpired, RetryAfter: 7}, 0)
	c.listen(mint(t, "alice", time.Hour), 0)
	if f := c.expect("error"); f.Payload.Error.Code != codeExpired || f.Payload.Error.RetryAfter != 7 {
		t.Errorf("%+v", f.Payload.Error)
	}
	s.SetFaults(Faults{TokenError: codeInvalid, CloseOnTokenError: true}, 0)
	c.listen(mint(t, "alice", time.Hour), 0)
	c.expect("error")
	c.expect("close")
	s.SetFaults(Faults{}, 0)
	c.listen(mint(t, "alice", time.Hour), 0)
	c.expect("connected")
	if n := s.SendError("alice", 31204, "out of the blue"); n != 1 {
		t.Errorf("%d told", n)
	}
	if f := c.expect("error"); f.Payload.Error.Code != 31204 {
		t.Errorf("%+v", f.Payload.Error)
	}
	if n := s.Send("", "someday", map[string]any{"callsid": "CA1"}); n != 1 || c.expect("someday").Payload.CallSID != "CA1" {
		t.Errorf("%d told", n)
	}
	if n := s.Fired()["token_error"]; n != 2 {
		t.Errorf("fired %d times", n)
	}
}

func TestFaultDeadTakeover(t *testing.T) {
	s := serve(t, nil)
	c := s.registered("alice")
	s.SetFaults(Faults{DeadTakeover: DeadError}, 0)
	c.takeover("CA0", "v=0", "gone")
	if f := c.expect("error"); f.Payload.Error.Code != codeNotFound || f.Payload.CallSID != "CA0" {
		t.Errorf("%+v", f.Payload)
	}
	s.SetFaults(Faults{DeadTakeover: DeadSilence}, 0)
	c.takeover("CA0", "v=0", "gone")
	c.quiet()
	if n := s.Fired()["dead_takeover"]; n != 2 {
		t.Errorf("fired %d times", n)
	}
}

// Media is blocked for a while: a gap as long as that and packets lost, in one
// call and not in the other; then it goes on.
func TestFaultBlockMedia(t *testing.T) {
	s := serve(t, nil)
	k := s.take(CallOptions{}, 0)
	healthy := s.take(CallOptions{}, 0)
	from := k.call.Stats().Heard.Last
	k.call.BlockMedia(true)
	until(t, k.call, "200 ms without media", func(st Stats) bool { return st.Age-st.Heard.Last > 200*ms })
	k.call.BlockMedia(false)
	heard := k.call.Stats().Heard.Packets
	st := until(t, k.call, "media again", func(st Stats) bool { return st.Heard.Packets > heard+5 })
	f := k.call.Heard(from, st.Age)
	if f.LongestGap < 200*ms || f.Lost < 9 || st.Dropped < 9 || st.State != InProgress {
		t.Errorf("the fault shows as %+v, %d dropped", f, st.Dropped)
	}
	if h := healthy.call.Stats(); h.Heard.Lost != 0 || h.Dropped != 0 {
		t.Errorf("another call suffered: %+v", h.Heard)
	}

	s.SetFaults(Faults{BlockMedia: true}, 100*ms)
	for _, c := range []*Call{k.call, healthy.call} {
		packets := c.Stats().Heard.Packets
		until(t, c, "media after the fault", func(st Stats) bool { return st.Heard.Packets > packets+20 })
	}
	if h := healthy.call.Stats(); h.Heard.Lost == 0 || s.Fired()["block_media"] == 0 {
		t.Errorf("nothing was blocked: %+v", h.Heard)
	}
	if s.Faults() != (Faults{}) {
		t.Error("the fault did not end")
	}
}

// The path goes away under open sockets and under the media, and nobody is told.
// What the client opens afterwards is well, and ICE finds another way.
func TestStrand(t *testing.T) {
	s := serve(t, nil)
	k := s.take(CallOptions{}, 30)
	other := s.registered("bob")
	if n := s.Strand("alice", 0, true); n == 0 {
		t.Fatal("nobody was stranded")
	}
	until(t, k.call, "200 ms without media", func(st Stats) bool { return st.Age-st.Heard.Last > 200*ms })
	k.page.about("hangup", k.call.SID())
	other.register(true)
	other.expect("ready")
	if err := s.Wait(within(t), func() bool { return s.Fired()["strand"] > 0 }); err != nil {
		t.Error("the hang-up got through")
	}

	page := s.connected("alice", 30)
	page.takeover(k.call.SID(), k.browser.offer(true), k.token)
	k.browser.take(page.expect("answer").Payload.SDP)
	heard := k.call.Stats().Heard.Packets
	until(t, k.call, "audio over the other path", func(st Stats) bool { return st.Heard.Packets > heard+25 })
	page.about("hangup", k.call.SID())
	until(t, k.call, "its end", ended)
}

func TestInsights(t *testing.T) {
	s := serve(t, nil)
	hc, base := s.http("eventgw.us1.twilio.com")
	do := func(method, body string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(within(t), method, base+"/v4/EndpointEvents", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := hc.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if rest, _ := io.ReadAll(res.Body); len(rest) != 0 {
			t.Errorf("%s is answered %q", method, rest)
		}
		return res
	}
	preflight := do("OPTIONS", "")
	if preflight.StatusCode != 204 || preflight.Header.Get("Access-Control-Allow-Origin") != "*" ||
		preflight.Header.Get("Access-Control-Allow-Headers") != "content-type,x-twilio-token" {
		t.Errorf("preflight %d %v", preflight.StatusCode, preflight.Header)
	}
	for body, status := range map[string]int{
		`{"group":"connection","name":"muted","level":"INFO","payload":{"call_sid":"CA1"},"publisher":"twilio-js-sdk"}`: 200,
		`nonsense`: 400,
		`{"payload":"` + strings.Repeat("x", insightLimit) + `"}`: 400,
	} {
		if res := do("POST", body); res.StatusCode != status {
			t.Errorf("%.20s: %d, want %d", body, res.StatusCode, status)
		}
	}
	if res := do("GET", ""); res.StatusCode != 405 {
		t.Errorf("GET: %d", res.StatusCode)
	}
	all := s.Insights()
	if len(all) != 1 || all[0].Group != "connection" || all[0].Name != "muted" || string(all[0].Payload) != `{"call_sid":"CA1"}` {
		t.Errorf("insights %s", all)
	}
	if !slices.ContainsFunc(s.Events(0), func(ev Event) bool { return ev.Kind == "insight" && ev.Detail == "connection/muted" }) {
		t.Errorf("events %v", s.Events(0))
	}
}

func TestSounds(t *testing.T) {
	s := serve(t, nil)
	hc, base := s.http("sdk.twilio.com")
	get := func(path string) (*http.Response, []byte) {
		t.Helper()
		res, err := hc.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, body
	}
	for _, name := range []string{"incoming", "outgoing", "disconnect", "dtmf-0", "dtmf-9", "dtmf-star", "dtmf-hash"} {
		res, body := get("/js/client/sounds/releases/1.0.0/" + name + ".mp3?cache=2.18.5")
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "audio/wav" || res.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %v", name, res.StatusCode, res.Header)
		}
		samples, err := media.ReadWAV(bytes.NewReader(body))
		if err != nil || len(samples) != media.SampleRate/5 || media.Level(samples) < -25 {
			t.Errorf("%s: %v, %d samples", name, err, len(samples))
		}
	}
	for _, path := range []string{"/js/client/sounds/releases/1.0.0/x.mp3", "/elsewhere"} {
		if res, _ := get(path); res.StatusCode != 404 {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
	if !slices.ContainsFunc(s.Events(0), func(ev Event) bool { return ev.Kind == "other" && ev.Detail == "GET /elsewhere" }) {
		t.Error("what is not served is not recorded")
	}
}

func TestCertificateIsKept(t *testing.T) {
	folder := t.TempDir() + "/state"
	edge := func(now time.Time) *Edge {
		t.Helper()
		e, err := New(Options{Keys: testKeys, Folder: folder, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(e.Close)
		return e
	}
	now := time.Now()
	first := edge(now)
	if sum, err := base64.StdEncoding.DecodeString(first.SPKI()); err != nil || len(sum) != 32 {
		t.Errorf("hash %q", first.SPKI())
	}
	if second := edge(now.Add(300 * 24 * time.Hour)); second.SPKI() != first.SPKI() {
		t.Error("the certificate was not kept")
	}
	if third := edge(now.Add(certificate.Life - time.Hour)); third.SPKI() == first.SPKI() {
		t.Error("a certificate about to expire was kept")
	}
	for _, host := range []string{"voice-js.roaming.twilio.com", "voice-js.ashburn.twilio.com", "voice-js.dublin.twilio.com", "eventgw.twilio.com", "eventgw.us1.twilio.com", "sdk.twilio.com", "localhost", "127.0.0.1"} {
		if err := first.cert.Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("an edge that can verify no token was made")
	}
}

// What no voice client sends does no harm: it is counted, and the socket goes
// on; a frame beyond all measure ends it.
func TestMalformedFrames(t *testing.T) {
	s := serve(t, nil)
	c := s.registered("alice")
	bad := []string{
		``, `null`, `[]`, `"listen"`, `{`, `{"type":7}`, `{"type":""}`, `{"type":"listen","payload":{"token":7}}`, `{"type":"listen","payload":[]}`,
		`{"type":"register"}`, `{"type":"register","payload":{"media":{"audio":"yes"}}}`, `{"type":"invite","payload":{}}`,
		`{"type":"hangup","payload":{"callsid":{}}}`, `{"type":"hangup","payload":{"callsid":"` + strings.Repeat("x", 200) + `"}}`, strings.Repeat("[", 100000),
	}
	for _, frame := range bad {
		c.raw("%s", frame)
	}
	for _, frame := range []string{
		`{"type":"hangup","payload":{"callsid":"CA0"}}`, `{"type":"reject","payload":{"callsid":"CA0"}}`, `{"type":"dtmf","payload":{"callsid":"CA0","dtmf":"1"}}`,
		`{"type":"answer","payload":{"callsid":"CA0","sdp":"x"}}`, `{"type":"reinvite","payload":{"callsid":"CA0","sdp":"x"}}`,
		`{"type":"message","payload":{"callsid":"CA0","voiceeventsid":"KX0"}}`, `{"type":"candidate","payload":{}}`,
	} {
		c.raw("%s", frame)
	}
	if err := c.conn.Write(within(t), websocket.MessageBinary, []byte{0, 1, 2}); err != nil {
		t.Fatal(err)
	}
	c.quiet()
	n := 0
	for _, ev := range s.Events(0) {
		if ev.Kind == "malformed" {
			n++
		}
	}
	if n != len(bad) {
		t.Errorf("%d malformed frames counted, want %d", n, len(bad))
	}
	_ = c.conn.Write(within(t), websocket.MessageText, make([]byte, frameLimit+1))
	if code := c.gone(); code != websocket.StatusMessageTooBig {
		t.Errorf("closed with %d", code)
	}
}

// A client that stops reading is dropped instead of being remembered for ever.
func TestSlowClientIsDropped(t *testing.T) {
	inBubble(t, func(t *testing.T, e *Edge, open func() *websocket.Conn) {
		conn := open() // and never read from
		defer conn.CloseNow()
		for range outboundLimit + 2 {
			e.Send("", "x", map[string]any{})
		}
		if err := e.Wait(t.Context(), func() bool { return len(e.Sockets()) == 0 }); err != nil {
			t.Error(err)
		}
	})
}

func TestEventsAreBounded(t *testing.T) {
	e, err := New(Options{Keys: testKeys})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for i := range 3 * journalKept {
		e.mu.Lock()
		e.record(Event{Kind: fmt.Sprint(i)})
		e.mu.Unlock()
	}
	all := e.Events(0)
	if len(all) > journalKept || all[len(all)-1].Number != 3*journalKept {
		t.Errorf("%d events, the last is %d", len(all), all[len(all)-1].Number)
	}
	if latest := e.Events(3*journalKept - 2); len(latest) != 2 || latest[0].Number != 3*journalKept-1 {
		t.Errorf("the latest two: %v", latest)
	}
	if none := e.Events(3 * journalKept); len(none) != 0 {
		t.Errorf("after the last: %v", none)
	}
}

// Whatever comes over the socket: no panic, and what is taken is bounded and
// complete for its type.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"type":"listen","payload":{"token":"t","reconnectTimeout":30,"browserinfo":{"v":"2.18.5"}},"version":"1.6"}`,
		`{"type":"register","payload":{"media":{"audio":true}}}`, `{"type":"invite","payload":{"callsid":"CA1","sdp":"v=0","reconnect":"r","twilio":{}}}`,
		`{"type":"invite","payload":{"callsid":"TJS1","sdp":"v=0","twilio":{"params":"To=%2B1"}}}`, `{"type":"dtmf","payload":{"callsid":"CA1","dtmf":"1#"}}`,
		`{"type":"message","payload":{"callsid":"CA1","content":{"a":[1]},"voiceeventsid":"KX1"}}`,
		`{"type":"listen","payload":{"reconnectTimeout":1e300}}`, `{"type":"listen","payload":{"reconnectTimeout":-1e300}}`, "\n", "\xff", `{"type":"hangup","payload":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode(data)
		if err != nil {
			return
		}
		if r.Type == "" || r.ReconnectTimeout < 0 || r.ReconnectTimeout > 30 || len(r.CallSID) > sidLimit || len(r.Message) > len(data) {
			t.Errorf("%q is taken as %+v", data, r)
		}
		if (r.Type == "hangup" || r.Type == "dtmf" || r.Type == "reinvite") && r.CallSID == "" || r.Type == "register" && r.Audio == nil {
			t.Errorf("%q is taken as %+v", data, r)
		}
		if r.Message != nil && !json.Valid(r.Message) {
			t.Errorf("message %q", r.Message)
		}
	})
}

// A WAV file from anywhere is played or refused.
func FuzzWAV(f *testing.F) {
	f.Add(media.EncodeWAV(make([]int16, 20)))
	f.Add([]byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if source, err := media.WAV(bytes.NewReader(data)); err == nil {
			take(source, 2)
		}
	})
}
