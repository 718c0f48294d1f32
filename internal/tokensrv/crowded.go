package tokensrv

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	sparesKept     = 8 // descriptors held back for each listener
	turnAwayWithin = 2 * time.Second
	spareRest      = 50 * time.Millisecond
	crowdedFor     = time.Minute // after the last time, and between two warnings
)

// guard accepts connections when the process has no descriptor left, with those
// it has held back. On the public listener such a connection is answered 503: it
// would need more descriptors to be served. On the operators' it is served.
type guard struct {
	net.Listener
	spares   chan *os.File
	turnAway func(net.Conn) // nil: served
	full     func()         // told each time
}

func (s *Server) guard(ln net.Listener, turnAway func(net.Conn)) *guard {
	g := &guard{Listener: ln, spares: make(chan *os.File, sparesKept), turnAway: turnAway, full: s.outOfDescriptors}
	for range sparesKept {
		g.putBack()
	}
	return g
}

func (g *guard) putBack() bool {
	spare, err := os.Open(os.DevNull)
	if err != nil {
		return false
	}
	select {
	case g.spares <- spare:
	default:
		_ = spare.Close()
	}
	return true
}

func exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

func (g *guard) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if !exhausted(err) {
			return conn, err
		}
		g.full()
		select {
		case spare := <-g.spares:
			_ = spare.Close()
		default: // all are lent; a connection that ends brings one back
			time.Sleep(spareRest)
			g.putBack()
			continue
		}
		conn, err = g.Listener.Accept()
		if err != nil {
			g.putBack()
			continue
		}
		if g.putBack() { // somebody else has left meanwhile
			return conn, nil
		}
		conn = &lent{Conn: conn, back: sync.OnceFunc(func() { g.putBack() })}
		if g.turnAway == nil {
			return conn, nil
		}
		go g.turnAway(conn)
	}
}

func (g *guard) Close() error {
	err := g.Listener.Close()
	for {
		select {
		case spare := <-g.spares:
			_ = spare.Close()
		default:
			return err
		}
	}
}

// lent is a connection on a descriptor that was held back.
type lent struct {
	net.Conn
	back func()
}

func (l *lent) Close() error {
	err := l.Conn.Close()
	l.back()
	return err
}

// turningAway answers a connection's first request with 503, over TLS with secure.
// Whoever speaks HTTP/2 sees the connection end.
func turningAway(secure *tls.Config) func(net.Conn) {
	return func(conn net.Conn) {
		if secure != nil {
			conn = tls.Server(conn, secure)
		}
		defer conn.Close()
		if conn.SetDeadline(time.Now().Add(turnAwayWithin)) != nil {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(io.LimitReader(conn, maxHeaderBytes)))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // unread, it would reset the connection before the answer is read
		_, _ = io.WriteString(conn, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	}
}

// outOfDescriptors says so now and then, and ends connections that nobody uses.
func (s *Server) outOfDescriptors() {
	s.m.turnedAway.Inc()
	now := s.now()
	s.crowd.Lock()
	defer s.crowd.Unlock()
	if now.Sub(s.crowdedAt) >= crowdedFor {
		s.log.Warn("out of file descriptors: new connections get 503; raise the limit (LimitNOFILE, ulimit -n)")
	}
	s.crowdedAt = now
	if s.public != nil && now.Sub(s.clearedAt) >= time.Second {
		s.clearedAt = now
		s.public.SetKeepAlivesEnabled(false) // closes those that are idle
		s.public.SetKeepAlivesEnabled(true)
	}
}

// crowded reports whether descriptors ran out within the last minute.
func (s *Server) crowded() bool {
	s.crowd.Lock()
	defer s.crowd.Unlock()
	return !s.crowdedAt.IsZero() && s.now().Sub(s.crowdedAt) < crowdedFor
}
