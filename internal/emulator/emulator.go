// Package emulator is a Twilio account on this machine, but for Twilio's products:
// requests on their way to an operation and back, with the limits, refusals and
// failures that make talking to the real one hard. What one product alone knows
// does not belong here; each registers its operations from a folder of its own,
// and package products lists them.
//
// The emulator shares no code with the client it tests, so that the two cannot
// agree on a misreading. COVERAGE.md, generated from the products, lists what is
// emulated and which of Twilio's answers are unknown and what the emulator chose.
package emulator

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flexvc/flexvc/internal/emulator/fault"
	"github.com/flexvc/flexvc/internal/emulator/journal"
	"github.com/flexvc/flexvc/internal/emulator/outbox"
	"github.com/flexvc/flexvc/internal/emulator/store"
	"github.com/flexvc/flexvc/internal/problem"
)

// Options say what account to emulate and how it misbehaves. With products alone
// it is an empty, fast, well-behaved account in memory.
type Options struct {
	Products []Product // what of Twilio there is; products.All() is all that is emulated

	Seed      *Seed  // the state to start from, or nil for a generated one
	Agents    int    // with a nil Seed: how many workers to generate, at most MaxWorkers
	SeedValue uint64 // SIDs, secrets and generated workers follow from it
	DataDir   string // "" keeps everything in memory; a folder that holds a state ignores Seed, Agents and SeedValue

	ListAttributes  ListAttributes  // whether worker lists show attributes; "" is AttributesPresent
	ValidateFailure ValidateFailure // how a bad Flex token is refused; "" is Failure200
	Limits          Limits
	Builds          Builds   // of Twilio Serverless
	Faults          []string // OPERATION:ACTION*TIMES@FIRST; package fault has the grammar
	NoFlex          bool     // emulate an account that never set up Flex

	Outbound http.RoundTripper // carries event deliveries; nil posts them to servers on this machine, never to others

	Now func() time.Time // nil is time.Now
	Log *slog.Logger     // one debug line per request; nil is silent
}

// What an account holds and starts from is package store's; these are the names
// under which those who start an emulator know it.
type (
	Account      = store.Account
	Seed         = store.Seed
	SeedActivity = store.SeedActivity
	SeedWorker   = store.SeedWorker
	Attributes   = store.Attributes
)

// SIDMarker is how the hexadecimal part of every SID that the emulator makes up
// begins.
const SIDMarker = store.SIDMarker

// ReadSeed reads a seed from JSON. What it does not understand is
// problem.InputUnreadable.
func ReadSeed(r io.Reader) (*Seed, error) { return store.ReadSeed(r) }

// Emulator is one emulated account. Its methods may be called from any
// goroutine.
type Emulator struct {
	log    *slog.Logger
	now    func() time.Time
	noFlex bool
	table  *table
	ctx    context.Context    // ends with Close
	cancel context.CancelFunc // background browsers end with it
	done   sync.WaitGroup

	// The store has a lock of its own, which is taken before this one.
	mu       sync.RWMutex // guards settings and offset
	settings Settings
	offset   time.Duration // how far Advance has moved the clock
	store    *store.Store

	limit       limiters
	faults      fault.Set
	stats       journal.Counters
	journal     journal.Log
	requests    atomic.Uint64
	browsers    browserSet
	outbox      *outbox.Outbox
	events      workerEvents
	mounted     map[string]http.Handler  // areas of the control plane, see Mount
	watchers    []func(workerSID string) // see Watch
	conferences Conferences              // see HasConferences
}

// New starts an emulated account. A data folder that another process uses is
// problem.Locked, one that cannot be used problem.StateUnreadable or
// StateUnwritable; nonsense in opts is problem.Usage.
func New(opts Options) (*Emulator, error) {
	if len(opts.Products) == 0 {
		return nil, problem.New(problem.Usage, "cannot emulate an account without products")
	}
	settings := Settings{
		ListAttributes:  opts.ListAttributes,
		ValidateFailure: opts.ValidateFailure,
		Limits:          opts.Limits,
		Builds:          opts.Builds,
	}
	if err := settings.complete(); err != nil {
		return nil, err
	}
	e := &Emulator{
		log:      opts.Log,
		now:      opts.Now,
		noFlex:   opts.NoFlex,
		table:    newTable(opts.Products),
		settings: settings,
		mounted:  map[string]http.Handler{},
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.now == nil {
		e.now = time.Now
	}
	if err := e.SetFaults(opts.Faults...); err != nil {
		return nil, err
	}
	var kinds []store.AnyKind
	for _, p := range opts.Products {
		kinds = append(kinds, p.Kinds...)
	}
	origin := store.Origin{Seed: opts.Seed, Agents: opts.Agents, SeedValue: opts.SeedValue}
	var err error
	if e.store, err = store.Open(opts.DataDir, origin, kinds, e.Now(), e.workerChanged); err != nil {
		return nil, err
	}
	e.events = workerEvents{epoch: e.now().UnixNano(), last: map[string]time.Time{}}
	e.outbox = outbox.New(outbox.Host{
		Strike: e.faults.Strike, AuthToken: func() string { return e.Account().AuthToken }, Outbound: opts.Outbound, Log: e.log,
	})
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.limit.set(settings.Limits)
	return e, nil
}

// Close ends the background browsers and the deliveries, and closes the data
// file. Requests still in flight may fail.
func (e *Emulator) Close() error {
	e.cancel()
	e.outbox.Close()
	e.done.Wait()
	e.store.Lock()
	defer e.store.Unlock()
	if err := e.store.Close(); err != nil {
		return problem.New(problem.StateUnwritable, "cannot close the emulator's data file: %w", err)
	}
	return nil
}

// Account returns the credentials and the SIDs a client needs.
func (e *Emulator) Account() Account {
	e.store.RLock()
	defer e.store.RUnlock()
	return e.store.Meta.Account
}

// Logger is where the emulator logs.
func (e *Emulator) Logger() *slog.Logger { return e.log }

// Stats returns what was asked since the start, or since the latest reset.
func (e *Emulator) Stats() journal.Stats { return e.stats.Stats() }

// Log returns the latest thousand requests, oldest first.
func (e *Emulator) Log() []journal.Entry { return e.journal.Entries() }

// resetStats starts the counts and the request log anew.
func (e *Emulator) resetStats() {
	e.stats.Reset()
	e.journal.Reset()
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
	e.store.RLock()
	origin := e.store.Meta.Origin
	e.store.RUnlock()
	return e.reseed(origin)
}

// Reseed replaces the state by another seed, or by agents generated workers
// when seed is nil, and keeps the account.
func (e *Emulator) Reseed(seed *Seed, agents int, seedValue uint64) error {
	return e.reseed(store.Origin{Seed: seed, Agents: agents, SeedValue: seedValue})
}

func (e *Emulator) reseed(o store.Origin) error {
	now := e.Now()
	e.store.Lock()
	err := e.store.Replace(o, now)
	e.store.Unlock()
	if err != nil {
		return err
	}
	e.browsers.reset()
	e.faults.Rewind()
	e.resetStats()
	for _, tell := range e.watchers {
		tell("")
	}
	return nil
}

var (
	_ io.Closer    = (*Emulator)(nil)
	_ http.Handler = (*Emulator)(nil)
)
