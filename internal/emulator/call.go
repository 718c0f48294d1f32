//go:build ignore

package emulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/flexvc/flexvc/internal/problem"
)

// maxBody is far above anything the API accepts.
const maxBody = 1 << 20

// call is one request on its way to an operation.
type call struct {
	*Emulator
	r      *http.Request
	op     *operation
	vars   map[string]string // of the path
	host   string            // Twilio's, as the client named it
	path   string            // below that host
	query  url.Values
	form   url.Values
	body   []byte // of a JSON request
	who    principal
	upload upload // of a multipart request
	now    time.Time

	account Account
}

// base is how absolute links begin: always Twilio's own host, which clients
// that reroute it can follow and others must not.
func (c *call) base() string { return "https://" + c.host }

// Handler returns the emulator as a handler. A request under twil.io is for what
// is deployed there; any other is for the Twilio product its Host header names (taskrouter.twilio.com,
// taskrouter.dublin.ie1.twilio.com) or, under any other Host, for the one the
// first path segment names (/taskrouter.twilio.com/v1/Workspaces). The control
// plane is under /_emulator/, see control.go.
func (e *Emulator) Handler() http.Handler { return e }

// ServeHTTP implements http.Handler.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, path := hostName(r.Host), r.URL.Path
	if isHosted(host) {
		e.serveHosted(w, r, host, path)
		return
	}
	if !isTwilio(host) {
		if path == controlPrefix || strings.HasPrefix(path, controlPrefix+"/") {
			e.control(w, r)
			return
		}
		first, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		if isHosted(first) {
			e.serveHosted(w, r, first, "/"+rest)
			return
		}
		if !isTwilio(first) {
			send(w, refuse(http.StatusNotFound, codeNotFound, "%s is not a Twilio host, and neither is the first segment of %s", r.Host, path))
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
	id := "RQ" + SIDMarker + derive(24, "RQ", n)
	inFlight := e.stats.enter()
	defer e.stats.leave()

	product, _, _ := strings.Cut(host, ".")
	op, vars, allowed := route(product, r.Method, path)
	c := &call{Emulator: e, r: r, op: op, vars: vars, host: host, path: path, now: e.Now(), account: e.Account()}

	rep, cut := e.answer(c, product, allowed, int(inFlight))

	name := "unknown"
	if op != nil {
		name = op.id
	}
	took := time.Since(started)
	e.stats.count(name, rep.status)
	e.journal.add(LogEntry{
		Time: c.now, Request: id, Method: r.Method, Host: host, Path: path, Operation: name,
		IfMatch: r.Header.Get("If-Match"), Status: rep.status, Cut: cut.String(), Duration: took,
	})
	e.log.LogAttrs(r.Context(), slog.LevelDebug, "emulated", slog.String("operation", name), slog.String("method", r.Method),
		slog.String("path", path), slog.Int("status", rep.status), slog.String("cut", cut.String()), slog.String("request", id))

	h := w.Header()
	h.Set("Date", c.now.Format(http.TimeFormat))
	h.Set("Twilio-Request-Id", id)
	h.Set("Twilio-Request-Duration", strconv.FormatFloat(took.Seconds(), 'f', 3, 64))
	h.Set("Twilio-Concurrent-Requests", strconv.FormatInt(inFlight, 10))
	switch cut {
	case cutAll:
		panic(http.ErrAbortHandler)
	case cutHalf:
		sendHalf(w, rep)
	default:
		send(w, rep)
	}
}

// answer takes a request through the limits, the faults and the credentials to
// its operation.
func (e *Emulator) answer(c *call, product string, allowed []string, inFlight int) (reply, cut) {
	settings := e.Settings()
	if rep, ok := e.limit.admit(c.now, inFlight, settings.Limits); !ok {
		return rep, cutNothing
	}
	if err := pause(c.r.Context(), settings.Limits.Latency); err != nil {
		return reply{}, cutAll
	}
	if c.op == nil {
		return e.unknown(c, product, allowed), cutNothing
	}
	fault := e.faults.strike(c.op)
	if fault.delay > 0 {
		// net/http notices that a client has gone only once its body was read.
		body, err := io.ReadAll(io.LimitReader(c.r.Body, maxBody+1))
		if err != nil {
			return reply{}, cutAll
		}
		c.r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), c.r.Body))
	}
	if err := pause(c.r.Context(), fault.delay); err != nil {
		return reply{}, cutAll
	}
	switch {
	case fault.reply != nil:
		return *fault.reply, cutNothing
	case fault.dropBefore:
		return reply{}, cutAll
	}
	rep := e.perform(c)
	if product == "taskrouter" {
		rep = e.limit.describe(rep, c.now, settings.Limits)
	}
	if fault.cut == cutHalf && rep.status == http.StatusNoContent {
		return rep, cutAll // there is no half of nothing
	}
	return rep, fault.cut
}

