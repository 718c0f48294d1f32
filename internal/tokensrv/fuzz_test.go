package tokensrv

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// Whatever is sent, the decoder answers with a token to ask about or a refusal
// the client is to blame for, and a token that passes needs no escaping in JSON.
func FuzzDecode(f *testing.F) {
	for _, s := range []struct{ method, contentType, authorization, query, body string }{
		{"POST", "application/x-www-form-urlencoded", "", "", "Token=a.b.c&VoiceClientPrefix=ext_"},
		{"POST", "application/json", "", "", `{"Token":"a.b.c","VoiceClientPrefix":null,"x":[1]}`},
		{"POST", "application/json; charset=UTF-8", "Bearer a.b.c", "Token=q", `{}`},
		{"POST", "", "bearer  a", "", ""},
		{"GET", "", "", "Token=a.b.c&VoiceClientPrefix=ext_", ""},
		{"GET", "", "Basic eDp5", "Token=%61&Token=%zz", ""},
		{"POST", "text/plain; a=\"", "Bearer", "", "x"},
		{"POST", "application/json", "", "", `{"token":"lower","Token":"\u0000\ud800"}`},
	} {
		f.Add(s.method, s.contentType, s.authorization, s.query, []byte(s.body))
	}
	f.Fuzz(func(t *testing.T, method, contentType, authorization, query string, body []byte) {
		if method != http.MethodGet {
			method = http.MethodPost
		}
		r := httptest.NewRequest(method, pathToken, bytes.NewReader(body))
		r.URL.RawQuery = query
		r.Header["Content-Type"] = []string{contentType}
		if authorization != "" {
			r.Header["Authorization"] = []string{authorization}
		}
		a, err := decode(r)
		if err != nil {
			var why *refusal
			if !errors.As(err, &why) || refusals[why.reason].status/100 != 4 {
				t.Fatalf("the client is told %v", err)
			}
			return
		}
		if a.token == "" {
			t.Fatal("neither token nor refusal")
		}
		if flexShaped(a.token) && strings.ContainsAny(a.token, "\"\\<>&\r\n\x00 ") {
			t.Fatalf("%q passes as a token", a.token)
		}
	})
}

// Whatever Twilio answers, there is no agent without an identity, none of
// another account, none already expired.
func FuzzValidatorAnswer(f *testing.F) {
	for _, s := range []struct {
		status int
		retry  string
		body   string
	}{
		{200, "", `{"valid":true,"code":0,"message":null,"expiration":"2999-09-24T23:22:44.240Z","identity":"user_40example_2Ecom","roles":["agent"],"worker_sid":"WK1"}`},
		{200, "", `{"valid":false,"message":"not valid"}`},
		{401, "", `{"code":20003,"message":"Authenticate","status":401}`},
		{403, "", `{"code":"20104","message":"expired"}`},
		{429, "9999999999999999999", ``},
		{200, "", `{"identity":"a","account_sid":"AC9","valid":true}`},
		{302, "", `<html>`},
		{200, "", `{"valid":true,"identity":"a","expiration":"0000-01-01T00:00:00Z"}`},
	} {
		f.Add(s.status, s.retry, []byte(s.body))
	}
	now := func() time.Time { return goldenTime }
	c := testConfig()
	iam, err := newAuthority(c, nil, now, nil)
	if err != nil {
		f.Fatal(err)
	}
	c.ValidateVia = ViaFlex
	flex, err := newAuthority(c, nil, now, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status int, retry string, body []byte) {
		for _, tw := range []*authority{iam, flex} {
			got, err := tw.read(status, retry, body)
			if err != nil {
				var why *refusal
				if !errors.As(err, &why) || refusals[why.reason].status == 0 || why.shape == "" || why.retry > time.Minute {
					t.Fatalf("refused with %+v", err)
				}
				continue
			}
			if got.Identity == "" || status >= 300 || (!got.Expires.IsZero() && !got.Expires.After(goldenTime)) {
				t.Fatalf("%d %q makes %+v", status, body, got)
			}
		}
	})
}

// Whatever is logged, one record is one line.
func FuzzTextLog(f *testing.F) {
	f.Add("token issued", "identity", "ext_a")
	f.Add("a\nb", "k\r\n", "\x1b[31m\u2028\xff")
	f.Fuzz(func(t *testing.T, message, key, value string) {
		var out bytes.Buffer
		log, err := NewLog(&out, "text", slog.LevelDebug)
		if err != nil {
			t.Fatal(err)
		}
		log.Info(message, slog.String(key, value), slog.Group(key, slog.String(key, value)))
		line := out.String()
		if strings.Count(line, "\n") != 1 || strings.ContainsAny(line, "\r\x1b\u2028\u0085") {
			t.Fatalf("%q", line)
		}
	})
}

// Whatever is forwarded, the client is an address the proxies vouch for.
func FuzzForwardedFor(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "1.2.3.4, 10.0.0.1", "[::1]:80,,", "fe80::1%eth0", "10.0.0.1:1:1"} {
		f.Add(s)
	}
	s := &Server{behindProxy: true, trustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	f.Fuzz(func(t *testing.T, header string) {
		a := s.client(&http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {"6.6.6.6, " + header + ", 198.51.100.7, 10.9.9.9"}}})
		if a.String() != "198.51.100.7" {
			t.Fatalf("%q makes the client %s", header, a)
		}
	})
}
