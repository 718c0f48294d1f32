package emulator_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/emulatortest"
	"github.com/flexvc/flexvc/internal/emulator/fault"
	"github.com/flexvc/flexvc/internal/problem"
)

func TestFaultsStrikeTheCallsTheySay(t *testing.T) {
	for _, test := range []struct {
		faults []string
		want   string // statuses of eight updates
	}{
		{[]string{"UpdateWorker:429*2"}, "429 429 200 200 200 200 200 200"},
		{[]string{"UpdateWorker:503html@7"}, "200 200 200 200 200 200 503 503"},
		{[]string{"UpdateWorker:500@3*2"}, "200 200 500 500 200 200 200 200"},
		{[]string{"UpdateWorker:500*2@3"}, "200 200 500 500 200 200 200 200"},
		{[]string{"FetchWorker:500"}, "200 200 200 200 200 200 200 200"},
		{[]string{"*:502*1", "UpdateWorker:503*1"}, "502 503 200 200 200 200 200 200"},
		{[]string{"taskrouter.UpdateWorker:418*1"}, "418 200 200 200 200 200 200 200"},
		{[]string{"iam.CreateNewKey:403"}, "200 200 200 200 200 200 200 200"},
		{[]string{"UpdateWorker:drop@2*1", "UpdateWorker:drop-after@4*1", "UpdateWorker:truncate@6*1"}, "200 lost 200 lost 200 torn 200 200"},
	} {
		t.Run(strings.Join(test.faults, " "), func(t *testing.T) {
			e := emulatortest.Start(t, emulator.Options{Agents: 1, Faults: test.faults})
			c := emulatortest.As(t, e)
			wk := c.Workspace() + "/Workers/" + e.ExportWorkers()[0].SID
			var got []string
			for range 8 {
				a, err := c.Send("POST", wk, "application/x-www-form-urlencoded", "Attributes=%7B%7D")
				switch {
				case errors.Is(err, io.ErrUnexpectedEOF) && a.Response != nil:
					got = append(got, "torn")
				case err != nil:
					got = append(got, "lost")
				default:
					got = append(got, a.Status[:3])
				}
			}
			if s := strings.Join(got, " "); s != test.want {
				t.Errorf("the updates are answered %s, want %s", s, test.want)
			}
		})
	}
}

// TestAnAnswerMayBeLostAfterTheWrite is what tests that a client can repeat.
func TestAnAnswerMayBeLostAfterTheWrite(t *testing.T) {
	for fault, written := range map[string]string{"drop": "before", "drop-after": `{"n":1}`, "truncate": `{"n":1}`, "429": "before"} {
		e := emulatortest.Start(t, emulator.Options{
			Seed:   &emulator.Seed{Workers: []emulator.SeedWorker{{FriendlyName: "a", Attributes: "before"}}},
			Faults: []string{"UpdateWorker:" + fault},
		})
		c := emulatortest.As(t, e)
		_, err := c.Send("POST", c.Workspace()+"/Workers/"+e.ExportWorkers()[0].SID, "application/x-www-form-urlencoded", `Attributes={"n":1}`)
		if got := e.ExportWorkers()[0].Attributes; got != written {
			t.Errorf("%s: the worker holds %s, want %s", fault, got, written)
		}
		if fault == "drop" && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: the error is %v", fault, err)
		}
	}
}

func TestADeletionCannotBeTruncated(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 1, Faults: []string{"DeleteWorker:truncate"}})
	c := overNetwork(t, e)
	if _, err := c.Send("DELETE", c.Workspace()+"/Workers/"+e.ExportWorkers()[0].SID, "", ""); err == nil || len(e.ExportWorkers()) != 0 {
		t.Errorf("the error is %v, %d workers are left", err, len(e.ExportWorkers()))
	}
}

