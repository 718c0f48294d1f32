package eventsrv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// web serves the stream, as on the metrics listener.
func web(t testing.TB, s *Server) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(s.Stream(true))
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = 10*time.Second, 75*time.Second
	srv.Start()
	t.Cleanup(func() { s.close(); srv.Close() })
	return srv
}

// listen opens the stream and returns its lines.
func listen(t testing.TB, srv *httptest.Server, lastID string) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s %s", resp.Status, resp.Header)
	}
	lines := make(chan string, 100000)
	go func() {
		defer close(lines)
		defer resp.Body.Close()
		scanner := bufio.NewScanner(resp.Body)
		for scanner.Scan() {
			lines <- scanner.Text()
		}
	}()
	return lines
}

// frame reads the next event: its name, and its id.
func frame(t testing.TB, lines <-chan string) (name, id, data string) {
	t.Helper()
	for {
		select {
		case line, open := <-lines:
			switch {
			case !open:
				t.Fatal("the stream has ended")
			case strings.HasPrefix(line, "id: "):
				id = line[4:]
			case strings.HasPrefix(line, "event: "):
				name = line[7:]
			case strings.HasPrefix(line, "data: "):
				data = line[6:]
			case line == "" && name != "":
				return name, id, data
			}
		case <-time.After(10 * time.Second):
			t.Fatal("nothing came")
		}
	}
}

func (s *Server) tell(n int) {
	for i := range n {
		s.hub.add(worker(fmt.Sprint("told ", s.hub.head(), i), fleet.Event{WorkerSID: testWorker, Kind: twilio.EventCapacity, At: time.Unix(int64(i), 0)}))
	}
}

func TestAReaderGoesOnWhereItWas(t *testing.T) {
	s := newServer(t, func(c *Config, _ *Deps) { c.Ring = 8 })
	srv := web(t, s)
	s.tell(3)
	first := listen(t, srv, "")
	name, id, data := frame(t, first)
	if name != nameResync || data != `{"reason":"start"}` {
		t.Fatalf("a new reader begins with %s %s", name, data)
	}
	s.tell(2)
	name, second, _ := frame(t, first)
	if name != nameWorker {
		t.Fatalf("then comes %s", name)
	}
	for from, want := range map[string]string{
		id:                       "worker worker",
		second:                   "worker",
		"feedfacecafe-4":         "resync", // another process
		s.hub.epoch + "-999":     "resync", // a place that never was
		s.hub.epoch + "-x":       "resync",
		"' OR 1=1; --":           "resync",
		s.hub.epoch + "-1":       "worker worker worker worker worker",
		strings.Repeat("9", 400): "resync",
	} {
		lines := listen(t, srv, from)
		var got []string
		for range strings.Fields(want) {
			name, _, _ := frame(t, lines)
			got = append(got, name)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("after %.20s comes %s, want %s", from, s, want)
		}
	}
	s.tell(9)
	lines := listen(t, srv, second)
	if name, id, data := frame(t, lines); name != nameResync || data != `{"reason":"missed"}` || id != s.hub.name(s.hub.head()) {
		t.Errorf("a place that is gone from the ring gives %s %s %s", name, data, id)
	}
}

// stuck is a connection whose reader does not read.
type stuck struct {
	http.ResponseWriter
	gate  chan struct{}
	once  sync.Once
	begun chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	s.once.Do(func() { close(s.begun) })
	<-s.gate
	return s.ResponseWriter.Write(p)
}

func (s *stuck) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func TestASlowReaderHoldsNobodyUp(t *testing.T) {
	s := newServer(t, func(c *Config, _ *Deps) { c.Ring = 16 })
	slow := &stuck{ResponseWriter: httptest.NewRecorder(), gate: make(chan struct{}), begun: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Stream(false).ServeHTTP(slow, authorized(httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)))
	}()
	<-slow.begun
	lines := listen(t, web(t, s), "")
	frame(t, lines)
	for range 100 {
		s.tell(1)
		if name, _, _ := frame(t, lines); name != nameWorker {
			t.Fatalf("a quick reader beside a slow one gets %s", name)
		}
	}
	close(slow.gate)
	eventually(t, "the slow reader is told to resync", func() bool {
		return strings.Contains(s.metrics(), "flexvc_event_stream_resyncs_total 1\n")
	})
	cancel()
	<-ended
	body := slow.ResponseWriter.(*httptest.ResponseRecorder).Body.String()
	if !strings.Contains(body, `{"reason":"missed"}`) || strings.Contains(body, "event: worker") {
		t.Errorf("the slow reader got\n%s", body)
	}
}

