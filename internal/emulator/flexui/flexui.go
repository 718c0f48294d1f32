// Package flexui is what the real Flex UI needs behind it on this machine: the
// page that hosts it, its configuration and login, TaskRouter's event bridge,
// interactions, Twilsock, and the signalling of the tab's own voice client. The
// workers, activities and tokens are the emulator's; tasks and reservations
// live here, in memory, like the calls they stand for.
//
// What any client asks over REST, Flex UI or not, belongs to the products' own
// folders.
//
// A browser that takes this server for every Twilio host finds Flex at
// https://flex.twilio.com/agent-desktop.
//
// What Flex UI asks was observed with @twilio/flex-ui 2.17.1. CoverageMarkdown
// says what is answered and what is only guessed.
package flexui

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
)

// Options of a Server. Only Emulator is needed.
type Options struct {
	Emulator *emulator.Emulator

	// Phone rings the voice client that a task is accepted with; nil accepts
	// every task without a sound.
	Phone Phone
	// Voice serves the hosts of the voice edge; nil lets a voice client register
	// and never rings it.
	Voice http.Handler

	// HostScript is the file of the script that puts Flex UI on the page; it is
	// read anew for each page. Empty serves a page that says how to build it.
	HostScript string
	// Plugins are listed to Flex in this order; those that orders to Control add
	// come after them.
	Plugins func() []Plugin

	// ReservationTimeout is how long an offer stands, 120 s unless given.
	ReservationTimeout time.Duration
	// SupervisorJoins is how long after the answer a supervisor is in the
	// conference, 500 ms unless given: Flex misses one who is there before it has
	// begun to listen for it.
	SupervisorJoins time.Duration
	// KeepAlive is the time between two signs of life on the event bridge and in
	// signalling, 10 s unless given. Flex reconnects after 30 s and 15 s without.
	KeepAlive time.Duration

	Rand io.Reader    // what SIDs are made of; nil is the machine's
	Log  *slog.Logger // nil logs nothing; tokens are never logged
}

// Plugin is a plugin that Flex UI loads.
type Plugin struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Phase is when Flex loads it, from 1; 0 is the usual one, 3.
	Phase int `json:"phase,omitempty"`
	// URL is where a bundle is that this server does not serve; empty is here.
	URL string `json:"url,omitempty"`
	// Source returns the bundle, a classic script. It is called for each load, so
	// that a reload of the page shows a bundle that was built meanwhile.
	Source func() ([]byte, error) `json:"-"`
}

// Server is the back end of Flex UI. It is safe for use by many goroutines and
// must be closed.
type Server struct {
	options Options
	e       *emulator.Emulator
	log     *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	dirty chan struct{} // says that stale is not empty
	stale struct {
		sync.Mutex
		workers map[string]bool // whose agents have to be told; "" is all
	}

	shown chan struct{} // says that Sync may have something new to tell

	mu         sync.Mutex
	closed     bool
	pages      []*syncClient
	syncs      map[string]*syncObject // by what was asked for
	bridges    []*bridge
	offers     []*offer // oldest first
	seen       map[string]emulator.Agent
	features   []Feature
	voiceTasks int      // that a worker may have at once
	plugins    []Plugin // given by Control
	delay      time.Duration
	journal    []Request
	serial     int // of the journal

	randMu sync.Mutex
}

// New makes a Server for an emulator that does not serve yet. Mount Control
// into the emulator, and serve with Run or as a handler.
func New(o Options) *Server {
	s := &Server{
		options: o, e: o.Emulator, log: o.Log, dirty: make(chan struct{}, 1), shown: make(chan struct{}, 1), syncs: map[string]*syncObject{},
		seen: map[string]emulator.Agent{}, features: standardFeatures(), voiceTasks: 1,
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.options.Rand == nil {
		s.options.Rand = rand.Reader
	}
	if s.options.ReservationTimeout <= 0 {
		s.options.ReservationTimeout = 2 * time.Minute
	}
	if s.options.SupervisorJoins <= 0 {
		s.options.SupervisorJoins = 500 * time.Millisecond
	}
	if s.options.KeepAlive <= 0 {
		s.options.KeepAlive = 10 * time.Second
	}
	s.stale.workers = map[string]bool{}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.e.Watch(s.workerChanged)
	s.e.HasConferences(s)
	s.wg.Go(s.tellOfWorkers)
	s.wg.Go(s.tellSync)
	return s
}

// Close ends every call and socket and waits until nothing of the Server runs.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for _, o := range s.offers {
		o.stop()
	}
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
}

