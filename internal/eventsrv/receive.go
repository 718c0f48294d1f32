package eventsrv

import (
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/flexvc/flexvc/internal/gate"
)

// Receiver answers Twilio.
func (s *Server) Receiver() http.Handler { return http.HandlerFunc(s.receive) }

func (s *Server) receive(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		answer(w, http.StatusMethodNotAllowed)
		return
	}
	signatures := r.Header["X-Twilio-Signature"]
	if len(signatures) != 1 || signatures[0] == "" {
		s.forged(w)
		return
	}
	// Twilio's digest of the body is part of the signed address for JSON, and
	// only there: which of the two a body is must not be the sender's to say.
	digest := r.URL.Query().Get("bodySHA256")
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	isJSON := digest != ""
	if isJSON != (kind == "application/json") {
		s.unread(w, http.StatusUnsupportedMediaType)
		return
	}
	// Nothing of a stranger's JSON is read. A form is part of what is signed, so
	// it has to be, but it tells of one worker and is short.
	limit := s.cfg.MaxBody
	if !isJSON {
		limit = min(limit, maxForm)
	} else if !s.deps.SignedAddress(s.address(r), signatures[0]) {
		s.forged(w)
		return
	}
	if r.ContentLength > limit {
		s.unread(w, http.StatusRequestEntityTooLarge)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		s.unread(w, http.StatusRequestEntityTooLarge)
		return
	case gate.Shed(r.Context()):
		w.Header().Set("Retry-After", "2")
		s.unread(w, http.StatusServiceUnavailable)
		return
	case err != nil:
		s.unread(w, http.StatusBadRequest)
		return
	}
	if !s.deps.Signed(s.address(r), body, signatures[0]) {
		s.forged(w)
		return
	}
	defer gate.Admit(r.Context())()
	// A long one takes several times its length to decode.
	if len(body) > maxForm {
		s.decoding.Lock()
		defer s.decoding.Unlock()
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

// maxForm is the longest form that is read, in bytes: a worker's attributes have at
// most 4096 characters.
const maxForm = 64 << 10

// forged refuses what Twilio did not sign.
func (s *Server) forged(w http.ResponseWriter) {
	s.m.forged.Inc()
	s.deps.Log.Warn("event refused", "reason", "signature", "hint", "check that Twilio calls the address in --events-url")
	w.Header().Set("Connection", "close") // a body that was not read may never come
	answer(w, http.StatusForbidden)
}

// unread refuses what cannot be read.
func (s *Server) unread(w http.ResponseWriter, status int) {
	s.m.unreadable.Inc()
	w.Header().Set("Connection", "close")
	answer(w, status)
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
