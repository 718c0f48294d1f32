//go:build ignore

package emulator_test

import (
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
)

const flexConfiguration = "https://flex-api.twilio.com/v1/Configuration"

func TestFlexPointsAtItsWorkspace(t *testing.T) {
	e := start(t, emulator.Options{})
	c := as(t, e)
	v := c.get(flexConfiguration).want(t, 200).json(t)
	a := e.Account()
	if v["taskrouter_workspace_sid"] != a.WorkspaceSID || v["flex_instance_sid"] != a.FlexInstanceSID || v["taskrouter_offline_activity_sid"] != e.Export().Activities[0].SID {
		t.Errorf("the configuration is %v", v)
	}
	for field, value := range v {
		if sid, ok := value.(string); ok && strings.HasSuffix(field, "_sid") && !emulator.IsEmulated(sid) {
			t.Errorf("%s is %s", field, sid)
		}
	}
}

func TestConfigurationIsChangedFieldByField(t *testing.T) {
	e := start(t, emulator.Options{})
	c := as(t, e)
	a := e.Account()
	before := c.get(flexConfiguration).json(t)
	e.Advance(time.Hour)
	c.must("POST", flexConfiguration, "application/json", `{"account_sid":"`+a.SID+`","ui_attributes":{"a":1},"url":"https://example.com"}`).want(t, 200)
	after := c.get(flexConfiguration).json(t)
	if got := after["ui_attributes"].(map[string]any); len(got) != 1 || got["a"] != 1.0 {
		t.Errorf("ui_attributes is %v", got)
	}
	if after["url"] != before["url"] || after["ui_version"] != before["ui_version"] || after["date_updated"] == before["date_updated"] {
		t.Errorf("the configuration is %v, it was %v", after, before)
	}
	c.must("POST", flexConfiguration, "application/json", `{"account_sid":"`+a.SID+`","shoes":1,"ui_version":"1"}`).want(t, 400)
	if got := c.get(flexConfiguration).json(t)["ui_version"]; got != before["ui_version"] {
		t.Errorf("a refused change set ui_version to %v", got)
	}
}

func TestAnAccountMayHaveNoFlex(t *testing.T) {
	e := start(t, emulator.Options{NoFlex: true, Agents: 1})
	c := as(t, e)
	if got := c.get(flexConfiguration).want(t, 404).json(t); got["code"] != 20404.0 {
		t.Errorf("the refusal is %v", got)
	}
	c.must("POST", flexConfiguration, "application/json", `{"account_sid":"`+e.Account().SID+`"}`).want(t, 404)
	c.get("https://flex-api.twilio.com/v4/Instances/"+e.Account().FlexInstanceSID+"/Users").want(t, 404)
	c.get(c.workspace()).want(t, 200)
}

func TestFlexUsersAreTheWorkersFlexKnows(t *testing.T) {
	e := start(t, emulator.Options{Seed: &emulator.Seed{Workers: []emulator.SeedWorker{
		{FriendlyName: "alice", Attributes: `{"email":"alice@example.com","roles":["admin"],"full_name":"Alice"}`},
		{FriendlyName: "robot", NoFlexUser: true},
		{FriendlyName: "bob@example.com"},
	}}})
	c := as(t, e)
	c.post(c.workspace()+"/Workers", []string{"FriendlyName", "made by the API"}).want(t, 201)
	for _, version := range []string{"v1", "v4"} {
		v := c.get("https://flex-api.twilio.com/"+version+"/Instances/"+e.Account().FlexInstanceSID+"/Users").want(t, 200).json(t)
		users := v["users"].([]any)
		if len(users) != 2 {
			t.Fatalf("%s: %d users", version, len(users))
		}
		alice, bob := users[0].(map[string]any), users[1].(map[string]any)
		if alice["username"] != "alice" || alice["email"] != "alice@example.com" || alice["worker_sid"] != e.ExportWorkers()[0].SID || alice["roles"].([]any)[0] != "admin" {
			t.Errorf("%s: the first user is %v", version, alice)
		}
		if bob["email"] != "bob@example.com" || bob["roles"].([]any)[0] != "agent" {
			t.Errorf("%s: the second user is %v", version, bob)
		}
	}
}

// login mints a token the way a client can.
func login(t *testing.T, c *client, body string) (token string, info map[string]any) {
	t.Helper()
	a := c.e.Account()
	users := c.get("https://flex-api.twilio.com/v4/Instances/"+a.FlexInstanceSID+"/Users").want(t, 200).json(t)["users"].([]any)
	user := users[0].(map[string]any)["flex_user_sid"].(string)
	v := c.must("POST", "https://flex-api.twilio.com/v4/Instances/"+a.FlexInstanceSID+"/Users/"+user+"/Tokens", "application/json", body).want(t, 201).json(t)
	return v["access_token"].(string), v["token_info"].(map[string]any)
}

