package voice

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/emulator/certificate"
	"github.com/flexvc/flexvc/internal/emulator/voice/media"
	"github.com/flexvc/flexvc/internal/problem"
)

// Options of an Edge. The zero value serves nobody: Keys or Verify is needed.
type Options struct {
	// Keys finds the key that signed an access token by its SID.
	Keys func(sid string) (Key, bool)
	// Verify replaces the check of tokens with Keys. A *Refusal tells the client
	// its code; any other error is "authorization failed", 31201.
	Verify func(ctx context.Context, token string) (Claims, error)
	// FlexToken knows the Flex tokens, with which the voice client in a Flex tab
	// signs in; it is asked first. May be nil.
	FlexToken func(token string) (Claims, bool)
	// Dialled decides what a number that an agent calls does; nil answers every
	// call with an echo.
	Dialled func(Outgoing) Answer

	// Folder keeps the TLS certificate between runs; empty makes a new one.
	Folder string
	// Heartbeat is the time between two heartbeats, 10 s unless given. The
	// client gives a socket up after 15 s without a frame.
	Heartbeat time.Duration

	Now  func() time.Time // the clock; nil is the machine's
	Rand io.Reader        // what SIDs and call tokens are made of; nil is the machine's
	Log  *slog.Logger     // nil logs nothing; neither tokens nor SDP are logged
}

// Edge is one emulated voice edge. It is safe for use by many goroutines.
type Edge struct {
	options Options
	verify  func(context.Context, string) (Claims, error)
	now     func() time.Time
	log     *slog.Logger
	media   *media.Maker
	cert    tls.Certificate
	mux     *http.ServeMux

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// mu is held for every decision about sockets and calls, so that a caller
	// who gives up and an agent who answers at the same time are told one story.
	// Nothing waits while holding it.
	mu          sync.Mutex
	closed      bool
	bell        chan struct{} // closed and made anew whenever something changes
	sockets     []*socket
	serial      int
	calls       map[string]*Call       // by call SID, an outgoing one by its first one too
	conferences map[string]*Conference // by the customer's call SID
	ended       []*Call                // the latest, oldest first
	journal     journal
	reports     insights
	faults      Faults
	fired       map[string]int
	faultID     int

	randMu sync.Mutex
	random io.Reader
}

// New makes an Edge. It serves once Handler or Run is used and must be closed.
func New(options Options) (*Edge, error) {
	if options.Keys == nil && options.Verify == nil {
		return nil, problem.New(problem.Internal, "the voice edge has no way to verify tokens")
	}
	e := &Edge{
		options: options, verify: options.Verify, now: options.Now, log: options.Log, random: options.Rand,
		bell: make(chan struct{}), calls: map[string]*Call{}, conferences: map[string]*Conference{}, fired: map[string]int{},
	}
	if e.now == nil {
		e.now = time.Now
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.random == nil {
		e.random = rand.Reader
	}
	if e.verify == nil {
		e.verify = verifier(options.Keys, e.now)
	}
	if flex, others := options.FlexToken, e.verify; flex != nil {
		e.verify = func(ctx context.Context, token string) (Claims, error) {
			if claims, ok := flex(token); ok {
				return claims, nil
			}
			return others(ctx, token)
		}
	}
	if e.options.Heartbeat <= 0 {
		e.options.Heartbeat = 10 * time.Second
	}
	var err error
	if e.cert, err = certificate.Load(options.Folder, e.now()); err != nil {
		return nil, err
	}
	if e.media, err = media.New(e.log, e.now, func() uint32 { return binary.BigEndian.Uint32(e.bytes(4)) }); err != nil {
		return nil, err
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.routes()
	return e, nil
}

// routes is all that Twilio's hosts serve to a voice client, each under a path
// of its own, so one listener stands for them all.
func (e *Edge) routes() {
	e.mux = http.NewServeMux()
	e.mux.HandleFunc("GET /signal", e.serveSignal)
	e.mux.HandleFunc("/v4/", e.serveInsights)
	e.mux.HandleFunc("GET /js/client/sounds/", e.serveSound)
	e.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		e.record(Event{Kind: "other", Detail: clipped(r.Method + " " + r.URL.Path)})
		e.mu.Unlock()
		http.NotFound(w, r)
	})
}

// Handler serves the hosts voice-js.*.twilio.com, eventgw.*.twilio.com and
// sdk.twilio.com.
func (e *Edge) Handler() http.Handler { return e.mux }

// SPKI is the hash of the certificate's key as Chromium's flag
// --ignore-certificate-errors-spki-list takes it.
func (e *Edge) SPKI() string { return certificate.SPKI(e.cert) }

// TLS is the configuration to serve Handler with: the edge's certificate, and
// HTTP/1.1 alone, because a WebSocket cannot be opened on the other.
func (e *Edge) TLS() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{e.cert}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
}

// Run serves TLS on the listener until the context ends, then closes the Edge
// and the listener. It returns nil when it was the context that ended it.
func (e *Edge) Run(ctx context.Context, ln net.Listener) error {
	server := &http.Server{
		Handler:           e.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(tls.NewListener(ln, e.TLS())) }()
	var err error
	select {
	case <-ctx.Done():
	case <-e.ctx.Done():
	case err = <-served:
		served <- err
	}
	e.Close()
	_ = server.Close()
	if stopped := <-served; err == nil && !errors.Is(stopped, http.ErrServerClosed) {
		err = stopped
	}
	return err
}

// Close ends every call and socket and waits until nothing of the Edge runs
// any more.
func (e *Edge) Close() {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		for _, c := range e.live() {
			c.finish(ReasonClosed, nil)
		}
		for _, s := range e.sockets {
			s.close(1001)
		}
		e.ring()
	}
	e.mu.Unlock()
	e.cancel()
	e.wg.Wait()
}

// Wait returns nil as soon as the condition holds and the context's error when
// that ends first. The condition is looked at whenever something changes and
// every 20 ms, and may use all of the Edge's methods.
func (e *Edge) Wait(ctx context.Context, condition func() bool) error {
	tick := time.NewTicker(media.FrameTime)
	defer tick.Stop()
	for {
		e.mu.Lock()
		bell := e.bell
		e.mu.Unlock()
		if condition() {
			return nil
		}
		select {
		case <-bell:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ring tells everybody who waits that something changed. e.mu is held.
func (e *Edge) ring() {
	close(e.bell)
	e.bell = make(chan struct{})
}

// live lists the calls that go on, the oldest first. e.mu is held.
func (e *Edge) live() []*Call {
	var calls []*Call
	for sid, c := range e.calls {
		if sid == c.sid {
			calls = append(calls, c)
		}
	}
	slices.SortFunc(calls, func(a, b *Call) int { return a.began.Compare(b.began) })
	return calls
}

// Calls lists the calls that go on and the latest hundred that ended.
func (e *Edge) Calls() []*Call {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append(slices.Clone(e.ended), e.live()...)
}

const endedKept = 100

// bytes takes n random bytes.
func (e *Edge) bytes(n int) []byte {
	b := make([]byte, n)
	e.randMu.Lock()
	defer e.randMu.Unlock()
	if _, err := io.ReadFull(e.random, b); err != nil {
		panic("voice: out of randomness: " + err.Error())
	}
	return b
}

func (e *Edge) sid(prefix string) string { return prefix + hex.EncodeToString(e.bytes(16)) }

func clipped(s string) string {
	if len(s) > 200 {
		s = s[:200] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}
