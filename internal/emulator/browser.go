package emulator

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/flexvc/flexvc/internal/emulator/outbox"
	"github.com/flexvc/flexvc/internal/emulator/store"
	"github.com/flexvc/flexvc/internal/problem"
)

// BrowserOptions describe simulated agents' browsers, which do what the Flex
// plugin does: write a worker's whole attributes from their own copy, with no
// If-Match.
type BrowserOptions struct {
	Overwrites int           `json:"overwrites"`            // how many in all
	Workers    []string      `json:"workers,omitempty"`     // SIDs; none is every worker of the Flex workspace
	Interval   time.Duration `json:"interval,omitempty"`    // between two overwrites, in nanoseconds in JSON
	AfterFetch int           `json:"after_fetch,omitempty"` // instead: overwrite the worker of every n-th FetchWorker answer, right after it
	Stale      float64       `json:"stale,omitempty"`       // share of overwrites made from the copy of that browser's last visit; the others know every change, as if events had no delay
	Key        string        `json:"key,omitempty"`         // the attribute a browser counts its visits in; "" is "browser_seq"
	SeedValue  uint64        `json:"seed_value,omitempty"`  // which workers, and which visits are stale
}

// Overwrite is one write by a simulated browser.
type Overwrite struct {
	Worker string    `json:"worker"`
	Seq    int       `json:"seq"`   // what it wrote under its key
	Stale  bool      `json:"stale"` // from an old copy
	ETag   string    `json:"etag"`  // after it
	Time   time.Time `json:"time"`
}

// Browser is a running simulation.
type Browser struct {
	e    *Emulator
	opts BrowserOptions
	done chan struct{} // closed when the last overwrite is made or the context has ended

	mu      sync.Mutex
	rng     *rand.Rand
	targets []string
	copies  map[string]string // what each browser last saw
	last    map[string]int
	made    []Overwrite
	fetches int
	over    bool
}

// StartBrowser starts simulated browsers. They end with their last overwrite,
// with ctx, or with the emulator. Nonsense in opts is problem.Usage.
func (e *Emulator) StartBrowser(ctx context.Context, opts BrowserOptions) (*Browser, error) {
	switch {
	case opts.Overwrites < 1:
		return nil, problem.New(problem.Usage, "cannot simulate a browser that makes %d overwrites", opts.Overwrites)
	case opts.Stale < 0 || opts.Stale > 1:
		return nil, problem.New(problem.Usage, "cannot simulate a browser that is stale %v of the time", opts.Stale)
	case opts.Interval < 0 || opts.AfterFetch < 0 || opts.AfterFetch > 0 && opts.Interval > 0:
		return nil, problem.New(problem.Usage, "cannot simulate a browser: it acts at an interval or after every n-th fetch")
	}
	if opts.Key == "" {
		opts.Key = "browser_seq"
	}
	b := &Browser{
		e: e, opts: opts, done: make(chan struct{}),
		rng: rand.New(rand.NewPCG(opts.SeedValue, 0xb0b)), copies: map[string]string{}, last: map[string]int{},
	}
	known := e.ExportWorkers()
	for _, w := range known {
		if len(opts.Workers) == 0 || slices.Contains(opts.Workers, w.SID) {
			b.targets = append(b.targets, w.SID)
			b.copies[w.SID] = w.Attributes
		}
	}
	if len(b.targets) == 0 || len(opts.Workers) > len(b.targets) {
		return nil, problem.New(problem.Usage, "cannot simulate a browser for %d workers: %d of them exist", len(opts.Workers), len(b.targets))
	}
	e.browsers.add(b)
	e.done.Add(1)
	go func() {
		defer e.done.Done()
		b.run(ctx)
	}()
	return b, nil
}

func (b *Browser) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.e.ctx, cancel)()
	if b.opts.AfterFetch > 0 {
		select {
		case <-ctx.Done():
			b.finish()
		case <-b.done:
		}
		return
	}
	defer b.finish()
	for outbox.Pause(ctx, b.opts.Interval) == nil {
		b.mu.Lock()
		if b.over {
			b.mu.Unlock()
			return
		}
		b.visit(b.targets[b.rng.IntN(len(b.targets))])
		b.mu.Unlock()
	}
}

func (b *Browser) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end()
}

// end marks the simulation as over. The caller holds b.mu.
func (b *Browser) end() {
	if !b.over {
		b.over = true
		close(b.done)
	}
}

// fetched is told of every FetchWorker answer.
func (b *Browser) fetched(sid string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opts.AfterFetch == 0 || b.over || !slices.Contains(b.targets, sid) {
		return
	}
	if b.fetches++; b.fetches%b.opts.AfterFetch == 0 {
		b.visit(sid)
	}
}

