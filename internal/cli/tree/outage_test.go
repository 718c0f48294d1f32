//go:build !windows

package tree

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/cli/clitest"
)

// served is a flexvc serve of its own, whose Twilio is whatever proxy leads to.
type served struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  chan string
	public string // http://host:port
	admin  string
	home   string

	printed clitest.Output // all of it
}

func serveBehind(t *testing.T, proxy string, args ...string) *served {
	t.Helper()
	return serveAs(t, proxy, []string{"flexvc"}, args...)
}

// serveAs has program, a command line, run flexvc.
func serveAs(t *testing.T, proxy string, program []string, args ...string) *served {
	t.Helper()
	s := &served{t: t, lines: make(chan string, 1000)}
	s.cmd = exec.Command(program[0], append(append(program[1:],
		"serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--allow-origin", "chrome-extension://"+strings.Repeat("a", 32)), args...)...)
	home := t.TempDir()
	s.home = home
	s.cmd.Env = []string{
		clitest.LinesFolder + "=" + os.Getenv(clitest.LinesFolder),
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "FLEXVC_STATE_DIR=" + home, "HTTPS_PROXY=" + proxy,
		"TWILIO_ACCOUNT_SID=" + clitest.SID("AC", "1"), "TWILIO_AUTH_TOKEN=" + clitest.Password,
		"TWILIO_API_KEY=" + clitest.SID("SK", "2"), "TWILIO_API_SECRET=" + clitest.Password,
	}
	stderr, err := s.cmd.StderrPipe()
	clitest.Check(t, err)
	clitest.Check(t, s.cmd.Start())
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // it may have ended
		_ = s.cmd.Wait()
	})
	go func() {
		defer close(s.lines)
		for scan := bufio.NewScanner(stderr); scan.Scan(); {
			s.printed.Write(append(scan.Bytes(), '\n'))
			s.lines <- scan.Text()
		}
	}()
	at := s.until(`listening on (\S+)/generateToken     metrics on ([^\s"]+)/metrics`)
	s.public, s.admin = at[1], at[2]
	return s
}

// until reads what it prints up to a line that matches.
func (s *served) until(pattern string) []string {
	s.t.Helper()
	var read []string
	deadline := time.After(time.Minute)
	for {
		select {
		case line, ok := <-s.lines:
			if match := regexp.MustCompile(pattern).FindStringSubmatch(line); match != nil {
				return match
			}
			if read = append(read, line); ok {
				continue
			}
		case <-deadline:
		}
		s.t.Fatalf("%q never came:\n%s", pattern, strings.Join(read, "\n"))
	}
}

func (s *served) get(address string) (int, string) {
	s.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: time.Minute}
	resp, err := client.Get(address)
	clitest.Check(s.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	clitest.Check(s.t, err)
	return resp.StatusCode, string(body)
}

func (s *served) want(address string, status int, body string) {
	s.t.Helper()
	if got, text := s.get(address); got != status || !strings.Contains(text, body) {
		s.t.Errorf("%s answers %d %q, want %d %q", address, got, text, status, body)
	}
}

// stop asks it to end, and wants it to end well.
func (s *served) stop() {
	s.t.Helper()
	clitest.Check(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	s.until(`stopped: `)
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("it ends with %v", err)
	}
}

// blackHole takes connections and never says a word.
func blackHole(t *testing.T) string {
	t.Helper()
	hole, err := net.Listen("tcp", "127.0.0.1:0")
	clitest.Check(t, err)
	t.Cleanup(func() { hole.Close() })
	go func() {
		for {
			conn, err := hole.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				defer conn.Close()
			}
		}
	}()
	return "http://" + hole.Addr().String()
}

