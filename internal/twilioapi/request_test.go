package twilioapi

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

const (
	oneWorker = `{"sid":"` + agent + `","friendly_name":"zoe","attributes":"{}"}`
	tooFast   = `{"code":20429,"message":"Too Many Requests","status":429}`
	html      = "<html><body>503 Service Unavailable</body></html>"
)

// step is one answer of a server that follows a script.
type step func() (*http.Response, error)

func gives(status int, body string, header ...string) step {
	return func() (*http.Response, error) { return respond(status, body, header...), nil }
}

func fails(err error) step { return func() (*http.Response, error) { return nil, err } }

// cutOff is an answer whose connection breaks in the middle of the body.
func cutOff(status int, body string) step {
	return func() (*http.Response, error) {
		r := respond(status, "")
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader(body), brokenReader{}))
		return r, nil
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// script answers with one step after the other and repeats the last one.
func script(steps ...step) (http.RoundTripper, *int) {
	n := new(int)
	return roundTripper(func(*http.Request) (*http.Response, error) {
		s := steps[min(*n, len(steps)-1)]
		*n++
		return s()
	}), n
}

func TestOnlySafeRequestsAreRepeated(t *testing.T) {
	reset := &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}
	read := func(ctx context.Context, c *Client) error {
		_, err := c.Workspace(workspace).Worker(ctx, agent)
		return err
	}
	list := func(ctx context.Context, c *Client) error {
		for _, err := range c.Workspace(workspace).Workers(ctx, "") {
			if err != nil {
				return err
			}
		}
		return nil
	}
	write := func(ctx context.Context, c *Client) error {
		_, err := c.Workspace(workspace).SetAttributes(ctx, agent, "{}", `"3"`)
		return err
	}
	create := func(ctx context.Context, c *Client) error {
		_, err := c.Workspace(workspace).CreateActivity(ctx, "Voice Client Offline", false)
		return err
	}
	createKey := func(ctx context.Context, c *Client) error {
		_, _, err := c.CreateKey(ctx, "a")
		return err
	}
	remove := func(ctx context.Context, c *Client) error { return c.DeleteKey(ctx, apiKey) }
	rename := func(ctx context.Context, c *Client) error { return c.RenameKey(ctx, apiKey, "b") }

	ok := gives(200, oneWorker)
	okPage := gives(200, page("", "ann"))
	okKey := gives(201, `{"sid":"`+apiKey+`","secret":"notASecret"}`)
	limited := gives(429, tooFast)
	for _, tc := range []struct {
		name     string
		call     func(context.Context, *Client) error
		steps    []step
		requests int
		code     problem.Code // "" for success
	}{
		{"read after 429", read, []step{limited, limited, ok}, 3, ""},
		{"read after 500", read, []step{gives(500, `{}`), ok}, 2, ""},
		{"read after 502", read, []step{gives(502, html), ok}, 2, ""},
		{"read after 503", read, []step{gives(503, html), ok}, 2, ""},
		{"read after 504", read, []step{gives(504, ""), ok}, 2, ""},
		{"read after a broken connection", read, []step{fails(reset), ok}, 2, ""},
		{"read after a cut answer", read, []step{cutOff(200, `{"sid":"WK`), ok}, 2, ""},
		{"read after an answer that only stops", read, []step{gives(200, `{"sid":"WK`), ok}, 2, ""},
		{"read after an empty answer", read, []step{gives(200, ""), ok}, 2, ""},
		{"read after 501", read, []step{gives(501, "")}, 1, problem.TwilioUnavailable},
		{"read, never available", read, []step{gives(503, html)}, maxFailed, problem.TwilioUnavailable},
		{"read, never reached", read, []step{fails(reset)}, maxFailed, problem.NetworkUnreachable},
		{"read, never let in", read, []step{limited}, maxRateLimited, problem.RateLimited},
		{"read of something else", read, []step{gives(200, html)}, 1, problem.TwilioAnswer},
		{"read of another shape", read, []step{gives(200, `{"sid":7}`)}, 1, problem.TwilioAnswer},
		{"read, not found", read, []step{gives(404, `{"code":20404}`)}, 1, problem.NotFound},
		{"read after a cut refusal", read, []step{cutOff(404, `{"code":20`), ok}, 2, ""},
		{"read after a cut refusal, refused", read, []step{cutOff(404, ``), gives(404, `{"code":20404}`)}, 2, problem.NotFound},
		{"read, always a cut refusal", read, []step{cutOff(404, `{"code"`)}, maxFailed, problem.TwilioAnswer},
		{"read, refused in whole before the cut", read, []step{cutOff(404, `{"code":20404}`)}, 1, problem.NotFound},
		{"read after a cut 401", read, []step{cutOff(401, `{"mess`), ok}, 2, ""},
		{"read after a cut 429", read, []step{cutOff(429, `{"mess`), ok}, 2, ""},
		{"read after a cut 503", read, []step{cutOff(503, `<htm`), ok}, 2, ""},
		{"read, never available and cut", read, []step{cutOff(503, `<htm`)}, maxFailed, problem.TwilioUnavailable},
		{"page after a cut refusal", list, []step{cutOff(400, `{`), okPage}, 2, ""},
		{"page after a cut one", list, []step{cutOff(200, strings.TrimSuffix(page("", "ann"), "]}")), okPage}, 2, ""},
		{"page without its list", list, []step{gives(200, `{"meta":{}}`)}, 1, problem.TwilioAnswer},
		{"page that is a list", list, []step{gives(200, `[]`)}, 1, problem.TwilioAnswer},
		{"write after 429", write, []step{limited, ok}, 2, ""},
		{"write after 503", write, []step{gives(503, html), ok}, 2, ""},
		{"write after a broken connection", write, []step{fails(reset), ok}, 2, ""},
		{"write that went through although its answer was lost", write, []step{cutOff(200, `{`), gives(412, `{"code":20412,"message":"Precondition failed"}`)}, 2, problem.PreconditionFailed},
		{"stale write", write, []step{gives(412, `{"code":20412}`)}, 1, problem.PreconditionFailed},
		{"write after a cut 503", write, []step{cutOff(503, `{`), ok}, 2, ""},
		{"write after a cut refusal", write, []step{cutOff(400, `{`), ok}, 2, ""},
		{"write after a cut refusal, refused", write, []step{cutOff(400, `{`), gives(400, `{"code":20001}`)}, 2, problem.RequestRefused},
		{"stale write, cut", write, []step{cutOff(412, `{"co`)}, 1, problem.PreconditionFailed},
		{"stale write, told by no Twilio", write, []step{gives(412, html)}, 1, problem.TwilioAnswer},
		{"refused creation, cut", create, []step{cutOff(400, `{"co`)}, 1, problem.TwilioAnswer},
		{"create after a cut 429", create, []step{cutOff(429, `{`), gives(201, `{"sid":"WA1"}`)}, 2, ""},
		{"create after a cut 503", create, []step{cutOff(503, `{`)}, 1, problem.TwilioUnavailable},
		{"create after 429", create, []step{limited, gives(201, `{"sid":"WA1"}`)}, 2, ""},
		{"create after 503", create, []step{gives(503, html)}, 1, problem.TwilioUnavailable},
		{"create after a broken connection", create, []step{fails(reset)}, 1, problem.NetworkUnreachable},
		{"create with a cut answer", create, []step{cutOff(201, `{`)}, 1, problem.TwilioAnswer},
		{"create key after 429", createKey, []step{limited, okKey}, 2, ""},
		{"create key after 503", createKey, []step{gives(503, html)}, 1, problem.TwilioUnavailable},
		{"delete after 503", remove, []step{gives(503, html), gives(204, "")}, 2, ""},
		{"delete that went through although its answer was lost", remove, []step{fails(reset), gives(404, `{"code":20404}`)}, 2, ""},
		{"delete that went through although both answers were lost", remove, []step{fails(reset), cutOff(404, `{"co`)}, 2, ""},
		{"delete after a cut refusal", remove, []step{cutOff(403, `{"co`), gives(204, "")}, 2, ""},
		{"delete of nothing, cut", remove, []step{cutOff(404, `{"co`), gives(404, `{"code":20404}`)}, 2, ""},
		{"delete of nothing", remove, []step{gives(404, `{"code":20404}`)}, 1, problem.NotFound},
		{"rename after 503", rename, []step{gives(503, html), gives(200, `{}`)}, 2, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			base, n := script(tc.steps...)
			c := atOnce(t, base)
			err := tc.call(t.Context(), c)
			if tc.code == "" && err != nil {
				t.Fatal(err)
			}
			if tc.code != "" {
				p := wantCode(t, err, tc.code)
				lost := strings.HasPrefix(tc.name, "create ") && tc.code != problem.RateLimited
				if warned := strings.Contains(p.Summary+p.Detail, "may have been created"); warned != lost {
					t.Errorf("warns of a lost creation: %v, want %v: %s\n%s", warned, lost, p.Summary, p.Detail)
				}
			}
			if *n != tc.requests {
				t.Errorf("%d requests, want %d", *n, tc.requests)
			}
			limits := int64(0)
			for i := range *n {
				if r, _ := tc.steps[min(i, len(tc.steps)-1)](); r != nil && r.StatusCode == 429 {
					limits++
				}
			}
			s := c.Stats()
			if s.Requests != int64(*n) || s.Retries != int64(*n-1) || s.RateLimited != limits {
				t.Errorf("counted %+v, want %d requests, %d of them limited", s, *n, limits)
			}
		})
	}
}

