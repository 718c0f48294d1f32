package tokensrv

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/flexvc/flexvc/internal/gate"
)

var (
	noStore     = []string{"no-store"}
	jsonType    = []string{"application/json"}
	problemType = []string{"application/problem+json"}
	plainType   = []string{"text/plain; charset=utf-8"}
	noSniff     = []string{"nosniff"}
)

// generateToken trades a Flex token for a voice token.
func (s *Server) generateToken(w http.ResponseWriter, r *http.Request) {
	x := w.(*exchange)
	now := s.policy.Load()
	if r.Method != http.MethodPost && !(s.allowGet && r.Method == http.MethodGet) {
		x.Header()["Allow"] = s.allow
		s.refuse(x, r, refuse(methodNotAllowed))
		return
	}
	a, err := decode(r)
	if err != nil {
		if gate.Shed(r.Context()) {
			err = refuseFor(serverBusy, 2*time.Second)
		}
		s.refuse(x, r, err)
		return
	}
	defer gate.Admit(r.Context())()
	if a.hasPrefix && a.prefix != s.prefix {
		s.refuse(x, r, refuse(prefixNotAllowed))
		return
	}
	who, err := s.verifier.verify(r.Context(), a.token, addressKey(x.client))
	if err != nil {
		s.refuse(x, r, err)
		return
	}
	identity := s.prefix + who.Identity
	x.identity, x.worker = identity, who.WorkerSID
	if !voiceIdentity(identity) {
		x.identity = clipped(identity)
		s.refuse(x, r, refuse(identityUnusable))
		return
	}
	if err := now.admission.admit(r.Context(), who); err != nil {
		s.refuse(x, r, err)
		return
	}
	if wait := s.identities.wait(r.Context(), who.Identity); wait > 0 {
		s.refuse(x, r, refuseFor(identityLimited, wait))
		return
	}
	if len(identity) > longIdentity {
		s.log.LogAttrs(r.Context(), slog.LevelWarn, "identity is longer than some Twilio components take", slog.Int("length", len(identity)), slog.String("req", x.id))
	}
	t, err := now.minter.mint(identity, who.Expires, s.now())
	if err != nil {
		s.refuse(x, r, err)
		return
	}
	x.issued = true
	h := x.Header()
	h["Content-Type"] = jsonType
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	_, _ = x.Write(tokenAnswer(identity, t)) // the client may be gone; there is no one to tell
}

// clipped is an identity that Twilio Voice would not take, as far as it can be
// logged: who it is can be told, and nothing else.
func clipped(identity string) string {
	safe := []byte(identity[:min(len(identity), 64)])
	for i, c := range safe {
		if !alphanumeric(c) && c != '_' {
			safe[i] = '?'
		}
	}
	return string(safe)
}

// tokenAnswer writes the JSON by hand: identity and token are of characters
// JSON never escapes, and this is every request's last step.
func tokenAnswer(identity string, t minted) []byte {
	b := make([]byte, 0, 128+len(identity)+len(t.token))
	b = append(b, `{"identity":"`...)
	b = append(b, identity...)
	b = append(b, `","token":"`...)
	b = append(b, t.token...)
	b = append(b, `","ttl":`...)
	b = strconv.AppendInt(b, t.expires-t.issued, 10)
	b = append(b, `,"expiresAt":"`...)
	b = time.Unix(t.expires, 0).UTC().AppendFormat(b, time.RFC3339)
	return append(b, "\"}\n"...)
}

// problemBody is RFC 9457, with a stable code and the request's name added.
type problemBody struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Code      reason `json:"code"`
	Detail    string `json:"detail"`
	RequestID string `json:"requestId"`
}

// refuse answers with a problem. An error that is no *refusal is our own: its
// text goes to the log, the client learns that something broke.
func (s *Server) refuse(x *exchange, r *http.Request, err error) {
	var why *refusal
	if !errors.As(err, &why) {
		if r.Context().Err() != nil {
			why = refuse(clientGone)
		} else {
			s.log.Error("bug: unexpected error", "cause", err, "req", x.id)
			why = refuse(internalError)
		}
	} else if err != error(why) {
		s.log.Warn("what is behind the next refusal", "cause", err, "req", x.id)
	}
	x.refusal = why
	known := refusals[why.reason]
	body, _ := json.Marshal(problemBody{ // strings and a number: cannot fail
		Type:      "urn:flexvc:problem:" + string(why.reason),
		Title:     title(known.status),
		Status:    known.status,
		Code:      why.reason,
		Detail:    known.detail,
		RequestID: x.id,
	})
	h := x.Header()
	s.nameOrigin(x, r)
	h["Content-Type"] = problemType
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	if why.retry > 0 {
		h["Retry-After"] = []string{strconv.Itoa(s.retryAfter(why.retry))}
	}
	switch why.reason {
	case tooLarge, serverBusy, addressLimited:
		// The body was not read, and is not waited for: it may never come.
		h["Connection"] = []string{"close"}
	}
	x.WriteHeader(known.status)
	if r.Method != http.MethodHead {
		_, _ = x.Write(append(body, '\n'))
	}
}

func title(status int) string {
	if status == statusClientGone {
		return "Client Closed Request"
	}
	return http.StatusText(status)
}

// retryAfter spreads clients that failed together over twice the wait, so that
// they do not come back together.
func (s *Server) retryAfter(wait time.Duration) int {
	seconds := int((wait + time.Second - 1) / time.Second)
	return seconds + s.jitter(seconds+1)
}

func defaultJitter(n int) int { return rand.IntN(n) }

func (s *Server) nothingHere(w http.ResponseWriter, r *http.Request) {
	s.refuse(w.(*exchange), r, refuse(notFound))
}