// A machine that boots before its network, or while Twilio is away, has a server
// that is alive, says that it is not ready and why, and ends when told to.
func TestServeStartsWithoutTwilio(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	for name, proxy := range map[string]string{
		"a black hole":   blackHole(t),
		"no name server": "http://twilio.invalid:1",
		"nobody":         "http://127.0.0.1:1",
	} {
		t.Run(name, func(t *testing.T) {
			s := serveBehind(t, proxy)
			s.want(s.admin+"/healthz/live", 200, "ok")
			s.want(s.public+"/healthz/live", 200, "ok")
			s.want(s.admin+"/healthz/ready", 503, "starting: waiting for Twilio")
			s.until(`warning: not ready, asking Twilio again until it answers: cannot read API key`)
			s.want(s.admin+"/healthz/ready", 503, "starting: waiting for Twilio")
			s.want(s.admin+"/healthz/degraded", 200, `{"what":"start","why":"cannot read API key`)
			s.stop()
		})
	}
	t.Run("with an env file", func(t *testing.T) {
		file := t.TempDir() + "/.env"
		clitest.Check(t, os.WriteFile(file, []byte("ACCOUNT_SID="+clitest.SID("AC", "1")+"\nAUTH_TOKEN="+clitest.Password+"\nAPI_KEY="+clitest.SID("SK", "2")+"\nAPI_SECRET="+clitest.Password+"\n"), 0o600))
		s := serveBehind(t, "http://127.0.0.1:1", "--env-file", file)
		s.until(`warning: not ready, asking Twilio again until it answers: cannot read API key`)
		s.want(s.admin+"/healthz/ready", 503, "starting: waiting for Twilio")
		s.stop()
	})
	t.Run("with a damaged extension", func(t *testing.T) {
		file := t.TempDir() + "/flexvc.crx"
		clitest.Check(t, os.WriteFile(file, []byte("no package"), 0o600))
		s := serveBehind(t, "http://127.0.0.1:1", "--extension", file)
		s.until(`warning: serving no updates until the file is replaced: cannot serve .*: it has 1 fault`)
		s.want(s.public+"/extension/update.xml", 503, "no package to serve")
		s.want(s.admin+"/healthz/degraded", 200, `"what":"extension"`)
		s.want(s.admin+"/metrics", 200, "flexvc_extension_file_served 0\n")
		s.stop()
	})
}

// SIGHUP takes up what has changed in files, keeps what it cannot use, and never
// ends the server: not even while it starts.
func TestServeReloadsOnHangup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	allowed, log := dir+"/allowed", dir+"/serve.log"
	clitest.Check(t, os.WriteFile(allowed, []byte("# nobody yet\nWK"+strings.Repeat("0", 32)+"\n"), 0o600))
	s := serveBehind(t, "http://127.0.0.1:1", "-p", "emulator", "--allow-worker-file", allowed, "--log-file", log)
	hangUp := func() { clitest.Check(t, s.cmd.Process.Signal(syscall.SIGHUP)) }
	logged := func(file, pattern string) {
		t.Helper()
		deadline, again := time.After(time.Minute), time.NewTicker(20*time.Millisecond)
		defer again.Stop()
		for {
			text, err := os.ReadFile(file)
			if err == nil && regexp.MustCompile(pattern).Match(text) {
				return
			}
			select {
			case <-again.C:
			case <-deadline:
				t.Fatalf("%s never had %q: %v\n%s", file, pattern, err, text)
			}
		}
	}
	worker := s.worker()
	token := s.flexToken(worker)
	ask := func() int {
		t.Helper()
		status, _ := s.ask(token)
		return status
	}
	if status := ask(); status != http.StatusForbidden {
		t.Errorf("a worker who is not listed gets %d", status)
	}
	clitest.Check(t, os.WriteFile(allowed, []byte(worker+"\n"), 0o600))
	clitest.Check(t, os.Rename(log, log+".1"))
	hangUp()
	logged(log, `info  +reloaded`)
	if status := ask(); status != http.StatusOK {
		t.Errorf("once listed, the worker gets %d", status)
	}
	logged(log, "token issued")
	logged(log+".1", "worker-not-allowed")
	for _, unusable := range []string{"", "# only a remark\n"} {
		clitest.Check(t, os.WriteFile(allowed, []byte(unusable), 0o600))
		clitest.Check(t, os.Rename(log, log+".2"))
		hangUp()
		logged(log, `error +"?reload failed: continuing as before.*names no worker`)
		if status := ask(); status != http.StatusOK {
			t.Errorf("with %q in the list, the worker gets %d", unusable, status)
		}
	}
	s.stop()

	starting := serveBehind(t, blackHole(t))
	clitest.Check(t, starting.cmd.Process.Signal(syscall.SIGHUP))
	starting.until("reload")
	starting.want(starting.admin+"/healthz/live", 200, "ok")
	starting.stop()
}

// run runs another command of flexvc beside it.
func (s *served) run(args ...string) string {
	s.t.Helper()
	cmd := exec.Command("flexvc", args...)
	cmd.Env = s.cmd.Env
	out, err := cmd.Output()
	clitest.Check(s.t, err)
	return string(out)
}

func (s *served) flexToken(worker string) string {
	s.t.Helper()
	var minted struct{ Token string }
	clitest.Check(s.t, json.Unmarshal([]byte(s.run("-p", "emulator", "emulator", "token", "-o", "json", worker)), &minted))
	return minted.Token
}

// ask asks for a voice token, and returns the status and the request's id.
func (s *served) ask(token string) (int, string) {
	s.t.Helper()
	resp, err := http.PostForm(s.public+"/generateToken", url.Values{"Token": {token}})
	clitest.Check(s.t, err)
	resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("X-Request-Id")
}

