package flexui_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/emulatortest"
	"github.com/flexvc/flexvc/internal/emulator/flexui"
	"github.com/flexvc/flexvc/internal/problem"
)

// offered returns the desk, its events and a pending reservation.
func offered(t *testing.T, p flexui.Phone) (*desk, *events, flexui.Reservation) {
	t.Helper()
	d := open(t, func(o *flexui.Options) { o.Phone = p })
	x := d.connect()
	r, err := d.s.Offer(flexui.Incoming{Worker: "agent", From: "+15551239876"})
	if err != nil {
		t.Fatal(err)
	}
	created := x.next("reservation.created")
	if sid(t, created, "sid") != r.SID || created["reservation_status"] != "pending" {
		t.Errorf("created %v, offered %v", created, r)
	}
	return d, x, r
}

func (d *desk) reservation(r flexui.Reservation) string {
	return d.ws + "/Workers/" + d.worker + "/Reservations/" + r.SID
}

var conferenceInstruction = object{
	"Instruction": "conference", "EndConferenceOnExit": true, "EndConferenceOnCustomerExit": true, "ConferenceRecord": false,
	"To": "client:ext_agent_40example_2Ecom?flex_session_identifier=a%20b",
}

func TestACallFromOfferToCompletion(t *testing.T) {
	p := newTelephone()
	d, x, r := offered(t, p)
	d.must("POST", d.reservation(r), conferenceInstruction)

	l := <-p.ready
	want := flexui.Dialled{Identity: "ext_agent_40example_2Ecom", From: "+15551239876", Parameters: map[string]string{"flex_session_identifier": "a b"}}
	if got := p.rung[0]; got.Identity != want.Identity || got.From != want.From || !maps.Equal(got.Parameters, want.Parameters) {
		t.Errorf("rang %+v, want %+v", got, want)
	}
	if now := d.s.Reservations()[0]; now.Status != "pending" {
		t.Errorf("the reservation is %s before the voice client answered", now.Status)
	}
	close(l.answered)

	accepted := x.next("reservation.accepted")
	task := accepted["task"].(object)
	conference := parsed(t, task)["conference"].(object)
	if parties := conference["participants"].(object); parties["worker"] != legSID || task["assignment_status"] != "assigned" {
		t.Errorf("accepted: %v", accepted)
	}
	if _, there := task["task_transfer"]; there {
		t.Error("a task without a transfer has task_transfer: Flex takes null for one")
	}
	x.next("task.updated")
	customer, agent := x.next("participant.added"), x.next("participant.added")
	if customer["type"] != "customer" || agent["type"] != "agent" {
		t.Errorf("participants %v and %v", customer, agent)
	}

	interaction := "v1/Interactions/KD" + r.Task[2:] + "/Channels"
	channels := d.must("GET", interaction, object{})["channels"].([]any)
	channel := channels[0].(object)
	if channel["media_sid"] != conference["sid"] || channel["status"] != "active" {
		t.Errorf("channel %v, conference %v", channel, conference)
	}
	listed := d.must("GET", interaction+"/"+sid(t, channel, "sid")+"/Participants", object{})["participants"].([]any)
	if listed[0].(object)["sid"] != customer["participant_sid"] || listed[1].(object)["sid"] != agent["participant_sid"] {
		t.Errorf("listed %v, told of %v and %v", listed, customer, agent)
	}

	held := d.must("POST", d.ws+"/Workers/"+d.worker+"/CustomerParticipant", object{"TaskSid": r.Task, "Hold": true, "HoldMethod": "GET"})
	if held["sid"] != r.Task || held["queue_sid"] == nil {
		t.Errorf("hold answered %v, Flex needs the whole task", held)
	}
	modified := x.next("participant.modified")
	if media := modified["media_properties"].(object); one(media["Hold"]) != "true" || one(media["SequenceNumber"]) != "2" || modified["participant_sid"] != customer["participant_sid"] {
		t.Errorf("held: %v", modified)
	}
	if now := p.hears(); len(now) != 2 || !now[0].Hold || now[1].Hold {
		t.Errorf("with the customer on hold the room has %+v", now)
	}
	d.must("POST", d.ws+"/Workers/"+d.worker+"/CustomerParticipant", object{"TaskSid": r.Task, "Hold": false})
	if now := p.hears(); now[0].Hold {
		t.Errorf("with the customer back the room has %+v", now)
	}
	x.next("participant.modified")
	d.must("POST", d.ws+"/Workers/"+d.worker+"/WorkerParticipant", object{"ReservationSid": r.SID, "Mute": true})
	if media := x.next("participant.modified")["media_properties"].(object); one(media["Muted"]) != "true" {
		t.Errorf("muted: %v", media)
	}

	l.Hangup() // the agent's client
	x.next("participant.removed")
	if wrapup := x.next("reservation.wrapup"); wrapup["reservation_status"] != "wrapping" {
		t.Errorf("wrap-up: %v", wrapup)
	}
	if wrapup := x.next("task.wrapup"); wrapup["assignment_status"] != "wrapping" {
		t.Errorf("wrap-up: %v", wrapup)
	}
	d.must("POST", d.reservation(r), object{"ReservationStatus": "completed"})
	x.next("task.completed")
	x.next("reservation.completed")
	if left := d.must("GET", d.ws+"/Workers/"+d.worker+"/Reservations", object{"Active": "true", "PageSize": 1000})["contents"].([]any); len(left) != 0 {
		t.Errorf("active after completion: %v", left)
	}
	if status, _ := d.ask("POST", d.reservation(r), object{"ReservationStatus": "completed"}); status != http.StatusBadRequest {
		t.Errorf("completing twice: %d", status)
	}
}

