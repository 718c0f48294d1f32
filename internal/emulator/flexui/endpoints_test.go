package flexui_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/flexui"
)

const page = "https://flex.twilio.com"

func TestThePage(t *testing.T) {
	script := filepath.Join(t.TempDir(), "host.js")
	if err := os.WriteFile(script, []byte("window.Twilio = {}"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := open(t, func(o *flexui.Options) { o.HostScript = script })
	a := d.send("GET", page+"/agent-desktop?agent=x", "")
	if a.StatusCode != http.StatusOK || !strings.Contains(a.text, `{"account":"`+d.e.Account().SID+`"}`) || !strings.Contains(a.text, "runDefault") {
		t.Errorf("the page: %d %s", a.StatusCode, a.text)
	}
	if a := d.send("GET", page+"/host.js", ""); a.text != "window.Twilio = {}" || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/javascript") {
		t.Errorf("the script: %v %q", a.Header, a.text)
	}
	if a := d.send("GET", page+"/", ""); !strings.Contains(a.text, `"sid":"`+d.worker+`"`) {
		t.Errorf("the sign-in page: %s", a.text)
	}
	if a := d.send("GET", page+"/favicon.ico", ""); a.StatusCode != http.StatusNoContent {
		t.Errorf("favicon: %d", a.StatusCode)
	}
}

func TestThePageSaysHowFlexIsBuilt(t *testing.T) {
	d := open(t, nil)
	if a := d.send("GET", page+"/agent-desktop", ""); !strings.Contains(a.text, "make flex-host") || strings.Contains(a.text, "<script") {
		t.Errorf("without a script: %s", a.text)
	}
}

func TestSettingsCannotLeaveTheirElement(t *testing.T) {
	const page = `<script type="application/json" id="settings"></script><p>`
	got := string(flexui.WithSettings(page, map[string]string{"name": "</script><script>alert('&')"}))
	want := `<script type="application/json" id="settings">{"name":"\u003c/script\u003e\u003cscript\u003ealert('\u0026')"}</script><p>`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLogin(t *testing.T) {
	d := open(t, nil)
	for _, body := range []string{`{"worker":"AGENT","ttl":"150s"}`, `{"worker":"` + d.worker + `"}`, `{}`} {
		var login struct{ Token, Identity, Expiration, FlexUserSid string }
		d.send("POST", page+"/login", body, "Origin", page).into(t, &login)
		who, code, _ := d.e.Login(login.Token)
		if code != 0 || who.SID != d.worker || login.Identity != "agent_40example_2Ecom" || login.FlexUserSid != who.FlexUserSID {
			t.Errorf("%s signed in as %s, %+v", body, login.Identity, who)
		}
		if at, err := time.Parse(time.RFC3339, login.Expiration); err != nil || !at.Equal(who.Expires) {
			t.Errorf("%s expires %s, the token %s", body, login.Expiration, who.Expires)
		}
	}
	for body, want := range map[string]int{`{"worker":"nobody"}`: 404, `{"ttl":"soon"}`: 400, `{"ttl":"-1s"}`: 400, `x`: 400} {
		if a := d.send("POST", page+"/login", body, "Origin", page); a.StatusCode != want {
			t.Errorf("%s: %d, want %d", body, a.StatusCode, want)
		}
	}
	if a := d.send("POST", page+"/login", `{}`, "Origin", "https://elsewhere.example"); a.StatusCode != http.StatusForbidden || strings.Contains(a.text, "token") {
		t.Errorf("another page signed in: %d %s", a.StatusCode, a.text)
	}
}

// basic is what Flex sends, with its stray bracket.
func basic(token string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("token:"+token)) + ")"
}

func TestConfigurationAndTokenInfo(t *testing.T) {
	d := open(t, nil)
	var conf struct {
		AccountSid string `json:"account_sid"`
		UI         object `json:"ui_attributes"`
		Flows      struct {
			Default struct {
				Enabled  bool
				QueueSid string `json:"queue_sid"`
			}
		} `json:"outbound_call_flows"`
		Offline string `json:"taskrouter_offline_activity_sid"`
	}
	for _, version := range []string{"undefined", "2.17.1"} {
		d.send("GET", "https://flex-api.twilio.com/v1/Configuration?UiVersion="+version, "", "Authorization", basic(d.token)).into(t, &conf)
		if conf.AccountSid != d.e.Account().SID || conf.UI["version_compatibility"] != "yes" || !conf.Flows.Default.Enabled || conf.Flows.Default.QueueSid == "" || conf.Offline == "" {
			t.Errorf("configuration: %+v", conf)
		}
	}
	if a := d.send("GET", "https://flex-api.twilio.com/v1/Configuration", "", "Authorization", basic("nobody's")); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("configuration without a good token: %d", a.StatusCode)
	}
	var info struct {
		Valid     bool
		Roles     []string
		WorkerSid string `json:"worker_sid"`
	}
	d.send("POST", "https://flex-api.twilio.com/v1/Accounts/"+d.e.Account().SID+"/Tokens/Info", "Token="+url.QueryEscape(d.token),
		"Authorization", basic(d.token), "Content-Type", "application/x-www-form-urlencoded").into(t, &info)
	if !info.Valid || info.WorkerSid != d.worker || len(info.Roles) != 1 {
		t.Errorf("token info: %+v", info)
	}
}

