package doctor_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/flexvc/flexvc/extension"
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/accounttest"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	doctorCmd "github.com/flexvc/flexvc/internal/cli/doctor"
	initCmd "github.com/flexvc/flexvc/internal/cli/init"
	pluginCmd "github.com/flexvc/flexvc/internal/cli/plugin"
	serveCmd "github.com/flexvc/flexvc/internal/cli/serve"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/crx"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/rollout"
	"github.com/flexvc/flexvc/internal/tokensrv"
	"github.com/flexvc/flexvc/plugin"
)

// clinic is a whole set-up: an emulated account, flexvc serve in front of it, the
// plugin in Flex, the extension packed and rolled out to this machine.
type clinic struct {
	*accounttest.Account
	id, version string
	tokenURL    string
	root        fstest.MapFS // of the machine
	folder      fstest.MapFS // of the extension
	published   map[string]string
	skew        time.Duration
}

func newClinic(t *testing.T) *clinic { return newClinicAt(t, nil) }

// newClinicAt is one with another clock than that of the account's tests.
func newClinicAt(t *testing.T, now func() time.Time) *clinic {
	t.Helper()
	r := accounttest.New(t, emulator.Options{Now: now, Seed: &emulator.Seed{Workers: []emulator.SeedWorker{
		{FriendlyName: "alice", Activity: "Available", Attributes: `{"email":"alice@acme.example","roles":["agent"],"contact_uri":"client:ext_alice_40acme_2Eexample","extensionVoiceClientEnabled":true}`},
		{FriendlyName: "bob", Attributes: `{"email":"bob@acme.example","roles":["agent"],"contact_uri":"client:bob_40acme_2Eexample"}`},
	}}})
	clitest.Check(t, os.Remove(filepath.Join(r.Dir, "emulator", "flexvc.yaml")))
	c := &clinic{Account: r, published: map[string]string{}}

	front := http.NewServeMux()
	server := httptest.NewServer(front)
	t.Cleanup(server.Close)
	c.tokenURL = server.URL + "/generateToken"
	c.init()
	front.Handle("/", c.tokens("chrome-extension://"+c.id))
	front.HandleFunc("/extension/", func(w http.ResponseWriter, req *http.Request) {
		text, ok := c.published[strings.TrimPrefix(req.URL.Path, "/extension/")]
		if !ok {
			http.NotFound(w, req)
			return
		}
		_, _ = io.WriteString(w, text)
	})
	r.Must("deploy", "--yes")
	c.rollOut()
	return c
}

// init runs flexvc init.
func (c *clinic) init(args ...string) {
	c.T.Helper()
	var out bytes.Buffer
	app := c.App(&out, &out)
	cmd := initCmd.New(app, func(ctx context.Context, o *initCmd.Options) error {
		o.GenerateKey = func(io.Reader) (*rsa.PrivateKey, error) { return clitest.SigningKey() }
		return initCmd.Run(ctx, o)
	})
	app.Global = cli.Global{Profile: "emulator", Output: "text"}
	cmd.SetArgs(append([]string{"--yes", "--token-url", c.tokenURL}, args...))
	if err := cmd.ExecuteContext(c.T.Context()); err != nil {
		c.T.Fatalf("%v\n%s", err, &out)
	}
	key, err := clitest.SigningKey()
	clitest.Check(c.T, err)
	c.id, err = crx.ExtensionID(&key.PublicKey)
	clitest.Check(c.T, err)
}

// tokens is flexvc serve for that origin, with the settings of this moment.
func (c *clinic) tokens(origin string) http.Handler {
	c.T.Helper()
	app := c.App(io.Discard, io.Discard)
	app.Random = rand.Reader
	app.Global.Output = "json"
	cfg, err := app.Config()
	clitest.Check(c.T, err)
	d := tokensrv.Defaults()
	o := &serveCmd.Options{
		App: app, Inside: true, Keyring: config.SystemKeyring{}, Listen: "127.0.0.1:0", MetricsListen: "none", AllowOrigins: []string{origin},
		TTL: d.TTL, AllowGet: true, IdentityRate: "none", AddressRate: "none", RefusalRate: "none", ValidateVia: string(d.ValidateVia), ValidateTimeout: d.ValidateTimeout,
	}
	server, session, _, err := o.Server(c.T.Context(), cfg, nil)
	clitest.Check(c.T, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	clitest.Check(c.T, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(c.T.Context()))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, tokensrv.Listeners{Public: []net.Listener{listener}}, ctx.Done()) }()
	c.T.Cleanup(func() {
		stop()
		<-ended
		_ = session.Close()
	})
	return httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: listener.Addr().String()})
}

