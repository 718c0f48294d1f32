package gate

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// serve runs handler behind a gate on loopback until the test ends.
func serve(t *testing.T, g *Gate, handler http.HandlerFunc) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: handler, ConnContext: g.ConnContext}
	ended := make(chan struct{})
	go func() { _ = srv.Serve(g.Listener(ln, nil)); close(ended) }()
	t.Cleanup(func() { _ = srv.Close(); <-ended })
	return ln.Addr().String()
}

// dial connects from an address of this machine's own: 127.0.0.1, 127.0.0.2 …
func dial(t *testing.T, address, from string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	c, err := d.Dial("tcp", address)
	if err != nil {
		t.Skipf("this machine cannot dial from %s: %v", from, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func ask(t *testing.T, c net.Conn) string {
	t.Helper()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	return answer(t, c)
}

func answer(t *testing.T, c net.Conn) string {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.Status
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("still not so: %s", what)
		}
	}
}

func entered(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		owner, _, _ := net.SplitHostPort(r.RemoteAddr)
		defer Enter(r.Context(), owner, r.ContentLength != 0)()
		handler(w, r)
	}
}

// TestAttackIdleConnections: one address opens far more than there is room for and
// asks nothing; the connection of another stays, and more come through.
func TestAttackIdleConnections(t *testing.T) {
	g := New(64 * costPlain)
	address := serve(t, g, entered(func(http.ResponseWriter, *http.Request) {}))
	agent := dial(t, address, "127.0.0.2")
	if got := ask(t, agent); got != "200 OK" {
		t.Fatal(got)
	}
	for range 500 {
		dial(t, address, "127.0.0.1")
	}
	if got := ask(t, agent); got != "200 OK" {
		t.Errorf("an agent who was connected before the attack is answered %s", got)
	}
	if got := ask(t, dial(t, address, "127.0.0.3")); got != "200 OK" {
		t.Errorf("an agent who connects during the attack is answered %s", got)
	}
	if f := g.Figures(); f.Connections > 64 || f.Bytes > 64*costPlain || f.Shed < 400 {
		t.Errorf("%+v", f)
	}
}

// TestAttackWithheldHeaders: what was read counts, although no request came of it.
func TestAttackWithheldHeaders(t *testing.T) {
	g := New(64 * costPlain)
	address := serve(t, g, entered(func(http.ResponseWriter, *http.Request) {}))
	for range 40 { // with nothing sent, 64 would fit
		fmt.Fprintf(dial(t, address, "127.0.0.1"), "GET / HTTP/1.1\r\nX: %s", strings.Repeat("x", 100<<10))
	}
	eventually(t, "connections are closed", func() bool { return g.Figures().Shed > 0 })
	if got := ask(t, dial(t, address, "127.0.0.2")); got != "200 OK" {
		t.Errorf("an agent is answered %s", got)
	}
}

// TestAttackWithheldBodies: the handler of a request that is given up learns why,
// and can still say so.
func TestAttackWithheldBodies(t *testing.T) {
	g := New(64 * costPlain)
	address := serve(t, g, entered(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil && Shed(r.Context()) {
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	var first net.Conn
	for i := range 40 {
		c := dial(t, address, "127.0.0.1")
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n%s", strings.Repeat("x", 100000))
		if i == 0 {
			first = c
		}
	}
	if got := answer(t, first); got != "503 Service Unavailable" {
		t.Errorf("the first is answered %s", got)
	}
	if got := ask(t, dial(t, address, "127.0.0.2")); got != "200 OK" {
		t.Errorf("an agent is answered %s", got)
	}
}

// TestServedRequestsAreKept: what is admitted is answered, and who comes meanwhile
// waits.
func TestServedRequestsAreKept(t *testing.T) {
	g := New(8 * costPlain)
	release := make(chan struct{})
	address := serve(t, g, entered(func(_ http.ResponseWriter, r *http.Request) {
		defer Admit(r.Context())()
		<-release
	}))
	var conns []net.Conn
	for range 30 {
		c := dial(t, address, "127.0.0.1")
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		conns = append(conns, c)
	}
	eventually(t, "the room is full", func() bool { return g.Figures().Connections >= 7 })
	if n := g.Figures().Connections; n > 9 {
		t.Errorf("%d connections", n)
	}
	close(release)
	for i, c := range conns {
		if got := answer(t, c); got != "200 OK" {
			t.Errorf("request %d is answered %s", i, got)
		}
		_ = c.Close()
	}
	eventually(t, "all is free again", func() bool { f := g.Figures(); return f.Connections == 0 && f.Bytes == 0 })
	if shed := g.Figures().Shed; shed != 0 {
		t.Errorf("%d requests that were being served, or about to be, were given up", shed)
	}
}

// TestLightOwnersStay: of two who have much both give, who has little does not.
func TestLightOwnersStay(t *testing.T) {
	g := New(100)
	g.start = g.start.Add(-time.Minute)
	for i, owner := range strings.Split("aaaaaaaabbbbbbc", "") {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { _ = ours.Close(); _ = theirs.Close() })
		c := &conn{Conn: ours, gate: g, cost: 10, owner: owner, since: time.Duration(i)}
		g.mu.Lock()
		g.conns[c] = struct{}{}
		g.used += c.cost
		g.mu.Unlock()
	}
	g.mu.Lock()
	g.relieve(0, 0)
	left := map[string]int{}
	oldest := map[string]time.Duration{}
	for c := range g.conns {
		left[c.owner]++
		if o, ok := oldest[c.owner]; !ok || c.since < o {
			oldest[c.owner] = c.since
		}
	}
	g.mu.Unlock()
	if left["a"] != 4 || left["b"] != 4 || left["c"] != 1 {
		t.Errorf("left: %v", left)
	}
	if oldest["a"] != 4 {
		t.Errorf("of a the oldest left is %d, want 4: the oldest go first", oldest["a"])
	}
}

func TestALimitedProcessHasLessRoom(t *testing.T) {
	if c := Capacity(); c <= 0 || c > unlimitedCapacity {
		t.Errorf("capacity %d", c)
	}
}
