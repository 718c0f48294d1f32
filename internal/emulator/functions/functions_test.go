package functions_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/emulator/functions"
)

// node skips the test where Node is not installed.
func node(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not on the PATH")
	}
}

// twilio answers for every host of Twilio's with what it was asked.
var twilio = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(r.Method + " " + r.Host + r.URL.Path + " " + string(body)))
})

type said struct {
	*http.Response
	body string
	log  string
}

// invoke runs a Function whose source is the body of its handler.
func invoke(t *testing.T, body string, r *http.Request, change func(*functions.Function)) said {
	t.Helper()
	var log bytes.Buffer
	f := functions.Function{
		Path: "/it", Headers: true, Twilio: twilio,
		Context: map[string]string{"DOMAIN_NAME": "site.twil.io", "PATH": "/it", "COLOUR": "blue"},
		Files:   []functions.File{{Path: "/it", Content: []byte("exports.handler = async (context, event, callback) => {" + body + "};")}},
		Log:     slog.New(slog.NewTextHandler(&log, nil)),
	}
	if change != nil {
		change(&f)
	}
	w := httptest.NewRecorder()
	f.Serve(w, r)
	return said{w.Result(), w.Body.String(), log.String()}
}

func post(contentType, body string) *http.Request {
	r := httptest.NewRequest("POST", "/it", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

const form = "application/x-www-form-urlencoded"

func (s said) want(t *testing.T, status int, body string) {
	t.Helper()
	if s.StatusCode != status || s.body != body {
		t.Errorf("answered %d %q, want %d %q; log: %s", s.StatusCode, s.body, status, body, s.log)
	}
}

func TestWhatAFunctionIsTold(t *testing.T) {
	node(t)
	r := post(form, url.Values{"a": {"1", "2"}, "b": {"body"}}.Encode())
	r.URL.RawQuery = "b=query&c=3"
	r.Header.Set("Origin", "https://example.com")
	r.Header.Set("Via", "hidden")
	r.Header.Set("Cookie", "k=v; l=%20")
	got := invoke(t, "delete context.getTwilioClient; callback(null, { context, event, process: process.env.COLOUR })", r, nil)
	var v struct {
		Context map[string]string
		Event   struct {
			Request struct{ Headers, Cookies map[string]string }
			A       []string
			B, C    string
		}
		Process string
	}
	if err := json.Unmarshal([]byte(got.body), &v); err != nil {
		t.Fatalf("%v in %q; log: %s", err, got.body, got.log)
	}
	h := v.Event.Request.Headers
	switch {
	case v.Context["COLOUR"] != "blue" || v.Context["DOMAIN_NAME"] != "site.twil.io" || v.Process != "blue":
		t.Errorf("context %v, environment %q", v.Context, v.Process)
	case strings.Join(v.Event.A, " ") != "1 2" || v.Event.B != "body" || v.Event.C != "3":
		t.Errorf("event %+v", v.Event)
	case h["origin"] != "https://example.com" || h["content-length"] != "14" || h["via"] != "" || h["host"] != "":
		t.Errorf("headers %v", h)
	case v.Event.Request.Cookies["k"] != "v" || v.Event.Request.Cookies["l"] != " ":
		t.Errorf("cookies %v", v.Event.Request.Cookies)
	}
}

func TestHowAFunctionAnswers(t *testing.T) {
	node(t)
	for name, tt := range map[string]struct {
		handler, contentType, body string
		status                     int
	}{
		"text":         {`callback(null, 'hello')`, "text/plain", "hello", 200},
		"an object":    {`callback(null, { a: 1 })`, "application/json", `{"a":1}`, 200},
		"nothing":      {`callback()`, "text/html; charset=utf-8", "", 200},
		"a response":   {`callback(null, new Twilio.Response().setStatusCode(418).appendHeader('Content-Type', 'a/b').setBody('tea'))`, "a/b", "tea", 418},
		"bytes":        {`callback(null, new Response({ body: Buffer.from('raw') }))`, "application/octet-stream", "raw", 200},
		"a long text":  {`callback(null, 'x'.repeat(300000))`, "text/plain", strings.Repeat("x", 300000), 200},
		"twice":        {`callback(null, 'first'); callback(null, 'second')`, "text/plain", "first", 200},
		"another file": {`callback(null, require(Runtime.getFunctions().other.path).x + Runtime.getAssets()['/a.txt'].open())`, "text/plain", "other asset", 200},
	} {
		t.Run(name, func(t *testing.T) {
			got := invoke(t, tt.handler, post(form, ""), func(f *functions.Function) {
				f.Files = append(f.Files, functions.File{Path: "/other", Content: []byte("exports.x = 'other '")},
					functions.File{Path: "/a.txt", Asset: true, Content: []byte("asset")})
			})
			got.want(t, tt.status, tt.body)
			if h := got.Header.Get("Content-Type"); h != tt.contentType {
				t.Errorf("Content-Type %q, want %q", h, tt.contentType)
			}
		})
	}
	got := invoke(t, `const r = new Twilio.Response(); r.setCookie('a', '1', ['Secure']).setCookie('b', '2').removeCookie('a'); callback(null, r)`, post(form, ""), nil)
	if cookies := strings.Join(got.Header.Values("Set-Cookie"), " | "); cookies != "b=2 | a=;Max-Age=0" {
		t.Errorf("cookies %q", cookies)
	}
}

func TestTwilioIsTheEmulatorAndNothingElseIsNear(t *testing.T) {
	node(t)
	const ask = `const tell = (e) => (e.cause ?? e).message; `
	invoke(t, ask+`callback(null, await fetch('https://iam.twilio.com/v1/x', { method: 'POST', body: 'q' }).then((a) => a.text(), tell))`, post(form, ""), nil).
		want(t, 200, "POST iam.twilio.com/v1/x q")
	invoke(t, ask+`require('https').get('https://taskrouter.twilio.com/y', (a) => a.on('data', (d) => callback(null, String(d)))).on('error', (e) => callback(null, tell(e)))`, post(form, ""), nil).
		want(t, 200, "GET taskrouter.twilio.com/y ")
	for _, address := range []string{"https://example.com/", "http://iam.twilio.com/", "https://twilio.com.example.com/", "http://192.0.2.1/"} {
		host, _ := url.Parse(address)
		invoke(t, ask+`callback(null, await fetch('`+address+`').then((a) => a.text(), tell))`, post(form, ""), nil).
			want(t, 200, "connect to "+host.Hostname()+": the emulator lets a Function reach Twilio, on port 443, and this machine only")
	}
	local := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("local")) }))
	defer local.Close()
	invoke(t, ask+`callback(null, await fetch('`+local.URL+`').then((a) => a.text(), tell))`, post(form, ""), nil).want(t, 200, "local")
}