func TestFaultsLookLikeTwilio(t *testing.T) {
	for fault, want := range map[string]struct {
		body, retryAfter, contentType string
	}{
		"429":                   {`{"code":20429,"message":"Too Many Requests","more_info":"https://www.twilio.com/docs/errors/20429","status":429}`, "", "application/json; charset=utf-8"},
		"429,retry-after=3":     {`"status":429`, "3", "application/json; charset=utf-8"},
		"503html":               {"<h1>503 Service Unavailable</h1>", "", "text/html"},
		"503html,retry-after=0": {"<h1>", "0", "text/html"},
		"503":                   {`"code":20503`, "", "application/json; charset=utf-8"},
		"403,code=20003":        {`"code":20003`, "", "application/json; charset=utf-8"},
		"418":                   {`"code":20001`, "", "application/json; charset=utf-8"},
		"504":                   {`"code":20500`, "", "application/json; charset=utf-8"},
	} {
		e := emulatortest.Start(t, emulator.Options{Faults: []string{"ListWorker:" + fault}})
		c := emulatortest.As(t, e)
		got := c.Get(c.Workspace() + "/Workers")
		if !strings.Contains(got.Text, want.body) || got.Header.Get("Retry-After") != want.retryAfter || got.Header.Get("Content-Type") != want.contentType {
			t.Errorf("%s: %v %s", fault, got.Header, got.Text)
		}
	}
}

func TestFaultsThatMeanNothingAreRefused(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{})
	for _, spec := range []string{
		"", "UpdateWorker", ":", "UpdateWorker:", ":429", "UpdateWorkers:429", "updateworker:429", "iam.UpdateWorker:429", "*.UpdateWorker:429",
		"UpdateWorker:200", "UpdateWorker:429html5", "UpdateWorker:4290", "UpdateWorker:explode", "UpdateWorker:delay", "UpdateWorker:delay=", "UpdateWorker:delay=-1s",
		"UpdateWorker:delay=2h", "UpdateWorker:delay=1", "UpdateWorker:429*0", "UpdateWorker:429@0", "UpdateWorker:429*1*1", "UpdateWorker:429*", "UpdateWorker:429@1*2@3",
		"UpdateWorker:429*99999999999999999999", "UpdateWorker:429,", "UpdateWorker:429,retry-after", "UpdateWorker:429,retry-after=-1", "UpdateWorker:429,shoes=1",
		"UpdateWorker:drop,retry-after=1", "UpdateWorker:503html,code=1", "UpdateWorker:429 *1", "UpdateWorker: 429",
	} {
		if err := e.SetFaults(spec); !problem.Is(err, problem.Usage) {
			t.Errorf("%q: %v, want a usage problem", spec, err)
		}
	}
}

func TestFaultsAreAccountedFor(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 1, Faults: []string{"FetchWorker:500*2", "UpdateWorker:429"}})
	c := emulatortest.As(t, e)
	wk := c.Workspace() + "/Workers/" + e.ExportWorkers()[0].SID
	wantUnfired := func(specs ...string) {
		t.Helper()
		err := e.UnfiredFaults()
		if (err == nil) != (len(specs) == 0) {
			t.Fatalf("unfired faults: %v, want %q", err, specs)
		}
		for _, spec := range specs {
			if !strings.Contains(err.Error(), spec) {
				t.Errorf("unfired faults: %v, want %q", err, spec)
			}
		}
	}
	wantUnfired("FetchWorker:500*2", "UpdateWorker:429")
	c.Get(wk).Want(t, 500)
	wantUnfired("FetchWorker:500*2", "UpdateWorker:429") // one of two is not enough
	c.Get(wk).Want(t, 500)
	wantUnfired("UpdateWorker:429")
	c.Post(wk, nil).Want(t, 429)
	wantUnfired()
	c.Get(wk).Want(t, 200)
	if got := e.Faults(); got[0] != (fault.Status{Spec: "FetchWorker:500*2", Matched: 3, Fired: 2}) {
		t.Errorf("the account is %+v", got)
	}
	emulatortest.Must(t, e.Reset())
	wantUnfired("FetchWorker:500*2", "UpdateWorker:429")
	if err := e.SetFaults("nonsense"); err == nil || len(e.Faults()) != 2 {
		t.Errorf("nonsense is accepted or changed the faults: %v %v", err, e.Faults())
	}
	emulatortest.Must(t, e.SetFaults())
	c.Get(wk).Want(t, 200)
}

func TestDelaysEndWithTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := emulatortest.Start(t, emulator.Options{Agents: 1, Faults: []string{"FetchWorker:delay=1m@2*1"}, Limits: emulator.Limits{Latency: time.Second}})
		c := emulatortest.As(t, e)
		wk := c.Workspace() + "/Workers/" + e.ExportWorkers()[0].SID
		at := time.Now()
		c.Get(wk).Want(t, 200)
		if took := time.Since(at); took != time.Second {
			t.Errorf("the latency was %v", took)
		}
		at = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		impatient := *c
		impatient.TB = withContext{t, ctx}
		if _, err := impatient.Send("GET", wk, "", ""); !errors.Is(err, context.DeadlineExceeded) || time.Since(at) != 5*time.Second {
			t.Errorf("after %v the error is %v", time.Since(at), err)
		}
	})
}

// withContext is a test whose requests have another context.
type withContext struct {
	testing.TB
	ctx context.Context
}

func (w withContext) Context() context.Context { return w.ctx }

func TestRequestsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := emulatortest.Start(t, emulator.Options{Limits: emulator.Limits{RequestsPerSecond: 10, Burst: 3, RetryAfter: true}})
		c := emulatortest.As(t, e)
		for _, want := range []int{200, 200, 200, 429, 429} {
			c.Get(c.Workspace()).Want(t, want)
		}
		if got := c.Get(c.Workspace()).Want(t, 429); got.Header.Get("Retry-After") != "1" || got.JSON(t)["code"] != 20429.0 {
			t.Errorf("the refusal is %v %s", got.Header, got.Text)
		}
		time.Sleep(200 * time.Millisecond) // of the bubble's clock: two tokens
		got := c.Get(c.Workspace()).Want(t, 200)
		if got.Header.Get("X-Rate-Limit-Limit") != "10" || got.Header.Get("X-Rate-Limit-Remaining") != "1" || got.Header.Get("X-Rate-Limit-Config") == "" {
			t.Errorf("the headers are %v", got.Header)
		}
		c.Get(c.Workspace()).Want(t, 200)
		c.Get(c.Workspace()).Want(t, 429)
		if s := e.Stats(); s.Requests != 9 || s.TooManyRequests != 4 || s.Operations["FetchWorkspace"] != 9 {
			t.Errorf("the statistics are %+v", s)
		}
	})
}

func TestExpressionsHaveTheirOwnLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := emulatortest.Start(t, emulator.Options{Agents: 1})
		c := emulatortest.As(t, e)
		expression := c.Workspace() + "/Workers?TargetWorkersExpression=1+%3D%3D+1"
		for _, want := range []int{200, 200, 200, 429} {
			c.Get(expression).Want(t, want)
		}
		if got := c.Get(expression).Want(t, 429); got.Header.Get("Retry-After") != "" {
			t.Errorf("Retry-After is %q", got.Header.Get("Retry-After"))
		}
		c.Get(c.Workspace()+"/Workers?FriendlyName=x").Want(t, 200)
		time.Sleep(time.Second)
		for _, want := range []int{200, 200, 200, 429} {
			c.Get(expression).Want(t, want)
		}
	})
}

func TestRequestsInFlightAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := emulatortest.Start(t, emulator.Options{Limits: emulator.Limits{Concurrency: 2, Latency: time.Second}})
		c := emulatortest.As(t, e)
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() { c.Get(c.Workspace()).Want(t, 200) })
		}
		synctest.Wait() // both are in flight
		got := c.Get(c.Workspace()).Want(t, 429)
		if got.Header.Get("Twilio-Concurrent-Requests") != "3" {
			t.Errorf("Twilio-Concurrent-Requests is %s", got.Header.Get("Twilio-Concurrent-Requests"))
		}
		all.Wait()
		c.Get(c.Workspace()).Want(t, 200)
		if s := e.Stats(); s.PeakInFlight != 3 {
			t.Errorf("the peak is %d", s.PeakInFlight)
		}
	})
}
