package tokensrv

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/gate"
	"github.com/flexvc/flexvc/internal/tokenlog"
)

// exchange is one request on its way through the chain: the response writer,
// and what the log and the metrics want to know about it afterwards.
type exchange struct {
	http.ResponseWriter
	id       string
	route    route
	client   netip.Addr // see Server.client; invalid for a Unix socket
	started  time.Time
	status   int // 0 until the header is written
	bytes    int64
	identity string   // of the agent, once Twilio has vouched for it
	worker   string   // its SID, where it is known
	issued   bool     // whether the agent got a token
	refusal  *refusal // why not
}

func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(b)
	x.bytes += int64(n)
	return n, err
}

// ReadFrom lets the extension's package leave through sendfile.
func (x *exchange) ReadFrom(r io.Reader) (int64, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := io.Copy(x.ResponseWriter, r)
	x.bytes += n
	return n, err
}

func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

type middleware func(http.Handler) http.Handler

// chain wraps h so that the first middleware is the outermost.
func chain(h http.Handler, outermostFirst ...middleware) http.Handler {
	for _, m := range slices.Backward(outermostFirst) {
		h = m(h)
	}
	return h
}

func (s *Server) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{ResponseWriter: w, route: s.lookup(r.URL.Path), client: s.client(r), started: s.now()}
		defer gate.Enter(r.Context(), addressKey(x.client), r.ContentLength != 0)()
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler {
				panic(v)
			}
			s.log.Error("bug: panic while handling a request", "cause", panicked(v), "req", x.id, "stack", string(debug.Stack()))
			if x.status != 0 {
				panic(http.ErrAbortHandler) // half an answer must not look whole
			}
			s.refuse(x, r, refuse(internalError))
		}()
		next.ServeHTTP(x, r)
	})
}

// panicked names a panic. Only the runtime's own texts are repeated: any other
// value may hold what the request held.
func panicked(v any) error {
	if err, ok := v.(runtime.Error); ok {
		return err
	}
	return fmt.Errorf("panic of type %T", v)
}

var requestIDs = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// requestID names the request. A name the client sent is not taken over: it
// would be written to the log.
func (s *Server) requestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := w.(*exchange)
		var random [5]byte
		if _, err := io.ReadFull(s.random, random[:]); err != nil {
			_, _ = rand.Read(random[:]) // never fails, see crypto/rand
		}
		x.id = requestIDs.EncodeToString(random[:])
		x.Header()["X-Request-Id"] = []string{x.id}
		next.ServeHTTP(x, r)
	})
}

// accessLog writes one line per request, without path and query.
func (s *Server) accessLog(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := w.(*exchange)
		defer func() {
			s.remember(x)
			level, message := slog.LevelDebug, "request"
			switch {
			case x.issued:
				level, message = slog.LevelInfo, "token issued"
			case x.route.guest && (x.status == 0 || x.status >= 500):
				level = slog.LevelError
			case x.status == 0 || x.status >= 500:
				level, message = slog.LevelError, "token refused"
			case x.refusal != nil && x.refusal.reason != notFound:
				level, message = slog.LevelWarn, "token refused"
			}
			ctx := r.Context()
			if !s.log.Enabled(ctx, level) {
				return
			}
			attrs := make([]slog.Attr, 0, 8)
			if x.identity != "" {
				attrs = append(attrs, slog.String("identity", x.identity))
			}
			if x.refusal != nil {
				attrs = append(attrs, slog.String("reason", string(x.refusal.reason)))
				if x.refusal.shape != "" {
					attrs = append(attrs, slog.Group("validator",
						slog.String("shape", x.refusal.shape), slog.Int("status", x.refusal.upstreamStatus), slog.Int("code", x.refusal.upstreamCode)))
				}
				attrs = append(attrs, slog.String("client", addressName(x.client)))
				if x.worker != "" {
					attrs = append(attrs, slog.String("worker", x.worker))
				}
			}
			attrs = append(attrs,
				slog.Float64("ms", float64(s.now().Sub(x.started).Microseconds())/1000),
				slog.String("req", x.id),
				slog.Group("http", slog.String("route", x.route.name), slog.String("method", method(r)), slog.Int("status", x.status),
					slog.Int64("bytes", x.bytes), slog.String("client", addressName(x.client))))
			s.log.LogAttrs(ctx, level, message, attrs...)
		}()
		next.ServeHTTP(x, r)
	})
}

// remember keeps a request for a token for those who ask why there was none.
func (s *Server) remember(x *exchange) {
	if x.route.name != routeToken || !x.issued && x.refusal == nil {
		return
	}
	e := tokenlog.Entry{Time: x.started, Identity: x.identity, Worker: x.worker, Status: x.status, Request: x.id, Client: addressName(x.client)}
	if x.refusal != nil {
		e.Reason = string(x.refusal.reason)
	}
	s.remembered.Add(e)
}

// method bounds what a client can write into the log through the method.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