// rollOut publishes the package and installs it by policy on this machine.
func (c *clinic) rollOut() {
	c.T.Helper()
	manifest, err := fs.ReadFile(extension.App(), "manifest.json")
	clitest.Check(c.T, err)
	m, err := crx.ParseManifest(manifest)
	clitest.Check(c.T, err)
	c.version = m.Version
	c.folder = fstest.MapFS{"manifest.json": {Data: manifest}, extension.VoiceSDK: {Data: []byte("// the SDK")}}
	base := strings.TrimSuffix(c.tokenURL, "generateToken") + "extension/"
	settings := rollout.Settings{
		ID: c.id, Version: m.Version, UpdateURL: base + rollout.UpdateFile, PackageURL: base + "flexvc.crx",
		Account: c.E.Account().SID, TokenURLs: []string{c.tokenURL},
	}
	files, err := settings.Files()
	clitest.Check(c.T, err)
	c.root = fstest.MapFS{}
	for _, f := range files {
		switch f.Name {
		case rollout.UpdateFile:
			c.published[f.Name] = string(f.Content)
		case "linux.json":
			for _, dir := range rollout.Chrome.Linux {
				c.root[strings.Trim(dir, "/")+"/flexvc.json"] = &fstest.MapFile{Data: f.Content}
			}
		case "linux-edge.json":
			c.root[strings.Trim(rollout.Edge.Linux[0], "/")+"/flexvc.json"] = &fstest.MapFile{Data: f.Content}
		}
	}
	c.published["flexvc.crx"] = "Cr24 and so on"
}

// doctor runs flexvc doctor.
func (c *clinic) doctor(args ...string) (exit int, out string) {
	c.T.Helper()
	var b bytes.Buffer
	app := c.App(&b, &b)
	app.Now = func() time.Time { return c.E.Now().Add(c.skew) }
	app.Global = cli.Global{Profile: "emulator", Output: "text"}
	if len(args) > 0 && args[0] == "json" {
		app.Global.Output, args = "json", args[1:]
	}
	app.UI.Retype = nil
	cmd := doctorCmd.New(app, func(ctx context.Context, o *doctorCmd.Options) error {
		o.Bundle, o.Extension, o.Root, o.Web = accounttest.Bundle, c.folder, c.root, http.DefaultTransport
		return doctorCmd.Run(ctx, o)
	})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append([]string{}, args...)) // nil would be the test's own
	if err := cmd.ExecuteContext(c.T.Context()); err != nil {
		exit = problem.Exit(err)
		if !errors.As(err, new(cli.SilentError)) {
			c.T.Fatalf("%v\n%s", err, &b)
		}
	}
	return exit, b.String()
}

type finding struct{ Event, Check, Status, Says, Cause, Fix string }

func (c *clinic) findings() (exit int, all map[string]finding) {
	c.T.Helper()
	exit, out := c.doctor("json")
	all = map[string]finding{}
	for line := range strings.Lines(out) {
		var f finding
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			c.T.Fatalf("%v in %s", err, line)
		}
		if f.Event == "check" {
			all[f.Check] = f
		}
	}
	return exit, all
}

// setting changes one line of flexvc.yaml; an empty value takes it away.
func (c *clinic) setting(name, value string) {
	c.T.Helper()
	path := filepath.Join(c.Dir, "emulator", "flexvc.yaml")
	text, err := os.ReadFile(path)
	clitest.Check(c.T, err)
	line := regexp.MustCompile(`(?m)^( +)` + name + `: .*\n`)
	if !line.Match(text) {
		c.T.Fatalf("no %s in\n%s", name, text)
	}
	with := "${1}" + name + ": " + value + "\n"
	if value == "" {
		with = ""
	}
	clitest.Check(c.T, os.WriteFile(path, line.ReplaceAll(text, []byte(with)), 0o600))
}

