//go:build ignore

// Package emulator is a Twilio account on this machine: the parts of
// TaskRouter, Flex, IAM, Serverless and the 2010 API that flexvc talks to, with the limits,
// refusals and failures that make talking to the real one hard.
//
// It shares no code with the client it tests, so that the two cannot agree on a
// misreading. COVERAGE.md, generated from this package, lists what is emulated
// and which of Twilio's answers are unknown and what the emulator chose.
package emulator

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

// Options say what account to emulate and how it misbehaves. The zero value is
// an empty, fast, well-behaved account in memory.
type Options struct {
	Seed      *Seed  // the state to start from, or nil for a generated one
	Agents    int    // with a nil Seed: how many workers to generate, at most MaxWorkers
	SeedValue uint64 // SIDs, secrets and generated workers follow from it
	DataDir   string // "" keeps everything in memory; a folder that holds a state ignores Seed, Agents and SeedValue

	ListAttributes  ListAttributes  // whether worker lists show attributes; "" is AttributesPresent
	ValidateFailure ValidateFailure // how a bad Flex token is refused; "" is Failure200
	Limits          Limits
	Builds          Builds   // of Twilio Serverless
	Faults          []string // see CheckFault for the grammar
	NoFlex          bool     // the account never set up Flex

	Outbound http.RoundTripper // carries event deliveries; nil posts them to servers on this machine, never to others

	Now func() time.Time // nil is time.Now
	Log *slog.Logger     // one debug line per request; nil is silent
}

// Limits bound what the emulator serves. Zero turns a limit off, except for
// ExpressionPerSecond.
type Limits struct {
	RequestsPerSecond   float64       `json:"requests_per_second,omitempty"`   // of the account, over all products
	Burst               int           `json:"burst,omitempty"`                 // requests at once; 0 is one second's worth
	Concurrency         int           `json:"concurrency,omitempty"`           // requests in flight
	ExpressionPerSecond float64       `json:"expression_per_second,omitempty"` // worker lists with TargetWorkersExpression; 0 is Twilio's 3, negative is off
	RetryAfter          bool          `json:"retry_after,omitempty"`           // 429 answers carry Retry-After
	Latency             time.Duration `json:"latency,omitempty"`               // added to every request, in nanoseconds in JSON
}

// ListAttributes says what a row of a worker list shows as attributes. Twilio's
// documentation and its own examples disagree.
type ListAttributes string

// The two readings of Twilio's documentation.
const (
	AttributesPresent ListAttributes = "present"
	AttributesNull    ListAttributes = "null"
)

// Account is what a client needs to talk to the emulated account. The secrets
// are made up and follow from the seed value.
type Account struct {
	SID             string `json:"account_sid"`
	AuthToken       string `json:"auth_token"`
	KeySID          string `json:"api_key"` // a Main key
	KeySecret       string `json:"api_secret"`
	WorkspaceSID    string `json:"workspace_sid"` // the one Flex uses
	FlexInstanceSID string `json:"flex_instance_sid"`
}

// Emulator is one emulated account. Its methods may be called from any
// goroutine.
type Emulator struct {
	log    *slog.Logger
	now    func() time.Time
	noFlex bool
	ctx    context.Context    // ends with Close
	cancel context.CancelFunc // background browsers and deliveries end with it
	done   sync.WaitGroup

	mu       sync.RWMutex // guards st, settings and offset
	st       *state
	settings Settings
	offset   time.Duration // how far Advance has moved the clock

	limit    limiters
	faults   faultSet
	stats    counters
	journal  requestLog
	requests atomic.Uint64
	browsers browserSet
	events   *outbox
	mounted  map[string]http.Handler  // areas of the control plane, see Mount
	watchers []func(workerSID string) // see Watch
}

