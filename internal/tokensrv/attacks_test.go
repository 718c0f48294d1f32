package tokensrv

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/flexvc/flexvc/internal/gate"
)

// Each test begins with the attack. fresh is a server nobody has asked yet;
// after a refusal Twilio must not have been asked unless the test says so.

func TestAttackTokens(t *testing.T) {
	for name, tt := range map[string]struct {
		token string
		code  reason
	}{
		"empty":           {"", missingToken},
		"a space":         {" ", malformedToken},
		"spaces inside":   {"eyJh bGci", malformedToken},
		"CRLF":            {"eyJhbGci\r\nX-Injected: 1", malformedToken},
		"NUL":             {"eyJh\x00", malformedToken},
		"quote":           {`x","valid":true,"y":"`, malformedToken},
		"HTML":            {"<script>", malformedToken},
		"Unicode":         {"tökén", malformedToken},
		"invalid UTF-8":   {"\xff\xfe", malformedToken},
		"over 16 kB":      {strings.Repeat("a", maxTokenBytes+1), malformedToken},
		"a template":      {"${jndi:ldap://x}", malformedToken},
		"a path":          {`..\..\x`, malformedToken},
		"only whitespace": {"\t\n", malformedToken},
		"no dots":         {"eyJhbGciOiJkaXIifQ", malformedToken},
		"four parts":      {"eyJhbGciOiJkaXIifQ.a.b.c", malformedToken},
		"no header":       {"bm9uZQ.a.b.c.d", malformedToken},
		"padded base64":   {"eyJhbGciOiJkaXIifQ.a.b.c.d=", malformedToken},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.do(post(tt.token)).want(t, 400, tt.code)
			f.do(httptest.NewRequest("GET", pathToken+"?"+url.Values{"Token": {tt.token}}.Encode(), nil)).want(t, 400, tt.code)
			if n := f.twilio.calls.Load(); n != 0 {
				t.Errorf("Twilio was asked %d times", n)
			}
		})
	}
}

func TestAttackLongestPlausibleTokenPasses(t *testing.T) {
	f := newFixture(t, nil)
	token := flexToken("long")
	token = said.secret(token + strings.Repeat("a", maxTokenBytes-len(token)))
	f.twilio.agents[token] = vouch("a", time.Now().Add(time.Hour))
	f.do(post(token)).wantToken(t)
}

// TestAttackGarbageAtASlowValidator: one address sends what looks like Flex tokens
// at the limit per address, and Twilio takes two seconds for each. Agents elsewhere
// all get their tokens, old ones and new ones.
func TestAttackGarbageAtASlowValidator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *Config, _ *Deps) { c.IdentityRate = Rate{} })
		known := f.agent("known")
		f.do(post(known)).wantToken(t)
		var agents []string
		for i := range 100 {
			agents = append(agents, f.agent(fmt.Sprint("agent", i)))
		}
		f.twilio.set(func(r *http.Request, token string) (*http.Response, error) {
			select {
			case <-time.After(2 * time.Second):
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			f.twilio.mu.Lock()
			defer f.twilio.mu.Unlock()
			if answer := f.twilio.agents[token]; answer != "" {
				return reply(http.StatusOK, answer), nil
			}
			return reply(http.StatusOK, `{"valid":false,"message":"not valid"}`), nil
		})
		from := func(address, token string) int {
			r := post(token)
			r.RemoteAddr = address + ":4711"
			w := httptest.NewRecorder()
			f.ServeHTTP(w, r)
			return w.Code
		}
		var all sync.WaitGroup
		var good atomic.Int64
		for i := range 20_000 {
			garbage := fmt.Sprintf("eyJhbGciOiJkaXIifQ..aXY.Z2FyYmFnZQ%d.dGFn", i)
			all.Go(func() { from("192.0.2.66", garbage) })
			if i%200 == 0 {
				all.Go(func() {
					if status := from(fmt.Sprintf("198.51.100.%d", i/200), agents[i/200]); status == 200 {
						good.Add(1)
					} else {
						t.Errorf("agent %d is answered %d", i/200, status)
					}
				})
				if status := from("192.0.2.66", known); status != 200 && i < 10_000 { // then the limit of requests strikes
					t.Errorf("an agent at the same address whose token is known is answered %d", status)
				}
			}
			time.Sleep(time.Millisecond)
		}
		all.Wait()
		if good.Load() != 100 {
			t.Errorf("%d of 100 agents got a token", good.Load())
		}
		if n := f.twilio.calls.Load(); n > 100+1+500+20*22 {
			t.Errorf("Twilio was asked %d times", n)
		}
		if state := f.verifier.breaker.State(); state != gobreaker.StateClosed {
			t.Errorf("the breaker is %s", state)
		}
	})
}

