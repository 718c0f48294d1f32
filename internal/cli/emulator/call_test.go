//go:build voice

package emulator_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
)

// startVoice runs `flexvc emulator` with a voice edge until the test ends.
func startVoice(t *testing.T, dir string, args ...string) (voiceAddress, plane string) {
	t.Helper()
	out := startEdge(t, dir, args...)
	said := regexp.MustCompile(`voice edge on (\S+);(?s:.*)`)
	listening := regexp.MustCompile(`listening on (\S+)`)
	return said.FindStringSubmatch(out)[1], listening.FindStringSubmatch(out)[1]
}

func startEdge(t *testing.T, dir string, args ...string) string {
	t.Helper()
	var out clitest.Output
	app := wholeApp(dir, &out)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		args := append([]string{"emulator", "--listen", "127.0.0.1:0", "--voice-listen", "127.0.0.1:0", "--agents", "5"}, args...)
		if code := app.Run(ctx, args); code != problem.ExitDone && code != problem.ExitInterrupted {
			t.Errorf("the emulator ended with %d: %s", code, out.String())
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	clitest.Eventually(t, "in another terminal", func() bool { return strings.Contains(out.String(), "in another terminal") })
	return out.String()
}

// agent is a voice client that is registered, and does with each call what the
// test says. It has no media: that is tried with a browser, in e2e.
type agent struct {
	t    *testing.T
	conn *websocket.Conn
}

// throughEdge is a client that takes an address for all of Twilio.
func throughEdge(t *testing.T, address string) *http.Client {
	dialer := &net.Dialer{}
	secure := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // its name is not ours to check
	}
	t.Cleanup(secure.CloseIdleConnections)
	return &http.Client{Transport: secure}
}

func signIn(t *testing.T, address, token string) *agent {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), "wss://voice-js.roaming.twilio.com/signal", &websocket.DialOptions{HTTPClient: throughEdge(t, address)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	a := &agent{t, conn}
	a.send(`{"type":"listen","version":"1.6","payload":{"token":%q,"reconnectTimeout":0}}`, token)
	a.expect("connected")
	a.send(`{"type":"register","version":"1.6","payload":{"media":{"audio":true}}}`)
	a.expect("ready")
	return a
}

func (a *agent) send(format string, args ...any) {
	a.t.Helper()
	if err := a.conn.Write(a.t.Context(), websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		a.t.Fatal(err)
	}
}

func (a *agent) expect(kind string) (sid string) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), 20*time.Second)
	defer cancel()
	for {
		_, data, err := a.conn.Read(ctx)
		if err != nil {
			a.t.Fatalf("no %s: %v", kind, err)
		}
		var frame struct {
			Type    string
			Payload struct{ CallSID string }
		}
		if json.Unmarshal(data, &frame) == nil && frame.Type == kind {
			return frame.Payload.CallSID
		}
	}
}

// worker is one of the emulator, and the identity that its contact_uri rings.
func worker(t *testing.T, plane string) (w emulator.WorkerState, identity string) {
	t.Helper()
	at, err := url.Parse(plane)
	if err != nil {
		t.Fatal(err)
	}
	var state emulator.State
	if err := cli.AskEmulator(t.Context(), at, http.MethodGet, "state", nil, &state); err != nil {
		t.Fatal(err)
	}
	for _, w := range state.Workers {
		var a struct {
			ContactURI string `json:"contact_uri"`
		}
		if json.Unmarshal([]byte(w.Attributes), &a) == nil && strings.HasPrefix(a.ContactURI, "client:") {
			return w, strings.TrimPrefix(a.ContactURI, "client:")
		}
	}
	t.Fatal("no worker can be called")
	return
}

func emulatedAccount(t *testing.T, plane string) (account emulator.Account) {
	t.Helper()
	at, err := url.Parse(plane)
	if err == nil {
		err = cli.AskEmulator(t.Context(), at, http.MethodGet, "account", nil, &account)
	}
	if err != nil {
		t.Fatal(err)
	}
	return account
}

