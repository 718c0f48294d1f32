package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/flexapi"
	"github.com/flexvc/flexvc/internal/emulator/products"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/plugin"
)

// pluginRig is an emulated account to which the plugin goes.
type pluginRig struct {
	t   *testing.T
	e   *emulator.Emulator
	dir string
	in  string // typed at the terminal

	tty   bool
	width int
	// around stands between flexvc and the emulator.
	around func(r *http.Request, next func() (*http.Response, error)) (*http.Response, error)
}

func newPluginRig(t *testing.T, opts emulator.Options) *pluginRig {
	t.Helper()
	start := time.Date(2026, 3, 4, 13, 58, 0, 0, time.UTC)
	opts.Now = func() time.Time { return start }
	opts.Products = products.All()
	e, err := emulator.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	r := &pluginRig{t: t, e: e, dir: t.TempDir(), width: 100}
	r.settings("https://voice.acme.example/generateToken")
	return r
}

// settings writes flexvc.yaml as init leaves it.
func (r *pluginRig) settings(tokenURL string) {
	r.t.Helper()
	dir := filepath.Join(r.dir, "emulator")
	text := "profiles:\n  emulator:\n    activity_sid: " + r.e.Export().Activities[0].SID + "\n    token_url: " + tokenURL + "\n"
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "flexvc.yaml"), []byte(text), 0o600)); err != nil {
		r.t.Fatal(err)
	}
}

// fakeBundle shows the settings it was made with.
func fakeBundle(s plugin.Settings) ([]byte, error) {
	return []byte(fmt.Sprintf("// %s %s %s %s", s.Version, s.TokenURL, s.IdentityPrefix, s.OfflineActivitySID)), nil
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// counting is randomness that does not repeat and is the same in every run.
type counting struct{ n byte }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		c.n++
		p[i] = c.n
	}
	return len(p), nil
}

func (r *pluginRig) app(stdout, stderr io.Writer) *App {
	streams := ui.Fake(strings.NewReader(r.in), stdout, stderr, r.tty, r.width)
	app := &App{
		UI:     streams,
		Getenv: func(name string) string { return map[string]string{"FLEXVC_STATE_DIR": r.dir}[name] },
		Now:    r.e.Now,
		Random: &counting{},
		Global: Global{Profile: "emulator"},
	}
	app.Open = func(ctx context.Context, o SessionOptions) (*Session, error) {
		transport := roundTrip(func(req *http.Request) (*http.Response, error) {
			next := func() (*http.Response, error) { return r.e.Transport().RoundTrip(req) }
			if r.around != nil {
				return r.around(req, next)
			}
			return next()
		})
		s, err := app.emulated(ctx, o, r.e.Account(), &url.URL{Scheme: "http", Host: "127.0.0.1"}, transport, func() error { return nil })
		if err == nil {
			s.Plugins.Sleep = func(ctx context.Context, d time.Duration) error { r.e.Advance(d); return ctx.Err() }
		}
		return s, err
	}
	return app
}

// run runs `flexvc plugin ...`.
func (r *pluginRig) run(args ...string) (exit int, out string) {
	r.t.Helper()
	var stdout, stderr bytes.Buffer
	errs := io.Writer(&stderr)
	if r.tty {
		errs = &stdout
	}
	app := r.app(&stdout, errs)
	root := newRootCmd(app)
	for _, c := range root.Commands() {
		if c.Name() == "plugin" {
			root.RemoveCommand(c)
		}
	}
	withFake := func(ctx context.Context, o *pluginOptions) error { o.Bundle = fakeBundle; return pluginRun(ctx, o) }
	root.AddCommand(parent("plugin", "p", "", newPluginDeployCmd(app, withFake), newPluginRollbackCmd(app, withFake),
		newPluginStatusCmd(app, func(ctx context.Context, o *pluginStatusOptions) error {
			o.Bundle = fakeBundle
			return pluginStatusRun(ctx, o)
		})))
	root.SetArgs(append([]string{"-p", "emulator", "plugin"}, args...))
	if err := root.ExecuteContext(r.t.Context()); err != nil {
		err = app.explain(r.t.Context(), "flexvc plugin", err)
		exit = problem.Exit(err)
		if !errors.As(err, new(silentError)) {
			app.UI.Problem(err)
		}
	}
	if r.tty {
		return exit, stdout.String()
	}
	return exit, stdout.String() + stderr.String()
}

func (r *pluginRig) must(args ...string) string {
	r.t.Helper()
	exit, out := r.run(args...)
	if exit != 0 {
		r.t.Fatalf("flexvc plugin %s: exit %d\n%s", strings.Join(args, " "), exit, out)
	}
	return out
}