// TestAttackGarbagePushesNobodyOut: refusals have a room of their own.
func TestAttackGarbagePushesNobodyOut(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *Deps) { c.AddressRate, c.RefusalRate = Rate{}, Rate{} })
	good := f.agent("alice")
	f.do(post(good)).wantToken(t)
	for i := range verdictsKept + 1 {
		f.ServeHTTP(httptest.NewRecorder(), post(fmt.Sprintf("eyJhbGciOiJkaXIifQ..aXY.Z2FyYmFnZQ%d.dGFn", i)))
	}
	asked := f.twilio.calls.Load()
	f.do(post(good)).wantToken(t)
	if f.twilio.calls.Load() != asked {
		t.Error("Twilio was asked again about a good token")
	}
}

// TestAttackWithheldBodies: many clients announce a body and keep its last byte.
// An agent at another address gets a token, and memory is not what was announced.
func TestAttackWithheldBodies(t *testing.T) {
	f := newFixture(t, nil)
	f.gate = gate.New(2 << 20)
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	abort := make(chan struct{})
	go func() { ended <- f.Run(ctx, Listeners{Public: []net.Listener{ln}}, abort) }()
	defer func() { cancel(); close(abort); <-ended }()
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	const length = 32 << 10
	for range 200 { // 6.4 MB
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		fmt.Fprintf(c, "POST /generateToken HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\nToken=%s", length, strings.Repeat("a", length-len("Token=")-1))
	}
	eventually(t, "the first are given up", func() bool { return f.gate.Figures().Shed > 0 })
	_ = conns[0].SetDeadline(time.Now().Add(20 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(conns[0]), nil)
	if err != nil {
		t.Fatal(err)
	}
	a := note(t, resp)
	a.want(t, 503, serverBusy)
	if a.header.Get("Retry-After") == "" {
		t.Error("a client that is given up is not told when to come back")
	}
	agents := &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext}}
	defer agents.CloseIdleConnections()
	for i := range 20 {
		resp, err := agents.PostForm("http://"+ln.Addr().String()+pathToken, url.Values{"Token": {f.agent(fmt.Sprint("agent", i))}})
		if err != nil {
			t.Fatal(err)
		}
		note(t, resp).wantToken(t)
	}
	if bytes := f.gate.Figures().Bytes; bytes > 2<<20 {
		t.Errorf("%d bytes in flight", bytes)
	}
}

func TestAttackOversizedBody(t *testing.T) {
	for name, r := range map[string]*http.Request{
		"declared":   httptest.NewRequest("POST", pathToken, strings.NewReader(strings.Repeat("a", 33<<10))),
		"undeclared": httptest.NewRequest("POST", pathToken, io.MultiReader(strings.NewReader(strings.Repeat("a", 33<<10)))),
	} {
		t.Run(name, func(t *testing.T) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			newFixture(t, nil).do(r).want(t, 413, tooLarge)
		})
	}
}