func (c *clinic) remove(name string) {
	c.T.Helper()
	clitest.Check(c.T, os.Remove(filepath.Join(c.Dir, "emulator", name)))
}

// at asks the emulated account itself for something.
func (c *clinic) at(method, address, form string) map[string]any {
	c.T.Helper()
	req, err := http.NewRequestWithContext(c.T.Context(), method, address, strings.NewReader(form))
	clitest.Check(c.T, err)
	if form == "" {
		req.Body = http.NoBody
	} else {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if json.Valid([]byte(form)) {
			req.Header.Set("Content-Type", "application/json")
		}
	}
	a := c.E.Account()
	req.SetBasicAuth(a.SID, a.AuthToken)
	res, err := c.E.Transport().RoundTrip(req)
	clitest.Check(c.T, err)
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		c.T.Fatalf("%s %s: %s", method, address, res.Status)
	}
	var v map[string]any
	_ = json.NewDecoder(res.Body).Decode(&v) // a deletion answers nothing
	return v
}

func (c *clinic) activity(name string) (sid, address string) {
	c.T.Helper()
	for _, a := range c.E.Export().Activities {
		if a.FriendlyName == name {
			return a.SID, "https://taskrouter.twilio.com/v1/Workspaces/" + c.E.Account().WorkspaceSID + "/Activities/" + a.SID
		}
	}
	c.T.Fatalf("no activity %s", name)
	return "", ""
}

// policy rewrites the policies of Chrome.
func (c *clinic) policy(old, with string) {
	c.T.Helper()
	name := strings.Trim(rollout.Chrome.Linux[0], "/") + "/flexvc.json"
	text := string(c.root[name].Data)
	if !strings.Contains(text, old) {
		c.T.Fatalf("no %s in %s", old, text)
	}
	c.root[name] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(text, old, with))}
}

func (c *clinic) publish(old, with string) {
	c.T.Helper()
	if !strings.Contains(c.published[rollout.UpdateFile], old) {
		c.T.Fatalf("no %s in %s", old, c.published[rollout.UpdateFile])
	}
	c.published[rollout.UpdateFile] = strings.ReplaceAll(c.published[rollout.UpdateFile], old, with)
}

func TestDoctorCallsNothingWrongOnAHealthySetUp(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	exit, found := c.findings()
	for id, f := range found {
		if want := map[bool]string{true: "skipped", false: "passed"}[id == "events"]; f.Status != want {
			t.Errorf("%s is %s, want %s: %+v", id, f.Status, want, f)
		}
	}
	if exit != 0 || len(found) != 10 {
		t.Errorf("exit %d with %d findings", exit, len(found))
	}
}