// unknown answers a request that no operation serves.
func (e *Emulator) unknown(c *call, product string, allowed []string) reply {
	switch {
	case len(allowed) > 0:
		return refuse(http.StatusMethodNotAllowed, codeMethod, "Method not allowed").with("Allow", strings.Join(allowed, ", "))
	case !slices.Contains(products, product):
		return notFound(c.path)
	case !slices.ContainsFunc(operations(), func(op *operation) bool { return op.product == product }):
		return notEmulated("the product " + product)
	}
	return notFound(c.path)
}

func notEmulated(what string) reply {
	return refuse(http.StatusNotImplemented, codeInternal, "The emulator knows %s and does not emulate it", what)
}

// perform checks the credentials and the form of the request and serves it.
func (e *Emulator) perform(c *call) reply {
	if c.op.guard != guardFlex {
		who, rep, ok := e.authenticate(c.r)
		if !ok {
			return rep
		}
		if c.who = who; !who.may(c.op) {
			return unauthorized("Authenticate")
		}
	}
	if c.op.serve == nil {
		return notEmulated(c.op.id)
	}
	if rep, ok := c.read(); !ok {
		return rep
	}
	return c.op.serve(c)
}

// read parses query and body and refuses what the operation does not take:
// Twilio may ignore a misspelt parameter, an oracle should not.
func (c *call) read() (reply, bool) {
	var err error
	if c.query, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return invalid("Invalid query string"), false
	}
	if rep, ok := checkKnown(c.query, c.op.query, nil); !ok {
		return rep, false
	}
	most := int64(maxBody)
	if c.op.file {
		most += maxUpload
	}
	body, err := io.ReadAll(io.LimitReader(c.r.Body, most+1))
	if err != nil {
		return invalid("The request body could not be read"), false
	}
	if int64(len(body)) > most {
		return refuse(http.StatusRequestEntityTooLarge, codeInvalid, "Request body too large"), false
	}
	kind, params, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	switch {
	case c.op.file:
		if kind != "multipart/form-data" {
			return refuse(http.StatusUnsupportedMediaType, codeInvalid, "Content-Type must be multipart/form-data"), false
		}
		return c.readMultipart(body, params["boundary"])
	case c.op.json:
		if kind != "application/json" {
			return refuse(http.StatusUnsupportedMediaType, codeInvalid, "Content-Type must be application/json"), false
		}
		if !json.Valid(body) {
			return invalid("The request body is not JSON"), false
		}
		c.body = body
	case c.op.form != nil:
		if len(body) > 0 && kind != "application/x-www-form-urlencoded" {
			return refuse(http.StatusUnsupportedMediaType, codeInvalid, "Content-Type must be application/x-www-form-urlencoded"), false
		}
		if c.form, err = url.ParseQuery(string(body)); err != nil {
			return invalid("Invalid form"), false
		}
		return checkNames(c.form, c.op)
	case len(body) > 0:
		return invalid("%s takes no body", c.op.id), false
	}
	return reply{}, true
}

func checkNames(given url.Values, op *operation) (reply, bool) {
	return checkKnown(given, op.form, op.list)
}

func checkKnown(given url.Values, known, lists []string) (reply, bool) {
	for name, values := range given {
		switch {
		case !slices.Contains(known, name):
			return invalid("Unknown parameter %s", name), false
		case len(values) > 1 && !slices.Contains(lists, name):
			return invalid("Parameter %s is given %d times", name, len(values)), false
		}
		for _, value := range values {
			switch {
			case !utf8.ValidString(value):
				return invalid("Parameter %s is not UTF-8", name), false
			case sidKinds[name] != "" && !isSID(sidKinds[name], value):
				return invalid("Invalid %s %q", name, value), false
			}
		}
	}
	return reply{}, true
}

func send(w http.ResponseWriter, r reply) {
	body, ok := header(w, r)
	if ok {
		_, _ = w.Write(body) // the client went away: nobody to tell
	}
}

// sendHalf announces the whole body and hangs up in the middle of it.
func sendHalf(w http.ResponseWriter, r reply) {
	body, _ := header(w, r)
	_, _ = w.Write(body[:len(body)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func header(w http.ResponseWriter, r reply) (body []byte, ok bool) {
	body, contentType, err := r.encode()
	if err != nil {
		r = refuse(http.StatusInternalServerError, codeInternal, "An internal server error has occurred")
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

// pause waits, unless the client goes away first.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
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