func TestProblemsSayWhatHappened(t *testing.T) {
	invalid := fails(&url.Error{Op: "Get", URL: "https://x/?PageToken=tok", Err: x509.UnknownAuthorityError{}})
	read := func(ctx context.Context, c *Client) error {
		_, err := c.Workspace(workspace).Worker(ctx, agent)
		return err
	}
	filter := func(ctx context.Context, c *Client) error {
		_, err := names(t, c.Workspace(workspace), "a ==")
		return err
	}
	flex := func(ctx context.Context, c *Client) error {
		_, err := c.FlexConfiguration(ctx)
		return err
	}
	for _, tc := range []struct {
		call    func(context.Context, *Client) error
		step    step
		code    problem.Code
		summary string
		detail  string // a part of it
	}{
		{read, gives(401, `{"code":20003,"message":"Authentication Error - invalid username","status":401}`), problem.CredentialsRefused,
			"cannot read worker WK…c3d0 of WS…91c0: Twilio does not accept the credentials of AC…eeff", "HTTP 401, code 20003 (https://www.twilio.com/docs/errors/20003), request RQ0001"},
		{read, gives(401, `{"code":20003,"detail":"Your AccountSid or AuthToken was incorrect."}`), problem.CredentialsRefused,
			"cannot read worker WK…c3d0 of WS…91c0: Twilio does not accept the credentials of AC…eeff", "Twilio says: Your AccountSid or AuthToken was incorrect"},
		{read, gives(401, `{"code":20003,"message":"Permission denied"}`), problem.PermissionDenied,
			"cannot read worker WK…c3d0 of WS…91c0: AC…eeff may not do this", ""},
		{read, gives(403, `{"code":20003,"message":"Forbidden"}`), problem.PermissionDenied,
			"cannot read worker WK…c3d0 of WS…91c0: AC…eeff may not do this", "HTTP 403"},
		{read, gives(404, `{"code":20404,"message":"The requested resource was not found"}`), problem.NotFound,
			"cannot read worker WK…c3d0 of WS…91c0: Twilio does not know it (404, code 20404)", "RQ0001"},
		{flex, gives(404, `{"code":20404}`), problem.FlexNotFound, "cannot read the Flex configuration of AC…eeff: account AC…eeff has no Flex", ""},
		{filter, gives(400, `{"code":20001,"message":"Parse error at\n\u001b[31mline 1."}`), problem.FilterRefused,
			"cannot list the workers of WS…91c0: Twilio does not accept the filter: Parse error at [31mline 1", ""},
		{read, gives(400, `{"code":20001,"message":"Attributes too long"}`), problem.RequestRefused,
			"cannot read worker WK…c3d0 of WS…91c0: Attributes too long (400, code 20001)", ""},
		{read, gives(409, `{}`), problem.RequestRefused, "cannot read worker WK…c3d0 of WS…91c0: conflict (409, code 0)", "HTTP 409"},
		{read, gives(403, html), problem.TwilioAnswer, "cannot read worker WK…c3d0 of WS…91c0: the response is not from Twilio (HTTP 403)", ""},
		{read, gives(407, html), problem.NetworkUnreachable, "cannot read worker WK…c3d0 of WS…91c0: the proxy requires a user name and password", ""},
		{read, gives(429, html), problem.RateLimited, "cannot read worker WK…c3d0 of WS…91c0: Twilio kept rate-limiting requests", ""},
		{read, gives(503, html), problem.TwilioUnavailable, "cannot read worker WK…c3d0 of WS…91c0: Twilio cannot serve it now (HTTP 503)", ""},
		{read, gives(200, html), problem.TwilioAnswer, "cannot read worker WK…c3d0 of WS…91c0: Twilio's response has an unexpected format", "invalid character"},
		{read, invalid, problem.NetworkUnreachable, "cannot read worker WK…c3d0 of WS…91c0: cannot reach Twilio", "certificate signed by unknown authority"},
		{read, fails(&net.DNSError{Err: "no such host", Name: "taskrouter.twilio.com", IsNotFound: true}), problem.NetworkUnreachable,
			"cannot read worker WK…c3d0 of WS…91c0: cannot reach Twilio", "no such host"},
	} {
		t.Run(tc.summary, func(t *testing.T) {
			base, _ := script(tc.step)
			p := wantCode(t, tc.call(t.Context(), atOnce(t, base)), tc.code)
			if p.Summary != tc.summary {
				t.Errorf("says\n%s, want\n%s", p.Summary, tc.summary)
			}
			if !strings.Contains(p.Detail, tc.detail) {
				t.Errorf("detail\n%s, want in it\n%s", p.Detail, tc.detail)
			}
			if p.Hint == "" && (tc.code != problem.NotFound && tc.code != problem.RequestRefused) {
				t.Error("no hint")
			}
			for e := error(p); e != nil; e = errors.Unwrap(e) {
				if strings.Contains(e.Error(), "PageToken") || strings.Contains(e.Error(), "notAToken") {
					t.Errorf("a cause tells too much: %v", e)
				}
			}
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Virtual time begins at midnight UTC 2000-01-01.
		for _, tc := range []struct {
			header   string
			min, max time.Duration
		}{
			{"7", 7 * time.Second, 8 * time.Second},
			{time.Now().Add(9 * time.Second).UTC().Format(http.TimeFormat), 7 * time.Second, 9 * time.Second},
			{"86400", maxRetryAfter, maxRetryAfter + time.Second},
			{"", 0, time.Second},
			{"-3", 0, time.Second},
			{"soon", 0, time.Second},
			{"Fri, 31 Dec 1999 00:00:00 GMT", 0, time.Second},
		} {
			now := time.Now()
			header := tc.header
			if strings.HasSuffix(header, "GMT") && tc.max > time.Second {
				header = now.Add(9 * time.Second).UTC().Format(http.TimeFormat)
			}
			base, _ := script(gives(429, tooFast, "Retry-After", header), gives(200, oneWorker))
			if _, err := newClient(t, options(base)).Workspace(workspace).Worker(t.Context(), agent); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(now); took < tc.min || took > tc.max {
				t.Errorf("Retry-After %q: waited %v, want %v to %v", header, took, tc.min, tc.max)
			}
		}
	})
}

// hang answers when the request is given up.
var hang = roundTripper(func(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
})

func TestCancelEndsRequestsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var served atomic.Int64
		c := newClient(t, options(roundTripper(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, agent) {
				return hang(r)
			}
			served.Add(1)
			return respond(200, oneWorker), nil
		})))
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var ended atomic.Int64
		for i := range 400 {
			wg.Go(func() {
				w := c.Workspace(workspace)
				if i%2 == 0 {
					if _, err := w.Worker(t.Context(), fmt.Sprintf("WK%032d", i)); err != nil {
						t.Error(err)
					}
					return
				}
				_, err := w.SetAttributes(ctx, agent, "{}", "1")
				if !problem.Is(err, problem.Interrupted) || !errors.Is(err, context.Canceled) {
					t.Errorf("error %v", err)
				}
				ended.Add(1)
			})
		}
		time.Sleep(25 * time.Second)
		cancel()
		synctest.Wait()
		// The bubble fails if a goroutine is left over.
		wg.Wait()
		if ended.Load() != 200 || served.Load() != 200 {
			t.Errorf("%d calls interrupted and %d served, want 200 each", ended.Load(), served.Load())
		}
	})
}

