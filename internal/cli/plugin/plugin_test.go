package plugin_test

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

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/accounttest"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/plugin"
)

// TestPluginDeployed is the life of the plugin in an account that has others.
func TestPluginDeployed(t *testing.T) {
	t.Parallel()
	r := accounttest.New(t, emulator.Options{Builds: emulator.Builds{Time: 4 * time.Second}})
	r.Theirs("theirs")

	if exit, _ := r.Run("deploy", "--dry-run", "--exit-code"); exit != problem.ExitPending {
		t.Errorf("a dry run exits with %d", exit)
	}
	r.WantLoads("theirs 0.0.1")
	clitest.WantMatch(t, r.Must("status"), `^Flex does not load the plugin; 1 other plugin stays\. Next: flexvc -p emulator plugin deploy$`)

	r.Must("deploy", "--yes", "--version", "1.4.0")
	r.WantLoads("flexvc-voice-client 1.4.0", "theirs 0.0.1")
	r.WantBundle("1.4.0", "https://voice.acme.example/generateToken ext_ WA")
	clitest.WantMatch(t, r.Must("deploy", "--yes"), `^No changes: Flex already loads version 1\.4\.0\.`)
	clitest.WantMatch(t, r.Must("deploy", "--yes", "--version", "1.4.0"), `^No changes`)
	clitest.WantMatch(t, r.Must("status"), `same as this flexvc would deploy`, `^before +Flex without the plugin$`)

	// Another token server is another bundle, so it is another version.
	r.Settings("https://other.acme.example/generateToken")
	clitest.WantMatch(t, r.Must("status"), `^bundle +differs from what this flexvc would deploy`, `Next: flexvc -p emulator plugin deploy`)
	r.Must("deploy", "--yes")
	r.WantLoads("flexvc-voice-client 1.4.1", "theirs 0.0.1")
	r.WantBundle("1.4.1", "https://other.acme.example")
	r.WantBundle("1.4.0", "https://voice.acme.example") // still there to go back to
	r.Theirs("second")

	// A rollback takes back our plugin and nobody else's.
	r.Must("rollback", "--yes")
	r.WantLoads("flexvc-voice-client 1.4.0", "second 0.0.1", "theirs 0.0.1")
	r.Must("rollback", "--yes")
	r.WantLoads("second 0.0.1", "theirs 0.0.1")
	exit, out := r.Run("rollback", "--yes")
	if exit != problem.ExitFailed {
		t.Errorf("a rollback of nothing exits with %d", exit)
	}
	clitest.WantMatch(t, out, `cannot roll back the plugin: Flex does not load it`)
	r.Must("deploy", "--yes")
	r.WantLoads("flexvc-voice-client 1.4.1", "second 0.0.1", "theirs 0.0.1")
}