// TestDoctorFindsSeededFaults seeds one fault at a time into a healthy set-up.
func TestDoctorFindsSeededFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name   string
		seed   func(*clinic)
		check  string
		status string
		cause  string // regular expressions
		fix    string
		also   string // checks that suffer with it
	}{
		{"no profile", func(c *clinic) { c.remove("flexvc.yaml") }, "config", "failed", `it was never set up`, `^flexvc init`, "*"},
		{"settings that are no YAML", func(c *clinic) {
			clitest.Check(c.T, os.WriteFile(filepath.Join(c.Dir, "emulator", "flexvc.yaml"), []byte("profiles: ["), 0o600))
		}, "config", "failed", `flexvc\.yaml`, `.`, "*"},
		{"an init that did not end", func(c *clinic) { c.setting("activity_sid", "") }, "config", "failed", `it lacks activity_sid`, `^flexvc init`, "plugin"},
		{"credentials that are refused", func(c *clinic) { clitest.Check(c.T, c.E.SetFaults("*:401")) }, "credentials", "failed", `does not accept the credentials`, `check the account SID`, "*"},
		{"a signing key that was deleted", func(c *clinic) {
			for _, k := range c.E.Export().Keys {
				if k.FriendlyName == "flexvc-token-server" {
					c.at("DELETE", "https://iam.twilio.com/v1/Keys/"+k.SID, "")
				}
			}
		}, "credentials", "failed", `key SK.* no longer exists`, `^flexvc init`, ""},
		{"a secret that was lost", func(c *clinic) { c.remove("secrets") }, "credentials", "failed", `secret of the token server's key SK.* is not in the configured store`, `^flexvc config import.*flexvc init --new-api-key$`, ""},
		{"a Restricted signing key", func(c *clinic) {
			made := c.at("POST", "https://iam.twilio.com/v1/Keys", "AccountSid="+c.E.Account().SID+`&KeyType=restricted&Policy={"allow":["/twilio/iam/x"]}`)
			cfg, err := c.App(io.Discard, io.Discard).Config()
			clitest.Check(c.T, err)
			clitest.Check(c.T, cfg.Secrets(config.SystemKeyring{}).Set(made["sid"].(string), made["secret"].(string)))
			c.setting("api_key", made["sid"].(string))
		}, "credentials", "failed", `is a Restricted key, which cannot sign`, `flexvc init`, ""},
		{"a workspace that is gone", func(c *clinic) { clitest.Check(c.T, c.E.SetFaults("FetchWorkspace:404")) }, "workspace", "failed", `Twilio does not know it`, `^flexvc init --workspace`, ""},
		{"an activity that was deleted", func(c *clinic) {
			_, at := c.activity("Voice Client Offline")
			c.at("DELETE", at, "")
		}, "workspace", "failed", `"Voice Client Offline" is gone`, `^flexvc init, then flexvc plugin deploy`, ""},
		{"an activity that was renamed", func(c *clinic) {
			_, at := c.activity("Voice Client Offline")
			c.at("POST", at, "FriendlyName=Away")
		}, "workspace", "warning", `was renamed to "Away"`, `--activity-name "Away"`, ""},
		{"an activity that takes calls", func(c *clinic) {
			sid, _ := c.activity("Available")
			c.setting("activity_sid", sid)
		}, "workspace", "failed", `available: yes, so agents without`, `rename it in the Console`, "plugin workers"},
		{"a worker whose calls go nowhere", func(c *clinic) {
			clitest.Check(c.T, c.E.Edit(c.E.ExportWorkers()[1].SID, `{"contact_uri":"client:ext_bob"}`))
		}, "workers", "warning", `1 stale \(.*calls go nowhere`, `^flexvc watch`, ""},
		{"a worker whose calls ring the tab", func(c *clinic) {
			clitest.Check(c.T, c.E.Edit(c.E.ExportWorkers()[0].SID, `{"contact_uri":"client:alice","extensionVoiceClientEnabled":true}`))
		}, "workers", "warning", `1 drift \(.*calls ring the tab`, `^flexvc watch`, ""},
		{"a token server that is down", func(c *clinic) {
			c.setting("token_url", "http://127.0.0.1:1/generateToken")
		}, "token-server", "failed", `refused`, `start it with flexvc serve`, "extension browser"},
		{"a token server that is not there", func(c *clinic) {
			c.setting("token_url", c.tokenURL+"s")
		}, "token-server", "failed", `nothing is served at this path`, `set token_url`, "browser"},
		{"a token server for another extension", func(c *clinic) {
			other := httptest.NewServer(c.tokens("chrome-extension://" + strings.Repeat("a", 32)))
			c.T.Cleanup(other.Close)
			c.setting("token_url", other.URL+"/generateToken")
		}, "token-server", "failed", `origin chrome-extension://[a-p]{32} is not allowed`, `--allow-origin chrome-extension://[a-p]{32}$`, "extension browser"},
		{"a token server with another prefix", func(c *clinic) { c.setting("identity_prefix", "vc_") }, "token-server", "failed", `VoiceClientPrefix is not the prefix`, `identity_prefix`, "plugin workers"},
		{"a token server that Twilio does not know", func(c *clinic) { clitest.Check(c.T, c.E.SetFaults("ValidateToken:401,code=20003")) }, "token-server", "failed",
			`does not accept this server's own credentials`, `restart it with valid credentials`, ""},
		{"a signing key that is gone", func(c *clinic) { c.remove("extension.pem") }, "extension", "failed", `extension\.pem does not exist`, `restore it from a backup`, "token-server browser"},
		{"an extension without the Voice SDK", func(c *clinic) { delete(c.folder, extension.VoiceSDK) }, "extension", "failed", `built without the Voice SDK`, `make build`, ""},
		{"update.xml of another extension", func(c *clinic) { c.publish(c.id, strings.Repeat("a", 32)) }, "extension", "failed", `packed with another key`, `^flexvc pack`, ""},
		{"update.xml of another version", func(c *clinic) { c.publish(`version="`+c.version+`"`, `version="0.0.1"`) }, "extension", "warning", `not the version built into this flexvc`, `^flexvc pack`, ""},
		{"update.xml that is not there", func(c *clinic) { delete(c.published, rollout.UpdateFile) }, "extension", "warning", `find no update there`, `^flexvc pack`, ""},
		{"a package that is not there", func(c *clinic) { delete(c.published, "flexvc.crx") }, "extension", "failed", `names a package that does not exist`, `publish the \.crx`, ""},
		{"a sign-in page in place of the package", func(c *clinic) { c.published["flexvc.crx"] = "<html>" }, "extension", "failed", `a sign-in page`, `publish the \.crx`, ""},
		{"a plugin that is not released", func(c *clinic) { c.Must("rollback", "--yes", "--force") }, "plugin", "failed", `the active release does not include it`, `^flexvc plugin deploy`, "workers"},
		{"a plugin with other settings", func(c *clinic) {
			other := accounttest.Bundle
			app := c.App(io.Discard, io.Discard)
			clitest.Check(c.T, pluginCmd.Run(c.T.Context(), &pluginCmd.Options{App: app, Yes: true, Bundle: func(s plugin.Settings) ([]byte, error) {
				s.HelpURL, s.TokenURL = "", "https://old.acme.example/"
				return other(s)
			}}))
		}, "plugin", "warning", `built with other settings`, `^flexvc plugin deploy`, ""},
		{"a Flex without voice in the browser", func(c *clinic) {
			c.at("POST", "https://flex-api.twilio.com/v1/Configuration", `{"account_sid":"`+c.E.Account().SID+`","ui_attributes":{"disableBrowserVoice":true}}`)
		}, "plugin", "failed", `refuses every call that an agent accepts`, `^remove disableBrowserVoice`, ""},
		{"a plugin that others can keep from starting", func(c *clinic) { clitest.ReleaseInPhase(c.T, c.E, 3) }, "plugin", "warning", `starts it in phase 3`, `^flexvc plugin deploy`, ""},
		{"a clock that is slow", func(c *clinic) { c.skew = -10 * time.Minute }, "clock", "failed", `voice tokens issued here would be used`, `NTP`, ""},
		{"a clock that is a little fast", func(c *clinic) { c.skew = time.Minute }, "clock", "warning", `may be refused`, `NTP`, ""},
		{"a policy with another address", func(c *clinic) { c.policy("/extension/update.xml", "/old/update.xml") }, "browser", "failed", `update_url is http.*/old/update\.xml, but the extension is at`, `^flexvc pack --policy`, ""},
		{"a policy that blocks", func(c *clinic) { c.policy("force_installed", "blocked") }, "browser", "failed", `installation_mode is "blocked"`, `^flexvc pack --policy`, ""},
		{"a policy without override_update_url", func(c *clinic) { c.policy(`"override_update_url": true`, `"override_update_url": false`) }, "browser", "warning", `override_update_url is not set`, `^flexvc pack --policy`, ""},
		{"a policy without the microphone", func(c *clinic) { c.policy(`"chrome-extension://`, `"https://`) }, "browser", "warning", `AudioCaptureAllowedUrls lacks chrome-extension://`, `^flexvc pack --policy`, ""},
		{"a policy for another account", func(c *clinic) { c.policy(c.E.Account().SID, "AC"+strings.Repeat("0", 32)) }, "browser", "failed", `bound to account AC0`, `^flexvc pack --policy`, ""},
		{"a policy for another token server", func(c *clinic) { c.policy("generateToken", "other") }, "browser", "failed", `may not send tokens to`, `^flexvc pack --policy`, ""},
		{"a later file that wins", func(c *clinic) {
			c.root[strings.Trim(rollout.Chrome.Linux[1], "/")+"/zz.json"] = &fstest.MapFile{Data: []byte(`{"ExtensionSettings":{"*":{"installation_mode":"blocked"}}}`)}
		}, "browser", "failed", `ExtensionSettings has no entry for`, `^flexvc pack --policy`, ""},
		{"a policy file that is no JSON", func(c *clinic) {
			c.root[strings.Trim(rollout.Edge.Linux[0], "/")+"/a.json"] = &fstest.MapFile{Data: []byte(`{,`)}
		}, "browser", "failed", `a\.json is not a JSON object`, `fix or remove`, ""},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t)
			fault.seed(c)
			exit, found := c.findings()
			got := found[fault.check]
			if got.Status != fault.status || !regexp.MustCompile(fault.cause).MatchString(got.Cause) || !regexp.MustCompile(fault.fix).MatchString(got.Fix) {
				t.Errorf("found %+v", got)
			}
			if want := map[string]int{"failed": 1, "warning": 0}[fault.status]; exit != want && fault.also == "" {
				t.Errorf("exit %d, want %d", exit, want)
			}
			for id, f := range found {
				if id != fault.check && fault.also != "*" && !strings.Contains(fault.also, id) && f.Status != "passed" && f.Status != "skipped" {
					t.Errorf("%s suffers with it: %+v", id, f)
				}
			}
		})
	}
}

