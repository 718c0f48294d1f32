package flexui_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/flexvc/flexvc/internal/emulator/flexui"
)

func (d *desk) control(verb, body string) answer {
	d.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/"+verb, strings.NewReader(body))
	d.s.Control().ServeHTTP(w, r)
	resp := w.Result()
	resp.Request = r
	return answer{resp, w.Body.String()}
}

func (d *desk) dial(target string) *websocket.Conn {
	d.Helper()
	conn, _, err := websocket.Dial(d.Context(), target, &websocket.DialOptions{HTTPClient: d.http, HTTPHeader: http.Header{"Origin": {page}}})
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

func TestTheEventBridgeSaysWhoItIsFor(t *testing.T) {
	d := open(t, func(o *flexui.Options) { o.KeepAlive = time.Millisecond })
	x := d.connect()
	account := d.e.Account()
	if x.init["channel_id"] != d.worker || x.init["account_sid"] != account.SID || x.init["workspace_sid"] != account.WorkspaceSID {
		t.Errorf("init: %v", x.init)
	}
	if life := time.Duration(x.init["token_lifetime"].(float64)) * time.Millisecond; life < 59*time.Minute || life > time.Hour {
		t.Errorf("the token lives %s", life)
	}
	if _, data, err := x.conn.Read(t.Context()); err != nil || string(data) != " " {
		t.Errorf("sign of life: %q, %v", data, err)
	}
	if _, resp, err := websocket.Dial(t.Context(), "wss://event-bridge.twilio.com/v1/wschannels?token=nobodys", &websocket.DialOptions{HTTPClient: d.http}); err == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a good token: %v", err)
	}
}

func TestCloseEndsTheSockets(t *testing.T) {
	d := open(t, nil)
	x := d.connect()
	tsock := d.dial("wss://tsock.us1.twilio.com/v3/wsconnect")
	d.s.Close()
	for _, conn := range []*websocket.Conn{x.conn, tsock} {
		if _, _, err := conn.Read(t.Context()); err == nil {
			t.Error("a socket outlives the server")
		}
	}
}

// Flex shows what others do to its worker: flexvc, an administrator.
func TestAWorkerThatOthersChangeIsShown(t *testing.T) {
	d := open(t, nil)
	x := d.connect()
	y := d.connect() // another tab
	if err := d.e.Edit(d.worker, strings.Replace(attributes, "Test Agent", "Renamed", 1)); err != nil {
		t.Fatal(err)
	}
	for _, socket := range []*events{x, y} {
		if got := parsed(t, socket.next("worker.attributes.update")); got["full_name"] != "Renamed" {
			t.Errorf("told of %v", got)
		}
	}
}

func TestAWorkerIsChangedFromFlex(t *testing.T) {
	d := open(t, nil)
	x := d.connect()
	mine := d.ws + "/Workers/" + d.worker
	first := d.must("GET", mine, object{})

	// A number that no float64 holds comes back as it was sent.
	changed := json.RawMessage(strings.Replace(attributes, "ext_", "", 1))
	after := d.must("POST", mine, map[string]json.RawMessage{"Attributes": changed})
	if after["attributes"] != string(changed) || after["version"] == first["version"] {
		t.Errorf("answered %v", after)
	}
	if got := x.next("worker.attributes.update"); got["attributes"] != string(changed) {
		t.Errorf("told of %v", got)
	}
	if stored := d.e.Agents()[0].Attributes; stored != string(changed) {
		t.Errorf("stored %s", stored)
	}
	d.must("POST", mine, object{"Attributes": attributes}) // as a text
	if stored := d.e.Agents()[0].Attributes; stored != attributes {
		t.Errorf("stored %s", stored)
	}

	// The first one is Offline, and the worker was Available: each is a change.
	for _, a := range d.must("GET", d.ws+"/Activities", object{"PageSize": 1000})["contents"].([]any) {
		activity := a.(object)
		d.must("POST", mine, object{"ActivitySid": activity["sid"], "RejectPendingReservations": false})
		if got := x.next("worker.activity.update"); got["activity_name"] != activity["friendly_name"] || got["available"] != activity["available"] {
			t.Errorf("chose %v, told of %v", activity, got)
		}
		if now := d.e.Agents()[0].ActivitySID; now != activity["sid"] {
			t.Errorf("chose %v, stored %s", activity, now)
		}
	}

	for name, params := range map[string]object{
		"attributes that are no JSON":  {"Attributes": "x"},
		"attributes that are too long": {"Attributes": object{"x": strings.Repeat("x", 5000)}},
	} {
		if status, _ := d.ask("POST", mine, params); status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, status)
		}
	}
	if status, _ := d.ask("POST", mine, object{"ActivitySid": "WA1"}); status != http.StatusNotFound {
		t.Errorf("an unknown activity: %d", status)
	}
}

