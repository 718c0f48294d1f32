package flexui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
)

// bridged is a request that Flex sends through the event bridge. It says that
// it is a form, and is JSON.
type bridged struct {
	URL    string          `json:"url"` // below https://taskrouter.twilio.com/v1/, or v1/Interactions/...
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Token  string          `json:"token"`
}

// params are all parameters that are looked at; each request reads its own.
type params struct {
	PageSize   int             `json:"PageSize"`
	Ordering   string          `json:"Ordering"`
	Attributes json.RawMessage `json:"Attributes"` // an object, or a text that holds one

	ActivitySid               string `json:"ActivitySid"`
	RejectPendingReservations bool   `json:"RejectPendingReservations"`

	Instruction         string `json:"Instruction"`
	To                  string `json:"To"`
	EndConferenceOnExit *bool  `json:"EndConferenceOnExit"`
	ReservationStatus   string `json:"ReservationStatus"`

	TaskSid        string `json:"TaskSid"`
	ReservationSid string `json:"ReservationSid"`
	Hold           *bool  `json:"Hold"`
	Mute           *bool  `json:"Mute"`

	RoutingTarget         string `json:"RoutingTarget"`
	TaskChannelUniqueName string `json:"TaskChannelUniqueName"`
	AssignmentStatus      string `json:"AssignmentStatus"`
	Reason                string `json:"Reason"`

	TargetWorkerSid string `json:"TargetWorkerSid"`
	Mode            string `json:"Mode"` // of a transfer
	Supervisor      string `json:"Supervisor"`
	SupervisorMode  string `json:"SupervisorMode"`
	TransferStatus  string `json:"TransferStatus"`

	Type  string `json:"type"` // of a participant
	Media struct {
		Coordinates struct {
			To string `json:"to"`
		} `json:"coordinates"`
		EndConferenceOnExit *bool `json:"end_conference_on_exit"`
	} `json:"media_properties"`
	Status  string `json:"status"` // of an interaction's channel or participant
	Routing struct {
		Status string `json:"status"`
	} `json:"routing"`
}

// attributes is the text of Attributes.
func (p params) attributes() (string, error) {
	raw := bytes.TrimSpace(p.Attributes)
	if len(raw) == 0 {
		return "{}", nil
	}
	if raw[0] != '"' {
		return string(raw), nil
	}
	var text string
	if json.Unmarshal(raw, &text) != nil || !json.Valid([]byte(text)) {
		return "", badRequest("Attributes is not valid JSON")
	}
	return text, nil
}

func (s *Server) serveRequest(w http.ResponseWriter, r *http.Request) {
	var b bridged
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || json.Unmarshal(body, &b) != nil {
		send(w, http.StatusBadRequest, object{"code": 20001, "message": "The request body is not a JSON object with url, method, params and token"})
		return
	}
	login, code, why := s.e.Login(b.Token)
	if code != 0 {
		send(w, http.StatusUnauthorized, object{"code": code, "message": why})
		return
	}
	payload, err := s.bridged(login, r, b)
	status, answer := http.StatusOK, object{"code": http.StatusOK, "payload": payload}
	if err != nil {
		no := s.refusal(err)
		status, answer = no.status, object{"code": no.code, "message": no.message, "status": no.status}
	}
	s.note(Request{Worker: login.SID, Method: b.Method, URL: b.URL, Params: b.Params, Status: status})
	send(w, status, answer)
}

func (s *Server) refusal(err error) *refusal {
	var no *refusal
	switch {
	case errors.As(err, &no):
		return no
	case problem.Is(err, problem.NotFound):
		return errNotFound
	case problem.Is(err, problem.AttributesInvalid):
		return &refusal{http.StatusBadRequest, 20001, err.Error()}
	}
	s.log.Error("flex ui: a request failed", "error", err)
	return &refusal{http.StatusInternalServerError, 20500, "An internal server error has occurred"}
}

