//go:build ignore

package emulator_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/emulator"
)

func TestBadCredentialsAreRefusedInTwiliosWords(t *testing.T) {
	e := start(t, emulator.Options{})
	a := e.Account()
	for _, test := range []struct{ user, password, message string }{
		{"", "", "Authentication Error - No credentials provided"},
		{a.SID, "wrong", "Authenticate"},
		{a.SID, "", "Authenticate"},
		{a.SID, a.KeySecret, "Authenticate"},
		{a.KeySID, a.AuthToken, "Authenticate"},
		{"AC" + strings.Repeat("0", 32), a.AuthToken, "Authentication Error - invalid username"},
		{"SK" + strings.Repeat("0", 32), a.KeySecret, "Authentication Error - invalid username"},
	} {
		c := as(t, e)
		c.user, c.password = test.user, test.password
		got := c.get(c.workspace()).want(t, 401)
		want := `{"code":20003,"detail":"Your AccountSid or AuthToken was incorrect.","message":"` + test.message + `","more_info":"https://www.twilio.com/docs/errors/20003","status":401}`
		if got.text != want {
			t.Errorf("%q %q: the body is %s, want %s", test.user, test.password, got.text, want)
		}
		if strings.Contains(got.text, a.AuthToken) || got.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("the refusal is %v %s", got.Header, got.text)
		}
	}
}

// TestKeysMayDoWhatTheirTypeSays makes a key of every type and tries it on
// every product.
func TestKeysMayDoWhatTheirTypeSays(t *testing.T) {
	e := start(t, emulator.Options{Agents: 1})
	c := as(t, e)
	a := e.Account()
	token, err := e.MintFlexToken(e.ExportWorkers()[0].SID, 1<<40)
	must(t, err)
	newKey := func(fields ...string) *client {
		v := c.post("https://iam.twilio.com/v1/Keys", append(fields, "AccountSid", a.SID)).want(t, 201).json(t)
		made := as(t, e)
		made.user, made.password = v["sid"].(string), v["secret"].(string)
		return made
	}
	mainKey := as(t, e)
	mainKey.user, mainKey.password = a.KeySID, a.KeySecret
	for name, test := range map[string]struct {
		key                         *client
		taskrouter, flex, iam, keys int
	}{
		"account":               {c, 200, 200, 200, 200},
		"main":                  {mainKey, 200, 200, 200, 200},
		"standard":              {newKey("FriendlyName", "s"), 200, 200, 200, 401},
		"restricted taskrouter": {newKey("KeyType", "restricted", "Policy", `{"allow":["/twilio/taskrouter/workers/read"]}`), 200, 401, 401, 401},
		"restricted iam":        {newKey("KeyType", "restricted", "Policy", `{"allow":["/twilio/iam/api-keys/read"]}`), 401, 401, 200, 200},
	} {
		t.Run(name, func(t *testing.T) {
			test.key.get(c.workspace()).want(t, test.taskrouter)
			test.key.get("https://flex-api.twilio.com/v1/Configuration").want(t, test.flex)
			test.key.must("POST", "https://iam.twilio.com/v1/Accounts/"+a.SID+"/Tokens/validate", "application/json", `{"token":"`+token+`"}`).want(t, test.iam)
			got := test.key.get("https://iam.twilio.com/v1/Keys?AccountSid="+a.SID).want(t, test.keys)
			if test.keys == 401 && (got.json(t)["code"] != 20003.0 || got.json(t)["message"] != "Authenticate") {
				t.Errorf("the refusal is %s", got.text)
			}
			before := len(e.Export().Keys)
			if test.keys == 401 {
				test.key.post("https://iam.twilio.com/v1/Keys", []string{"AccountSid", a.SID}).want(t, 401)
				test.key.get("https://api.twilio.com/2010-04-01/Accounts/"+a.SID+".json").want(t, 401)
				if after := len(e.Export().Keys); after != before {
					t.Errorf("a refused key made a key")
				}
			}
		})
	}
}

