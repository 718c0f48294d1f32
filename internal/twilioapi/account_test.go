package twilioapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

func TestFlexConfiguration(t *testing.T) {
	c := atOnce(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.String() != "https://flex-api.twilio.com/v1/Configuration" {
			t.Errorf("asked for %s", r.URL)
		}
		return respond(200, `{"account_sid":"`+account+`","taskrouter_workspace_sid":"`+workspace+`","taskrouter_offline_activity_sid":"WA1",
			"flex_instance_sid":"GO1","ui_version":"2.17.1","runtime_domain":null,"ui_attributes":{"a":{"b":1},"disableBrowserVoice":true},"taskrouter_skills":[]}`), nil
	}))
	got, err := c.FlexConfiguration(t.Context())
	want := twilio.FlexConfiguration{AccountSID: account, WorkspaceSID: workspace, OfflineActivitySID: "WA1", FlexInstanceSID: "GO1", UIVersion: "2.17.1", NoBrowserVoice: true}
	if err != nil || got != want {
		t.Errorf("configuration %+v, %v", got, err)
	}
}

func TestKeys(t *testing.T) {
	var asked []string
	c := atOnce(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		line := r.Method + " " + r.URL.Host + r.URL.RequestURI()
		if r.Method == http.MethodPost {
			if err := r.ParseForm(); err != nil {
				return nil, err
			}
			line += " " + r.PostForm.Encode()
		}
		asked = append(asked, line)
		switch {
		case r.Method == http.MethodDelete:
			return respond(204, ""), nil
		case r.Method == http.MethodGet:
			return respond(200, `{"keys":[{"sid":"`+apiKey+`","friendly_name":"token server","date_created":"Mon, 13 Jun 2016 22:50:08 +0000"}],"meta":{}}`), nil
		case r.URL.Path == "/v1/Keys":
			return respond(201, `{"sid":"`+apiKey+`","friendly_name":"a","date_created":"2016-06-13T22:50:08Z","secret":"notASecret"}`), nil
		}
		return respond(200, `{"sid":"`+apiKey+`","friendly_name":"b"}`), nil
	}))
	ctx := t.Context()
	created := time.Date(2016, 6, 13, 22, 50, 8, 0, time.UTC)
	all, err := c.Keys(ctx)
	if want := (twilio.Key{SID: apiKey, FriendlyName: "token server", Created: created}); err != nil || len(all) != 1 || all[0] != want {
		t.Errorf("keys %+v, %v", all, err)
	}
	made, secret, err := c.CreateKey(ctx, "a")
	if want := (twilio.Key{SID: apiKey, FriendlyName: "a", Created: created}); err != nil || made != want || secret != "notASecret" {
		t.Errorf("created %+v %q, %v", made, secret, err)
	}
	if err := c.RenameKey(ctx, apiKey, "b"); err != nil {
		t.Error(err)
	}
	if err := c.DeleteKey(ctx, apiKey); err != nil {
		t.Error(err)
	}
	want := []string{
		"GET iam.twilio.com/v1/Keys?AccountSid=" + account + "&PageSize=1000",
		"POST iam.twilio.com/v1/Keys AccountSid=" + account + "&FriendlyName=a",
		"POST iam.twilio.com/v1/Keys/" + apiKey + " FriendlyName=b",
		"DELETE iam.twilio.com/v1/Keys/" + apiKey,
	}
	if strings.Join(asked, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked\n%s, want\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
	}
}

// A Standard key asking for /Keys gets the same 20003 as wrong credentials.
func TestKeyThatMayNotManageKeysIsToldFromWrongCredentials(t *testing.T) {
	const refused = `{"code":20003,"message":"Authenticate","status":401}`
	for _, tc := range []struct {
		name     string
		standard bool
		code     problem.Code
	}{
		{"standard key", true, problem.PermissionDenied},
		{"wrong secret", false, problem.CredentialsRefused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := atOnce(t, roundTripper(func(r *http.Request) (*http.Response, error) {
				if tc.standard && r.URL.Host == "taskrouter.twilio.com" {
					return respond(200, `{"workspaces":[{"sid":"WS1"}],"meta":{}}`), nil
				}
				return respond(401, refused), nil
			}))
			_, err := c.Keys(t.Context())
			wantCode(t, err, tc.code)
			_, _, err = c.CreateKey(t.Context(), "a")
			wantCode(t, err, tc.code)
			err = c.CheckCredentials(t.Context())
			if tc.standard && err != nil {
				t.Errorf("checking working credentials: %v", err)
			}
			if !tc.standard {
				wantCode(t, err, problem.CredentialsRefused)
			}
		})
	}
}

func TestCreatedKeyWithoutASecretIsAnError(t *testing.T) {
	c := atOnce(t, roundTripper(func(*http.Request) (*http.Response, error) {
		return respond(201, `{"sid":"`+apiKey+`"}`), nil
	}))
	_, _, err := c.CreateKey(t.Context(), "a")
	wantCode(t, err, problem.TwilioAnswer)
}
