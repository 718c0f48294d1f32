package voice

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"
)

// Event is one thing that happened on the edge.
type Event struct {
	Number   int       `json:"number"` // counts up from 1
	At       time.Time `json:"at"`
	Kind     string    `json:"kind"` // socket.open, listen, register, invite, call.in-progress, ...
	Socket   int       `json:"socket,omitempty"`
	Identity string    `json:"identity,omitempty"`
	CallSID  string    `json:"call_sid,omitempty"`
	Detail   string    `json:"detail,omitempty"`
}

const (
	journalKept  = 4096
	insightsKept = 2048
	insightLimit = 1 << 20
)

type journal struct {
	events []Event
	count  int
}

// record appends an event and wakes those who wait. e.mu is held.
func (e *Edge) record(ev Event) {
	j := &e.journal
	j.count++
	ev.Number, ev.At = j.count, e.now()
	if len(j.events) == journalKept {
		j.events = append(j.events[:0], j.events[journalKept/2:]...)
	}
	j.events = append(j.events, ev)
	e.log.Debug("voice edge", "event", ev.Kind, "socket", ev.Socket, "identity", ev.Identity, "call", ev.CallSID, "detail", ev.Detail)
	e.ring()
}

// Events returns what happened after the event of that number, as far as it is
// still known: at least the latest 2048 events.
func (e *Edge) Events(after int) []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	at, _ := slices.BinarySearchFunc(e.journal.events, after+1, func(ev Event, n int) int { return ev.Number - n })
	return slices.Clone(e.journal.events[at:])
}

// Insight is one report of a voice client to Twilio's insights.
type Insight struct {
	Group   string          `json:"group"`
	Name    string          `json:"name"`
	Level   string          `json:"level"`
	Payload json.RawMessage `json:"payload"`
}

type insights []Insight

// Insights returns the latest reports of the voice clients, oldest first: a
// second witness of what they went through.
func (e *Edge) Insights() []Insight {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.reports)
}

func (e *Edge) serveInsights(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	switch r.Method {
	case http.MethodOptions:
		w.Header().Set("Access-Control-Allow-Headers", "content-type,x-twilio-token")
		w.Header().Set("Access-Control-Allow-Methods", "POST")
		w.Header().Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
		return
	case http.MethodPost:
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, insightLimit))
	var report Insight
	if err != nil || json.Unmarshal(body, &report) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	// Metrics come in long arrays and say nothing the meters do not know better.
	if len(report.Payload) > 4096 {
		report.Payload = nil
	}
	if len(e.reports) == insightsKept {
		e.reports = append(e.reports[:0], e.reports[insightsKept/2:]...)
	}
	report.Group, report.Name, report.Level = clipped(report.Group), clipped(report.Name), clipped(report.Level)
	e.reports = append(e.reports, report)
	e.record(Event{Kind: "insight", Detail: report.Group + "/" + report.Name})
}