// Run serves TLS on the listener until ctx ends, then closes the Server and the
// listener. It returns nil when it was the context that ended it.
func (s *Server) Run(ctx context.Context, ln net.Listener, cert tls.Certificate) error {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	// A WebSocket cannot be opened over HTTP/2.
	config := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	served := make(chan error, 1)
	go func() { served <- server.Serve(tls.NewListener(ln, config)) }()
	var err error
	select {
	case <-ctx.Done():
	case <-s.ctx.Done():
	case err = <-served:
		served <- err
	}
	s.Close()
	_ = server.Close()
	if stopped := <-served; err == nil && !errors.Is(stopped, http.ErrServerClosed) {
		err = stopped
	}
	return err
}

// ServeHTTP answers for the Twilio host that the request names. The page is
// https://flex.twilio.com, to which all other hosts are foreign.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := hostName(r.Host)
	if strings.HasSuffix(host, ".twil.io") {
		s.e.ServeHTTP(w, r) // what is deployed there answers for itself, origins included
		return
	}
	if r.Header.Get("Upgrade") == "" {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		if origin := r.Header.Get("Origin"); origin != "" {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Add("Vary", "Origin")
		}
		h.Set("Access-Control-Allow-Credentials", "true")
		if r.Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Methods", "GET,POST,PUT,DELETE,PATCH,OPTIONS")
			h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
			h.Set("Access-Control-Allow-Private-Network", "true")
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	if sent := r.Header.Get("Authorization"); strings.HasSuffix(sent, ")") {
		// Flex UI writes a stray bracket behind the base 64.
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", strings.TrimSuffix(sent, ")"))
	}
	product, _, _ := strings.Cut(host, ".")
	switch {
	case host == "flex.twilio.com":
		s.servePage(w, r)
	case host == "assets.twilio.com" || host == "assets.flex.twilio.com" || host == "media.twiliocdn.com" || host == "status.twilio.com":
		s.serveAsset(w, r, host)
	case !strings.HasSuffix(host, ".twilio.com"):
		missing(w) // a browser's own traffic
	case product == "event-bridge":
		s.serveEventBridge(w, r)
	case product == "tsock":
		s.serveTwilsock(w, r)
	case product == "voice-js" || strings.HasPrefix(product, "chunderw") || product == "eventgw" || host == "sdk.twilio.com":
		s.serveVoice(w, r, product)
	case product == "flex-api" && r.Method == http.MethodGet && r.URL.Path == "/v1/Configuration" && !isREST(r):
		s.serveConfiguration(w, r)
	case product == "flex-api" && r.URL.Path == "/v1/account/provision/status":
		missing(w) // no e-mail
	case product == "iam" && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/Tokens/refresh"):
		s.serveRefresh(w, r)
	case product == "iam" && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/Tokens/validate") && !isREST(r):
		s.serveValidate(w, r)
	default:
		s.e.ServeHTTP(w, r)
	}
}

func hostName(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		hostport = host
	}
	return strings.ToLower(strings.Trim(hostport, "[]"))
}

// isREST tells a request with an account's or a key's credentials from Flex's.
func isREST(r *http.Request) bool {
	user, _, ok := r.BasicAuth()
	return ok && user != "token"
}

func send(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // the client went away: nobody to tell
}

// object is a JSON object to be sent.
type object = map[string]any

func missing(w http.ResponseWriter) {
	send(w, http.StatusNotFound, object{"code": 20404, "message": "not found", "status": http.StatusNotFound})
}

// Request is one request of Flex UI to TaskRouter or to interactions.
type Request struct {
	Number int             `json:"number"` // counted from 1
	Worker string          `json:"worker"`
	Method string          `json:"method"`
	URL    string          `json:"url"` // as the client wrote it
	Params json.RawMessage `json:"params,omitempty"`
	Status int             `json:"status"`
}

const journalKept = 1000

func (s *Server) note(r Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	r.Number = s.serial
	if len(s.journal) == journalKept {
		s.journal = slices.Delete(s.journal, 0, 1)
	}
	s.journal = append(s.journal, r)
	s.log.Debug("flex ui", "method", r.Method, "url", r.URL, "status", r.Status, "worker", r.Worker)
}

// sid makes up a SID of a kind.
func (s *Server) sid(kind string) string {
	b := make([]byte, 12)
	s.randMu.Lock()
	defer s.randMu.Unlock()
	if _, err := io.ReadFull(s.options.Rand, b); err != nil {
		panic("flexui: out of randomness: " + err.Error())
	}
	return kind + emulator.SIDMarker + hex.EncodeToString(b)
}

// fixed is a SID that follows from the workspace's: of what there is one of, or
// n of, and what has no life of its own.
func (s *Server) fixed(kind string, n byte) string {
	return kind + s.e.Account().WorkspaceSID[2:33] + string('0'+n)
}

// queue is the one TaskQueue, whose SID the emulator's configuration names.
func (s *Server) queue() string { return "WQ" + s.e.Account().WorkspaceSID[2:] }

func (s *Server) workflow() string { return "WW" + s.e.Account().WorkspaceSID[2:] }
