package cli

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
)

func TestEmulatorServesFlexUI(t *testing.T) {
	dir := t.TempDir()
	plugin := filepath.Join(dir, "bundle.js")
	script := filepath.Join(dir, "host.js")
	for file, content := range map[string]string{plugin: "the plugin", script: "the script"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out printed
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		args := []string{"emulator", "-o", "json", "--memory", "--listen", "127.0.0.1:0", "--agents", "2",
			"--flex-listen", "127.0.0.1:0", "--flex-script", script, "--flex-plugin", "ours=" + plugin}
		if code := appIn(dir, &out).run(ctx, args); code != problem.ExitDone && code != problem.ExitInterrupted {
			t.Errorf("the emulator ended with %d: %s", code, out.String())
		}
	})
	defer wg.Wait()
	defer cancel()
	waitForLine(t, &out)
	var said struct{ Flex, SPKI string }
	if err := json.Unmarshal([]byte(out.String()), &said); err != nil || said.Flex == "" || len(said.SPKI) != 44 {
		t.Fatalf("said %s: %v", out.String(), err)
	}

	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, said.Flex)
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // a browser knows it by its key
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for path, want := range map[string]string{
		"/agent-desktop": "runDefault", "/host.js": "the script", "/plugins/v1/ours/0.0.0-file/bundle.js": "the plugin", "/": "Sign in",
	} {
		resp, err := client.Get("https://flex.twilio.com" + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %v, without %q", path, resp.Status, err, want)
		}
	}
}

func waitForLine(t *testing.T, out *printed) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !strings.HasSuffix(out.String(), "\n") {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("no line is printed: %q", out.String())
		}
	}
}

func TestEmulatorRefusesFlexFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--flex-listen", "0.0.0.0:8443"}, problem.ExitUsage, "hint: --flex-listen 127.0.0.1:8443"},
		{[]string{"--flex-listen", "127.0.0.1:0", "--flex-plugin", "x"}, problem.ExitUsage, "is not NAME=FILE"},
		{[]string{"--flex-listen", "127.0.0.1:0", "--flex-plugin", "x=/nowhere/y.js"}, problem.ExitUsage, "cannot read the plugin /nowhere/y.js"},
		{[]string{"--flex-listen", "127.0.0.1:0", "--flex-script", "/nowhere/host.js"}, problem.ExitUsage, "make flex-host"},
	} {
		var out printed
		args := append([]string{"emulator", "--memory", "--listen", "127.0.0.1:0"}, c.args...)
		if code := appIn(t.TempDir(), &out).run(t.Context(), args); code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("%v: exit code %d, said %s", c.args, code, out.String())
		}
	}
}