func TestCancelReachesTheServer(t *testing.T) {
	arrived, gone := make(chan struct{}), make(chan struct{})
	c, _ := overServer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(gone)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, err := c.Workspace(workspace).Worker(ctx, agent)
	wantCode(t, err, problem.Interrupted)
	<-gone
}

func TestDeadlineIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		_, err := newClient(t, options(hang)).Workspace(workspace).Worker(ctx, agent)
		wantCode(t, err, problem.Timeout)
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestServerThatNeverAnswersIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := newClient(t, options(hang)).Workspace(workspace).CreateActivity(t.Context(), "a", false)
		p := wantCode(t, err, problem.NetworkUnreachable)
		if want := "cannot create activity a in WS…91c0: no response from Twilio within 30s"; p.Summary != want {
			t.Errorf("says %s, want %s", p.Summary, want)
		}
	})
}

func TestWaitingForTheNextAttemptCanBeInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base, n := script(gives(429, tooFast, "Retry-After", "50"))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		_, err := newClient(t, options(base)).Workspace(workspace).Worker(ctx, agent)
		wantCode(t, err, problem.Interrupted)
		if took := time.Since(began); took != time.Second || *n != 1 {
			t.Errorf("took %v and %d requests", took, *n)
		}
	})
}

// The clock stands while anything can run: net/http gives up a connection whose
// request it has not marked as written 50 ms after the answer was read, which on a
// busy machine says nothing about whether the answer was read to its end.
func TestErrorAnswersLeaveNoConnectionOpen(t *testing.T) {
	synctest.Test(t, errorAnswersLeaveNoConnectionOpen)
}

