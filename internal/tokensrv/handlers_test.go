package tokensrv

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestTokenIsIssued(t *testing.T) {
	f := newFixture(t, nil)
	flex := f.agent("alice_40example_2Ecom")
	query := "?" + url.Values{"Token": {flex}, "VoiceClientPrefix": {"ext_"}}.Encode()
	jsonBody, err := json.Marshal(map[string]any{"Token": flex, "VoiceClientPrefix": "ext_", "Unknown": []int{1}})
	if err != nil {
		t.Fatal(err)
	}
	request := func(method, target, contentType, body string) *http.Request {
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		return r
	}
	bearer := func(r *http.Request, scheme string) *http.Request {
		r.Header.Set("Authorization", scheme+" "+flex)
		return r
	}
	for _, tt := range []struct {
		name string
		r    *http.Request
	}{
		{"form", post(flex)},
		{"form with prefix and more", request("POST", pathToken, "application/x-www-form-urlencoded; charset=UTF-8", query[1:]+"&Other=1")},
		{"json", request("POST", pathToken, "application/json", string(jsonBody))},
		{"json with charset", request("POST", pathToken, "application/json; charset=utf-8", string(jsonBody))},
		{"bearer", bearer(request("POST", pathToken, "", ""), "Bearer")},
		{"bearer in lower case", bearer(request("POST", pathToken, "", ""), "bearer")},
		{"bearer and the same in a form", bearer(post(flex), "Bearer")},
		{"get, as the original extension asks", request("GET", pathToken+query, "", "")},
		{"get, not URL-encoded", request("GET", pathToken+"?Token="+flex+"&VoiceClientPrefix=ext_", "", "")},
		{"get without prefix", request("GET", pathToken+"?Token="+flex, "", "")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := time.Now().Truncate(time.Second)
			a := f.do(tt.r)
			a.wantToken(t)
			var got struct {
				Identity  string
				Token     string
				TTL       int
				ExpiresAt time.Time
			}
			if err := json.Unmarshal([]byte(a.body), &got); err != nil {
				t.Fatal(err)
			}
			if got.Identity != "ext_alice_40example_2Ecom" || got.TTL != 3600 || strings.Count(got.Token, ".") != 2 {
				t.Errorf("answered identity %q, ttl %d", got.Identity, got.TTL)
			}
			if got.ExpiresAt.Before(before.Add(time.Hour)) || got.ExpiresAt.After(time.Now().Add(time.Hour)) {
				t.Errorf("expires at %s", got.ExpiresAt)
			}
			for header, want := range map[string]string{"Cache-Control": "no-store", "Vary": "Origin", "X-Content-Type-Options": "nosniff"} {
				if got := a.header.Get(header); got != want {
					t.Errorf("%s is %q, want %q", header, got, want)
				}
			}
			if a.header.Get("X-Request-Id") == "" {
				t.Error("the answer has no request id")
			}
		})
	}
	if n := f.twilio.calls.Load(); n != 1 {
		t.Errorf("Twilio was asked %d times about one token", n)
	}
}

func TestProblemBody(t *testing.T) {
	f := newFixture(t, nil)
	a := f.do(httptest.NewRequest("POST", pathToken, nil))
	want := `{"type":"urn:flexvc:problem:missing-token","title":"Bad Request","status":400,"code":"missing-token",` +
		`"detail":"send the Flex token as the field Token or as Authorization: Bearer","requestId":"` + a.header.Get("X-Request-Id") + "\"}\n"
	if a.body != want {
		t.Errorf("got\n%s, want\n%s", a.body, want)
	}
	if a.header.Get("Cache-Control") != "no-store" || len(a.header.Get("X-Request-Id")) != 8 {
		t.Errorf("headers %v", a.header)
	}
}

func TestEveryReasonHasAnAnswer(t *testing.T) {
	for r, known := range refusals {
		if title(known.status) == "" || known.detail == "" || strings.HasSuffix(known.detail, ".") {
			t.Errorf("%s: %+v", r, known)
		}
	}
}

func TestHealth(t *testing.T) {
	f := newFixture(t, nil)
	for _, path := range []string{pathLive, pathReady} {
		for name, h := range map[string]http.Handler{"public": f, "admin": f.Admin()} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			if w.Code != http.StatusOK || w.Body.String() != "ok\n" {
				t.Errorf("%s %s: %d %q", name, path, w.Code, w.Body)
			}
		}
	}
}