func TestAFlexTokenIsGoodUntilItExpires(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	e := start(t, emulator.Options{Agents: 1, Now: func() time.Time { return now }})
	c := as(t, e)
	a := e.Account()
	token, info := login(t, c, `{"ttl":600}`)
	if parts := strings.Split(token, "."); len(parts) != 5 || strings.Contains(token, a.AuthToken) {
		t.Errorf("the token has %d parts", len(parts))
	}
	worker := e.ExportWorkers()[0]
	validate := func() map[string]any {
		return c.must("POST", "https://iam.twilio.com/v1/Accounts/"+a.SID+"/Tokens/validate", "application/json", `{"token":"`+token+`"}`).want(t, 200).json(t)
	}
	v := validate()
	if v["valid"] != true || v["code"] != 0.0 || v["message"] != nil || v["worker_sid"] != worker.SID || v["expiration"] != "2030-01-02T03:14:05.000Z" {
		t.Errorf("the answer is %v", v)
	}
	if v["identity"] != info["identity"] || v["identity"] != emulator.EncodeIdentity(v["realm_user_id"].(string)) || !strings.Contains(worker.Attributes, v["identity"].(string)) {
		t.Errorf("the identity is %v of %v, the token's %v", v["identity"], v["realm_user_id"], info["identity"])
	}
	e.Advance(10*time.Minute - time.Millisecond)
	if v := validate(); v["valid"] != true {
		t.Errorf("just before its end: %v", v)
	}
	e.Advance(time.Millisecond)
	if v := validate(); v["valid"] != false || v["message"] != "Token has expired" {
		t.Errorf("at its end: %v", v)
	}
	token, _ = login(t, c, `{}`)
	if v := validate(); v["expiration"] != "2030-01-02T04:14:05.000Z" {
		t.Errorf("without a ttl it lives until %v", v["expiration"])
	}
	c.must("DELETE", c.workspace()+"/Workers/"+worker.SID, "", "").want(t, 204)
	if v := validate(); v["valid"] != false {
		t.Errorf("without its worker: %v", v)
	}
	if _, err := e.MintFlexToken(worker.SID, time.Hour); !problem.Is(err, problem.NotFound) {
		t.Errorf("a token for nobody: %v", err)
	}
}

func TestABadFlexTokenIsRefusedInEveryWay(t *testing.T) {
	for failure, want := range map[emulator.ValidateFailure]struct {
		status int
		text   string
	}{
		"":                      {200, `{"code":20003,"message":"Token is not valid","valid":false}`},
		emulator.Failure200:     {200, `{"code":20003,"message":"Token is not valid","valid":false}`},
		emulator.Failure401:     {401, `"message":"Token is not valid"`},
		emulator.Failure403:     {403, `"message":"Token is not valid"`},
		emulator.FailureNonJSON: {403, `<html>`},
	} {
		e := start(t, emulator.Options{ValidateFailure: failure, Agents: 1})
		c := as(t, e)
		bad, _ := login(t, c, `{}`)
		bad = bad[:len(bad)-2] + "xx"
		got := c.must("POST", "https://iam.twilio.com/v1/Accounts/"+e.Account().SID+"/Tokens/validate", "application/json", `{"token":"`+bad+`"}`).want(t, want.status)
		if !strings.Contains(got.text, want.text) || strings.Contains(got.text, bad) {
			t.Errorf("%s: the answer is %s", failure, got.text)
		}
	}
}

func TestTokenInfoIsAskedWithTheTokenItself(t *testing.T) {
	e := start(t, emulator.Options{Agents: 1})
	c := as(t, e)
	token, _ := login(t, c, `{"ttl":60}`)
	target := "https://flex-api.twilio.com/v1/Accounts/" + e.Account().SID + "/Tokens/Info"
	c.user, c.password = "token", token
	v := c.post(target, []string{"Token", token, "Fingerprint", "x"}).want(t, 200).json(t)
	if v["worker_sid"] != e.ExportWorkers()[0].SID || v["account_sid"] != e.Account().SID || !strings.HasPrefix(v["flex_user_sid"].(string), "FU") {
		t.Errorf("the answer is %v", v)
	}
	c.password = token + ")"
	c.post(target, []string{"Token", token}).want(t, 200)
	c.password = "other"
	c.post(target, []string{"Token", token}).want(t, 401)
	c.user, c.password = e.Account().SID, e.Account().AuthToken
	c.post(target, []string{"Token", token}).want(t, 401)
	c.user, c.password = "token", "made.up"
	c.post(target, []string{"Token", "made.up"}).want(t, 401)
	c.password = token
	e.Advance(time.Minute)
	if got := c.post(target, []string{"Token", token}).want(t, 401); !strings.Contains(got.json(t)["message"].(string), "20104") {
		t.Errorf("an expired token: %s", got.text)
	}
}
