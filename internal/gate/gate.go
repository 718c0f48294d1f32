// Package gate bounds what the connections of a server may cost in memory, and
// decides whose go when there are too many. It knows nothing of what is asked over
// them: whom to refuse for what is the business of internal/tokensrv and
// internal/eventsrv.
//
// A connection costs what Go keeps for it and what was read from it. As long as no
// request on it is being served, it can be closed for another: first those of the
// client that has most, the oldest of these first. A client that asks for little
// therefore finds room whatever the others do. When everything is being served,
// new connections wait in the system's queue, where they cost this process nothing.
package gate

import (
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"math"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// What a connection costs by itself, in bytes: its goroutine's stack, the buffers
// of net/http and a usual request, and for TLS the handshake's and HTTP/2's
// buffers. Only what a client sends beyond a usual request is counted as it comes.
const (
	costPlain = 24 << 10
	costTLS   = 64 << 10
	usual     = 8 << 10
)

// unlimitedCapacity is for a process without a memory limit: 11,000 plain connections.
const unlimitedCapacity = 256 << 20

// Capacity is how many bytes connections may cost by the process's memory limit
// (GOMEMLIMIT): two fifths of it, and 256 MiB without one.
func Capacity() int64 {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return min(limit/5*2, unlimitedCapacity)
	}
	return unlimitedCapacity
}

// Gate is what the listeners of one server share.
type Gate struct {
	capacity int64

	mu     sync.Mutex
	room   sync.Cond // something can be closed, or was
	conns  map[*conn]struct{}
	used   int64
	shed   int64
	served int // connections of which a request is being served
	start  time.Time
}

// New returns a gate for connections that together cost at most capacity bytes.
func New(capacity int64) *Gate {
	g := &Gate{capacity: capacity, conns: map[*conn]struct{}{}, start: time.Now()}
	g.room.L = &g.mu
	return g
}

// Figures are those for metrics.
type Figures struct {
	Connections int
	Bytes       int64 // what they cost
	Shed        int64 // connections closed for others, since the start
}

// Figures may be called at any time.
func (g *Gate) Figures() Figures {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Figures{len(g.conns), g.used, g.shed}
}

// Listener returns ln with its connections counted. With secure, they speak TLS.
func (g *Gate) Listener(ln net.Listener, secure *tls.Config) net.Listener {
	l := &listener{Listener: ln, gate: g, cost: costPlain}
	if secure == nil {
		return l
	}
	l.cost = costTLS
	return tls.NewListener(l, secure)
}

type listener struct {
	net.Listener
	gate   *Gate
	cost   int64
	closed bool // guarded by gate.mu
}

func (l *listener) Accept() (net.Conn, error) {
	g := l.gate
	g.mu.Lock()
	for !l.closed && g.used+l.cost > g.capacity {
		if g.relieve(l.cost, grace); g.used+l.cost > g.capacity {
			look := time.AfterFunc(grace/10, g.room.Broadcast)
			g.room.Wait()
			look.Stop()
		}
	}
	g.mu.Unlock()
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: accepted, gate: g, cost: l.cost, owner: host(accepted)}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns[c] = struct{}{}
	g.used += c.cost
	g.touch(c)
	return c, nil
}

func (l *listener) Close() error {
	l.gate.mu.Lock()
	l.closed = true
	l.gate.room.Broadcast()
	l.gate.mu.Unlock()
	return l.Listener.Close()
}

// host is whose a connection is until a request says better.
func host(c net.Conn) string {
	name, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return "local" // a Unix socket has no address
	}
	return name
}

// conn is a connection that is counted. Its fields below gate are guarded by
// gate.mu.
type conn struct {
	net.Conn
	gate *Gate

	cost    int64
	read    int64 // since the latest answer
	owner   string
	since   time.Duration // when it was opened, or its latest request answered; since the gate's start
	bodies  int           // requests in a handler, of which there may be a body to read
	others  int           // requests in a handler that have none
	serving int           // requests that are admitted
	shed    bool
	gone    bool // no longer counted
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.gate.took(c, int64(n))
	}
	return n, err
}