func one(v any) string { return v.([]any)[0].(string) }

func TestAReloadFindsTheCallAgain(t *testing.T) {
	d, x, r := offered(t, nil)
	d.must("POST", d.reservation(r), conferenceInstruction)
	x.next("participant.added")
	_ = x.conn.CloseNow()

	y := d.connect()
	rows := d.must("GET", d.ws+"/Workers/"+d.worker+"/Reservations", object{"Active": "true", "PageSize": 1000})["contents"].([]any)
	if len(rows) != 1 || rows[0].(object)["reservation_status"] != "accepted" {
		t.Fatalf("after the reload: %v", rows)
	}
	if err := d.s.Hangup(r.SID); err != nil {
		t.Fatal(err)
	}
	y.next("reservation.wrapup")
}

func TestEndingsOfAnOffer(t *testing.T) {
	for name, end := range map[string]func(*desk, flexui.Reservation){
		"rejected": func(d *desk, r flexui.Reservation) {
			d.must("POST", d.reservation(r), object{"ReservationStatus": "rejected"})
		},
		"canceled": func(d *desk, r flexui.Reservation) {
			if err := d.s.Hangup(r.SID); err != nil {
				d.Error(err)
			}
		},
		"timeout": func(d *desk, r flexui.Reservation) { d.must("POST", d.reservation(r), conferenceInstruction) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newTelephone()
			p.err = problem.New(problem.WorkerOffline, "nobody is registered")
			d, x, r := offered(t, p)
			end(d, r)
			if got := x.next("reservation." + name); got["sid"] != r.SID || got["reservation_status"] != name {
				t.Errorf("ended as %v", got)
			}
			if _, err := d.s.Offer(flexui.Incoming{Worker: d.worker}); err != nil {
				t.Errorf("the next offer: %v", err)
			}
		})
	}
}

func TestAClientThatDoesNotAnswerLosesTheOffer(t *testing.T) {
	p := newTelephone()
	d, x, r := offered(t, p)
	d.must("POST", d.reservation(r), conferenceInstruction)
	(<-p.ready).Hangup()
	x.next("reservation.timeout")
	if got := d.s.Reservations()[0]; got.Status != "timeout" || got.Live {
		t.Errorf("left over: %+v", got)
	}
}

func TestACustomerGivesUpWhileTheClientRings(t *testing.T) {
	p := newTelephone()
	d, x, r := offered(t, p)
	d.must("POST", d.reservation(r), conferenceInstruction)
	l := <-p.ready
	if err := d.s.Hangup(r.SID); err != nil {
		t.Fatal(err)
	}
	x.next("reservation.canceled")
	select {
	case <-l.ended:
	case <-time.After(10 * time.Second):
		t.Error("the agent's client rings on")
	}
}

func TestAnOfferStandsTwoMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := emulatortest.New(emulator.Options{Seed: &emulator.Seed{Workers: []emulator.SeedWorker{{FriendlyName: "agent", Activity: "Available"}}}})
		if err != nil {
			t.Fatal(err)
		}
		s := flexui.New(flexui.Options{Emulator: e})
		defer func() {
			s.Close()
			_ = e.Close()
		}()
		if _, err := s.Offer(flexui.Incoming{Worker: "AGENT"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Minute - time.Second)
		synctest.Wait()
		if got := s.Reservations()[0].Status; got != "pending" {
			t.Errorf("a second before its end the offer is %s", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := s.Reservations()[0].Status; got != "timeout" {
			t.Errorf("after its end the offer is %s", got)
		}
	})
}

