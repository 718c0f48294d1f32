package tokensrv

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPanicBecomesAProblem(t *testing.T) {
	token := flexToken("in a panic")
	f := newFixture(t, func(_ *Config, d *Deps) {
		d.Extension = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/extension/text":
				panic("token " + token)
			case "/extension/runtime":
				var none []int
				_ = none[len(r.URL.Path)]
			case "/extension/half":
				_, _ = w.Write([]byte("half"))
				panic("late")
			default:
				panic(http.ErrAbortHandler)
			}
		})
	})
	a := f.do(httptest.NewRequest("GET", "/extension/text", nil))
	a.want(t, 500, internalError)
	f.do(httptest.NewRequest("GET", "/extension/runtime", nil)).want(t, 500, internalError)
	log := f.log.String()
	if !strings.Contains(log, "panic of type string") || !strings.Contains(log, "index out of range") || !strings.Contains(log, a.header.Get("X-Request-Id")) {
		t.Errorf("log: %s", log)
	}
	for _, path := range []string{"/extension/half", "/extension/abort"} {
		func() {
			defer func() {
				if v := recover(); v != http.ErrAbortHandler {
					t.Errorf("%s: net/http is told %v, want the connection cut", path, v)
				}
			}()
			f.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		}()
	}
	if n := f.Stats().InFlight; n != 0 {
		t.Errorf("%d requests in flight after panics", n)
	}
}

func TestRequestIDs(t *testing.T) {
	f := newFixture(t, func(_ *Config, d *Deps) { d.Random = bytes.NewReader([]byte{0, 1, 2, 3, 4}) })
	r := httptest.NewRequest("GET", pathLive, nil)
	r.Header.Set("X-Request-Id", "chosen-by-the-client")
	if got := f.do(r).header.Get("X-Request-Id"); got != "000G40R4" {
		t.Errorf("named %q", got)
	}
	if got := f.do(httptest.NewRequest("GET", pathLive, nil)).header.Get("X-Request-Id"); len(got) != 8 || got == "000G40R4" {
		t.Errorf("without randomness named %q", got)
	}
}

func TestAccessLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log, err := NewLog(&out, "text", slog.LevelInfo)
		if err != nil {
			t.Fatal(err)
		}
		f := newFixture(t, func(_ *Config, d *Deps) { d.Log, d.Random = log, bytes.NewReader(make([]byte, 100)) })
		answer := func(body string) func(*http.Request, string) (*http.Response, error) {
			return func(*http.Request, string) (*http.Response, error) {
				time.Sleep(38 * time.Millisecond)
				return reply(200, body), nil
			}
		}
		f.twilio.set(answer(vouch("alice", time.Now().Add(time.Hour))))
		f.do(post(flexToken("good"))).wantToken(t)
		f.twilio.set(answer(`{"valid":false,"code":20104}`))
		f.do(post(flexToken("expired"))).want(t, 403, tokenExpired)
		f.do(httptest.NewRequest("GET", "/nowhere", nil))
		f.do(httptest.NewRequest("GET", pathLive, nil))
		want := "00:00:00  info  token issued    identity=ext_alice  38 ms  req=00000000\n" +
			"00:00:00  warn  token refused   reason=flex-token-expired  client=192.0.2.1  38 ms  req=00000000\n"
		if out.String() != want {
			t.Errorf("logged\n%s, want\n%s", out.String(), want)
		}
	})
}

func TestAccessLogForMachines(t *testing.T) {
	f := newFixture(t, nil)
	f.do(post(f.agent("alice"))).wantToken(t)
	for _, field := range []string{`"msg":"token issued"`, `"identity":"ext_alice"`, `"ms":`, `"req":"`, `"http":{"route":"generateToken","method":"POST","status":200,"bytes":`, `"client":"192.0.2.1"`} {
		if !strings.Contains(f.log.String(), field) {
			t.Errorf("no %s in %s", field, f.log.String())
		}
	}
}

func TestTextLogStaysInItsLine(t *testing.T) {
	var out bytes.Buffer
	log, err := NewLog(&out, "text", slog.LevelDebug)
	if err != nil {
		t.Fatal(err)
	}
	log.With("a", 1).WithGroup("g").With("b", "two words").Error("broken\r\nline", "c", "x\ny", "err", errors.New("why"), slog.Group("in", "d", true))
	_, text, _ := strings.Cut(out.String(), "  ") // the time
	if want := `error "broken\r\nline"  a=1  g.b="two words"  g.c="x\ny"  g.err=why  g.in.d=true` + "\n"; text != want {
		t.Errorf("got  %q\nwant %q", text, want)
	}
	if _, err := NewLog(&out, "xml", slog.LevelInfo); err == nil {
		t.Error("xml is taken")
	}
}

func TestIdentityLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *Config, _ *Deps) { c.IdentityRate = Rate{PerSecond: 0.1, Burst: 2} })
		// Two Flex tokens of one agent share one limit.
		first, second := flexToken("first"), flexToken("second")
		for _, token := range []string{first, second} {
			f.twilio.agents[token] = vouch("alice", time.Now().Add(time.Hour))
		}
		f.do(post(first)).wantToken(t)
		f.do(post(second)).wantToken(t)
		a := f.do(post(first))
		a.want(t, 429, identityLimited)
		if got := a.header.Get("Retry-After"); got != "10" {
			t.Errorf("Retry-After %s, want 10", got)
		}
		f.do(post(f.agent("bob"))).wantToken(t)
		time.Sleep(10 * time.Second)
		f.do(post(first)).wantToken(t)
		f.do(post(first)).want(t, 429, identityLimited)
	})
}

func TestHealthIsNeverLimited(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *Deps) { c.AddressRate = Rate{PerSecond: 0.001, Burst: 1} })
	for range 5 {
		if a := f.do(httptest.NewRequest("GET", pathReady, nil)); a.status != 200 {
			t.Fatalf("a probe was answered %d", a.status)
		}
	}
}

// A shift that logs in behind one address must not meet its own limit.
func TestDefaultAddressLimitLetsAShiftIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter("address", Defaults().AddressRate, nil, time.Now)
		for i := range 10_000 {
			if l.wait(t.Context(), "203.0.113.9") > 0 {
				t.Fatalf("agent %d is refused", i)
			}
		}
		if l.wait(t.Context(), "203.0.113.9") == 0 {
			t.Error("there is no limit at all")
		}
	})
}

func TestLimiterMemoryIsBounded(t *testing.T) {
	l := newLimiter("address", Rate{PerSecond: 1, Burst: 1}, nil, time.Now)
	for i := range bucketsKept + 1000 {
		l.wait(t.Context(), string(rune(i)))
	}
	if n := l.fullAt.Len(); n > bucketsKept {
		t.Errorf("%d buckets", n)
	}
}

func TestServerHasAllFourTimeouts(t *testing.T) {
	s := newFixture(t, nil).httpServer(nil)
	for name, d := range map[string]time.Duration{"ReadHeader": s.ReadHeaderTimeout, "Read": s.ReadTimeout, "Write": s.WriteTimeout, "Idle": s.IdleTimeout} {
		if d <= 0 || d > 2*time.Minute {
			t.Errorf("%sTimeout is %s", name, d)
		}
	}
	// An answer that waits for the longest allowed validator timeout is still written.
	if s.WriteTimeout <= time.Minute {
		t.Errorf("WriteTimeout %s cuts off answers within ValidateTimeout", s.WriteTimeout)
	}
	if s.MaxHeaderBytes < maxTokenBytes+4<<10 {
		t.Errorf("a GET with the longest token does not fit in %d bytes", s.MaxHeaderBytes)
	}
}
