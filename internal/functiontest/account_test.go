package functiontest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/function"
	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/emulatortest"
	"github.com/flexvc/flexvc/internal/tokensrv"
)

// deployed puts the Function into the account over REST and returns its address.
func deployed(t *testing.T, e *emulator.Emulator, variables map[string]string) string {
	t.Helper()
	s := emulatortest.NewSite(t, e)
	for name, value := range variables {
		s.Post(s.Environment+"/Variables", []string{"Key", name, "Value", value}).Want(t, 201)
	}
	dependencies, err := json.Marshal(function.Dependencies())
	must(t, err)
	s.Deploy(t, "FunctionVersions", s.Version(t, "Functions", function.Path, "public", string(function.Source)), "Dependencies", string(dependencies), "Runtime", "node22")
	return "https://" + s.Domain + function.Path
}

// TestOnTheEmulatedAccount: deployed over REST, the Function asks the emulator's
// own IAM and TaskRouter, and serve asks the same.
func TestOnTheEmulatedAccount(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not on the PATH")
	}
	e := emulatortest.Start(t, emulator.Options{Seed: &emulator.Seed{Workers: []emulator.SeedWorker{
		{FriendlyName: "on", Attributes: emulator.Attributes(`{"email":"on@example.com","extensionVoiceClientEnabled":true}`)},
		{FriendlyName: "off", Attributes: emulator.Attributes(`{"email":"off@example.com"}`)},
	}}})
	c := emulatortest.As(t, e)
	own := c.Post("https://api.twilio.com/2010-04-01/Accounts/"+e.Account().SID+"/Keys.json", []string{"FriendlyName", "flexvc function"}).Want(t, 201).JSON(t)
	sid, hidden := own["sid"].(string), own["secret"].(string)
	address := deployed(t, e, map[string]string{
		"FLEXVC_ACCOUNT_SID": e.Account().SID, "FLEXVC_API_KEY": sid, "FLEXVC_API_SECRET": hidden, "FLEXVC_ALLOW_ORIGIN": ours,
		"FLEXVC_REQUIRE_ENABLED": "true", "FLEXVC_WORKSPACE_SID": e.Account().WorkspaceSID,
	})

	config := tokensrv.Defaults()
	config.AccountSID, config.KeySID, config.KeySecret = e.Account().SID, sid, hidden
	config.Validator = tokensrv.Credentials{User: sid, Password: hidden}
	config.AllowGet, config.AllowOrigins, config.RequireEnabled = false, []string{ours}, true
	serve := func() *tokensrv.Server {
		server, err := tokensrv.New(config, tokensrv.Deps{Transport: e.Transport(), Log: slog.New(slog.DiscardHandler), WorkerEnabled: func(_ context.Context, worker string) (bool, error) {
			text := c.Get(c.Workspace()+"/Workers/"+worker).Want(t, 200).JSON(t)["attributes"].(string)
			state, _ := attributes.Inspect(&text)
			return state == attributes.Enabled, nil
		}})
		must(t, err)
		return server
	}

	login := func(name string) string {
		for _, w := range c.Get(c.Workspace()+"/Workers").Want(t, 200).JSON(t)["workers"].([]any) {
			if w := w.(map[string]any); w["friendly_name"] == name {
				return mint(t, e, w["sid"].(string))
			}
		}
		t.Fatalf("there is no worker %s", name)
		return ""
	}
	on, off := login("on"), login("off")
	for _, tt := range []struct {
		name, token, origin string
		change              func()
		status              int
		code                string
	}{
		{"enabled", on, ours, nil, 200, ""},
		{"not enabled", off, ours, nil, 403, "worker-not-enabled"},
		{"from elsewhere", on, "https://evil.example", nil, 403, "origin-not-allowed"},
		{"a token nobody knows", "eyJhIjoxfQ.b.c", ours, nil, 403, "flex-token-refused"},
		{"refused with 401", "eyJhIjoxfQ.b.c", ours, failing(t, e, emulator.Failure401), 502, "validator-credentials-refused"},
		{"refused with 403", "eyJhIjoxfQ.b.c", ours, failing(t, e, emulator.Failure403), 502, "validator-credentials-refused"},
		{"refused in HTML", "eyJhIjoxfQ.b.c", ours, failing(t, e, emulator.FailureNonJSON), 502, "validator-nonsense"},
		{"IAM is down", on, ours, striking(t, e, "ValidateToken:503html"), 503, "validator-failing"},
		{"IAM is busy", on, ours, striking(t, e, "ValidateToken:429,retry-after=7"), 503, "validator-busy"},
		{"IAM hangs up", on, ours, striking(t, e, "ValidateToken:drop"), 503, "validator-unreachable"},
		{"IAM breaks off", on, ours, striking(t, e, "ValidateToken:truncate"), 503, "validator-unreachable"},
		{"TaskRouter is down", on, ours, striking(t, e, "FetchWorker:503"), 503, "worker-lookup-failed"},
		{"all is well again", on, ours, striking(t, e), 200, ""},
		{"the key is gone", on, ours, func() {
			c.Must("DELETE", "https://api.twilio.com/2010-04-01/Accounts/"+e.Account().SID+"/Keys/"+sid+".json", "", "").Want(t, 204)
		}, 502, "validator-credentials-refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.change != nil {
				tt.change()
			}
			request := func(address string) *http.Request {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader("Token="+tt.token+"&VoiceClientPrefix=ext_"))
				r.Header.Set("Content-Type", form)
				r.Header.Set("Origin", tt.origin)
				return r
			}
			answers := map[string]http.Handler{"the Function": e.Handler()}
			if tt.name != "TaskRouter is down" { // serve's own lookup is another's, and asked here by the test itself
				answers["serve"] = serve()
			}
			for name, h := range answers {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, request(map[bool]string{true: function.Path, false: address}[name == "serve"]))
				var fields struct{ Code, Identity, Token string }
				if err := json.Unmarshal(w.Body.Bytes(), &fields); err != nil {
					t.Fatalf("%s answered %d %s", name, w.Code, w.Body)
				}
				if w.Code != tt.status || fields.Code != tt.code || tt.status == 200 && (fields.Token == "" || fields.Identity != "ext_on_40example_2Ecom") {
					t.Errorf("%s answered %d %s", name, w.Code, strings.ReplaceAll(w.Body.String(), fields.Token, "…"))
				}
			}
		})
	}
}

func mint(t *testing.T, e *emulator.Emulator, worker string) string {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/_emulator/token", strings.NewReader(fmt.Sprintf(`{"worker":%q,"ttl":"1h"}`, worker)))
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("X-Flexvc-Emulator", "1")
	e.Handler().ServeHTTP(w, r)
	var fields struct{ Token string }
	if err := json.Unmarshal(w.Body.Bytes(), &fields); err != nil || fields.Token == "" {
		t.Fatalf("no Flex token: %d %s", w.Code, w.Body)
	}
	return fields.Token
}

func failing(t *testing.T, e *emulator.Emulator, how emulator.ValidateFailure) func() {
	return func() {
		settings := e.Settings()
		settings.ValidateFailure = how
		must(t, e.Configure(settings))
	}
}

func striking(t *testing.T, e *emulator.Emulator, faults ...string) func() {
	return func() { must(t, e.SetFaults(faults...)) }
}
