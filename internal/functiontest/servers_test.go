package functiontest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flexvc/flexvc/function"
	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/emulator/certificate"
	"github.com/flexvc/flexvc/internal/emulator/functions"
	"github.com/flexvc/flexvc/internal/tokensrv"
)

var (
	account   = "AC" + strings.Repeat("0", 31) + "1"
	key       = "SK" + strings.Repeat("0", 31) + "2"
	worker    = "WK" + strings.Repeat("0", 31) + "3"
	workspace = "WS" + strings.Repeat("0", 31) + "4"
	secret    = strings.Repeat("not-a-secret-", 2)
	ours      = "chrome-extension://kfjhbdlpoaegcimnkfjhbdlpoaegcimn"
	page      = "https://flex.example.com"
)

// groups are settings, as the Function's variables. A comma at a list's end must
// let nobody in who has no name.
var groups = map[string]map[string]string{
	"plain":   {},
	"get":     {"FLEXVC_ALLOW_GET": "true"},
	"role":    {"FLEXVC_REQUIRE_ROLE": "admin,supervisor,"},
	"list":    {"FLEXVC_ALLOW_WORKER": worker + ",alice_40example_2Ecom,"},
	"enabled": {"FLEXVC_REQUIRE_ENABLED": "true", "FLEXVC_WORKSPACE_SID": workspace},
	"flex":    {"FLEXVC_VALIDATE_VIA": "flex"},
	"capped":  {"FLEXVC_CAP_TO_FLEX_TOKEN": "true"},
	"short":   {"FLEXVC_TOKEN_TTL": "60", "FLEXVC_IDENTITY_PREFIX": "web_"},
	"nobody":  {"FLEXVC_ALLOW_ORIGIN": ""},
}

func variables(group string) map[string]string {
	all := map[string]string{"FLEXVC_ACCOUNT_SID": account, "FLEXVC_API_KEY": key, "FLEXVC_API_SECRET": secret, "FLEXVC_ALLOW_ORIGIN": ours + "," + page + ","}
	for name, value := range groups[group] {
		all[name] = value
		if value == "" {
			delete(all, name)
		}
	}
	return all
}

// server is one of those that have to agree.
type server interface {
	// address is where it answers with the settings of a group.
	address(group string) string
	// logged is all that it wrote so far.
	logged() string
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// listening has a handler for each group, on this machine.
type listening struct {
	sites map[string]*httptest.Server
	log   buffer
}

func (l *listening) address(group string) string { return l.sites[group].URL + function.Path }
func (l *listening) logged() string              { return l.log.String() }

func (l *listening) serve(t *testing.T, handler func(group string, log *slog.Logger) http.Handler) {
	l.sites = map[string]*httptest.Server{}
	log := slog.New(slog.NewJSONHandler(&l.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for group := range groups {
		h := handler(group, log)
		l.sites[group] = httptest.NewServer(h)
		t.Cleanup(l.sites[group].Close)
	}
}

// newServe is flexvc serve.
func newServe(t *testing.T, f *fakeTwilio) server {
	l := &listening{}
	dialer := &net.Dialer{}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", f.port))
		},
		TLSClientConfig:   &tls.Config{RootCAs: f.trusted, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
	}
	l.serve(t, func(group string, log *slog.Logger) http.Handler {
		v := variables(group)
		list := func(name string) []string {
			return strings.FieldsFunc(v["FLEXVC_"+name], func(r rune) bool { return r == ',' })
		}
		c := tokensrv.Defaults()
		c.AccountSID, c.KeySID, c.KeySecret = account, key, secret
		c.Validator = tokensrv.Credentials{User: key, Password: secret}
		c.ValidateTimeout = time.Second
		c.AllowGet, c.AllowOrigins = v["FLEXVC_ALLOW_GET"] == "true", list("ALLOW_ORIGIN")
		c.RequireRoles, c.AllowWorkers = list("REQUIRE_ROLE"), list("ALLOW_WORKER")
		c.RequireEnabled = v["FLEXVC_REQUIRE_ENABLED"] == "true"
		c.CapToFlexToken = v["FLEXVC_CAP_TO_FLEX_TOKEN"] == "true"
		c.IdentityRate, c.AddressRate = tokensrv.Rate{}, tokensrv.Rate{}
		if via := v["FLEXVC_VALIDATE_VIA"]; via != "" {
			c.ValidateVia = tokensrv.Via(via)
		}
		if prefix := v["FLEXVC_IDENTITY_PREFIX"]; prefix != "" {
			c.Prefix = prefix
		}
		if ttl, err := strconv.Atoi(v["FLEXVC_TOKEN_TTL"]); err == nil {
			c.TTL = time.Duration(ttl) * time.Second
		}
		deps := tokensrv.Deps{Log: log, Transport: transport, WorkerEnabled: func(ctx context.Context, sid string) (bool, error) {
			return workerEnabled(ctx, transport, sid)
		}}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := tokensrv.New(c, deps) // anew: it remembers failures of the validator, and the Function does not
			if err != nil {
				t.Error(err)
				return
			}
			s.ServeHTTP(w, r)
		})
	})
	return l
}

