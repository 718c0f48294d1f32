package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/plugin"
)

// TestPluginDeployed is the life of the plugin in an account that has others.
func TestPluginDeployed(t *testing.T) {
	t.Parallel()
	r := newPluginRig(t, emulator.Options{Builds: emulator.Builds{Time: 4 * time.Second}})
	r.theirs("theirs")

	if exit, _ := r.run("deploy", "--dry-run", "--exit-code"); exit != problem.ExitPending {
		t.Errorf("a dry run exits with %d", exit)
	}
	r.wantLoads("theirs 0.0.1")
	wantMatch(t, r.must("status"), `^Flex does not load the plugin; 1 other plugin stays\. Next: flexvc -p emulator plugin deploy$`)

	r.must("deploy", "--yes", "--version", "1.4.0")
	r.wantLoads("flexvc-voice-client 1.4.0", "theirs 0.0.1")
	r.wantBundle("1.4.0", "https://voice.acme.example/generateToken ext_ WA")
	wantMatch(t, r.must("deploy", "--yes"), `^No changes: Flex already loads version 1\.4\.0\.`)
	wantMatch(t, r.must("deploy", "--yes", "--version", "1.4.0"), `^No changes`)
	wantMatch(t, r.must("status"), `what this flexvc deploys`, `^before +Flex without the plugin$`)

	// Another token server is another bundle, so it is another version.
	r.settings("https://other.acme.example/generateToken")
	wantMatch(t, r.must("status"), `^bundle +not what this flexvc deploys`, `Next: flexvc -p emulator plugin deploy`)
	r.must("deploy", "--yes")
	r.wantLoads("flexvc-voice-client 1.4.1", "theirs 0.0.1")
	r.wantBundle("1.4.1", "https://other.acme.example")
	r.wantBundle("1.4.0", "https://voice.acme.example") // still there to go back to
	r.theirs("second")

	// A rollback takes back our plugin and nobody else's.
	r.must("rollback", "--yes")
	r.wantLoads("flexvc-voice-client 1.4.0", "second 0.0.1", "theirs 0.0.1")
	r.must("rollback", "--yes")
	r.wantLoads("second 0.0.1", "theirs 0.0.1")
	exit, out := r.run("rollback", "--yes")
	if exit != problem.ExitFailed {
		t.Errorf("a rollback of nothing exits with %d", exit)
	}
	wantMatch(t, out, `cannot roll the plugin back: Flex does not load it now`)
	r.must("deploy", "--yes")
	r.wantLoads("flexvc-voice-client 1.4.1", "second 0.0.1", "theirs 0.0.1")
}

// TestPluginKeepsWhatIsDeployed: a build that leaves a file out takes it away.
func TestPluginKeepsWhatIsDeployed(t *testing.T) {
	t.Parallel()
	r := newPluginRig(t, emulator.Options{})
	ctx, d := t.Context(), r.twilio()
	service, err := d.CreateService(ctx, "default", "Theirs")
	check(t, err)
	check(t, d.RegisterServices(ctx, []string{"ZSe0e0e0e0000000000000000000000000", service.SID}))
	environment, err := d.CreateEnvironment(ctx, service.SID, provision.PluginName, "old")
	check(t, err)
	asset, err := d.CreateAsset(ctx, service.SID, "theirs")
	check(t, err)
	file, err := d.UploadScript(ctx, service.SID, asset.SID, "/theirs.js", []byte("theirs"))
	check(t, err)
	function := r.function(service.SID)
	dependencies := `[{"name":"twilio","version":"5.0.0"}]`
	build, err := d.CreateBuild(ctx, service.SID, twilio.Build{Assets: []twilio.AssetVersion{file}, Functions: []string{function}, Dependencies: dependencies, Runtime: "node20"})
	check(t, err)
	check(t, d.Deploy(ctx, service.SID, environment.SID, build.SID))

	for range 2 {
		wantMatch(t, r.must("deploy", "--yes"), `[23] deployed files stay`)
		r.settings("https://changed.acme.example/")
	}
	environments, err := d.Environments(ctx, service.SID)
	check(t, err)
	now, err := d.Build(ctx, service.SID, environments[0].BuildSID)
	check(t, err)
	if len(environments) != 1 || len(now.Assets) != 3 || now.Assets[0] != file || !slices.Equal(now.Functions, []string{function}) || now.Dependencies != dependencies || now.Runtime != "node20" {
		t.Errorf("deployed are %+v in %+v", now, environments)
	}
	registered, err := d.RegisteredServices(ctx)
	check(t, err)
	if len(registered) != 2 {
		t.Errorf("registered are %v", registered)
	}
}

// TestPluginDeployGoesOnAfterAnyStep breaks the connection at every request that
// changes something, before and after it took effect. A second run ends as one
// that was never broken, and nothing is there twice.
func TestPluginDeployGoesOnAfterAnyStep(t *testing.T) {
	t.Parallel()
	writes := []string{
		"Services", "Configuration", "Environments", "Assets", "Versions", "Builds", "Deployments", "Plugins", "Versions", "Configurations", "Releases",
	}
	for at := range writes {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d %s, done %t", at, writes[at], lost), func(t *testing.T) {
				t.Parallel()
				r := newPluginRig(t, emulator.Options{})
				r.theirs("theirs")
				n := -1
				r.around = func(req *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
					if req.Method != http.MethodPost {
						return next()
					}
					n++
					if n <= at && !strings.HasSuffix(req.URL.Path, "/"+writes[n]) {
						t.Errorf("write %d is to %s", n, req.URL.Path)
					}
					if n < at {
						return next()
					}
					if lost && n == at {
						if res, err := next(); err == nil {
							res.Body.Close()
						}
					}
					return nil, errors.New("the line is dead")
				}
				exit, out := r.run("deploy", "--yes", "--version", "1.0.0")
				if last := at == len(writes)-1; (exit == 0) != (lost && last) {
					t.Fatalf("exit %d:\n%s", exit, out)
				}
				r.around = nil
				r.must("deploy", "--yes", "--version", "1.0.0")
				r.wantLoads("flexvc-voice-client 1.0.0", "theirs 0.0.1")
				r.wantBundle("1.0.0", "// 1.0.0 https://voice.acme.example/")
				r.wantOneOfEach()
			})
		}
	}
}