func TestMetricsAreOnTheAdminListenerOnly(t *testing.T) {
	f := newFixture(t, nil)
	f.do(post(f.agent("alice"))).wantToken(t)
	f.do(post(flexToken("stranger"))).want(t, 403, tokenRefused)
	f.do(httptest.NewRequest("GET", pathMetrics, nil)).want(t, 404, notFound)

	w := httptest.NewRecorder()
	f.Admin().ServeHTTP(w, httptest.NewRequest("GET", pathMetrics, nil))
	for _, line := range []string{
		"flexvc_tokens_issued_total 1",
		`flexvc_tokens_refused_total{reason="flex-token-refused"} 1`,
		`flexvc_http_requests_total{code="200",route="generateToken"} 1`,
		`flexvc_http_requests_total{code="403",route="generateToken"} 1`,
		`flexvc_validator_answers_total{outcome="ok",shape="valid"} 1`,
		`flexvc_validator_answers_total{outcome="flex-token-refused",shape="valid-false"} 1`,
		`flexvc_verdict_lookups_total{from="twilio"} 2`,
		"flexvc_validator_circuit 0",
		"flexvc_http_requests_in_flight 0",
	} {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
	if s := f.Stats(); s.Issued != 1 || s.Refused != 1 || s.InFlight != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestExtensionFolder(t *testing.T) {
	f := newFixture(t, func(_ *Config, d *Deps) {
		d.Extension = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/x-chrome-extension")
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader("package of "+r.URL.Path))
		})
	})
	a := f.do(httptest.NewRequest("GET", "/extension/x-1.0.crx", nil))
	if a.status != 200 || a.body != "package of /extension/x-1.0.crx" || a.header.Get("Content-Type") != "application/x-chrome-extension" {
		t.Errorf("answered %d %q %v", a.status, a.body, a.header)
	}
	newFixture(t, nil).do(httptest.NewRequest("GET", "/extension/update.xml", nil)).want(t, 404, notFound)
}

func TestWhoIsAdmitted(t *testing.T) {
	on := func(_ context.Context, sid string) (bool, error) {
		switch sid {
		case "WK00000000000000000000000000000003":
			return true, nil
		case "WK-unreadable":
			return false, errors.New("no answer")
		}
		return false, nil
	}
	answer := func(fields string) string { return `{"valid":true,"expiration":"2999-01-02T15:04:05Z",` + fields + `}` }
	for _, tt := range []struct {
		name   string
		change func(*Config)
		answer string
		status int
		code   reason
	}{
		{"anyone", nil, answer(`"identity":"a"`), 200, ""},
		{"one of the roles", func(c *Config) { c.RequireRoles = []string{"admin", "agent"} }, answer(`"identity":"a","roles":["wfo","agent"]`), 200, ""},
		{"none of the roles", func(c *Config) { c.RequireRoles = []string{"admin"} }, answer(`"identity":"a","roles":["agent"]`), 403, roleMissing},
		{"no roles at all", func(c *Config) { c.RequireRoles = []string{"admin"} }, answer(`"identity":"a","roles":null`), 403, roleMissing},
		{"on the list by identity", func(c *Config) { c.AllowWorkers = []string{"a"} }, answer(`"identity":"a"`), 200, ""},
		{"on the list by SID", func(c *Config) { c.AllowWorkers = []string{"WK1"} }, answer(`"identity":"a","worker_sid":"WK1"`), 200, ""},
		{"not on the list", func(c *Config) { c.AllowWorkers = []string{"WK1"} }, answer(`"identity":"a","worker_sid":"WK2"`), 403, workerNotAllowed},
		{"without SID, an empty entry on the list", func(c *Config) { c.AllowWorkers = []string{""} }, answer(`"identity":"a"`), 403, workerNotAllowed},
		{"enabled", func(c *Config) { c.RequireEnabled = true }, answer(`"identity":"a","worker_sid":"WK00000000000000000000000000000003"`), 200, ""},
		{"not enabled", func(c *Config) { c.RequireEnabled = true }, answer(`"identity":"a","worker_sid":"WK9"`), 403, workerNotEnabled},
		{"no worker to look up", func(c *Config) { c.RequireEnabled = true }, answer(`"identity":"a"`), 403, workerNotEnabled},
		{"lookup failing", func(c *Config) { c.RequireEnabled = true }, answer(`"identity":"a","worker_sid":"WK-unreadable"`), 503, workerUnknown},
		{"identity of 256 with the prefix", nil, answer(`"identity":"` + strings.Repeat("a", 252) + `"`), 200, ""},
		{"identity of 257 with the prefix", nil, answer(`"identity":"` + strings.Repeat("a", 253) + `"`), 403, identityUnusable},
		{"identity Voice does not take", nil, answer(`"identity":"a@b.c"`), 403, identityUnusable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, func(c *Config, d *Deps) {
				d.WorkerEnabled = on
				if tt.change != nil {
					tt.change(c)
				}
			})
			token := flexToken(tt.name)
			f.twilio.agents[token] = tt.answer
			a := f.do(post(token))
			if tt.status == 200 {
				a.wantToken(t)
				return
			}
			a.want(t, tt.status, tt.code)
		})
	}
}

func TestLongIdentityIsWarnedAbout(t *testing.T) {
	f := newFixture(t, nil)
	f.do(post(f.agent(strings.Repeat("a", 118)))).wantToken(t)
	if !strings.Contains(f.log.String(), `"length":122`) {
		t.Error("122 characters: no warning")
	}
	f = newFixture(t, nil)
	f.do(post(f.agent(strings.Repeat("a", 117)))).wantToken(t)
	if strings.Contains(f.log.String(), "longer than") {
		t.Error("121 characters: a warning")
	}
}