func workerEnabled(ctx context.Context, transport http.RoundTripper, sid string) (bool, error) {
	r, err := http.NewRequestWithContext(ctx, "GET", "https://taskrouter.twilio.com/v1/Workspaces/"+workspace+"/Workers/"+sid, nil)
	if err != nil {
		return false, err
	}
	r.SetBasicAuth(key, secret)
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	var fields struct{ Attributes *string }
	if resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("answered %d", resp.StatusCode)
	}
	if err := json.NewDecoder(resp.Body).Decode(&fields); err != nil {
		return false, err
	}
	state, _ := attributes.Inspect(fields.Attributes)
	return state == attributes.Enabled, nil
}

// newEmulated is the emulator's executor.
func newEmulated(t *testing.T, f *fakeTwilio, source []byte) server {
	l := &listening{}
	l.serve(t, func(group string, log *slog.Logger) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			functions.Function{
				Path: function.Path, Files: []functions.File{{Path: function.Path, Content: source}},
				Context: variables(group), Headers: true, Twilio: f, Log: log,
			}.Serve(w, r)
		})
	})
	return l
}

// runtimeHandler is Twilio's own local runtime.
type runtimeHandler struct {
	ports map[string]int
	log   buffer
}

func (h *runtimeHandler) address(group string) string {
	return "http://127.0.0.1:" + strconv.Itoa(h.ports[group]) + function.Path
}

func (h *runtimeHandler) logged() string { return h.log.String() }

const folder = "../../function"

// needs skips the test without Node or Twilio's runtime.
func needs(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not on the PATH")
	}
	if _, err := os.Stat(filepath.Join(folder, "node_modules/@twilio/runtime-handler")); err != nil {
		t.Skip("Twilio's runtime handler is not there: make function-test fetches it")
	}
}

func newRuntimeHandler(t *testing.T, f *fakeTwilio, source []byte, fork bool) server {
	h := &runtimeHandler{ports: map[string]int{}}
	temporary := t.TempDir()
	file, ca := filepath.Join(temporary, "generateToken.js"), filepath.Join(temporary, "ca.pem")
	must(t, os.WriteFile(file, source, 0o600))
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.certificate}), 0o600))
	scripts, err := filepath.Abs(filepath.Join(folder, "scripts"))
	must(t, err)
	cmd := exec.Command("node", "--require", filepath.Join(scripts, "stand-in.cjs"), filepath.Join(scripts, "runtime-handler.cjs"))
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+ca, "FLEXVC_TEST_TWILIO="+f.port)
	cmd.Stderr = &h.log
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var stopping atomic.Bool
	first, ended := make(chan []byte, 1), make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewReader(out)
		line, _ := lines.ReadBytes('\n')
		first <- line
		_, _ = io.Copy(&h.log, lines) // until it ends
		if err := cmd.Wait(); !stopping.Load() {
			t.Errorf("Twilio's runtime ended by itself: %v: %s", err, h.log.String())
		}
	}()
	t.Cleanup(func() {
		stopping.Store(true)
		_ = in.Close() // which ends it; should it not, the kill does
		_ = cmd.Process.Kill()
		<-ended
	})
	job := map[string]any{"file": file, "fork": fork}
	var names []string
	var environments []map[string]string
	for group := range groups {
		names, environments = append(names, group), append(environments, variables(group))
	}
	job["environments"] = environments
	must(t, json.NewEncoder(in).Encode(job))
	var ports []int
	if err := json.Unmarshal(<-first, &ports); err != nil {
		t.Fatalf("Twilio's runtime does not say its ports: %v: %s", err, h.log.String())
	}
	for i, name := range names {
		h.ports[name] = ports[i]
	}
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fakeTwilio says about each Flex token, and about each worker, what a row wants
// said.
type fakeTwilio struct {
	port        string
	certificate []byte
	trusted     *x509.CertPool

	mu      sync.Mutex
	answers map[string]verdict // by token, and by path of a worker
	asked   map[string]int     // likewise
}

