package emulator_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/emulatortest"
	"github.com/flexvc/flexvc/internal/emulator/journal"
	"github.com/flexvc/flexvc/internal/problem"
)

// ask sends a request to the control plane as this machine does.
func ask(e *emulator.Emulator, method, path, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:4010/_emulator/"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:50000"
	r.Header.Set(emulator.ControlHeader, "1")
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

// TestControlIsForThisMachineOnly begins with the attacks: every guard has to
// keep a reset from happening, not just answer so.
func TestControlIsForThisMachineOnly(t *testing.T) {
	for name, test := range map[string]struct {
		method string
		change func(*http.Request)
		status int
	}{
		"from another machine":      {"POST", func(r *http.Request) { r.RemoteAddr = "192.0.2.7:50000" }, 403},
		"from an unreadable place":  {"POST", func(r *http.Request) { r.RemoteAddr = "@" }, 403},
		"under a rebound name":      {"POST", func(r *http.Request) { r.Host = "evil.example.com:4010" }, 403},
		"under another address":     {"POST", func(r *http.Request) { r.Host = "192.0.2.7" }, 403},
		"without the header":        {"POST", func(r *http.Request) { r.Header.Del(emulator.ControlHeader) }, 403},
		"with an empty header":      {"POST", func(r *http.Request) { r.Header.Set(emulator.ControlHeader, "") }, 403},
		"by GET":                    {"GET", func(*http.Request) {}, 405},
		"by OPTIONS":                {"OPTIONS", func(*http.Request) {}, 405},
		"under Twilio's name":       {"POST", func(r *http.Request) { r.Host = "taskrouter.twilio.com" }, 404},
		"from here":                 {"POST", func(*http.Request) {}, 200},
		"from here, by name":        {"POST", func(r *http.Request) { r.Host = "localhost" }, 200},
		"from here, over IPv6":      {"POST", func(r *http.Request) { r.Host, r.RemoteAddr = "[::1]:4010", "[::1]:50000" }, 200},
		"from here, IPv4 over IPv6": {"POST", func(r *http.Request) { r.RemoteAddr = "[::ffff:127.0.0.1]:50000" }, 200},
	} {
		t.Run(name, func(t *testing.T) {
			e := emulatortest.Start(t, emulator.Options{Agents: 1})
			emulatortest.Must(t, e.Edit(e.ExportWorkers()[0].SID, "edited"))
			w := ask(e, test.method, "reset", "", test.change)
			if w.Code != test.status {
				t.Errorf("the answer is %d, want %d: %s", w.Code, test.status, w.Body)
			}
			if wasReset := e.ExportWorkers()[0].Attributes != "edited"; wasReset != (test.status == 200) {
				t.Errorf("the answer is %d and the state was reset: %t", w.Code, wasReset)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Error("pages of other origins may read the answer")
			}
			if secret := ask(e, "GET", "account", "", test.change); (secret.Code == 200) != (test.status == 200 || test.status == 405) || secret.Code != 200 && strings.Contains(secret.Body.String(), e.Account().AuthToken) {
				t.Errorf("the account is answered %d", secret.Code)
			}
		})
	}
}

func TestControlReachesEverything(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 2, SeedValue: 3})
	c := emulatortest.As(t, e)
	sid := e.ExportWorkers()[0].SID
	want := func(status int, method, path, body string) map[string]any {
		t.Helper()
		w := ask(e, method, path, body)
		if w.Code != status {
			t.Fatalf("%s %s is answered %d, want %d: %s", method, path, w.Code, status, w.Body)
		}
		var v map[string]any
		_ = json.Unmarshal(w.Body.Bytes(), &v) // lists stay nil: the test reads those itself
		return v
	}
	if w := ask(e, "GET", "health", "", func(r *http.Request) { r.Header.Del(emulator.ControlHeader) }); w.Code != 200 {
		t.Errorf("health is answered %d", w.Code)
	}
	if v := want(200, "GET", "account", ""); v["account_sid"] != e.Account().SID || v["auth_token"] != e.Account().AuthToken {
		t.Errorf("the account is %v", v)
	}
	state := ask(e, "GET", "state", "").Body.String()
	if !strings.Contains(state, sid) || strings.Contains(state, e.Account().KeySecret) || strings.Contains(state, e.Account().AuthToken) {
		t.Errorf("the state is %s", state)
	}

	before := e.ExportWorkers()[0].ETag
	want(200, "POST", "bump", `{"worker":"`+sid+`"}`)
	if e.ExportWorkers()[0].ETag == before {
		t.Error("bump left the ETag")
	}
	want(404, "POST", "bump", `{"worker":"WK0"}`)
	want(200, "POST", "edit", `{"worker":"`+sid+`","attributes":{ "a":1.0 }}`)
	if got := e.ExportWorkers()[0].Attributes; got != `{ "a":1.0 }` {
		t.Errorf("the edit left %s", got)
	}

	want(200, "POST", "faults", `["FetchWorker:500*1"]`)
	want(409, "POST", "faults/assert", "")
	c.Get(c.Workspace()+"/Workers/"+sid).Want(t, 500)
	want(200, "POST", "faults/assert", "")
	if got := ask(e, "GET", "faults", "").Body.String(); !strings.Contains(got, `"fired":1`) {
		t.Errorf("the faults are %s", got)
	}
	want(400, "POST", "faults", `["nonsense"]`)
	want(400, "POST", "faults", `{}`)

	now := e.Now()
	want(200, "POST", "clock", `{"advance":"24h"}`)
	if d := e.Now().Sub(now); d < 24*time.Hour {
		t.Errorf("the clock went on by %v", d)
	}
	want(400, "POST", "clock", `{"advance":"-1h"}`)
	want(400, "POST", "clock", `{"advnce":"1h"}`)

	want(200, "POST", "settings", `{"list_attributes":"null","validate_failure":"401-json","limits":{"requests_per_second":1,"burst":1}}`)
	if v := want(200, "GET", "settings", ""); v["list_attributes"] != "null" {
		t.Errorf("the settings are %v", v)
	}
	c.Get(c.Workspace()).Want(t, 200)
	c.Get(c.Workspace()).Want(t, 429)
	want(400, "POST", "settings", `{"list_attributes":"maybe"}`)
	want(200, "POST", "settings", `{"limits":{"requests_per_second":0}}`)

	if v := want(200, "GET", "stats", ""); v["requests"] != 3.0 || v["too_many_requests"] != 1.0 {
		t.Errorf("the statistics are %v", v)
	}
	var log []journal.Entry
	emulatortest.Must(t, json.Unmarshal(ask(e, "GET", "log", "").Body.Bytes(), &log))
	if len(log) != 3 || log[0].Operation != "FetchWorker" || log[0].Status != 500 || log[2].Status != 429 || !strings.HasPrefix(log[0].Request, "RQ") {
		t.Errorf("the log is %+v", log)
	}
	want(200, "POST", "stats/reset", "")
	if v := want(200, "GET", "stats", ""); v["requests"] != 0.0 {
		t.Errorf("the statistics are %v", v)
	}

	token := want(200, "POST", "token", `{"worker":"`+sid+`","ttl":"5m"}`)["token"].(string)
	if v := c.Must("POST", "https://iam.twilio.com/v1/Accounts/"+e.Account().SID+"/Tokens/validate", "application/json", `{"token":"`+token+`"}`).JSON(t); v["worker_sid"] != sid {
		t.Errorf("the token stands for %v", v)
	}
	want(404, "POST", "token", `{"worker":"WK0"}`)
	want(400, "POST", "token", `{"worker":"`+sid+`","ttl":"soon"}`)

	want(200, "POST", "browser", `{"overwrites":1,"after_fetch":1,"workers":["`+sid+`"]}`)
	c.Get(c.Workspace()+"/Workers/"+sid).Want(t, 200)
	if got := ask(e, "GET", "browser", "").Body.String(); !strings.Contains(got, `"done":true`) || !strings.Contains(got, `"last":{"`+sid+`":1}`) {
		t.Errorf("the browsers are %s", got)
	}
	want(400, "POST", "browser", `{"overwrites":0}`)

	want(200, "POST", "seed", `{"seed":{"workers":[{"friendly_name":"only"}]}}`)
	if all := e.ExportWorkers(); len(all) != 1 || all[0].FriendlyName != "only" {
		t.Errorf("the workers are %+v", all)
	}
	want(200, "POST", "seed", `{"agents":7,"seed_value":9}`)
	want(200, "POST", "reset", "")
	if n := len(e.ExportWorkers()); n != 7 {
		t.Errorf("there are %d workers", n)
	}
	want(400, "POST", "seed", `{"agents":-7}`)
	want(404, "GET", "shoes", "")
	want(404, "GET", "", "")
}

