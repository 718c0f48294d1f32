package twilioapi

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

const (
	account   = "AC" + "00112233445566778899aabbccddeeff"
	workspace = "WS" + "00112233445566778899aabbccdd91c0"
	agent     = "WK" + "00112233445566778899aabbccddc3d0"
	apiKey    = "SK" + "00112233445566778899aabbccdd07aa"
)

// roundTripper answers requests in memory.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return f(r)
}

func respond(status int, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}, "Twilio-Request-Id": {"RQ0001"}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func options(base http.RoundTripper) Options {
	return Options{
		AccountSID: account,
		Username:   account,
		Password:   "notAToken",
		Base:       base,
		Rand:       rand.New(rand.NewPCG(1, 2)),
	}
}

func newClient(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// hurried is a clock for one goroutine that moves a second whenever somebody
// looks, so that no rate makes anybody wait.
func hurried() func() time.Time {
	var calls atomic.Int64
	return func() time.Time { return time.Unix(1_700_000_000+calls.Add(1), 0) }
}

// atOnce is a client whose waits take no time.
func atOnce(t testing.TB, base http.RoundTripper) *Client {
	t.Helper()
	o := options(base)
	o.Now = hurried()
	o.Sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	return newClient(t, o)
}

// overServer sends what is meant for Twilio to h, on loopback.
func overServer(t testing.TB, h http.Handler) (*Client, *httptest.Server) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	o := options(nil)
	o.Emulator = u
	c := newClient(t, o)
	t.Cleanup(c.base.(*http.Transport).CloseIdleConnections)
	return c, s
}

func wantCode(t testing.TB, err error, code problem.Code) *problem.Problem {
	t.Helper()
	p := problem.As(err)
	if p == nil || p.Code != code {
		t.Fatalf("error %v, want the code %s", err, code)
	}
	return p
}

func TestNewRefusesUnusableOptions(t *testing.T) {
	for _, tc := range []struct {
		name string
		edit func(*Options)
		code problem.Code
	}{
		{"no account", func(o *Options) { o.AccountSID = "" }, problem.CredentialsMissing},
		{"no password", func(o *Options) { o.Password = "" }, problem.CredentialsMissing},
		{"account of another kind", func(o *Options) { o.AccountSID = workspace }, problem.ConfigInvalid},
		{"user name that is no SID", func(o *Options) { o.Username = "alice" }, problem.ConfigInvalid},
		{"secret with a line break", func(o *Options) { o.Password = "notAToken\n" }, problem.CredentialsRefused},
		{"unknown region alone", func(o *Options) { o.Region = "xx1" }, problem.ConfigInvalid},
		{"edge that would change the host", func(o *Options) { o.Edge = "evil.example/" }, problem.ConfigInvalid},
		{"emulator on another machine", func(o *Options) { o.Emulator = &url.URL{Scheme: "http", Host: "192.0.2.1:80"} }, problem.ConfigInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := options(nil)
			tc.edit(&o)
			_, err := New(o)
			p := wantCode(t, err, tc.code)
			if strings.Contains(fmt.Sprintf("%+v", *p), "notAToken") {
				t.Errorf("the problem tells the secret: %+v", *p)
			}
		})
	}
}

func TestRegionAndEdgeChooseTheHost(t *testing.T) {
	// The library's constructor would read these.
	t.Setenv("TWILIO_REGION", "au1")
	t.Setenv("TWILIO_EDGE", "sydney")
	for _, tc := range []struct{ region, edge, host string }{
		{"", "", "taskrouter.twilio.com"},
		{"ie1", "", "taskrouter.dublin.ie1.twilio.com"},
		{"us2", "", "taskrouter.umatilla.us2.twilio.com"},
		{"", "frankfurt", "taskrouter.frankfurt.us1.twilio.com"},
		{"ie1", "frankfurt", "taskrouter.frankfurt.ie1.twilio.com"},
		{"xx1", "moon", "taskrouter.moon.xx1.twilio.com"},
	} {
		var hosts []string
		o := options(roundTripper(func(r *http.Request) (*http.Response, error) {
			hosts = append(hosts, r.URL.Host)
			return respond(200, `{"workers":[],"meta":{}}`), nil
		}))
		o.Region, o.Edge = tc.region, tc.edge
		w := newClient(t, o).Workspace(workspace)
		for _, err := range w.Workers(t.Context(), "") {
			t.Error(err)
		}
		if _, err := w.Worker(t.Context(), agent); err != nil {
			t.Error(err)
		}
		if len(hosts) != 2 || hosts[0] != tc.host || hosts[1] != tc.host {
			t.Errorf("region %q edge %q: asked %q, want %s twice", tc.region, tc.edge, hosts, tc.host)
		}
	}
}

func TestWorkerCarriesTextAndETagAsTheyAre(t *testing.T) {
	text := `{"name":"Zoë & <b>","n":12345678901234567890,"f":1.0,"p":"50%+1"}`
	var form, match, query string
	c, _ := overServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "taskrouter.twilio.com" {
			t.Errorf("Host %q", r.Host)
		}
		if user, pass, ok := r.BasicAuth(); !ok || user != account || pass != "notAToken" {
			t.Errorf("credentials %q %q", user, pass)
		}
		if r.Method == http.MethodPost {
			form, match = r.PostFormValue("Attributes"), r.Header.Get("If-Match")
		}
		query = r.URL.RawQuery
		w.Header().Set("ETag", `"7"`)
		fmt.Fprintf(w, `{"sid":%q,"friendly_name":"zoe","available":true,"activity_sid":"WA1","activity_name":"Idle",
			"attributes":%q,"date_updated":"2026-03-04T13:58:54Z"}`, agent, text)
	}))
	ws := c.Workspace(workspace)
	got, err := ws.Worker(t.Context(), agent)
	if err != nil {
		t.Fatal(err)
	}
	if got.SID != agent || got.FriendlyName != "zoe" || !got.Available || got.ActivitySID != "WA1" || got.ActivityName != "Idle" ||
		*got.Attributes != text || got.ETag != `"7"` || !got.DateUpdated.Equal(time.Date(2026, 3, 4, 13, 58, 54, 0, time.UTC)) {
		t.Errorf("worker %+v, attributes %s", got, *got.Attributes)
	}
	if query != "" {
		t.Errorf("query %q", query)
	}
	if _, err := ws.SetAttributes(t.Context(), agent, text, got.ETag); err != nil {
		t.Fatal(err)
	}
	if form != text {
		t.Errorf("sent the attributes\n%s, want\n%s", form, text)
	}
	if match != "7" {
		t.Errorf("If-Match %q, want 7 without quotes", match)
	}
}