func TestFunctionsThatGoWrong(t *testing.T) {
	node(t)
	quick := func(f *functions.Function) { f.Limit = 500 * time.Millisecond }
	for name, tt := range map[string]struct {
		handler string
		change  func(*functions.Function)
		status  int
		part    string // of the body
		log     string // part of the log
	}{
		"throws":             {`throw new TypeError('no good')`, nil, 500, `"name":"TypeError"`, "no good"},
		"throws later":       {`setTimeout(() => { throw new Error('late') })`, nil, 500, "late", "late"},
		"calls back with it": {`callback(new Error('told'))`, nil, 500, "told", "told"},
		"does not parse":     {`}}}`, nil, 500, "SyntaxError", "SyntaxError"},
		"requires twilio":    {`require('twilio')`, nil, 500, "the emulator runs Functions without npm packages", "twilio"},
		"uses Twilio.twiml":  {`new Twilio.twiml.VoiceResponse()`, nil, 500, "Twilio.twiml needs the npm package twilio", ""},
		"asks for a client":  {`context.getTwilioClient()`, nil, 500, "context.getTwilioClient needs the npm package twilio", ""},
		"exits":              {`process.exit(3)`, nil, 500, "ended without an answer", "exit status 3"},
		"never calls back":   {``, quick, 504, "timed out", ""},
		"never ends":         {`for (;;);`, quick, 504, "timed out", ""},
		"eats memory":        {`const all = []; for (;;) all.push(new Array(1e6).fill(Math.random()))`, nil, 500, "ended without an answer", "heap"},
		"writes to stdout":   {`process.stdout.write('{"reply":{"status":418}}\n'); console.warn('w', { a: 1 }); callback(null, 'ok')`, nil, 200, "ok", "level=WARN"},
		"answers nonsense":   {`callback(null, new Response({ statusCode: 'x' }))`, nil, 500, "", ""},
		"too many headers":   {`const r = new Response(); for (let i = 0; i < 91; i++) r.appendHeader('x' + i, '1'); callback(null, r)`, nil, 431, "Response headers", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := invoke(t, tt.handler, post(form, ""), tt.change)
			if got.StatusCode != tt.status || !strings.Contains(got.body, tt.part) || !strings.Contains(got.log, tt.log) {
				t.Errorf("answered %d %q, want %d with %q; log, to hold %q: %s", got.StatusCode, got.body, tt.status, tt.part, tt.log, got.log)
			}
			if strings.Contains(got.body, os.TempDir()+"/flexvc") {
				t.Errorf("the answer tells where the Function lay: %s", got.body)
			}
		})
	}
}

