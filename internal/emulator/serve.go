package emulator

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/emulator/fault"
	"github.com/flexvc/flexvc/internal/emulator/journal"
	"github.com/flexvc/flexvc/internal/emulator/outbox"
	"github.com/flexvc/flexvc/internal/emulator/store"
	"github.com/flexvc/flexvc/internal/problem"
)

// Handler returns the emulator as a handler. A request under the host of
// a Site is for that; any other is for the Twilio product its Host header names (taskrouter.twilio.com,
// taskrouter.dublin.ie1.twilio.com) or, under any other Host, for the one the
// first path segment names (/taskrouter.twilio.com/v1/Workspaces). The control
// plane is under /_emulator/, see control.go.
func (e *Emulator) Handler() http.Handler { return e }

// ServeHTTP implements http.Handler.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, path := hostName(r.Host), r.URL.Path
	if site := e.table.site(host); site != nil {
		site.Serve(e, w, r, host, path)
		return
	}
	if !isTwilio(host) {
		if path == controlPrefix || strings.HasPrefix(path, controlPrefix+"/") {
			e.control(w, r)
			return
		}
		first, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		if site := e.table.site(first); site != nil {
			site.Serve(e, w, r, first, "/"+rest)
			return
		}
		if !isTwilio(first) {
			send(w, Refuse(http.StatusNotFound, codeNotFound, "%s is not a Twilio host, and neither is the first segment of %s", r.Host, path))
			return
		}
		host, path = strings.ToLower(first), "/"+rest
	}
	e.serve(w, r, host, path)
}

func hostName(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		hostport = host
	}
	return strings.ToLower(strings.Trim(hostport, "[]"))
}

// isTwilio accepts product.twilio.com, the deprecated product.region.twilio.com
// and product.edge.region.twilio.com.
func isTwilio(host string) bool {
	labels, ok := strings.CutSuffix(strings.ToLower(host), ".twilio.com")
	return ok && labels != "" && !slices.Contains(strings.Split(labels, "."), "") && strings.Count(labels, ".") <= 2
}

// serve answers one request to Twilio and accounts for it.
func (e *Emulator) serve(w http.ResponseWriter, r *http.Request, host, path string) {
	started := time.Now()
	n := e.requests.Add(1)
	id := "RQ" + SIDMarker + store.Derive(24, "RQ", n)
	inFlight := e.stats.Enter()
	defer e.stats.Leave()

	product, _, _ := strings.Cut(host, ".")
	op, vars, allowed := e.table.route(product, r.Method, path)
	c := &Call{e: e, r: r, Op: op, Vars: vars, host: host, Path: path, Now: e.Now(), Account: e.Account(), Store: e.store, Number: n}

	rep, cut := e.answer(c, product, allowed, int(inFlight))

	name := "unknown"
	if op != nil {
		name = op.ID
	}
	took := time.Since(started)
	e.stats.Count(name, rep.status)
	e.journal.Add(journal.Entry{
		Time: c.Now, Request: id, Method: r.Method, Host: host, Path: path, Operation: name,
		IfMatch: r.Header.Get("If-Match"), Status: rep.status, Cut: cut.String(), Duration: took,
	})
	e.log.LogAttrs(r.Context(), slog.LevelDebug, "emulated", slog.String("operation", name), slog.String("method", r.Method),
		slog.String("path", path), slog.Int("status", rep.status), slog.String("cut", cut.String()), slog.String("request", id))

	h := w.Header()
	h.Set("Date", c.Now.Format(http.TimeFormat))
	h.Set("Twilio-Request-Id", id)
	h.Set("Twilio-Request-Duration", strconv.FormatFloat(took.Seconds(), 'f', 3, 64))
	h.Set("Twilio-Concurrent-Requests", strconv.FormatInt(inFlight, 10))
	switch cut {
	case fault.All:
		panic(http.ErrAbortHandler)
	case fault.Half:
		sendHalf(w, rep)
	default:
		send(w, rep)
	}
}