func authorized(r *http.Request) *http.Request {
	r.SetBasicAuth(testAccount, testToken)
	return r
}

func TestAttackReadersWithoutCredentials(t *testing.T) {
	s := newServer(t, func(c *Config, _ *Deps) { c.Readers = append(c.Readers, Credentials{"", ""}, Credentials{"SK1", ""}) })
	ask := func(change func(*http.Request)) *http.Request {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // who is let in leaves at once
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:9464"+PathStream, nil)
		r.RemoteAddr = "127.0.0.1:5555"
		change(r)
		return r
	}
	for name, test := range map[string]struct {
		change        func(*http.Request)
		local, public int
	}{
		"a program here":           {func(*http.Request) {}, 200, 401},
		"with credentials":         {func(r *http.Request) { r.RemoteAddr = "192.0.2.7:1"; authorized(r) }, 200, 200},
		"another machine":          {func(r *http.Request) { r.RemoteAddr = "192.0.2.7:1" }, 401, 401},
		"a page that rebinds":      {func(r *http.Request) { r.Host = "evil.example.com:9464" }, 401, 401},
		"a page":                   {func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:9464") }, 403, 403},
		"a page with credentials":  {func(r *http.Request) { authorized(r); r.Header.Set("Origin", "null") }, 403, 403},
		"through a proxy here":     {func(r *http.Request) { r.Header.Set("X-Forwarded-For", "127.0.0.1") }, 401, 401},
		"a wrong password":         {func(r *http.Request) { r.RemoteAddr = "192.0.2.7:1"; r.SetBasicAuth(testAccount, "x") }, 401, 401},
		"no password":              {func(r *http.Request) { r.RemoteAddr = "192.0.2.7:1"; r.SetBasicAuth("SK1", "") }, 401, 401},
		"nobody":                   {func(r *http.Request) { r.RemoteAddr = "192.0.2.7:1"; r.SetBasicAuth("", "") }, 401, 401},
		"a password that has both": {func(r *http.Request) { r.RemoteAddr = "192.0.2.7:1"; r.SetBasicAuth("", testAccount+"\x00"+testToken) }, 401, 401},
		"a write":                  {func(r *http.Request) { r.Method = http.MethodPost }, 405, 405},
	} {
		for local, want := range map[bool]int{true: test.local, false: test.public} {
			w := httptest.NewRecorder()
			s.Stream(local).ServeHTTP(w, ask(test.change))
			if w.Code != want {
				t.Errorf("%s, local %v: %d, want %d", name, local, w.Code, want)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: pages are let in", name)
			}
		}
	}
}

func TestReadersAreCounted(t *testing.T) {
	s := newServer(t, func(c *Config, _ *Deps) { c.Readmax = 2 })
	srv := web(t, s)
	frame(t, listen(t, srv, ""))
	frame(t, listen(t, srv, ""))
	wantMetric(t, s, "flexvc_event_stream_readers 2")
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a third reader of two gets %s", resp.Status)
	}
}

// follow collects what a follower yields.
type follow struct {
	*Follower
	mu              sync.Mutex
	events, resyncs int
	lost            []error
	err             error
	ended           chan struct{}
}

func startFollow(t testing.TB, url string, change func(*Follower)) *follow {
	t.Helper()
	f := &follow{ended: make(chan struct{})}
	count := func(n *int) { f.mu.Lock(); *n++; f.mu.Unlock() }
	f.Follower = &Follower{
		URL: url, Jitter: func() float64 { return 0 },
		Resync: func(string) { count(&f.resyncs) },
		Lost:   func(err error, _ time.Duration) { f.mu.Lock(); f.lost = append(f.lost, err); f.mu.Unlock() },
	}
	if change != nil {
		change(f.Follower)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(f.ended)
		for _, err := range f.Events(ctx) {
			if err != nil {
				f.err = err
				return
			}
			count(&f.events)
		}
	}()
	t.Cleanup(func() { cancel(); <-f.ended })
	return f
}

func (f *follow) seen() (events, resyncs, lost int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.events, f.resyncs, len(f.lost)
}

