package flexui

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
)

// The states of a transfer.
const (
	transferInitiated = "initiated"
	transferComplete  = "complete"
	transferFailed    = "failed"
	transferCanceled  = "canceled"
)

// transfer offers an agent's call to another. A warm one lets the first agent
// stay until one of the two leaves; a cold one takes it out at once, and the
// customer waits.
type transfer struct {
	sid     string // TT...
	from    *offer
	to      *offer
	target  string // as it was asked for: WK... or WQ...
	mode    string // WARM or COLD
	status  string
	created time.Time
	updated time.Time
}

// createTransfer is POST Workers/WK/Transfers.
func (s *Server) createTransfer(login emulator.Login, p params) (any, error) {
	text, err := p.attributes()
	if err != nil {
		return nil, err
	}
	var more object
	if json.Unmarshal([]byte(text), &more) != nil {
		return nil, badRequest("Attributes is not a JSON object")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.ofReservation(p.ReservationSid)
	switch {
	case o == nil || o.worker != login.SID || o.task.sid != p.TaskSid:
		return nil, errNotFound
	case o.status != accepted || o.self == nil || o.self.gone:
		return nil, badRequest("the agent is in no call that could be transferred")
	case o.transfer != nil && o.transfer.status == transferInitiated:
		return nil, badRequest("the task is being transferred")
	}
	mode := cmp.Or(strings.ToUpper(p.Mode), "WARM")
	if mode != "WARM" && mode != "COLD" {
		return nil, badRequest("the emulator has no transfers of mode " + p.Mode)
	}
	worker, err := s.transferTarget(login.SID, p.To)
	if err != nil {
		return nil, err
	}
	maps.Copy(o.attributes, more)
	now := s.e.Now()
	t := &transfer{sid: s.sid("TT"), from: o, target: p.To, mode: mode, status: transferInitiated, created: now, updated: now}
	o.transfer = t
	s.touch(o)
	s.tell(o.worker, "task.transfer-initiated", s.wireTransfer(t))
	t.to = s.reserve(worker, o.task, t)
	if mode == "COLD" {
		s.takeOut(o.self)
	}
	return s.wireTransfer(t), nil
}

// transferTarget is the worker who is offered the call: the one that is named,
// or, for the queue, the first who is free.
func (s *Server) transferTarget(from, to string) (string, error) {
	free := func(a emulator.Agent) bool { return a.SID != from && a.Available && !s.busy(a.SID) }
	if to == s.queue() {
		all := s.e.Agents()
		if i := slices.IndexFunc(all, free); i >= 0 {
			return all[i].SID, nil
		}
		return "", badRequest("nobody else is free, and the emulator keeps nobody waiting in a queue")
	}
	agent, err := s.e.Agent(to)
	if err != nil {
		return "", err
	}
	if !free(agent) {
		return "", badRequest("the worker cannot be offered a call now")
	}
	return agent.SID, nil
}

// updateTransfer is POST Workers/WK/Transfers/TT: the agent calls it off.
func (s *Server) updateTransfer(login emulator.Login, sid string, p params) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := find(s.offers, func(o *offer) bool {
		return o.transfer != nil && o.transfer.sid == sid && o.transfer.from.worker == login.SID
	})
	if o == nil {
		return nil, errNotFound
	}
	t := o.transfer
	if t.status != transferInitiated || !strings.EqualFold(p.TransferStatus, transferCanceled) {
		return nil, &refusal{http.StatusBadRequest, 20001, "a transfer that is " + t.status + " cannot become " + p.TransferStatus}
	}
	s.settle(t, transferCanceled)
	if t.to.status == pending {
		s.finish(t.to, canceled)
	}
	return s.wireTransfer(t), nil
}

// settle ends a transfer that still stands, and tells the agent who began it. A
// customer whom nobody takes is not kept waiting.
func (s *Server) settle(t *transfer, status string) {
	if t.status != transferInitiated {
		return
	}
	t.status, t.updated = status, s.e.Now()
	event := map[string]string{transferComplete: "completed", transferFailed: "failed", transferCanceled: "canceled"}[status]
	s.tell(t.from.worker, "task.transfer-"+event, s.wireTransfer(t))
	if conf := t.from.conf; len(conf.present()) < 2 {
		s.end(t.from.task)
	}
}

type wireTransfer struct {
	AccountSID     string `json:"account_sid"`
	WorkspaceSID   string `json:"workspace_sid"`
	SID            string `json:"sid"`
	TaskSID        string `json:"task_sid"`
	ReservationSID string `json:"initiating_reservation_sid"`
	WorkerSID      string `json:"initiating_worker_sid"`
	QueueSID       string `json:"initiating_queue_sid"`
	WorkflowSID    string `json:"initiating_workflow_sid"`
	Mode           string `json:"transfer_mode"`
	To             string `json:"transfer_to"`
	Type           string `json:"transfer_type"` // WORKER or QUEUE
	Status         string `json:"transfer_status"`
	FailedReason   string `json:"transfer_failed_reason"`
	DateCreated    int64  `json:"date_created"` // seconds since 1970
	DateUpdated    int64  `json:"date_updated"`
}

func (s *Server) wireTransfer(t *transfer) *wireTransfer {
	account := s.e.Account()
	w := &wireTransfer{
		AccountSID: account.SID, WorkspaceSID: account.WorkspaceSID, SID: t.sid, TaskSID: t.from.task.sid,
		ReservationSID: t.from.reservation, WorkerSID: t.from.worker, QueueSID: s.queue(), WorkflowSID: s.workflow(),
		Mode: t.mode, To: t.target, Type: "WORKER", Status: t.status,
		DateCreated: t.created.Unix(), DateUpdated: t.updated.Unix(),
	}
	if t.target == s.queue() {
		w.Type = "QUEUE"
	}
	if t.status == transferFailed {
		w.FailedReason = "the other agent did not take the call"
	}
	return w
}
