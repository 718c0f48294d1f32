package flexui

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/flexvc/flexvc/internal/emulator"
)

// conference is where a task's customer and its agents talk. Flex knows it as
// the voice channel of an interaction.
type conference struct {
	sid     string         // CF...
	channel string         // UO...
	parties []*participant // the customer first, then as they came
	over    bool
}

type participant struct {
	sid       string // UT...
	kind      string // customer, agent or external
	offer     *offer // of an agent
	leg       Leg    // nil for the customer, whom every agent's own leg plays
	call      string
	hold      bool
	muted     bool
	endOnExit bool
	gone      bool
	sequence  int // a change that does not raise it is lost on Flex
}

func (s *Server) newConference(customerCall string) *conference {
	customer := &participant{sid: s.sid("UT"), kind: "customer", call: customerCall, endOnExit: true, sequence: 1}
	return &conference{sid: s.sid("CF"), channel: s.sid("UO"), parties: []*participant{customer}}
}

func (c *conference) customer() *participant { return c.parties[0] }

// present are those who have not left.
func (c *conference) present() []*participant {
	return slices.DeleteFunc(slices.Clone(c.parties), func(p *participant) bool { return p.gone })
}

func (c *conference) find(sid string) *participant {
	if i := slices.IndexFunc(c.parties, func(p *participant) bool { return p.sid == sid && !p.gone }); i >= 0 {
		return c.parties[i]
	}
	return nil
}

// left is told of every end of a participant's call. The agent wraps up, and the
// conference ends with one who ends it, or with the last but one; a customer
// who is being transferred waits for the next agent.
func (s *Server) left(p *participant) {
	if p.gone {
		return
	}
	t := p.offer.task
	s.remove(t, p)
	waits := t.transfer != nil && t.transfer.status == transferInitiated
	if n := len(t.conf.present()); p.endOnExit || n < 2 && !(waits && n == 1) {
		s.end(t)
		return
	}
	s.release(p)
}

// release lets the agent wrap up who is in the conference by no other call.
func (s *Server) release(p *participant) {
	o := p.offer
	another := slices.ContainsFunc(o.conf.parties, func(q *participant) bool { return q.offer == o && q.kind == "agent" && !q.gone })
	if p.kind == "agent" && !another && o.status == accepted {
		s.wrapUp(o)
	}
}

func (s *Server) remove(t *task, p *participant) {
	s.tellAll(t, "participant.removed", p)
	p.gone = true
}

// end ends the conference for everybody, and with it what offers the task to
// another agent.
func (s *Server) end(t *task) {
	if t.conf.over {
		return
	}
	t.conf.over = true
	for _, p := range t.conf.present() {
		s.remove(t, p)
		if p.leg != nil {
			p.leg.Hangup()
		}
	}
	for _, p := range t.conf.parties {
		if p.offer != nil {
			s.release(p)
		}
	}
	for _, o := range s.offers {
		if o.task == t && o.status == pending {
			s.finish(o, canceled)
		}
	}
}

// tellAll tells every agent in the conference of a participant, the one whom it
// is about among them.
func (s *Server) tellAll(t *task, kind string, about *participant) {
	if kind != "participant.added" {
		about.sequence++
	}
	var told []string
	for _, p := range t.conf.present() {
		if p.kind == "agent" && !slices.Contains(told, p.offer.worker) {
			told = append(told, p.offer.worker)
			s.tell(p.offer.worker, kind, s.wireParticipant(t, about, true))
		}
	}
}

// interaction is the SID under which Flex asks for a task's channels.
func (t *task) interaction() string {
	if sid, ok := t.attributes["flexInteractionSid"].(string); ok && sid != "" {
		return sid
	}
	return "KD" + t.sid[2:]
}

