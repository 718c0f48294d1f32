package eventsrv

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/fleet"
)

const (
	testAccount   = "AC00000000000000000000000000000001"
	testWorkspace = "WS00000000000000000000000000000001"
	testWorker    = "WK00000000000000000000000000000001"
	testActivity  = "WA00000000000000000000000000000001"
	testToken     = "emulatedAuthToken0000"
)

// said collects a log.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *said) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// newServer is a server to which "good" is the signature of everything.
func newServer(t testing.TB, change func(*Config, *Deps)) *Server {
	t.Helper()
	cfg := Config{AccountSID: testAccount, WorkspaceSID: testWorkspace, AuthToken: testToken, Readers: []Credentials{{testAccount, testToken}}}
	deps := Deps{
		Signed:        func(_ string, _ []byte, signature string) bool { return signature == "good" },
		SignedAddress: func(_, signature string) bool { return signature == "good" },
		Available:     func(sid string) (bool, bool) { return true, sid == testActivity },
	}
	if change != nil {
		change(&cfg, &deps)
	}
	s, err := New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { s.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	return s
}

// cloud is an attributes update as Event Streams tells it.
func cloud(id string, change func(event, payload map[string]any)) map[string]any {
	payload := map[string]any{
		"account_sid": testAccount, "workspace_sid": testWorkspace, "timestamp": "2026-03-04T13:58:54.123Z", "worker_sid": testWorker,
		"worker_name": "carol", "worker_attributes": `{"contact_uri":"client:carol","s":"<&>"}`, "worker_activity_sid": testActivity, "worker_activity_name": "Available",
	}
	event := map[string]any{
		"specversion": "1.0", "type": "com.twilio.taskrouter.worker.attributes.update", "id": id, "time": "2026-03-04T13:58:55Z",
		"data": map[string]any{"payload": payload},
	}
	if change != nil {
		change(event, payload)
	}
	return event
}

func batch(events ...map[string]any) string { return string(encode(events)) }

// post sends what Event Streams sends.
func (s *Server) post(body string) int {
	r := httptest.NewRequest(http.MethodPost, "https://voice.example.com"+PathTwilio+"?bodySHA256=x", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return s.send(r)
}

func (s *Server) send(r *http.Request) int {
	r.Header.Set("X-Twilio-Signature", "good")
	w := httptest.NewRecorder()
	s.Receiver().ServeHTTP(w, r)
	return w.Code
}

// held returns the events in the ring.
func (s *Server) held(t testing.TB) []fleet.Event {
	t.Helper()
	items, _, missed, _ := s.hub.since(max(1, s.hub.head()-min(s.hub.head(), uint64(len(s.hub.ring)))), 1<<20)
	if missed {
		t.Fatal("the ring does not reach back to its own beginning")
	}
	var all []fleet.Event
	for _, it := range items {
		if it.Name != nameWorker {
			continue
		}
		e, err := it.event()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("in 10 s not: %s", what)
		}
	}
}

func (s *Server) metrics() string {
	var b strings.Builder
	s.WriteMetrics(&b)
	return b.String()
}

func wantMetric(t testing.TB, s *Server, line string) {
	t.Helper()
	if !strings.Contains(s.metrics(), line+"\n") {
		t.Errorf("no %q in\n%s", line, s.metrics())
	}
}
