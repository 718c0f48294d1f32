package flexapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/emulatortest"
	"github.com/flexvc/flexvc/internal/emulator/flexapi"
	"github.com/flexvc/flexvc/internal/emulator/store"
	"github.com/flexvc/flexvc/internal/problem"
)

const flexConfiguration = "https://flex-api.twilio.com/v1/Configuration"

func TestFlexPointsAtItsWorkspace(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{})
	c := emulatortest.As(t, e)
	v := c.Get(flexConfiguration).Want(t, 200).JSON(t)
	a := e.Account()
	if v["taskrouter_workspace_sid"] != a.WorkspaceSID || v["flex_instance_sid"] != a.FlexInstanceSID || v["taskrouter_offline_activity_sid"] != e.Export().Activities[0].SID {
		t.Errorf("the configuration is %v", v)
	}
	for field, value := range v {
		if sid, ok := value.(string); ok && strings.HasSuffix(field, "_sid") && !emulatortest.IsMadeUp(sid) {
			t.Errorf("%s is %s", field, sid)
		}
	}
}

func TestConfigurationIsChangedFieldByField(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{})
	c := emulatortest.As(t, e)
	a := e.Account()
	before := c.Get(flexConfiguration).JSON(t)
	e.Advance(time.Hour)
	c.Must("POST", flexConfiguration, "application/json", `{"account_sid":"`+a.SID+`","ui_attributes":{"a":1},"url":"https://example.com"}`).Want(t, 200)
	after := c.Get(flexConfiguration).JSON(t)
	if got := after["ui_attributes"].(map[string]any); len(got) != 1 || got["a"] != 1.0 {
		t.Errorf("ui_attributes is %v", got)
	}
	if after["url"] != before["url"] || after["ui_version"] != before["ui_version"] || after["date_updated"] == before["date_updated"] {
		t.Errorf("the configuration is %v, it was %v", after, before)
	}
	c.Must("POST", flexConfiguration, "application/json", `{"account_sid":"`+a.SID+`","shoes":1,"ui_version":"1"}`).Want(t, 400)
	if got := c.Get(flexConfiguration).JSON(t)["ui_version"]; got != before["ui_version"] {
		t.Errorf("a refused change set ui_version to %v", got)
	}
}

func TestAnAccountMayHaveNoFlex(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{NoFlex: true, Agents: 1})
	c := emulatortest.As(t, e)
	if got := c.Get(flexConfiguration).Want(t, 404).JSON(t); got["code"] != 20404.0 {
		t.Errorf("the refusal is %v", got)
	}
	c.Must("POST", flexConfiguration, "application/json", `{"account_sid":"`+e.Account().SID+`"}`).Want(t, 404)
	c.Get("https://flex-api.twilio.com/v1/Instances/"+e.Account().FlexInstanceSID+"/Users").Want(t, 404)
	c.Get(c.Workspace()).Want(t, 200)
}

func TestFlexUsersAreTheWorkersFlexKnows(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Seed: &emulator.Seed{Workers: []emulator.SeedWorker{
		{FriendlyName: "alice", Attributes: `{"email":"alice@example.com","roles":["admin"],"full_name":"Alice"}`},
		{FriendlyName: "robot", NoFlexUser: true},
		{FriendlyName: "bob@example.com"},
	}}})
	c := emulatortest.As(t, e)
	c.Post(c.Workspace()+"/Workers", []string{"FriendlyName", "made by the API"}).Want(t, 201)
	instance := "/Instances/" + e.Account().FlexInstanceSID + "/Users"
	users := c.Get("https://flex-api.twilio.com/v1"+instance).Want(t, 200).JSON(t)["users"].([]any)
	if len(users) != 2 {
		t.Fatalf("%d users", len(users))
	}
	alice, bob := users[0].(map[string]any), users[1].(map[string]any)
	if alice["username"] != "alice" || alice["email"] != "alice@example.com" || alice["worker_sid"] != e.ExportWorkers()[0].SID || alice["roles"].([]any)[0] != "admin" {
		t.Errorf("the first user is %v", alice)
	}
	if bob["email"] != "bob@example.com" || bob["roles"].([]any)[0] != "agent" {
		t.Errorf("the second user is %v", bob)
	}

	// v4 finds one by name and lists none.
	byName := "https://flex-api.twilio.com/v4" + instance
	c.Get(byName).Want(t, 400)
	c.Get(byName+"?Username=robot").Want(t, 404)
	if v := c.Get(byName+"?Username=alice").Want(t, 200).JSON(t); v["flex_user_sid"] != alice["flex_user_sid"] {
		t.Errorf("the user of that name is %v", v)
	}
}

