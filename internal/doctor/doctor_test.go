package doctor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/workers"
)

func TestChecksRunAtOnceAndAreToldInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var checks []Check
		for i, name := range []string{"slow", "middling", "quick"} {
			checks = append(checks, Check{ID: name, Run: func(context.Context) Result {
				time.Sleep(time.Duration(3-i) * time.Second)
				return pass(name)
			}})
		}
		began := time.Now()
		var told []string
		err := Run(t.Context(), checks, time.Now, func(c Check, r Result) { told = append(told, c.ID+" "+r.Took.String()) })
		if want := []string{"slow 3s", "middling 2s", "quick 1s"}; err != nil || !slices.Equal(told, want) {
			t.Errorf("told %q, %v", told, err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("they took %v, one after the other", took)
		}
	})
}

func TestACheckThatHangsHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := Check{ID: "hangs", Run: func(ctx context.Context) Result {
			<-ctx.Done()
			return failure("it hangs", ctx.Err(), "wait")
		}}
		var got Result
		if err := Run(t.Context(), []Check{hangs}, time.Now, func(_ Check, r Result) { got = r }); err != nil {
			t.Fatal(err)
		}
		if got.Status != Failed || got.Took != Patience || got.Cause != "no answer within 15s" {
			t.Errorf("the result is %+v", got)
		}
	})
}

func TestAnInterruptEndsTheChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		hangs := Check{ID: "hangs", Run: func(ctx context.Context) Result { <-ctx.Done(); return pass("") }}
		time.AfterFunc(time.Second, cancel)
		err := Run(ctx, []Check{hangs}, time.Now, func(Check, Result) { t.Error("a result was told") })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v", err)
		}
	})
}

