package flexui

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

// The states of a reservation that Flex tells apart.
const (
	pending   = "pending"
	accepted  = "accepted"
	wrapping  = "wrapping"
	completed = "completed"
	rejected  = "rejected"
	canceled  = "canceled"
	timedOut  = "timeout"
)

// The channels of tasks. A chat is an offer that can be accepted and completed;
// nobody writes in it.
const (
	voice = "voice"
	chat  = "chat"
)

// chatTasks is how many chats a worker may have at once.
const chatTasks = 3

// task is a call, or a chat, which a transfer offers to one agent after another.
// Server.mu guards it, and all that hangs from it.
type task struct {
	sid        string
	channel    string // empty is voice
	attributes object
	outbound   bool
	priority   int
	tone       float64     // Hz: what the customer says; 0 is talk
	conf       *conference // nil until an agent has taken the call
	transfer   *transfer   // the latest one
}

// offer is a task's reservation for one agent.
type offer struct {
	*task
	reservation string // SIDs
	worker      string
	incoming    *transfer // that it came by

	status    string
	taskState string // its assignment_status
	reason    string
	created   time.Time
	updated   time.Time
	version   int

	accepting bool // the voice client is being rung
	leg       Leg  // the latest one
	self      *participant
	expiry    *time.Timer
}

// open reports whether Flex still shows the task.
func (o *offer) open() bool {
	return o.status == pending || o.status == accepted || o.status == wrapping
}

// stop ends what runs for the offer.
func (o *offer) stop() {
	if o.expiry != nil {
		o.expiry.Stop()
	}
	if o.leg != nil {
		o.leg.Hangup()
	}
}

// Incoming describes a customer's call, or chat, for one agent.
type Incoming struct {
	Worker     string         `json:"worker"`  // SID or friendly name
	From       string         `json:"from"`    // +15551230000 if empty
	To         string         `json:"to"`      // +15559870000 if empty
	Channel    string         `json:"channel"` // voice if empty, or chat
	Tone       float64        `json:"tone"`    // Hz: what the customer says instead of talking
	Attributes map[string]any `json:"attributes"`
}

// Offer makes a call task and reserves it for the worker; Flex rings. A worker
// whose activity is not available, or who has a call, is problem.WorkerOffline.
func (s *Server) Offer(in Incoming) (Reservation, error) {
	agent, err := s.e.Agent(in.Worker)
	if err != nil {
		return Reservation{}, err
	}
	if in.Channel != "" && in.Channel != voice && in.Channel != chat {
		return Reservation{}, problem.New(problem.Usage, "the emulated account has no channel %q", in.Channel)
	}
	from, to := in.From, in.To
	if from == "" {
		from = "+15551230000"
	}
	if to == "" {
		to = "+15559870000"
	}
	attributes := object{"direction": "inbound", "from": from, "to": to, "name": from, "call_sid": s.sid("CA")}
	maps.Copy(attributes, in.Attributes)

	s.mu.Lock()
	defer s.mu.Unlock()
	if !agent.Available {
		return Reservation{}, problem.New(problem.WorkerOffline, "cannot offer %s a call: the agent's activity is %s", agent.FriendlyName, agent.ActivityName).
			WithHint("choose an available activity in Flex")
	}
	if in.Channel == chat {
		t := &task{sid: s.sid("WT"), channel: chat, attributes: object{"name": from}}
		maps.Copy(t.attributes, in.Attributes)
		if s.tasks(agent.SID, chat) >= chatTasks {
			return Reservation{}, problem.New(problem.WorkerOffline, "cannot offer %s a chat: the agent has %d", agent.FriendlyName, chatTasks)
		}
		return s.describe(s.reserve(agent.SID, t, nil)), nil
	}
	if s.busy(agent.SID) {
		return Reservation{}, problem.New(problem.WorkerOffline, "cannot offer %s a call: the agent has one", agent.FriendlyName).
			WithHint("complete it in Flex")
	}
	return s.describe(s.reserve(agent.SID, &task{sid: s.sid("WT"), attributes: attributes, tone: in.Tone}, nil)), nil
}

// busy reports whether the worker's voice slots are taken. s.mu is held, as in
// all that follows.
func (s *Server) busy(worker string) bool { return s.tasks(worker, voice) >= s.voiceTasks }

// tasks counts the worker's tasks of a channel.
func (s *Server) tasks(worker, channel string) int {
	n := 0
	for _, o := range s.offers {
		if o.worker == worker && o.open() && cmp.Or(o.channel, voice) == channel {
			n++
		}
	}
	return n
}

const offersKept = 100

func (s *Server) reserve(worker string, t *task, incoming *transfer) *offer {
	now := s.e.Now()
	o := &offer{
		task: t, reservation: s.sid("WR"), worker: worker, incoming: incoming,
		status: pending, taskState: "reserved", created: now, updated: now,
	}
	if len(s.offers) >= offersKept {
		if i := slices.IndexFunc(s.offers, func(old *offer) bool { return !old.open() }); i >= 0 {
			s.offers = slices.Delete(s.offers, i, i+1)
		}
	}
	s.offers = append(s.offers, o)
	o.expiry = time.AfterFunc(s.options.ReservationTimeout, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if o.status == pending && !o.accepting {
			s.finish(o, timedOut)
		}
	})
	s.tell(worker, "reservation.created", s.wireReservation(o))
	return o
}

func (s *Server) ofReservation(sid string) *offer {
	return find(s.offers, func(o *offer) bool { return o.reservation == sid })
}

