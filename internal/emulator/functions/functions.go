// Package functions runs Twilio Functions as Twilio's runtime does, in a Node process for each invocation, for which
// Twilio is the emulator. Which Function is deployed where belongs to package serverless.
// https://www.twilio.com/docs/serverless/functions-assets/functions
package functions

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Twilio's limits.
// https://www.twilio.com/docs/serverless/functions-assets/functions/request-flow
// https://www.twilio.com/docs/serverless/functions-assets/functions/headers-and-cookies/limitations
const (
	timeLimit      = 10 * time.Second
	memoryLimit    = 256 // MB, of JavaScript's heap
	maxBody        = 6 << 20
	maxHeaderBytes = 15 << 10
	maxHeaders     = 90
)

// File is a Function, or a private asset that Functions read.
type File struct {
	Path    string // in the service, such as /generateToken
	Asset   bool
	Content []byte
}

// Function is a deployed Function, and what it gets to see.
type Function struct {
	Path    string            // which of the files it is
	Files   []File            // of its build
	Context map[string]string // variables, and what Twilio adds to them
	Headers bool              // whether the build's runtime handler shows headers
	Twilio  http.Handler      // answers for twilio.com
	Log     *slog.Logger      // what the Function logs
	Node    string            // the program; "" looks for node
	Limit   time.Duration     // of an invocation; 0 is Twilio's
}

// slots bounds how many processes run at once; who finds none waits.
var slots = make(chan struct{}, 2*runtime.NumCPU())

// Serve answers one request to the Function. Without Node that is 501.
func (f Function) Serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodOptions:
		preflight(w)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		w.Header().Set("Allow", "GET, OPTIONS, POST")
		refuse(w, http.StatusMethodNotAllowed, "Functions answer GET, POST and OPTIONS")
		return
	case tooMany(r.Header):
		refuse(w, http.StatusRequestHeaderFieldsTooLarge, "Request headers or cookies too long")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		refuse(w, http.StatusRequestEntityTooLarge, "The request body is too large")
		return
	case err != nil:
		refuse(w, http.StatusBadRequest, "The request body cannot be read")
		return
	case r.Method == http.MethodGet && len(body) > 0:
		refuse(w, http.StatusForbidden, "Forbidden")
		return
	}
	if f.Node == "" {
		f.Node = "node"
	}
	if f.Limit == 0 {
		f.Limit = timeLimit
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-r.Context().Done():
		return
	}
	got, err := f.run(r, body)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		refuse(w, http.StatusNotImplemented, "The emulator runs Functions with Node, and there is no node on this machine's PATH")
		return
	case errors.Is(err, errTimeout):
		refuse(w, http.StatusGatewayTimeout, "runtime application timed out")
		return
	case err != nil:
		f.Log.Error("the Function ended without an answer", "path", f.Path, "cause", err)
		refuse(w, http.StatusInternalServerError, "the Function ended without an answer")
		return
	}
	header := http.Header{}
	for _, h := range got.Headers {
		header.Add(h[0], h[1])
	}
	if tooMany(header) {
		refuse(w, http.StatusRequestHeaderFieldsTooLarge, "Response headers or cookies too long")
		return
	}
	for name, values := range header {
		w.Header()[name] = values
	}
	if got.Status < 200 || got.Status > 599 {
		got.Status = http.StatusInternalServerError
	}
	w.WriteHeader(got.Status)
	_, _ = w.Write(got.Body) // the client went away: nobody to tell
}

// preflight answers OPTIONS, of which Functions hear nothing.
func preflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Headers", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	w.WriteHeader(http.StatusNoContent)
}

func refuse(w http.ResponseWriter, status int, why string) { http.Error(w, why, status) }

func tooMany(h http.Header) bool {
	count, size := 0, 0
	for name, values := range h {
		for _, value := range values {
			count++
			size += len(name) + len(value)
		}
	}
	return count > maxHeaders || size > maxHeaderBytes
}

// ShowsHeaders reports whether a build with these dependencies, as JSON
// [{"name":"...","version":"..."}], shows Functions the headers of requests.
func ShowsHeaders(dependencies []byte) bool {
	var list []struct{ Name, Version string }
	if json.Unmarshal(dependencies, &list) != nil {
		return false
	}
	for _, d := range list {
		if d.Name == "@twilio/runtime-handler" {
			major, rest, _ := strings.Cut(d.Version, ".")
			minor, _, _ := strings.Cut(rest, ".")
			return slices.Compare([]int{number(major), number(minor)}, []int{1, 2}) >= 0
		}
	}
	return false
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}