// An agent without a token: the operator asks by user name, and reads who, why,
// what to do, and the request id that the agent sees. The log is JSON from its
// first line to its last.
func TestServeLog(t *testing.T) {
	t.Parallel()
	s := serveBehind(t, "http://127.0.0.1:1", "-p", "emulator", "--require-role", "nobody-has-this", "-o", "json")
	worker := s.worker()
	status, request := s.ask(s.flexToken(worker))
	if status != http.StatusForbidden {
		t.Fatalf("the agent gets %d", status)
	}
	identity := regexp.MustCompile(`"identity":"(ext_[^"]+)"`).FindStringSubmatch(s.until(`.*"msg":"token refused".*`)[0])
	if identity == nil {
		t.Fatal("the log does not name the agent")
	}
	name := strings.NewReplacer("_40", "@", "_2E", ".").Replace(strings.TrimPrefix(identity[1], "ext_"))
	for _, asked := range []string{name, identity[1]} {
		shown := s.run("serve", "log", "--server", s.admin, "--worker", asked)
		for _, want := range []string{identity[1], "role-missing", request, "127.0.0.1", "give the agent one of the roles of --require-role"} {
			if !strings.Contains(shown, want) {
				t.Errorf("serve log --worker %s lacks %q:\n%s", asked, want, shown)
			}
		}
	}
	if shown := s.run("serve", "log", "--server", s.admin, "--worker", "nobody"); !strings.HasPrefix(shown, "No request by nobody since ") {
		t.Errorf("of somebody else:\n%s", shown)
	}
	lines := strings.Split(strings.TrimSpace(s.run("serve", "log", "--server", s.admin, "-o", "json")), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `"reason":"role-missing"`) || !strings.Contains(lines[0], `"remedy":"give`) || !strings.Contains(lines[1], `"event":"done"`) {
		t.Errorf("in JSON:\n%s", lines)
	}
	s.stop()
	for line := range strings.Lines(s.printed.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

// worker is the SID of one of the emulated account that it serves.
func (s *served) worker() string {
	s.t.Helper()
	out := s.run("-p", "emulator", "workers", "list", "-o", "json")
	sid := regexp.MustCompile(`WK[0-9a-f]{32}`).FindString(out)
	if sid == "" {
		s.t.Fatalf("no worker in\n%s", out)
	}
	return sid
}

// Whoever takes all descriptors finds a server that says so, answers its
// operators, and serves again afterwards.
func TestServeWithoutDescriptors(t *testing.T) {
	t.Parallel()
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		wantTurnedAway(t)
	})
	t.Run("over TLS", func(t *testing.T) {
		t.Parallel()
		cert, key := certificate(t)
		wantTurnedAway(t, "--tls-cert", cert, "--tls-key", key)
	})
}

// certificate makes one for nobody, and returns its files.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	clitest.Check(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	clitest.Check(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	clitest.Check(t, err)
	cert, key = t.TempDir()+"/cert.pem", t.TempDir()+"/key.pem"
	clitest.Check(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	clitest.Check(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	return cert, key
}

func wantTurnedAway(t *testing.T, flags ...string) {
	t.Helper()
	s := serveAs(t, "http://127.0.0.1:1", []string{"sh", "-c", `ulimit -n 80 && exec flexvc "$@"`, "sh"}, append(flags, "-p", "emulator")...)
	host, secure := strings.CutPrefix(s.public, "https://")
	host = strings.TrimPrefix(host, "http://")
	var conns []net.Conn
	for range 120 {
		conn, err := net.Dial("tcp", host)
		clitest.Check(t, err)
		defer conn.Close()
		conns = append(conns, conn)
	}
	s.until("out of file descriptors: new connections get 503")
	s.want(s.admin+"/healthz/live", 200, "ok")
	s.want(s.admin+"/healthz/degraded", 200, `"what":"descriptors"`)
	turnedAway := 0
	for _, conn := range conns {
		clitest.Check(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		if secure {
			conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		}
		_, err := io.WriteString(conn, "GET /healthz/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if err != nil {
			continue // the server had given it up
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			continue
		}
		resp.Body.Close()
		if conn.Close(); resp.StatusCode == http.StatusServiceUnavailable {
			turnedAway++
		}
	}
	if turnedAway == 0 {
		t.Error("nobody was told to come again")
	}
	s.want(s.public+"/healthz/ready", 200, "ok")
	s.want(s.admin+"/metrics", 200, "flexvc_descriptors_exhausted_total")
	s.stop()
}