// answer takes a request through the limits, the faults and the credentials to
// its operation.
func (e *Emulator) answer(c *Call, product string, allowed []string, inFlight int) (*Reply, fault.Cut) {
	settings := e.Settings()
	if no := e.limit.admit(c.Now, inFlight, settings.Limits); no != nil {
		return no, fault.Nothing
	}
	if err := outbox.Pause(c.r.Context(), settings.Limits.Latency); err != nil {
		return &Reply{}, fault.All
	}
	if c.Op == nil {
		return e.unknown(c, product, allowed), fault.Nothing
	}
	hit := e.faults.Strike(c.Op.target())
	if hit.Delay > 0 {
		// net/http notices that a client has gone only once its body was read.
		body, err := io.ReadAll(io.LimitReader(c.r.Body, maxBody+1))
		if err != nil {
			return &Reply{}, fault.All
		}
		c.r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), c.r.Body))
	}
	if err := outbox.Pause(c.r.Context(), hit.Delay); err != nil {
		return &Reply{}, fault.All
	}
	switch {
	case hit.Refusal.Status != 0:
		return faulty(hit.Refusal), fault.Nothing
	case hit.Drop:
		return &Reply{}, fault.All
	}
	rep := e.perform(c)
	if c.Op.product.RateHeaders {
		rep = e.limit.describe(rep, c.Now, settings.Limits)
	}
	if hit.Cut == fault.Half && rep.status == http.StatusNoContent {
		return rep, fault.All // there is no half of nothing
	}
	return rep, hit.Cut
}

// unknown answers a request that no operation serves.
func (e *Emulator) unknown(c *Call, product string, allowed []string) *Reply {
	switch {
	case len(allowed) > 0:
		return Refuse(http.StatusMethodNotAllowed, codeMethod, "Method not allowed").With("Allow", strings.Join(allowed, ", "))
	case !e.table.hosts(product) && slices.Contains(elsewhere, product):
		return notEmulated("the product " + product)
	}
	return notFound(c.Path)
}

func notEmulated(what string) *Reply {
	return Refuse(http.StatusNotImplemented, codeInternal, "The emulator knows %s and does not emulate it", what)
}

// perform checks the credentials and the form of the request and serves it.
func (e *Emulator) perform(c *Call) *Reply {
	if c.Op.Guard != GuardFlex {
		who, no := e.authenticate(c.r)
		if no != nil {
			return no
		}
		if !who.may(c.Op) {
			return Unauthorized("Authenticate")
		}
	}
	if c.Op.Serve == nil {
		return notEmulated(c.Op.ID)
	}
	c.Settings = e.Settings()
	if no := c.read(); no != nil {
		return no
	}
	rep := c.serve()
	if c.shown != "" {
		e.browsers.fetched(c.shown)
	}
	return rep
}

func (c *Call) serve() *Reply {
	switch {
	case c.Op.Itself:
	case c.Op.Method == http.MethodGet:
		c.Store.RLock()
		defer c.Store.RUnlock()
	default:
		c.Store.Lock()
		defer c.Store.Unlock()
	}
	return c.Op.Serve(c)
}

func send(w http.ResponseWriter, r *Reply) {
	body, ok := header(w, r)
	if ok {
		_, _ = w.Write(body) // the client went away: nobody to tell
	}
}

// sendHalf announces the whole body and hangs up in the middle of it.
func sendHalf(w http.ResponseWriter, r *Reply) {
	body, _ := header(w, r)
	_, _ = w.Write(body[:len(body)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func header(w http.ResponseWriter, r *Reply) (body []byte, ok bool) {
	body, contentType, err := r.encode()
	if err != nil {
		r = Refuse(http.StatusInternalServerError, codeInternal, "An internal server error has occurred")
		body, contentType, _ = r.encode()
	}
	h := w.Header()
	for name, value := range r.header {
		h.Set(name, value)
	}
	if r.status == http.StatusNoContent {
		w.WriteHeader(r.status)
		return nil, false
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(r.status)
	return body, true
}

// Run serves on ln until ctx ends, then lets requests in flight finish for up
// to ten seconds. It closes ln. It does not close the emulator.
func (e *Emulator) Run(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler:           e,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(e.log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return problem.New(problem.AddressUnavailable, "cannot serve the emulator on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := srv.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	<-served
	if err != nil {
		return problem.New(problem.Internal, "cannot stop the emulator on %s: %w", ln.Addr(), err)
	}
	return nil
}