func TestAnOldCopyIsRefusedWhenFlexAsksForThat(t *testing.T) {
	d := open(t, nil)
	body, _ := json.Marshal(object{"url": d.ws + "/Workers/" + d.worker, "method": "POST", "params": object{"Attributes": object{}}, "token": d.token})
	if a := d.send("POST", "https://event-bridge.twilio.com/v1/wschannels", string(body), "If-Match", "99"); a.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("version 99: %d", a.StatusCode)
	}
	if a := d.send("POST", "https://event-bridge.twilio.com/v1/wschannels", string(body), "If-Match", "0"); a.StatusCode != http.StatusOK {
		t.Errorf("version 0: %d %s", a.StatusCode, a.text)
	}
}

// A missing key throws in Flex's TaskRouter client.
func TestWhatFlexReadsIsThere(t *testing.T) {
	d := open(t, nil)
	d.connect()
	if _, err := d.s.Offer(flexui.Incoming{Worker: d.worker}); err != nil {
		t.Fatal(err)
	}
	for path, keys := range map[string]string{
		"/Activities": "account_sid workspace_sid sid friendly_name available date_created date_updated",
		"/Workers/" + d.worker + "/WorkerChannels": "account_sid workspace_sid worker_sid sid task_channel_sid task_channel_unique_name assigned_tasks available available_capacity_percentage configured_capacity date_created date_updated last_reserved_time",
		"/Workers/" + d.worker + "/Reservations":   "account_sid workspace_sid worker_sid sid reservation_status reservation_timeout date_created date_updated version task",
		"/Workers":                                 "account_sid workspace_sid sid friendly_name version activity_sid activity_name available attributes date_created date_updated date_status_changed",
		"/TaskQueues":                              "friendly_name sid account_sid workspace_sid reservation_activity_name assignment_activity_name target_workers max_reserved_workers task_order reservation_activity_sid assignment_activity_sid date_created date_updated lifo_queue",
	} {
		list := d.must("GET", d.ws+path, object{"PageSize": 1000, "Ordering": "DateStatusChanged:desc"})
		rows := list["contents"].([]any)
		if len(rows) == 0 {
			t.Errorf("%s is empty", path)
			continue
		}
		row := rows[0].(object)
		require(t, path, row, keys)
		if path == "/Workers/"+d.worker+"/Reservations" {
			require(t, "task", row["task"].(object), "sid account_sid workspace_sid addons age priority reason routing_target version attributes assignment_status date_created date_updated virtual_start_time queue_name queue_sid task_channel_unique_name task_channel_sid timeout workflow_name workflow_sid")
		}
		if _, there := list["meta"].(object)["next_token"]; !there {
			t.Errorf("%s has no next_token", path)
		}
	}
	if page := d.must("GET", d.ws+"/Workers", object{"PageSize": 1})["contents"].([]any); len(page) != 1 {
		t.Errorf("a page of one has %d workers", len(page))
	}
	for _, path := range []string{"Workspaces/WS1/Activities", d.ws + "/Nonsense", "v1/Interactions/KD1/Channels", "", "v1/Interactions/KD1"} {
		if status, _ := d.ask("GET", path, object{}); status != http.StatusNotFound {
			t.Errorf("GET %q: %d", path, status)
		}
	}
	if a := d.send("POST", "https://event-bridge.twilio.com/v1/wschannels", "x"); a.StatusCode != http.StatusBadRequest {
		t.Errorf("nonsense: %d", a.StatusCode)
	}
}

