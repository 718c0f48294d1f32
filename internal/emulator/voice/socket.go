package voice

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

// socket is one signalling connection of a voice client. A client has one for
// its registration, and a call handed to another document has one of its own.
type socket struct {
	edge   *Edge
	id     int
	conn   *websocket.Conn
	out    chan outbound
	ctx    context.Context
	cancel context.CancelFunc
	opened time.Time

	// Under edge.mu.
	claims     *Claims
	expiry     *time.Timer
	registered bool
	window     time.Duration // how long a call outlives this socket
	stranded   bool          // see Strand
}

// outbound is a frame, or the end of the connection.
type outbound struct {
	frame []byte
	due   time.Time
	close Cut
}

const (
	outboundLimit = 256
	writeTimeout  = 5 * time.Second
)

// Socket describes a signalling connection.
type Socket struct {
	ID         int       `json:"id"`
	Identity   string    `json:"identity"` // empty until a token was accepted
	Registered bool      `json:"registered"`
	Stranded   bool      `json:"stranded"` // see Edge.Strand
	Opened     time.Time `json:"opened"`
	Calls      []string  `json:"calls"` // SIDs of the calls it holds
}

// Sockets lists the connections, the oldest first.
func (e *Edge) Sockets() []Socket {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]Socket, 0, len(e.sockets))
	for _, s := range e.sockets {
		d := Socket{ID: s.id, Registered: s.registered, Stranded: s.stranded, Opened: s.opened}
		if s.claims != nil {
			d.Identity = s.claims.Identity
		}
		for _, c := range e.live() {
			if c.owner == s {
				d.Calls = append(d.Calls, c.sid)
			}
		}
		list = append(list, d)
	}
	return list
}

// Registered counts the clients that would be called under that name.
func (e *Edge) Registered(identity string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.registered(identity))
}

func (e *Edge) registered(identity string) []*socket {
	var list []*socket
	for _, s := range e.sockets {
		if s.registered && s.claims.Identity == identity {
			list = append(list, s)
		}
	}
	return list
}

func (e *Edge) serveSignal(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	fault, refuse := e.faults.refused(r.Host)
	if refuse {
		e.fired[fault]++
	}
	refuse = refuse || e.closed
	if refuse {
		e.record(Event{Kind: "socket.refused"})
	} else {
		e.wg.Add(1) // under mu, so never after Close began to wait
	}
	e.mu.Unlock()
	if refuse {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	defer e.wg.Done()

	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // an extension's origin is its own
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return
	}
	conn.SetReadLimit(frameLimit)
	s := &socket{edge: e, conn: conn, out: make(chan outbound, outboundLimit), opened: e.now()}
	s.ctx, s.cancel = context.WithCancel(e.ctx)
	defer s.cancel()

	e.mu.Lock()
	e.serial++
	s.id = e.serial
	e.sockets = append(e.sockets, s)
	e.record(Event{Kind: "socket.open", Socket: s.id})
	closing := e.closed
	e.mu.Unlock()
	if closing {
		s.cancel()
	}

	written := make(chan struct{})
	go func() { defer close(written); s.write() }()
	code := s.read()
	s.cancel()
	<-written
	_ = conn.CloseNow()
	e.lost(s, code)
}

// read handles frames until the connection ends and returns its close code, -1
// when it was cut.
func (s *socket) read() websocket.StatusCode {
	e := s.edge
	for {
		// Not with s.ctx: a context that ends closes the connection without a
		// close frame, and write has one to send.
		kind, data, err := s.conn.Read(context.Background())
		if err != nil {
			return websocket.CloseStatus(err)
		}
		if kind != websocket.MessageText || string(data) == heartbeat {
			continue
		}
		request, err := decode(data)
		s.stalled()
		e.mu.Lock()
		lost := s.silent()
		if err != nil && !lost {
			e.record(Event{Kind: "malformed", Socket: s.id})
		}
		e.mu.Unlock()
		if err == nil && !lost {
			e.handle(s, request)
		}
	}
}

// write sends frames in order, and heartbeats between them, until the context
// ends or the connection breaks.
func (s *socket) write() {
	e := s.edge
	beat := time.NewTicker(e.options.Heartbeat)
	defer beat.Stop()
	for {
		var next outbound
		select {
		case <-s.ctx.Done():
			// What is queued goes out still: Close says why it ends the calls.
			select {
			case next = <-s.out:
			default:
				_ = s.conn.CloseNow()
				return
			}
		case <-beat.C:
			e.mu.Lock()
			silent := e.faults.Silent || s.stranded
			e.mu.Unlock()
			if silent {
				continue
			}
			next.frame = []byte(heartbeat)
		case next = <-s.out:
		}
		if next.frame == nil {
			if next.close == 0 {
				_ = s.conn.CloseNow()
			} else {
				_ = s.conn.Close(websocket.StatusCode(next.close), "")
			}
			return
		}
		if wait := next.due.Sub(e.now()); !next.due.IsZero() && wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-s.ctx.Done():
			}
			timer.Stop()
		}
		s.stalled()
		ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
		err := s.conn.Write(ctx, websocket.MessageText, next.frame)
		cancel()
		if err != nil {
			_ = s.conn.CloseNow()
			return
		}
	}
}

// stalled lets the time pass for which loss holds the next frame back.
func (s *socket) stalled() {
	e := s.edge
	e.mu.Lock()
	wait := e.faults.stall(rand.Float64)
	if wait > 0 {
		e.fired["loss"]++
	}
	e.mu.Unlock()
	if wait == 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
	}
}

// send queues a frame. A client that does not read is dropped. edge.mu is held.
func (s *socket) send(frame []byte) {
	e := s.edge
	if s.silent() {
		return
	}
	o := outbound{frame: frame}
	if e.faults.Delay > 0 {
		e.fired["delay"]++
		o.due = e.now().Add(e.faults.Delay)
	}
	s.queue(o)
}

// silent tells whether a frame, in either direction, is lost. edge.mu is held.
func (s *socket) silent() bool {
	switch {
	case s.edge.faults.Silent:
		s.edge.fired["silent"]++
	case s.stranded:
		s.edge.fired["strand"]++
	default:
		return false
	}
	return true
}

// close ends the connection after what is queued. edge.mu is held.
func (s *socket) close(how Cut) { s.queue(outbound{close: how}) }

func (s *socket) queue(o outbound) {
	select {
	case s.out <- o:
	default:
		s.cancel()
	}
}

// lost forgets a socket. Its calls wait for their client to come back.
func (e *Edge) lost(s *socket, code websocket.StatusCode) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sockets = slices.DeleteFunc(e.sockets, func(o *socket) bool { return o == s })
	s.registered = false
	if s.expiry != nil {
		s.expiry.Stop()
	}
	for _, c := range e.live() {
		c.abandoned(s)
	}
	e.record(e.of(s, Event{Kind: "socket.closed", Detail: strconv.Itoa(int(code))}))
}

func (e *Edge) of(s *socket, ev Event) Event {
	ev.Socket = s.id
	if s.claims != nil {
		ev.Identity = s.claims.Identity
	}
	return ev
}
