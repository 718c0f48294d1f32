package serve_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	eventsCmd "github.com/flexvc/flexvc/internal/cli/events"
	serveCmd "github.com/flexvc/flexvc/internal/cli/serve"
	watchCmd "github.com/flexvc/flexvc/internal/cli/watch"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/eventsrv"
	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// serving is a `flexvc serve --events` on an emulator that pushes to it.
type serving struct {
	*emulator.Emulator
	state         string // folder
	public, admin string // addresses
	out           *clitest.Output
	ended         chan error
	stop          func()
}

func serveEvents(t testing.TB, opts emulator.Options, flags ...string) *serving {
	t.Helper()
	account, state := clitest.ServeAccount(t, opts)
	s := servingOn(t, account, state, flags...)
	enable := eventsCmd.NewSet(appWith(state, s.out), true, nil)
	enable.SetArgs([]string{"--yes", "--url", "http://" + s.public + "/events/twilio"})
	if err := enable.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("events enable: %v\n%s", err, s.out.String())
	}
	return s
}

// servingOn starts it for an account, on the machine whose state folder that is.
// Nothing is pushed to it yet.
func servingOn(t testing.TB, account *emulator.Emulator, state string, flags ...string) *serving {
	t.Helper()
	s := &serving{Emulator: account, state: state, out: &clitest.Output{}, ended: make(chan error, 1)}
	app := clitest.App(state, s.out)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	ready := make(chan string, 1)
	cmd := serveCmd.New(app, func(ctx context.Context, o *serveCmd.Options) error {
		o.Ready = func(at string) { ready <- at }
		s.ended <- serveCmd.Run(ctx, o)
		return nil
	})
	cmd.SetArgs(append([]string{"--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--allow-origin", "chrome-extension://" + strings.Repeat("a", 32), "--events"}, flags...))
	app.Global.Profile, app.Global.Output = "emulator", "text"
	go func() { _ = cmd.ExecuteContext(ctx) }()
	select {
	case s.public = <-ready:
	case err := <-s.ended:
		t.Fatalf("serve ended: %v\n%s", err, s.out.String())
	}
	t.Cleanup(stop)
	streamed := regexp.MustCompile(`streamed on (http://\S+)/events/stream`).FindStringSubmatch(s.out.String())
	if streamed == nil {
		t.Fatalf("serve does not say where it streams:\n%s", s.out.String())
	}
	s.admin = streamed[1]
	return s
}

func appWith(dir string, out io.Writer) *cli.App {
	app := clitest.App(dir, out)
	app.Global.Profile, app.Global.Output = "emulator", "text"
	return app
}

// edit writes a contact URI behind everybody's back.
func (s *serving) edit(t testing.TB, worker int, uri string) string {
	t.Helper()
	sid := s.ExportWorkers()[worker].SID
	if err := s.Edit(sid, fmt.Sprintf(`{"extensionVoiceClientEnabled":true,"contact_uri":%q}`, uri)); err != nil {
		t.Fatal(err)
	}
	return sid
}

