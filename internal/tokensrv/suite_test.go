package tokensrv

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestMain greps what the whole suite logged, and every error body and header
// it was answered with, for every token and secret the suite used.
func TestMain(m *testing.M) {
	code := m.Run()
	if found := said.leaks(); len(found) > 0 {
		fmt.Fprintf(os.Stderr, "FAIL: logs or error answers of this suite hold secrets:\n%s\n", strings.Join(found, "\n"))
		code = 1
	}
	os.Exit(code)
}

// said is everything the servers of this suite said that is not a voice token.
var said evidence

type evidence struct {
	mu      sync.Mutex
	text    bytes.Buffer
	secrets map[string]bool
}

func (e *evidence) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.text.Write(b)
}

func (e *evidence) secret(s string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.secrets == nil {
		e.secrets = map[string]bool{}
	}
	e.secrets[s] = true
	return s
}

// leaks returns the lines that hold a secret, whole or in an encoding it
// travels in. One pass over the text: there are thousands of secrets.
func (e *evidence) leaks() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	const start = 8 // bytes; anything shorter is no secret
	byStart := map[string][]string{}
	for s := range e.secrets {
		for _, form := range []string{s, url.QueryEscape(s), base64.StdEncoding.EncodeToString([]byte(s))[:10]} {
			if len(s) >= start {
				byStart[form[:start]] = append(byStart[form[:start]], form)
			}
		}
	}
	var found []string
	for line := range bytes.Lines(e.text.Bytes()) {
		if holdsAny(string(line), start, byStart) {
			found = append(found, strings.TrimSpace(string(line)))
		}
	}
	return found
}

func holdsAny(line string, start int, byStart map[string][]string) bool {
	for i := range max(0, len(line)-start+1) {
		for _, form := range byStart[line[i:i+start]] {
			if strings.HasPrefix(line[i:], form) {
				return true
			}
		}
	}
	return false
}

func TestLeakedSecretIsFound(t *testing.T) {
	var e evidence
	e.secret("hush-hush-hush")
	e.secret("another, elsewhere")
	fmt.Fprintln(&e, "nothing here")
	if found := e.leaks(); found != nil {
		t.Errorf("found %q in a clean log", found)
	}
	fmt.Fprintln(&e, `{"url":"/generateToken?Token=hush-hush-hush"}`)
	fmt.Fprintln(&e, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("another, elsewhere")))
	if found := e.leaks(); len(found) != 2 {
		t.Errorf("found %q, want both lines", found)
	}
}

var (
	testAccount = "AC" + strings.Repeat("0", 31) + "1"
	testKey     = "SK" + strings.Repeat("0", 31) + "2"
	testSecret  = said.secret(strings.Repeat("not-a-secret-", 2))
	testAuth    = said.secret(strings.Repeat("not-an-auth-token-", 2))
	_           = said.secret(basic(testAccount, testAuth))
)

// flexToken makes a token of Flex's shape that names nobody.
func flexToken(name string) string {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return said.secret(strings.Join([]string{part(`{"alg":"dir"}`), part("key of " + name), part("iv-" + name), part("payload of " + name), part("tag-" + name)}, "."))
}

func testConfig() Config {
	c := Defaults()
	c.AccountSID, c.KeySID, c.KeySecret = testAccount, testKey, testSecret
	c.Validator = Credentials{User: testAccount, Password: testAuth}
	c.AllowOrigins = []string{"chrome-extension://kfjhbdlpoaegcimnkfjhbdlpoaegcimn"}
	return c
}

// fakeTwilio is the validator as a transport. It vouches for the tokens it was
// given; answer, when set, decides instead.
type fakeTwilio struct {
	mu     sync.Mutex
	agents map[string]string // token → JSON answer
	answer func(r *http.Request, token string) (*http.Response, error)
	calls  atomic.Int64
}

func (f *fakeTwilio) RoundTrip(r *http.Request) (*http.Response, error) {
	f.calls.Add(1)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	token := ""
	if r.Header.Get("Content-Type") == "application/json" {
		var q struct{ Token string }
		if err := json.Unmarshal(body, &q); err != nil {
			return nil, err
		}
		token = q.Token
	} else if form, err := url.ParseQuery(string(body)); err == nil {
		token = form.Get("Token")
	}
	f.mu.Lock()
	answer, known := f.agents[token], f.answer
	f.mu.Unlock()
	if known != nil {
		return known(r, token)
	}
	if answer == "" {
		answer = `{"valid":false,"message":"not valid"}`
	}
	return reply(http.StatusOK, answer), nil
}

