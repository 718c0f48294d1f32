package flexui_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/flexui"
)

// pair is an agent in a call and a colleague who is free.
type pair struct {
	phone       *telephone
	a, b        *desk
	atA, atB    *events
	reservation flexui.Reservation
	leg         *leg // a's
	channel     string
}

func talking(t *testing.T) *pair {
	t.Helper()
	p := newTelephone()
	d, x, r := offered(t, p)
	other := *d
	other.worker = d.e.Agents()[1].SID
	var err error
	if other.token, err = d.e.MintFlexToken(other.worker, time.Hour); err != nil {
		t.Fatal(err)
	}
	available := d.e.Agents()[0].ActivitySID
	if _, err := d.e.ChangeAgent(other.worker, emulator.AgentChange{Activity: &available}); err != nil {
		t.Fatal(err)
	}
	two := &pair{phone: p, a: d, b: &other, atA: x, atB: other.connect(), reservation: r}
	two.leg = two.accept(d, r.SID)
	x.next("participant.added")
	two.channel = x.next("participant.added")["channel_sid"].(string)
	return two
}

// accept lets an agent take a reservation, and answers with its leg.
func (p *pair) accept(d *desk, reservation string) *leg {
	d.Helper()
	d.must("POST", d.ws+"/Workers/"+d.worker+"/Reservations/"+reservation, conferenceInstruction)
	l := <-p.phone.ready
	close(l.answered)
	return l
}

func (p *pair) transfer(mode string) object {
	p.a.Helper()
	return p.a.must("POST", p.a.ws+"/Workers/"+p.a.worker+"/Transfers", object{
		"ReservationSid": p.reservation.SID, "TaskSid": p.reservation.Task, "To": p.b.worker, "Mode": mode,
	})
}

// reservedForB is the reservation that a transfer made.
func (p *pair) reservedForB(t *testing.T, transfer object) string {
	t.Helper()
	created := p.atB.next("reservation.created")
	came, _ := created["task_transfer"].(object)
	if came["sid"] != transfer["sid"] || came["initiating_worker_sid"] != p.a.worker || created["task"].(object)["sid"] != p.reservation.Task {
		t.Errorf("the colleague is offered %v, the transfer is %v", created, transfer)
	}
	return sid(t, created, "sid")
}

func (p *pair) present(t *testing.T, d *desk) []string {
	t.Helper()
	var kinds []string
	for _, one := range d.must("GET", "v1/Interactions/KD"+p.reservation.Task[2:]+"/Channels/"+p.channel+"/Participants", object{})["participants"].([]any) {
		kinds = append(kinds, one.(object)["type"].(string))
	}
	return kinds
}

func (l *leg) over(t *testing.T, want bool) {
	t.Helper()
	select {
	case <-l.ended:
		if !want {
			t.Error("the call is over")
		}
	default:
		if want {
			t.Error("the call goes on")
		}
	}
}

func TestAWarmTransfer(t *testing.T) {
	p := talking(t)
	transfer := p.transfer("WARM")
	if transfer["transfer_status"] != "initiated" || transfer["transfer_type"] != "WORKER" || transfer["initiating_reservation_sid"] != p.reservation.SID {
		t.Errorf("the transfer: %v", transfer)
	}
	p.atA.next("task.transfer-initiated")
	rows := p.a.must("GET", p.a.ws+"/Workers/"+p.a.worker+"/Reservations", object{})["contents"].([]any)
	if going, _ := rows[0].(object)["active_outgoing_task_transfer"].(object); going["sid"] != transfer["sid"] {
		t.Errorf("after a reload the agent would see %v", rows[0])
	}
	if status, _ := p.a.ask("POST", p.a.ws+"/Workers/"+p.a.worker+"/Transfers", object{"ReservationSid": p.reservation.SID, "TaskSid": p.reservation.Task, "To": p.b.worker}); status != http.StatusBadRequest {
		t.Errorf("a second transfer at once: %d", status)
	}

	second := p.accept(p.b, p.reservedForB(t, transfer))
	if added := p.atA.next("participant.added"); added["type"] != "agent" || added["routing_properties"].(object)["worker_sid"] != p.b.worker {
		t.Errorf("the first agent sees %v", added)
	}
	if done := p.atA.next("task.transfer-completed"); done["transfer_status"] != "complete" {
		t.Errorf("the transfer ended as %v", done)
	}
	p.leg.over(t, false)
	if kinds := p.present(t, p.b); len(kinds) != 3 {
		t.Errorf("in the conference are %v", kinds)
	}

	// As Flex does when a third one joins.
	p.a.must("POST", p.a.ws+"/Workers/"+p.a.worker+"/WorkerParticipant", object{"ReservationSid": p.reservation.SID, "EndConferenceOnExit": false})
	p.leg.Hangup()
	p.atA.next("reservation.wrapup")
	if gone := p.atB.next("participant.removed"); gone["routing_properties"].(object)["worker_sid"] != p.a.worker {
		t.Errorf("the second agent sees %v leave", gone)
	}
	second.over(t, false)
	second.Hangup()
	p.atB.next("reservation.wrapup")
	if kinds := p.present(t, p.a); len(kinds) != 0 {
		t.Errorf("after the end %v are in the conference", kinds)
	}
}