// TestPluginKeepsWhatIsDeployed: a build that leaves a file out takes it away.
func TestPluginKeepsWhatIsDeployed(t *testing.T) {
	t.Parallel()
	r := accounttest.New(t, emulator.Options{})
	ctx, d := t.Context(), r.Twilio()
	service, err := d.CreateService(ctx, "default", "Theirs")
	clitest.Check(t, err)
	clitest.Check(t, d.RegisterServices(ctx, []string{"ZSe0e0e0e0000000000000000000000000", service.SID}))
	environment, err := d.CreateEnvironment(ctx, service.SID, provision.PluginName, "old")
	clitest.Check(t, err)
	asset, err := d.CreateAsset(ctx, service.SID, "theirs")
	clitest.Check(t, err)
	file, err := d.UploadScript(ctx, service.SID, asset.SID, "/theirs.js", []byte("theirs"))
	clitest.Check(t, err)
	function := r.Function(service.SID)
	dependencies := `[{"name":"twilio","version":"5.0.0"}]`
	build, err := d.CreateBuild(ctx, service.SID, twilio.Build{Assets: []twilio.AssetVersion{file}, Functions: []string{function}, Dependencies: dependencies, Runtime: "node20"})
	clitest.Check(t, err)
	clitest.Check(t, d.Deploy(ctx, service.SID, environment.SID, build.SID))

	for range 2 {
		clitest.WantMatch(t, r.Must("deploy", "--yes"), `[23] deployed files stay`)
		r.Settings("https://changed.acme.example/")
	}
	environments, err := d.Environments(ctx, service.SID)
	clitest.Check(t, err)
	now, err := d.Build(ctx, service.SID, environments[0].BuildSID)
	clitest.Check(t, err)
	if len(environments) != 1 || len(now.Assets) != 3 || now.Assets[0] != file || !slices.Equal(now.Functions, []string{function}) || now.Dependencies != dependencies || now.Runtime != "node20" {
		t.Errorf("deployed are %+v in %+v", now, environments)
	}
	registered, err := d.RegisteredServices(ctx)
	clitest.Check(t, err)
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
				r := accounttest.New(t, emulator.Options{})
				r.Theirs("theirs")
				n := -1
				r.Around = func(req *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
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
				exit, out := r.Run("deploy", "--yes", "--version", "1.0.0")
				if last := at == len(writes)-1; (exit == 0) != (lost && last) {
					t.Fatalf("exit %d:\n%s", exit, out)
				}
				r.Around = nil
				r.Must("deploy", "--yes", "--version", "1.0.0")
				r.WantLoads("flexvc-voice-client 1.0.0", "theirs 0.0.1")
				r.WantBundle("1.0.0", "// 1.0.0 https://voice.acme.example/")
				r.WantOneOfEach()
			})
		}
	}
}

func TestPluginVersionMustBeNewer(t *testing.T) {
	t.Parallel()
	r := accounttest.New(t, emulator.Options{})
	r.Must("deploy", "--yes", "--version", "1.9.0")
	r.Settings("https://other.acme.example/")
	for version, why := range map[string]string{
		"1.9.0":  "cannot deploy version 1.9.0 of the plugin: it already exists with another bundle",
		"1.8.9":  "cannot deploy version 1.8.9 of the plugin: it is not newer than 1.9.0",
		"0.10.0": "it is not newer than 1.9.0",
		"1.9":    `cannot deploy version "1.9": it is not of the form 1.4.0`,
		"v2.0.0": "it is not of the form 1.4.0",
	} {
		exit, out := r.Run("deploy", "--yes", "--version", version)
		if exit != problem.ExitUsage || !strings.Contains(out, why) {
			t.Errorf("%s: exit %d, %s", version, exit, out)
		}
	}
	r.WantLoads("flexvc-voice-client 1.9.0")
	r.Must("deploy", "--yes", "--version", "1.10.0")
	r.WantLoads("flexvc-voice-client 1.10.0")
}

func TestPluginBuildThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	for why, builds := range map[string]emulator.Builds{
		"failed":                     {Time: 2 * time.Second, Fail: true},
		"did not finish within 3m0s": {Time: time.Hour},
	} {
		r := accounttest.New(t, emulator.Options{Builds: builds})
		exit, out := r.Run("deploy", "--yes")
		if exit != problem.ExitFailed || !strings.Contains(out, why) {
			t.Errorf("exit %d, want %q in:\n%s", exit, why, out)
		}
		r.WantLoads()
		settings := r.E.Settings()
		settings.Builds = emulator.Builds{}
		clitest.Check(t, r.E.Configure(settings))
		r.E.Advance(time.Hour)
		r.Must("deploy", "--yes")
		if len(r.Loads()) != 1 {
			t.Errorf("%s: after the second run Flex loads %q", why, r.Loads())
		}
	}
}

