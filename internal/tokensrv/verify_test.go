package tokensrv

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Real failures of the validator are documented nowhere, so each shape that can
// come over HTTP has a row: what the agent sees, what log and metrics say.
func TestEveryShapeOfValidatorAnswer(t *testing.T) {
	later := `"expiration":"2999-01-02T15:04:05.123Z"`
	for _, tt := range []struct {
		name   string
		via    Via
		status int
		body   string
		code   reason // "" for a token
		shape  string
	}{
		{"success", ViaIAM, 200, `{"valid":true,"code":0,"message":null,` + later + `,"identity":"a","roles":["agent"],"worker_sid":"WK1"}`, "", ""},
		{"success without milliseconds", ViaIAM, 200, `{"valid":true,"identity":"a","expiration":"2999-01-02T15:04:05Z"}`, "", ""},
		{"success without expiration", ViaIAM, 200, `{"valid":true,"identity":"a"}`, "", ""},
		{"success with nulls and news", ViaIAM, 200, `{"valid":true,"identity":"a","roles":null,"worker_sid":null,"permissions":[{"x":1}]}`, "", ""},
		{"success of Tokens/Info, which has no valid", ViaFlex, 200, `{"identity":"a","account_sid":"` + testAccount + `",` + later + `}`, "", ""},

		{"200 with valid false", ViaIAM, 200, `{"valid":false,"message":"not valid"}`, tokenRefused, "valid-false"},
		{"200 with valid false, expired", ViaIAM, 200, `{"valid":false,"code":20104,"message":"Access Token expired"}`, tokenExpired, "valid-false"},
		{"4xx with valid false", ViaIAM, 401, `{"valid":false,"code":20101,"message":"Invalid token"}`, tokenRefused, "error-status"},
		{"4xx with code and message", ViaIAM, 403, `{"code":20101,"message":"Invalid Access Token","more_info":"x","status":403}`, tokenRefused, "error-status"},
		{"4xx expired by code", ViaIAM, 401, `{"code":20104,"message":"x"}`, tokenExpired, "error-status"},
		{"4xx expired by text", ViaIAM, 400, `{"message":"Token has EXPIRED"}`, tokenExpired, "error-status"},
		{"code as text", ViaIAM, 403, `{"code":"20104","message":"x"}`, tokenExpired, "error-status"},
		{"404", ViaIAM, 404, `{"code":20404,"message":"The requested resource was not found","status":404}`, tokenRefused, "error-status"},
		{"past expiration though valid", ViaIAM, 200, `{"valid":true,"identity":"a","expiration":"2018-09-24T23:22:44.240Z"}`, tokenExpired, "expiration-past"},
		{"Tokens/Info refusing the token as password", ViaFlex, 401, `{"code":20003,"message":"Authenticate","status":401}`, tokenRefused, "error-status"},
		{"Tokens/Info expired", ViaFlex, 401, `{"code":20104,"message":"x","status":401}`, tokenExpired, "error-status"},
		{"other account", ViaFlex, 200, `{"identity":"a","account_sid":"AC9"}`, otherAccount, "account-differs"},

		{"our own credentials refused", ViaIAM, 401, `{"code":20003,"detail":"Your AccountSid or AuthToken was incorrect.","message":"Authenticate","status":401}`, validatorDenied, "basic-auth-refused"},

		{"200 with HTML", ViaIAM, 200, `<html>captive portal</html>`, validatorNonsense, "not-json"},
		{"200 with nothing", ViaIAM, 200, ``, validatorNonsense, "not-json"},
		{"200 with half an answer", ViaIAM, 200, `{"valid":true,"identity":"a`, validatorNonsense, "not-json"},
		{"200 with other types", ViaIAM, 200, `{"valid":"yes","identity":"a"}`, validatorNonsense, "unexpected-types"},
		{"200 with a list", ViaIAM, 200, `[]`, validatorNonsense, "unexpected-types"},
		{"200 without valid", ViaIAM, 200, `{"identity":"a"}`, validatorNonsense, "valid-missing"},
		{"200 null", ViaIAM, 200, `null`, validatorNonsense, "valid-missing"},
		{"200 without identity", ViaIAM, 200, `{"valid":true}`, validatorNonsense, "identity-missing"},
		{"200 with an unreadable expiration", ViaIAM, 200, `{"valid":true,"identity":"a","expiration":"tomorrow"}`, validatorNonsense, "expiration-unreadable"},
		{"4xx with HTML", ViaIAM, 403, `<html>`, validatorNonsense, "not-json"},
		{"4xx with empty JSON", ViaIAM, 400, `{}`, validatorNonsense, "error-without-code"},
		{"redirect", ViaIAM, 302, ``, validatorNonsense, "redirect"},
		{"longer than we read", ViaIAM, 200, `{"valid":true,"identity":"a","x":"` + strings.Repeat("x", 70<<10) + `"}`, validatorNonsense, "not-json"},

		{"429", ViaIAM, 429, `{"code":20429}`, validatorBusy, "too-many-requests"},
		{"500", ViaIAM, 500, `{"code":20500}`, validatorFailing, "server-error"},
		{"503 with HTML", ViaIAM, 503, `<html>`, validatorFailing, "server-error"},
		{"408", ViaIAM, 408, ``, validatorFailing, "server-error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, func(c *Config, _ *Deps) { c.ValidateVia = tt.via })
			f.twilio.set(func(*http.Request, string) (*http.Response, error) { return reply(tt.status, tt.body), nil })
			a := f.do(post(flexToken(tt.name)))
			if tt.code == "" {
				a.wantToken(t)
				return
			}
			a.want(t, refusals[tt.code].status, tt.code)
			if a.status == 503 && a.header.Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
			if log := f.log.String(); !strings.Contains(log, fmt.Sprintf(`"reason":%q,"validator":{"shape":%q,"status":%d`, tt.code, tt.shape, tt.status)) {
				t.Errorf("the log does not say %s, %s, %d: %s", tt.code, tt.shape, tt.status, log)
			}
			w := httptest.NewRecorder()
			f.Admin().ServeHTTP(w, httptest.NewRequest("GET", pathMetrics, nil))
			if line := fmt.Sprintf(`flexvc_validator_answers_total{outcome=%q,shape=%q} 1`, tt.code, tt.shape); !strings.Contains(w.Body.String(), line) {
				t.Errorf("the metrics lack %s", line)
			}
		})
	}
}