func TestNoOfferToWhoCannotTakeIt(t *testing.T) {
	d := open(t, nil)
	for name, want := range map[string]problem.Code{"other": problem.WorkerOffline, "nobody": problem.NotFound} {
		if _, err := d.s.Offer(flexui.Incoming{Worker: name}); !problem.Is(err, want) {
			t.Errorf("offering %s a call: %v, want %s", name, err, want)
		}
	}
	if _, err := d.s.Offer(flexui.Incoming{Worker: "agent"}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.s.Offer(flexui.Incoming{Worker: "agent"}); !problem.Is(err, problem.WorkerOffline) {
		t.Errorf("a second call at once: %v", err)
	}
}

func TestGoingAwayRejectsWhatIsPending(t *testing.T) {
	d, x, _ := offered(t, nil)
	x2, err := d.s.Offer(flexui.Incoming{Worker: "agent", Channel: "chat"})
	if err != nil || x2.Channel != "chat" {
		t.Fatalf("a chat beside a call: %+v, %v", x2, err)
	}
	var offline string
	for _, a := range d.e.Export().Activities {
		if a.FriendlyName == "Offline" {
			offline = a.SID
		}
	}
	status, _ := d.ask("POST", d.ws+"/Workers/"+d.worker, object{"ActivitySid": offline})
	if status != 400 {
		t.Errorf("going away with pending reservations: %d", status)
	}
	d.must("POST", d.ws+"/Workers/"+d.worker, object{"ActivitySid": offline, "RejectPendingReservations": true})
	x.next("reservation.rejected")
	x.next("reservation.rejected")
}

func TestAnOutboundCall(t *testing.T) {
	p := newTelephone()
	d := open(t, func(o *flexui.Options) { o.Phone = p })
	x := d.connect()
	account := d.e.Account()
	params := object{
		"WorkflowSid": "WW" + account.WorkspaceSID[2:], "TaskQueueSid": "WQ" + account.WorkspaceSID[2:], "RoutingTarget": d.worker,
		"TaskChannelUniqueName": "voice",
		"Attributes":            object{"direction": "outbound", "outbound_to": "+15557654321", "from": "+15559870000", "flex_session_identifier_task_created": "u"},
	}
	task := d.must("POST", d.ws+"/Tasks", params)
	created := x.next("reservation.created")
	inside := created["task"].(object)
	if inside["sid"] != task["sid"] || inside["routing_target"] != d.worker {
		t.Errorf("created %v for %v", created, task)
	}
	a := parsed(t, inside)
	if _, named := a["name"]; named || a["flex_session_identifier_task_created"] != "u" || a["call_sid"] == nil {
		t.Errorf("attributes %v", a)
	}
	if status, _ := d.ask("POST", d.ws+"/Tasks", params); status != http.StatusBadRequest {
		t.Errorf("a second call at once: %d", status)
	}
	d.must("POST", d.ws+"/Workers/"+d.worker+"/Reservations/"+sid(t, created, "sid"), conferenceInstruction)
	close((<-p.ready).answered)
	x.next("reservation.accepted")
}

func TestATaskIsChangedByItsAgent(t *testing.T) {
	d, x, r := offered(t, nil)
	d.must("POST", d.ws+"/Tasks/"+r.Task, object{"Attributes": object{"note": "x"}})
	if a := parsed(t, x.next("task.updated")); a["note"] != "x" {
		t.Errorf("attributes %v", a)
	}
	if status, _ := d.ask("POST", d.ws+"/Tasks/"+r.Task, object{"AssignmentStatus": "completed"}); status != http.StatusBadRequest {
		t.Errorf("completing a task that is not accepted: %d", status)
	}
	d.must("POST", d.reservation(r), conferenceInstruction)
	x.next("participant.added")
	d.must("POST", d.ws+"/Tasks/"+r.Task, object{"AssignmentStatus": "wrapping"})
	x.next("task.wrapup")
	d.must("POST", d.ws+"/Tasks/"+r.Task, object{"AssignmentStatus": "completed", "Reason": "done"})
	if done := x.next("task.completed"); done["reason"] != "done" {
		t.Errorf("completed: %v", done)
	}
}

func TestAResetTakesTheTasksAway(t *testing.T) {
	d, x, _ := offered(t, nil)
	if err := d.e.Reset(); err != nil {
		t.Fatal(err)
	}
	x.next("reservation.canceled")
	if left := d.s.Reservations(); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}

// An agent must not touch what is another's, whatever SIDs its page sends.
func TestATokenOpensOnlyItsAgentsThings(t *testing.T) {
	d, _, r := offered(t, nil)
	own := d.reservation(r)
	var err error
	other := d.e.Agents()[1].SID
	if d.token, err = d.e.MintFlexToken(other, time.Hour); err != nil {
		t.Fatal(err)
	}
	for path, params := range map[string]object{
		own:                                      {"ReservationStatus": "rejected"},
		strings.Replace(own, d.worker, other, 1): {"ReservationStatus": "rejected"},
		d.ws + "/Workers/" + d.worker:            {"Attributes": object{}},
		d.ws + "/Tasks/" + r.Task:                {"Attributes": object{}},
		d.ws + "/Workers/" + other + "/CustomerParticipant": {"TaskSid": r.Task, "Hold": true},
	} {
		if status, _ := d.ask("POST", path, params); status != http.StatusNotFound {
			t.Errorf("POST %s with another's token: %d", path, status)
		}
	}
	d.token = "nobody's"
	if status, _ := d.ask("GET", d.ws+"/Activities", object{}); status != http.StatusUnauthorized {
		t.Errorf("with no good token: %d", status)
	}
	if got := d.s.Reservations()[0].Status; got != "pending" {
		t.Errorf("the reservation is %s", got)
	}
}

// What COVERAGE.md claims is asked for, in a call that goes on.
func TestEveryCoveredRequestIsServed(t *testing.T) {
	for _, row := range flexui.Served() {
		two := talking(t)
		d, x, r := two.a, two.atA, two.reservation
		if strings.HasSuffix(row[1], "KickWorkerParticipant") || strings.HasSuffix(row[1], "HoldWorkerParticipant") {
			two.accept(two.b, two.reservedForB(t, two.transfer("WARM")))
			x.next("task.transfer-completed")
		}
		transfer := ""
		if strings.HasSuffix(row[1], "/TT") {
			transfer = sid(t, two.transfer("WARM"), "sid")
		}
		agent := d.must("GET", "v1/Interactions/KD"+r.Task[2:]+"/Channels/"+two.channel+"/Participants", object{})["participants"].([]any)[1].(object)
		path := strings.NewReplacer("WS", d.e.Account().WorkspaceSID, "WK", d.worker, "WT", r.Task, "WR", r.SID, "KD", "KD"+r.Task[2:],
			"UO", two.channel, "UT", sid(t, agent, "sid"), "TT", transfer).Replace(row[1])
		params := map[string]object{
			"Workspaces/WS/Workers/WK/Reservations/WR":       {"ReservationStatus": "wrapping"},
			"Workspaces/WS/Workers/WK/CustomerParticipant":   {"TaskSid": r.Task, "Hold": true},
			"Workspaces/WS/Workers/WK/WorkerParticipant":     {"ReservationSid": r.SID, "Mute": true},
			"Workspaces/WS/Tasks":                            {"RoutingTarget": d.worker, "TaskChannelUniqueName": "voice"},
			"Workspaces/WS/Workers/WK/Transfers":             {"TaskSid": r.Task, "ReservationSid": r.SID, "To": two.b.worker},
			"Workspaces/WS/Workers/WK/Transfers/TT":          {"TaskSid": r.Task, "TransferStatus": "canceled"},
			"Workspaces/WS/Workers/WK/KickWorkerParticipant": {"TaskSid": r.Task, "TargetWorkerSid": two.b.worker},
			"Workspaces/WS/Workers/WK/HoldWorkerParticipant": {"TaskSid": r.Task, "TargetWorkerSid": two.b.worker, "Hold": true},
			"Workspaces/WS/Tasks/WT/Reservations/WR":         {"Instruction": "supervise", "Supervisor": two.b.worker, "SupervisorMode": "monitor"},
			"v1/Interactions/KD/Channels/UO":                 {"status": "closed", "routing": object{"status": "wrapup"}},
			"v1/Interactions/KD/Channels/UO/Participants":    {"type": "external"},
		}[row[1]]
		if row[1] == "Workspaces/WS/Tasks/WT/Reservations/WR" {
			d = two.b
			text := supervisorAttributes
			if _, err := d.e.ChangeAgent(d.worker, emulator.AgentChange{Attributes: &text}); err != nil {
				t.Fatal(err)
			}
		}
		want := http.StatusOK
		if row[1] == "Workspaces/WS/Tasks" {
			want = http.StatusBadRequest // the worker has a call
		}
		if status, _ := d.ask(row[0], path, params); status != want {
			t.Errorf("%s %s: %d, want %d", row[0], row[1], status, want)
		}
		if row[1] == "v1/Interactions/KD/Channels/UO" {
			x.next("reservation.wrapup")
		}
	}
}
