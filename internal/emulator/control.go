package emulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/emulator/store"
	"github.com/flexvc/flexvc/internal/problem"
)

// The control plane is for tests and for flexvc itself. It answers callers on
// this machine only, under a loopback name only (a page in a browser that
// rebinds its own name is under another), and only with ControlHeader, which a
// page cannot send without asking first and is never allowed to. What changes
// something is POST.
const (
	controlPrefix = "/_emulator"
	ControlHeader = "X-Flexvc-Emulator" // any non-empty value
)

type controlAction struct {
	method string
	serve  func(*Emulator, []byte) (any, error)
}

// actions are the control plane: path below controlPrefix, then method.
//
//	GET  health         {"ok":true}; the only one that needs no header
//	GET  account        Account
//	GET  state          the workers, activities and keys, without secrets
//	GET  settings       Settings         POST settings   replaces them
//	GET  faults         []fault.Status    POST faults     ["SPEC",...] replaces them
//	POST faults/assert  409 while a declared fault has not struck as it says
//	POST clock          {"advance":"1h30m"}
//	GET  log            []journal.Entry, the latest thousand
//	GET  stats          journal.Stats            POST stats/reset
//	GET  deliveries     []outbox.Delivery, the latest thousand requests that told of events
//	POST bump           {"worker":"WK..."}: a reservation raises the ETag
//	POST edit           {"worker":"WK...","attributes":"..."}: someone else writes, unchecked
//	POST token          {"worker":"WK...","ttl":"1h"}: {"token":"..."}, a Flex login
//	GET  browser        []BrowserStatus, the simulations since the last reset
//	POST browser        BrowserOptions starts one
//	POST reset          back to the state it started from
//	POST seed           {"seed":{...}} or {"agents":N,"seed_value":V}
//
// What Mount adds comes on top.
var actions = map[string][]controlAction{
	"health":        {{http.MethodGet, func(*Emulator, []byte) (any, error) { return map[string]bool{"ok": true}, nil }}},
	"account":       {{http.MethodGet, func(e *Emulator, _ []byte) (any, error) { return e.Account(), nil }}},
	"state":         {{http.MethodGet, func(e *Emulator, _ []byte) (any, error) { return e.Export(), nil }}},
	"settings":      {{http.MethodGet, func(e *Emulator, _ []byte) (any, error) { return e.Settings(), nil }}, {http.MethodPost, controlSettings}},
	"faults":        {{http.MethodGet, func(e *Emulator, _ []byte) (any, error) { return e.Faults(), nil }}, {http.MethodPost, controlFaults}},
	"faults/assert": {{http.MethodPost, controlAssert}},
	"clock":         {{http.MethodPost, controlClock}},
	"log":           {{http.MethodGet, func(e *Emulator, _ []byte) (any, error) { return e.Log(), nil }}},
	"stats":         {{http.MethodGet, func(e *Emulator, _ []byte) (any, error) { return e.Stats(), nil }}},
	"stats/reset":   {{http.MethodPost, func(e *Emulator, _ []byte) (any, error) { e.resetStats(); return done, nil }}},
	"deliveries":    {{http.MethodGet, func(e *Emulator, _ []byte) (any, error) { return e.Deliveries(), nil }}},
	"bump":          {{http.MethodPost, controlBump}},
	"edit":          {{http.MethodPost, controlEdit}},
	"token":         {{http.MethodPost, controlToken}},
	"browser":       {{http.MethodGet, func(e *Emulator, _ []byte) (any, error) { return e.browsers.status(), nil }}, {http.MethodPost, controlBrowser}},
	"reset":         {{http.MethodPost, func(e *Emulator, _ []byte) (any, error) { return done, e.Reset() }}},
	"seed":          {{http.MethodPost, controlSeed}},
}

var done = map[string]bool{"ok": true}

// control serves the control plane, once every guard is passed.
func (e *Emulator) control(w http.ResponseWriter, r *http.Request) {
	name := ""
	if len(r.URL.Path) > len(controlPrefix) {
		name = r.URL.Path[len(controlPrefix)+1:]
	}
	if area, rest, found := strings.Cut(name, "/"); found && e.mounted[area] != nil {
		if status, _ := refused(r, name); status == 0 {
			inner := r.Clone(r.Context())
			inner.URL.Path = "/" + rest
			e.mounted[area].ServeHTTP(w, inner)
			return
		}
	}
	status, body := e.controlled(r, name)
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // the caller went away: nobody to tell
}

// Mount lets a handler answer for every path below /_emulator/area/, which it
// sees without that prefix, behind the control plane's guards. It is called
// before the emulator serves.
func (e *Emulator) Mount(area string, h http.Handler) { e.mounted[area] = h }

func complain(status int, format string, args ...any) (int, any) {
	return status, map[string]string{"error": fmt.Sprintf(format, args...)}
}