// New starts an emulated account. A data folder that another process uses is
// problem.Locked, one that cannot be used problem.StateUnreadable or
// StateUnwritable; nonsense in opts is problem.Usage.
func New(opts Options) (*Emulator, error) {
	settings := Settings{
		ListAttributes:  opts.ListAttributes,
		ValidateFailure: opts.ValidateFailure,
		Limits:          opts.Limits,
		Builds:          opts.Builds,
	}
	if err := settings.complete(); err != nil {
		return nil, err
	}
	faults, err := parseFaults(opts.Faults)
	if err != nil {
		return nil, err
	}
	e := &Emulator{
		log:      opts.Log,
		now:      opts.Now,
		noFlex:   opts.NoFlex,
		settings: settings,
		mounted:  map[string]http.Handler{},
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.now == nil {
		e.now = time.Now
	}
	if e.st, err = openState(opts, e.Now()); err != nil {
		return nil, err
	}
	e.events = newOutbox(e, opts.Outbound)
	e.st.changed = e.tellWatchers
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.limit.set(settings.Limits)
	e.faults.set(faults)
	return e, nil
}

// Close ends the background browsers and closes the data file. Requests still
// in flight may fail.
func (e *Emulator) Close() error {
	e.cancel()
	e.done.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.st.close(); err != nil {
		return problem.New(problem.StateUnwritable, "cannot close the emulator's data file: %w", err)
	}
	return nil
}

// Account returns the credentials and the SIDs a client needs.
func (e *Emulator) Account() Account {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.st.meta.Account
}

// Now returns the emulator's time, which Advance moves.
func (e *Emulator) Now() time.Time {
	e.mu.RLock()
	offset := e.offset
	e.mu.RUnlock()
	return e.now().Add(offset).UTC()
}

// Advance moves the emulator's clock forward: tokens expire, rate limits
// recover, dates move on.
func (e *Emulator) Advance(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.offset += d
}

// Reset goes back to the state the emulator, or its data folder, started from.
// The account keeps its SID and its credentials, and the same seed gives the
// same SIDs again. Simulated browsers end; fault counters, statistics and the
// request log start anew.
func (e *Emulator) Reset() error {
	e.mu.RLock()
	origin := e.st.meta.Origin
	e.mu.RUnlock()
	return e.reseed(origin)
}

// Reseed replaces the state by another seed, or by agents generated workers
// when seed is nil, and keeps the account.
func (e *Emulator) Reseed(seed *Seed, agents int, seedValue uint64) error {
	return e.reseed(origin{Seed: seed, Agents: agents, SeedValue: seedValue})
}

func (e *Emulator) reseed(o origin) error {
	now := e.Now()
	e.mu.Lock()
	err := e.st.replace(o, now)
	e.mu.Unlock()
	if err != nil {
		return err
	}
	e.browsers.reset()
	e.faults.rewind()
	e.stats.reset()
	e.journal.reset()
	for _, tell := range e.watchers {
		tell("")
	}
	return nil
}

// Settings are the switches that can be changed while the emulator runs.
type Settings struct {
	ListAttributes  ListAttributes  `json:"list_attributes"`
	ValidateFailure ValidateFailure `json:"validate_failure"`
	Limits          Limits          `json:"limits"`
	Builds          Builds          `json:"builds"`
}

// complete fills in defaults and refuses values that mean nothing.
func (s *Settings) complete() error {
	if s.ListAttributes == "" {
		s.ListAttributes = AttributesPresent
	}
	if s.ListAttributes != AttributesPresent && s.ListAttributes != AttributesNull {
		return problem.New(problem.Usage, "cannot list attributes as %q", s.ListAttributes).
			WithHint("use %q or %q", AttributesPresent, AttributesNull)
	}
	if s.ValidateFailure == "" {
		s.ValidateFailure = Failure200
	}
	if !s.ValidateFailure.known() {
		return problem.New(problem.Usage, "cannot refuse a Flex token as %q", s.ValidateFailure).
			WithHint("use %q, %q, %q or %q", Failure200, Failure401, Failure403, FailureNonJSON)
	}
	l := &s.Limits
	if l.RequestsPerSecond < 0 || l.Burst < 0 || l.Concurrency < 0 || l.Latency < 0 || s.Builds.Time < 0 {
		return problem.New(problem.Usage, "cannot emulate a negative limit or time")
	}
	if l.ExpressionPerSecond == 0 {
		l.ExpressionPerSecond = 3
	}
	return nil
}

// Configure replaces the switches; nonsense is problem.Usage and changes
// nothing.
func (e *Emulator) Configure(s Settings) error {
	if err := s.complete(); err != nil {
		return err
	}
	e.mu.Lock()
	e.settings = s
	e.mu.Unlock()
	e.limit.set(s.Limits)
	return nil
}

// Settings returns the switches in force.
func (e *Emulator) Settings() Settings {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.settings
}

var (
	_ io.Closer    = (*Emulator)(nil)
	_ http.Handler = (*Emulator)(nil)
)