// ReadFrom keeps a file's way through sendfile open.
func (c *conn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

func (c *conn) Close() error {
	c.gate.mu.Lock()
	c.gate.forget(c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// forget stops counting a connection. The caller holds g.mu.
func (g *Gate) forget(c *conn) {
	if c.gone {
		return
	}
	c.gone = true
	g.used -= c.cost
	if c.serving > 0 {
		g.served--
	}
	delete(g.conns, c)
	g.room.Broadcast()
}

func (g *Gate) took(c *conn, n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.gone {
		return
	}
	before := max(c.read, usual)
	if c.read += n; c.read > before {
		c.cost += c.read - before
		g.used += c.read - before
		g.relieve(0, 0)
	}
}

// touch makes c the youngest. The caller holds g.mu.
func (g *Gate) touch(c *conn) { c.since = time.Since(g.start) }

// grace is how long a new connection has to say what it is for, and an answered
// client to ask again, before it may have to go for a newer one.
const grace = 100 * time.Millisecond

// relieve closes connections that have been idle for at least age when there is no
// room for need bytes more. It makes a sixteenth free at once: every connection
// that comes would have to look for one otherwise. The caller holds g.mu.
func (g *Gate) relieve(need int64, age time.Duration) {
	if g.used+need <= g.capacity {
		return
	}
	excess := g.used + need - g.capacity + g.capacity/16
	idle := time.Since(g.start) - age
	type owner struct {
		cost  int64
		conns []*conn
	}
	byName := map[string]*owner{}
	var owners []*owner
	for c := range g.conns {
		o := byName[c.owner]
		if o == nil {
			o = &owner{}
			byName[c.owner] = o
			owners = append(owners, o)
		}
		o.cost += c.cost
		if c.serving == 0 {
			o.conns = append(o.conns, c)
		}
	}
	slices.SortFunc(owners, func(a, b *owner) int { return cmp.Compare(b.cost, a.cost) })
	// The largest are cut to one size, at which together they have given enough.
	var level, sum int64
	heavy := 0
	for heavy < len(owners) {
		sum += owners[heavy].cost
		heavy++
		level = (sum - excess) / int64(heavy)
		if heavy == len(owners) || level >= owners[heavy].cost {
			break
		}
	}
	for _, o := range owners[:heavy] {
		slices.SortFunc(o.conns, func(a, b *conn) int { return cmp.Compare(a.since, b.since) })
		for _, c := range o.conns {
			if o.cost <= max(level, 0) || c.since > idle { // never a lighter owner's instead
				break
			}
			o.cost -= c.cost
			g.drop(c)
		}
	}
}

// aMoment is how long the answer to a request that is given up may take.
const aMoment = time.Second

// drop closes a connection, or lets the handler that is reading from it answer.
// The caller holds g.mu.
func (g *Gate) drop(c *conn) {
	g.shed++
	c.shed = true
	g.forget(c)
	if c.bodies > 0 && c.others == 0 {
		_ = c.Conn.SetReadDeadline(time.Unix(1, 0))
		_ = c.Conn.SetWriteDeadline(time.Now().Add(aMoment))
		return
	}
	_ = c.Conn.Close()
}

type key struct{}

// ConnContext is for http.Server: it lets the functions below find the connection
// of a request. They do nothing for a request of another server.
func (*Gate) ConnContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if c, ok := c.(*conn); ok {
		return context.WithValue(ctx, key{}, c)
	}
	return ctx
}

// Enter says that a handler has a request, whose it is, and whether it has a body
// that is yet to be read. The handler calls leave when it returns.
func Enter(ctx context.Context, owner string, body bool) (leave func()) {
	c, ok := ctx.Value(key{}).(*conn)
	if !ok {
		return func() {}
	}
	g := c.gate
	count := &c.others
	if body {
		count = &c.bodies
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	c.owner = owner
	*count++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		*count--
		if c.gone {
			return
		}
		unusual := max(c.read-usual, 0)
		g.used -= unusual
		c.cost -= unusual
		c.read = 0
		g.touch(c)
	}
}

// Admit says that a request was read and deserves an answer: until done is called,
// its connection is not closed for another.
func Admit(ctx context.Context) (done func()) {
	c, ok := ctx.Value(key{}).(*conn)
	if !ok {
		return func() {}
	}
	g := c.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.gone {
		return func() {}
	}
	if c.serving++; c.serving == 1 {
		g.served++
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if c.serving--; c.serving == 0 && !c.gone {
			g.served--
			g.room.Broadcast()
		}
	}
}

// Shed reports whether the connection of a request is being closed for another,
// which is then why its body ended early.
func Shed(ctx context.Context) bool {
	c, ok := ctx.Value(key{}).(*conn)
	if !ok {
		return false
	}
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	return c.shed
}
