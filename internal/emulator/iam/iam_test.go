package iam_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/emulatortest"
	"github.com/flexvc/flexvc/internal/emulator/iam"
)

func TestBadCredentialsAreRefusedInTwiliosWords(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{})
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
		c := emulatortest.As(t, e)
		c.User, c.Password = test.user, test.password
		got := c.Get(c.Workspace()).Want(t, 401)
		want := `{"code":20003,"detail":"Your AccountSid or AuthToken was incorrect.","message":"` + test.message + `","more_info":"https://www.twilio.com/docs/errors/20003","status":401}`
		if got.Text != want {
			t.Errorf("%q %q: the body is %s, want %s", test.user, test.password, got.Text, want)
		}
		if strings.Contains(got.Text, a.AuthToken) || got.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("the refusal is %v %s", got.Header, got.Text)
		}
	}
}

// TestKeysMayDoWhatTheirTypeSays makes a key of every type and tries it on
// every product.
func TestKeysMayDoWhatTheirTypeSays(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Agents: 1})
	c := emulatortest.As(t, e)
	a := e.Account()
	token, err := e.MintFlexToken(e.ExportWorkers()[0].SID, 1<<40)
	emulatortest.Must(t, err)
	newKey := func(fields ...string) *emulatortest.Client {
		v := c.Post("https://iam.twilio.com/v1/Keys", append(fields, "AccountSid", a.SID)).Want(t, 201).JSON(t)
		made := emulatortest.As(t, e)
		made.User, made.Password = v["sid"].(string), v["secret"].(string)
		return made
	}
	mainKey := emulatortest.As(t, e)
	mainKey.User, mainKey.Password = a.KeySID, a.KeySecret
	for name, test := range map[string]struct {
		key                         *emulatortest.Client
		taskrouter, flex, iam, keys int
	}{
		"account":               {c, 200, 200, 200, 200},
		"main":                  {mainKey, 200, 200, 200, 200},
		"standard":              {newKey("FriendlyName", "s"), 200, 200, 200, 401},
		"restricted taskrouter": {newKey("KeyType", "restricted", "Policy", `{"allow":["/twilio/taskrouter/workers/read"]}`), 200, 401, 401, 401},
		"restricted iam":        {newKey("KeyType", "restricted", "Policy", `{"allow":["/twilio/iam/api-keys/read"]}`), 401, 401, 200, 200},
	} {
		t.Run(name, func(t *testing.T) {
			test.key.Get(c.Workspace()).Want(t, test.taskrouter)
			test.key.Get("https://flex-api.twilio.com/v1/Configuration").Want(t, test.flex)
			test.key.Must("POST", "https://iam.twilio.com/v1/Accounts/"+a.SID+"/Tokens/validate", "application/json", `{"token":"`+token+`"}`).Want(t, test.iam)
			got := test.key.Get("https://iam.twilio.com/v1/Keys?AccountSid="+a.SID).Want(t, test.keys)
			if test.keys == 401 && (got.JSON(t)["code"] != 20003.0 || got.JSON(t)["message"] != "Authenticate") {
				t.Errorf("the refusal is %s", got.Text)
			}
			before := len(e.Export().Keys)
			if test.keys == 401 {
				test.key.Post("https://iam.twilio.com/v1/Keys", []string{"AccountSid", a.SID}).Want(t, 401)
				test.key.Get("https://api.twilio.com/2010-04-01/Accounts/"+a.SID+".json").Want(t, 401)
				if after := len(e.Export().Keys); after != before {
					t.Errorf("a refused key made a key")
				}
			}
		})
	}
}

