package tokensrv

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

func TestRunOnPortZero(t *testing.T) {
	f := newFixture(t, nil)
	public, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx, Listeners{Public: []net.Listener{public}, Admin: admin}, nil) }()
	get := func(ln net.Listener, path string) int {
		resp, err := http.Get("http://" + ln.Addr().String() + path)
		if err != nil {
			return 0
		}
		return note(t, resp).status
	}
	eventually(t, "ready", func() bool { return get(public, pathReady) == 200 && get(admin, pathReady) == 200 })
	if got := get(admin, pathMetrics); got != 200 {
		t.Errorf("metrics answered %d", got)
	}
	if got := get(admin, pathToken); got != 404 {
		t.Errorf("the admin listener answers for tokens: %d", got)
	}
	resp, err := http.PostForm("http://"+public.Addr().String()+pathToken, url.Values{"Token": {f.agent("alice")}})
	if err != nil {
		t.Fatal(err)
	}
	note(t, resp).wantToken(t)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if get(public, pathLive) != 0 || get(admin, pathLive) != 0 {
		t.Error("a listener is still open")
	}
}

func TestDrain(t *testing.T) {
	for _, tt := range []struct {
		name     string
		thinking time.Duration
		abort    time.Duration // 0: never
		finishes bool
		stopped  time.Duration // after the signal
	}{
		{"a request in flight finishes", 3 * time.Second, 0, true, 3 * time.Second},
		{"one that takes too long is cut off after 10 s", 30 * time.Second, 0, false, 10 * time.Second},
		{"a second signal cuts at once", 30 * time.Second, time.Second, false, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				drained := int64(-1)
				f := newFixture(t, func(c *Config, d *Deps) {
					c.ValidateTimeout = time.Minute
					d.Draining = func(n int64) { drained = n }
				})
				f.twilio.set(func(*http.Request, string) (*http.Response, error) {
					time.Sleep(tt.thinking)
					return reply(200, vouch("alice", time.Now().Add(time.Hour))), nil
				})
				ln, admin := newPipes(), newPipes()
				ctx, cancel := context.WithCancel(t.Context())
				abort := make(chan struct{})
				ended := make(chan error, 1)
				go func() { ended <- f.Run(ctx, Listeners{Public: []net.Listener{ln}, Admin: admin}, abort) }()

				answers := make(chan bool, 1)
				go func() {
					c := ln.client()
					defer c.CloseIdleConnections()
					resp, err := c.PostForm("http://x"+pathToken, url.Values{"Token": {flexToken("inflight")}})
					if err != nil {
						answers <- false
						return
					}
					answers <- note(t, resp).status == 200
				}()
				synctest.Wait()
				stopping := time.Now()
				cancel()
				synctest.Wait()
				if drained != 1 {
					t.Errorf("told that %d requests are in flight, want 1", drained)
				}
				if _, err := ln.dial(ctx, "", ""); !errors.Is(err, net.ErrClosed) {
					t.Errorf("a new connection while draining: %v", err)
				}
				c := admin.client()
				resp, err := c.Get("http://x" + pathReady)
				if err != nil {
					t.Fatal(err)
				}
				if a := note(t, resp); a.status != 503 || a.body != "draining\n" {
					t.Errorf("readiness while draining: %d %q", a.status, a.body)
				}
				c.CloseIdleConnections()
				if tt.abort > 0 {
					time.Sleep(tt.abort)
					close(abort)
				}
				if err := <-ended; err != nil {
					t.Error(err)
				}
				// Shutdown polls, so it may notice half a second late.
				if took := time.Since(stopping); took < tt.stopped || took > tt.stopped+time.Second {
					t.Errorf("stopped after %s, want %s", took, tt.stopped)
				}
				if got := <-answers; got != tt.finishes {
					t.Errorf("the request in flight was answered: %v, want %v", got, tt.finishes)
				}
				if got := f.Stats().CutOff == 0; got != tt.finishes {
					t.Errorf("cut off %d", f.Stats().CutOff)
				}
				time.Sleep(tt.thinking)
			})
		})
	}
}