func TestPluginVersionMustBeNewer(t *testing.T) {
	t.Parallel()
	r := newPluginRig(t, emulator.Options{})
	r.must("deploy", "--yes", "--version", "1.9.0")
	r.settings("https://other.acme.example/")
	for version, why := range map[string]string{
		"1.9.0":  "cannot deploy version 1.9.0 of the plugin: it is there with another bundle",
		"1.8.9":  "cannot deploy version 1.8.9 of the plugin: it is not newer than 1.9.0",
		"0.10.0": "it is not newer than 1.9.0",
		"1.9":    `cannot deploy version "1.9": it is not three numbers`,
		"v2.0.0": "it is not three numbers",
	} {
		exit, out := r.run("deploy", "--yes", "--version", version)
		if exit != problem.ExitUsage || !strings.Contains(out, why) {
			t.Errorf("%s: exit %d, %s", version, exit, out)
		}
	}
	r.wantLoads("flexvc-voice-client 1.9.0")
	r.must("deploy", "--yes", "--version", "1.10.0")
	r.wantLoads("flexvc-voice-client 1.10.0")
}

func TestPluginBuildThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	for why, builds := range map[string]emulator.Builds{
		"failed":                 {Time: 2 * time.Second, Fail: true},
		"is not done after 3m0s": {Time: time.Hour},
	} {
		r := newPluginRig(t, emulator.Options{Builds: builds})
		exit, out := r.run("deploy", "--yes")
		if exit != problem.ExitFailed || !strings.Contains(out, why) {
			t.Errorf("exit %d, want %q in:\n%s", exit, why, out)
		}
		r.wantLoads()
		settings := r.e.Settings()
		settings.Builds = emulator.Builds{}
		check(t, r.e.Configure(settings))
		r.e.Advance(time.Hour)
		r.must("deploy", "--yes")
		if len(r.loads()) != 1 {
			t.Errorf("%s: after the second run Flex loads %q", why, r.loads())
		}
	}
}

// TestPluginReleasedByOthersMeanwhile: the plan would undo what they did.
func TestPluginReleasedByOthersMeanwhile(t *testing.T) {
	t.Parallel()
	r := newPluginRig(t, emulator.Options{})
	done := false
	r.around = func(req *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
		if req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/Versions") && strings.Contains(req.URL.Path, "/Plugins/") && !done {
			done = true
			r.theirs("theirs")
		}
		return next()
	}
	exit, out := r.run("deploy", "--yes")
	if exit != problem.ExitFailed || !strings.Contains(out, "cannot deploy the plugin: other plugins were released since the plan was made") {
		t.Errorf("exit %d:\n%s", exit, out)
	}
	r.wantLoads("theirs 0.0.1")
	r.must("deploy", "--yes")
	if len(r.loads()) != 2 {
		t.Errorf("Flex loads %q", r.loads())
	}
}

func TestPluginNeedsItsActivity(t *testing.T) {
	t.Parallel()
	r := newPluginRig(t, emulator.Options{})
	check(t, os.Remove(filepath.Join(r.dir, "emulator", "flexvc.yaml")))
	exit, out := r.run("deploy", "--yes")
	if exit != problem.ExitUsage || !strings.Contains(out, `names no activity`) || !strings.Contains(out, "flexvc -p emulator init") {
		t.Errorf("exit %d:\n%s", exit, out)
	}
}

func TestPluginWithoutABundle(t *testing.T) {
	t.Parallel()
	r := newPluginRig(t, emulator.Options{})
	app := r.app(io.Discard, io.Discard)
	cfg, err := app.Config()
	check(t, err)
	_, err = pluginBundle(cfg, func(plugin.Settings) ([]byte, error) { return nil, plugin.ErrNotBuilt })("1.0.0")
	if !problem.Is(err, problem.PluginIncomplete) {
		t.Errorf("the error is %v", err)
	}
}

// TestPluginGolden holds what people and programs see.
func TestPluginGolden(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]struct {
		tty    bool
		width  int
		global []string
	}{
		"tty": {true, 100, nil}, "narrow": {true, 60, nil}, "pipe": {false, 100, nil}, "json": {false, 100, []string{"-o", "json"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newPluginRig(t, emulator.Options{})
			r.tty, r.width = look.tty, look.width
			r.theirs("theirs")
			var all strings.Builder
			for _, line := range []string{
				"status", "deploy --version 1.4.0 --dry-run", "deploy --version 1.4.0 --yes", "deploy --yes", "status", "deploy --version 1.3.0 --yes",
				"deploy --version 1.5.0 --yes", "rollback --dry-run", "rollback --yes", "status", "rollback --yes",
			} {
				exit, out := r.run(append(strings.Fields(line), look.global...)...)
				fmt.Fprintf(&all, "$ flexvc plugin %s\n%s# exit %d\n\n", line, out, exit)
			}
			compareGolden(t, filepath.Join("testdata", "golden", "plugin."+name), all.String())
		})
	}
}