// The REST API is behind the same hosts, and knows nothing of Flex's defaults.
func TestTheAccountsOwnConfigurationIsLeftAlone(t *testing.T) {
	d := open(t, nil)
	key := d.e.Account()
	rest := "Basic " + base64.StdEncoding.EncodeToString([]byte(key.SID+":"+key.AuthToken))
	a := d.send("GET", "https://flex-api.twilio.com/v1/Configuration", "", "Authorization", rest)
	if a.StatusCode != http.StatusOK || strings.Contains(a.text, "version_compatibility") {
		t.Errorf("over REST: %d %s", a.StatusCode, a.text)
	}
	if a := d.send("GET", "https://taskrouter.twilio.com/v1/Workspaces", "", "Authorization", rest); !strings.Contains(a.text, key.WorkspaceSID) {
		t.Errorf("workspaces: %d %s", a.StatusCode, a.text)
	}
}

func TestRefresh(t *testing.T) {
	d := open(t, nil)
	target := "https://iam.twilio.com/v1/Accounts/" + d.e.Account().SID + "/Tokens/refresh"
	var fresh struct{ Token, Identity, Expiration string }
	d.send("POST", target, `{"token":"`+d.token+`"}`).into(t, &fresh)
	if who, code, _ := d.e.Login(fresh.Token); code != 0 || who.SID != d.worker || fresh.Token == d.token || fresh.Identity != who.Identity {
		t.Errorf("refreshed: %+v", fresh)
	}
	d.e.Advance(2 * time.Hour)
	var refused struct{ Code int }
	d.send("POST", target, `{"token":"`+d.token+`"}`).into(t, &refused)
	if refused.Code != 20104 {
		t.Errorf("an expired token is refused with %d", refused.Code)
	}
	if a := d.send("POST", target, `x`); a.StatusCode != http.StatusBadRequest {
		t.Errorf("nonsense: %d", a.StatusCode)
	}
}

func TestSession(t *testing.T) {
	d := open(t, nil)
	var session struct{ Features []flexui.Feature }
	d.send("GET", page+"/api/v1/Session", "", "X-Flex-Jwe", d.token).into(t, &session)
	if len(session.Features) != 3 || !session.Features[0].Enabled {
		t.Errorf("features: %v", session.Features)
	}
	d.order("settings", `{"features":[{"id":"plugin-use-plugin-proxy","enabled":true}]}`)
	d.send("GET", page+"/api/v1/Session", "", "X-Flex-Jwe", d.token).into(t, &session)
	if len(session.Features) != 1 || session.Features[0].ID != "plugin-use-plugin-proxy" {
		t.Errorf("features: %v", session.Features)
	}
	for _, path := range []string{"/api/v1/Session", "/plugins"} {
		if a := d.send("GET", page+path, "", "X-Flex-Jwe", "nobody's"); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a good token: %d", path, a.StatusCode)
		}
	}
}

// order asks Control, which the emulator serves in real life.
func (d *desk) order(verb, body string) answer {
	d.Helper()
	a := d.control(verb, body)
	if a.StatusCode != http.StatusOK {
		d.Fatalf("%s: %d %s", verb, a.StatusCode, a.text)
	}
	return a
}