func (s *Server) measure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := w.(*exchange)
		if x.route.streams {
			next.ServeHTTP(x, r)
			return
		}
		s.inFlight.Add(1)
		s.m.inFlight.Inc()
		defer func() {
			s.m.inFlight.Dec()
			s.inFlight.Add(-1)
			status := x.status
			if status == 0 {
				status = http.StatusInternalServerError // panicking; recoverPanics is about to say so
			}
			s.m.answered(x.route.name, status, s.now().Sub(x.started))
			switch {
			case x.issued:
				s.m.issued.Inc()
				s.m.lastAt.Set(float64(s.now().Unix()))
				s.issued.Add(1)
			case x.refusal != nil:
				s.m.refused[x.refusal.reason].Inc()
				if x.route.name == routeToken {
					s.refused.Add(1)
				}
			}
		}()
		next.ServeHTTP(x, r)
	})
}

// limit refuses bodies beyond the limit and addresses beyond their rate.
// Health checks pass: a probe that is rate-limited restarts a healthy server.
func (s *Server) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := w.(*exchange)
		limit := s.maxBody
		if x.route.maxBody > 0 {
			limit = x.route.maxBody
		}
		if r.ContentLength > limit {
			s.refuse(x, r, refuse(tooLarge))
			return
		}
		if x.route.name != routeLive && x.route.name != routeReady {
			if wait := s.addresses.wait(r.Context(), addressKey(x.client)); wait > 0 {
				s.refuse(x, r, refuseFor(addressLimited, wait))
				return
			}
		}
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = http.MaxBytesReader(w, r.Body, limit)
		}
		next.ServeHTTP(x, r)
	})
}

// origins answers browsers: exact origins only, and a request from any other is
// refused, not merely left without the header that lets a page read the answer.
func (s *Server) origins(next http.Handler) http.Handler {
	allow := []string{http.MethodPost}
	if s.allowGet {
		allow = []string{http.MethodGet + ", " + http.MethodPost}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := w.(*exchange)
		from := r.Header["Origin"]
		if x.route.name != routeToken || len(from) == 0 {
			s.nameOrigin(x, r)
			next.ServeHTTP(x, r)
			return
		}
		if !s.nameOrigin(x, r) {
			s.refuse(x, r, refuse(originNotAllowed))
			return
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h := x.Header()
			h["Access-Control-Allow-Methods"] = allow
			h["Access-Control-Allow-Headers"] = []string{"Authorization, Content-Type"}
			h["Access-Control-Max-Age"] = []string{"600"}
			x.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(x, r)
	})
}

var (
	varyOrigin    = []string{"Origin"}
	exposeHeaders = []string{"Retry-After, X-Request-Id"}
)

// nameOrigin sets the CORS headers of an answer and reports whether the
// request's origin is an allowed one. It is also called for refusals made
// before the CORS step, so that the extension can read those.
func (s *Server) nameOrigin(x *exchange, r *http.Request) bool {
	h := x.Header()
	h["Vary"] = varyOrigin
	from := r.Header["Origin"]
	if len(from) != 1 {
		return false
	}
	named, ok := s.policy.Load().allowOrigins[from[0]]
	if ok {
		h["Access-Control-Allow-Origin"] = named
		h["Access-Control-Expose-Headers"] = exposeHeaders
	}
	return ok
}

// client is the address a request came from. X-Forwarded-For is read from its
// right end, where our own proxies write, and only as far as they are trusted:
// everything further left is whatever the client liked to send. A range alone lets
// a client inside it claim to be a proxy; how many proxies there are does not.
func (s *Server) client(r *http.Request) netip.Addr {
	peer, local := peerAddress(r.RemoteAddr)
	if !s.behindProxy || !(local || s.trusts(peer)) {
		return peer
	}
	client := peer
	hops := 1 // the peer is the first
	for _, header := range slices.Backward(r.Header["X-Forwarded-For"]) {
		for _, hop := range slices.Backward(strings.Split(header, ",")) {
			a, ok := hopAddress(strings.TrimSpace(hop))
			if !ok {
				return client
			}
			client = a
			if hops == s.trustedHops || !s.trusts(client) {
				return client
			}
			hops++
		}
	}
	return client
}

// hopAddress parses one entry of X-Forwarded-For; some proxies add the port.
func hopAddress(hop string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(hop); err == nil {
		return a.Unmap(), true
	}
	ap, err := netip.ParseAddrPort(hop)
	return ap.Addr().Unmap(), err == nil
}

// peerAddress parses RemoteAddr. A peer on a Unix socket has none; whoever may
// open the socket is as trusted as a proxy.
func peerAddress(remote string) (a netip.Addr, local bool) {
	ap, err := netip.ParseAddrPort(remote)
	if err == nil {
		return ap.Addr().Unmap(), false
	}
	_, _, err = net.SplitHostPort(remote)
	return netip.Addr{}, err != nil
}

// trusts reports whether a is a proxy's address; where only their number is known,
// any may be.
func (s *Server) trusts(a netip.Addr) bool {
	if len(s.trustedProxies) == 0 {
		return s.trustedHops > 0
	}
	return slices.ContainsFunc(s.trustedProxies, func(p netip.Prefix) bool { return p.Contains(a) })
}