// verdict is an answer of Twilio's; the zero value vouches for alice.
type verdict struct {
	status  int
	header  [2]string
	body    string
	failure string // "hangs", "drops" or "breaks off"
}

func newFakeTwilio(t *testing.T) *fakeTwilio {
	cert, err := certificate.Load("", time.Now())
	must(t, err)
	f := &fakeTwilio{answers: map[string]verdict{}, asked: map[string]int{}, certificate: cert.Certificate[0], trusted: x509.NewCertPool()}
	f.trusted.AddCert(cert.Leaf)
	s := httptest.NewUnstartedServer(f)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	s.StartTLS()
	t.Cleanup(s.CloseClientConnections)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	must(t, err)
	f.port = u.Port()
	return f
}

func (f *fakeTwilio) set(name string, v verdict) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[name] = v
}

// questions returns how often Twilio was asked about name, and forgets it.
func (f *fakeTwilio) questions(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.asked[name]
	delete(f.asked, name)
	return n
}

func (f *fakeTwilio) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	body, _ := io.ReadAll(r.Body)
	var name string
	allowed := user == key && password == secret
	switch product, _, _ := strings.Cut(r.Host, "."); product + " " + r.Method + " " + r.URL.Path {
	case "iam POST /v1/Accounts/" + account + "/Tokens/validate":
		var fields struct{ Token string }
		if r.Header.Get("Content-Type") == "application/json" && json.Unmarshal(body, &fields) == nil {
			name = fields.Token
		}
	case "flex-api POST /v1/Accounts/" + account + "/Tokens/Info":
		form, _ := url.ParseQuery(string(body))
		name = form.Get("Token")
		allowed = user == "token" && password == name
	case "taskrouter GET " + r.URL.Path:
		name = strings.TrimPrefix(r.URL.Path, "/v1/Workspaces/"+workspace+"/Workers/")
	}
	f.mu.Lock()
	v, known := f.answers[name]
	f.asked[name]++
	f.mu.Unlock()
	switch {
	case !allowed:
		v = verdict{status: 401, body: `{"code":20003,"message":"Authenticate","status":401}`}
	case !r.Close:
		// Kept while Twilio has frozen the process, a connection is dead by the next request.
		v = verdict{status: 418, body: `{"code":1,"message":"the connection is to be kept"}`}
	case !known:
		v = verdict{status: 404, body: `{"code":20404,"message":"not found","status":404}`}
	}
	switch v.failure {
	case "hangs":
		<-r.Context().Done()
		return
	case "drops":
		panic(http.ErrAbortHandler)
	case "breaks off":
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte(`{"valid":`))
		panic(http.ErrAbortHandler)
	}
	if v.header[0] != "" {
		w.Header().Set(v.header[0], v.header[1])
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(v.status)
	_, _ = w.Write([]byte(v.body))
}

// await waits for what another process is about to do.
func await(t *testing.T, ok func() bool, what string) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("still not so: %s", what)
		case <-tick.C:
		}
	}
}
