package eventsrv

import (
	"bytes"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/flexvc/flexvc/internal/gate"
)

const (
	heartbeat   = 15 * time.Second // a silent connection is told from a dead one
	writeWithin = 10 * time.Second // or the reader is let go
	atOnce      = 256              // items in one write
)

// Stream tells readers what happens, as server-sent events:
//
//	id: <place>        for Last-Event-ID
//	event: worker      data: a provision.Event
//	event: resync      data: {"reason":"…"}: list the workers anew
//
// A reader begins with a resync, unless it names a place that the ring still
// reaches. It has to show credentials of the account that this server knows:
// whoever has them may list the workers at Twilio, so the stream tells them
// nothing new. With local set, programs on this machine need none.
func (s *Server) Stream(local bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodGet:
			w.Header().Set("Allow", http.MethodGet)
			answer(w, http.StatusMethodNotAllowed)
			return
		case r.Header.Get("Origin") != "":
			answer(w, http.StatusForbidden) // no page has a reason to read this
			return
		case !(local && fromHere(r)) && !s.known(r):
			w.Header().Set("WWW-Authenticate", `Basic realm="flexvc events", charset="UTF-8"`)
			answer(w, http.StatusUnauthorized)
			return
		}
		if s.readers.Add(1) > int64(s.cfg.Readmax) {
			s.readers.Add(-1)
			w.Header().Set("Retry-After", "10")
			answer(w, http.StatusServiceUnavailable)
			return
		}
		defer s.readers.Add(-1)
		defer gate.Admit(r.Context())()
		s.stream(w, r)
	})
}

func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	// The server's own limit would end the request's context.
	_ = rc.SetReadDeadline(time.Time{}) // not every writer has one; then there is no limit either
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	w.WriteHeader(http.StatusOK)

	at, resumed := s.hub.place(r.Header.Get("Last-Event-ID"))
	if !resumed {
		at = s.hub.head()
	}
	var b bytes.Buffer
	b.WriteString(": flexvc\n\n") // the reader is to know at once that it is in
	if !resumed {
		s.frame(&b, at, resync("start"))
	}
	alive := time.NewTicker(heartbeat)
	defer alive.Stop()
	for {
		items, next, missed, wake := s.hub.since(at, atOnce)
		if missed {
			s.m.resyncs.Inc()
			s.frame(&b, next, resync("missed"))
		}
		for i, it := range items {
			s.frame(&b, at+uint64(i)+1, it)
		}
		at = next
		if b.Len() > 0 {
			if !send(w, rc, b.Bytes()) {
				return
			}
			b.Reset()
		}
		if len(items) == atOnce {
			continue
		}
		select {
		case <-wake:
		case <-alive.C:
			b.WriteString(": alive\n\n")
		case <-r.Context().Done():
			return
		case <-s.closing.Done():
			return
		}
	}
}

// frame writes one event. place is where the reader goes on after it.
func (s *Server) frame(b *bytes.Buffer, place uint64, it item) {
	b.WriteString("id: " + s.hub.name(place) + "\nevent: " + it.Name + "\ndata: ")
	b.Write(it.Data) // one line: JSON without indentation
	b.WriteString("\n\n")
}

// send writes within a time: a reader that does not read is let go, and finds
// its place or a resync when it comes back.
func send(w http.ResponseWriter, rc *http.ResponseController, data []byte) bool {
	_ = rc.SetWriteDeadline(time.Now().Add(writeWithin)) // see SetReadDeadline above
	if _, err := w.Write(data); err != nil {
		return false
	}
	return rc.Flush() == nil
}

// known reports whether a request shows credentials that may read.
func (s *Server) known(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	if !ok {
		return false
	}
	given, found := digest(user, password), 0
	for _, one := range s.allowed {
		found |= subtle.ConstantTimeCompare(given[:], one[:])
	}
	return found == 1
}

// fromHere reports whether a program on this machine asks for this machine. A
// page that rebinds its own name asks for another, and what a proxy passes on
// is not from here.
func fromHere(r *http.Request) bool {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !remote.Addr().Unmap().IsLoopback() {
		return false
	}
	for _, name := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	return loopback(host)
}
