package emulator

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"syscall"
)

// Transport returns the emulator as a RoundTripper: requests to Twilio's hosts
// are answered in this process, without a port. It honours the request's
// context, closes the request's body, and counts response bodies that the
// client has yet to close (Stats.OpenBodies).
func (e *Emulator) Transport() http.RoundTripper { return transport{e} }

type transport struct{ e *Emulator }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	in.RequestURI = r.URL.RequestURI()
	in.RemoteAddr = "127.0.0.1:0"
	rec := &recorder{header: http.Header{}}
	aborted := rec.serve(t.e, in)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if aborted && rec.status == 0 {
		return nil, fmt.Errorf("emulator dropped the connection: %w", syscall.ECONNRESET)
	}
	var end error = io.EOF
	if aborted {
		end = io.ErrUnexpectedEOF
	}
	length := int64(rec.body.Len())
	if aborted {
		length = -1
	}
	t.e.stats.Bodies(1)
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", rec.status, http.StatusText(rec.status)),
		StatusCode:    rec.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        rec.header,
		Body:          &body{r: &rec.body, end: end, closed: sync.OnceFunc(func() { t.e.stats.Bodies(-1) })},
		ContentLength: length,
		Request:       r,
	}, nil
}

// recorder is the ResponseWriter of an in-process request.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// serve runs the handler and reports whether it hung up.
func (rec *recorder) serve(h http.Handler, r *http.Request) (aborted bool) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			aborted = true
		default:
			panic(p)
		}
	}()
	h.ServeHTTP(rec, r)
	return false
}

func (rec *recorder) Header() http.Header { return rec.header }

func (rec *recorder) WriteHeader(status int) {
	if rec.status == 0 {
		rec.status = status
	}
}

func (rec *recorder) Write(p []byte) (int, error) {
	rec.WriteHeader(http.StatusOK)
	return rec.body.Write(p)
}

func (rec *recorder) Flush() {}

// body is what a client reads; after Close it reads no more, as with a real
// connection.
type body struct {
	mu     sync.Mutex
	r      *bytes.Buffer
	end    error // after the last byte
	closed func()
	shut   bool
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shut {
		return 0, errors.New("http: read on closed response body")
	}
	if b.r.Len() == 0 {
		return 0, b.end
	}
	return b.r.Read(p)
}

func (b *body) Close() error {
	b.mu.Lock()
	b.shut = true
	b.mu.Unlock()
	b.closed()
	return nil
}