// TestDoctorTellsNoSecret asks for everything while most is wrong.
// TestDoctorAsksTheFunction has the emulator run it, and seeds what can be wrong with
// a deployment.
func TestDoctorAsksTheFunction(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("the emulator runs Functions with Node")
	}
	c := newClinicAt(t, time.Now) // which is Node's
	function := func(args ...string) {
		t.Helper()
		if exit, out := c.Flexvc(append([]string{"function"}, args...)...); exit != 0 {
			t.Fatalf("flexvc function %s: exit %d\n%s", strings.Join(args, " "), exit, out)
		}
	}
	found := func() finding {
		t.Helper()
		_, all := c.findings()
		return all["token-server"]
	}
	function("deploy", "--yes")
	if f := found(); f.Status != "passed" || !strings.Contains(f.Says, ".twil.io/generateToken gave a token to the extension") {
		t.Errorf("a good deployment: %+v", f)
	}
	_, all := c.findings()
	if f := all["extension"]; f.Status != "passed" || !strings.Contains(f.Says, "where browsers find updates is not known") {
		t.Errorf("the extension, without flexvc serve: %+v", f)
	}
	if f := all["plugin"]; f.Status == "passed" {
		t.Errorf("the plugin asks the former address, and passes: %+v", f)
	}
	c.Must("deploy", "--yes")
	if f := all["browser"]; f.Status != "failed" || !strings.Contains(f.Cause, "may not send tokens to https://flexvc-token-") {
		t.Errorf("the policy allows the former address, and passes: %+v", f)
	}

	function("deploy", "--yes", "--allow-origin", "https://other.example")
	if f := found(); f.Status != "failed" || !strings.Contains(f.Fix, "flexvc function deploy --allow-origin chrome-extension://"+c.id) {
		t.Errorf("another origin: %+v", f)
	}
	function("rollback", "--yes")
	if f := found(); f.Status != "passed" {
		t.Errorf("after the rollback: %+v", f)
	}
	for _, k := range c.E.Export().Keys {
		if k.FriendlyName == provision.FunctionKeyName {
			c.at("DELETE", "https://iam.twilio.com/v1/Keys/"+k.SID, "")
		}
	}
	if f := found(); f.Status != "failed" || !strings.Contains(f.Fix, "flexvc function deploy, which creates another key") {
		t.Errorf("a key that was deleted: %+v", f)
	}
	function("deploy", "--yes")
	if f := found(); f.Status != "passed" {
		t.Errorf("with another key: %+v", f)
	}
	function("remove", "--yes", "--force")
	if f := found(); f.Status != "failed" || f.Fix != "flexvc function deploy" {
		t.Errorf("no Function: %+v", f)
	}
}