func voiceToken(t *testing.T, account emulator.Account, identity string) string {
	t.Helper()
	now := time.Now().Unix()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": account.KeySID, "sub": account.SID, "iat": now, "exp": now + 600,
		"grants": map[string]any{"identity": identity, "voice": map[string]any{"incoming": map[string]any{"allow": true}}},
	})
	token.Header["cty"] = "twilio-fpa;v=1"
	signed, err := token.SignedString([]byte(account.KeySecret))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestEmulatorCallRingsAndIsRefused(t *testing.T) {
	dir := t.TempDir()
	edge, plane := startVoice(t, dir)
	w, identity := worker(t, plane)

	var out clitest.Output
	app := wholeApp(dir, &out)
	if code := app.Run(t.Context(), []string{"emulator", "call", w.FriendlyName}); code != problem.ExitFailed {
		t.Errorf("exit code %d, want %d", code, problem.ExitFailed)
	}
	if want := "no voice client is registered as " + identity; !strings.Contains(out.String(), want) {
		t.Errorf("not said: %s\n%s", want, out.String())
	}

	// The edge believes the account's own keys, and no other.
	a := signIn(t, edge, voiceToken(t, emulatedAccount(t, plane), identity))
	out = clitest.Output{}
	app = wholeApp(dir, &out)
	recording := filepath.Join(dir, "agent.wav")
	ended := make(chan int, 1)
	go func() {
		ended <- app.Run(t.Context(), []string{"emulator", "call", w.FriendlyName, "--from", "+15550123", "--record", recording})
	}()
	sid := a.expect("invite")
	a.send(`{"type":"reject","version":"1.6","payload":{"callsid":%q}}`, sid)
	if code := <-ended; code != problem.ExitFailed {
		t.Errorf("exit code %d, want %d", code, problem.ExitFailed)
	}
	for _, want := range []string{"ringing ", "+15550123 calls client:" + identity, "ended ", "busy", "did not take the call"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not said: %s\n%s", want, out.String())
		}
	}
	if content, err := os.ReadFile(recording); err != nil || !bytes.HasPrefix(content, []byte("RIFF")) {
		t.Errorf("the recording of a call that was refused: %d bytes, %v", len(content), err)
	}
}

// An interrupt while it rings is a caller who gives up.
func TestEmulatorCallInterrupted(t *testing.T) {
	dir := t.TempDir()
	edge, plane := startVoice(t, dir, "--memory")
	w, identity := worker(t, plane)
	a := signIn(t, edge, voiceToken(t, emulatedAccount(t, plane), identity))
	var out clitest.Output
	app := wholeApp(dir, &out)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- app.Run(ctx, []string{"emulator", "call", w.SID, "-o", "json"}) }()
	sid := a.expect("invite")
	cancel()
	if got := a.expect("cancel"); got != sid {
		t.Errorf("cancelled %q, not %q", got, sid)
	}
	if code := <-ended; code != problem.ExitDone && code != problem.ExitInterrupted {
		t.Errorf("exit code %d", code)
	}
	var events []string
	for line := range strings.Lines(out.String()) {
		var e struct{ Event, Reason string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("no JSON: %s", line)
		}
		events = append(events, strings.TrimSpace(e.Event+" "+e.Reason))
	}
	if got := strings.Join(events, ", "); got != "ringing, ended canceled" {
		t.Errorf("said: %s", got)
	}
}

// The certificate stays, so that a browser's flags need not change; and it is
// nobody else's.
func TestEmulatorKeepsTheVoiceCertificate(t *testing.T) {
	dir := t.TempDir()
	var first []byte
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		var out clitest.Output
		app := wholeApp(dir, &out)
		ended := make(chan int, 1)
		go func() {
			ended <- app.Run(ctx, []string{"emulator", "--listen", "127.0.0.1:0", "--voice-listen", "127.0.0.1:0", "--agents", "1"})
		}()
		clitest.Eventually(t, "in another terminal", func() bool { return strings.Contains(out.String(), "in another terminal") })
		cancel()
		<-ended
		path := filepath.Join(dir, "emulator", "voice-edge.pem")
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("the certificate's file: %v %v", info, err)
		}
		pem, err := os.ReadFile(path)
		if err != nil || first != nil && !bytes.Equal(pem, first) {
			t.Errorf("another certificate: %v", err)
		}
		first = pem
	}
}