func TestAttackGarbageBodies(t *testing.T) {
	const form, jsonType = "application/x-www-form-urlencoded", "application/json"
	for _, tt := range []struct {
		contentType, body string
		status            int
		code              reason
	}{
		{form, "Token=%zz", 400, malformedRequest},
		{form, "Token=a;Token=b", 400, malformedRequest},
		{form, "Token=a&Token=b", 400, malformedRequest},
		{form, "Token=a&VoiceClientPrefix=ext_&VoiceClientPrefix=x", 400, malformedRequest},
		{form, "token=a", 400, malformedRequest},
		{jsonType, "", 400, missingToken},
		{jsonType, "{", 400, malformedRequest},
		{jsonType, "null", 400, missingToken},
		{jsonType, `["Token"]`, 400, malformedRequest},
		{jsonType, `{"Token":1}`, 400, malformedRequest},
		{jsonType, `{"token":"a"}`, 400, malformedRequest},
		{jsonType, `{"Token":"a","VoiceClientPrefix":1}`, 400, malformedRequest},
		{jsonType, `{"Token":"a"}{"Token":"b"}`, 400, malformedRequest},
		{jsonType, `{"Token":"a","Token":"b"}`, 400, malformedRequest},
		{jsonType, `{"Token":"a","To\u006ben":"b"}`, 400, malformedRequest},
		{jsonType, `{"Token":"a","token":"b"}`, 400, malformedRequest},
		{jsonType, `{"TOKEN":"a"}`, 400, malformedRequest},
		{jsonType, `{"Token":"a","voiceclientprefix":"ext_"}`, 400, malformedRequest},
		{jsonType, `{"Token":"a","VoiceClientPrefix":"ext_","VoiceClientPrefix":"x"}`, 400, malformedRequest},
		{jsonType, strings.Repeat("[", 20000), 400, malformedRequest},
		{"multipart/form-data; boundary=x", "--x--", 415, mediaType},
		{"text/plain", "Token=a", 415, mediaType},
		{"", "Token=a", 415, mediaType},
		{"application/json; charset=utf-16", "{}", 415, mediaType},
		{"application/json\r\nX: y", "{}", 415, mediaType},
	} {
		t.Run(tt.contentType+" "+tt.body[:min(len(tt.body), 20)], func(t *testing.T) {
			f := newFixture(t, nil)
			r := httptest.NewRequest("POST", pathToken, strings.NewReader(tt.body))
			r.Header["Content-Type"] = []string{tt.contentType}
			f.do(r).want(t, tt.status, tt.code)
			if f.twilio.calls.Load() != 0 {
				t.Error("Twilio was asked")
			}
		})
	}
	r := post(flexToken("packed"))
	r.Header.Set("Content-Encoding", "gzip")
	newFixture(t, nil).do(r).want(t, 415, mediaType)
}

func TestAttackTwoDifferentTokens(t *testing.T) {
	f := newFixture(t, nil)
	r := post(f.agent("alice"))
	r.Header.Set("Authorization", "Bearer "+f.agent("mallory"))
	f.do(r).want(t, 400, malformedRequest)
}

func TestAttackMethods(t *testing.T) {
	for _, method := range []string{"PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "BREW"} {
		f := newFixture(t, nil)
		r := post(f.agent("alice"))
		r.Method = method
		a := f.do(r)
		if a.status != 405 || a.header.Get("Allow") != "GET, OPTIONS, POST" || f.twilio.calls.Load() != 0 {
			t.Errorf("%s: answered %d, Allow %q", method, a.status, a.header.Get("Allow"))
		}
	}
	f := newFixture(t, func(c *Config, _ *Deps) { c.AllowGet = false })
	a := f.do(httptest.NewRequest("GET", pathToken+"?Token="+f.agent("alice"), nil))
	a.want(t, 405, methodNotAllowed)
	if a.header.Get("Allow") != "OPTIONS, POST" {
		t.Errorf("Allow %q", a.header.Get("Allow"))
	}
}