func require(t *testing.T, what string, row object, keys string) {
	t.Helper()
	for key := range strings.FieldsSeq(keys) {
		if _, there := row[key]; !there {
			t.Errorf("%s has no %s", what, key)
		}
	}
}

// twilsock is a page's connection.
type twilsock struct {
	*desk
	conn *websocket.Conn
}

func (p *twilsock) say(header object, payload string) {
	p.Helper()
	header["payload_size"] = len(payload)
	head, _ := json.Marshal(header)
	frame := fmt.Appendf(nil, "TWILSOCK V3.0 %d\r\n%s\r\n%s", len(head), head, payload)
	if err := p.conn.Write(p.Context(), websocket.MessageBinary, frame); err != nil {
		p.Fatal(err)
	}
}

func (p *twilsock) hear() (header object, payload string) {
	p.Helper()
	kind, data, err := p.conn.Read(p.Context())
	if err != nil || kind != websocket.MessageBinary {
		p.Fatal(kind, err)
	}
	line, rest, _ := bytes.Cut(data, []byte("\r\n"))
	n, err := strconv.Atoi(strings.TrimPrefix(string(line), "TWILSOCK V3.0 "))
	if err != nil || json.Unmarshal(rest[:n], &header) != nil || string(rest[n:n+2]) != "\r\n" {
		p.Fatalf("no frame: %q", data)
	}
	if header["payload_size"] != float64(len(rest)-n-2) {
		p.Errorf("payload_size %v of %d bytes", header["payload_size"], len(rest)-n-2)
	}
	return header, string(rest[n+2:])
}

// carry sends a request; nothing may come before its answer.
func (p *twilsock) carry(method, host, path, body string) (status any, answer object) {
	p.Helper()
	p.say(object{"method": "message", "id": "TM1", "http_request": object{"method": method, "host": host, "path": path}}, body)
	header, payload := p.hear()
	if header["id"] != "TM1" || header["status"].(object)["code"] != 200.0 || json.Unmarshal([]byte(payload), &answer) != nil {
		p.Errorf("%s: %v %s", path, header, payload)
	}
	return header["http_status"].(object)["code"], answer
}