type brokenListener struct{ net.Listener }

func (brokenListener) Accept() (net.Conn, error) { return nil, errors.New("out of everything") }

func TestListenerThatFailsEndsRun(t *testing.T) {
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := newFixture(t, nil).Run(t.Context(), Listeners{Public: []net.Listener{brokenListener{ln}}}, nil); !problem.Is(err, problem.AddressUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestCheckListen(t *testing.T) {
	for _, tt := range []struct {
		addr       string
		tls, proxy bool
		refused    bool
	}{
		{"127.0.0.1:3001", false, false, false},
		{"localhost:3001", false, false, false},
		{"[::1]:3001", false, false, false},
		{"[::ffff:127.0.0.1]:3001", false, false, false},
		{"unix:/run/x.sock", false, false, false},
		{"0.0.0.0:3001", true, false, false},
		{"0.0.0.0:3001", false, true, false},
		{"0.0.0.0:3001", false, false, true},
		{":3001", false, false, true},
		{"[::]:3001", false, false, true},
		{"10.0.0.1:3001", false, false, true},
		{"localhost.evil.example:3001", false, false, true},
	} {
		err := CheckListen(tt.addr, tt.tls, tt.proxy)
		if (err != nil) != tt.refused {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	p := problem.As(CheckListen("0.0.0.0:3001", false, false))
	if p.Summary != "refusing to serve tokens over plain HTTP beyond this machine" ||
		p.Hint != "add --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy with --behind-proxy" || problem.Exit(p) != 2 {
		t.Errorf("%+v", p)
	}
	if err := CheckListen("3001", false, false); !problem.Is(err, problem.Usage) {
		t.Errorf("no address: %v", err)
	}
}

func TestListenOnATakenPort(t *testing.T) {
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, err = Listen(ln.Addr().String())
	if p := problem.As(err); p == nil || p.Code != problem.AddressUnavailable || !strings.HasSuffix(p.Summary, "address already in use") {
		t.Errorf("got %v", err)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "serve.sock")
	ln, err := Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := Listen("unix:" + path); !problem.Is(err, problem.AddressUnavailable) {
		t.Errorf("a socket in use was taken: %v", err)
	}
	f := newFixture(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx, Listeners{Public: []net.Listener{ln}}, nil) }()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	resp, err := client.PostForm("http://x"+pathToken, url.Values{"Token": {f.agent("alice")}})
	if err != nil {
		t.Fatal(err)
	}
	note(t, resp).wantToken(t)
	if !strings.Contains(f.log.String(), `"client":"local"`) {
		t.Errorf("log: %s", f.log.String())
	}
	client.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}

	// What a killed server leaves behind does not keep the next one out.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	ln, err = Listen("unix:" + path)
	if err != nil {
		t.Fatalf("a dead socket file: %v", err)
	}
	ln.Close()
}

// A path mistyped is no reason to delete what is there.
func TestUnixSocketLeavesOtherFilesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Listen("unix:" + path)
	if p := problem.As(err); p == nil || p.Code != problem.AddressUnavailable || !strings.HasSuffix(p.Summary, "is not a socket") {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file is %q, %v", text, err)
	}
}

// inheritRole makes this test binary act as a socket-activated server.
const inheritRole = "FLEXVC_TEST_INHERIT"

func TestSocketActivation(t *testing.T) {
	if os.Getenv(inheritRole) != "" {
		inheritedServer(t)
		return
	}
	if runtime.GOOS == "windows" {
		t.Skip("systemd is Linux's; the descriptors it passes are Unix's")
	}
	var files []*os.File
	var addrs []string
	for range 2 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		file, err := ln.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, ln.Addr().String())
		ln.Close()
		files = append(files, file)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestSocketActivation$")
	cmd.ExtraFiles = files
	cmd.Env = append(os.Environ(), inheritRole+"=1", "LISTEN_FDS=2", "LISTEN_FDNAMES=public:admin")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		f.Close()
	}
	defer func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server: %v\n%s", err, out.String())
		}
	}()
	for i, path := range []string{pathReady, pathMetrics} {
		eventually(t, path, func() bool {
			resp, err := http.Get("http://" + addrs[i] + path)
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode == 200
		})
	}
}