func TestAttackIdentityFromTheRequest(t *testing.T) {
	f := newFixture(t, nil)
	r := httptest.NewRequest("POST", pathToken+"?identity=boss&Identity=boss", strings.NewReader(
		url.Values{"Token": {f.agent("alice")}, "identity": {"boss"}, "Identity": {"boss"}, "AccountSid": {"AC" + strings.Repeat("9", 32)}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a := f.do(r)
	a.wantToken(t)
	if !strings.Contains(a.body, `"identity":"ext_alice"`) {
		t.Errorf("answered %s", a.body[:40])
	}
}

func TestAttackPrefixes(t *testing.T) {
	for _, prefix := range []string{"", "ext", "EXT_", "ext_ext_", "boss_", "ext_\r\n", "../", "ext_\x00", strings.Repeat("x", 5000)} {
		f := newFixture(t, nil)
		form := url.Values{"Token": {f.agent("alice")}, "VoiceClientPrefix": {prefix}}.Encode()
		f.do(httptest.NewRequest("GET", pathToken+"?"+form, nil)).want(t, 403, prefixNotAllowed)
		if f.twilio.calls.Load() != 0 {
			t.Errorf("%q: Twilio was asked", prefix)
		}
	}
}

func TestAttackExpiredToken(t *testing.T) {
	f := newFixture(t, nil)
	token := flexToken("late")
	f.twilio.agents[token] = vouch("late", f.now().Add(-time.Second))
	f.do(post(token)).want(t, 403, tokenExpired)
}

func TestAttackTokenReplayedAfterItsExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		token := flexToken("replayed")
		f.twilio.agents[token] = vouch("replayed", time.Now().Add(20*time.Second))
		f.do(post(token)).wantToken(t)
		time.Sleep(20 * time.Second) // well within the 60 s a verdict lives otherwise
		f.do(post(token)).want(t, 403, tokenExpired)
		if n := f.twilio.calls.Load(); n != 2 {
			t.Errorf("Twilio was asked %d times, want again after the expiry", n)
		}
	})
}

func TestAttackTokenRevokedAtTwilio(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		token := f.agent("fired")
		f.do(post(token)).wantToken(t)
		delete(f.twilio.agents, token)
		time.Sleep(keepVerified)
		f.do(post(token)).want(t, 403, tokenRefused)
	})
}

func TestAttackTokenOfAnotherAccount(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *Deps) { c.ValidateVia = ViaFlex })
	token := flexToken("foreign")
	f.twilio.agents[token] = `{"identity":"foreign","account_sid":"AC` + strings.Repeat("9", 32) + `","expiration":"2999-01-02T15:04:05Z"}`
	f.do(post(token)).want(t, 403, otherAccount)
}

func TestAttackForeignOrigin(t *testing.T) {
	ours := testConfig().AllowOrigins[0]
	for _, origin := range []string{
		"https://evil.example", "null", ours + "/", ours + ".evil.example", strings.ToUpper(ours), " " + ours, "chrome-extension://" + strings.Repeat("a", 32), "http://" + ours,
	} {
		f := newFixture(t, nil)
		token := f.agent("alice")
		simple := post(token)
		preflight := httptest.NewRequest("OPTIONS", pathToken, nil)
		preflight.Header.Set("Access-Control-Request-Method", "POST")
		for name, r := range map[string]*http.Request{"simple": simple, "preflight": preflight} {
			r.Header["Origin"] = []string{origin}
			a := f.do(r)
			a.want(t, 403, originNotAllowed)
			if a.header.Get("Access-Control-Allow-Origin") != "" || a.header.Get("Vary") != "Origin" {
				t.Errorf("%s from %q: %v", name, origin, a.header)
			}
		}
		if f.twilio.calls.Load() != 0 {
			t.Errorf("%q: Twilio was asked", origin)
		}
	}
	f := newFixture(t, nil)
	twice := post(f.agent("alice"))
	twice.Header["Origin"] = []string{ours, "https://evil.example"}
	f.do(twice).want(t, 403, originNotAllowed)
}

