package emulator_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/emulatortest"
)

// reroute sends every request to one address and keeps Twilio's name in Host,
// as a client of the emulator does.
type reroute struct {
	to   string
	next http.RoundTripper
}

func (r reroute) RoundTrip(req *http.Request) (*http.Response, error) {
	out := req.Clone(req.Context())
	out.Host = req.URL.Host
	out.URL.Scheme, out.URL.Host = "http", r.to
	return r.next.RoundTrip(out)
}

// serve runs the emulator on a port of this machine until the test ends.
func serve(t *testing.T, e *emulator.Emulator) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	emulatortest.Must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- e.Run(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-stopped:
			emulatortest.Must(t, err)
		case <-time.After(30 * time.Second):
			t.Error("Run does not end")
		}
	})
	return ln.Addr().String()
}

func overNetwork(t *testing.T, e *emulator.Emulator) *emulatortest.Client {
	c := emulatortest.As(t, e)
	wire := &http.Transport{}
	t.Cleanup(wire.CloseIdleConnections)
	c.Transport = emulatortest.Contract(t, reroute{serve(t, e), wire})
	return c
}

func TestItServesOverTheNetwork(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 60})
	c := overNetwork(t, e)
	pages, _ := emulatortest.Walk(t, c, c.Workspace()+"/Workers?PageSize=25", false)
	if seen := len(slices.Concat(pages...)); seen != 60 {
		t.Errorf("the pages have %d workers", seen)
	}
}

func TestFaultsReachTheWire(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 500, Faults: []string{"FetchWorker:drop*1", "UpdateWorker:drop-after*1", "ListWorker:truncate*1"}})
	c := overNetwork(t, e)
	wk := c.Workspace() + "/Workers/" + e.ExportWorkers()[0].SID
	if _, err := c.Send("GET", wk, "", ""); !errors.Is(err, io.EOF) {
		t.Errorf("a dropped connection: %v", err)
	}
	if _, err := c.Send("POST", wk, "application/x-www-form-urlencoded", "Attributes=%7B%7D"); !errors.Is(err, io.EOF) || e.ExportWorkers()[0].Attributes != "{}" {
		t.Errorf("an answer lost after the write: %v, the worker is %+v", err, e.ExportWorkers()[0])
	}
	got, err := c.Send("GET", c.Workspace()+"/Workers?PageSize=500", "", "")
	if !errors.Is(err, io.ErrUnexpectedEOF) || got.StatusCode != 200 || len(got.Text) == 0 || int64(len(got.Text)) != got.ContentLength/2 {
		t.Errorf("a torn body: %v after %d of %d bytes", err, len(got.Text), got.ContentLength)
	}
	c.Get(wk).Want(t, 200)
	emulatortest.Must(t, e.UnfiredFaults())
}

func TestHostsLeadToProducts(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 2})
	ws := e.Account().WorkspaceSID
	for _, test := range []struct {
		host, path string
		status     int
		base       string // of the links in the answer
	}{
		{"taskrouter.twilio.com", "/v1/Workspaces/" + ws, 200, "https://taskrouter.twilio.com/v1"},
		{"taskrouter.twilio.com:443", "/v1/Workspaces/" + ws, 200, "https://taskrouter.twilio.com/v1"},
		{"TaskRouter.Twilio.com", "/v1/Workspaces/" + ws, 200, "https://taskrouter.twilio.com/v1"},
		{"taskrouter.ie1.twilio.com", "/v1/Workspaces/" + ws, 200, "https://taskrouter.ie1.twilio.com/v1"},
		{"taskrouter.dublin.ie1.twilio.com", "/v1/Workspaces/" + ws, 200, "https://taskrouter.dublin.ie1.twilio.com/v1"},
		{"127.0.0.1:4010", "/taskrouter.twilio.com/v1/Workspaces/" + ws, 200, "https://taskrouter.twilio.com/v1"},
		{"localhost", "/taskrouter.dublin.ie1.twilio.com/v1/Workspaces/" + ws, 200, "https://taskrouter.dublin.ie1.twilio.com/v1"},
		{"127.0.0.1:4010", "/flex-api.twilio.com/v1/Configuration", 200, "https://flex-api.twilio.com/v1"},
		{"127.0.0.1:4010", "/v1/Workspaces/" + ws, 404, ""},
		{"127.0.0.1:4010", "/", 404, ""},
		{"127.0.0.1:4010", "/taskrouter.twilio.com", 404, ""},
		{"taskrouter.twilio.com.evil.example", "/v1/Workspaces/" + ws, 404, ""},
		{"eviltwilio.com", "/v1/Workspaces/" + ws, 404, ""},
		{"a.b.c.d.twilio.com", "/v1/Workspaces/" + ws, 404, ""},
		{".twilio.com", "/v1/Workspaces/" + ws, 404, ""},
		{"iam.twilio.com", "/v1/Workspaces/" + ws, 404, ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1:4010"+test.path, nil)
		emulatortest.Must(t, err)
		r.Host = test.host
		r.SetBasicAuth(e.Account().SID, e.Account().AuthToken)
		resp, err := e.Transport().RoundTrip(r)
		emulatortest.Must(t, err)
		text, err := io.ReadAll(resp.Body)
		emulatortest.Must(t, err)
		emulatortest.Must(t, resp.Body.Close())
		if resp.StatusCode != test.status || !strings.Contains(string(text), `"url":"`+test.base) && test.base != "" {
			t.Errorf("%s %s is answered %d with %s", test.host, test.path, resp.StatusCode, text)
		}
	}
}