// wireParticipant is a participant as events have it; the list of participants
// calls its SID otherwise. Every media property is a list of one text. s.mu is
// held, as in all that follows.
func (s *Server) wireParticipant(t *task, p *participant, inEvent bool) object {
	one := func(text string) []string { return []string{text} }
	flag := func(on bool) []string { return one(strconv.FormatBool(on)) }
	routing := object{"task_sid": t.sid, "reservation_sid": nil, "worker_sid": nil}
	if p.kind == "agent" {
		routing["reservation_sid"], routing["worker_sid"] = p.offer.reservation, p.offer.worker
	}
	text := func(key string) []string {
		value, _ := t.attributes[key].(string)
		return one(value)
	}
	media := object{
		"AccountSid": one(s.e.Account().SID), "CallSid": one(p.call), "Coaching": flag(false), "ConferenceSid": one(t.conf.sid),
		"EndConferenceOnExit": flag(p.endOnExit), "FriendlyName": one(t.sid), "Hold": flag(p.hold), "Muted": flag(p.muted),
		"SequenceNumber": one(decimal(p.sequence)), "StartConferenceOnEnter": flag(true), "StatusCallbackEvent": one("participant-modify"),
		"Timestamp": one(s.e.Now().UTC().Format(http.TimeFormat)), "From": text("from"), "To": text("to"),
	}
	w := object{
		"channel_sid": t.conf.channel, "interaction_sid": t.interaction(), "type": p.kind,
		"routing_properties": routing, "media_properties": media,
	}
	if inEvent {
		w["participant_sid"], w["channel_type"] = p.sid, "voice"
	} else {
		w["sid"] = p.sid
	}
	return w
}

// live is the worker's reservation for a task whose conference goes on.
func (s *Server) live(taskSID, worker string) *offer {
	if o := s.ofTask(taskSID, worker); o != nil && o.conf != nil && !o.conf.over {
		return o
	}
	return nil
}

// customerParticipant is POST Workers/WK/CustomerParticipant: hold. Flex wants
// the whole task back.
func (s *Server) customerParticipant(login emulator.Login, p params) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.live(p.TaskSid, login.SID)
	if o == nil {
		return nil, errNotFound
	}
	customer := o.conf.customer()
	if p.Hold != nil {
		customer.hold = *p.Hold
		for _, other := range o.conf.present() {
			other.silence(*p.Hold || other.hold)
		}
		s.tellAll(o.task, "participant.modified", customer)
	}
	if p.EndConferenceOnExit != nil {
		customer.endOnExit = *p.EndConferenceOnExit
		s.tellAll(o.task, "participant.modified", customer)
	}
	return s.wireTask(o), nil
}

// silence lets an agent hear nothing.
func (p *participant) silence(on bool) {
	if holder, ok := p.leg.(Holder); ok {
		holder.Hold(on)
	}
}

// workerParticipant is POST Workers/WK/WorkerParticipant: mute in the
// conference, which is not the mute of the voice client.
func (s *Server) workerParticipant(login emulator.Login, p params) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.ofReservation(p.ReservationSid)
	if o == nil || o.worker != login.SID || o.self == nil || o.self.gone {
		return nil, errNotFound
	}
	if p.EndConferenceOnExit != nil {
		o.self.endOnExit = *p.EndConferenceOnExit
	}
	if p.Mute != nil {
		o.self.muted = *p.Mute
		s.tellAll(o.task, "participant.modified", o.self)
	}
	return s.wireReservation(o), nil
}

// otherParticipant is POST Workers/WK/KickWorkerParticipant, and with hold
// HoldWorkerParticipant: what one agent does to another. Flex wants the task.
func (s *Server) otherParticipant(login emulator.Login, p params, kick bool) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, other := s.live(p.TaskSid, login.SID), s.live(p.TaskSid, p.TargetWorkerSid)
	if o == nil || o.self == nil || o.self.gone || other == nil || other.self == nil || other.self.gone {
		return nil, errNotFound
	}
	switch {
	case kick:
		s.takeOut(other.self)
	case p.Hold != nil:
		other.self.hold = *p.Hold
		other.self.silence(*p.Hold || o.conf.customer().hold)
		s.tellAll(o.task, "participant.modified", other.self)
	}
	return s.wireTask(o), nil
}

// takeOut ends one participant's call, and not the conference.
func (s *Server) takeOut(p *participant) {
	p.endOnExit = false
	p.leg.Hangup() // its end comes back as it does when the agent hangs up
}