func TestBothKeyAPIsShareTheKeys(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{})
	c := emulatortest.As(t, e)
	a := e.Account()
	old := "https://api.twilio.com/2010-04-01/Accounts/" + a.SID
	made := c.Post(old+"/Keys.json", []string{"FriendlyName", "flexvc-token-server"}).Want(t, 201).JSON(t)
	sid, secret := made["sid"].(string), made["secret"].(string)
	if !regexp.MustCompile(`^[a-zA-Z0-9]+$`).MatchString(secret) || !strings.HasPrefix(secret, "emulated") || !emulatortest.IsMadeUp(sid) {
		t.Errorf("the key is %s with a secret that is not plainly made up", sid)
	}
	name := "flexvc-token-server"
	for _, target := range []string{old + "/Keys/" + sid + ".json", "https://iam.twilio.com/v1/Keys/" + sid} {
		got := c.Get(target).Want(t, 200)
		if got.JSON(t)["friendly_name"] != name || strings.Contains(got.Text, secret) {
			t.Errorf("%s answers %s, want the name %q", target, got.Text, name)
		}
		name = "renamed at " + strings.Split(target, "/")[2]
		c.Post(target, []string{"FriendlyName", name}).Want(t, 200)
	}
	list := c.Get(old+"/Keys.json?PageSize=1").Want(t, 200).JSON(t)
	next := list["next_page_uri"].(string)
	if !strings.HasPrefix(next, "/2010-04-01/") || list["start"] != 0.0 || list["end"] != 0.0 {
		t.Errorf("the page is %v", list)
	}
	list = c.Get("https://api.twilio.com"+next).Want(t, 200).JSON(t)
	if row := list["keys"].([]any)[0].(map[string]any); row["sid"] != sid || list["next_page_uri"] != nil || list["page"] != 1.0 || list["start"] != 1.0 {
		t.Errorf("the second page is %v", list)
	}
	c.Must("DELETE", old+"/Keys/"+sid+".json", "", "").Want(t, 204)
	c.Get("https://iam.twilio.com/v1/Keys/"+sid).Want(t, 404)
	c.User, c.Password = sid, secret
	c.Get(c.Workspace()).Want(t, 401)
}

func TestSecretsPassTheChecksOfTwiliosClients(t *testing.T) {
	for seed := range uint64(20) {
		a := emulatortest.Start(t, emulator.Options{SeedValue: seed}).Account()
		for _, secret := range []string{a.AuthToken, a.KeySecret} {
			if !regexp.MustCompile(`^emulated[a-zA-Z0-9]{16,}$`).MatchString(secret) {
				t.Errorf("the secret %s is refused by twilio-go or looks real", secret)
			}
		}
	}
}

func TestRestrictedKeysCanBeChanged(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{})
	c := emulatortest.As(t, e)
	v := c.Post("https://iam.twilio.com/v1/Keys", []string{"AccountSid", e.Account().SID, "KeyType", "restricted", "Policy", `{"allow":["/twilio/iam/x"]}`}).Want(t, 201).JSON(t)
	key := emulatortest.As(t, e)
	key.User, key.Password = v["sid"].(string), v["secret"].(string)
	key.Get(c.Workspace()).Want(t, 401)
	c.Post("https://iam.twilio.com/v1/Keys/"+url.PathEscape(key.User), []string{"Policy", `{"allow":["/twilio/taskrouter/x"]}`}).Want(t, 200)
	key.Get(c.Workspace()).Want(t, 200)
}

func TestTheAccountIsShown(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{Seed: &emulator.Seed{AccountName: "Acme"}})
	c := emulatortest.As(t, e)
	v := c.Get("https://api.twilio.com/2010-04-01/Accounts/"+e.Account().SID+".json").Want(t, 200).JSON(t)
	if v["friendly_name"] != "Acme" || v["status"] != "active" || v["type"] != "Full" || v["sid"] != e.Account().SID {
		t.Errorf("the account is %v", v)
	}
}

// TestEveryOperationHonoursTheSpecification calls every operation once; the
// client checks each answer.
func TestEveryOperationHonoursTheSpecification(t *testing.T) {
	e := emulatortest.Start(t, emulator.Options{})
	c := emulatortest.As(t, e)
	a := e.Account()
	c.Get("https://iam.twilio.com/v1/Keys?AccountSid="+a.SID).Want(t, 200)
	key := c.Post("https://iam.twilio.com/v1/Keys", []string{"AccountSid", a.SID, "FriendlyName", "token server"}).Want(t, 201).JSON(t)
	sk := "https://iam.twilio.com/v1/Keys/" + key["sid"].(string)
	c.Get(sk).Want(t, 200)
	c.Post(sk, []string{"FriendlyName", "renamed"}).Want(t, 200)
	c.Must("DELETE", sk, "", "").Want(t, 204)
	emulatortest.Covers(t, e, iam.Product())
}