func (s *serving) metrics(t testing.TB) string {
	t.Helper()
	resp, err := http.Get(s.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// follower reads the stream as flexvc watch does.
func (s *serving) follower(t testing.TB, address string) (events <-chan fleet.Event, resyncs <-chan string) {
	t.Helper()
	e, r := make(chan fleet.Event, 10000), make(chan string, 100)
	account := s.Account()
	f := &eventsrv.Follower{URL: address, Auth: eventsrv.Credentials{User: account.SID, Password: account.AuthToken}, Resync: func(why string) { r <- why }}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for event, err := range f.Events(ctx) {
			if err != nil {
				return
			}
			e <- event
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return e, r
}

func receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// TestAChangedContactURIReachesTheWatch goes the whole way: a browser writes a
// worker's attributes, Twilio signs and posts the event, serve checks it and
// streams it, and a follower on this machine and one with credentials have it.
func TestAChangedContactURIReachesTheWatch(t *testing.T) {
	t.Parallel()
	s := serveEvents(t, emulator.Options{Agents: 20, SeedValue: 3})
	here, started := s.follower(t, s.admin)
	receive(t, started)
	afar, started := s.follower(t, "http://"+s.public)
	receive(t, started)
	clitest.Eventually(t, "the first picture is complete", func() bool { return strings.Contains(s.metrics(t), `flexvc_workers{state="drift"}`) })

	sid := s.edit(t, 4, "client:ext_reaches")
	for _, events := range []<-chan fleet.Event{here, afar} {
		e := receive(t, events)
		if e.WorkerSID != sid || e.Kind != twilio.EventAttributes || e.Attributes == nil || !strings.Contains(*e.Attributes, "client:ext_reaches") {
			t.Errorf("came %+v", e)
		}
	}
	// A state that says the same whatever the worker was before.
	foreign := func(n int) func() bool {
		return func() bool {
			return strings.Contains(s.metrics(t), fmt.Sprintf("flexvc_workers{state=\"foreign\"} %d\n", n))
		}
	}
	before := foreignCount(t, s.metrics(t))
	s.edit(t, 4, "sip:reaches@example.com")
	clitest.Eventually(t, "the state is on /metrics", foreign(before+1))
	s.edit(t, 4, "client:ext_reaches")
	clitest.Eventually(t, "its end is on /metrics", foreign(before))

	s.stop()
	if err := receive(t, s.ended); err != nil {
		t.Errorf("serve ends with %v while streams are open", err)
	}
	if out := s.out.String(); strings.Contains(out, s.Account().AuthToken) || !strings.Contains(out, "0 cut off") {
		t.Errorf("printed\n%s", out)
	}
}

// watching is a watch that follows the serving's events, and what it prints.
func (s *serving) watching(t testing.TB, output, address string) (out *clitest.Output, ended <-chan error) {
	t.Helper()
	out, done := &clitest.Output{}, make(chan error, 1)
	app := appWith(s.state, out)
	app.Global.Output = output
	ctx, stop := context.WithCancel(context.Background())
	cmd := watchCmd.New(app, nil)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs([]string{"--plain", "--events", address})
	go func() { done <- cmd.ExecuteContext(ctx); close(done) }()
	t.Cleanup(func() {
		stop()
		for range done { // until it has let its state go
		}
	})
	return out, done
}

// TestWatchTellsWhatEventsBring: the next reading of all workers is minutes away,
// so that only an event can have told.
func TestWatchTellsWhatEventsBring(t *testing.T) {
	t.Parallel()
	s := serveEvents(t, emulator.Options{Agents: 20, SeedValue: 3})
	out, _ := s.watching(t, "json", s.admin)
	text, _ := s.watching(t, "text", s.admin)
	for _, c := range []struct {
		out         *clitest.Output
		first, live string
	}{{out, `"event":"summary"`, `"event":"events_live"`}, {text, "20 workers in", "live by events"}} {
		clitest.Eventually(t, "the watch is live: "+c.out.String(), func() bool {
			return strings.Contains(c.out.String(), c.first) && strings.Contains(c.out.String(), c.live)
		})
	}
	sid := s.edit(t, 4, "client:ext_reaches")
	clitest.Eventually(t, "the change is told", func() bool {
		return regexp.MustCompile(`"event":"change".*"sid":"`+sid+`".*"to":\{[^}]*"contact_uri":"client:ext_reaches"`).MatchString(out.String()) &&
			strings.Contains(text.String(), "client:ext_reaches")
	})

	s.stop()
	if err := receive(t, s.ended); err != nil {
		t.Fatal(err)
	}
	clitest.Eventually(t, "that the events are lost is told", func() bool {
		return strings.Contains(out.String(), `"event":"events_lost","interval_s":10,`) &&
			strings.Contains(text.String(), "; polling every 10s")
	})
	if said := out.String() + text.String(); strings.Contains(said, s.Account().AuthToken) {
		t.Errorf("printed the auth token:\n%s", said)
	}
}

func TestWatchSaysWhyThereAreNoEvents(t *testing.T) {
	t.Parallel()
	s := serveEvents(t, emulator.Options{Agents: 3, SeedValue: 3})
	refuses := httpServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	for name, c := range map[string]struct {
		address string
		code    problem.Code
	}{
		"a login that is refused":  {refuses, problem.CredentialsRefused},
		"a server without streams": {s.admin + "/elsewhere", problem.NotFound},
		"an address that is none":  {"voice.acme.example", problem.Usage},
		"plain HTTP far away":      {"http://voice.acme.example", problem.Usage},
	} {
		_, ended := s.watching(t, "text", c.address)
		if err := receive(t, ended); !problem.Is(err, c.code) || strings.Contains(err.Error(), s.Account().AuthToken) {
			t.Errorf("%s: the watch ends with %v", name, err)
		}
	}
}

func foreignCount(t testing.TB, metrics string) (n int) {
	t.Helper()
	line := regexp.MustCompile(`flexvc_workers\{state="foreign"\} (\d+)`).FindStringSubmatch(metrics)
	if line == nil {
		t.Fatal("the state is not on /metrics")
	}
	_, _ = fmt.Sscan(line[1], &n) // digits
	return n
}

// TestEventsSurviveABadDelivery: lost, doubled, late and out of order, the
// picture on /metrics ends as the account is.
func TestEventsSurviveABadDelivery(t *testing.T) {
	t.Parallel()
	s := serveEvents(t, emulator.Options{Agents: 20, SeedValue: 3}, "--sweep-interval", "1s")
	clitest.ReleasePlugin(t, s.Emulator)
	clitest.Eventually(t, "the first picture is complete", func() bool { return strings.Contains(s.metrics(t), "flexvc_workers{") })
	if err := s.SetFaults("DeliverEvent:drop*30@10", "DeliverEvent:twice*30", "DeliverEvent:late*30", "DeliverEvent:delay=300ms*20@60"); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		s.edit(t, i%20, fmt.Sprintf("client:%s%d", []string{"", "ext_"}[i/20%2], i))
	}
	// The last round puts all but the first ten on the extension.
	for i := range 10 {
		s.edit(t, i, "client:off")
	}
	clitest.Eventually(t, "the picture is that of the account", func() bool {
		// Those that are not ok drift or are pending, as the lost events have it.
		return strings.Contains(s.metrics(t), "flexvc_workers{state=\"ok\"} 10\n")
	})
	clitest.Eventually(t, "every fault has struck", func() bool { return s.UnfiredFaults() == nil })
}

func TestTheWorldIsToldOfDrift(t *testing.T) {
	t.Parallel()
	told := make(chan string, 10)
	hook := httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told <- r.URL.Path + " " + string(body)
	})
	s := serveEvents(t, emulator.Options{Agents: 5, SeedValue: 3}, "--notify", hook+"/emulatedHookSecret", "--notify-after", "0s", "--notify-format", "slack")
	clitest.Eventually(t, "the first picture is complete", func() bool { return strings.Contains(s.metrics(t), `flexvc_workers{state="drift"}`) })
	s.edit(t, 2, "sip:x@example.com") // which says the same whatever was before
	name := s.ExportWorkers()[2].FriendlyName
	if got := receive(t, told); !strings.HasPrefix(got, "/emulatedHookSecret ") || !strings.Contains(got, name) || !strings.Contains(got, "foreign") {
		t.Errorf("told %s", got)
	}
	if strings.Contains(s.out.String(), "emulatedHookSecret") {
		t.Errorf("printed the webhook's secret:\n%s", s.out.String())
	}
}