func TestOwnOriginIsAnswered(t *testing.T) {
	ours := testConfig().AllowOrigins[0]
	f := newFixture(t, func(c *Config, _ *Deps) { c.AddressRate = Rate{PerSecond: 0.001, Burst: 2} })
	preflight := httptest.NewRequest("OPTIONS", pathToken, nil)
	preflight.Header.Set("Access-Control-Request-Method", "POST")
	preflight.Header.Set("Origin", ours)
	a := f.do(preflight)
	if a.status != 204 || a.header.Get("Access-Control-Allow-Methods") != "GET, POST" || a.header.Get("Access-Control-Allow-Headers") != "Authorization, Content-Type" {
		t.Errorf("preflight answered %d %v", a.status, a.header)
	}
	r := post(f.agent("alice"))
	r.Header.Set("Origin", ours)
	a = f.do(r)
	a.wantToken(t)
	limited := post(f.agent("alice"))
	limited.Header.Set("Origin", ours)
	b := f.do(limited)
	b.want(t, 429, addressLimited)
	for _, a := range []answered{a, b} {
		if a.header.Get("Access-Control-Allow-Origin") != ours || a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%d: the extension cannot read this answer: %v", a.status, a.header)
		}
	}
}

func TestAttackPathTraversal(t *testing.T) {
	f := newFixture(t, func(_ *Config, d *Deps) {
		d.Extension = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { t.Errorf("the folder was asked for %s", r.URL.Path) })
	})
	token := f.agent("alice")
	for _, target := range []string{
		"/extension/../../etc/passwd", "/extension/%2e%2e/%2e%2e/etc/passwd", "/extension/..%2fkey.pem", `/extension/..\key.pem`,
		"/x/../generateToken", "//generateToken", "/generateToken/", "/generateToken/..", "/GENERATETOKEN", "/extension",
	} {
		a := f.do(httptest.NewRequest("GET", target+"?Token="+token, nil))
		a.want(t, 404, notFound)
		if a.header.Get("Location") != "" {
			t.Errorf("%s: redirected, token and all", target)
		}
	}
	if f.twilio.calls.Load() != 0 {
		t.Error("Twilio was asked")
	}
}

func TestAttackTokenInPathHeaderOrMethodReachesNoLog(t *testing.T) {
	f := newFixture(t, nil)
	token := flexToken("misplaced")
	for _, r := range []*http.Request{
		httptest.NewRequest("GET", "/"+token, nil),
		httptest.NewRequest("GET", pathToken+"/"+token, nil),
		httptest.NewRequest("GET", pathLive+"?Token="+token, nil),
	} {
		f.do(r)
	}
	r := httptest.NewRequest("GET", pathLive, nil)
	for _, h := range []string{"X-Request-Id", "X-Forwarded-For", "User-Agent", "Referer", "Origin"} {
		r.Header.Set(h, token)
	}
	r.Method = token
	f.do(r)
	if strings.Contains(f.log.String(), token) {
		t.Error("the log holds the token")
	}
	if strings.Count(f.log.String(), "\n") != 4 {
		t.Errorf("want four lines in the log:\n%s", f.log.String())
	}
}

func TestAttackLogInjection(t *testing.T) {
	f := newFixture(t, nil)
	token := flexToken("inject")
	f.twilio.agents[token] = `{"valid":true,"identity":"a\r\nINFO fake=1","expiration":"2999-01-02T15:04:05Z"}`
	f.do(post(token)).want(t, 403, identityUnusable)
	if strings.Contains(f.log.String(), "fake=1") {
		t.Error("an identity nobody checked is in the log")
	}
}

