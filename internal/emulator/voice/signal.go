package voice

import (
	"fmt"
	"math"
	"net/url"
	"time"

	"github.com/flexvc/flexvc/internal/emulator/voice/media"
)

// Codes of signalling errors that are not about tokens.
const (
	codeNotFound    = 31404 // there is no such call, or no longer
	codeBusy        = 31486 // the call is somebody else's
	codeUnsupported = 31488 // the media cannot be agreed on
)

// handle does what a client asks, in the goroutine that reads its socket: one
// frame after the other.
func (e *Edge) handle(s *socket, r request) {
	if r.Type == "listen" {
		e.listen(s, r)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	e.record(e.of(s, Event{Kind: "frame." + clipped(r.Type), CallSID: r.CallSID}))
	if s.claims == nil {
		// A client that repeats its frames after a reconnection sends some before
		// its token was looked at; Twilio answers those with the same code.
		s.send(errorFrame(&Refusal{codeInvalid, "invalid JWT token"}))
		return
	}
	switch r.Type {
	case "register":
		e.register(s, *r.Audio)
	case "invite":
		if r.Reconnect != "" {
			e.takeover(s, r)
		} else {
			e.dial(s, r)
		}
	case "answer":
		e.answered(s, r)
	case "reinvite":
		e.reinvite(s, r)
	case "hangup":
		if c := e.mine(s, r.CallSID); c != nil {
			c.finish(ReasonAgent, s)
		}
	case "reject":
		if c := e.calls[r.CallSID]; c != nil && c.state == Ringing && c.forks[s] {
			c.finish(ReasonBusy, s)
		}
	case "dtmf":
		if c := e.mine(s, r.CallSID); c != nil {
			c.pressed(e.now(), r.Digits, "signalling")
		}
	case "message":
		if c := e.mine(s, r.CallSID); c != nil {
			c.took(r.Message)
			s.send(encode("ack", object{"acktype": "message", "callsid": c.sid, "voiceeventsid": r.VoiceEventSID}))
		}
	}
}

// listen looks at a token. A socket keeps what an earlier token allowed when a
// new one is refused.
func (e *Edge) listen(s *socket, r request) {
	e.mu.Lock()
	forced := e.faults.TokenError
	e.mu.Unlock()
	var claims Claims
	var err error
	switch {
	case forced != 0:
		err = &Refusal{forced, "refused on purpose"}
	case r.Token == "":
		err = &Refusal{codeInvalid, "invalid JWT token"}
	default:
		claims, err = e.verify(e.ctx, r.Token)
		if err == nil && !claims.Expires.After(e.now()) {
			err = &Refusal{codeExpired, "JWT token expired"}
		}
	}

	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	if err != nil {
		no := refusal(err)
		e.record(e.of(s, Event{Kind: "token.refused", Detail: fmt.Sprint(no.Code)}))
		body := object{"code": no.Code, "message": no.Message}
		if forced != 0 {
			e.fired["token_error"]++
			if e.faults.RetryAfter > 0 {
				body["retryAfter"] = e.faults.RetryAfter
			}
		}
		s.send(encode("error", object{"error": body}))
		if e.faults.CloseOnTokenError {
			s.send(encode("close", object{}))
		}
		return
	}
	if s.claims != nil && s.claims.Identity != claims.Identity {
		s.registered = false
	}
	s.claims, s.window = &claims, time.Duration(r.ReconnectTimeout)*time.Second
	life := claims.Expires.Sub(e.now())
	if s.expiry != nil {
		s.expiry.Stop()
	}
	s.expiry = time.AfterFunc(life, func() { e.expired(s, &claims) })
	e.record(e.of(s, Event{Kind: "listen"}))
	s.send(encode("connected", object{
		"edge": "ashburn", "gateway": "emulator", "region": "US_EAST_VIRGINIA", "home": "us1",
		"token": object{"identity": claims.Identity, "ttl": int(math.Ceil(life.Seconds()))},
	}))
}

// expired takes a client whose token ran out off the register. Its call goes on.
func (e *Edge) expired(s *socket, claims *Claims) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || s.claims != claims || s.ctx.Err() != nil {
		return
	}
	s.registered = false
	e.record(e.of(s, Event{Kind: "token.expired"}))
	s.send(errorFrame(&Refusal{codeExpired, "JWT token expired"}))
}

func (e *Edge) register(s *socket, audio bool) {
	switch {
	case !audio:
		s.registered = false
		s.send(encode("offline", object{}))
	case !s.claims.Expires.After(e.now()):
		s.send(errorFrame(&Refusal{codeExpired, "JWT token expired"}))
		return
	case !s.claims.Incoming:
		s.send(errorFrame(&Refusal{codeAuthorization, "authorization failed: no incoming calls"}))
		return
	default:
		s.registered = true
		s.send(encode("ready", object{}))
	}
	e.ring()
}

// mine finds the call that a client may speak for: the one it holds, or one
// that rings for it or waits for its client to come back.
func (e *Edge) mine(s *socket, sid string) *Call {
	c := e.calls[sid]
	if c == nil || s.claims.Identity != c.identity || c.owner != nil && c.owner != s {
		return nil
	}
	return c
}

