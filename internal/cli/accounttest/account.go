// Package accounttest holds an emulated account for tests that use several
// commands. Tests of a single command use clitest.
package accounttest

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

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	pluginCmd "github.com/flexvc/flexvc/internal/cli/plugin"
	"github.com/flexvc/flexvc/internal/cli/tree"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/flexapi"
	"github.com/flexvc/flexvc/internal/emulator/products"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/twilioapi"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/plugin"
)

// pluginRig is an emulated account to which the plugin goes.
type Account struct {
	T   *testing.T
	E   *emulator.Emulator
	Dir string
	in  string // typed at the terminal

	TTY   bool
	Width int
	// around stands between flexvc and the emulator.
	Around func(r *http.Request, next func() (*http.Response, error)) (*http.Response, error)
}

// Settings writes flexvc.yaml as init leaves it.
func (r *Account) Settings(tokenURL string) {
	r.T.Helper()
	dir := filepath.Join(r.Dir, "emulator")
	text := "profiles:\n  emulator:\n    activity_sid: " + r.E.Export().Activities[0].SID + "\n    token_url: " + tokenURL + "\n"
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "flexvc.yaml"), []byte(text), 0o600)); err != nil {
		r.T.Fatal(err)
	}
}

func (r *Account) App(stdout, stderr io.Writer) *cli.App {
	streams := ui.Fake(strings.NewReader(r.in), stdout, stderr, r.TTY, r.Width)
	app := &cli.App{
		UI:     streams,
		Getenv: func(name string) string { return map[string]string{"FLEXVC_STATE_DIR": r.Dir}[name] },
		Now:    r.E.Now,
		Sleep:  func(ctx context.Context, d time.Duration) error { r.E.Advance(d); return ctx.Err() },
		Random: &counting{},
		Global: cli.Global{Profile: "emulator"},
	}
	app.Open = func(ctx context.Context, o cli.SessionOptions) (*cli.Session, error) {
		transport := roundTrip(func(req *http.Request) (*http.Response, error) {
			next := func() (*http.Response, error) { return r.E.Transport().RoundTrip(req) }
			if r.Around != nil {
				return r.Around(req, next)
			}
			return next()
		})
		return app.Emulated(ctx, o, r.E.Account(), &url.URL{Scheme: "http", Host: "127.0.0.1"}, transport, func() error { return nil })
	}
	return app
}

// Run runs `flexvc plugin ...`.
func (r *Account) Run(args ...string) (exit int, out string) {
	r.T.Helper()
	return r.Flexvc(append([]string{"plugin"}, args...)...)
}

// Flexvc runs any command with the emulated account.
func (r *Account) Flexvc(args ...string) (exit int, out string) {
	r.T.Helper()
	var stdout, stderr bytes.Buffer
	errs := io.Writer(&stderr)
	if r.TTY {
		errs = &stdout
	}
	app := r.App(&stdout, errs)
	root := tree.New(app)
	for _, c := range root.Commands() {
		if c.Name() == "plugin" {
			root.RemoveCommand(c)
		}
	}
	root.AddCommand(pluginCmd.NewWith(app, Bundle))
	root.SetArgs(append([]string{"-p", "emulator"}, args...))
	if err := root.ExecuteContext(r.T.Context()); err != nil {
		err = app.Explain(r.T.Context(), "flexvc "+args[0], err)
		exit = problem.Exit(err)
		if !errors.As(err, new(cli.SilentError)) {
			app.UI.Problem(err)
		}
	}
	if r.TTY {
		return exit, stdout.String()
	}
	return exit, stdout.String() + stderr.String()
}

func (r *Account) Must(args ...string) string {
	r.T.Helper()
	exit, out := r.Run(args...)
	if exit != 0 {
		r.T.Fatalf("flexvc plugin %s: exit %d\n%s", strings.Join(args, " "), exit, out)
	}
	return out
}

// Twilio is a session to look at, and to do what others do.
func (r *Account) Twilio() *twilioapi.Client {
	r.T.Helper()
	was := r.Around
	r.Around = nil
	defer func() { r.Around = was }()
	s, err := r.App(io.Discard, io.Discard).Open(r.T.Context(), cli.SessionOptions{})
	if err != nil {
		r.T.Fatal(err)
	}
	return s.Client
}