func (f *fakeTwilio) set(answer func(*http.Request, string) (*http.Response, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func reply(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

func vouch(identity string, expires time.Time) string {
	return fmt.Sprintf(`{"valid":true,"code":0,"message":null,"expiration":%q,"realm_user_id":"user@example.com","identity":%q,"roles":["agent"],"worker_sid":"WK00000000000000000000000000000003"}`,
		expires.UTC().Format("2006-01-02T15:04:05.000Z"), identity)
}

// fixture is a server with a fake Twilio behind it and its log in a buffer.
type fixture struct {
	*Server
	t      *testing.T
	twilio *fakeTwilio
	log    *syncBuffer
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newFixture(t *testing.T, change func(*Config, *Deps)) *fixture {
	t.Helper()
	f := &fixture{t: t, twilio: &fakeTwilio{agents: map[string]string{}}, log: &syncBuffer{}}
	c := testConfig()
	d := Deps{
		Transport: f.twilio,
		Jitter:    func(int) int { return 0 },
		Log:       slog.New(slog.NewJSONHandler(io.MultiWriter(f.log, &said), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&c, &d)
	}
	s, err := New(c, d)
	if err != nil {
		t.Fatal(err)
	}
	if s.shared != nil {
		t.Cleanup(func() { s.shared.client.Close() })
	}
	f.Server = s
	return f
}

// agent makes Twilio vouch for a token of that name for an hour and returns it.
func (f *fixture) agent(name string) string {
	token := flexToken(name)
	f.twilio.mu.Lock()
	defer f.twilio.mu.Unlock()
	f.twilio.agents[token] = vouch(name, f.now().Add(time.Hour))
	return token
}

// answered is a response, read.
type answered struct {
	status int
	header http.Header
	body   string
	token  string // of a 200
	code   string // of a problem
}

func (f *fixture) do(r *http.Request) answered {
	f.t.Helper()
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return note(f.t, w.Result())
}

// note reads a response and files what it says as evidence.
func note(t *testing.T, resp *http.Response) answered {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answered{status: resp.StatusCode, header: resp.Header, body: string(body)}
	fmt.Fprintf(&said, "%v\n", resp.Header)
	switch {
	case resp.StatusCode == http.StatusOK && resp.Header.Get("Content-Type") == "application/json":
		var fields struct{ Token string }
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		if a.token = fields.Token; a.token != "" {
			said.secret(a.token)
		}
	case resp.Header.Get("Content-Type") == "application/problem+json" && len(body) > 0: // HEAD has none
		fmt.Fprintf(&said, "%s\n", body)
		var fields struct{ Code string }
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		a.code = fields.Code
	default:
		fmt.Fprintf(&said, "%s\n", body)
	}
	return a
}

// want fails unless a is a problem of that status and code.
func (a answered) want(t *testing.T, status int, code reason) {
	t.Helper()
	if a.status != status || a.code != string(code) {
		t.Errorf("answered %d %q, want %d %q: %s", a.status, a.code, status, code, a.body)
	}
}

func (a answered) wantToken(t *testing.T) {
	t.Helper()
	if a.status != http.StatusOK || a.token == "" {
		t.Fatalf("answered %d without a token: %s", a.status, a.body)
	}
}

func post(token string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, pathToken, strings.NewReader(url.Values{"Token": {token}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// eventually waits for a condition of the real world.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("still not so: %s", what)
		case <-tick.C:
		}
	}
}

// pipes is a listener without a network, for bubbles of testing/synctest.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: "@"} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// client speaks HTTP over the pipes.
func (p *pipes) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: p.dial}}
}

func listening(ln net.Listener) Listeners { return Listeners{Public: []net.Listener{ln}} }

// atomicError is a question to Twilio whose answer a test changes.
type atomicError struct {
	mu  sync.Mutex
	err error
}

func (a *atomicError) set(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

func (a *atomicError) ask(context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}