func (s *Server) bridged(login emulator.Login, r *http.Request, b bridged) (any, error) {
	var p params
	if len(b.Params) > 0 && json.Unmarshal(b.Params, &p) != nil {
		return nil, badRequest("the parameters are not understood")
	}
	path := strings.Split(strings.Trim(b.URL, "/"), "/")
	if len(path) > 2 && path[0] == "v1" && path[1] == "Interactions" {
		return s.interactions(login, b.Method, path[2:], p)
	}
	if path[0] == "v1" {
		path = path[1:]
	}
	if len(path) < 3 || path[0] != "Workspaces" || path[1] != s.e.Account().WorkspaceSID {
		return nil, errNotFound
	}
	path = path[2:]
	is := func(method string, want ...string) bool {
		return b.Method == method && slices.EqualFunc(want, path, func(want, part string) bool { return want == "*" || want == part })
	}
	const get, post = http.MethodGet, http.MethodPost
	switch {
	case is(get, "Activities"):
		return s.activities(), nil
	case is(get, "TaskQueues"):
		return list([]object{s.wireQueue()}), nil
	case is(get, "Workers"):
		return s.workers(p), nil
	case is(post, "Tasks"):
		return s.createTask(login, p)
	case is(post, "Tasks", "*"):
		return s.updateTask(login, path[1], p)
	case is(post, "Tasks", "*", "Reservations", "*"):
		return s.supervise(login, path[1], path[3], p)
	case is(get, "Tasks", "*"):
		s.mu.Lock()
		defer s.mu.Unlock()
		if o := s.ofTask(path[1], login.SID); o != nil {
			return s.wireTask(o), nil
		}
		return nil, errNotFound
	case is(get, "Workers", "*"):
		agent, err := s.e.Agent(path[1])
		return s.wireWorker(agent), err
	}
	if len(path) < 2 || path[0] != "Workers" || path[1] != login.SID {
		return nil, errNotFound
	}
	switch {
	case is(post, "Workers", "*"):
		return s.updateWorker(login, r, p)
	case is(get, "Workers", "*", "WorkerChannels"), is(get, "Workers", "*", "Channels"):
		return s.workerChannels(login.SID), nil
	case is(get, "Workers", "*", "Reservations"):
		return s.activeReservations(login.SID), nil
	case is(post, "Workers", "*", "Reservations", "*"):
		return s.updateReservation(login, path[3], p)
	case is(post, "Workers", "*", "CustomerParticipant"):
		return s.customerParticipant(login, p)
	case is(post, "Workers", "*", "WorkerParticipant"):
		return s.workerParticipant(login, p)
	case is(post, "Workers", "*", "Transfers"):
		return s.createTransfer(login, p)
	case is(post, "Workers", "*", "Transfers", "*"):
		return s.updateTransfer(login, path[3], p)
	case is(post, "Workers", "*", "KickWorkerParticipant"), is(post, "Workers", "*", "HoldWorkerParticipant"):
		return s.otherParticipant(login, p, path[2] == "KickWorkerParticipant")
	}
	return nil, errNotFound
}

// list has both of the ways in which Flex asks for the next page.
func list[T any](rows []T) object {
	return object{"contents": rows, "after_sid": nil, "meta": object{"next_token": nil}}
}

func (s *Server) activities() object {
	account := s.e.Account()
	rows := []object{}
	for _, a := range s.e.Export().Activities {
		rows = append(rows, object{
			"account_sid": account.SID, "workspace_sid": account.WorkspaceSID, "sid": a.SID, "friendly_name": a.FriendlyName,
			"available": a.Available, "date_created": 1700000000, "date_updated": 1700000000,
		})
	}
	return list(rows)
}

func (s *Server) wireQueue() object {
	account := s.e.Account()
	return object{
		"friendly_name": "Everyone", "sid": s.queue(), "account_sid": account.SID, "workspace_sid": account.WorkspaceSID,
		"reservation_activity_name": "", "assignment_activity_name": "", "target_workers": "1==1", "max_reserved_workers": 1,
		"task_order": "FIFO", "reservation_activity_sid": nil, "assignment_activity_sid": nil,
		"date_created": 1700000000, "date_updated": 1700000000, "lifo_queue": false,
	}
}

// workers is the first page of the transfer directory.
func (s *Server) workers(p params) object {
	all := s.e.Agents()
	if field, direction, _ := strings.Cut(p.Ordering, ":"); field == "DateStatusChanged" {
		slices.SortStableFunc(all, func(a, b emulator.Agent) int {
			if direction == "desc" {
				a, b = b, a
			}
			return a.StatusChanged.Compare(b.StatusChanged)
		})
	}
	if p.PageSize > 0 && len(all) > p.PageSize {
		all = all[:p.PageSize]
	}
	rows := make([]wireWorker, len(all))
	for i, a := range all {
		rows[i] = s.wireWorker(a)
	}
	return list(rows)
}

func (s *Server) updateWorker(login emulator.Login, r *http.Request, p params) (any, error) {
	if want := strings.Trim(r.Header.Get("If-Match"), `"`); want != "" && want != decimal(login.Version) {
		return nil, &refusal{http.StatusPreconditionFailed, 20412, "Precondition failed"}
	}
	var change emulator.AgentChange
	if len(p.Attributes) > 0 {
		text, err := p.attributes()
		if err != nil {
			return nil, err
		}
		change.Attributes = &text
	}
	if p.ActivitySid != "" {
		change.Activity = &p.ActivitySid
		if n := s.pending(login.SID); n > 0 && !p.RejectPendingReservations && p.ActivitySid != login.ActivitySID {
			return nil, badRequest(fmt.Sprintf("Worker %s cannot have its activity updated while it has %d pending reservations.", login.SID, n))
		}
	}
	agent, err := s.e.ChangeAgent(login.SID, change)
	if err != nil {
		return nil, err
	}
	if p.RejectPendingReservations {
		s.mu.Lock()
		for _, o := range s.offers {
			if o.worker == login.SID && o.status == pending && !o.accepting {
				s.finish(o, rejected)
			}
		}
		s.mu.Unlock()
	}
	return s.wireWorker(agent), nil
}