// Theirs releases a plugin of somebody else, beside what is released.
func (r *Account) Theirs(name string) {
	r.T.Helper()
	ctx, d := r.T.Context(), r.Twilio()
	p, err := d.CreatePlugin(ctx, name, name, "")
	clitest.Check(r.T, err)
	v, err := d.CreatePluginVersion(ctx, p.SID, twilio.PluginVersion{Version: "0.0.1", URL: "https://plugins.example.com/" + name})
	clitest.Check(r.T, err)
	var rows []twilio.ConfiguredPlugin
	releases, err := d.Releases(ctx)
	clitest.Check(r.T, err)
	if len(releases) > 0 {
		rows, err = d.ConfiguredPlugins(ctx, releases[0].ConfigurationSID)
		clitest.Check(r.T, err)
	}
	config, err := d.CreateConfiguration(ctx, "theirs", "", append(rows, twilio.ConfiguredPlugin{VersionSID: v.SID, Phase: 3}))
	clitest.Check(r.T, err)
	_, err = d.CreateRelease(ctx, config)
	clitest.Check(r.T, err)
}

// Loads is what Flex gets, as "name version".
func (r *Account) Loads() (list []string) {
	for _, p := range flexapi.ReleasedPlugins(r.E) {
		list = append(list, p.Name+" "+p.Version)
	}
	slices.Sort(list)
	return list
}

func (r *Account) WantLoads(want ...string) {
	r.T.Helper()
	if got := r.Loads(); !slices.Equal(got, want) {
		r.T.Errorf("Flex loads %q, want %q", got, want)
	}
}

func (r *Account) WantBundle(version, text string) {
	r.T.Helper()
	content, ok := flexapi.PluginBundle(r.E, provision.PluginName, version)
	if !ok || !strings.Contains(string(content), text) {
		r.T.Errorf("the bundle of %s is %q, want %q in it", version, content, text)
	}
}

// Function uploads one as Twilio's own tools do.
func (r *Account) Function(service string) string {
	r.T.Helper()
	send := func(host, path, contentType, body string) string {
		req, err := http.NewRequestWithContext(r.T.Context(), http.MethodPost, "https://"+host+".twilio.com/v1/Services/"+service+"/Functions"+path, strings.NewReader(body))
		clitest.Check(r.T, err)
		req.Header.Set("Content-Type", contentType)
		a := r.E.Account()
		req.SetBasicAuth(a.SID, a.AuthToken)
		res, err := r.E.Transport().RoundTrip(req)
		clitest.Check(r.T, err)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		clitest.Check(r.T, err)
		_, rest, ok := strings.Cut(string(text), `"sid":"`)
		if res.StatusCode != 201 || !ok {
			r.T.Fatalf("the answer is %d %s", res.StatusCode, text)
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

func (r *Account) WantOneOfEach() {
	r.T.Helper()
	ctx, d := r.T.Context(), r.Twilio()
	services, err := d.Services(ctx)
	clitest.Check(r.T, err)
	service := services[0].SID
	environments, err := d.Environments(ctx, service)
	clitest.Check(r.T, err)
	assets, err := d.Assets(ctx, service)
	clitest.Check(r.T, err)
	files, err := d.AssetVersions(ctx, service, assets[0].SID)
	clitest.Check(r.T, err)
	builds, err := d.Builds(ctx, service)
	clitest.Check(r.T, err)
	p, err := d.Plugin(ctx, provision.PluginName)
	clitest.Check(r.T, err)
	versions, err := d.PluginVersions(ctx, p.SID)
	clitest.Check(r.T, err)
	releases, err := d.Releases(ctx)
	clitest.Check(r.T, err)
	registered, err := d.RegisteredServices(ctx)
	clitest.Check(r.T, err)
	got := []int{len(services), len(environments), len(assets), len(files), len(builds), len(versions), len(releases), len(registered)}
	if want := []int{1, 1, 1, 1, 1, 1, 2, 1}; !slices.Equal(got, want) {
		r.T.Errorf("services, environments, assets, files, builds, versions, releases and registered are %v, want %v", got, want)
	}
}

func New(t *testing.T, opts emulator.Options) *Account {
	t.Helper()
	start := time.Date(2026, 3, 4, 13, 58, 0, 0, time.UTC)
	if opts.Now == nil {
		opts.Now = func() time.Time { return start }
	}
	opts.Products = products.All()
	e, err := emulator.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	r := &Account{T: t, E: e, Dir: t.TempDir(), Width: 100}
	r.Settings("https://voice.acme.example/generateToken")
	return r
}

// fakeBundle shows the settings it was made with.
func Bundle(s plugin.Settings) ([]byte, error) {
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
