package eventsrv

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
)

// Follower reads a Stream and comes back whenever it breaks, at the place where
// it was. It is an EventSource for one watcher.
type Follower struct {
	URL       string            // of the stream; https, or http on this machine
	Auth      Credentials       // sent with each request; zero sends none
	Transport http.RoundTripper // nil is a clone of http.DefaultTransport
	Jitter    func() float64    // from 0 to 1; nil is random

	// Resync is told when changes may be missing: the workers are to be listed
	// anew. It comes first of all, and again after a gap.
	Resync func(reason string)
	// Lost is told when the connection breaks or cannot be made, and when the
	// next attempt is made; Found when it stands.
	Lost  func(err error, next time.Duration)
	Found func()

	last string // id of the latest event
}

var _ fleet.EventSource = (*Follower)(nil)

const (
	givenUp    = 10 * time.Second // without a connection, after which Events ends
	firstAgain = 250 * time.Millisecond
	lastAgain  = 30 * time.Second
	silence    = 3 * heartbeat // beyond which a connection is given up
	maxLine    = 1 << 20
	connecting = 10 * time.Second
)

// Check refuses what must not be followed, before anything is sent. The address
// may be that of the server alone.
func (f *Follower) Check() error {
	u, err := url.Parse(f.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return problem.New(problem.Usage, "cannot follow events: %q is not an address like https://voice.example.com", f.URL)
	case u.User != nil:
		return problem.New(problem.Usage, "cannot follow events: the address contains credentials").
			WithHint("remove them: the profile's credentials are used")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return problem.New(problem.Usage, "cannot follow events over plain HTTP beyond this machine").
			WithHint("use https://, or forward the port: ssh -L 9464:127.0.0.1:9464 HOST")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = PathStream
	}
	f.URL = u.String()
	return nil
}

// errRefused is an answer that another attempt would not change.
type errRefused struct{ status int }

func (e errRefused) Error() string { return fmt.Sprintf("HTTP %d", e.status) }

// Events yields what the server tells. It ends with an error when there was no
// connection for ten seconds, and with a problem when the server refuses the
// credentials or has no stream there.
func (f *Follower) Events(ctx context.Context) iter.Seq2[fleet.Event, error] {
	return func(yield func(fleet.Event, error) bool) {
		inner, cancel := context.WithCancel(ctx)
		defer cancel()
		stopped := false
		err := f.follow(inner, func(e fleet.Event) {
			if !stopped && !yield(e, nil) {
				stopped = true
				cancel()
			}
		})
		if !stopped && ctx.Err() == nil {
			yield(fleet.Event{}, err)
		}
	}
}

func (f *Follower) follow(ctx context.Context, changed func(fleet.Event)) error {
	if err := f.Check(); err != nil {
		return err
	}
	if f.Jitter == nil {
		f.Jitter = rand.Float64
	}
	if f.Transport == nil {
		f.Transport = http.DefaultTransport.(*http.Transport).Clone()
	}
	wait, retry := firstAgain, time.Duration(0)
	var down time.Time
	for {
		stood, err := f.read(ctx, changed, &retry)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var refused errRefused
		if errors.As(err, &refused) {
			return f.refusal(refused.status)
		}
		if stood || down.IsZero() {
			wait, down = firstAgain, time.Now()
		}
		next := max(retry, time.Duration(float64(wait)*(0.5+f.Jitter()/2)))
		if f.Lost != nil {
			f.Lost(lost(err), next)
		}
		if time.Since(down)+next > givenUp {
			return lost(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(next):
		}
		wait, retry = min(2*wait, lastAgain), 0
	}
}

func (f *Follower) refusal(status int) error {
	u, _ := url.Parse(f.URL) // Check has read it
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return problem.New(problem.CredentialsRefused, "cannot follow events: %s does not accept the profile's credentials", u.Host).
			WithHint("use the account's auth token, or the API key that flexvc serve uses")
	}
	return problem.New(problem.NotFound, "cannot follow events: no event stream at %s (HTTP %d)", u.Host, status).
		WithHint("start the server with flexvc serve --events")
}

// read follows one connection. retry is what the server asks for before the
// next.
func (f *Follower) read(ctx context.Context, changed func(fleet.Event), retry *time.Duration) (stood bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watchdog := time.AfterFunc(connecting, cancel)
	defer watchdog.Stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL, nil)
	if err != nil {
		return false, err
	}
	r.Header.Set("Accept", "text/event-stream")
	if f.last != "" {
		r.Header.Set("Last-Event-ID", f.last)
	}
	if f.Auth.User != "" {
		r.SetBasicAuth(f.Auth.User, f.Auth.Password)
	}
	resp, err := f.Transport.RoundTrip(r) // no redirects: the credentials go nowhere else
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	switch {
	case resp.StatusCode == http.StatusOK && kind == "text/event-stream":
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		if s := resp.Header.Get("Retry-After"); s != "" {
			if d, err := time.ParseDuration(s + "s"); err == nil {
				*retry = min(max(d, 0), lastAgain)
			}
		}
		return false, fmt.Errorf("HTTP %d", resp.StatusCode)
	default:
		return false, errRefused{resp.StatusCode}
	}
	watchdog.Reset(silence)
	if f.Found != nil {
		f.Found()
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 16<<10), maxLine)
	var id, name string
	var data bytes.Buffer
	for lines.Scan() {
		watchdog.Reset(silence)
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if name != "" {
				if err := f.tell(name, data.Bytes(), changed); err != nil {
					return true, err
				}
			}
			if id != "" {
				f.last = id
			}
			name = ""
			data.Reset()
		case field == "id":
			id = value
		case field == "event":
			name = value
		case field == "data":
			data.WriteString(value)
		}
	}
	if err := lines.Err(); err != nil {
		return true, err
	}
	return true, io.EOF
}

func (f *Follower) tell(name string, data []byte, changed func(fleet.Event)) error {
	switch name {
	case nameWorker:
		var e fleet.Event
		if err := json.Unmarshal(data, &e); err != nil || e.WorkerSID == "" {
			return errors.New("an event is unreadable")
		}
		changed(e)
	case nameResync:
		var why struct {
			Reason string `json:"reason"`
		}
		_ = json.Unmarshal(data, &why) // the reason is for people
		if f.Resync != nil {
			f.Resync(why.Reason)
		}
	}
	return nil
}

// lost says why a connection ended. What cancelled it is the watchdog of read.
func lost(err error) error {
	if errors.Is(err, context.Canceled) {
		return errors.New("connection lost")
	}
	return problem.Reason(err)
}