// TestPluginReleasedByOthersMeanwhile: the plan would undo what they did.
func TestPluginReleasedByOthersMeanwhile(t *testing.T) {
	t.Parallel()
	r := accounttest.New(t, emulator.Options{})
	done := false
	r.Around = func(req *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
		if req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/Versions") && strings.Contains(req.URL.Path, "/Plugins/") && !done {
			done = true
			r.Theirs("theirs")
		}
		return next()
	}
	exit, out := r.Run("deploy", "--yes")
	if exit != problem.ExitFailed || !strings.Contains(out, "stopped: other plugins were released after the plan was made") {
		t.Errorf("exit %d:\n%s", exit, out)
	}
	r.WantLoads("theirs 0.0.1")
	r.Must("deploy", "--yes")
	if len(r.Loads()) != 2 {
		t.Errorf("Flex loads %q", r.Loads())
	}
}

// TestPluginStartsBeforeOthers: Flex starts no plugin behind one that hangs in
// the same phase. A deployment from before mends it without a new version.
func TestPluginStartsBeforeOthers(t *testing.T) {
	t.Parallel()
	r := accounttest.New(t, emulator.Options{})
	r.Theirs("theirs")
	r.Must("deploy", "--yes")
	phases := func() string {
		client := clitest.Twilio(t, r.E)
		releases, err := client.Releases(t.Context())
		clitest.Check(t, err)
		rows, err := client.ConfiguredPlugins(t.Context(), releases[0].ConfigurationSID)
		clitest.Check(t, err)
		var all []string
		for _, row := range rows {
			all = append(all, fmt.Sprintf("%s %d", row.UniqueName, row.Phase))
		}
		return strings.Join(all, ", ")
	}
	const want = provision.PluginName + " 1, theirs 3"
	if got := phases(); got != want {
		t.Errorf("Flex starts %s, not %s", got, want)
	}
	loads := r.Loads()
	clitest.ReleaseInPhase(t, r.E, 3)
	if out := r.Must("deploy", "--yes"); !strings.Contains(out, "phase 3 → 1") {
		t.Errorf("the plan does not tell of the phase:\n%s", out)
	}
	if got := phases(); got != want {
		t.Errorf("after another deploy Flex starts %s, not %s", got, want)
	}
	r.WantLoads(loads...)
}

func TestPluginNeedsItsActivity(t *testing.T) {
	t.Parallel()
	r := accounttest.New(t, emulator.Options{})
	clitest.Check(t, os.Remove(filepath.Join(r.Dir, "emulator", "flexvc.yaml")))
	exit, out := r.Run("deploy", "--yes")
	if exit != problem.ExitUsage || !strings.Contains(out, `names no activity`) || !strings.Contains(out, "flexvc -p emulator init") {
		t.Errorf("exit %d:\n%s", exit, out)
	}
}

func TestPluginWithoutABundle(t *testing.T) {
	t.Parallel()
	r := accounttest.New(t, emulator.Options{})
	app := r.App(io.Discard, io.Discard)
	cfg, err := app.Config()
	clitest.Check(t, err)
	_, err = cli.PluginBundle(cfg, func(plugin.Settings) ([]byte, error) { return nil, plugin.ErrNotBuilt })("1.0.0")
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
			r := accounttest.New(t, emulator.Options{})
			r.TTY, r.Width = look.tty, look.width
			r.Theirs("theirs")
			var all strings.Builder
			for _, line := range []string{
				"status", "deploy --version 1.4.0 --dry-run", "deploy --version 1.4.0 --yes", "deploy --yes", "status", "deploy --version 1.3.0 --yes",
				"deploy --version 1.5.0 --yes", "rollback --dry-run", "rollback --yes", "status", "rollback --yes",
			} {
				exit, out := r.Run(append(strings.Fields(line), look.global...)...)
				fmt.Fprintf(&all, "$ flexvc plugin %s\n%s# exit %d\n\n", line, out, exit)
			}
			clitest.Golden(t, filepath.Join("testdata", "golden", "plugin."+name), all.String())
		})
	}
}