func TestDoctorTellsNoSecret(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	var tokens []string
	c.Around = func(req *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
		res, err := next()
		if err == nil && strings.HasSuffix(req.URL.Path, "/Tokens") {
			text, _ := io.ReadAll(res.Body)
			res.Body = io.NopCloser(bytes.NewReader(text))
			var made struct {
				Token string `json:"access_token"`
			}
			_ = json.Unmarshal(text, &made)
			tokens = append(tokens, made.Token)
		}
		return res, err
	}
	_, text := c.doctor()
	_, lines := c.doctor("json")
	a := c.E.Account()
	if len(tokens) != 2 || tokens[0] == "" {
		t.Fatalf("%d Flex tokens were made", len(tokens))
	}
	for _, secret := range append(tokens, a.AuthToken, a.KeySecret, "eyJ") {
		if strings.Contains(text+lines, secret) {
			t.Errorf("a secret is in the output:\n%s%s", text, lines)
		}
	}
}

func TestDoctorRunsTheChecksThatAreNamed(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	exit, out := c.doctor("clock", "config")
	if exit != 0 || !regexp.MustCompile(`(?s)^\[✓\] config .*\n\[✓\] clock .*\n\n2 passed\.`).MatchString(out) {
		t.Errorf("exit %d:\n%s", exit, out)
	}
	if err := doctorCmd.New(clitest.Quiet(), nil).Args(nil, []string{"clocks"}); err == nil || !strings.Contains(err.Error(), `"clocks" is not a check`) {
		t.Errorf("an unknown check is %v", err)
	}
}