func TestTwilsock(t *testing.T) {
	d := open(t, nil)
	conn := d.dial("wss://tsock.us1.twilio.com/v3/wsconnect")
	p := &twilsock{d, conn}
	say, hear, ask := p.say, p.hear, p.carry
	for _, method := range []string{"init", "update", "telemetry.v1", "ping", "put_notification_ctx"} {
		say(object{"method": method, "id": "TM-é-" + method, "token": d.token}, "")
		header, _ := hear()
		if header["method"] != "reply" || header["id"] != "TM-é-"+method || header["status"].(object)["code"] != 200.0 {
			t.Errorf("%s: %v", method, header)
		}
		if _, there := header["capabilities"]; there != (method == "init" || method == "update") {
			t.Errorf("%s: %v", method, header)
		}
	}
	say(object{"method": "reply", "id": "TM0"}, "")
	say(object{"method": "close"}, "")
	if status, body := ask("POST", "flex-sdk.twilio.com", "/v1/Telemetry/Events", `{"x":"é"}`); status != 404.0 || body["code"] != 20404.0 {
		t.Errorf("telemetry: %v %v", status, body)
	}

	// What the Conversations client asks until it is ready.
	status, config := ask("GET", "aim.us1.twilio.com", "/Client/v2/Configuration", "")
	if status != 200.0 || config["identity"] != "agent_40example_2Ecom" {
		t.Fatalf("configuration: %v %v", status, config)
	}
	mine, err := url.Parse(config["links"].(object)["my_conversations"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if status, body := ask("GET", mine.Host, mine.Path, ""); status != 200.0 || len(body["conversations"].([]any)) != 0 || body["meta"] == nil {
		t.Errorf("conversations: %v %v", status, body)
	}
	if status, _ := ask("POST", "aim.us1.twilio.com", "/Client/v2/Users/agent_40example_2Ecom", `{"friendly_name":"Ann"}`); status != 200.0 {
		t.Errorf("the agent's name: %v", status)
	}
	sid := config["sync_objects"].(object)["my_conversations"].(string)
	if status, body := ask("GET", "cds.us1.twilio.com", "/v3/Maps/"+sid, ""); status != 200.0 || body["sid"] != sid {
		t.Errorf("map: %v %v", status, body)
	}
	if status, _ := ask("GET", "cds.us1.twilio.com", "/v3/Maps/"+sid+"0", ""); status != 404.0 {
		t.Errorf("a map that is not the agent's: %v", status)
	}
	for action, want := range map[string]string{"establish": "subscription_established", "cancel": "subscription_canceled"} {
		wish := `{"action":"` + action + `","correlation_id":1700000000000,"requests":[{"object_sid":"` + sid + `","object_type":"map"}]}`
		if status, body := ask("POST", "cds.us1.twilio.com", "/v4/Subscriptions", wish); status != 200.0 || body["estimated_delivery_in_ms"] == nil {
			t.Errorf("%s: %v %v", action, status, body)
		}
		header, payload := hear()
		if header["method"] != "notification" || header["message_type"] != "twilio.sync.event" ||
			!strings.Contains(payload, `"event_type":"`+want+`"`) || !strings.Contains(payload, `"correlation_id":1700000000000`) || !strings.Contains(payload, sid) {
			t.Errorf("%s: %v %s", action, header, payload)
		}
		say(object{"method": "reply", "id": header["id"]}, "")
	}
	if err := conn.Write(t.Context(), websocket.MessageBinary, []byte("TWILSOCK V3.0 99999\r\n{}\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusUnsupportedData {
		t.Errorf("after a frame that is longer than it is: %v", err)
	}
}

func TestSignallingWithoutAVoiceEdge(t *testing.T) {
	d := open(t, func(o *flexui.Options) { o.KeepAlive = time.Millisecond })
	conn := d.dial("wss://voice-js.roaming.twilio.com/signal")
	ask := func(kind string, payload object) (string, object) {
		t.Helper()
		frame, _ := json.Marshal(object{"type": kind, "version": "1.6", "payload": payload})
		if err := conn.Write(t.Context(), websocket.MessageText, frame); err != nil {
			t.Fatal(err)
		}
		for {
			_, data, err := conn.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if string(data) == "\n" {
				continue
			}
			var v struct {
				Type    string
				Payload object
			}
			if err := json.Unmarshal(data, &v); err != nil {
				t.Fatal(err)
			}
			return v.Type, v.Payload
		}
	}
	if kind, payload := ask("listen", object{"token": "nobody's"}); kind != "error" || payload["error"] == nil {
		t.Errorf("a bad token: %s %v", kind, payload)
	}
	kind, payload := ask("listen", object{"token": d.token, "reconnectTimeout": 0})
	if token, _ := payload["token"].(object); kind != "connected" || token["identity"] != "agent_40example_2Ecom" {
		t.Errorf("listen: %s %v", kind, payload)
	}
	for audio, want := range map[bool]string{true: "ready", false: "offline"} {
		if kind, _ := ask("register", object{"media": object{"audio": audio}}); kind != want {
			t.Errorf("register %v: %s", audio, kind)
		}
	}
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("\n")); err != nil {
		t.Fatal(err)
	}
	for beats := 0; beats < 2; {
		_, data, err := conn.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if string(data) != "\n" {
			t.Fatalf("unasked: %q", data)
		}
		beats++
	}
}

func TestTheVoiceEdgeServesItsHosts(t *testing.T) {
	edge := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "edge ", r.Host) })
	d := open(t, func(o *flexui.Options) { o.Voice = edge })
	for _, host := range []string{"voice-js.roaming.twilio.com", "eventgw.us1.twilio.com", "sdk.twilio.com"} {
		if a := d.send("GET", "https://"+host+"/x", ""); a.text != "edge "+host {
			t.Errorf("%s: %q", host, a.text)
		}
	}
}
