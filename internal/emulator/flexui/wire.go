package flexui

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
)

// How an offer looks to Flex UI, and to who gives orders.

// Reservation is what is known of an offer.
type Reservation struct {
	SID        string `json:"sid"`
	Task       string `json:"task"`
	Worker     string `json:"worker"`
	Status     string `json:"status"`  // pending, accepted, wrapping, completed, rejected, canceled, timeout
	Channel    string `json:"channel"` // voice, chat
	Outbound   bool   `json:"outbound"`
	CallSID    string `json:"call_sid,omitempty"` // of the agent's leg, from when it rings
	Live       bool   `json:"live"`               // the conference goes on
	Hold       bool   `json:"hold"`               // the customer is on hold
	Muted      bool   `json:"muted"`              // the agent is, in the conference
	Attributes any    `json:"attributes"`
}

// Reservations lists the latest offers, oldest first.
func (s *Server) Reservations() []Reservation {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Reservation, len(s.offers))
	for i, o := range s.offers {
		list[i] = s.describe(o)
	}
	return list
}

func (s *Server) describe(o *offer) Reservation {
	r := Reservation{SID: o.reservation, Task: o.task.sid, Worker: o.worker, Status: o.status, Channel: cmp.Or(o.channel, voice), Outbound: o.outbound, Attributes: maps.Clone(o.attributes)}
	if o.leg != nil {
		r.CallSID = o.leg.SID()
	}
	if o.self != nil {
		r.Live, r.Hold, r.Muted = !o.self.gone, o.conf.customer().hold, o.self.muted
	}
	return r
}

type wireTask struct {
	SID               string  `json:"sid"`
	AccountSID        string  `json:"account_sid"`
	WorkspaceSID      string  `json:"workspace_sid"`
	Addons            string  `json:"addons"`
	Age               int64   `json:"age"` // seconds
	Priority          int     `json:"priority"`
	Reason            *string `json:"reason"`
	RoutingTarget     *string `json:"routing_target"`
	Version           string  `json:"version"`
	Attributes        string  `json:"attributes"`
	AssignmentStatus  string  `json:"assignment_status"`
	DateCreated       int64   `json:"date_created"` // seconds since 1970, as all dates
	DateUpdated       int64   `json:"date_updated"`
	VirtualStartTime  int64   `json:"virtual_start_time"`
	QueueName         string  `json:"queue_name"`
	QueueSID          string  `json:"queue_sid"`
	ChannelUniqueName string  `json:"task_channel_unique_name"`
	ChannelSID        string  `json:"task_channel_sid"`
	Timeout           int     `json:"timeout"`
	WorkflowName      string  `json:"workflow_name"`
	WorkflowSID       string  `json:"workflow_sid"`
}

func (s *Server) wireTask(o *offer) wireTask {
	account, now := s.e.Account(), s.e.Now()
	attributes, err := json.Marshal(o.attributes)
	if err != nil {
		panic("flexui: attributes that cannot be encoded: " + err.Error()) // they came from JSON
	}
	t := wireTask{
		SID: o.task.sid, AccountSID: account.SID, WorkspaceSID: account.WorkspaceSID, Addons: "{}",
		Age: int64(now.Sub(o.created).Seconds()), Priority: o.priority, Version: decimal(o.version),
		Attributes: string(attributes), AssignmentStatus: o.taskState,
		DateCreated: o.created.Unix(), DateUpdated: o.updated.Unix(), VirtualStartTime: o.created.Unix(),
		QueueName: "Everyone", QueueSID: s.queue(), ChannelUniqueName: voice, ChannelSID: s.fixed("TC", 1),
		Timeout: 86400, WorkflowName: "Assign to Anyone", WorkflowSID: s.workflow(),
	}
	if o.channel == chat {
		t.ChannelUniqueName, t.ChannelSID = chat, s.fixed("TC", 2)
	}
	if o.reason != "" {
		t.Reason = &o.reason
	}
	if o.outbound {
		t.RoutingTarget = &o.worker
	}
	return t
}

type wireReservation struct {
	AccountSID   string   `json:"account_sid"`
	WorkspaceSID string   `json:"workspace_sid"`
	WorkerSID    string   `json:"worker_sid"`
	SID          string   `json:"sid"`
	Status       string   `json:"reservation_status"`
	Timeout      int      `json:"reservation_timeout"` // seconds
	DateCreated  int64    `json:"date_created"`
	DateUpdated  int64    `json:"date_updated"`
	Version      string   `json:"version"`
	Task         wireTask `json:"task"`

	// Absent without a transfer: to Flex even null would be one.
	Incoming *wireTransfer `json:"task_transfer,omitempty"`
	Outgoing *wireTransfer `json:"active_outgoing_task_transfer,omitempty"`
}

func (s *Server) wireReservation(o *offer) wireReservation {
	account := s.e.Account()
	w := wireReservation{
		AccountSID: account.SID, WorkspaceSID: account.WorkspaceSID, WorkerSID: o.worker, SID: o.reservation,
		Status: o.status, Timeout: int(s.options.ReservationTimeout.Seconds()),
		DateCreated: o.created.Unix(), DateUpdated: o.updated.Unix(), Version: decimal(o.version), Task: s.wireTask(o),
	}
	if o.incoming != nil {
		w.Incoming = s.wireTransfer(o.incoming)
	}
	if t := o.transfer; t != nil && t.from == o && t.status == transferInitiated {
		w.Outgoing = s.wireTransfer(t)
	}
	return w
}

// wireParticipant is a participant as events have it; the list of participants
// calls its SID otherwise. Every media property is a list of one text. s.mu is
// held, as in all that follows.
func (s *Server) wireParticipant(t *task, p *participant, inEvent bool) object {
	one := func(text string) []string { return []string{text} }
	flag := func(on bool) []string { return one(strconv.FormatBool(on)) }
	routing := object{"task_sid": t.sid, "reservation_sid": nil, "worker_sid": nil}
	switch p.kind {
	case "agent":
		routing["reservation_sid"], routing["worker_sid"] = p.offer.reservation, p.offer.worker
	case "supervisor":
		routing["worker_sid"] = p.worker
	}
	text := func(key string) []string {
		value, _ := t.attributes[key].(string)
		return one(value)
	}
	media := object{
		"AccountSid": one(s.e.Account().SID), "CallSid": one(p.call), "Coaching": flag(p.coaches != ""), "ConferenceSid": one(t.conf.sid),
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

func decimal[N int | int64](n N) string { return strconv.FormatInt(int64(n), 10) }
