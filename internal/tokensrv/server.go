// Package tokensrv is the token endpoint: it trades an agent's Flex token for a
// Twilio voice token, once Twilio has vouched for the Flex token.
// Setting up the key that signs is internal/provision's, and events of workers are
// internal/eventsrv's, although one process may serve all of them.
//
// A request passes, outermost first: panics, request id, access log, metrics,
// size and rate limits, CORS, handler. The server is stateless; replicas may
// share rate limits and verdicts through Redis and do without it when it is gone.
package tokensrv

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/flexvc/flexvc/internal/gate"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/tokenlog"
)

// Deps are what the server needs of the world. Zero fields get the real thing,
// except where noted.
type Deps struct {
	Log       *slog.Logger         // nil discards
	Now       func() time.Time     // time.Now
	Random    io.Reader            // for request ids; crypto/rand
	Jitter    func(n int) int      // a number below n, for Retry-After
	Transport http.RoundTripper    // to Twilio's validator; NewTransport(nil)
	Extension http.Handler         // answers /extension/…, see ClientOf; nil: nothing there
	Draining  func(inFlight int64) // told once when Run stops accepting

	// Public and Admin are routes of others beside our own; Metrics adds their
	// figures to ours.
	Public, Admin []Route
	Metrics       []func(io.Writer)

	// WorkerEnabled reads extensionVoiceClientEnabled of a worker.
	// Needed with Config.RequireEnabled.
	WorkerEnabled func(ctx context.Context, workerSID string) (bool, error)

	// CheckSigningKey asks Twilio whether the signing key may sign, which its
	// SID does not show. nil skips the question.
	CheckSigningKey func(ctx context.Context) error
	// Prepare asks Twilio what the guests must know before they can answer. nil
	// means nothing.
	Prepare func(ctx context.Context) error

	// OtherWork reports whether guests can serve something without Twilio, so that
	// its outage is no reason to send nobody here. nil: they cannot.
	OtherWork func() bool
	// Degraded says what of the guests does not work at the moment.
	Degraded []func() []Degraded
}

// Server is the token endpoint, an http.Handler. Use New.
type Server struct {
	handler http.Handler
	gate    *gate.Gate
	lookup  func(path string) route

	admin       []Route
	moreMetrics []func(io.Writer)

	log    *slog.Logger
	now    func() time.Time
	random io.Reader
	jitter func(int) int

	prefix         string
	allowGet       bool
	allow          []string
	behindProxy    bool
	trustedProxies []netip.Prefix
	trustedHops    int
	maxBody        int64

	policy     atomic.Pointer[policy]
	transport  http.RoundTripper
	verifier   *verifier
	remembered *tokenlog.Ring
	identities *limiter
	addresses  *limiter
	shared     *shared
	m          *metrics

	questions  []func(context.Context) error // to Twilio, before the server is ready
	onDrain    func(int64)
	drainDelay time.Duration
	otherWork  func() bool
	degraded   []func() []Degraded
	start      startup

	draining        atomic.Bool
	inFlight        atomic.Int64
	issued, refused atomic.Int64
	cutOff          atomic.Int64
	drifting        atomic.Bool

	crowd                sync.Mutex
	crowdedAt, clearedAt time.Time    // when descriptors last ran out, and idle connections were last closed
	public               *http.Server // nil before Run
}

// New checks cfg and builds the server. Nothing is opened or asked yet.
func New(cfg Config, deps Deps) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.RequireEnabled && deps.WorkerEnabled == nil {
		return nil, problem.New(problem.ConfigInvalid, "cannot serve tokens: --require-enabled needs access to workers' attributes")
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
	if deps.Jitter == nil {
		deps.Jitter = defaultJitter
	}
	if deps.Transport == nil {
		deps.Transport = NewTransport(nil)
	}

	s := &Server{
		log:            deps.Log,
		now:            deps.Now,
		random:         deps.Random,
		jitter:         deps.Jitter,
		prefix:         cfg.Prefix,
		allowGet:       cfg.AllowGet,
		allow:          []string{"OPTIONS, POST"},
		behindProxy:    cfg.BehindProxy,
		trustedProxies: cfg.TrustedProxies,
		trustedHops:    cfg.TrustedHops,
		maxBody:        cfg.MaxBody,
		m:              newMetrics(names(deps.Public)),
		gate:           gate.New(gate.Capacity()),
		admin:          deps.Admin,
		moreMetrics:    deps.Metrics,
		transport:      deps.Transport,
		onDrain:        deps.Draining,
		drainDelay:     cfg.DrainDelay,
		otherWork:      deps.OtherWork,
		degraded:       deps.Degraded,
	}
	for _, question := range []func(context.Context) error{deps.CheckSigningKey, deps.Prepare} {
		if question != nil {
			s.questions = append(s.questions, question)
		}
	}
	s.start.done.Store(len(s.questions) == 0)
	s.remembered = tokenlog.New(s.prefix, s.now())
	if s.allowGet {
		s.allow = []string{"GET, OPTIONS, POST"}
	}
	if cfg.RedisURL != "" {
		sh, err := newShared(cfg, s.now, s.log, s.m)
		if err != nil {
			return nil, problem.New(problem.ConfigInvalid, "cannot serve tokens: invalid Redis URL")
		}
		s.shared = sh
	}
	s.m.connections(s.gate)
	s.identities = newLimiter("identity", cfg.IdentityRate, s.shared, s.now)
	s.addresses = newLimiter("address", cfg.AddressRate, s.shared, s.now)
	p, err := newPolicy(cfg, newAdmission(cfg, deps), s.transport, s.now, s.sawDrift)
	if err != nil {
		return nil, err
	}
	s.policy.Store(p)
	ask := func(ctx context.Context, token string) (agent, error) {
		return s.policy.Load().authority.ask(ctx, token)
	}
	s.verifier = newVerifier(cfg, ask, s.shared, s.now, s.m, s.circuitChanged)

	s.m.questions(s.verifier.turns)

	if cfg.BehindProxy && len(cfg.TrustedProxies) == 0 && cfg.TrustedHops == 0 {
		s.log.Warn("no trusted proxy is set: X-Forwarded-For is ignored and all clients share one address limit")
	}
	s.lookup = s.routes(deps.Extension, deps.Public)
	s.handler = chain(http.HandlerFunc(dispatch), s.recoverPanics, s.requestID, s.accessLog, s.measure, s.limit, s.origins)
	return s, nil
}

