package emulator_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/cli/accounttest"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	emulatorCmd "github.com/flexvc/flexvc/internal/cli/emulator"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/flexui"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/plugin"
)

func TestEmulatorServesFlexUI(t *testing.T) {
	dir := t.TempDir()
	bundle := filepath.Join(dir, "bundle.js")
	script := filepath.Join(dir, "host.js")
	for file, content := range map[string]string{bundle: "the plugin", script: "the script"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out clitest.Output
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		args := []string{"emulator", "-o", "json", "--memory", "--listen", "127.0.0.1:0", "--agents", "2",
			"--flex-listen", "127.0.0.1:0", "--flex-script", script, "--flex-plugin", "ours=" + bundle}
		if code := wholeApp(dir, &out).Run(ctx, args); code != problem.ExitDone && code != problem.ExitInterrupted {
			t.Errorf("the emulator ended with %d: %s", code, out.String())
		}
	})
	defer wg.Wait()
	defer cancel()
	clitest.Eventually(t, "a line is printed", func() bool { return strings.HasSuffix(out.String(), "\n") })
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

// TestFlexLoadsWhatIsDeployed: what flexvc plugin deploy releases on the emulator
// is what its Flex gets, other plugins included.
func TestFlexLoadsWhatIsDeployed(t *testing.T) {
	t.Parallel()
	r := accounttest.New(t, emulator.Options{Agents: 1})
	files := []flexui.Plugin{{Name: "file", Version: "0.0.0-file", Source: func() ([]byte, error) { return []byte("a file"), nil }}}
	server := flexui.New(flexui.Options{Emulator: r.E, Plugins: func() []flexui.Plugin { return append(emulatorCmd.Released(r.E, files), files...) }})
	defer server.Close()
	token, err := r.E.MintFlexToken(r.E.Agents()[0].SID, time.Hour)
	clitest.Check(t, err)
	get := func(at string) string {
		t.Helper()
		req := httptest.NewRequest("GET", at, nil)
		req.Header.Set("X-Flex-Jwe", token)
		rec := httptest.NewRecorder()
		server.ServeHTTP(rec, req)
		if rec.Code != http.StatusOK {
			t.Fatalf("%s: %d", at, rec.Code)
		}
		return rec.Body.String()
	}
	type row struct {
		Name, Version, Src string
		Phase              int
	}
	list := func() (all []row) {
		t.Helper()
		clitest.Check(t, json.Unmarshal([]byte(get(emulatorCmd.FlexAddress+"plugins?roles=agent")), &all))
		return all
	}
	here := func(name, version string) row {
		return row{name, version, emulatorCmd.FlexAddress + "plugins/v1/" + name + "/" + version + "/bundle.js", 3}
	}
	file := here("file", "0.0.0-file")
	if got := list(); !slices.Equal(got, []row{file}) {
		t.Fatalf("before anything is deployed: %v", got)
	}

	r.Theirs("theirs")
	r.Theirs("file") // the file stands in for the one that is released
	r.Must("deploy", "--yes", "--version", "1.4.0")
	ours := here(provision.PluginName, "1.4.0")
	ours.Phase = 1 // before whatever another plugin does
	got := list()
	if want := []row{ours, here("theirs", "0.0.1"), file}; !slices.Equal(got, want) {
		t.Fatalf("Flex loads %v, want %v", got, want)
	}
	if got := get(ours.Src); !strings.HasPrefix(got, "// 1.4.0 https://voice.acme.example/generateToken") {
		t.Errorf("the bundle is %q", got)
	}
	if got := get(file.Src); got != "a file" {
		t.Errorf("the file is %q", got)
	}

	r.Must("rollback", "--yes")
	if got := list(); slices.ContainsFunc(got, func(p row) bool { return p.Name == provision.PluginName }) {
		t.Errorf("after the rollback Flex loads %v", got)
	}
}

// TestBundleRegistersTheDeployedName: Flex lists a plugin under the one name and
// shows it under the other, so they have to be the same.
func TestBundleRegistersTheDeployedName(t *testing.T) {
	if !plugin.HasBundle() {
		t.Skip("the bundle is not built: make plugin")
	}
	bundle, err := plugin.Bundle(plugin.Settings{})
	clitest.Check(t, err)
	if !strings.Contains(string(bundle), `name="`+provision.PluginName+`"`) {
		t.Errorf("the bundle registers under another name than %s", provision.PluginName)
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
		var out clitest.Output
		args := append([]string{"emulator", "--memory", "--listen", "127.0.0.1:0"}, c.args...)
		if code := wholeApp(t.TempDir(), &out).Run(t.Context(), args); code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("%v: exit code %d, said %s", c.args, code, out.String())
		}
	}
}
