package eventsrv

import (
	"errors"
	"io"
	"mime"
	"net/http"
)

// Receiver answers Twilio.
func (s *Server) Receiver() http.Handler { return http.HandlerFunc(s.receive) }

func (s *Server) receive(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		answer(w, http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.cfg.MaxBody))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		s.m.unreadable.Inc()
		answer(w, http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		s.m.unreadable.Inc()
		answer(w, http.StatusBadRequest)
		return
	}
	signatures := r.Header["X-Twilio-Signature"]
	if len(signatures) != 1 || !s.deps.Signed(s.address(r), body, signatures[0]) {
		s.m.forged.Inc()
		s.deps.Log.Warn("event refused", "reason", "signature", "hint", "check that Twilio calls the address in --events-url")
		answer(w, http.StatusForbidden)
		return
	}
	// Twilio's digest of the body is part of the signed address for JSON, and
	// only there: which of the two a body is must not be the sender's to say.
	isJSON := r.URL.Query().Has("bodySHA256")
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if isJSON != (kind == "application/json") {
		s.m.unreadable.Inc()
		answer(w, http.StatusUnsupportedMediaType)
		return
	}
	decode := decodeForm
	if isJSON {
		decode = decodeCloud
	}
	told, err := decode(body)
	if err != nil {
		s.m.unreadable.Inc()
		s.deps.Log.Warn("event refused", "reason", "unreadable", "cause", err)
		answer(w, http.StatusBadRequest)
		return
	}
	s.take(r, told)
	// What TaskRouter asks callbacks to answer; Event Streams takes any 2xx.
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNoContent)
}

// address is what Twilio called: the one it was given, as far as is known, and
// the query it added.
func (s *Server) address(r *http.Request) string {
	if s.cfg.URL != "" {
		if r.URL.RawQuery == "" {
			return s.cfg.URL
		}
		return s.cfg.URL + "?" + r.URL.RawQuery
	}
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	return scheme + r.Host + r.URL.RequestURI()
}

// take keeps what is new and about our workers, here and at the other replicas.
func (s *Server) take(r *http.Request, told []notice) {
	var fresh []item
	for _, n := range told {
		switch {
		case n.test:
			s.m.tests.Inc()
			s.deps.Log.Info("test event", "result", "Event Streams reaches this server")
			continue
		case n.account != s.cfg.AccountSID || n.workspace != s.cfg.WorkspaceSID || n.event.WorkerSID == "":
			s.m.foreign.Inc()
			continue
		}
		n.event.Available, n.event.ActivitySID = s.activity(n.event.ActivitySID)
		it := worker(n.id, n.event)
		if !s.hub.add(it) {
			s.m.doubled.Inc()
			continue
		}
		s.m.taken.Inc()
		s.deps.Log.Debug("event taken", "kind", n.event.Kind, "worker", n.event.WorkerSID)
		fresh = append(fresh, it)
	}
	if s.bus != nil && len(fresh) > 0 {
		s.bus.publish(r.Context(), fresh)
	}
}

// activity completes an activity; one that is not known becomes unsaid, so that
// the worker is looked up.
func (s *Server) activity(sid string) (available bool, known string) {
	if s.deps.Available == nil || sid == "" {
		return false, ""
	}
	available, ok := s.deps.Available(sid)
	if !ok {
		return false, ""
	}
	return available, sid
}