// ofTask is the worker's latest reservation for a task.
func (s *Server) ofTask(sid, worker string) *offer {
	var last *offer
	for _, o := range s.offers {
		if o.task.sid == sid && o.worker == worker {
			last = o
		}
	}
	return last
}

func find(all []*offer, is func(*offer) bool) *offer {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i]
	}
	return nil
}

func (s *Server) touch(o *offer) {
	o.version++
	o.updated = s.e.Now()
}

// take accepts what nobody is rung for: a chat, or a callback, which is a voice
// task with no call.
func (s *Server) take(o *offer) {
	o.expiry.Stop()
	o.status, o.taskState = accepted, "assigned"
	s.touch(o)
	s.tell(o.worker, "reservation.accepted", s.wireReservation(o))
	s.tell(o.worker, "task.updated", s.wireTask(o))
}

// accept rings the agent's voice client. The reservation is accepted once the
// client has taken the call: until then Flex waits.
func (s *Server) accept(o *offer, to string, endOnExit bool) {
	if o.accepting || o.status != pending {
		return
	}
	o.expiry.Stop()
	o.accepting = true
	identity, parameters, isClient := dialled(to)
	from, _ := o.attributes["from"].(string)
	d := Dialled{Identity: identity, From: from, Parameters: parameters}
	if s.closed {
		return
	}
	s.wg.Go(func() {
		leg, err := Leg(newMute(s.sid("CA"))), error(nil)
		if isClient && s.options.Phone != nil {
			leg, err = s.options.Phone.Dial(s.ctx, d)
		}
		if err != nil {
			s.log.Debug("flex ui: the agent cannot be rung", "error", err)
			s.unanswered(o)
			return
		}
		s.mu.Lock()
		o.leg = leg
		gone, delay := o.status != pending || s.closed, s.delay
		s.mu.Unlock()
		if gone {
			leg.Hangup()
			return
		}
		select {
		case <-leg.Ended():
			s.unanswered(o)
			return
		case <-s.ctx.Done():
			leg.Hangup()
			return
		case <-leg.Answered():
		}
		if delay > 0 {
			late := time.NewTimer(delay)
			defer late.Stop()
			select {
			case <-late.C:
			case <-s.ctx.Done():
			}
		}
		p := s.joined(o, leg, endOnExit)
		s.watch(p)
	})
}

// watch returns when the participant's call is over and what follows from that
// is done.
func (s *Server) watch(p *participant) {
	if p == nil {
		return
	}
	select {
	case <-p.leg.Ended():
		s.mu.Lock()
		defer s.mu.Unlock()
		s.left(p)
	case <-s.ctx.Done():
		p.leg.Hangup()
	}
}

// unanswered ends an offer whose voice client was not there or did not answer.
func (s *Server) unanswered(o *offer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.status == pending {
		s.finish(o, timedOut)
	}
}

// joined puts the agent into the task's conference, which has to be readable
// before the reservation's event leaves: Flex asks for it at once.
func (s *Server) joined(o *offer, leg Leg, endOnExit bool) *participant {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.status != pending {
		leg.Hangup()
		return nil
	}
	customer, _ := o.attributes["call_sid"].(string)
	if o.conf == nil {
		o.conf = s.newConference(customer, o.tone)
	}
	o.self = &participant{sid: s.sid("UT"), kind: "agent", offer: o, leg: leg, call: leg.SID(), endOnExit: endOnExit, sequence: 1}
	o.conf.parties = append(o.conf.parties, o.self)
	o.attributes["conference"] = object{"sid": o.conf.sid, "participants": object{"customer": customer, "worker": leg.SID()}}
	o.accepting, o.status, o.taskState = false, accepted, "assigned"
	s.touch(o)
	s.tell(o.worker, "reservation.accepted", s.wireReservation(o))
	s.tell(o.worker, "task.updated", s.wireTask(o))
	for _, p := range o.conf.present() {
		if p != o.self {
			s.tell(o.worker, "participant.added", s.wireParticipant(o.task, p, true))
		}
	}
	s.changed(o.task, "participant.added", o.self)
	if o.incoming != nil {
		s.settle(o.incoming, transferComplete)
	}
	return o.self
}

func (s *Server) wrapUp(o *offer) {
	o.status, o.taskState = wrapping, "wrapping"
	s.touch(o)
	s.tell(o.worker, "reservation.wrapup", s.wireReservation(o))
	s.tell(o.worker, "task.wrapup", s.wireTask(o))
}

func (s *Server) complete(o *offer, reason string) {
	o.status, o.taskState, o.reason = completed, "completed", reason
	s.touch(o)
	s.tell(o.worker, "task.completed", s.wireTask(o))
	s.tell(o.worker, "reservation.completed", s.wireReservation(o))
}

// finish ends an offer that was not completed: rejected, canceled, timeout.
func (s *Server) finish(o *offer, status string) {
	o.accepting, o.status, o.taskState = false, status, "canceled"
	o.stop()
	s.touch(o)
	s.tell(o.worker, "reservation."+status, s.wireReservation(o))
	if o.incoming != nil {
		s.settle(o.incoming, transferFailed)
	}
}

// Hangup lets the customer hang up: a call that rings is canceled, one that goes
// on ends for the agent too.
func (s *Server) Hangup(reservationSID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.ofReservation(reservationSID)
	switch {
	case o == nil:
		return problem.New(problem.NotFound, "the emulated account has no reservation %q", reservationSID)
	case o.conf != nil:
		s.end(o.task)
	case o.status == pending:
		s.finish(o, canceled)
	}
	return nil
}
