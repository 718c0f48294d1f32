package flexui

import (
	"net/http"
	"strconv"

	"github.com/flexvc/flexvc/internal/emulator"
)

// conference is where an accepted task's customer and agent talk. Flex knows it
// as the voice channel of an interaction.
type conference struct {
	sid      string // CF...
	channel  string // UO...
	customer *participant
	agent    *participant
	over     bool
}

type participant struct {
	sid       string // UT...
	agent     bool
	call      string
	hold      bool
	muted     bool
	endOnExit bool
	sequence  int // a change that does not raise it is lost on Flex
}

func (s *Server) newConference(customerCall, agentCall string, endOnExit bool) *conference {
	return &conference{
		sid: s.sid("CF"), channel: s.sid("UO"),
		customer: &participant{sid: s.sid("UT"), call: customerCall, endOnExit: true, sequence: 1},
		agent:    &participant{sid: s.sid("UT"), agent: true, call: agentCall, endOnExit: endOnExit, sequence: 1},
	}
}

func (c *conference) participants() []*participant { return []*participant{c.customer, c.agent} }

// interaction is the SID under which Flex asks for a task's channels.
func (o *offer) interaction() string {
	if sid, ok := o.attributes["flexInteractionSid"].(string); ok && sid != "" {
		return sid
	}
	return "KD" + o.task[2:]
}

// wireParticipant is a participant as events have it; the list of participants
// calls its SID otherwise. Every media property is a list of one text. s.mu is
// held, as in all that follows.
func (s *Server) wireParticipant(o *offer, p *participant, inEvent bool) object {
	one := func(text string) []string { return []string{text} }
	flag := func(on bool) []string { return one(strconv.FormatBool(on)) }
	kind, routing := "customer", object{"task_sid": o.task, "reservation_sid": nil, "worker_sid": nil}
	if p.agent {
		kind, routing = "agent", object{"task_sid": o.task, "reservation_sid": o.reservation, "worker_sid": o.worker}
	}
	text := func(key string) []string {
		value, _ := o.attributes[key].(string)
		return one(value)
	}
	media := object{
		"AccountSid": one(s.e.Account().SID), "CallSid": one(p.call), "Coaching": flag(false), "ConferenceSid": one(o.conf.sid),
		"EndConferenceOnExit": flag(p.endOnExit), "FriendlyName": one(o.task), "Hold": flag(p.hold), "Muted": flag(p.muted),
		"SequenceNumber": one(decimal(p.sequence)), "StartConferenceOnEnter": flag(true), "StatusCallbackEvent": one("participant-modify"),
		"Timestamp": one(s.e.Now().UTC().Format(http.TimeFormat)), "From": text("from"), "To": text("to"),
	}
	w := object{
		"channel_sid": o.conf.channel, "interaction_sid": o.interaction(), "type": kind,
		"routing_properties": routing, "media_properties": media,
	}
	if inEvent {
		w["participant_sid"], w["channel_type"] = p.sid, "voice"
	} else {
		w["sid"] = p.sid
	}
	return w
}

// modified tells Flex that a participant changed.
func (s *Server) modified(o *offer, p *participant) {
	p.sequence++
	s.tell(o.worker, "participant.modified", s.wireParticipant(o, p, true))
}

// customerParticipant is POST Workers/WK/CustomerParticipant: hold. Flex wants
// the whole task back.
func (s *Server) customerParticipant(login emulator.Login, p params) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.ofTask(p.TaskSid)
	if o == nil || o.worker != login.SID || o.conf == nil || o.conf.over {
		return nil, errNotFound
	}
	if p.Hold != nil {
		o.conf.customer.hold = *p.Hold
		if holder, ok := o.leg.(Holder); ok {
			holder.Hold(*p.Hold)
		}
		s.modified(o, o.conf.customer)
	}
	if p.EndConferenceOnExit != nil {
		o.conf.customer.endOnExit = *p.EndConferenceOnExit
		s.modified(o, o.conf.customer)
	}
	return s.wireTask(o), nil
}

// workerParticipant is POST Workers/WK/WorkerParticipant: mute in the
// conference, which is not the mute of the voice client.
func (s *Server) workerParticipant(login emulator.Login, p params) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.ofReservation(p.ReservationSid)
	if o == nil || o.worker != login.SID || o.conf == nil || o.conf.over {
		return nil, errNotFound
	}
	if p.EndConferenceOnExit != nil {
		o.conf.agent.endOnExit = *p.EndConferenceOnExit
	}
	if p.Mute != nil {
		o.conf.agent.muted = *p.Mute
		s.modified(o, o.conf.agent)
	}
	return s.wireReservation(o), nil
}

// interactions serves v1/Interactions/KD/Channels and below. Of what changes
// something only the end of a channel is known well enough to do it.
func (s *Server) interactions(login emulator.Login, method string, path []string, p params) (any, error) {
	if len(path) < 2 || path[1] != "Channels" {
		return nil, errNotFound
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := find(s.offers, func(o *offer) bool { return o.interaction() == path[0] && o.worker == login.SID })
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
		if !o.conf.over {
			for _, p := range o.conf.participants() {
				list = append(list, s.wireParticipant(o, p, false))
			}
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
	case method == http.MethodPost && here && len(path) >= 4 && path[3] == "Participants":
		return object{}, nil // seen by nobody yet: "Join Call" and external transfers
	}
	return nil, errNotFound
}