func TestBothKeyAPIsShareTheKeys(t *testing.T) {
	e := start(t, emulator.Options{})
	c := as(t, e)
	a := e.Account()
	old := "https://api.twilio.com/2010-04-01/Accounts/" + a.SID
	made := c.post(old+"/Keys.json", []string{"FriendlyName", "flexvc-token-server"}).want(t, 201).json(t)
	sid, secret := made["sid"].(string), made["secret"].(string)
	if !regexp.MustCompile(`^[a-zA-Z0-9]+$`).MatchString(secret) || !strings.HasPrefix(secret, "emulated") || !emulator.IsEmulated(sid) {
		t.Errorf("the key is %s with a secret that is not plainly made up", sid)
	}
	name := "flexvc-token-server"
	for _, target := range []string{old + "/Keys/" + sid + ".json", "https://iam.twilio.com/v1/Keys/" + sid} {
		got := c.get(target).want(t, 200)
		if got.json(t)["friendly_name"] != name || strings.Contains(got.text, secret) {
			t.Errorf("%s answers %s, want the name %q", target, got.text, name)
		}
		name = "renamed at " + strings.Split(target, "/")[2]
		c.post(target, []string{"FriendlyName", name}).want(t, 200)
	}
	list := c.get(old+"/Keys.json?PageSize=1").want(t, 200).json(t)
	next := list["next_page_uri"].(string)
	if !strings.HasPrefix(next, "/2010-04-01/") || list["start"] != 0.0 || list["end"] != 0.0 {
		t.Errorf("the page is %v", list)
	}
	list = c.get("https://api.twilio.com"+next).want(t, 200).json(t)
	if row := list["keys"].([]any)[0].(map[string]any); row["sid"] != sid || list["next_page_uri"] != nil || list["page"] != 1.0 || list["start"] != 1.0 {
		t.Errorf("the second page is %v", list)
	}
	c.must("DELETE", old+"/Keys/"+sid+".json", "", "").want(t, 204)
	c.get("https://iam.twilio.com/v1/Keys/"+sid).want(t, 404)
	c.user, c.password = sid, secret
	c.get(c.workspace()).want(t, 401)
}

func TestSecretsPassTheChecksOfTwiliosClients(t *testing.T) {
	for seed := range uint64(20) {
		a := start(t, emulator.Options{SeedValue: seed}).Account()
		for _, secret := range []string{a.AuthToken, a.KeySecret} {
			if !regexp.MustCompile(`^emulated[a-zA-Z0-9]{16,}$`).MatchString(secret) {
				t.Errorf("the secret %s is refused by twilio-go or looks real", secret)
			}
		}
	}
}

func TestRestrictedKeysCanBeChanged(t *testing.T) {
	e := start(t, emulator.Options{})
	c := as(t, e)
	v := c.post("https://iam.twilio.com/v1/Keys", []string{"AccountSid", e.Account().SID, "KeyType", "restricted", "Policy", `{"allow":["/twilio/iam/x"]}`}).want(t, 201).json(t)
	key := as(t, e)
	key.user, key.password = v["sid"].(string), v["secret"].(string)
	key.get(c.workspace()).want(t, 401)
	c.post("https://iam.twilio.com/v1/Keys/"+url.PathEscape(key.user), []string{"Policy", `{"allow":["/twilio/taskrouter/x"]}`}).want(t, 200)
	key.get(c.workspace()).want(t, 200)
}

func TestTheAccountIsShown(t *testing.T) {
	e := start(t, emulator.Options{Seed: &emulator.Seed{AccountName: "Acme"}})
	c := as(t, e)
	v := c.get("https://api.twilio.com/2010-04-01/Accounts/"+e.Account().SID+".json").want(t, 200).json(t)
	if v["friendly_name"] != "Acme" || v["status"] != "active" || v["type"] != "Full" || v["sid"] != e.Account().SID {
		t.Errorf("the account is %v", v)
	}
}