// TestANamedCheckThatCouldNotRunPassed: a script that asked for one check took a
// skipped one for a pass.
func TestANamedCheckThatCouldNotRunPassed(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	if exit, out := c.doctor("events"); exit != problem.ExitFailed || !strings.Contains(out, "skipped: ") {
		t.Errorf("exit %d:\n%s", exit, out)
	}
	if exit, out := c.doctor(); exit != 0 || !strings.Contains(out, "1 skipped") {
		t.Errorf("unnamed, exit %d:\n%s", exit, out)
	}
}

func TestDoctorGolden(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for _, state := range []struct {
		name string
		seed func(*clinic)
	}{
		{"healthy", func(*clinic) {}},
		{"ill", func(c *clinic) {
			clitest.Check(c.T, c.E.Edit(c.E.ExportWorkers()[1].SID, `{"contact_uri":"client:ext_bob"}`))
			c.Must("rollback", "--yes", "--force")
			c.skew = -time.Hour
			c.policy("force_installed", "blocked")
			delete(c.published, rollout.UpdateFile)
		}},
	} {
		c := newClinic(t)
		state.seed(c)
		for _, form := range []string{"text", "json"} {
			args := []string{}
			if form == "json" {
				args = []string{"json"}
			}
			exit, out := c.doctor(args...)
			out = strings.ReplaceAll(out, strings.TrimSuffix(c.tokenURL, "/generateToken"), "http://127.0.0.1:3001")
			out = strings.ReplaceAll(out, c.id, strings.Repeat("k", 32))
			fmt.Fprintf(&all, "$ flexvc doctor    # %s, %s\n%s# exit %d\n\n", state.name, form, out, exit)
		}
	}
	clitest.Golden(t, filepath.Join("testdata", "golden", "doctor"), all.String())
}

// TestAdministratorsMachineWithoutPolicies: a browser that knows nothing of the
// extension is a failure where agents work, and only there.
func TestAdministratorsMachineWithoutPolicies(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	for name := range c.root {
		delete(c.root, name)
	}
	c.root[strings.Trim(rollout.Chrome.Linux[0], "/")+"/acme.json"] = &fstest.MapFile{Data: []byte(`{"HomepageLocation":"https://acme.example"}`)}
	exit, all := c.findings()
	if got := all["browser"]; exit != 0 || got.Status != "warning" || !strings.Contains(got.Fix, "if agents work on this machine") {
		t.Errorf("exit %d, %+v", exit, got)
	}
	if exit, out := c.doctor("browser"); exit != 1 || !strings.Contains(out, "ExtensionSettings has no entry for "+c.id) {
		t.Errorf("exit %d\n%s", exit, out)
	}
}
