package eventsrv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

const secretPath = "/services/T0/B0/emulatedHookSecret"

// hook is a webhook without a port.
type hook struct {
	mu     sync.Mutex
	answer func(n int) (status int, retryAfter string, err error)
	bodies []string
	at     []time.Time
}

func (h *hook) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bodies, h.at = append(h.bodies, string(body)), append(h.at, time.Now())
	status, retryAfter := 200, ""
	if h.answer != nil {
		if status, retryAfter, err = h.answer(len(h.bodies)); err != nil {
			return nil, err
		}
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {retryAfter}}, Body: http.NoBody, Request: r}, nil
}

func (h *hook) told() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.bodies)
}

// agents are workers that a test changes.
type agents struct {
	mu  sync.Mutex
	all map[string]twilio.Worker
}

func (a *agents) set(sid, attributes string) twilio.Worker {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := twilio.Worker{
		SID: sid, FriendlyName: "agent " + sid, ActivitySID: testActivity, ActivityName: "Available", Available: true,
		Attributes: &attributes, DateUpdated: time.Now().Truncate(time.Second),
	}
	a.all[sid] = w
	return w
}

func (a *agents) Workers(context.Context, string) iter.Seq2[twilio.Worker, error] {
	return func(yield func(twilio.Worker, error) bool) {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, w := range a.all {
			if !yield(w, nil) {
				return
			}
		}
	}
}

func (a *agents) Worker(_ context.Context, sid string) (twilio.Worker, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w, ok := a.all[sid]
	if !ok {
		return w, problem.New(problem.NotFound, "cannot read it: gone")
	}
	return w, nil
}

func (a *agents) SetAttributes(context.Context, string, string, string) (twilio.Worker, error) {
	return twilio.Worker{}, errors.New("not for watching")
}

const (
	fine  = `{"extensionVoiceClientEnabled":true,"contact_uri":"client:ext_x"}`
	drift = `{"extensionVoiceClientEnabled":true,"contact_uri":"client:x"}`
	stale = `{"contact_uri":"client:ext_x"}`
)

// watched is a server that watches agents, in a bubble of virtual time.
type watched struct {
	*Server
	*agents
	hook *hook
	log  *said
	n    int
}

func watch(t *testing.T, format string, before func(*agents)) *watched {
	w := &watched{agents: &agents{all: map[string]twilio.Worker{}}, hook: &hook{}, log: &said{}}
	for i := range 3 {
		w.set(fmt.Sprint("WK", i), fine)
	}
	if before != nil {
		before(w.agents)
	}
	w.Server = newServer(t, nil)
	n, err := NewNotifier(NotifierOptions{URL: "https://hooks.example.com" + secretPath, Format: format, Workspace: testWorkspace, Transport: w.hook, Log: w.log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	d := w.Drift(w.agents, DriftOptions{Rules: fleet.Rules{Prefix: "ext_"}, Interval: 5 * time.Minute, Hold: 30 * time.Second, Notify: n, Log: w.log.logger()})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { d.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	time.Sleep(10 * time.Second)
	return w
}

// change makes a worker another and pushes the event.
func (w *watched) change(sid, attributes string) {
	time.Sleep(time.Second)
	is := w.set(sid, attributes)
	w.n++
	w.hub.add(worker(fmt.Sprint("change ", w.n), fleet.Event{
		WorkerSID: sid, Kind: twilio.EventAttributes, At: time.Now(), Name: is.FriendlyName,
		ActivitySID: is.ActivitySID, ActivityName: is.ActivityName, Available: true, Attributes: is.Attributes,
	}))
}

func TestDriftIsToldOncePerChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, FormatJSON, func(a *agents) { a.set("WK9", stale) })
		wantMetric(t, w.Server, `flexvc_workers{state="ok"} 3`)
		wantMetric(t, w.Server, `flexvc_workers{state="stale"} 1`)
		time.Sleep(time.Hour)
		if told := w.hook.told(); len(told) != 0 {
			t.Fatalf("what was there from the start was told: %s", told)
		}
		w.change("WK0", drift)
		time.Sleep(time.Second)
		wantMetric(t, w.Server, `flexvc_workers{state="drift"} 1`)
		if told := w.hook.told(); len(told) != 0 {
			t.Fatalf("told at once: %s", told)
		}
		time.Sleep(time.Hour) // sweeps come and go
		told := w.hook.told()
		if len(told) != 1 {
			t.Fatalf("told %d times: %s", len(told), told)
		}
		var message struct {
			V         int
			Event     string
			Workspace string
			Changes   []Change
		}
		if err := json.Unmarshal([]byte(told[0]), &message); err != nil {
			t.Fatal(err)
		}
		c := message.Changes[0]
		if message.V != 1 || message.Event != "drift" || message.Workspace != testWorkspace || len(message.Changes) != 1 ||
			c.SID != "WK0" || c.Name != "agent WK0" || c.From != "ok" || c.To != "drift" || c.ContactURI != "client:x" || c.Meaning == "" || c.Since.IsZero() {
			t.Errorf("told %s", told[0])
		}
		w.change("WK0", fine)
		time.Sleep(time.Hour)
		if told := w.hook.told(); len(told) != 2 || !strings.Contains(told[1], `"from":"drift","to":"ok"`) {
			t.Errorf("the end was told as %s", told)
		}
	})
}

func TestFlappingIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, FormatJSON, nil)
		for range 100 {
			w.change("WK0", drift)
			time.Sleep(20 * time.Second)
			w.change("WK0", fine)
			time.Sleep(20 * time.Second)
		}
		time.Sleep(time.Hour)
		if told := w.hook.told(); len(told) != 0 {
			t.Errorf("told %d times: %s", len(told), told[0])
		}
		w.change("WK0", drift)
		w.change("WK0", stale) // the time begins anew
		time.Sleep(29 * time.Second)
		if told := w.hook.told(); len(told) != 0 {
			t.Errorf("told too early: %s", told)
		}
		time.Sleep(2 * time.Second)
		if told := w.hook.told(); len(told) != 1 || !strings.Contains(told[0], `"from":"ok","to":"stale"`) {
			t.Errorf("told %s", told)
		}
	})
}

func TestDriftIsFoundWithoutEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, FormatJSON, nil)
		w.set("WK1", drift)
		time.Sleep(6 * time.Minute)
		if told := w.hook.told(); len(told) != 1 || !strings.Contains(told[0], `"sid":"WK1"`) {
			t.Errorf("told %s", told)
		}
	})
}

func TestSlackMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, FormatSlack, func(a *agents) {
			odd := a.set("WK0", fine)
			odd.FriendlyName = "<!channel> *bob* & <https://evil.example.com|click>\n"
			a.all["WK0"] = odd
		})
		for _, sid := range []string{"WK0", "WK1"} {
			is := w.all[sid]
			name := is.FriendlyName
			w.change(sid, drift)
			is = w.all[sid]
			is.FriendlyName = name
			w.all[sid] = is
		}
		w.hub.add(resync("test"))
		time.Sleep(time.Hour)
		told := w.hook.told()
		if len(told) == 0 {
			t.Fatal("nothing was told")
		}
		var message map[string]string
		if err := json.Unmarshal([]byte(told[0]), &message); err != nil || len(message) != 1 {
			t.Fatalf("%v: %s", err, told[0])
		}
		if text := message["text"]; strings.ContainsAny(text, "<>") || !strings.HasPrefix(text, "flexvc: ") || !strings.Contains(text, "ok → drift: enabled and logged in") {
			t.Errorf("the text is %q", text)
		}
	})
}

func TestAWebhookIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, FormatJSON, nil)
		w.hook.answer = func(n int) (int, string, error) {
			switch n {
			case 1:
				return 0, "", errors.New("dial tcp: connection refused")
			case 2:
				return 429, "120", nil
			case 3:
				return 500, "", nil
			}
			return 200, "", nil
		}
		w.change("WK0", drift)
		time.Sleep(time.Hour)
		if told := w.hook.told(); len(told) != 4 || told[0] != told[3] {
			t.Errorf("tried %d times", len(told))
		}
		if asked := w.hook.at[2].Sub(w.hook.at[1]); asked < 2*time.Minute {
			t.Errorf("tried again after %s, asked to wait 2 min", asked)
		}
		wantMetric(t, w.Server, `flexvc_notifications_total{result="sent"} 1`)
		wantMetric(t, w.Server, `flexvc_notifications_total{result="failed"} 3`)
	})
}

func TestAWebhookThatRefusesIsLeftAlone(t *testing.T) {
	for status, tries := range map[int]int{404: 1, 410: 1, 302: 1, 500: maxTries} {
		synctest.Test(t, func(t *testing.T) {
			w := watch(t, FormatJSON, nil)
			w.hook.answer = func(int) (int, string, error) { return status, "", nil }
			w.change("WK0", drift)
			time.Sleep(10 * time.Hour)
			if told := w.hook.told(); len(told) != tries {
				t.Errorf("%d: tried %d times, want %d", status, len(told), tries)
			}
			wantMetric(t, w.Server, "flexvc_notifications_changes_lost_total 1")
			log := w.log.String()
			if !strings.Contains(log, "hooks.example.com") || strings.Contains(log, "emulatedHookSecret") {
				t.Errorf("the log is\n%s", log)
			}
		})
	}
}

func TestAFloodOfDriftIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, FormatJSON, func(a *agents) {
			for i := range 3000 {
				a.set(fmt.Sprintf("WK%04d", i), fine)
			}
		})
		block := make(chan struct{})
		w.hook.answer = func(n int) (int, string, error) {
			if n == 1 {
				<-block
			}
			return 200, "", nil
		}
		for i := range 3000 {
			w.set(fmt.Sprintf("WK%04d", i), drift)
		}
		w.hub.add(resync("test"))
		time.Sleep(10 * time.Minute) // hold, and a post that hangs
		close(block)
		time.Sleep(time.Hour)
		changes, dropped := 0, 0
		for _, body := range w.hook.told() {
			var m struct {
				Changes []Change
				Dropped int
			}
			if err := json.Unmarshal([]byte(body), &m); err != nil {
				t.Fatal(err)
			}
			if len(m.Changes) > maxTogether {
				t.Errorf("%d changes in one message", len(m.Changes))
			}
			changes += len(m.Changes)
			dropped += m.Dropped
		}
		if changes+dropped != 3000 || changes > maxQueue+2*maxTogether {
			t.Errorf("%d changes told, %d said to be dropped", changes, dropped)
		}
	})
}

func TestNotifierOptions(t *testing.T) {
	for _, o := range []NotifierOptions{
		{URL: "http://hooks.example.com" + secretPath, Format: FormatJSON}, {URL: "hooks.example.com" + secretPath, Format: FormatJSON},
		{URL: "https://hooks.example.com" + secretPath, Format: "teams"}, {URL: "://" + secretPath, Format: FormatJSON},
	} {
		_, err := NewNotifier(o)
		if !problem.Is(err, problem.Usage) || strings.Contains(fmt.Sprint(err, problem.As(err).Hint), "emulatedHookSecret") {
			t.Errorf("%s %s: %v", o.URL[:8], o.Format, err)
		}
	}
}
