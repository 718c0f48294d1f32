package emulator

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

type counters struct {
	inFlight atomic.Int64
	bodies   atomic.Int64

	mu sync.Mutex
	s  Stats
}

func (c *counters) enter() int64 {
	n := c.inFlight.Add(1)
	c.mu.Lock()
	c.s.PeakInFlight = max(c.s.PeakInFlight, int(n))
	c.mu.Unlock()
	return n
}

func (c *counters) leave() { c.inFlight.Add(-1) }

func (c *counters) count(operation string, status int) {
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

func (c *counters) overwrote() {
	c.mu.Lock()
	c.s.BrowserOverwrites++
	c.mu.Unlock()
}

func (c *counters) reset() {
	c.mu.Lock()
	c.s = Stats{}
	c.mu.Unlock()
}

// Stats returns the counts so far.
func (e *Emulator) Stats() Stats {
	e.stats.mu.Lock()
	defer e.stats.mu.Unlock()
	s := e.stats.s
	s.Operations, s.Statuses = maps.Clone(s.Operations), maps.Clone(s.Statuses)
	s.OpenBodies = int(e.stats.bodies.Load())
	return s
}

// resetStats starts the counts and the request log anew.
func (e *Emulator) resetStats() {
	e.stats.reset()
	e.journal.reset()
}

// LogEntry is one request as the emulator saw it. Query and body are left out,
// as they can hold tokens.
type LogEntry struct {
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

// requestLog is a ring of the latest requests.
type requestLog struct {
	mu      sync.Mutex
	entries []LogEntry
	next    int // where the oldest is, once the ring is full
}

func (l *requestLog) add(entry LogEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) < logSize {
		l.entries = append(l.entries, entry)
		return
	}
	l.entries[l.next] = entry
	l.next = (l.next + 1) % logSize
}

func (l *requestLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries, l.next = nil, 0
}

// Log returns the latest thousand requests, oldest first.
func (e *Emulator) Log() []LogEntry {
	l := &e.journal
	l.mu.Lock()
	defer l.mu.Unlock()
	return append(append([]LogEntry{}, l.entries[l.next:]...), l.entries[:l.next]...)
}