// TestAttackReboundMetrics: a page gives this machine's address a name of its own,
// to read what only operators are to see.
func TestAttackReboundMetrics(t *testing.T) {
	f := newFixture(t, nil)
	for _, tt := range []struct {
		local, host string
		want        int
	}{
		{"127.0.0.1:9464", "127.0.0.1:9464", 200}, {"127.0.0.1:9464", "localhost:9464", 200}, {"127.0.0.1:9464", "localhost", 200}, {"[::1]:9464", "[::1]:9464", 200},
		{"127.0.0.1:9464", "rebound.example:9464", 421}, {"127.0.0.1:9464", "", 421}, {"[::1]:9464", "rebound.example", 421}, {"[::ffff:127.0.0.1]:9464", "rebound.example", 421},
		{"10.0.0.7:9464", "flexvc.example:9464", 200}, // as a Prometheus elsewhere calls it
	} {
		r := httptest.NewRequest("GET", pathMetrics, nil)
		r.Host = tt.host
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(tt.local))))
		w := httptest.NewRecorder()
		f.Admin().ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%s asked as %q: %d, want %d", tt.local, tt.host, w.Code, tt.want)
		}
	}
}

func TestAttackForwardedFor(t *testing.T) {
	prefixes := func(s ...string) (out []netip.Prefix) {
		for _, p := range s {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	for _, tt := range []struct {
		name    string
		trusted []netip.Prefix
		peer    string
		headers []string
		want    string
		hops    int
	}{
		{"not behind a proxy", nil, "203.0.113.9:1", []string{"198.51.100.1"}, "203.0.113.9", 0},
		{"from an untrusted peer", prefixes("10.0.0.0/8"), "203.0.113.9:1", []string{"198.51.100.1"}, "203.0.113.9", 0},
		{"through the proxy", prefixes("10.0.0.0/8"), "10.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1", 0},
		{"client forges the left end", prefixes("10.0.0.0/8"), "10.0.0.1:1", []string{"1.2.3.4, 198.51.100.1"}, "198.51.100.1", 0},
		{"client forges a header line", prefixes("10.0.0.0/8"), "10.0.0.1:1", []string{"1.2.3.4", "198.51.100.1"}, "198.51.100.1", 0},
		{"client claims to be a proxy", prefixes("10.0.0.0/8"), "10.0.0.1:1", []string{"10.6.6.6, 198.51.100.1"}, "198.51.100.1", 0},
		{"two proxies", prefixes("10.0.0.0/8", "192.168.0.0/16"), "10.0.0.1:1", []string{"198.51.100.1, 192.168.1.1"}, "198.51.100.1", 0},
		{"garbage", prefixes("10.0.0.0/8"), "10.0.0.1:1", []string{"198.51.100.1, garbage"}, "10.0.0.1", 0},
		{"empty", prefixes("10.0.0.0/8"), "10.0.0.1:1", []string{""}, "10.0.0.1", 0},
		{"with port", prefixes("10.0.0.0/8"), "10.0.0.1:1", []string{"198.51.100.1:5555"}, "198.51.100.1", 0},
		{"IPv4 in IPv6", prefixes("10.0.0.0/8"), "[::ffff:10.0.0.1]:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1", 0},
		{"over a Unix socket", prefixes("10.0.0.0/8"), "@", []string{"198.51.100.1"}, "198.51.100.1", 0},
		{"a client of the proxies' range forges", prefixes("10.0.0.0/8"), "10.0.0.1:1", []string{"1.2.3.4, 10.6.6.6"}, "10.6.6.6", 1},
		{"one proxy, whatever its address", nil, "203.0.113.9:1", []string{"1.2.3.4, 198.51.100.1"}, "198.51.100.1", 1},
		{"two proxies, whatever their addresses", nil, "203.0.113.9:1", []string{"1.2.3.4, 198.51.100.1, 203.0.113.8"}, "198.51.100.1", 2},
		{"two proxies, but one was passed by", nil, "203.0.113.9:1", []string{"198.51.100.1"}, "198.51.100.1", 2},
		{"one proxy of a range, and the peer is none", prefixes("10.0.0.0/8"), "203.0.113.9:1", []string{"198.51.100.1"}, "203.0.113.9", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, func(c *Config, _ *Deps) {
				c.TrustedProxies, c.TrustedHops, c.BehindProxy = tt.trusted, tt.hops, len(tt.trusted) > 0 || tt.hops > 0
			})
			r := httptest.NewRequest("GET", pathLive, nil)
			r.RemoteAddr = tt.peer
			r.Header["X-Forwarded-For"] = tt.headers
			if got := f.client(r).String(); got != tt.want {
				t.Errorf("client is %s, want %s", got, tt.want)
			}
		})
	}
}