// pending counts the worker's offers that are not answered.
func (s *Server) pending(worker string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, o := range s.offers {
		if o.worker == worker && o.status == pending {
			n++
		}
	}
	return n
}

func (s *Server) workerChannels(worker string) object {
	account := s.e.Account()
	s.mu.Lock()
	calls, slots, chats := s.tasks(worker, voice), s.voiceTasks, s.tasks(worker, chat)
	s.mu.Unlock()
	channel := func(n byte, name string, capacity, tasks int) object {
		return object{
			"account_sid": account.SID, "workspace_sid": account.WorkspaceSID, "worker_sid": worker, "sid": "WC" + worker[2:33] + string('0'+n),
			"task_channel_sid": s.fixed("TC", n), "task_channel_unique_name": name, "assigned_tasks": tasks, "available": tasks < capacity,
			"available_capacity_percentage": 100 * max(0, capacity-tasks) / capacity, "configured_capacity": capacity,
			"date_created": 1700000000, "date_updated": 1700000000, "last_reserved_time": 0,
		}
	}
	return list([]object{channel(1, voice, slots, calls), channel(2, chat, chatTasks, chats)})
}

// activeReservations is what Flex gets its tasks back from after a reload.
func (s *Server) activeReservations(worker string) object {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := []wireReservation{}
	for _, o := range s.offers {
		if o.worker == worker && o.open() {
			rows = append(rows, s.wireReservation(o))
		}
	}
	return list(rows)
}

// refusal is an answer that is not 200.
type refusal struct {
	status, code int
	message      string
}

func (r *refusal) Error() string { return r.message }

func badRequest(message string) error { return &refusal{http.StatusBadRequest, 20001, message} }

var errNotFound = &refusal{http.StatusNotFound, 20404, "The requested resource was not found"}

// updateReservation is POST Workers/WK/Reservations/WR.
func (s *Server) updateReservation(login emulator.Login, sid string, p params) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.ofReservation(sid)
	if o == nil || o.worker != login.SID {
		return nil, errNotFound
	}
	switch {
	case p.Instruction == "conference":
		if o.status != pending || o.accepting || o.channel == chat {
			return nil, badRequest("the reservation is " + o.status + ", not pending")
		}
		s.accept(o, p.To, p.EndConferenceOnExit == nil || *p.EndConferenceOnExit)
	case p.Instruction != "":
		return nil, badRequest("the emulator has no instruction " + p.Instruction)
	case p.ReservationStatus == accepted && o.status == pending && !o.accepting:
		s.take(o)
	case p.ReservationStatus == rejected && o.status == pending:
		s.finish(o, rejected)
	case p.ReservationStatus == wrapping && o.status == accepted:
		s.wrapUp(o)
	case p.ReservationStatus == completed && (o.status == wrapping || o.status == accepted):
		s.complete(o, p.Reason)
	default:
		return nil, badRequest("a reservation that is " + o.status + " cannot become " + p.ReservationStatus)
	}
	return s.wireReservation(o), nil
}

// updateTask is POST Tasks/WT.
func (s *Server) updateTask(login emulator.Login, sid string, p params) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.ofTask(sid, login.SID)
	if o == nil {
		return nil, errNotFound
	}
	if len(p.Attributes) > 0 {
		text, err := p.attributes()
		if err != nil {
			return nil, err
		}
		var changed object
		if json.Unmarshal([]byte(text), &changed) != nil || changed == nil {
			return nil, badRequest("Attributes is not a JSON object")
		}
		o.attributes = changed
		s.touch(o)
		s.tell(o.worker, "task.updated", s.wireTask(o))
	}
	switch {
	case p.AssignmentStatus == "":
	case p.AssignmentStatus == wrapping && o.status == accepted:
		s.wrapUp(o)
	case p.AssignmentStatus == completed && (o.status == accepted || o.status == wrapping):
		s.complete(o, p.Reason)
	case p.AssignmentStatus == canceled && o.status == pending:
		s.finish(o, canceled)
	default:
		return nil, badRequest("a task that is " + o.taskState + " cannot become " + p.AssignmentStatus)
	}
	return s.wireTask(o), nil
}

// createTask is POST Tasks: the agent calls out.
func (s *Server) createTask(login emulator.Login, p params) (any, error) {
	text, err := p.attributes()
	if err != nil {
		return nil, err
	}
	var attributes object
	if json.Unmarshal([]byte(text), &attributes) != nil || attributes == nil {
		return nil, badRequest("Attributes is not a JSON object")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case p.RoutingTarget != login.SID:
		return nil, badRequest("the emulator routes a task only to the worker who makes it")
	case p.TaskChannelUniqueName != voice:
		return nil, badRequest("the emulator has no tasks in the channel " + strings.TrimSpace(p.TaskChannelUniqueName))
	case s.busy(login.SID):
		return nil, badRequest("the worker has a call")
	}
	attributes["call_sid"] = s.sid("CA")
	o := s.reserve(login.SID, &task{sid: s.sid("WT"), attributes: attributes, outbound: true}, nil)
	return s.wireTask(o), nil
}
