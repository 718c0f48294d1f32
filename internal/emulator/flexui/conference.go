package flexui

import (
	"net/http"
	"slices"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
)

// conference is where a task's customer and its agents talk. Flex knows it as
// the voice channel of an interaction.
type conference struct {
	sid     string         // CF...
	channel string         // UO...
	parties []*participant // the customer first, then as they came
	room    Room           // nil without a voice edge
	over    bool
}

type participant struct {
	sid       string // UT...
	kind      string // customer, agent, external or supervisor
	offer     *offer // of an agent, and what the others came by
	worker    string // a supervisor's
	leg       Leg    // nil for the customer
	call      string
	hold      bool
	muted     bool
	coaches   string // the call that alone hears it; empty is everybody
	endOnExit bool
	gone      bool
	sequence  int // a change that does not raise it is lost on Flex
}

func (s *Server) newConference(customerCall string, hz float64) *conference {
	customer := &participant{sid: s.sid("UT"), kind: "customer", call: customerCall, endOnExit: true, sequence: 1}
	c := &conference{sid: s.sid("CF"), channel: s.sid("UO"), parties: []*participant{customer}}
	if s.options.Phone != nil {
		c.room = s.options.Phone.Conference(customerCall, hz)
	}
	return c
}

func (c *conference) customer() *participant { return c.parties[0] }

// present are those who have not left.
func (c *conference) present() []*participant {
	return slices.DeleteFunc(slices.Clone(c.parties), func(p *participant) bool { return p.gone })
}

// talking counts those who are there to talk.
func (c *conference) talking() int {
	n := 0
	for _, p := range c.present() {
		if p.kind != "supervisor" {
			n++
		}
	}
	return n
}

// connect lets those who are there hear one another as they may. s.mu is held.
func (c *conference) connect() {
	if c.room == nil {
		return
	}
	voices := []Voice{}
	for _, p := range c.present() {
		v := Voice{Leg: p.leg, Muted: p.muted, Hold: p.hold}
		if coached := c.ofCall(p.coaches); coached != nil {
			v.Coaches = coached.leg
		}
		voices = append(voices, v)
	}
	c.room.Connect(voices)
}

// ofCall is who is there by that call.
func (c *conference) ofCall(sid string) *participant {
	if i := slices.IndexFunc(c.parties, func(p *participant) bool { return p.call == sid && sid != "" && !p.gone }); i >= 0 {
		return c.parties[i]
	}
	return nil
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
	if n := t.conf.talking(); p.endOnExit || n < 2 && !(waits && n == 1) {
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
	t.conf.connect()
	s.show()
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
	if t.conf.room != nil {
		t.conf.room.Close()
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

// changed is told of a participant who has come, or is another than before.
func (s *Server) changed(t *task, kind string, about *participant) {
	t.conf.connect()
	s.tellAll(t, kind, about)
	s.show()
}

// tellAll tells every agent in the conference of a participant, the one whom it
// is about among them. Supervisors hear of it from Sync.
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
		s.changed(o.task, "participant.modified", customer)
	}
	if p.EndConferenceOnExit != nil {
		customer.endOnExit = *p.EndConferenceOnExit
		s.changed(o.task, "participant.modified", customer)
	}
	return s.wireTask(o), nil
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
		s.changed(o.task, "participant.modified", o.self)
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
		s.changed(o.task, "participant.modified", other.self)
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
	s.ring(one, p.Media.Coordinates.To)
	return answer, nil
}

// supervise is POST Tasks/WT/Reservations/WR with that instruction: the
// supervisor is rung, and listens. Flex asks for the mode monitor only.
func (s *Server) supervise(login emulator.Login, taskSID, reservation string, p params) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.ofReservation(reservation)
	switch {
	case o == nil || o.task.sid != taskSID:
		return nil, errNotFound
	case p.Instruction != "supervise":
		return nil, badRequest("the emulator has no instruction " + p.Instruction + " for another's reservation")
	case !slices.Contains(login.Roles, "supervisor") && !slices.Contains(login.Roles, "admin"):
		return nil, &refusal{http.StatusForbidden, 20403, "the worker is no supervisor"}
	case p.Supervisor != login.SID:
		return nil, badRequest("Supervisor is not the worker who asks")
	case o.conf == nil || o.conf.over || o.self == nil || o.self.gone || s.closed:
		return nil, badRequest("the agent is in no call that could be supervised")
	}
	one := &participant{sid: s.sid("UT"), kind: "supervisor", offer: o, worker: login.SID, sequence: 1}
	switch p.SupervisorMode {
	case "monitor":
		one.muted = true
	case "whisper":
		one.coaches = o.self.call
	case "barge":
	default:
		return nil, badRequest("SupervisorMode is monitor, whisper or barge")
	}
	s.ring(one, p.To)
	return s.wireReservation(o), nil
}

// ring calls somebody, who is in the conference with the answer.
func (s *Server) ring(one *participant, to string) {
	o := one.offer
	identity, parameters, isClient := dialled(to)
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
		if one.kind == "supervisor" && err == nil {
			late := time.NewTimer(s.options.SupervisorJoins)
			defer late.Stop()
			select {
			case <-late.C:
			case <-s.ctx.Done():
			}
		}
		s.mu.Lock()
		switch {
		case err != nil && one.kind == "supervisor": // nobody is told: Flex waits for 10 s
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
			s.changed(o.task, "participant.added", one)
		}
		s.mu.Unlock()
		if err == nil {
			s.watch(one)
		}
	})
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

// Participants implements emulator.Conferences.
func (s *Server) Participants(conference string) ([]emulator.Participant, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.ofConference(conference)
	if t == nil {
		return nil, false
	}
	var all []emulator.Participant
	for _, p := range t.conf.present() {
		all = append(all, p.asParticipant())
	}
	return all, true
}

func (s *Server) ofConference(sid string) *task {
	if o := find(s.offers, func(o *offer) bool { return o.conf != nil && o.conf.sid == sid && !o.conf.over }); o != nil {
		return o.task
	}
	return nil
}

func (p *participant) asParticipant() emulator.Participant {
	return emulator.Participant{CallSID: p.call, Muted: p.muted, Hold: p.hold, EndOnExit: p.endOnExit, Coaches: p.coaches}
}

// ChangeParticipant implements emulator.Conferences.
func (s *Server) ChangeParticipant(conference, call string, c emulator.ParticipantChange) (emulator.Participant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.ofConference(conference)
	if t == nil || t.conf.ofCall(call) == nil {
		return emulator.Participant{}, problem.New(problem.NotFound, "the conference has no such participant")
	}
	p := t.conf.ofCall(call)
	if c.Leave {
		if p.leg == nil {
			s.end(t)
		} else {
			s.takeOut(p)
		}
		return p.asParticipant(), nil
	}
	coaches := p.coaches
	if c.Coaches != nil {
		coaches = *c.Coaches
	}
	if c.Coaching != nil && !*c.Coaching {
		coaches = ""
	}
	switch {
	case c.Coaching != nil && *c.Coaching && coaches == "":
		return emulator.Participant{}, problem.New(problem.Usage, "CallSidToCoach is required")
	case coaches != "" && (coaches == call || t.conf.ofCall(coaches) == nil):
		return emulator.Participant{}, problem.New(problem.Usage, "CallSidToCoach is no other participant of the conference")
	}
	p.coaches = coaches
	for field, to := range map[*bool]*bool{&p.muted: c.Muted, &p.hold: c.Hold, &p.endOnExit: c.EndOnExit} {
		if to != nil {
			*field = *to
		}
	}
	s.changed(t, "participant.modified", p)
	return p.asParticipant(), nil
}
