package serve_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/flexvc/flexvc/internal/cli/clitest"
	packCmd "github.com/flexvc/flexvc/internal/cli/pack"
	rolloutCmd "github.com/flexvc/flexvc/internal/cli/rollout"
	serveCmd "github.com/flexvc/flexvc/internal/cli/serve"
	"github.com/flexvc/flexvc/internal/crx"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/webstore"
)

// packVersion packs a small extension, signed with key, to path.
func packVersion(t *testing.T, path, version string, key *rsa.PrivateKey) {
	t.Helper()
	folder, err := crx.ReadFolder(t.Context(), fstest.MapFS{
		"manifest.json": {Data: []byte(`{"manifest_version":3,"name":"sample","version":"1","background":{"service_worker":"worker.js"}}`)},
		"worker.js":     {Data: []byte("console.log('hello');\n")},
	}, crx.Edits{Version: version}, crx.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := crx.Pack(t.Context(), path, folder, key); err != nil {
		t.Fatal(err)
	}
}

// TestServeExtension runs the command: a browser asks and fetches, a new file is
// taken up, a broken one is not, and the next start does not go back.
func TestServeExtension(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 1, SeedValue: 5})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "flexvc.crx")
	packVersion(t, file, "1.4.0", key)
	var out clitest.Output
	app := clitest.App(s.State, &out)
	app.Global.Profile, app.Global.Output = "emulator", "text"
	start := func(args ...string) (address string, stop func() error) {
		ctx, cancel := context.WithCancel(t.Context())
		ready, ended := make(chan string, 1), make(chan error, 1)
		cmd := serveCmd.New(app, func(ctx context.Context, o *serveCmd.Options) error {
			o.Ready = func(at string) { ready <- at }
			ended <- serveCmd.Run(ctx, o)
			return nil
		})
		cmd.SetArgs(append([]string{"--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--extension", file}, args...))
		go func() { _ = cmd.ExecuteContext(ctx) }()
		stop = func() error { cancel(); return <-ended }
		select {
		case address = <-ready:
		case err := <-ended:
			cancel()
			return "", func() error { return err }
		}
		return "http://" + address, stop
	}
	get := func(url string) (int, string) {
		t.Helper()
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	waitFor := func(what string, is func() bool) {
		t.Helper()
		deadline, again := time.After(20*time.Second), time.NewTicker(10*time.Millisecond)
		defer again.Stop()
		for !is() {
			select {
			case <-again.C:
			case <-deadline:
				t.Fatalf("%s never came:\n%s", what, out.String())
			}
		}
	}

	address, stop := start()
	id := crx.FileID(file)
	ask := address + "/extension/update.xml?x=id%3D" + id + "%26v%3D1.0.0%26uc"
	if status, body := get(ask); status != 200 || !strings.Contains(body, address+"/extension/"+id+"-1.4.0.crx") {
		t.Fatalf("update.xml: %d\n%s", status, body)
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := get(address + "/extension/" + id + "-1.4.0.crx"); status != 200 || !bytes.Equal([]byte(body), want) {
		t.Errorf("the package: %d, %d bytes", status, len(body))
	}
	packVersion(t, file, "1.5.0", key)
	waitFor("1.5.0", func() bool { _, body := get(ask); return strings.Contains(body, id+"-1.5.0.crx") })
	if err := os.WriteFile(file, want[:500], 0o600); err != nil {
		t.Fatal(err)
	}
	waitFor("the refusal", func() bool { return strings.Contains(out.String(), "the changed extension file is not served") })
	if _, body := get(ask); !strings.Contains(body, id+"-1.5.0.crx") {
		t.Errorf("beside a broken file it offers\n%s", body)
	}

	_, rest, _ := strings.Cut(out.String(), "metrics on ")
	metrics := strings.TrimSuffix(strings.Fields(rest)[0], "/metrics")
	if _, body := get(metrics + "/metrics"); !strings.Contains(body, `flexvc_extension_browsers{version="1.0.0"} 1`) || !strings.Contains(body, "flexvc_extension_file_served 0") {
		t.Errorf("/metrics:\n%s", body)
	}
	var shown clitest.Output
	watcher := clitest.App(s.State, &shown)
	watcher.Global.Output = "text"
	if err := rolloutCmd.StatusRun(t.Context(), &rolloutCmd.Options{App: watcher, Server: metrics}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{id + " 1.5.0, offered to all browsers since ", "1.0.0\t1\t100%\t", "1 browser asked in the last 24 h", "cannot serve " + file} {
		if !strings.Contains(shown.String(), line) {
			t.Errorf("rollout status lacks %q:\n%s", line, shown.String())
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	// A wrong file at a restart stops updates, never tokens: one below what was
	// served before, unless it is wanted, and one that is no package at all.
	packVersion(t, file, "1.4.0", key)
	address, stop = start()
	ask = address + "/extension/update.xml?x=id%3D" + id + "%26v%3D1.0.0%26uc"
	if status, body := get(ask); status != http.StatusServiceUnavailable {
		t.Errorf("a downgrade: %d\n%s", status, body)
	}
	if text := out.String(); !strings.Contains(text, "serving no updates until the file is replaced: cannot serve 1.4.0: browsers were already offered 1.5.0 and never downgrade") ||
		!strings.Contains(text, "flexvc pack --from DIR --version 1.5.0.1") {
		t.Errorf("it does not say why:\n%s", text)
	}
	if status, _ := get(address + "/healthz/ready"); status != http.StatusOK {
		t.Errorf("readiness without updates: %d", status)
	}
	worker := s.ExportWorkers()[0]
	flexToken, err := s.MintFlexToken(worker.SID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.PostForm(address+"/generateToken", url.Values{"Token": {flexToken}})
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Errorf("a token without updates: %d", resp.StatusCode)
	}
	packVersion(t, file, "1.6.0", key)
	waitFor("1.6.0", func() bool { _, body := get(ask); return strings.Contains(body, id+"-1.6.0.crx") })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	packVersion(t, file, "1.4.0", key)
	_, stop = start("--allow-downgrade", "--stage", "25%")
	if err := stop(); err != nil {
		t.Errorf("--allow-downgrade: %v", err)
	}
	if !strings.Contains(out.String(), "1.4.0, for 25% of browsers)") {
		t.Errorf("the stage is not said:\n%s", out.String())
	}
}

// TestPackPublishes walks a version into the store, and finds it there the next
// time. What happens on the wire is webstore's own test.
func TestPackPublishes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	item := strings.Repeat("a", 32)
	var calls []string
	submitted := ""
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls = append(calls, r.Method+" "+r.URL.Path)
		switch {
		case r.URL.Path == "/token":
			_, _ = io.WriteString(w, `{"access_token":"an access token","expires_in":3599}`)
		case strings.HasSuffix(r.URL.Path, ":upload"):
			_, _ = io.WriteString(w, `{"uploadState":"SUCCEEDED","crxVersion":"1.4.0"}`)
		case strings.HasSuffix(r.URL.Path, ":publish"):
			submitted = "1.4.0"
			_, _ = io.WriteString(w, `{"state":"PENDING_REVIEW"}`)
		case submitted != "":
			_, _ = io.WriteString(w, `{"submittedItemRevisionStatus":{"state":"PENDING_REVIEW","distributionChannels":[{"crxVersion":"1.4.0"}]}}`)
		default:
			_, _ = io.WriteString(w, `{"publishedItemRevisionStatus":{"state":"PUBLISHED","distributionChannels":[{"deployPercentage":100,"crxVersion":"1.3.0"}]}}`)
		}
	}))
	defer store.Close()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	account, err := json.Marshal(map[string]string{"type": "service_account", "client_email": "p@project.test", "token_uri": store.URL + "/token", "private_key": private})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"account.json":      string(account),
		"app/manifest.json": `{"manifest_version":3,"name":"sample","version":"1","background":{"service_worker":"worker.js"}}`,
		"app/worker.js":     "console.log('hello');\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(version string, more ...string) (string, error) {
		t.Helper()
		var out clitest.Output
		app := clitest.App(dir, &out)
		app.Global.Output = "text"
		calls = nil
		var ended error
		cmd := packCmd.New(app, func(ctx context.Context, o *packCmd.Options) error {
			o.Store = webstore.Options{URL: store.URL}
			ended = packCmd.Run(ctx, o)
			return nil
		})
		cmd.SetArgs(append([]string{"--from", filepath.Join(dir, "app"), "--version", version, "--out", filepath.Join(dir, "flexvc.zip"),
			"--publish", "acme/" + item, "--service-account", filepath.Join(dir, "account.json")}, more...))
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"an access token", private[40:80]} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("a secret is in the output:\n%s", out.String())
			}
		}
		return out.String(), ended
	}
	count := func(suffix string) (n int) {
		for _, call := range calls {
			if strings.HasSuffix(call, suffix) {
				n++
			}
		}
		return n
	}

	out, err := run("1.4.0", "--dry-run")
	if err != nil || !strings.Contains(out, "would upload and submit 1.4.0") || count(":upload")+count(":publish") != 0 {
		t.Errorf("dry run: %v, %v\n%s", err, calls, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "flexvc.zip")); err == nil {
		t.Error("the dry run wrote a file")
	}
	out, err = run("1.4.0")
	if err != nil || !strings.Contains(out, "published 1.3.0") || !strings.Contains(out, "1.4.0 uploaded and submitted: pending review") || count(":upload") != 1 || count(":publish") != 1 {
		t.Errorf("%v, %v\n%s", err, calls, out)
	}
	out, err = run("1.4.0")
	if err != nil || !strings.Contains(out, "1.4.0 is already there: pending review") || count(":upload")+count(":publish") != 0 {
		t.Errorf("again: %v, %v\n%s", err, calls, out)
	}
	submitted = ""
	if _, err = run("1.2.0"); !problem.Is(err, problem.DowngradeRefused) {
		t.Errorf("a lower version: %v", err)
	}
}