func TestTransportHandlesBodies(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{})
	c := emulatortest.As(t, e)
	sent := &tracked{Reader: strings.NewReader("FriendlyName=x")}
	r, err := http.NewRequestWithContext(t.Context(), "POST", c.Workspace()+"/Activities", sent)
	emulatortest.Must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(c.User, c.Password)
	resp, err := e.Transport().RoundTrip(r)
	emulatortest.Must(t, err)
	if !sent.closed {
		t.Error("the request's body stays open")
	}
	if n := e.Stats().OpenBodies; n != 1 {
		t.Errorf("%d bodies are open, want 1", n)
	}
	emulatortest.Must(t, resp.Body.Close())
	emulatortest.Must(t, resp.Body.Close())
	if n := e.Stats().OpenBodies; n != 0 {
		t.Errorf("%d bodies are open, want 0", n)
	}
	if _, err := resp.Body.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("a closed body can be read: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sent = &tracked{Reader: strings.NewReader("FriendlyName=y")}
	r, err = http.NewRequestWithContext(ctx, "POST", c.Workspace()+"/Activities", sent)
	emulatortest.Must(t, err)
	if _, err := e.Transport().RoundTrip(r); !errors.Is(err, context.Canceled) || !sent.closed {
		t.Errorf("a cancelled request: %v, its body is closed: %t", err, sent.closed)
	}
	if n := len(e.Export().Activities); n != 5 {
		t.Errorf("there are %d activities", n)
	}
}

type tracked struct {
	io.Reader
	closed bool
}

func (b *tracked) Close() error { b.closed = true; return nil }

func TestADelayedWriteEndsWhenItsClientIsGone(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 1, Faults: []string{"UpdateWorker:delay=1m"}})
	gone := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		e.ServeHTTP(w, r)
	}))
	defer srv.Close()
	wire := &http.Transport{}
	defer wire.CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	c := emulatortest.As(t, e)
	c.TB, c.Transport = withContext{t, ctx}, reroute{srv.Listener.Addr().String(), wire}
	go func() {
		for e.Faults()[0].Fired == 0 {
			runtime.Gosched()
		}
		cancel()
	}()
	if _, err := c.Send("POST", c.Workspace()+"/Workers/"+e.ExportWorkers()[0].SID, "application/x-www-form-urlencoded", "Attributes=%7B%7D"); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	select {
	case <-gone:
	case <-time.After(30 * time.Second):
		t.Error("the server still waits for a client that is gone")
		srv.CloseClientConnections()
	}
}

func TestRunEndsAfterTheRequestsInFlight(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 1, Faults: []string{"FetchWorker:delay=300ms"}})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	emulatortest.Must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- e.Run(ctx, ln) }()
	c := emulatortest.As(t, e)
	wire := &http.Transport{}
	defer wire.CloseIdleConnections()
	c.Transport = reroute{ln.Addr().String(), wire}
	answered := make(chan error, 1)
	go func() {
		a, err := c.Send("GET", c.Workspace()+"/Workers/"+e.ExportWorkers()[0].SID, "", "")
		if err == nil && a.StatusCode != 200 {
			err = fmt.Errorf("answered %d", a.StatusCode)
		}
		answered <- err
	}()
	deadline := time.After(10 * time.Second)
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for e.Faults()[0].Fired == 0 { // until the request is in flight
		select {
		case <-deadline:
			t.Fatal("the request does not arrive")
		case <-look.C:
		}
	}
	cancel()
	emulatortest.Must(t, <-answered)
	emulatortest.Must(t, <-stopped)
}

func TestNothingSecretIsLogged(t *testing.T) {
	var log bytes.Buffer
	e := emulatortest.Start(t, emulator.Options{Agents: 1, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	c := emulatortest.As(t, e)
	token, _ := c.Login(t, `{}`)
	c.Must("POST", "https://iam.twilio.com/v1/Accounts/"+e.Account().SID+"/Tokens/validate", "application/json", `{"token":"`+token+`"}`).Want(t, 200)
	key := c.Post("https://iam.twilio.com/v1/Keys", []string{"AccountSid", e.Account().SID}).Want(t, 201).JSON(t)
	text := log.String() + fmt.Sprint(e.Log(), e.Export())
	if !strings.Contains(log.String(), "ValidateToken") {
		t.Errorf("the log is %s", log.String())
	}
	for _, secret := range []string{token, e.Account().AuthToken, e.Account().KeySecret, key["secret"].(string)} {
		if strings.Contains(text, secret) {
			t.Error("a secret is in the log or the export")
		}
	}
}