func TestAttackEscapingTheAddressLimit(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *Deps) { c.AddressRate = Rate{PerSecond: 0.001, Burst: 1} })
	ask := func(peer, forwarded string) answered {
		r := post(f.agent("alice"))
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", forwarded)
		return f.do(r)
	}
	ask("203.0.113.9:1", "1.1.1.1").wantToken(t)
	a := ask("203.0.113.9:2", "2.2.2.2")
	a.want(t, 429, addressLimited)
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	ask("[2001:db8:1:2::1]:1", "").wantToken(t)
	ask("[2001:db8:1:2:ffff::9]:1", "").want(t, 429, addressLimited)
	ask("[2001:db8:1:3::1]:1", "").wantToken(t)
}

func TestAttackSlowHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, stop := serveOnPipes(t, newFixture(t, nil))
		defer stop()
		conn, err := ln.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		var writer sync.WaitGroup
		defer writer.Wait()
		writer.Go(func() {
			for _, b := range []byte("GET /healthz/live HTTP/1.1\r\nHost: x\r\nX-Slow: " + strings.Repeat("a", 1000)) {
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(500 * time.Millisecond)
			}
		})
		_, err = io.ReadAll(conn)
		if took := time.Since(started); err != nil || took > readHeaderTimeout+time.Second {
			t.Errorf("the connection was held for %s, %v", took, err)
		}
	})
}

func TestAttackSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		ln, stop := serveOnPipes(t, f)
		defer stop()
		conn, err := ln.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		var writer sync.WaitGroup
		defer writer.Wait()
		writer.Go(func() {
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n", pathToken)
			for range 1000 {
				if _, err := conn.Write([]byte{' '}); err != nil {
					return
				}
				time.Sleep(500 * time.Millisecond)
			}
		})
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		note(t, resp).want(t, 400, malformedRequest)
		if took := time.Since(started); took > readTimeout+time.Second {
			t.Errorf("the connection was held for %s", took)
		}
	})
}

func TestAttackIdleConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("10,000 connections")
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		ln, stop := serveOnPipes(t, f)
		defer stop()
		for range 10_000 {
			if _, err := ln.dial(t.Context(), "", ""); err != nil {
				t.Fatal(err)
			}
		}
		client := ln.client()
		defer client.CloseIdleConnections()
		resp, err := client.PostForm("http://x"+pathToken, url.Values{"Token": {f.agent("alice")}})
		if err != nil {
			t.Fatal(err)
		}
		note(t, resp).wantToken(t)
	})
}

func TestAttackHugeHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, stop := serveOnPipes(t, newFixture(t, nil))
		defer stop()
		client := ln.client()
		defer client.CloseIdleConnections()
		req, err := http.NewRequest("GET", "http://x"+pathLive, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Huge", strings.Repeat("a", maxHeaderBytes+8<<10))
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("answered %d", resp.StatusCode)
			}
		}
	})
}

// serveOnPipes runs f on an in-memory listener; stop ends it and waits.
func serveOnPipes(t *testing.T, f *fixture) (*pipes, func()) {
	t.Helper()
	ln := newPipes()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx, Listeners{Public: []net.Listener{ln}}, nil) }()
	return ln, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