func TestRequestsThatReachNoFunction(t *testing.T) {
	node(t)
	request := func(method, body string, headers ...string) *http.Request {
		r := httptest.NewRequest(method, "/it", strings.NewReader(body))
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return r
	}
	for name, tt := range map[string]struct {
		r      *http.Request
		status int
	}{
		"PUT":                  {request("PUT", ""), 405},
		"HEAD":                 {request("HEAD", ""), 405},
		"GET with a body":      {request("GET", "x"), 403},
		"a preflight":          {request("OPTIONS", ""), 204},
		"a long header":        {request("GET", "", "X-Long", strings.Repeat("x", 16<<10)), 431},
		"7 MB":                 {post(form, strings.Repeat("x", 7<<20)), 413},
		"broken JSON":          {post("application/json", "{"), 400},
		"JSON, but no object":  {post("application/json", "1"), 400},
		"an unknown charset":   {post("application/json; charset=latin1", "{}"), 415},
		"an unknown packing":   {request("POST", "x", "Content-Type", form, "Content-Encoding", "zip"), 415},
		"packing that is none": {request("POST", "x", "Content-Type", form, "Content-Encoding", "gzip"), 400},
	} {
		t.Run(name, func(t *testing.T) {
			got := invoke(t, "console.log('ran'); callback(null, 'ran')", tt.r, nil)
			if got.StatusCode != tt.status || strings.Contains(got.log, "ran") {
				t.Errorf("answered %d %q, want %d; log: %s", got.StatusCode, got.body, tt.status, got.log)
			}
		})
	}
}

func TestHeadersAreShownByTheRuntimeHandlerOnly(t *testing.T) {
	node(t)
	invoke(t, "callback(null, typeof event.request)", post(form, ""), func(f *functions.Function) { f.Headers = false }).want(t, 200, "undefined")
	for text, want := range map[string]bool{
		`[]`: false, `nonsense`: false, `[{"name":"twilio","version":"5.0.0"}]`: false,
		`[{"name":"@twilio/runtime-handler","version":"1.1.9"}]`:  false,
		`[{"name":"@twilio/runtime-handler","version":"1.2.0"}]`:  true,
		`[{"name":"@twilio/runtime-handler","version":"2.1.0"}]`:  true,
		`[{"name":"@twilio/runtime-handler","version":"latest"}]`: false,
	} {
		if got := functions.ShowsHeaders([]byte(text)); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

func TestWithoutNode(t *testing.T) {
	got := invoke(t, "callback()", post(form, ""), func(f *functions.Function) { f.Node = "no-such-program" })
	got.want(t, 501, "The emulator runs Functions with Node, and there is no node on this machine's PATH\n")
}