func TestEventsNeedTheAuthToken(t *testing.T) {
	app := clitest.App(t.TempDir(), io.Discard)
	for name, test := range map[string]struct {
		env  map[string]string
		want string
	}{
		"none":               {nil, ""},
		"in the variable":    {map[string]string{"TWILIO_AUTH_TOKEN": "emulatedToken"}, "emulatedToken"},
		"of this account":    {map[string]string{"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "emulatedToken"}, "emulatedToken"},
		"of another account": {map[string]string{"TWILIO_ACCOUNT_SID": "AC2", "TWILIO_AUTH_TOKEN": "emulatedToken"}, ""},
	} {
		app.Getenv = func(key string) string { return test.env[key] }
		if got := serveCmd.AccountToken(app, &cli.Session{AccountSID: "AC1"}); got != test.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// BenchmarkEvents measures from the write of a worker's attributes to the event
// at the follower. make bench-events prints the distribution.
func BenchmarkEvents(b *testing.B) {
	s := serveEvents(b, emulator.Options{Agents: 1000, SeedValue: 3})
	events, started := s.follower(b, s.admin)
	receive(b, started)
	took := make([]time.Duration, 0, b.N)
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		s.edit(b, i%1000, fmt.Sprint("client:ext_", i))
		receive(b, events)
		took = append(took, time.Since(began))
	}
	reportLatency(b, took)
}

func reportLatency(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	at := func(share float64) float64 {
		return float64(took[min(len(took)-1, int(share*float64(len(took))))].Microseconds()) / 1000
	}
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.95), "p95-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(at(1), "max-ms")
}

// httpServer is a server of the test's own; it returns its address.
func httpServer(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}