func TestPlugins(t *testing.T) {
	source := "first"
	d := open(t, func(o *flexui.Options) {
		o.Plugins = func() []flexui.Plugin {
			return []flexui.Plugin{
				{Name: "a", Version: "1.0.0", Source: func() ([]byte, error) { return []byte(source), nil }},
				{Name: "gone", Version: "1.0.0", Source: func() ([]byte, error) { return nil, errors.New("no file") }},
				{Name: "public", Version: "1.0.0", Phase: 1, URL: "https://plugins.example.com/public.js"},
			}
		}
	})
	type plugin struct {
		Name, Version, Src string
		Phase              int
	}
	list := func() (all []plugin) {
		d.send("GET", page+"/plugins?roles=agent", "", "X-Flex-Jwe", d.token).into(t, &all)
		return all
	}
	all := list()
	if len(all) != 3 || all[0].Src != page+"/plugins/v1/a/1.0.0/bundle.js" || all[0].Phase != 3 {
		t.Fatalf("plugins: %v", all)
	}
	if all[2] != (plugin{"public", "1.0.0", "https://plugins.example.com/public.js", 1}) {
		t.Errorf("a plugin that is elsewhere: %v", all[2])
	}
	if a := d.send("GET", page+"/plugins/v1/public/1.0.0/bundle.js", ""); a.StatusCode != http.StatusNotFound {
		t.Errorf("a plugin that is elsewhere, asked for here: %d", a.StatusCode)
	}
	for _, source = range []string{"first", "rebuilt"} {
		if a := d.send("GET", all[0].Src, ""); a.text != source || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/javascript") {
			t.Errorf("the bundle: %q, want %q", a.text, source)
		}
	}
	if a := d.send("GET", all[1].Src, ""); a.StatusCode != http.StatusNotFound {
		t.Errorf("a bundle that cannot be read: %d", a.StatusCode)
	}
	d.order("plugin", `{"name":"a","version":"2.0.0","source":"given"}`)
	all = list()
	if len(all) != 3 || all[2].Version != "2.0.0" {
		t.Fatalf("plugins: %v", all)
	}
	if a := d.send("GET", all[2].Src, ""); a.text != "given" {
		t.Errorf("the bundle: %q", a.text)
	}
	if a := d.send("GET", page+"/plugins/v1/a/1.0.0/bundle.js", ""); a.StatusCode != http.StatusNotFound {
		t.Errorf("the version before: %d", a.StatusCode)
	}
	d.order("plugin", `{"name":"a"}`)
	if all = list(); len(all) != 3 || all[0].Version != "1.0.0" {
		t.Errorf("after it was taken off: %v", all)
	}
}

func TestAssets(t *testing.T) {
	d := open(t, nil)
	for target, kind := range map[string]string{
		"https://assets.twilio.com/public_assets/paste-fonts/1.5.1/fonts.css":                "text/css",
		"https://assets.flex.twilio.com/assets/countries.json":                               "application/json",
		"https://assets.flex.twilio.com/assets/flagPositions.json":                           "application/json",
		"https://media.twiliocdn.com/sdk/js/client/sounds/releases/1.0.0/incoming.mp3":       "audio/wav",
		"https://sdk.twilio.com/js/client/sounds/releases/1.0.0/disconnect.mp3?cache=2.11.1": "audio/wav",
		"https://status.twilio.com/api/v2/summary.json":                                      "application/json",
	} {
		a := d.send("GET", target, "")
		if a.StatusCode != http.StatusOK || !strings.HasPrefix(a.Header.Get("Content-Type"), kind) {
			t.Errorf("%s: %d %s", target, a.StatusCode, a.Header.Get("Content-Type"))
		}
		if kind == "audio/wav" && (!strings.HasPrefix(a.text, "RIFF") || len(a.text) != 1644) {
			t.Errorf("%s is no sound: %d bytes", target, len(a.text))
		}
	}
	var countries []object
	d.send("GET", "https://assets.flex.twilio.com/assets/countries.json", "").into(t, &countries)
	for _, target := range []string{
		"https://accounts.google.com/ListAccounts", "https://flex-api.twilio.com/v1/account/provision/status",
		"https://assets.twilio.com/other", "https://event-bridge.twilio.com/other", "https://tsock.us1.twilio.com/other", "https://voice-js.roaming.twilio.com/other",
	} {
		if a := d.send("GET", target, ""); a.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", target, a.StatusCode)
		}
	}
	if a := d.send("POST", "https://eventgw.us1.twilio.com/v4/EndpointEvents", "{}"); a.StatusCode != http.StatusOK {
		t.Errorf("insights: %d", a.StatusCode)
	}
}

func TestEveryHostAnswersThePagesPreflight(t *testing.T) {
	d := open(t, nil)
	for _, host := range []string{"flex.twilio.com", "flex-api.twilio.com", "event-bridge.twilio.com", "iam.twilio.com", "accounts.google.com"} {
		a := d.send("OPTIONS", "https://"+host+"/x", "", "Origin", page, "Access-Control-Request-Headers", "apiversion,clientversion")
		if a.StatusCode != http.StatusNoContent || a.Header.Get("Access-Control-Allow-Headers") != "apiversion,clientversion" || a.Header.Get("Access-Control-Allow-Origin") != page {
			t.Errorf("%s: %d %v", host, a.StatusCode, a.Header)
		}
	}
	a := d.send("GET", "https://flex-api.twilio.com/v1/Configuration", "", "Origin", page, "Authorization", basic(d.token))
	if a.Header.Get("Access-Control-Allow-Origin") != page || a.Header.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("an answer: %v", a.Header)
	}
}