// twilio is a session to look at, and to do what others do.
func (r *pluginRig) twilio() *provision.PluginDeployment {
	r.t.Helper()
	was := r.around
	r.around = nil
	defer func() { r.around = was }()
	s, err := r.app(io.Discard, io.Discard).Open(r.t.Context(), SessionOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return s.Plugins
}

// theirs releases a plugin of somebody else, beside what is released.
func (r *pluginRig) theirs(name string) {
	r.t.Helper()
	ctx, d := r.t.Context(), r.twilio()
	p, err := d.Plugins.CreatePlugin(ctx, name, name, "")
	check(r.t, err)
	v, err := d.Plugins.CreatePluginVersion(ctx, p.SID, provision.PluginVersion{Version: "0.0.1", URL: "https://plugins.example.com/" + name})
	check(r.t, err)
	var rows []provision.ConfiguredPlugin
	releases, err := d.Releases.Releases(ctx)
	check(r.t, err)
	if len(releases) > 0 {
		rows, err = d.Releases.ConfiguredPlugins(ctx, releases[0].ConfigurationSID)
		check(r.t, err)
	}
	config, err := d.Releases.CreateConfiguration(ctx, "theirs", "", append(rows, provision.ConfiguredPlugin{VersionSID: v.SID, Phase: 3}))
	check(r.t, err)
	_, err = d.Releases.CreateRelease(ctx, config)
	check(r.t, err)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// loads is what Flex gets, as "name version".
func (r *pluginRig) loads() (list []string) {
	for _, p := range flexapi.ReleasedPlugins(r.e) {
		list = append(list, p.Name+" "+p.Version)
	}
	slices.Sort(list)
	return list
}

func (r *pluginRig) wantLoads(want ...string) {
	r.t.Helper()
	if got := r.loads(); !slices.Equal(got, want) {
		r.t.Errorf("Flex loads %q, want %q", got, want)
	}
}

func (r *pluginRig) wantBundle(version, text string) {
	r.t.Helper()
	content, ok := flexapi.PluginBundle(r.e, provision.PluginName, version)
	if !ok || !strings.Contains(string(content), text) {
		r.t.Errorf("the bundle of %s is %q, want %q in it", version, content, text)
	}
}

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
	service, err := d.Hosting.CreateService(ctx, "default", "Theirs")
	check(t, err)
	check(t, d.Registry.RegisterServices(ctx, []string{"ZSe0e0e0e0000000000000000000000000", service.SID}))
	environment, err := d.Hosting.CreateEnvironment(ctx, service.SID, provision.PluginName, "old")
	check(t, err)
	asset, err := d.Assets.CreateAsset(ctx, service.SID, "theirs")
	check(t, err)
	file, err := d.Assets.UploadScript(ctx, service.SID, asset.SID, "/theirs.js", []byte("theirs"))
	check(t, err)
	function := r.function(service.SID)
	dependencies := `[{"name":"twilio","version":"5.0.0"}]`
	build, err := d.Builds.CreateBuild(ctx, service.SID, provision.Build{Assets: []provision.AssetVersion{file}, Functions: []string{function}, Dependencies: dependencies, Runtime: "node20"})
	check(t, err)
	check(t, d.Builds.Deploy(ctx, service.SID, environment.SID, build.SID))

	for range 2 {
		wantMatch(t, r.must("deploy", "--yes"), `[23] deployed files stay`)
		r.settings("https://changed.acme.example/")
	}
	environments, err := d.Hosting.Environments(ctx, service.SID)
	check(t, err)
	now, err := d.Builds.Build(ctx, service.SID, environments[0].BuildSID)
	check(t, err)
	if len(environments) != 1 || len(now.Assets) != 3 || now.Assets[0] != file || !slices.Equal(now.Functions, []string{function}) || now.Dependencies != dependencies || now.Runtime != "node20" {
		t.Errorf("deployed are %+v in %+v", now, environments)
	}
	registered, err := d.Registry.RegisteredServices(ctx)
	check(t, err)
	if len(registered) != 2 {
		t.Errorf("registered are %v", registered)
	}
}

// function uploads one as Twilio's own tools do.
func (r *pluginRig) function(service string) string {
	r.t.Helper()
	send := func(host, path, contentType, body string) string {
		req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "https://"+host+".twilio.com/v1/Services/"+service+"/Functions"+path, strings.NewReader(body))
		check(r.t, err)
		req.Header.Set("Content-Type", contentType)
		a := r.e.Account()
		req.SetBasicAuth(a.SID, a.AuthToken)
		res, err := r.e.Transport().RoundTrip(req)
		check(r.t, err)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		check(r.t, err)
		_, rest, ok := strings.Cut(string(text), `"sid":"`)
		if res.StatusCode != 201 || !ok {
			r.t.Fatalf("the answer is %d %s", res.StatusCode, text)
		}
		return rest[:34]
	}
	zh := send("serverless", "", "application/x-www-form-urlencoded", "FriendlyName=theirs")
	part := func(name, more, text string) string {
		return "--x\r\nContent-Disposition: form-data; name=\"" + name + "\"" + more + "\r\n\r\n" + text + "\r\n"
	}
	return send("serverless-upload", "/"+zh+"/Versions", "multipart/form-data; boundary=x", part("Path", "", "/theirs")+part("Visibility", "", "public")+
		part("Content", "; filename=\"f.js\"\r\nContent-Type: application/javascript", "exports.handler = 1")+"--x--\r\n")
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

func (r *pluginRig) wantOneOfEach() {
	r.t.Helper()
	ctx, d := r.t.Context(), r.twilio()
	services, err := d.Hosting.Services(ctx)
	check(r.t, err)
	service := services[0].SID
	environments, err := d.Hosting.Environments(ctx, service)
	check(r.t, err)
	assets, err := d.Assets.Assets(ctx, service)
	check(r.t, err)
	files, err := d.Assets.AssetVersions(ctx, service, assets[0].SID)
	check(r.t, err)
	builds, err := d.Builds.Builds(ctx, service)
	check(r.t, err)
	p, err := d.Plugins.Plugin(ctx, provision.PluginName)
	check(r.t, err)
	versions, err := d.Plugins.PluginVersions(ctx, p.SID)
	check(r.t, err)
	releases, err := d.Releases.Releases(ctx)
	check(r.t, err)
	registered, err := d.Registry.RegisteredServices(ctx)
	check(r.t, err)
	got := []int{len(services), len(environments), len(assets), len(files), len(builds), len(versions), len(releases), len(registered)}
	if want := []int{1, 1, 1, 1, 1, 1, 2, 1}; !slices.Equal(got, want) {
		r.t.Errorf("services, environments, assets, files, builds, versions, releases and registered are %v, want %v", got, want)
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