// visit overwrites one worker's attributes. The caller holds b.mu.
func (b *Browser) visit(sid string) {
	b.e.store.Lock()
	defer b.e.store.Unlock()
	sp, w := b.e.store.Worker(sid)
	if w == nil {
		b.drop(sid)
		return
	}
	isStale := b.rng.Float64() < b.opts.Stale && b.copies[sid] != w.Attributes
	doc := w.Attributes
	if isStale {
		doc = b.copies[sid]
	}
	seq := b.last[sid] + 1
	written, err := setMember(doc, b.opts.Key, strconv.Itoa(seq))
	if err != nil || utf8.RuneCountInString(written) > MaxAttributes {
		b.drop(sid)
		return
	}
	now := b.e.Now()
	changed := w.Changed(now)
	changed.Attributes = written
	if err := b.e.store.Write(sp.SetWorker(changed, false)); err != nil {
		b.e.log.Error("a simulated browser cannot write the data file", "error", err)
		b.end()
		return
	}
	b.e.stats.Overwrote()
	b.copies[sid], b.last[sid] = written, seq
	b.made = append(b.made, Overwrite{Worker: sid, Seq: seq, Stale: isStale, ETag: changed.ETag(), Time: now})
	if len(b.made) == b.opts.Overwrites {
		b.end()
	}
}

// drop gives up on a worker that is gone or whose attributes cannot be written.
func (b *Browser) drop(sid string) {
	b.targets = slices.DeleteFunc(b.targets, func(s string) bool { return s == sid })
	if len(b.targets) == 0 {
		b.end()
	}
}

// Wait returns when the last overwrite was made, or with ctx's error. It
// reports a simulation that ended early.
func (b *Browser) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-b.done:
	}
	if made := len(b.Overwrites()); made < b.opts.Overwrites {
		return fmt.Errorf("the simulated browser made %d of %d overwrites", made, b.opts.Overwrites)
	}
	return nil
}

// Overwrites returns every overwrite made so far, in order.
func (b *Browser) Overwrites() []Overwrite {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.made)
}

// Lost compares the workers with what the browsers last wrote there and returns
// an error that names each whose last visit is no longer in its attributes:
// somebody wrote over it from an older copy.
func (b *Browser) Lost() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lost []string
	for _, w := range b.e.ExportWorkers() {
		want, visited := b.last[w.SID]
		if !visited {
			continue
		}
		var doc map[string]json.RawMessage
		if json.Unmarshal([]byte(w.Attributes), &doc) != nil || string(doc[b.opts.Key]) != strconv.Itoa(want) {
			lost = append(lost, fmt.Sprintf("%s: wrote %d, found %s", w.SID, want, doc[b.opts.Key]))
		}
	}
	if len(lost) > 0 {
		return fmt.Errorf("%d of the browsers' writes are lost: %s", len(lost), strings.Join(lost, "; "))
	}
	return nil
}

// BrowserStatus is how far a simulation is.
type BrowserStatus struct {
	Options    BrowserOptions `json:"options"`
	Done       bool           `json:"done"`
	Overwrites []Overwrite    `json:"overwrites"`
	Last       map[string]int `json:"last"` // by worker: what must be under the key now
}

// Status returns how far the simulation is.
func (b *Browser) Status() BrowserStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := make(map[string]int, len(b.last))
	for sid, seq := range b.last {
		last[sid] = seq
	}
	return BrowserStatus{Options: b.opts, Done: b.over, Overwrites: slices.Clone(b.made), Last: last}
}

// browserSet is the simulations since the last reset, running or done.
type browserSet struct {
	mu   sync.Mutex
	list []*Browser
}

func (s *browserSet) add(b *Browser) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, b)
}

// reset ends every simulation and forgets it.
func (s *browserSet) reset() {
	s.mu.Lock()
	list := s.list
	s.list = nil
	s.mu.Unlock()
	for _, b := range list {
		b.finish()
	}
}

func (s *browserSet) fetched(sid string) {
	s.mu.Lock()
	list := slices.Clone(s.list)
	s.mu.Unlock()
	for _, b := range list {
		b.fetched(sid)
	}
}

func (s *browserSet) status() []BrowserStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []BrowserStatus{}
	for _, b := range s.list {
		all = append(all, b.Status())
	}
	return all
}

// setMember sets a member of a JSON object and leaves every other byte as it
// is. The value is JSON.
func setMember(object, name, value string) (string, error) {
	dec := json.NewDecoder(strings.NewReader(object))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return "", fmt.Errorf("not a JSON object")
	}
	members, last := 0, dec.InputOffset()
	for ; dec.More(); members++ {
		key, err := dec.Token()
		if err != nil {
			return "", err
		}
		var old json.RawMessage
		if err := dec.Decode(&old); err != nil {
			return "", err
		}
		last = dec.InputOffset()
		if key == name {
			return object[:last-int64(len(old))] + value + object[last:], nil
		}
	}
	if _, err := dec.Token(); err != nil {
		return "", err
	}
	member := store.Quote(name, false) + ":" + value
	if members > 0 {
		member = "," + member
	}
	return object[:last] + member + object[last:], nil
}