// TestEvents: a sink that Twilio gave up on brings nothing, and says so nowhere
// else.
func TestEvents(t *testing.T) {
	for name, test := range map[string]struct {
		sinks  []Sink
		err    error
		status Status
		cause  string
	}{
		"none":            {nil, nil, Skipped, ""},
		"working":         {[]Sink{{"DG1", true, true}}, nil, Passed, ""},
		"given up":        {[]Sink{{"DG1", false, true}}, nil, Failed, "Twilio does not deliver to it: it failed or was never confirmed"},
		"no subscription": {[]Sink{{"DG1", true, false}}, nil, Failed, "it has no subscription to worker events"},
		"not permitted":   {nil, problem.New(problem.PermissionDenied, "no"), Skipped, ""},
		"unavailable":     {nil, problem.New(problem.TwilioUnavailable, "cannot list sinks: Twilio cannot serve it now"), Failed, "cannot list sinks: Twilio cannot serve it now"},
	} {
		d := &Doctor{Account: Account{
			Check: func(context.Context) error { return nil },
			Sinks: func(context.Context) ([]Sink, error) { return test.sinks, test.err },
		}}
		for _, c := range d.Checks() {
			if c.ID != "events" {
				continue
			}
			if r := c.Run(t.Context()); r.Status != test.status || r.Cause != test.cause {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
}

// TestWorkersThatCannotBeJudgedAreNotCalledRight: Twilio's list may leave the
// attributes out.
func TestWorkersThatCannotBeJudgedAreNotCalledRight(t *testing.T) {
	d := &Doctor{Settings: Settings{WorkspaceSID: "WS1"}, Now: time.Now, Account: Account{
		Check: func(context.Context) error { return nil }, Workers: hidden{},
		Judgement: func(context.Context) (fleet.Rules, func(context.Context) (bool, error), error) {
			return fleet.Rules{}, nil, nil
		},
	}}
	for _, c := range d.Checks() {
		if c.ID == "workers" {
			if r := c.Run(t.Context()); r.Status != Skipped {
				t.Errorf("the result is %+v", r)
			}
		}
	}
}

type hidden struct{ workers.API }

func (hidden) Worker(context.Context, string) (twilio.Worker, error) {
	return twilio.Worker{}, errors.New("a worker was fetched")
}

func (hidden) Workers(context.Context, string) iter.Seq2[twilio.Worker, error] {
	return func(yield func(twilio.Worker, error) bool) {
		for i := range lookedUp + 1 {
			if !yield(twilio.Worker{SID: fmt.Sprint("WK", i)}, nil) {
				return
			}
		}
	}
}

// TestAWorkerThatTheListGaveTwiceWasCountedTwice: pages shift while workers come and
// go, so a list may give a worker again. Watch and serve count it once.
func TestAWorkerThatTheListGaveTwiceWasCountedTwice(t *testing.T) {
	stale := `{"contact_uri":"client:ext_carol"}`
	result := func(api workers.API) (r Result) {
		d := &Doctor{Settings: Settings{WorkspaceSID: "WS1"}, Now: time.Now, Account: Account{
			Check: func(context.Context) error { return nil }, Workers: api,
			Judgement: func(context.Context) (fleet.Rules, func(context.Context) (bool, error), error) {
				return fleet.Rules{Prefix: "ext_"}, nil, nil
			},
		}}
		for _, c := range d.Checks() {
			if c.ID == "workers" {
				r = c.Run(t.Context())
			}
		}
		return r
	}
	carol := twilio.Worker{SID: "WK1", FriendlyName: "carol", Attributes: &stale}
	dave := twilio.Worker{SID: "WK2", FriendlyName: "dave", Attributes: &stale}
	if r := result(listed{carol, dave, carol}); r.States[fleet.StateStale] != 2 || !strings.HasPrefix(r.Says, "2 workers: 2 stale") {
		t.Errorf("two workers, one of them listed twice: %+v", r)
	}

	// As many as are looked up one by one, all listed twice.
	var all listed
	for i := range lookedUp {
		w := twilio.Worker{SID: fmt.Sprint("WK", i)}
		all = append(all, w, w)
	}
	if r := result(all); r.States[fleet.StateOK] != lookedUp {
		t.Errorf("%d workers without attributes, all listed twice: %+v", lookedUp, r)
	}
}

// listed is a list of workers. One that is fetched has never been enabled.
type listed []twilio.Worker

func (l listed) Worker(_ context.Context, sid string) (twilio.Worker, error) {
	none := "{}"
	return twilio.Worker{SID: sid, Attributes: &none}, nil
}

func (l listed) Workers(context.Context, string) iter.Seq2[twilio.Worker, error] {
	return func(yield func(twilio.Worker, error) bool) {
		for _, w := range l {
			if !yield(w, nil) {
				return
			}
		}
	}
}

func (listed) SetAttributes(context.Context, string, string, string) (twilio.Worker, error) {
	return twilio.Worker{}, errors.New("doctor changed a worker")
}

type answers func(*http.Request) *http.Response

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) { return a(r), nil }

// TestATokenThatCannotBeHadWasATick: the token endpoint was called right although
// nothing but its preflight had been tried.
func TestATokenThatCannotBeHadWasATick(t *testing.T) {
	d := &Doctor{
		Settings:  Settings{TokenURL: "https://voice.acme.example/generateToken", Prefix: "ext_"},
		Extension: Extension{ID: strings.Repeat("a", 32)},
		Web: answers(func(r *http.Request) *http.Response {
			if r.Method != http.MethodOptions {
				t.Errorf("%s is asked without a token", r.Method)
			}
			return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Header: http.Header{
				"Access-Control-Allow-Origin": {r.Header.Get("Origin")}, "Access-Control-Allow-Methods": {"POST"}, "Access-Control-Allow-Headers": {"content-type"},
			}}
		}),
		Account: Account{
			Check:     func(context.Context) error { return nil },
			FlexToken: func(context.Context) (string, error) { return "", problem.New(problem.NotFound, "Flex has no users") },
		},
	}
	for _, c := range d.Checks() {
		if c.ID != "token-server" {
			continue
		}
		if r := c.Run(t.Context()); r.Status != Skipped || !strings.Contains(r.Says, "Flex has no users") {
			t.Errorf("the check says %+v", r)
		}
	}
}