func dispatch(w http.ResponseWriter, r *http.Request) {
	w.(*exchange).route.handler.ServeHTTP(w, r)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Stats are the figures of the closing line.
type Stats struct {
	Issued   int64 // tokens minted
	Refused  int64 // requests for one that got none
	InFlight int64
	CutOff   int64 // requests still unanswered when the drain ended
}

// Stats may be called at any time.
func (s *Server) Stats() Stats {
	return Stats{Issued: s.issued.Load(), Refused: s.refused.Load(), InFlight: s.inFlight.Load(), CutOff: s.cutOff.Load()}
}

const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 75 * time.Second // above the longest ValidateTimeout
	idleTimeout       = 2 * time.Minute
	drainTimeout      = 10 * time.Second
	maxHeaderBytes    = 32 << 10 // a GET carries its token in the request line
)

// Listeners are bound sockets; Run owns and closes them.
type Listeners struct {
	Public []net.Listener
	TLS    *tls.Config  // of the public ones; nil: plain HTTP
	Admin  net.Listener // nil: no metrics
}

// Run serves until ctx is done, then drains: readiness turns false, after
// Config.DrainDelay no new connection is accepted, and requests in flight have
// 10 s, or until abort is closed, before they are cut off. The admin listener
// closes last. A nil error means it stopped because it was asked to.
func (s *Server) Run(ctx context.Context, l Listeners, abort <-chan struct{}) error {
	public, admin := s.httpServer(s), s.httpServer(s.Admin())
	public.ConnContext = s.gate.ConnContext
	s.crowd.Lock()
	s.public = public
	s.crowd.Unlock()
	failed := make(chan error, len(l.Public)+1)
	var serving sync.WaitGroup
	serve := func(srv *http.Server, ln net.Listener) {
		serving.Go(func() {
			if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		})
	}
	for _, ln := range l.Public {
		serve(public, s.gate.Listener(s.guard(ln, turningAway(l.TLS)), l.TLS))
	}
	if l.Admin != nil {
		serve(admin, s.guard(l.Admin, nil))
	}

	var err error
	select {
	case <-ctx.Done():
	case cause := <-failed:
		err = problem.New(problem.AddressUnavailable, "cannot serve tokens any longer: a listening socket failed").Because(cause)
	}
	s.drain(public, abort)
	_ = admin.Close() // nothing on it is worth waiting for
	serving.Wait()
	if s.shared != nil {
		_ = s.shared.client.Close()
	}
	return err
}

func (s *Server) drain(public *http.Server, abort <-chan struct{}) {
	s.draining.Store(true)
	select { // those who send requests here look at readiness now and then
	case <-time.After(s.drainDelay):
	case <-abort:
	}
	if s.onDrain != nil {
		s.onDrain(s.inFlight.Load())
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	go func() {
		select {
		case <-abort:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := public.Shutdown(ctx); err != nil {
		s.cutOff.Store(s.inFlight.Load())
		_ = public.Close()
	}
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// One connection could otherwise fill a mebibyte with what no handler has
		// asked for yet.
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: 100, MaxReceiveBufferPerConnection: 64 << 10, MaxReceiveBufferPerStream: 32 << 10},
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

func (s *Server) circuitChanged(from, to gobreaker.State) {
	s.m.circuit(to)
	switch {
	case from == gobreaker.StateClosed:
		s.log.Warn("the validator is down: responding 503 until it recovers", "failures", breakAfter)
	case to == gobreaker.StateClosed:
		s.log.Info("the validator is back")
	}
}

// maxDrift is where Twilio begins to refuse tokens as early or late; it does
// not publish the figure, this is below every report.
const maxDrift = 30 * time.Second

// sawDrift takes this clock minus Twilio's, known to a second, and says so once
// when it becomes too much and once when it is well again.
func (s *Server) sawDrift(d time.Duration) {
	s.m.drift.Set(d.Seconds())
	bad := d.Abs() > maxDrift
	if s.drifting.Swap(bad) == bad {
		return
	}
	if bad {
		s.log.Warn("this machine's clock differs from Twilio's: tokens may be refused as early or expired", "drift", d.Round(time.Second))
	} else {
		s.log.Info("this machine's clock agrees with Twilio's again")
	}
}