func TestAFlexTokenIsGoodUntilItExpires(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	e := emulatortest.Start(t, emulator.Options{Agents: 1, Now: func() time.Time { return now }})
	c := emulatortest.As(t, e)
	a := e.Account()
	token, info := c.Login(t, `{"ttl":600}`)
	if parts := strings.Split(token, "."); len(parts) != 5 || strings.Contains(token, a.AuthToken) {
		t.Errorf("the token has %d parts", len(parts))
	}
	worker := e.ExportWorkers()[0]
	validate := func() map[string]any {
		return c.Must("POST", "https://iam.twilio.com/v1/Accounts/"+a.SID+"/Tokens/validate", "application/json", `{"token":"`+token+`"}`).Want(t, 200).JSON(t)
	}
	v := validate()
	if v["valid"] != true || v["code"] != 0.0 || v["message"] != nil || v["worker_sid"] != worker.SID || v["expiration"] != "2030-01-02T03:14:05.000Z" {
		t.Errorf("the answer is %v", v)
	}
	if v["identity"] != info["identity"] || v["identity"] != store.EncodeIdentity(v["realm_user_id"].(string)) || !strings.Contains(worker.Attributes, v["identity"].(string)) {
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
	token, _ = c.Login(t, `{}`)
	if v := validate(); v["expiration"] != "2030-01-02T04:14:05.000Z" {
		t.Errorf("without a ttl it lives until %v", v["expiration"])
	}
	c.Must("DELETE", c.Workspace()+"/Workers/"+worker.SID, "", "").Want(t, 204)
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
		e := emulatortest.Start(t, emulator.Options{ValidateFailure: failure, Agents: 1})
		c := emulatortest.As(t, e)
		bad, _ := c.Login(t, `{}`)
		bad = bad[:len(bad)-2] + "xx"
		got := c.Must("POST", "https://iam.twilio.com/v1/Accounts/"+e.Account().SID+"/Tokens/validate", "application/json", `{"token":"`+bad+`"}`).Want(t, want.status)
		if !strings.Contains(got.Text, want.text) || strings.Contains(got.Text, bad) {
			t.Errorf("%s: the answer is %s", failure, got.Text)
		}
	}
}

func TestTokenInfoIsAskedWithTheTokenItself(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 1})
	c := emulatortest.As(t, e)
	token, _ := c.Login(t, `{"ttl":60}`)
	target := "https://flex-api.twilio.com/v1/Accounts/" + e.Account().SID + "/Tokens/Info"
	c.User, c.Password = "token", token
	v := c.Post(target, []string{"Token", token, "Fingerprint", "x"}).Want(t, 200).JSON(t)
	if v["worker_sid"] != e.ExportWorkers()[0].SID || v["account_sid"] != e.Account().SID || !strings.HasPrefix(v["flex_user_sid"].(string), "FU") {
		t.Errorf("the answer is %v", v)
	}
	c.Password = token + ")"
	c.Post(target, []string{"Token", token}).Want(t, 200)
	c.Password = "other"
	c.Post(target, []string{"Token", token}).Want(t, 401)
	c.User, c.Password = e.Account().SID, e.Account().AuthToken
	c.Post(target, []string{"Token", token}).Want(t, 401)
	c.User, c.Password = "token", "made.up"
	c.Post(target, []string{"Token", "made.up"}).Want(t, 401)
	c.Password = token
	e.Advance(time.Minute)
	if got := c.Post(target, []string{"Token", token}).Want(t, 401); !strings.Contains(got.JSON(t)["message"].(string), "20104") {
		t.Errorf("an expired token: %s", got.Text)
	}
}

// TestEveryOperationHonoursTheSpecification calls every operation once; the
// client checks each answer.
func TestEveryOperationHonoursTheSpecification(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 1})
	c := emulatortest.As(t, e)
	a := e.Account()
	c.Get("https://flex-api.twilio.com/v1/Configuration?UiVersion=2").Want(t, 200)
	c.Must("POST", "https://flex-api.twilio.com/v1/Configuration", "application/json", `{"account_sid":"`+a.SID+`","ui_version":"2.18.0"}`).Want(t, 200)
	everyPluginOperation(t, c)

	emulatortest.Covers(t, e, flexapi.Product())
}