// refused tells why a request is not let in; status 0 lets it.
func refused(r *http.Request, name string) (status int, body any) {
	if !fromHere(r) {
		return complain(http.StatusForbidden, "the control plane is for this machine only")
	}
	if r.Header.Get(ControlHeader) == "" && name != "health" {
		return complain(http.StatusForbidden, "the control plane needs the header %s", ControlHeader)
	}
	return 0, nil
}

func (e *Emulator) controlled(r *http.Request, name string) (status int, body any) {
	if status, body := refused(r, name); status != 0 {
		return status, body
	}
	known, ok := actions[name]
	if !ok {
		return complain(http.StatusNotFound, "the control plane has no %q", name)
	}
	for _, action := range known {
		if action.method != r.Method {
			continue
		}
		data, err := io.ReadAll(io.LimitReader(r.Body, maxSeed+1))
		if err != nil || len(data) > maxSeed {
			return complain(http.StatusBadRequest, "the request body cannot be read or is too long")
		}
		result, err := action.serve(e, data)
		switch {
		case err == nil:
			return http.StatusOK, result
		case problem.Is(err, problem.Usage), problem.Is(err, problem.InputUnreadable):
			return complain(http.StatusBadRequest, "%v", err)
		case problem.Is(err, problem.NotFound):
			return complain(http.StatusNotFound, "%v", err)
		case problem.Is(err, problem.PreconditionFailed):
			return complain(http.StatusConflict, "%v", err)
		}
		return complain(http.StatusInternalServerError, "%v", err)
	}
	return complain(http.StatusMethodNotAllowed, "the control plane has no %s %s", r.Method, name)
}

// maxSeed is the longest body of a control request: 15,000 workers of 4096
// characters, escaped.
const maxSeed = 256 << 20

// fromHere reports whether a request comes from this machine and means it.
func fromHere(r *http.Request) bool {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !remote.Addr().IsLoopback() {
		return false
	}
	host := hostName(r.Host)
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// decode reads a control request strictly: a misspelt field is an error.
func decode(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return problem.New(problem.Usage, "cannot read the request: %w", err)
	}
	return nil
}

func controlSettings(e *Emulator, data []byte) (any, error) {
	s := e.Settings()
	if err := decode(data, &s); err != nil {
		return nil, err
	}
	return done, e.Configure(s)
}

func controlFaults(e *Emulator, data []byte) (any, error) {
	var specs []string
	if err := decode(data, &specs); err != nil {
		return nil, err
	}
	return done, e.SetFaults(specs...)
}

func controlAssert(e *Emulator, _ []byte) (any, error) {
	if err := e.UnfiredFaults(); err != nil {
		return nil, problem.New(problem.PreconditionFailed, "%w", err)
	}
	return done, nil
}

func controlClock(e *Emulator, data []byte) (any, error) {
	var request struct {
		Advance string `json:"advance"`
	}
	if err := decode(data, &request); err != nil {
		return nil, err
	}
	d, err := time.ParseDuration(request.Advance)
	if err != nil || d <= 0 {
		return nil, problem.New(problem.Usage, "cannot advance the clock by %q", request.Advance)
	}
	e.Advance(d)
	return map[string]time.Time{"now": e.Now()}, nil
}

func controlBump(e *Emulator, data []byte) (any, error) {
	var request struct {
		Worker string `json:"worker"`
	}
	if err := decode(data, &request); err != nil {
		return nil, err
	}
	return done, e.Bump(request.Worker)
}

func controlEdit(e *Emulator, data []byte) (any, error) {
	var request struct {
		Worker     string     `json:"worker"`
		Attributes Attributes `json:"attributes"`
	}
	if err := decode(data, &request); err != nil {
		return nil, err
	}
	return done, e.Edit(request.Worker, string(request.Attributes))
}

func controlToken(e *Emulator, data []byte) (any, error) {
	var request struct {
		Worker string `json:"worker"`
		TTL    string `json:"ttl"`
	}
	if err := decode(data, &request); err != nil {
		return nil, err
	}
	ttl := time.Hour
	if request.TTL != "" {
		var err error
		if ttl, err = time.ParseDuration(request.TTL); err != nil || ttl <= 0 {
			return nil, problem.New(problem.Usage, "cannot mint a token that lives %q", request.TTL)
		}
	}
	text, err := e.MintFlexToken(request.Worker, ttl)
	return map[string]string{"token": text}, err
}

func controlBrowser(e *Emulator, data []byte) (any, error) {
	var opts BrowserOptions
	if err := decode(data, &opts); err != nil {
		return nil, err
	}
	_, err := e.StartBrowser(e.ctx, opts)
	return done, err
}

func controlSeed(e *Emulator, data []byte) (any, error) {
	var request store.Origin
	if err := decode(data, &request); err != nil {
		return nil, err
	}
	return done, e.reseed(request)
}