func TestQuestionToTwilio(t *testing.T) {
	f := newFixture(t, nil)
	token := f.agent("alice")
	var asked *http.Request
	var body string
	answer := func(r *http.Request, _ string) (*http.Response, error) {
		asked = r
		again, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(again)
		body = string(b)
		return reply(200, vouch("alice", f.now().Add(time.Hour))), err
	}
	f.twilio.set(answer)
	f.do(post(token)).wantToken(t)
	if got := asked.Method + " " + asked.URL.String(); got != "POST https://iam.twilio.com/v1/Accounts/"+testAccount+"/Tokens/validate" {
		t.Errorf("asked %s", got)
	}
	if user, password, _ := asked.BasicAuth(); user != testAccount || password != testAuth {
		t.Errorf("asked as %s", user)
	}
	if body != `{"token":"`+token+`"}` || asked.Header.Get("Content-Type") != "application/json" || asked.Header.Get("Cache-Control") != "no-cache" || asked.ContentLength != int64(len(body)) {
		t.Errorf("headers %v, %d bytes", asked.Header, asked.ContentLength)
	}

	f = newFixture(t, func(c *Config, _ *Deps) {
		c.ValidateVia, c.Validator = ViaFlex, Credentials{}
	})
	f.twilio.set(answer)
	f.do(post(token)).wantToken(t)
	if got := asked.URL.String(); got != "https://flex-api.twilio.com/v1/Accounts/"+testAccount+"/Tokens/Info" {
		t.Errorf("asked %s", got)
	}
	if got := asked.Header.Get("Authorization"); got != "Basic "+base64.StdEncoding.EncodeToString([]byte("token:"+token)) {
		t.Error("the token is not its own password")
	}
	if body != "Token="+token || asked.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("headers %v", asked.Header)
	}
}

func TestNetworkFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		shape string
	}{
		"refused":  {&net.OpError{Op: "dial", Err: errors.New("connection refused by http://user:pass-in-proxy@host")}, "network-dial"},
		"cut off":  {io.ErrUnexpectedEOF, "network-error"},
		"too slow": {context.DeadlineExceeded, "network-timeout"},
	} {
		f := newFixture(t, nil)
		f.twilio.set(func(*http.Request, string) (*http.Response, error) { return nil, tt.err })
		f.do(post(flexToken(name))).want(t, 503, validatorLost)
		if log := f.log.String(); !strings.Contains(log, tt.shape) || strings.Contains(log, "pass-in-proxy") {
			t.Errorf("%s: log is %s", name, log)
		}
	}
}

func TestBodyCutShort(t *testing.T) {
	f := newFixture(t, nil)
	f.twilio.set(func(*http.Request, string) (*http.Response, error) {
		resp := reply(200, "")
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"valid":true,`), failingReader{}))
		return resp, nil
	})
	f.do(post(flexToken("cut"))).want(t, 503, validatorLost)
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestRetryAfter(t *testing.T) {
	jitter := 0
	f := newFixture(t, func(_ *Config, d *Deps) { d.Jitter = func(n int) int { return min(jitter, n-1) } })
	ask := func(header string) string {
		f.twilio.set(func(*http.Request, string) (*http.Response, error) {
			resp := reply(429, "")
			resp.Header.Set("Retry-After", header)
			return resp, nil
		})
		return f.do(post(flexToken("busy"))).header.Get("Retry-After")
	}
	for _, tt := range []struct {
		header string
		jitter int
		want   string
	}{{"7", 0, "7"}, {"7", 3, "10"}, {"7", 99, "14"}, {"86400", 0, "60"}, {"", 0, "2"}, {"-1", 0, "2"}, {"Wed, 21 Oct 2026 07:28:00 GMT", 0, "2"}} {
		jitter = tt.jitter
		if got := ask(tt.header); got != tt.want {
			t.Errorf("Twilio says %q, jitter %d: we say %s, want %s", tt.header, tt.jitter, got, tt.want)
		}
	}
}

func TestOneQuestionHoweverManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		token := flexToken("crowd")
		f.twilio.set(func(*http.Request, string) (*http.Response, error) {
			time.Sleep(time.Second)
			return reply(200, vouch("crowd", time.Now().Add(time.Hour))), nil
		})
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { f.do(post(token)).wantToken(t) })
		}
		all.Wait()
		if n := f.twilio.calls.Load(); n != 1 {
			t.Errorf("Twilio was asked %d times", n)
		}
	})
}

// The one whose request started the question leaves; the others, who wait for
// the same answer, must not notice.
func TestWaiterLeavesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		token := flexToken("leaver")
		f.twilio.set(func(r *http.Request, _ string) (*http.Response, error) {
			select {
			case <-time.After(time.Second):
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			return reply(200, vouch("leaver", time.Now().Add(time.Hour))), nil
		})
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			started := time.Now()
			f.do(post(token).WithContext(ctx)).want(t, statusClientGone, clientGone)
			if took := time.Since(started); took != 100*time.Millisecond {
				t.Errorf("the leaver was held for %s", took)
			}
		})
		synctest.Wait()
		for range 3 {
			all.Go(func() { f.do(post(token)).wantToken(t) })
		}
		time.Sleep(100 * time.Millisecond)
		leave()
		all.Wait()
		if n := f.twilio.calls.Load(); n != 1 {
			t.Errorf("Twilio was asked %d times", n)
		}
	})
}

func TestVerdictsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		good, bad, timeless := f.agent("good"), flexToken("bad"), flexToken("timeless")
		f.twilio.agents[timeless] = `{"valid":true,"identity":"timeless"}`
		asked := func(what string, token string, want int64) {
			t.Helper()
			before := f.twilio.calls.Load()
			f.do(post(token))
			if got := f.twilio.calls.Load() - before; got != want {
				t.Errorf("%s: Twilio was asked %d times, want %d", what, got, want)
			}
		}
		asked("good, first", good, 1)
		asked("bad, first", bad, 1)
		asked("without expiration, first", timeless, 1)
		asked("without expiration, at once", timeless, 1)
		time.Sleep(keepRefused - time.Millisecond)
		asked("bad, before 5 s", bad, 0)
		asked("good, before 5 s", good, 0)
		time.Sleep(time.Millisecond)
		asked("bad, after 5 s", bad, 1)
		time.Sleep(keepVerified - keepRefused - time.Millisecond)
		asked("good, before 60 s", good, 0)
		time.Sleep(time.Millisecond)
		asked("good, after 60 s", good, 1)
	})
}

func TestVerdictsAreBounded(t *testing.T) {
	m := newMemo[int](100, time.Second, time.Now)
	for i := range 1000 {
		if _, err := m.get(t.Context(), strconv.Itoa(i), func(context.Context) (int, time.Time, error) {
			return i, time.Now().Add(time.Hour), nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if n := m.entries.Len(); n != 100 {
		t.Errorf("%d entries are kept", n)
	}
}

func TestPanicWhileAskingEndsOneRequest(t *testing.T) {
	f := newFixture(t, nil)
	token := flexToken("panic")
	f.twilio.set(func(*http.Request, string) (*http.Response, error) { panic("with " + token) })
	f.do(post(token)).want(t, 500, internalError)
	if !strings.Contains(f.log.String(), "panic of type string") {
		t.Errorf("the log does not say why: %s", f.log.String())
	}
	f.twilio.set(nil)
	f.do(post(f.agent("alice"))).wantToken(t)
}

func TestSlowValidator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.twilio.set(func(r *http.Request, _ string) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		started := time.Now()
		a := f.do(post(flexToken("slow")))
		a.want(t, 503, validatorTimeout)
		if took := time.Since(started); took != 5*time.Second || a.header.Get("Retry-After") == "" {
			t.Errorf("took %s, Retry-After %q", took, a.header.Get("Retry-After"))
		}
	})
}

func TestValidatorDownTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		ready := func() int { return f.do(httptest.NewRequest("GET", pathReady, nil)).status }
		down := func(r *http.Request, _ string) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		f.twilio.set(down)
		before := runtime.NumGoroutine()
		var all sync.WaitGroup
		sawOpen := false
		for i := range 600 {
			all.Go(func() {
				started := time.Now()
				a := f.do(post(flexToken("down" + strconv.Itoa(i))))
				if a.status != 503 || a.header.Get("Retry-After") == "" || time.Since(started) > 5*time.Second {
					t.Errorf("second %d: answered %d after %s", i, a.status, time.Since(started))
				}
			})
			time.Sleep(time.Second)
			sawOpen = sawOpen || ready() == 503
		}
		all.Wait()
		synctest.Wait()
		if n := runtime.NumGoroutine(); n > before+5 {
			t.Errorf("%d goroutines, %d before", n, before)
		}
		if n := f.twilio.calls.Load(); n > 200 {
			t.Errorf("Twilio was asked %d times while it was down: the breaker does not spare it", n)
		}
		if !sawOpen {
			t.Error("readiness never said that the validator is down")
		}

		f.twilio.set(nil)
		token := f.agent("alice")
		time.Sleep(breakerRest + time.Millisecond)
		f.do(post(token)).wantToken(t)
		if ready() != 200 {
			t.Error("not ready though the validator is back")
		}
		log := f.log.String()
		if strings.Count(log, "the validator is down") != 1 || strings.Count(log, "the validator is back") != 1 {
			t.Error("going and coming back are not logged exactly once each")
		}
	})
}

func TestHalfOpenBreakerLetsOneTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.twilio.set(func(*http.Request, string) (*http.Response, error) { return reply(500, ""), nil })
		for i := range breakAfter {
			f.do(post(flexToken("trip"+strconv.Itoa(i)))).want(t, 503, validatorFailing)
		}
		f.do(post(flexToken("open"))).want(t, 503, validatorOpen)
		time.Sleep(breakerRest + time.Millisecond)
		f.twilio.set(func(*http.Request, string) (*http.Response, error) {
			time.Sleep(100 * time.Millisecond)
			return reply(500, ""), nil
		})
		var all sync.WaitGroup
		calls := f.twilio.calls.Load()
		for i := range 5 {
			all.Go(func() { f.do(post(flexToken("half" + strconv.Itoa(i)))) })
		}
		all.Wait()
		if n := f.twilio.calls.Load() - calls; n != 1 {
			t.Errorf("%d tries at once", n)
		}
		f.do(post(flexToken("open again"))).want(t, 503, validatorOpen)
	})
}

// Whoever sends odd tokens must not be able to switch everyone off.
func TestRefusalsDoNotTripTheBreaker(t *testing.T) {
	for name, answer := range map[string]*http.Response{"refusals": reply(200, `{"valid":false}`), "nonsense": reply(400, "<html>"), "busy": reply(429, "")} {
		f := newFixture(t, nil)
		f.twilio.set(func(*http.Request, string) (*http.Response, error) { return reply(answer.StatusCode, ""), nil })
		for i := range 5 * breakAfter {
			f.do(post(flexToken(name + strconv.Itoa(i))))
		}
		f.twilio.set(nil)
		f.do(post(f.agent("alice"))).wantToken(t)
	}
}

func TestClockDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		off := time.Duration(0)
		f.twilio.set(func(*http.Request, string) (*http.Response, error) {
			resp := reply(200, vouch("a", time.Now().Add(time.Hour)))
			resp.Header.Set("Date", time.Now().Add(-off).UTC().Format(http.TimeFormat))
			return resp, nil
		})
		warnings := func() int { return strings.Count(f.log.String(), "clock differs") }
		for i, tt := range []struct {
			off      time.Duration
			warnings int
		}{{0, 0}, {30 * time.Second, 0}, {31 * time.Second, 1}, {time.Minute, 1}, {0, 1}, {-40 * time.Second, 2}} {
			off = tt.off
			f.do(post(flexToken("drift" + strconv.Itoa(i)))).wantToken(t)
			if got := warnings(); got != tt.warnings {
				t.Errorf("step %d, off by %s: %d warnings, want %d", i, tt.off, got, tt.warnings)
			}
		}
	})
}

func TestEnabledIsLookedUpOncePerWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lookups, on := 0, false
		f := newFixture(t, func(c *Config, d *Deps) {
			c.RequireEnabled = true
			d.WorkerEnabled = func(context.Context, string) (bool, error) { lookups++; return on, nil }
		})
		token := f.agent("alice")
		f.do(post(token)).want(t, 403, workerNotEnabled)
		f.do(post(token)).want(t, 403, workerNotEnabled)
		if lookups != 1 {
			t.Errorf("%d lookups", lookups)
		}
		on = true
		time.Sleep(keepAdmission)
		f.do(post(token)).wantToken(t)
		f.do(post(token)).wantToken(t)
		if lookups != 2 {
			t.Errorf("%d lookups after the agent was enabled, want 2", lookups)
		}
	})
}
