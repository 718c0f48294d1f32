package flexui

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

// Settings are what can be changed while Flex runs; nil leaves a field.
type Settings struct {
	Features    []Feature `json:"features"`     // all of them; read when Flex starts
	AcceptDelay *string   `json:"accept_delay"` // between the voice client's answer and reservation.accepted, such as 4s
	VoiceTasks  *int      `json:"voice_tasks"`  // how many an agent may have at once; 1 at first
}

// Order is what a request to Control asks for; each verb reads the fields it
// needs.
type Order struct {
	Incoming
	Settings
	Reservation string          `json:"reservation"`
	EventType   string          `json:"event_type"`
	Payload     json.RawMessage `json:"payload"`
	Name        string          `json:"name"`
	Version     string          `json:"version"`
	Source      string          `json:"source"`
	Phase       int             `json:"phase"`
	After       int             `json:"after"`
}

// Control gives orders over HTTP: POST /VERB with an Order, answered with JSON,
// or with an {"error":"..."} and a status that is not 200. It checks nobody: who
// serves it decides who may ask. It names no file of this machine.
//
//	offer         worker, from, to, attributes: a customer calls    Reservation
//	hangup        reservation: the customer hangs up
//	reservations  the latest hundred                                []Reservation
//	requests      after: what Flex asked, the latest thousand       []Request
//	event         worker, event_type, payload: sends any event
//	settings      features, accept_delay, voice_tasks
//	plugin        name, version, source, phase: Flex loads this script too, after
//	              those given before; an empty source takes it off the list
func (s *Server) Control() http.Handler {
	mux := http.NewServeMux()
	verb := func(name string, answer func(Order) (any, error)) {
		mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
			var o Order
			decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 32<<20))
			decoder.DisallowUnknownFields()
			err := decoder.Decode(&o)
			if err != nil {
				err = problem.New(problem.Usage, "cannot read the order: %w", err)
			}
			var v any
			if err == nil {
				v, err = answer(o)
			}
			if err != nil {
				complain(w, err)
				return
			}
			send(w, http.StatusOK, v)
		})
	}
	verb("offer", func(o Order) (any, error) { return s.Offer(o.Incoming) })
	verb("hangup", func(o Order) (any, error) { return nil, s.Hangup(o.Reservation) })
	verb("reservations", func(Order) (any, error) { return s.Reservations(), nil })
	verb("requests", func(o Order) (any, error) { return s.Requests(o.After), nil })
	verb("event", s.orderEvent)
	verb("settings", s.orderSettings)
	verb("plugin", s.orderPlugin)
	return mux
}

func complain(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case problem.Is(err, problem.Usage):
		status = http.StatusBadRequest
	case problem.Is(err, problem.NotFound):
		status = http.StatusNotFound
	case problem.Is(err, problem.WorkerOffline):
		status = http.StatusConflict
	}
	send(w, status, map[string]string{"error": err.Error()})
}

// Requests returns what Flex UI asked after the request of that number, the
// latest thousand.
func (s *Server) Requests(after int) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, _ := slices.BinarySearchFunc(s.journal, after+1, func(r Request, n int) int { return r.Number - n })
	return slices.Clone(s.journal[from:])
}

func (s *Server) orderEvent(o Order) (any, error) {
	agent, err := s.e.Agent(o.Worker)
	if err != nil {
		return nil, err
	}
	if o.EventType == "" || len(o.Payload) == 0 {
		return nil, problem.New(problem.Usage, "cannot send an event without event_type and payload")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell(agent.SID, o.EventType, o.Payload)
	return nil, nil
}

func (s *Server) orderSettings(o Order) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.AcceptDelay != nil {
		d, err := time.ParseDuration(*o.AcceptDelay)
		if err != nil || d < 0 {
			return nil, problem.New(problem.Usage, "cannot delay by %q", *o.AcceptDelay)
		}
		s.delay = d
	}
	if o.VoiceTasks != nil {
		if *o.VoiceTasks < 1 {
			return nil, problem.New(problem.Usage, "cannot give an agent %d voice tasks", *o.VoiceTasks)
		}
		s.voiceTasks = *o.VoiceTasks
	}
	if o.Features != nil {
		s.features = o.Features
	}
	return nil, nil
}

func (s *Server) orderPlugin(o Order) (any, error) {
	if o.Name == "" || strings.ContainsAny(o.Name+o.Version, "/?#") || o.Phase < 0 || o.Source != "" && o.Version == "" {
		return nil, problem.New(problem.Usage, "cannot list a plugin named %q in version %q", o.Name, o.Version)
	}
	source := []byte(o.Source)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plugins = slices.DeleteFunc(s.plugins, func(p Plugin) bool { return p.Name == o.Name })
	if o.Source != "" {
		s.plugins = append(s.plugins, Plugin{Name: o.Name, Version: o.Version, Phase: o.Phase, Source: func() ([]byte, error) { return source, nil }})
	}
	return nil, nil
}
