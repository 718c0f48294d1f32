package tokensrv

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/tokenlog"
)

// Every reason has a remedy in the file that the extension's tests read too, and
// nothing else has.
func TestRefusalsAreDescribed(t *testing.T) {
	described := tokenlog.Refusals()
	for word, known := range refusals {
		d, ok := described[string(word)]
		if !ok || d.Status != known.status || d.Why != known.detail || d.Remedy == "" || d.Popup.Title == "" || d.Popup.Reason == "" {
			t.Errorf("refusals.json says of %s: %+v", word, d)
		}
	}
	if len(described) != len(refusals) {
		t.Errorf("refusals.json has %d reasons, there are %d", len(described), len(refusals))
	}
}

// Each refusal, seeded: the client, the log and the memory tell the same reason
// and request, and of an agent whom Twilio vouched for also who it was.
func TestRefusalsCanBeAskedFor(t *testing.T) {
	type change = func(*Config, *Deps)
	off := func(context.Context, string) (bool, error) { return false, nil }
	broken := func(context.Context, string) (bool, error) { return false, errors.New("no answer") }
	says := func(status int, body string) func(*fixture) *http.Request {
		return func(f *fixture) *http.Request {
			f.twilio.set(func(*http.Request, string) (*http.Response, error) { return reply(status, body), nil })
			return post(flexToken("seeded"))
		}
	}
	alice := func(f *fixture) *http.Request { return post(f.agent("alice")) }
	body := func(kind, text string) func(*fixture) *http.Request {
		return func(*fixture) *http.Request {
			r := httptest.NewRequest(http.MethodPost, pathToken, strings.NewReader(text))
			r.Header.Set("Content-Type", kind)
			return r
		}
	}
	const form = "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		want    reason
		vouched bool
		config  change
		request func(*fixture) *http.Request
	}{
		{roleMissing, true, func(c *Config, _ *Deps) { c.RequireRoles = []string{"supervisor"} }, alice},
		{workerNotAllowed, true, func(c *Config, _ *Deps) { c.AllowWorkers = []string{"bob"} }, alice},
		{workerNotEnabled, true, func(c *Config, d *Deps) { c.RequireEnabled, d.WorkerEnabled = true, off }, alice},
		{workerUnknown, true, func(c *Config, d *Deps) { c.RequireEnabled, d.WorkerEnabled = true, broken }, alice},
		{identityLimited, true, func(c *Config, _ *Deps) { c.IdentityRate = Rate{PerSecond: 0.001, Burst: 1} }, func(f *fixture) *http.Request {
			token := f.agent("alice")
			f.do(post(token)).wantToken(t)
			return post(token)
		}},
		{identityUnusable, true, nil, says(200, vouch("al ice", time.Now().Add(time.Hour)))},
		{addressLimited, false, func(c *Config, _ *Deps) { c.AddressRate = Rate{PerSecond: 0.001, Burst: 1} }, func(f *fixture) *http.Request {
			f.addresses.wait(t.Context(), addressKey(netip.MustParseAddr("192.0.2.1")))
			return post(f.agent("alice"))
		}},
		{missingToken, false, nil, body(form, "")},
		{malformedToken, false, nil, body(form, "Token=%20")},
		{malformedRequest, false, nil, body(form, "Token=%zz")},
		{mediaType, false, nil, body("text/plain", "Token=x")},
		{tooLarge, false, nil, body(form, "Token="+strings.Repeat("x", 64<<10))},
		{prefixNotAllowed, false, nil, body(form, "Token=x&VoiceClientPrefix=other_")},
		{originNotAllowed, false, nil, func(f *fixture) *http.Request {
			r := alice(f)
			r.Header.Set("Origin", "https://elsewhere.example.com")
			return r
		}},
		{methodNotAllowed, false, nil, func(*fixture) *http.Request { return httptest.NewRequest(http.MethodPut, pathToken, nil) }},
		{tokenRefused, false, nil, says(200, `{"valid":false}`)},
		{tokenExpired, false, nil, says(401, `{"code":20104,"message":"expired"}`)},
		{otherAccount, false, nil, says(200, `{"valid":true,"identity":"alice","account_sid":"AC99999999999999999999999999999999"}`)},
		{validatorNonsense, false, nil, says(200, `[]`)},
		{validatorDenied, false, nil, says(401, `{"code":20003,"message":"authenticate"}`)},
		{validatorFailing, false, nil, says(500, `{}`)},
		{validatorBusy, false, nil, says(429, `{}`)},
		{validatorLost, false, nil, func(f *fixture) *http.Request {
			f.twilio.set(func(*http.Request, string) (*http.Response, error) { return nil, errors.New("no route") })
			return post(flexToken("lost"))
		}},
	} {
		t.Run(string(tt.want), func(t *testing.T) {
			f := newFixture(t, tt.config)
			a := f.do(tt.request(f))
			a.want(t, refusals[tt.want].status, tt.want)
			var told problemBody
			if err := json.Unmarshal([]byte(a.body), &told); err != nil {
				t.Fatal(err)
			}
			query := tokenlog.Path
			if tt.vouched {
				query += "?worker=" + strings.TrimPrefix(wantIdentity(tt.want), f.prefix)
			}
			var answer tokenlog.Answer
			if err := json.Unmarshal([]byte(f.admin(query).body), &answer); err != nil || len(answer.Entries) == 0 {
				t.Fatalf("nothing is remembered: %v", err)
			}
			e := answer.Entries[0]
			if e.Reason != string(tt.want) || e.Request != told.RequestID || e.Client != "192.0.2.1" || e.Status != a.status || tt.vouched != (e.Identity == wantIdentity(tt.want)) {
				t.Errorf("remembered %+v, told %+v", e, told)
			}
			line := ""
			for text := range strings.Lines(f.log.String()) {
				if strings.Contains(text, `"req":"`+told.RequestID) && strings.Contains(text, "token refused") {
					line = text
				}
			}
			if !strings.Contains(line, `"reason":"`+string(tt.want)+`"`) || !strings.Contains(line, `"client":"192.0.2.1"`) || tt.vouched != strings.Contains(line, `"identity":"`+wantIdentity(tt.want)+`"`) {
				t.Errorf("logged %s", line)
			}
		})
	}
}

func wantIdentity(r reason) string {
	if r == identityUnusable {
		return "ext_al?ice"
	}
	return "ext_alice"
}