func TestAFollowerMissesNothingOverABreak(t *testing.T) {
	s := newServer(t, nil)
	srv := web(t, s)
	f := startFollow(t, srv.URL, nil)
	eventually(t, "it is in", func() bool { _, resyncs, _ := f.seen(); return resyncs == 1 })
	for round := 1; round <= 3; round++ {
		s.tell(10)
		eventually(t, "the events arrive", func() bool { events, _, _ := f.seen(); return events == 20*round-10 })
		srv.CloseClientConnections()
		s.tell(10)
		eventually(t, "those of the break arrive", func() bool { events, _, _ := f.seen(); return events == 20*round })
	}
	if events, resyncs, lost := f.seen(); events != 60 || resyncs != 1 || lost != 3 {
		t.Errorf("%d events, %d resyncs, %d breaks", events, resyncs, lost)
	}
}

func TestAFollowerLearnsOfAnotherServer(t *testing.T) {
	a, b := newServer(t, nil), newServer(t, func(_ *Config, d *Deps) { d.Random = strings.NewReader("another") })
	var mu sync.Mutex
	current := a
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		s := current
		mu.Unlock()
		s.Stream(true).ServeHTTP(w, r)
	}))
	t.Cleanup(func() { a.close(); b.close(); srv.Close() })
	f := startFollow(t, srv.URL, nil)
	eventually(t, "it is in", func() bool { _, resyncs, _ := f.seen(); return resyncs == 1 })
	mu.Lock()
	current = b
	mu.Unlock()
	srv.CloseClientConnections()
	eventually(t, "it is told to resync", func() bool { _, resyncs, _ := f.seen(); return resyncs == 2 })
	b.tell(1)
	eventually(t, "it goes on", func() bool { events, _, _ := f.seen(); return events == 1 })
}

func TestAFollowerGivesUpWhatCannotBecomeBetter(t *testing.T) {
	for status, want := range map[int]problem.Code{401: problem.CredentialsRefused, 403: problem.CredentialsRefused, 404: problem.NotFound, 302: problem.NotFound} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(status)
		}))
		f := startFollow(t, srv.URL, nil)
		<-f.ended
		if !problem.Is(f.err, want) {
			t.Errorf("%d: %v", status, f.err)
		}
		srv.Close()
	}
}

func TestAFollowerTriesAgain(t *testing.T) {
	s := newServer(t, nil)
	calls := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls <= 2 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		s.Stream(true).ServeHTTP(w, r)
	}))
	t.Cleanup(func() { s.close(); srv.Close() })
	f := startFollow(t, srv.URL, nil)
	eventually(t, "it is in", func() bool { _, resyncs, lost := f.seen(); return resyncs == 1 && lost == 2 })
}

func TestAttackFollowerSendsCredentialsElsewhere(t *testing.T) {
	for _, address := range []string{"http://voice.example.com/events/stream", "https://u:p@voice.example.com", "voice.example.com", "http://127.0.0.1.example.com/"} {
		f := &Follower{URL: address, Auth: Credentials{"AC1", "x"}, Transport: nobody{t}}
		if err := f.Check(); !problem.Is(err, problem.Usage) {
			t.Errorf("%s: %v", address, err)
		}
		for _, err := range f.Events(t.Context()) {
			if !problem.Is(err, problem.Usage) {
				t.Errorf("%s: %v", address, err)
			}
		}
	}
	for address, want := range map[string]string{
		"https://voice.example.com":                  "https://voice.example.com/events/stream",
		"http://127.0.0.1:9464/":                     "http://127.0.0.1:9464/events/stream",
		"https://voice.example.com/sub/events/other": "https://voice.example.com/sub/events/other",
	} {
		f := &Follower{URL: address}
		if err := f.Check(); err != nil || f.URL != want {
			t.Errorf("%s becomes %s, %v", address, f.URL, err)
		}
	}
}

// nobody must not be asked.
type nobody struct{ t *testing.T }

func (n nobody) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("asked %s", r.URL)
	return nil, errors.New("nobody is here")
}

func TestAConnectionThatCannotBeMadeIsGivenUp(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + ln.Addr().String()
	ln.Close()
	ctx, cancel := context.WithCancel(t.Context())
	f := &Follower{URL: address, Lost: func(err error, _ time.Duration) {
		if strings.Contains(err.Error(), PathStream) {
			t.Errorf("the error repeats the address: %v", err)
		}
		cancel()
	}}
	for _, err := range f.Events(ctx) {
		t.Errorf("after its context it yields %v", err)
	}
}