func TestControlRefuses(t *testing.T) {
	d := open(t, nil)
	for _, c := range []struct {
		verb, body string
		want       int
	}{
		{"offer", `{"worker":"nobody"}`, 404},
		{"offer", `{"worker":"other"}`, 409},
		{"offer", `{"wroker":"agent"}`, 400},
		{"hangup", `{"reservation":"WR1"}`, 404},
		{"event", `{"worker":"agent"}`, 400},
		{"event", `{"worker":"nobody","event_type":"x","payload":{}}`, 404},
		{"settings", `{"accept_delay":"soon"}`, 400},
		{"settings", `{"voice_tasks":0}`, 400},
		{"plugin", `{"name":"a/b","version":"1","source":"x"}`, 400},
		{"plugin", `{"name":"a","source":"x"}`, 400},
	} {
		if a := d.control(c.verb, c.body); a.StatusCode != c.want || !strings.Contains(a.text, `"error"`) {
			t.Errorf("%s %s: %d %s, want %d", c.verb, c.body, a.StatusCode, a.text, c.want)
		}
	}
}

func TestAnAgentOfSeveralVoiceTasks(t *testing.T) {
	d := open(t, nil)
	offer := func(want int) {
		t.Helper()
		if a := d.control("offer", `{"worker":"agent"}`); a.StatusCode != want {
			t.Errorf("offer: %d %s, want %d", a.StatusCode, a.text, want)
		}
	}
	channel := func() object {
		return d.must("GET", d.ws+"/Workers/"+d.worker+"/WorkerChannels", object{})["contents"].([]any)[0].(object)
	}
	offer(200)
	offer(409)
	if c := channel(); c["available"] != false || c["configured_capacity"] != 1.0 {
		t.Errorf("channel: %v", c)
	}
	d.order("settings", `{"voice_tasks":2}`)
	if c := channel(); c["available"] != true || c["assigned_tasks"] != 1.0 || c["configured_capacity"] != 2.0 {
		t.Errorf("channel: %v", c)
	}
	offer(200)
	offer(409)
}

func TestControl(t *testing.T) {
	d := open(t, nil)
	x := d.connect()
	d.order("event", `{"worker":"agent","event_type":"made.up","payload":{"a":1}}`)
	if got := x.next("made.up"); got["a"] != 1.0 {
		t.Errorf("event: %v", got)
	}
	d.order("settings", `{"accept_delay":"1ms"}`)
	var r flexui.Reservation
	d.order("offer", `{"worker":"agent","attributes":{"customer":"x"}}`).into(t, &r)
	if a := parsed(t, x.next("reservation.created")["task"].(object)); a["customer"] != "x" || a["direction"] != "inbound" {
		t.Errorf("attributes: %v", a)
	}
	d.must("POST", d.reservation(r), conferenceInstruction)
	x.next("reservation.accepted")
	var list []flexui.Reservation
	d.order("reservations", `{}`).into(t, &list)
	if len(list) != 1 || !list[0].Live || list[0].CallSID == "" {
		t.Errorf("reservations: %+v", list)
	}
	var requests []flexui.Request
	d.order("requests", `{}`).into(t, &requests)
	if len(requests) != 1 || requests[0].Method != "POST" || requests[0].Status != 200 || !strings.Contains(string(requests[0].Params), "conference") {
		t.Errorf("requests: %+v", requests)
	}
	d.must("GET", d.ws+"/Activities", object{"PageSize": 1000})
	d.order("requests", `{"after":1}`).into(t, &requests)
	if len(requests) != 1 || requests[0].Number != 2 || !strings.HasSuffix(requests[0].URL, "/Activities") {
		t.Errorf("requests after the first: %+v", requests)
	}
	d.order("hangup", `{"reservation":"`+r.SID+`"}`)
	x.next("reservation.wrapup")
}

func TestTheEmulatorsUsersSeeEveryAgent(t *testing.T) {
	d := open(t, nil)
	agent, err := d.e.Agent("AGENT")
	if err != nil || agent.SID != d.worker || agent.ActivityName != "Available" || !agent.Available {
		t.Errorf("%+v, %v", agent, err)
	}
	if _, err := d.e.ChangeAgent(d.worker, emulator.AgentChange{Attributes: new(string)}); err == nil {
		t.Error("attributes that are no JSON were taken")
	}
}