func TestTheLogForgetsTheOldest(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{})
	c := emulatortest.As(t, e)
	c.Transport = e.Transport()
	c.Get(c.Workspace()+"/Activities").Want(t, 200)
	for range 1000 {
		c.Get(c.Workspace()).Want(t, 200)
	}
	log := e.Log()
	if len(log) != 1000 || log[0].Operation != "FetchWorkspace" || log[0].Request == log[999].Request {
		t.Errorf("the log holds %d entries, the oldest is %+v", len(log), log[0])
	}
	for i := range log[1:] {
		if log[i+1].Time.Before(log[i].Time) {
			t.Fatalf("entry %d is older than the one before it", i+1)
		}
	}
}

// What is mounted is behind the same guards as everything else.
func TestMountedIsGuarded(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 1})
	var asked []string
	e.Mount("voice", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked = append(asked, r.Method+" "+r.URL.Path) }))
	for name, change := range map[string]func(*http.Request){
		"from another machine": func(r *http.Request) { r.RemoteAddr = "192.0.2.7:50000" },
		"under a rebound name": func(r *http.Request) { r.Host = "evil.example.com:4010" },
		"without the header":   func(r *http.Request) { r.Header.Del(emulator.ControlHeader) },
	} {
		if w := ask(e, "POST", "voice/call", "", change); w.Code != 403 || len(asked) > 0 {
			t.Errorf("%s: answered %d, handled %v", name, w.Code, asked)
		}
	}
	if w := ask(e, "POST", "other/call", ""); w.Code != 404 {
		t.Errorf("what is not mounted is answered %d", w.Code)
	}
	if w := ask(e, "POST", "voice/call", ""); w.Code != 200 || len(asked) != 1 || asked[0] != "POST /call" {
		t.Errorf("answered %d, handled %v", w.Code, asked)
	}
}

func TestKeySecret(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 1})
	if secret, ok := e.KeySecret(e.Account().KeySID); !ok || secret != e.Account().KeySecret {
		t.Error("the account's own key is not found")
	}
	if secret, ok := e.KeySecret("SK" + strings.Repeat("0", 32)); ok || secret != "" {
		t.Error("a key is found that was never made")
	}
}

func TestAnAccountNeedsProducts(t *testing.T) {
	if e, err := emulator.New(emulator.Options{Agents: 1}); !problem.Is(err, problem.Usage) {
		t.Errorf("without products there is %v, %v", e, err)
	}
}
