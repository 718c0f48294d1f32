// Package eventsrv takes in what Twilio tells of workers and passes it on.
// What a change means for a worker is judged in internal/fleet, and agents' tokens
// are internal/tokensrv's.
//
// Twilio posts to Receiver: Event Streams a JSON array of CloudEvents, a
// workspace callback a form. What is signed, new and about our workspace goes
// into a ring, from which Stream tells any number of readers over server-sent
// events and Drift keeps its picture. Replicas pass on to each other through
// Redis.
//
// Nothing here waits for a reader, for Redis or for a notified webhook: an
// answer to Twilio that takes longer than five seconds counts as none.
package eventsrv

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	vm "github.com/VictoriaMetrics/metrics"

	"github.com/flexvc/flexvc/internal/problem"
)

// The paths of the two handlers. PathTwilio is public, PathStream is on the
// metrics listener too.
const (
	PathTwilio = "/events/twilio"
	PathStream = "/events/stream"
)

// MaxBody is the longest request of Twilio's that is read, in bytes. Twilio does
// not say how many events it sends at once.
const MaxBody = 4 << 20

// Config is what an administrator decides.
type Config struct {
	AccountSID   string // whose events are taken; all others are refused
	WorkspaceSID string // whose workers are told of; Event Streams tells of every workspace
	AuthToken    string // the account's: it signs what Twilio sends
	URL          string // what Twilio calls, when that is not what a request says of itself; it has no query

	Readers  []Credentials // who may read the stream from beyond this machine
	RedisURL string        // "" keeps events in this process

	Ring    int   // how many events a reader may be behind; 0 is 4096
	Readmax int   // readers at once; 0 is 100
	MaxBody int64 // bytes of one request of Twilio's; 0 is MaxBody
}

// Credentials are a Basic user and password: AC… and the auth token, or SK… and
// its secret.
type Credentials struct{ User, Password string }

// Deps are what the server needs of the world.
type Deps struct {
	// Signed reports whether Twilio made the signature of a request with that
	// body to that address, query included.
	Signed func(address string, body []byte, signature string) bool
	// SignedAddress is the part of it that can be told before a JSON body is read.
	SignedAddress func(address, signature string) bool
	// Available tells whether agents in an activity get work. An event leaves
	// that out; an activity that is not known is looked up with the worker.
	Available func(activitySID string) (available, known bool)

	Log    *slog.Logger     // nil discards
	Now    func() time.Time // nil is time.Now
	Random io.Reader        // nil is crypto/rand
}

// Server receives and passes on. Use New.
type Server struct {
	cfg     Config
	deps    Deps
	hub     *hub
	bus     *bus // nil without Redis
	m       *metrics
	readers atomic.Int64
	allowed [][sha256.Size]byte // of user, NUL, password
	closing context.Context     // ends with Run: streams are over
	close   context.CancelFunc

	decoding sync.Mutex // one long body at a time
}

// New checks the configuration. Nothing is opened yet. Errors are
// CredentialsMissing and ConfigInvalid.
func New(cfg Config, deps Deps) (*Server, error) {
	if cfg.AuthToken == "" {
		// HMAC takes an empty key: anyone could sign.
		return nil, problem.New(problem.CredentialsMissing, "cannot receive events: the account's auth token, which signs them, is unknown").
			WithHint("set TWILIO_AUTH_TOKEN; an API key is not enough")
	}
	if err := CheckURL(cfg.URL); err != nil {
		return nil, err
	}
	if cfg.Ring == 0 {
		cfg.Ring = 4096
	}
	if cfg.Readmax == 0 {
		cfg.Readmax = 100
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = MaxBody
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Random == nil {
		deps.Random = rand.Reader
	}
	var epoch [6]byte
	if _, err := io.ReadFull(deps.Random, epoch[:]); err != nil {
		return nil, problem.New(problem.Internal, "cannot receive events: no random numbers: %w", err)
	}
	s := &Server{cfg: cfg, deps: deps, m: newMetrics()}
	s.hub = newHub(hex.EncodeToString(epoch[:]), cfg.Ring)
	if cfg.RedisURL != "" {
		var err error
		if s.bus, err = newBus(cfg, s.hub, deps.Log, s.m); err != nil {
			return nil, err
		}
	}
	for _, c := range cfg.Readers {
		if c.User != "" && c.Password != "" {
			s.allowed = append(s.allowed, digest(c.User, c.Password))
		}
	}
	s.closing, s.close = context.WithCancel(context.Background())
	s.m.set.NewGauge("flexvc_event_stream_readers", func() float64 { return float64(s.readers.Load()) })
	return s, nil
}

// CheckURL refuses an address that Twilio cannot call, or should not: one with a
// user would be written to logs.
func CheckURL(address string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return problem.New(problem.ConfigInvalid, "cannot receive events: the events URL is not an address like https://voice.example.com%s", PathTwilio)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return problem.New(problem.ConfigInvalid, "cannot receive events: the events URL contains credentials, a query or a fragment").
			WithHint("requests are signed, so it needs none: https://voice.example.com%s", PathTwilio)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return problem.New(problem.ConfigInvalid, "cannot receive events: the events URL is not https").
			WithHint("events carry agents' names and e-mail addresses; put the server behind TLS")
	}
	return nil
}

// Run passes events on between replicas until ctx ends, then ends all streams.
func (s *Server) Run(ctx context.Context) {
	defer s.close()
	if s.bus == nil {
		<-ctx.Done()
		return
	}
	s.bus.run(ctx)
}

// WriteMetrics writes the figures in Prometheus's text form.
func (s *Server) WriteMetrics(w io.Writer) { s.m.set.WritePrometheus(w) }

// metrics are the figures of events; deploy/README.md says what each means.
type metrics struct {
	set                                  *vm.Set
	taken, doubled, foreign, tests       *vm.Counter
	forged, unreadable                   *vm.Counter
	resyncs, redisErrors, redisForgeries *vm.Counter
}

func newMetrics() *metrics {
	set := vm.NewSet()
	counter := func(name string) *vm.Counter { return set.NewCounter(name) }
	return &metrics{
		set:            set,
		taken:          counter(`flexvc_events_total{result="taken"}`),
		doubled:        counter(`flexvc_events_total{result="double"}`),
		foreign:        counter(`flexvc_events_total{result="other"}`),
		tests:          counter(`flexvc_events_total{result="test"}`),
		forged:         counter(`flexvc_event_requests_refused_total{reason="signature"}`),
		unreadable:     counter(`flexvc_event_requests_refused_total{reason="unreadable"}`),
		resyncs:        counter("flexvc_event_stream_resyncs_total"),
		redisErrors:    counter(`flexvc_event_redis_errors_total{reason="unreachable"}`),
		redisForgeries: counter(`flexvc_event_redis_errors_total{reason="seal"}`),
	}
}

func digest(user, password string) [sha256.Size]byte {
	return sha256.Sum256([]byte(user + "\x00" + password))
}

// answer writes a refusal. It never says more than the status.
func answer(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"title":"`+http.StatusText(status)+`"}`)
}

func loopback(host string) bool {
	return host == "localhost" || slices.Contains([]string{"::1", "127.0.0.1"}, strings.Trim(host, "[]"))
}
