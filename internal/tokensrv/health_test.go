package tokensrv

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

func (f *fixture) admin(path string) answered {
	f.t.Helper()
	w := httptest.NewRecorder()
	f.Admin().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return note(f.t, w.Result())
}

func (f *fixture) wantDegraded(whats ...string) {
	f.t.Helper()
	var page struct{ Degraded []Degraded }
	if err := json.Unmarshal([]byte(f.admin(pathDegraded).body), &page); err != nil {
		f.t.Fatal(err)
	}
	var got []string
	for _, d := range page.Degraded {
		got = append(got, d.What)
		if d.Why == "" {
			f.t.Errorf("%s is degraded for no reason", d.What)
		}
	}
	if strings.Join(got, " ") != strings.Join(whats, " ") {
		f.t.Errorf("degraded: %q, want %q", got, whats)
	}
}

var unreachable = problem.New(problem.NetworkUnreachable, "cannot reach Twilio")

// A server that starts while Twilio is away is alive and not ready, asks again,
// and is ready once Twilio answers.
func TestStartWithoutTwilio(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answers atomicError
		answers.set(unreachable)
		f := newFixture(t, func(_ *Config, d *Deps) { d.CheckSigningKey = answers.ask })
		attempts, ended := 0, make(chan error, 1)
		go func() { ended <- f.Start(t.Context(), func(error) { attempts++ }) }()
		synctest.Wait()
		time.Sleep(5 * time.Minute)
		if a := f.admin(pathLive); a.status != 200 {
			t.Errorf("liveness while starting: %d", a.status)
		}
		if a := f.admin(pathReady); a.status != 503 || a.body != "starting: waiting for Twilio\n" {
			t.Errorf("readiness while starting: %d %q", a.status, a.body)
		}
		f.wantDegraded("start")
		synctest.Wait()
		if attempts < 10 || attempts > 20 {
			t.Errorf("%d attempts in five minutes", attempts)
		}
		answers.set(nil)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if a := f.admin(pathReady); a.status != 200 || a.body != "ok\n" {
			t.Errorf("readiness after the start: %d %q", a.status, a.body)
		}
		f.wantDegraded()
	})
}

// An attempt that Twilio never answers is given up, and made again.
func TestStartWhileTwilioIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		f := newFixture(t, func(_ *Config, d *Deps) {
			d.CheckSigningKey = func(ctx context.Context) error {
				if asked++; asked < 3 {
					<-ctx.Done()
					return problem.New(problem.Timeout, "no answer").Because(ctx.Err())
				}
				return nil
			}
		})
		begun := time.Now()
		if err := f.Start(t.Context(), func(error) {}); err != nil || asked != 3 {
			t.Errorf("%v after %d attempts", err, asked)
		}
		if took := time.Since(begun); took != 2*askTwilioFor+3*time.Second {
			t.Errorf("ready after %s", took)
		}
	})
}

// A refusal will be one next time too; being asked to stop is no failure.
func TestStartGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := problem.New(problem.CredentialsRefused, "no longer exists")
		f := newFixture(t, func(_ *Config, d *Deps) { d.CheckSigningKey = func(context.Context) error { return refused } })
		if err := f.Start(t.Context(), nil); err != error(refused) {
			t.Errorf("got %v", err)
		}
		f = newFixture(t, func(_ *Config, d *Deps) { d.Prepare = func(context.Context) error { return unreachable } })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := f.Start(ctx, func(error) {}); err != nil {
			t.Errorf("told to stop: %v", err)
		}
	})
}

// Replicas that can still serve agents, updates or events are still sent requests.
func TestReadyWithoutTwilio(t *testing.T) {
	down := func(f *fixture) {
		f.twilio.set(func(*http.Request, string) (*http.Response, error) { return reply(500, "{}"), nil })
		for i := range breakAfter {
			f.do(post(flexToken("down" + string(rune('a'+i)))))
		}
	}
	t.Run("as long as verdicts are fresh", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			alice := f.agent("alice")
			f.do(post(alice)).wantToken(t)
			down(f)
			if a := f.admin(pathReady); a.status != 200 || a.body != "degraded: the validator is down\n" {
				t.Errorf("readiness: %d %q", a.status, a.body)
			}
			f.wantDegraded("validator")
			f.do(post(alice)).wantToken(t)
			time.Sleep(keepVerified)
			down(f)
			if a := f.admin(pathReady); a.status != 503 {
				t.Errorf("readiness with nothing to serve: %d %q", a.status, a.body)
			}
		})
	})
	t.Run("as long as guests have work", func(t *testing.T) {
		work := true
		f := newFixture(t, func(_ *Config, d *Deps) {
			d.OtherWork = func() bool { return work }
			d.Degraded = []func() []Degraded{func() []Degraded { return []Degraded{{"extension", "no package"}} }}
		})
		f.wantDegraded("extension")
		down(f)
		if a := f.admin(pathReady); a.status != 200 {
			t.Errorf("readiness: %d %q", a.status, a.body)
		}
		f.wantDegraded("validator", "extension")
		if work = false; f.admin(pathReady).status != 503 {
			t.Error("ready with nothing to serve")
		}
	})
	t.Run("but not before the key was asked about once", func(t *testing.T) {
		f := newFixture(t, func(_ *Config, d *Deps) {
			d.OtherWork = func() bool { return true }
			d.CheckSigningKey = func(context.Context) error { return unreachable }
		})
		if a := f.admin(pathReady); a.status != 503 {
			t.Errorf("before the first attempt: %d", a.status)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if err := f.Start(ctx, func(error) { cancel() }); err != nil {
			t.Error(err)
		}
		if a := f.admin(pathReady); a.status != 200 {
			t.Errorf("after it: %d %q", a.status, a.body)
		}
	})
}

// The balancers hear that the server goes before it refuses connections.
func TestDrainDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *Config, _ *Deps) { c.DrainDelay = 5 * time.Second })
		ln := newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx, listening(ln), nil) }()
		synctest.Wait()
		stopping := time.Now()
		cancel()
		time.Sleep(4 * time.Second)
		c := ln.client()
		resp, err := c.Get("http://x" + pathReady)
		if err != nil {
			t.Fatal(err)
		}
		if a := note(t, resp); a.status != 503 || a.body != "draining\n" {
			t.Errorf("readiness: %d %q", a.status, a.body)
		}
		r := post(f.agent("alice"))
		r.RequestURI, r.URL.Scheme, r.URL.Host = "", "http", "x"
		if resp, err = c.Do(r); err != nil {
			t.Fatal(err)
		}
		note(t, resp).wantToken(t)
		c.CloseIdleConnections()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(stopping); took < 5*time.Second || took > 7*time.Second {
			t.Errorf("stopped after %s", took)
		}
	})
}

func TestLastIssuedIsMeasured(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	f := newFixture(t, func(_ *Config, d *Deps) { d.Now = func() time.Time { return at } })
	const metric = "flexvc_tokens_last_issued_timestamp_seconds "
	if a := f.admin(pathMetrics); !strings.Contains(a.body, metric+"0\n") {
		t.Errorf("before the first token:\n%s", a.body)
	}
	f.do(post(f.agent("alice"))).wantToken(t)
	if a := f.admin(pathMetrics); !strings.Contains(a.body, metric+"1800000000\n") {
		t.Errorf("after it:\n%s", a.body)
	}
}
