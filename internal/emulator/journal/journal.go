// Package journal is the account of what the emulator was asked: counts, and the
// latest requests. What an answer was made from does not belong here.
package journal

import (
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Stats is what the emulator has been asked since it started or was reset.
// Requests to the control plane and overwrites by simulated browsers do not
// count as requests.
type Stats struct {
	Requests          int            `json:"requests"`
	TooManyRequests   int            `json:"too_many_requests"` // answered 429, for whatever reason
	Operations        map[string]int `json:"operations"`        // by operation; "unknown" is none
	Statuses          map[int]int    `json:"statuses"`          // 0 is a connection dropped before the call was made
	PeakInFlight      int            `json:"peak_in_flight"`
	OpenBodies        int            `json:"open_bodies"` // of Transport: response bodies not closed yet
	BrowserOverwrites int            `json:"browser_overwrites"`
}

// Counters count what was asked. The zero value is ready.
type Counters struct {
	inFlight atomic.Int64
	bodies   atomic.Int64

	mu sync.Mutex
	s  Stats
}

// Enter begins a request and says how many are in flight with it.
func (c *Counters) Enter() int64 {
	n := c.inFlight.Add(1)
	c.mu.Lock()
	c.s.PeakInFlight = max(c.s.PeakInFlight, int(n))
	c.mu.Unlock()
	return n
}

// Leave ends a request.
func (c *Counters) Leave() { c.inFlight.Add(-1) }

// Count counts the answer of an operation.
func (c *Counters) Count(operation string, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.s.Operations == nil {
		c.s.Operations, c.s.Statuses = map[string]int{}, map[int]int{}
	}
	c.s.Requests++
	c.s.Operations[operation]++
	c.s.Statuses[status]++
	if status == http.StatusTooManyRequests {
		c.s.TooManyRequests++
	}
}

// Overwrote counts an overwrite by a simulated browser.
func (c *Counters) Overwrote() {
	c.mu.Lock()
	c.s.BrowserOverwrites++
	c.mu.Unlock()
}

// Reset starts anew.
func (c *Counters) Reset() {
	c.mu.Lock()
	c.s = Stats{}
	c.mu.Unlock()
}

// Bodies counts response bodies that a client of Transport opened, or closed.
func (c *Counters) Bodies(n int64) { c.bodies.Add(n) }

// Stats returns the counts so far.
func (c *Counters) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.s
	s.Operations, s.Statuses = maps.Clone(s.Operations), maps.Clone(s.Statuses)
	s.OpenBodies = int(c.bodies.Load())
	return s
}

// Entry is one request as the emulator saw it. Query and body are left out,
// as they can hold tokens.
type Entry struct {
	Time      time.Time     `json:"time"`
	Request   string        `json:"request"` // the Twilio-Request-Id
	Method    string        `json:"method"`
	Host      string        `json:"host"`
	Path      string        `json:"path"`
	Operation string        `json:"operation"`
	IfMatch   string        `json:"if_match,omitempty"`
	Status    int           `json:"status"`
	Cut       string        `json:"cut,omitempty"` // "truncated" or "dropped"
	Duration  time.Duration `json:"duration"`      // nanoseconds
}

// logSize is how many requests the log remembers.
const logSize = 1000

// Log is a ring of the latest requests.
type Log struct {
	mu      sync.Mutex
	entries []Entry
	next    int // where the oldest is, once the ring is full
}

// Add adds a request, and forgets the oldest.
func (l *Log) Add(entry Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) < logSize {
		l.entries = append(l.entries, entry)
		return
	}
	l.entries[l.next] = entry
	l.next = (l.next + 1) % logSize
}

// Reset starts anew.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries, l.next = nil, 0
}

// Entries returns the latest thousand requests, oldest first.
func (l *Log) Entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append(append([]Entry{}, l.entries[l.next:]...), l.entries[:l.next]...)
}
