// Package tokenlog remembers which agents lately got a voice token, or why they
// got none, so that an operator can ask a running server.
// It is memory only and bounded: what must be kept is in the server's log, which
// internal/tokensrv writes.
package tokenlog

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Path is where a server answers, beside its metrics.
const Path = "/log"

const (
	namedKept   = 8192 // requests of agents whom Twilio vouched for
	unnamedKept = 512  // all others, so that a flood of them pushes no agent out
	mostAnswers = 1000
)

// Entry is one request for a token.
type Entry struct {
	Time     time.Time `json:"time"`               // of the request
	Identity string    `json:"identity,omitempty"` // with the server's prefix; empty when Twilio did not vouch
	Worker   string    `json:"worker,omitempty"`   // SID, where the server needed it
	Reason   string    `json:"reason,omitempty"`   // empty: a token was issued
	Status   int       `json:"status"`             // HTTP
	Request  string    `json:"request"`            // id, as in the log and in the extension's popup
	Client   string    `json:"client"`             // address
}

// Ring is the memory. Use New.
type Ring struct {
	prefix string
	began  time.Time

	mu             sync.Mutex
	named, unnamed buffer
}

// New returns an empty memory of a server whose identities begin with prefix.
func New(prefix string, now time.Time) *Ring {
	return &Ring{prefix: prefix, began: now, named: buffer{size: namedKept}, unnamed: buffer{size: unnamedKept}}
}

// Add remembers an entry, in place of the oldest of its kind.
func (r *Ring) Add(e Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Identity == "" {
		r.unnamed.add(e)
	} else {
		r.named.add(e)
	}
}

// buffer overwrites its oldest entry once it has size of them.
type buffer struct {
	size    int
	entries []Entry
	next    int
}

func (b *buffer) add(e Entry) {
	if len(b.entries) < b.size {
		b.entries = append(b.entries, e)
		return
	}
	b.entries[b.next] = e
	b.next = (b.next + 1) % b.size
}

// since is when the memory begins, if it began with the server at start.
func (b *buffer) since(start time.Time) time.Time {
	if len(b.entries) < b.size {
		return start
	}
	return b.entries[b.next].Time
}

// Answer is what a server remembers of those asked for.
type Answer struct {
	V       int       `json:"v"`     // version of the format
	Since   time.Time `json:"since"` // how far back the memory of agents reaches
	Entries []Entry   `json:"entries"`
}

// Find returns what is remembered of any of names, which are identities, with or
// without prefix, or worker SIDs; without names the refusals. Newest first.
func (r *Ring) Find(names []string, limit int) Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	answer := Answer{V: 1, Since: r.named.since(r.began).UTC(), Entries: []Entry{}}
	for _, e := range slices.Concat(r.named.entries, r.unnamed.entries) {
		if len(names) == 0 && e.Reason != "" || len(names) > 0 && r.is(e, names) {
			answer.Entries = append(answer.Entries, e)
		}
	}
	slices.SortStableFunc(answer.Entries, func(a, b Entry) int { return b.Time.Compare(a.Time) })
	answer.Entries = answer.Entries[:min(len(answer.Entries), limit)]
	return answer
}

func (r *Ring) is(e Entry, names []string) bool {
	bare, _ := strings.CutPrefix(e.Identity, r.prefix)
	return e.Identity != "" && slices.ContainsFunc(names, func(name string) bool {
		return name != "" && (name == e.Identity || name == bare || name == e.Worker)
	})
}

// ServeHTTP answers GET /log?worker=NAME&limit=N; worker may be repeated.
func (r *Ring) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil || limit < 1 || limit > mostAnswers {
		limit = mostAnswers
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(r.Find(q["worker"], limit)) // the reader may be gone
}

// Refusal says what a reason means and what an operator can do about it.
type Refusal struct {
	Reason string `json:"reason"`
	Status int    `json:"status"` // HTTP
	Why    string `json:"why"`    // what the client is told
	Remedy string `json:"remedy"`
	// Popup is what the extension shows the agent: ids of its texts.
	Popup struct {
		Title  string `json:"title"`
		Reason string `json:"reason"`
	} `json:"popup"`
}

//go:embed refusals.json
var refusals []byte

// Refusals are all reasons, by their words. The extension's tests read the same file.
var Refusals = sync.OnceValue(func() map[string]Refusal {
	var all []Refusal
	if err := json.Unmarshal(refusals, &all); err != nil {
		panic(err) // it is compiled in
	}
	by := make(map[string]Refusal, len(all))
	for _, r := range all {
		by[r.Reason] = r
	}
	return by
})