func TestEmulatorCallNeedsAnEdge(t *testing.T) {
	dir := t.TempDir()
	var out clitest.Output
	if code := wholeApp(dir, &out).Run(t.Context(), []string{"emulator", "call", "alice"}); code != problem.ExitFailed {
		t.Errorf("exit code %d without an emulator", code)
	}
	if !strings.Contains(out.String(), "no emulator is running") {
		t.Errorf("said: %s", out.String())
	}
	out = clitest.Output{}
	code := wholeApp(dir, &out).Run(t.Context(), []string{"emulator", "--voice-listen", "0.0.0.0:8443"})
	if code != problem.ExitUsage || !strings.Contains(out.String(), "hint: --voice-listen 127.0.0.1:8443") {
		t.Errorf("exit code %d for an edge that others reach: %s", code, out.String())
	}
}

// An agent who has Flex accepts the call there, and only then the voice client
// rings. The voice client in the Flex tab signs in with the Flex token itself.
func TestEmulatorCallIsOfferedInFlexFirst(t *testing.T) {
	dir := t.TempDir()
	said := startEdge(t, dir, "--memory", "--flex-listen", "127.0.0.1:0")
	edge := regexp.MustCompile(`Flex UI on (\S+):`).FindStringSubmatch(said)[1]
	plane := regexp.MustCompile(`listening on (\S+)`).FindStringSubmatch(said)[1]
	w, identity := worker(t, plane)
	at, err := url.Parse(plane)
	if err != nil {
		t.Fatal(err)
	}
	var login struct{ Token string }
	if err := cli.AskEmulator(t.Context(), at, http.MethodPost, "token", map[string]string{"worker": w.SID}, &login); err != nil {
		t.Fatal(err)
	}
	flex := throughEdge(t, edge)
	bridge := func(method, path string, params any) (payload map[string]any) {
		t.Helper()
		body, err := json.Marshal(map[string]any{"url": "Workspaces/" + emulatedAccount(t, plane).WorkspaceSID + path, "method": method, "params": params, "token": login.Token})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := flex.Post("https://event-bridge.twilio.com/v1/wschannels", "application/x-www-form-urlencoded", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var answer struct{ Payload map[string]any }
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %s, %v", method, path, resp.Status, err)
		}
		return answer.Payload
	}

	var out clitest.Output
	app := wholeApp(dir, &out)
	call := func() <-chan int {
		ended := make(chan int, 1)
		go func() { ended <- app.Run(t.Context(), []string{"emulator", "call", w.FriendlyName, "--task"}) }()
		return ended
	}
	for _, a := range bridge("GET", "/Activities", map[string]any{})["contents"].([]any) {
		if activity := a.(map[string]any); activity["friendly_name"] == "Offline" {
			bridge("POST", "/Workers/"+w.SID, map[string]any{"ActivitySid": activity["sid"]})
		}
	}
	if code := <-call(); code != problem.ExitFailed || !strings.Contains(out.String(), "the agent's activity is Offline") {
		t.Errorf("exit code %d for an agent who is offline: %s", code, out.String())
	}
	for _, a := range bridge("GET", "/Activities", map[string]any{})["contents"].([]any) {
		if activity := a.(map[string]any); activity["available"] == true {
			bridge("POST", "/Workers/"+w.SID, map[string]any{"ActivitySid": activity["sid"]})
		}
	}

	ended := call()
	a := signIn(t, edge, login.Token)
	clitest.Eventually(t, "offered ", func() bool { return strings.Contains(out.String(), "offered ") })
	reservations := bridge("GET", "/Workers/"+w.SID+"/Reservations", map[string]any{"Active": "true"})["contents"].([]any)
	reservation := reservations[0].(map[string]any)["sid"].(string)
	bridge("POST", "/Workers/"+w.SID+"/Reservations/"+reservation, map[string]any{"Instruction": "conference", "To": "client:" + identity + "?x=y"})
	sid := a.expect("invite")
	a.send(`{"type":"reject","version":"1.6","payload":{"callsid":%q}}`, sid)
	if code := <-ended; code != problem.ExitFailed {
		t.Errorf("exit code %d, want %d", code, problem.ExitFailed)
	}
	for _, want := range []string{"ringing ", "calls client:" + identity, "ended ", "busy", "did not take the call"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not said: %s\n%s", want, out.String())
		}
	}
}
