package flexui_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/emulator"
)

const supervisorAttributes = `{"roles":["supervisor"],"contact_uri":"client:ext_boss"}`

// supervised is an agent in a call, and a supervisor who looks on.
func supervised(t *testing.T) (p *pair, boss *desk, instruction object) {
	t.Helper()
	p = talking(t)
	text := supervisorAttributes
	if _, err := p.a.e.ChangeAgent(p.b.worker, emulator.AgentChange{Attributes: &text}); err != nil {
		t.Fatal(err)
	}
	return p, p.b, object{"To": "client:ext_boss", "Instruction": "supervise", "Supervisor": p.b.worker, "SupervisorMode": "monitor"}
}

func (p *pair) supervise() string {
	return p.a.ws + "/Tasks/" + p.reservation.Task + "/Reservations/" + p.reservation.SID
}

func TestASupervisorListensAndCoachesAndLeaves(t *testing.T) {
	p, boss, instruction := supervised(t)
	page := &twilsock{boss, boss.dial("wss://tsock.us1.twilio.com/v3/wsconnect")}
	_, query := page.carry("POST", "cds.us1.twilio.com", "/v3/Insights/tr-reservation/Items", `{"query_string":"data.worker_sid == \"`+p.a.worker+`\"","type":"live_query"}`)
	row := query["items"].([]any)[0].(object)["data"].(object)
	if row["task_sid"] != p.reservation.Task || row["status"] != "accepted" {
		t.Errorf("the agent's reservation is %v", row)
	}
	_, descriptor := page.carry("GET", "cds.us1.twilio.com", "/v3/Maps/"+p.reservation.Task+".CS", "")
	conference := descriptor["sid"].(string)
	page.carry("POST", "cds.us1.twilio.com", "/v4/Subscriptions", `{"event_protocol_version":3,"action":"establish","correlation_id":1,"requests":[{"object_sid":"`+conference+`","object_type":"map","last_event_id":3}]}`)
	if _, payload := page.hear(); !strings.Contains(payload, "subscription_established") {
		t.Fatal(payload)
	}
	happens := func(kind string) (call string, data object) {
		t.Helper()
		_, payload := page.hear()
		var v struct {
			Type  string `json:"event_type"`
			Event struct {
				Key  string `json:"item_key"`
				Data object `json:"item_data"`
			} `json:"event"`
		}
		if err := json.Unmarshal([]byte(payload), &v); err != nil || v.Type != kind {
			t.Fatalf("%s, want %s (%v)", payload, kind, err)
		}
		return v.Event.Key, v.Event.Data
	}

	boss.must("POST", p.supervise(), instruction)
	l := <-p.phone.ready
	close(l.answered)
	call, joined := happens("map_item_added")
	if call != l.SID() || joined["participant_type"] != "supervisor" || joined["worker_sid"] != boss.worker || joined["muted"] != true {
		t.Errorf("%s: %v", call, joined)
	}
	p.atA.next("participant.added")
	if now := p.phone.hears(); len(now) != 3 || now[2].Leg != l || !now[2].Muted || now[1].Muted {
		t.Errorf("while the supervisor listens the room has %+v", now)
	}

	// What a function does with the account's credentials.
	account := p.a.e.Account()
	var list struct {
		Participants []struct {
			CallSID string `json:"call_sid"`
			Muted   bool
		}
	}
	sids := "https://api.twilio.com/2010-04-01/Accounts/" + account.SID + "/Conferences/" + sid(t, joined, "conference_sid") + "/Participants"
	auth := []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(account.SID+":"+account.AuthToken)), "Content-Type", "application/x-www-form-urlencoded"}
	p.a.send("GET", sids+".json", "", auth...).into(t, &list)
	if len(list.Participants) != 3 || list.Participants[2].CallSID != l.SID() || !list.Participants[2].Muted {
		t.Errorf("the participants are %+v", list.Participants)
	}
	change := func(call string, values url.Values) answer {
		return p.a.send("POST", sids+"/"+call+".json", values.Encode(), auth...)
	}
	if a := change(l.SID(), url.Values{"Coaching": {"true"}}); a.StatusCode != http.StatusBadRequest {
		t.Errorf("coaching nobody: %d", a.StatusCode)
	}
	if a := change(l.SID(), url.Values{"Coaching": {"true"}, "CallSidToCoach": {p.leg.SID()}, "Muted": {"false"}}); a.StatusCode != http.StatusOK || !strings.Contains(a.text, `"coaching":true`) {
		t.Errorf("coaching: %d %s", a.StatusCode, a.text)
	}
	if now := p.phone.hears(); now[2].Muted || now[2].Coaches != p.leg {
		t.Errorf("while the supervisor coaches the room has %+v", now)
	}
	if _, changed := happens("map_item_updated"); changed["coaching"] != true || changed["muted"] != false {
		t.Errorf("coaching: %v", changed)
	}
	change(l.SID(), url.Values{"Coaching": {"false"}})
	if now := p.phone.hears(); now[2].Muted || now[2].Coaches != nil {
		t.Errorf("after barging in the room has %+v", now)
	}
	happens("map_item_updated")
	if a := change("CA00000000000000000000000000000000", url.Values{"Muted": {"true"}}); a.StatusCode != http.StatusNotFound {
		t.Errorf("a participant who is not there: %d", a.StatusCode)
	}

	l.Hangup()
	if _, left := happens("map_item_updated"); left["status"] != "left" {
		t.Errorf("left: %v", left)
	}
	p.leg.over(t, false)
	if now := p.a.s.Reservations()[0]; now.Status != "accepted" || !now.Live {
		t.Errorf("after the supervisor left: %+v", now)
	}
}

func TestASupervisorGoesWithTheAgent(t *testing.T) {
	p, boss, instruction := supervised(t)
	boss.must("POST", p.supervise(), instruction)
	l := <-p.phone.ready
	close(l.answered)
	for p.atA.next("participant.added")["type"] != "supervisor" {
	}
	p.a.must("POST", p.a.ws+"/Workers/"+p.a.worker+"/WorkerParticipant", object{"ReservationSid": p.reservation.SID, "EndConferenceOnExit": false})
	p.leg.Hangup()
	<-l.ended
}

func TestSuperviseIsForSupervisors(t *testing.T) {
	p, boss, instruction := supervised(t)
	wrong := func(d *desk, path string, want int, key string, value any) {
		t.Helper()
		asked := object{}
		for k, v := range instruction {
			asked[k] = v
		}
		asked[key] = value
		if status, _ := d.ask("POST", path, asked); status != want {
			t.Errorf("%s %v: %d, want %d", key, value, status, want)
		}
	}
	wrong(p.a, p.supervise(), http.StatusForbidden, "Supervisor", p.a.worker)
	wrong(boss, p.supervise(), http.StatusBadRequest, "Supervisor", p.a.worker)
	wrong(boss, p.supervise(), http.StatusBadRequest, "SupervisorMode", "shout")
	wrong(boss, p.supervise(), http.StatusBadRequest, "Instruction", "conference")
	wrong(boss, p.supervise()+"0", http.StatusNotFound, "SupervisorMode", "monitor")
	p.leg.Hangup()
	p.atA.next("reservation.wrapup")
	wrong(boss, p.supervise(), http.StatusBadRequest, "SupervisorMode", "monitor")
}