func errorAnswersLeaveNoConnectionOpen(t *testing.T) {
	var opened atomic.Int64
	page := strings.Repeat("<p>unavailable</p>", 64<<10/18)
	c, s := overServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, page)
	}))
	transport := c.base.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		opened.Add(1)
		return dial(ctx, network, address)
	}
	c.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	c.pace.sleep = c.sleep
	c.pace.now = hurried()
	for range 10 {
		_, err := c.Workspace(workspace).Worker(t.Context(), agent)
		wantCode(t, err, problem.TwilioUnavailable)
	}
	if n := c.Stats().Requests; n != 50 {
		t.Fatalf("%d requests, want 50", n)
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections to %s for 50 requests, want 1", n, s.URL)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var leaked atomic.Bool
	c, _ := overServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			leaked.Store(true)
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	_, err := c.Workspace(workspace).SetAttributes(t.Context(), agent, "{}", "1")
	wantCode(t, err, problem.TwilioAnswer)
	if leaked.Load() {
		t.Error("the redirect was followed")
	}
}

func TestNothingSecretIsLogged(t *testing.T) {
	var log bytes.Buffer
	base, _ := script(fails(&url.Error{Op: "Get", URL: firstPage + "&PageToken=tok", Err: io.EOF}), gives(429, tooFast),
		gives(201, `{"sid":"`+apiKey+`","secret":"notASecret"}`))
	o := options(base)
	o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.Sleep = func(context.Context, time.Duration) error { return nil }
	o.Now = hurried()
	c := newClient(t, o)
	if _, err := names(t, c.Workspace(workspace), `email == "ann@example.com"`); !problem.Is(err, problem.TwilioAnswer) {
		t.Fatal(err)
	}
	if _, _, err := c.CreateKey(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	text := log.String()
	if strings.Count(text, "\n") != 4 || !strings.Contains(text, "status=429") || !strings.Contains(text, "RQ0001") {
		t.Errorf("log\n%s, want a line per attempt", text)
	}
	for _, secret := range []string{"tok", "notAToken", "notASecret", "ann@example.com", "Basic"} {
		if strings.Contains(strings.ReplaceAll(text, "PageToken", ""), secret) {
			t.Errorf("log tells %s:\n%s", secret, text)
		}
	}
}

// limitedTwilio is an in-memory Twilio with a bucket of 200 requests a second
// for everything and one of 3 for lists with an expression.
func limitedTwilio() http.RoundTripper {
	var mu sync.Mutex
	began := time.Now()
	all, expressions := newBucket(200, 200), newBucket(3, 3)
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		time.Sleep(25 * time.Millisecond)
		mu.Lock()
		b := all
		if r.URL.Query().Has("TargetWorkersExpression") {
			b = expressions
		}
		ok := b.admit(time.Since(began))
		mu.Unlock()
		time.Sleep(25 * time.Millisecond)
		switch {
		case !ok:
			return respond(429, tooFast), nil
		case strings.HasSuffix(r.URL.Path, "/Workers"):
			return respond(200, page("")), nil
		}
		return respond(200, oneWorker, "ETag", `"1"`), nil
	})
}

func TestBulkChangeRunsJustUnderTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers = 4000
		c := newClient(t, options(limitedTwilio()))
		began := time.Now()
		var next atomic.Int64
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				w := c.Workspace(workspace)
				for next.Add(1) <= workers {
					got, err := w.Worker(t.Context(), agent)
					if err == nil {
						_, err = w.SetAttributes(t.Context(), agent, "{}", got.ETag)
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		s := c.Stats()
		ratio := time.Since(began).Seconds() * 200 / (2 * workers)
		share := float64(s.RateLimited) / float64(s.Requests)
		t.Logf("%.3f times what the limit allows, %.2f %% of %d requests answered 429", ratio, 100*share, s.Requests)
		if ratio > 1.10 || share >= 0.01 {
			t.Error("too slow or too fast")
		}
		if s.Requests != 2*workers+s.Retries || s.Retries != s.RateLimited {
			t.Errorf("counted %+v", s)
		}
	})
}

func TestExpressionLimitDoesNotSlowTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(limitedTwilio())
		o.Rand = rand.New(rand.NewPCG(3, 4))
		c := newClient(t, o)
		var wg sync.WaitGroup
		began := time.Now()
		for range 30 {
			wg.Go(func() {
				if _, err := names(t, c.Workspace(workspace), "a == 1"); err != nil {
					t.Error(err)
				}
			})
		}
		for range 32 {
			wg.Go(func() {
				for range 30 {
					if _, err := c.Workspace(workspace).Worker(t.Context(), agent); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took > 13*time.Second {
			t.Errorf("30 lists took %v, want about 10 s", took)
		}
		if rate := c.Stats().Rate; rate < 100 {
			t.Errorf("the rate of other requests fell to %.0f", rate)
		}
	})
}
