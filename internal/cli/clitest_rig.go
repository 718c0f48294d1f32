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
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/twilioapi"
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

// settings writes flexvc.yaml as init leaves it.
func (r *pluginRig) settings(tokenURL string) {
	r.t.Helper()
	dir := filepath.Join(r.dir, "emulator")
	text := "profiles:\n  emulator:\n    activity_sid: " + r.e.Export().Activities[0].SID + "\n    token_url: " + tokenURL + "\n"
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "flexvc.yaml"), []byte(text), 0o600)); err != nil {
		r.t.Fatal(err)
	}
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
func (r *pluginRig) twilio() *twilioapi.Client {
	r.t.Helper()
	was := r.around
	r.around = nil
	defer func() { r.around = was }()
	s, err := r.app(io.Discard, io.Discard).Open(r.t.Context(), SessionOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return s.Plugins.Client
}

// theirs releases a plugin of somebody else, beside what is released.
func (r *pluginRig) theirs(name string) {
	r.t.Helper()
	ctx, d := r.t.Context(), r.twilio()
	p, err := d.CreatePlugin(ctx, name, name, "")
	check(r.t, err)
	v, err := d.CreatePluginVersion(ctx, p.SID, twilio.PluginVersion{Version: "0.0.1", URL: "https://plugins.example.com/" + name})
	check(r.t, err)
	var rows []twilio.ConfiguredPlugin
	releases, err := d.Releases(ctx)
	check(r.t, err)
	if len(releases) > 0 {
		rows, err = d.ConfiguredPlugins(ctx, releases[0].ConfigurationSID)
		check(r.t, err)
	}
	config, err := d.CreateConfiguration(ctx, "theirs", "", append(rows, twilio.ConfiguredPlugin{VersionSID: v.SID, Phase: 3}))
	check(r.t, err)
	_, err = d.CreateRelease(ctx, config)
	check(r.t, err)
}

// loads is what Flex gets, as "name version".
func (r *pluginRig) loads() (list []string) {
	for _, p := range r.e.ReleasedPlugins() {
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
	content, ok := r.e.PluginBundle(provision.PluginName, version)
	if !ok || !strings.Contains(string(content), text) {
		r.t.Errorf("the bundle of %s is %q, want %q in it", version, content, text)
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

func (r *pluginRig) wantOneOfEach() {
	r.t.Helper()
	ctx, d := r.t.Context(), r.twilio()
	services, err := d.Services(ctx)
	check(r.t, err)
	service := services[0].SID
	environments, err := d.Environments(ctx, service)
	check(r.t, err)
	assets, err := d.Assets(ctx, service)
	check(r.t, err)
	files, err := d.AssetVersions(ctx, service, assets[0].SID)
	check(r.t, err)
	builds, err := d.Builds(ctx, service)
	check(r.t, err)
	p, err := d.Plugin(ctx, provision.PluginName)
	check(r.t, err)
	versions, err := d.PluginVersions(ctx, p.SID)
	check(r.t, err)
	releases, err := d.Releases(ctx)
	check(r.t, err)
	registered, err := d.RegisteredServices(ctx)
	check(r.t, err)
	got := []int{len(services), len(environments), len(assets), len(files), len(builds), len(versions), len(releases), len(registered)}
	if want := []int{1, 1, 1, 1, 1, 1, 2, 1}; !slices.Equal(got, want) {
		r.t.Errorf("services, environments, assets, files, builds, versions, releases and registered are %v, want %v", got, want)
	}
}

func newPluginRig(t *testing.T, opts emulator.Options) *pluginRig {
	t.Helper()
	start := time.Date(2026, 3, 4, 13, 58, 0, 0, time.UTC)
	opts.Now = func() time.Time { return start }
	e, err := emulator.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	r := &pluginRig{t: t, e: e, dir: t.TempDir(), width: 100}
	r.settings("https://voice.acme.example/generateToken")
	return r
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