func inheritedServer(t *testing.T) {
	lookup := func(name string) (string, bool) {
		if name == "LISTEN_PID" { // systemd sets it between fork and exec, which os/exec cannot
			return strconv.Itoa(os.Getpid()), true
		}
		return os.LookupEnv(name)
	}
	sockets, err := Inherited(lookup, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if len(sockets["public"]) != 1 || len(sockets["admin"]) != 1 {
		t.Fatalf("inherited %v", sockets)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := newFixture(t, nil).Run(ctx, Listeners{Public: sockets["public"], Admin: sockets["admin"][0]}, nil); err != nil {
		t.Fatal(err)
	}
}

func TestSocketsOfAnotherProcessAreLeftAlone(t *testing.T) {
	env := func(pairs map[string]string) func(string) (string, bool) {
		return func(name string) (string, bool) { v, ok := pairs[name]; return v, ok }
	}
	for _, e := range []map[string]string{{}, {"LISTEN_FDS": "1"}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}} {
		if got, err := Inherited(env(e), 42); got != nil || err != nil {
			t.Errorf("%v: %v, %v", e, got, err)
		}
	}
	for _, n := range []string{"", "-1", "x", "9999"} {
		if _, err := Inherited(env(map[string]string{"LISTEN_PID": "42", "LISTEN_FDS": n}), 42); !problem.Is(err, problem.AddressUnavailable) {
			t.Errorf("LISTEN_FDS=%q: %v", n, err)
		}
	}
}

func TestCertificateIsReloaded(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	written := time.Now()
	write := func(name string) {
		t.Helper()
		cert, key := selfSigned(t, name)
		written = written.Add(time.Minute) // file systems may round to seconds
		for file, content := range map[string][]byte{certFile: cert, keyFile: key} {
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(file, written, written); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("first.example")
	f := newFixture(t, nil)
	clock := time.Now()
	config, err := LoadTLS(certFile, keyFile, f.Server.log, func() time.Time { return clock })
	if err != nil {
		t.Fatal(err)
	}
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx, Listeners{Public: []net.Listener{ln}, TLS: config}, nil) }()
	served := func() string {
		t.Helper()
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).PostForm("https://"+ln.Addr().String()+pathToken, url.Values{"Token": {f.agent("alice")}})
		if err != nil {
			t.Fatal(err)
		}
		note(t, resp).wantToken(t)
		return fmt.Sprint(resp.Proto, " ", resp.TLS.PeerCertificates[0].Subject.CommonName)
	}
	for suite, want := range map[uint16]bool{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: true, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: true, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: false,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: true, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: false, tls.TLS_RSA_WITH_AES_128_GCM_SHA256: false,
	} {
		if got := slices.Contains(config.CipherSuites, suite); got != want {
			t.Errorf("%s offered: %v", tls.CipherSuiteName(suite), got)
		}
	}
	old := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
	}}
	if c, err := tls.Dial("tcp", ln.Addr().String(), old); err == nil {
		_ = c.Close()
		t.Error("a client without authenticated encryption gets in")
	}
	if got := served(); got != "HTTP/2.0 first.example" {
		t.Errorf("serves %s", got)
	}
	write("second.example")
	if got := served(); got != "HTTP/2.0 first.example" {
		t.Errorf("looked again too soon: %s", got)
	}
	clock = clock.Add(lookAgain)
	if got := served(); got != "HTTP/2.0 second.example" {
		t.Errorf("after the change: %s", got)
	}
	if err := os.WriteFile(certFile, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		clock = clock.Add(lookAgain)
		if got := served(); got != "HTTP/2.0 second.example" {
			t.Errorf("with a broken file: %s", got)
		}
	}
	if n := strings.Count(f.log.String(), "are unusable"); n != 1 {
		t.Errorf("%d warnings about one broken file", n)
	}
	write("third.example")
	clock = clock.Add(lookAgain)
	if got := served(); got != "HTTP/2.0 third.example" {
		t.Errorf("after the repair: %s", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := LoadTLS(filepath.Join(dir, "none"), keyFile, f.Server.log, time.Now); !problem.Is(err, problem.InputUnreadable) {
		t.Errorf("a missing file: %v", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if _, err := LoadTLS("/dev/zero", keyFile, f.Server.log, time.Now); !problem.Is(err, problem.InputUnreadable) || !strings.Contains(err.Error(), "longer than 1 MiB") {
		t.Errorf("a file without end: %v", err)
	}
}

func selfSigned(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func TestEnvFileOfTheOriginalService(t *testing.T) {
	secret := said.secret("0123456789abcdef0123456789abcdef")
	file := "# Twilio\nACCOUNT_SID=" + testAccount + "\r\nAUTH_TOKEN='" + secret + "'\nexport API_KEY=" + testKey + "\nAPI_SECRET=\"" + secret + "\" # rotated\n\nOTHER=$HOME and more\n"
	e, err := ParseEnvFile(strings.NewReader(file), ".env")
	if err != nil {
		t.Fatal(err)
	}
	if want := (EnvFile{testAccount, secret, testKey, secret}); e != want {
		t.Errorf("read %d of 4 right", len(e.AccountSID))
	}
	c := Defaults()
	e.Apply(&c)
	if err := c.Validate(); err != nil {
		t.Errorf("%v: %s", err, problem.As(err).Detail)
	}
	if c.Validator.User != testAccount {
		t.Errorf("Flex tokens are checked as %s", c.Validator.User)
	}
	e.AuthToken = ""
	e.Apply(&c)
	if c.Validator.User != testKey {
		t.Errorf("without auth token, Flex tokens are checked as %s", c.Validator.User)
	}
}

func TestEnvFilesThatCannotBeUsed(t *testing.T) {
	t.Setenv("FLEXVC_TEST_DIGITS", "123")
	for name, file := range map[string]string{
		"a line of no shape":   "ACCOUNT_SID=x\n" + said.secret("hush-hush-line") + "\n",
		"placeholder":          "API_SECRET=<your secret>\n",
		"reference to another": "API_SECRET=$FLEXVC_TEST_DIGITS\n",
		"reference in quotes":  "API_SECRET=\"${FLEXVC_TEST_DIGITS}\"\n",
		"unclosed quote":       "API_SECRET='" + said.secret("hush-hush-quote") + "\n",
	} {
		_, err := ParseEnvFile(strings.NewReader(file), ".env")
		p := problem.As(err)
		if p == nil || p.Code != problem.InputUnreadable || !strings.Contains(p.Summary, ".env") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		noteProblem(p)
		fmt.Fprintln(&said, errors.Unwrap(p))
	}
}

func TestReadyWhileValidatorIsDownAndAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.twilio.set(func(*http.Request, string) (*http.Response, error) { return reply(503, ""), nil })
		for i := range breakAfter {
			f.do(post(flexToken("ready" + strconv.Itoa(i))))
		}
		for _, h := range []http.Handler{f, f.Admin()} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", pathReady, nil))
			if w.Code != 503 || w.Body.String() != "the validator is down\n" {
				t.Errorf("ready answers %d %q", w.Code, w.Body)
			}
			w = httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", pathLive, nil))
			if w.Code != 200 {
				t.Errorf("live answers %d: the server would be restarted for Twilio's fault", w.Code)
			}
		}
		// Readiness must turn before the next try, or nobody would send one.
		time.Sleep(breakerRest + time.Millisecond)
		if a := f.do(httptest.NewRequest("GET", pathReady, nil)); a.status != 200 {
			t.Errorf("still %d when it is time to try", a.status)
		}
	})
}