func TestAColdTransferTakesTheAgentOutAtOnce(t *testing.T) {
	p := talking(t)
	reserved := p.reservedForB(t, p.transfer("COLD"))
	p.atA.next("reservation.wrapup")
	p.leg.over(t, true)
	if kinds := p.present(t, p.a); len(kinds) != 1 || kinds[0] != "customer" {
		t.Errorf("waiting are %v", kinds)
	}
	p.accept(p.b, reserved).over(t, false)
	p.atB.next("participant.added")
	if err := p.a.s.Hangup(p.reservation.SID); err != nil {
		t.Fatal(err)
	}
	p.atB.next("reservation.wrapup")
}

func TestATransferThatNobodyTakes(t *testing.T) {
	for mode, over := range map[string]bool{"WARM": false, "COLD": true} {
		p := talking(t)
		reserved := p.reservedForB(t, p.transfer(mode))
		p.b.must("POST", p.b.ws+"/Workers/"+p.b.worker+"/Reservations/"+reserved, object{"ReservationStatus": "rejected"})
		if failed := p.atA.next("task.transfer-failed"); failed["transfer_status"] != "failed" {
			t.Errorf("%s: %v", mode, failed)
		}
		p.leg.over(t, over)
		if kinds := p.present(t, p.a); (len(kinds) == 0) != over {
			t.Errorf("%s: %v are left", mode, kinds)
		}
	}
}

func TestATransferIsCalledOff(t *testing.T) {
	p := talking(t)
	transfer := p.transfer("WARM")
	p.reservedForB(t, transfer)
	canceled := p.a.must("POST", p.a.ws+"/Workers/"+p.a.worker+"/Transfers/"+sid(t, transfer, "sid"), object{"TaskSid": p.reservation.Task, "TransferStatus": "canceled"})
	if canceled["transfer_status"] != "canceled" {
		t.Errorf("called off: %v", canceled)
	}
	p.atA.next("task.transfer-canceled")
	p.atB.next("reservation.canceled")
	p.leg.over(t, false)
}

func TestNoTransferToWhoCannotTakeIt(t *testing.T) {
	p := talking(t)
	ask := func(to string) int {
		status, _ := p.a.ask("POST", p.a.ws+"/Workers/"+p.a.worker+"/Transfers", object{"ReservationSid": p.reservation.SID, "TaskSid": p.reservation.Task, "To": to})
		return status
	}
	if status := ask("WK00000000000000000000000000000000"); status != http.StatusNotFound {
		t.Errorf("to nobody: %d", status)
	}
	if status := ask(p.a.worker); status != http.StatusBadRequest {
		t.Errorf("to itself: %d", status)
	}
	queue := "WQ" + p.a.e.Account().WorkspaceSID[2:]
	if status := ask(queue); status != http.StatusOK {
		t.Errorf("to the queue: %d", status)
	}
	p.atB.next("reservation.created")
}

func TestAnAgentIsTakenOutOfTheConference(t *testing.T) {
	p := talking(t)
	second := p.accept(p.b, p.reservedForB(t, p.transfer("WARM")))
	p.atA.next("task.transfer-completed")
	target := object{"TaskSid": p.reservation.Task, "TargetWorkerSid": p.b.worker}
	hold := object{"TaskSid": p.reservation.Task, "TargetWorkerSid": p.b.worker, "Hold": true}
	if task := p.a.must("POST", p.a.ws+"/Workers/"+p.a.worker+"/HoldWorkerParticipant", hold); task["sid"] != p.reservation.Task {
		t.Errorf("hold answers %v, Flex needs the task", task)
	}
	if held := p.atB.next("participant.modified")["media_properties"].(object); one(held["Hold"]) != "true" {
		t.Errorf("held: %v", held)
	}
	p.a.must("POST", p.a.ws+"/Workers/"+p.a.worker+"/KickWorkerParticipant", target)
	p.atB.next("reservation.wrapup")
	second.over(t, true)
	p.leg.over(t, false)
}

// "Join Call": the agent's client is rung once more, and the old call ends
// without the conference.
func TestAnAgentJoinsItsCallAnew(t *testing.T) {
	p := talking(t)
	channel := "v1/Interactions/KD" + p.reservation.Task[2:] + "/Channels/" + p.channel + "/Participants"
	before := p.a.must("GET", channel, object{})["participants"].([]any)[1].(object)
	invited := p.a.must("POST", channel, object{
		"type":               "agent",
		"media_properties":   object{"coordinates": object{"from": "+15559870000", "to": "client:agent_40example_2Ecom?flex_session_identifier=u"}},
		"routing_properties": object{"task_sid": p.reservation.Task, "reservation_sid": p.reservation.SID, "worker_sid": p.a.worker},
	})
	l := <-p.phone.ready
	close(l.answered)
	if added := p.atA.next("participant.added"); added["participant_sid"] != invited["sid"] {
		t.Errorf("invited %v, joined %v", invited, added)
	}
	p.a.must("POST", channel+"/"+sid(t, before, "sid"), object{"status": "closed"})
	if gone := p.atA.next("participant.removed"); gone["participant_sid"] != before["sid"] {
		t.Errorf("left: %v", gone)
	}
	p.leg.over(t, true)
	l.over(t, false)
	if now := p.a.s.Reservations()[0]; now.Status != "accepted" || !now.Live {
		t.Errorf("the reservation is %+v", now)
	}
	l.Hangup()
	p.atA.next("reservation.wrapup")
}