// interactions serves v1/Interactions/KD/Channels and below.
func (s *Server) interactions(login emulator.Login, method string, path []string, p params) (any, error) {
	if len(path) < 2 || path[1] != "Channels" {
		return nil, errNotFound
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var o *offer
	for _, one := range s.offers {
		if one.interaction() == path[0] && one.worker == login.SID {
			o = one
		}
	}
	if o == nil {
		return nil, errNotFound
	}
	here := o.conf != nil && len(path) > 2 && path[2] == o.conf.channel
	switch {
	case method == http.MethodGet && len(path) == 2:
		channels := []object{}
		if o.conf != nil {
			status := "active"
			if o.conf.over {
				status = "closed"
			}
			channels = append(channels, object{
				"sid": o.conf.channel, "interaction_sid": o.interaction(), "type": "voice", "status": status,
				"media_sid": o.conf.sid, "service_sid": nil,
			})
		}
		return object{"channels": channels}, nil
	case method == http.MethodGet && here && len(path) == 4 && path[3] == "Participants":
		list := []object{}
		for _, p := range o.conf.present() {
			list = append(list, s.wireParticipant(o.task, p, false))
		}
		return object{"channel_type": "voice", "participants": list}, nil
	case method == http.MethodPost && here && len(path) == 3 && p.Status == "closed":
		switch {
		case p.Routing.Status == "wrapup" && o.status == accepted:
			s.wrapUp(o)
		case p.Routing.Status == "closed" && (o.status == accepted || o.status == wrapping):
			s.complete(o, "")
		}
		return object{"sid": o.conf.channel, "status": "closed"}, nil
	case method == http.MethodPost && here && !o.conf.over && len(path) == 4 && path[3] == "Participants":
		return s.invite(o, p)
	case method == http.MethodPost && here && len(path) == 5 && path[3] == "Participants":
		return s.updateParticipant(o, path[4], p)
	}
	return nil, errNotFound
}

// invite rings somebody into the conference: an agent's own client anew ("Join
// Call"), or, without a sound, anybody outside. Flex waits for the event with
// the SID that is answered.
func (s *Server) invite(o *offer, p params) (any, error) {
	one := &participant{sid: s.sid("UT"), kind: p.Type, offer: o, sequence: 1}
	if one.kind != "agent" && one.kind != "external" || s.closed {
		return nil, badRequest("the emulator invites agents and external participants only")
	}
	answer := s.wireParticipant(o.task, one, false)
	identity, parameters, isClient := dialled(p.Media.Coordinates.To)
	from, _ := o.attributes["from"].(string)
	s.wg.Go(func() {
		leg, err := Leg(newMute(s.sid("CA"))), error(nil)
		if isClient && s.options.Phone != nil {
			leg, err = s.options.Phone.Dial(s.ctx, Dialled{Identity: identity, From: from, Parameters: parameters})
		}
		if err == nil {
			select {
			case <-leg.Answered():
			case <-leg.Ended():
				err = errNotFound
			case <-s.ctx.Done():
				leg.Hangup()
				return
			}
		}
		s.mu.Lock()
		switch {
		case err != nil:
			s.tell(o.worker, "participant.add.failed", s.wireParticipant(o.task, one, true))
		case o.conf.over || s.closed:
			leg.Hangup()
			err = errNotFound
		default:
			one.leg, one.call = leg, leg.SID()
			if one.kind == "agent" {
				o.leg, o.self = leg, one
			}
			o.conf.parties = append(o.conf.parties, one)
			s.tellAll(o.task, "participant.added", one)
		}
		s.mu.Unlock()
		if err == nil {
			s.watch(one)
		}
	})
	return answer, nil
}

// updateParticipant is POST .../Participants/UT.
func (s *Server) updateParticipant(o *offer, sid string, p params) (any, error) {
	one := o.conf.find(sid)
	if one == nil {
		return nil, errNotFound
	}
	if on := p.Media.EndConferenceOnExit; on != nil {
		one.endOnExit = *on
	}
	if p.Status == "closed" {
		if one.leg == nil {
			s.end(o.task)
		} else {
			s.takeOut(one)
		}
	}
	return s.wireParticipant(o.task, one, false), nil
}