// takeover gives a call to a client that shows the call's own token: one that
// takes it from where it rings, or the one that holds it and lost its socket.
func (e *Edge) takeover(s *socket, r request) {
	c := e.calls[r.CallSID]
	refuse := func(code int, message string) {
		s.send(encode("hangup", object{"callsid": r.CallSID, "error": object{"code": code, "message": message}}))
	}
	switch {
	case c == nil:
		switch e.faults.DeadTakeover {
		case DeadError:
			e.fired["dead_takeover"]++
			s.send(encode("error", object{"callsid": r.CallSID, "error": object{"code": codeNotFound, "message": "not found"}}))
		case DeadSilence:
			e.fired["dead_takeover"]++
		default:
			refuse(codeNotFound, "not found")
		}
	case c.token != r.Reconnect || c.identity != s.claims.Identity:
		refuse(codeAuthorization, "authorization failed")
	case c.state == Ringing:
		c.claim(s)
		c.remote = r.SDP
		c.stamp(MarkSocket, s.opened)
		c.stamp(MarkConnect, e.now())
		c.connect(r.SDP)
	case !media.SameMedia(c.remote, r.SDP), c.peer == nil && media.RestartsICE(c.remote, r.SDP):
		refuse(codeBusy, "busy")
	default:
		c.owner = s
		if c.absence != nil {
			c.absence.Stop()
		}
		if c.state == Reconnecting {
			c.enter(InProgress)
		}
		switch {
		case c.state != InProgress: // the answer is on its way
		case media.RestartsICE(c.remote, r.SDP):
			// Its network was gone too: its reinvite was lost, and this is the
			// description that it has now.
			e.restartICE(s, c, r.SDP)
		default:
			s.send(c.answerFrame())
		}
	}
}

// answered is a registered client that takes the call itself.
func (e *Edge) answered(s *socket, r request) {
	c := e.calls[r.CallSID]
	if c == nil || c.state != Ringing || !c.forks[s] {
		return
	}
	c.claim(s)
	c.stamp(MarkConnect, e.now())
	c.peer, c.offered = c.offered, nil
	c.remote = r.SDP
	peer := c.peer
	e.unlocked(func() {
		if err := peer.Accept(r.SDP); err != nil {
			e.log.Debug("voice edge: answer refused", "call", c.sid, "error", err)
		}
	})
	c.answeredNow()
}

// unlocked runs what takes long without e.mu, which is held before and after.
func (e *Edge) unlocked(do func()) {
	e.mu.Unlock()
	defer e.mu.Lock()
	do()
}

// reinvite restarts ICE: the client's network changed, or packets stopped.
func (e *Edge) reinvite(s *socket, r request) {
	c := e.calls[r.CallSID]
	if c != nil && c.owner == s && c.state == InProgress {
		e.restartICE(s, c, r.SDP)
	}
}

func (e *Edge) restartICE(s *socket, c *Call, offer string) {
	peer := c.peer
	var sdp string
	var err error
	e.unlocked(func() { sdp, err = peer.Answer(offer) })
	if err != nil {
		e.record(e.of(s, Event{Kind: "reinvite.failed", CallSID: c.sid}))
		return
	}
	c.remote, c.local = offer, sdp
	c.restarts++
	if c.owner != nil {
		c.owner.send(c.answerFrame())
	}
}

// Outgoing is a call that an agent makes.
type Outgoing struct {
	Identity   string
	Parameters map[string]string
}

// Answer is what the called number does.
type Answer struct {
	Refuse  bool          // hang up at once
	Ringing time.Duration // how long it rings
	Audio   media.Source  // what it says; nil says back what it hears
	Record  string        // a WAV file for what it hears; empty for none
}

func (e *Edge) dial(s *socket, r request) {
	values, err := url.ParseQuery(r.Params)
	if err != nil || e.calls[r.CallSID] != nil {
		s.send(encode("hangup", object{"callsid": r.CallSID, "error": object{"code": 31400, "message": "bad request"}}))
		return
	}
	out := Outgoing{Identity: s.claims.Identity, Parameters: map[string]string{}}
	for name := range values {
		out.Parameters[name] = values.Get(name)
	}
	var does Answer
	e.unlocked(func() {
		if e.options.Dialled != nil {
			does = e.options.Dialled(out)
		}
	})
	if e.closed {
		return
	}
	if does.Refuse {
		s.send(encode("hangup", object{"callsid": r.CallSID, "error": object{"code": codeNotFound, "message": "not found"}}))
		return
	}
	c, err := e.newCall(CallOptions{
		Identity: out.Identity, From: "client:" + out.Identity, To: out.Parameters["To"],
		Audio: does.Audio, Echo: does.Audio == nil, Record: does.Record,
	}, Outbound)
	if err != nil {
		s.send(encode("hangup", object{"callsid": r.CallSID, "error": object{"code": 31000, "message": err.Error()}}))
		return
	}
	c.first, c.owner, c.remote = r.CallSID, s, r.SDP
	e.calls[c.sid], e.calls[c.first] = c, c
	c.stamp(MarkConnect, e.now())
	c.enter(Answering)
	s.send(encode("ringing", object{"callsid": c.sid}))
	if does.Ringing <= 0 {
		c.connect(r.SDP)
		return
	}
	e.wg.Go(func() {
		timer := time.NewTimer(does.Ringing)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.over:
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		c.connect(r.SDP)
	})
}
