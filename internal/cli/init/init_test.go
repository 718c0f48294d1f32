package initcmd

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/zalando/go-keyring"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/crx"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/ui"
)

// initRig is an account, a keychain and a home folder, all made up.
type initRig struct {
	t    *testing.T
	home string
	env  map[string]string
	now  time.Time

	activities []twilio.Activity
	keys       []twilio.Key
	ring       map[string]string
	ringError  error
	made       int
	flexError  error
	broken     map[string]error

	calls, failAt int
	die           bool // at the call failAt: end the process, else fail
	after         bool // and only once the call had its effect

	tty     bool
	color   bool
	width   int
	in      string
	output  string
	profile string
	verbose bool
	printed bytes.Buffer // everything any run printed
}

func newInitRig(t *testing.T) *initRig {
	return &initRig{
		t: t, home: t.TempDir(), now: time.Unix(0, 0), width: 100, output: "text", profile: "acme",
		env: map[string]string{"TWILIO_ACCOUNT_SID": clitest.SID("AC", "4f2a"), "TWILIO_AUTH_TOKEN": clitest.Password},
		activities: []twilio.Activity{
			{SID: clitest.SID("WA", "0001"), FriendlyName: "Offline"},
			{SID: clitest.SID("WA", "0002"), FriendlyName: "Available", Available: true},
		},
		keys: []twilio.Key{{SID: clitest.SID("SK", "ffff"), FriendlyName: "somebody else's"}},
		ring: map[string]string{},
	}
}

type initDied struct{}

func (r *initRig) call(name string, took time.Duration, effect func()) error {
	if err := r.broken[name]; err != nil {
		return err
	}
	r.calls++
	r.now = r.now.Add(took)
	if r.calls != r.failAt {
		effect()
		return nil
	}
	if r.after {
		effect()
	}
	if r.die {
		panic(initDied{})
	}
	return problem.New(problem.TwilioUnavailable, "cannot reach Twilio: %s fails", name)
}

type (
	initTwilio  struct{ *initRig }
	initKeyring struct{ *initRig }
)

func (a initTwilio) FlexConfiguration(context.Context) (twilio.FlexConfiguration, error) {
	return twilio.FlexConfiguration{UIVersion: "2.17.1"}, a.flexError
}

func (a initTwilio) Workspace(context.Context) (ws twilio.Workspace, err error) {
	err = a.call("Workspace", 0, func() { ws = twilio.Workspace{SID: clitest.SID("WS", "91c0"), FriendlyName: "Flex Task Assignment"} })
	return
}

func (a initTwilio) Activities(context.Context) (list []twilio.Activity, err error) {
	err = a.call("Activities", 0, func() { list = slices.Clone(a.activities) })
	return
}

func (a initTwilio) CreateActivity(_ context.Context, name string, available bool) (made twilio.Activity, err error) {
	err = a.call("CreateActivity", 300*time.Millisecond, func() {
		made = twilio.Activity{SID: clitest.SID("WA", "77d1"), FriendlyName: name, Available: available}
		a.activities = append(a.activities, made)
	})
	return
}

func (a initTwilio) Keys(context.Context) (list []twilio.Key, err error) {
	err = a.call("Keys", 0, func() { list = slices.Clone(a.keys) })
	return
}

func (a initTwilio) CreateKey(_ context.Context, name string) (made twilio.Key, secret string, err error) {
	err = a.call("CreateKey", 200*time.Millisecond, func() {
		made = twilio.Key{SID: clitest.SID("SK", fmt.Sprintf("%04x", 0x07aa+a.made)), FriendlyName: name}
		a.made++
		a.keys = append(a.keys, made)
		secret = clitest.Secret
	})
	return
}

func (a initTwilio) RenameKey(_ context.Context, sid, name string) error {
	return a.call("RenameKey", 0, func() {
		a.keys[slices.IndexFunc(a.keys, func(k twilio.Key) bool { return k.SID == sid })].FriendlyName = name
	})
}

func (a initTwilio) DeleteKey(_ context.Context, sid string) error {
	return a.call("DeleteKey", 0, func() {
		a.keys = slices.DeleteFunc(a.keys, func(k twilio.Key) bool { return k.SID == sid })
	})
}

func (k initKeyring) Get(_, user string) (secret string, err error) {
	if k.ringError != nil {
		return "", k.ringError
	}
	err = k.call("Keyring.Get", 0, func() { secret = k.ring[user] })
	if err == nil && secret == "" {
		err = keyring.ErrNotFound
	}
	return
}

func (k initKeyring) Set(_, user, secret string) error {
	if k.ringError != nil {
		return k.ringError
	}
	return k.call("Keyring.Set", 0, func() { k.ring[user] = secret })
}

func (k initKeyring) Delete(_, user string) error {
	return k.call("Keyring.Delete", 0, func() { delete(k.ring, user) })
}

// run runs `flexvc init` with args and returns what it printed, in order on a
// terminal and apart off one, and its exit code.
func (r *initRig) run(args ...string) (out string, exit int) {
	r.t.Helper()
	var both, errs bytes.Buffer
	stderr := io.Writer(&errs)
	if r.tty {
		stderr = &both
	}
	streams := ui.Fake(strings.NewReader(r.in), &both, stderr, r.tty, r.width)
	streams.Verbose = r.verbose
	if r.color {
		_ = streams.SetColor("always")
	}
	app := &cli.App{
		UI:     streams,
		Getenv: func(name string) string { return maps.Collect(maps.All(r.env))[name] },
		Now:    func() time.Time { return r.now },
		Random: rand.Reader,
		Global: cli.Global{Profile: r.profile, Output: r.output},
	}
	r.env["HOME"] = r.home
	app.Open = func(_ context.Context, o cli.SessionOptions) (*cli.Session, error) {
		cfg, err := app.Config()
		if err != nil {
			return nil, err
		}
		if err := cfg.RequireCredentials(); err != nil {
			return nil, err
		}
		return &cli.Session{
			AccountSID: cfg.AccountSID, WorkspaceSID: clitest.SID("WS", "91c0"),
			Activities: initTwilio{r}, Keys: initTwilio{r}, Flex: initTwilio{r}, Close: func() error { return nil },
		}, nil
	}
	cmd := New(app, func(ctx context.Context, o *Options) error {
		o.Keyring = initKeyring{r}
		o.GenerateKey = func(io.Reader) (*rsa.PrivateKey, error) { return clitest.SigningKey() }
		return Run(ctx, o)
	})
	root := &cobra.Command{Use: "flexvc", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(cmd)
	root.SetArgs(append([]string{"init"}, args...))
	defer func() {
		r.printed.WriteString(both.String() + errs.String())
	}()
	if err := root.ExecuteContext(r.t.Context()); err != nil {
		err = app.Explain(r.t.Context(), "flexvc init", err)
		exit = problem.Exit(err)
		if !errors.As(err, new(cli.SilentError)) {
			if app.JSON() {
				streams.ProblemJSON(err)
			} else {
				streams.Problem(err)
			}
		}
	}
	if r.tty {
		return both.String(), exit
	}
	return fmt.Sprintf("-- stdout --\n%s-- stderr --\n%s", both.String(), errs.String()), exit
}

func (r *initRig) mustRun(args ...string) string {
	r.t.Helper()
	out, exit := r.run(args...)
	if exit != 0 {
		r.t.Fatalf("flexvc init %s: exit %d\n%s", strings.Join(args, " "), exit, out)
	}
	return out
}

var (
	extensionID = regexp.MustCompile(`\b[a-p]{32}\b`)
	setupNonce  = regexp.MustCompile(`\(setup [0-9a-f]{16}\)`)
)

// steady replaces what differs from run to run by something as long.
func (r *initRig) steady(out string) string {
	out = strings.ReplaceAll(out, r.home, "/home/ada")
	out = extensionID.ReplaceAllString(out, "kfjhbdlpoaegcimnkfjhbdlpoaegcimn")
	return setupNonce.ReplaceAllString(out, "(setup 0123456789abcdef)")
}

func (r *initRig) file(name string) string {
	r.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.home, name))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(data)
}

// files lists all files below the home folder, locks left out.
func (r *initRig) files() []string {
	r.t.Helper()
	var names []string
	err := filepath.WalkDir(r.home, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasSuffix(path, ".lock") {
			rel, _ := filepath.Rel(r.home, path)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return names
}

// noLeak fails when a secret was printed or is in a file other than those.
func (r *initRig) noLeak(except ...string) {
	r.t.Helper()
	texts := map[string]string{"output": r.printed.String()}
	for _, name := range r.files() {
		if !slices.Contains(except, name) {
			texts[name] = r.file(name)
		}
	}
	for where, text := range texts {
		for _, secret := range []string{clitest.Secret, clitest.Password} {
			if strings.Contains(text, secret) {
				r.t.Errorf("%s holds the secret %q", where, secret)
			}
		}
	}
}

func extensionIDOf(t *testing.T, r *initRig) string {
	t.Helper()
	key, err := crx.ParseKey([]byte(r.file(".config/flexvc/extension.pem")))
	clitest.Check(t, err)
	id, err := crx.ExtensionID(key.Public())
	clitest.Check(t, err)
	return id
}

// The transcript of the design, byte for byte.
func TestInitTranscript(t *testing.T) {
	r := newInitRig(t)
	r.tty, r.in = true, "yes\n"
	want := `flexvc: reading account AC…4f2a (profile "acme") … ok, Flex UI 2.17.1

In Flex Task Assignment (WS…91c0) flexvc will:

  + activity      Voice Client Offline          available: no
  + api key       flexvc-token-server           secret goes to the system keychain
  + signing key   ~/.config/flexvc/extension.pem   extension id kfjhbdlpoaegcimnkfjhbdlpoaegcimn
  + settings      flexvc.yaml                   workspace, activity name, identity prefix ext_

Plan: 4 to add, 0 to change, 0 to remove.
Apply? Only "yes" is accepted: ` + `
 ✓ activity      Voice Client Offline          WA…77d1    0.3 s
 ✓ api key       flexvc-token-server           SK…07aa    0.2 s
 ✓ signing key   kfjhbdlpoaegcimnkfjhbdlpoaegcimn
 ✓ settings      flexvc.yaml

Done: 4 added.
Next: flexvc serve, flexvc plugin deploy, then flexvc workers enable --all --dry-run
`
	if diff := cmp.Diff(want, r.steady(r.mustRun())); diff != "" {
		t.Errorf("first run (-want +got):\n%s", diff)
	}
	want = "No changes: WS…91c0 already matches. Next: flexvc doctor\n"
	if got := r.mustRun(); got != want {
		t.Errorf("second run: %q", got)
	}
	wantFile := `version: 1
active_profile: acme
profiles:
  acme:
    account_sid: AC000000000000000000000000000000004f2a
    workspace_sid: WS0000000000000000000000000000000091c0
    activity_name: Voice Client Offline
    activity_sid: WA0000000000000000000000000000000077d1
    identity_prefix: ext_
    token_url: http://localhost:3001/generateToken
    api_key: SK0000000000000000000000000000000007aa
    secret_store: keychain
    signing_key: extension.pem
    extension_id: EXTENSION
    created_activity_sid: WA0000000000000000000000000000000077d1
    plugin:
      FLEX_APP_OFFLINE_VOICE_CLIENT_ACTIVITY_NAME: Voice Client Offline
      FLEX_APP_VOICE_CLIENT_TOKEN_GENERATOR_URL: http://localhost:3001/generateToken
`
	wantFile = strings.Replace(wantFile, "EXTENSION", extensionIDOf(t, r), 1)
	wantFile = regexp.MustCompile(`([A-Z]{2})0+([0-9a-f]{4})`).ReplaceAllStringFunc(wantFile, func(s string) string { return clitest.SID(s[:2], s[len(s)-4:]) })
	if diff := cmp.Diff(wantFile, r.file(clitest.SettingsFile)); diff != "" {
		t.Errorf("flexvc.yaml (-want +got):\n%s", diff)
	}
	r.noLeak()
}

func TestInitWithNobodyToAsk(t *testing.T) {
	r := newInitRig(t)
	out, exit := r.run()
	want := `-- stdout --
-- stderr --
flexvc: error: cannot ask for confirmation: standard input is not a terminal
flexvc: hint: review with --dry-run, then run again with --yes
`
	if out != want || exit != problem.ExitUsage {
		t.Errorf("exit %d\n%s", exit, out)
	}
	if files := r.files(); files != nil || len(r.keys) != 1 {
		t.Errorf("something was made: files %q, keys %v", files, r.keys)
	}
	r.tty, r.output = true, "json"
	if out, exit := r.run(); exit != problem.ExitUsage || !strings.Contains(out, `"summary":"cannot ask for confirmation with -o json"`) {
		t.Errorf("with -o json: exit %d\n%s", exit, out)
	}
	r.output = "text"
	r.in = "y\n"
	if out, exit := r.run(); exit != problem.ExitFailed || !strings.HasSuffix(out, "Nothing was changed.\n") || len(r.files()) != 0 || len(r.keys) != 1 {
		t.Errorf("answered y: exit %d, files %q\n%s", exit, r.files(), out)
	}
	// With nothing to ask, nobody has to be there.
	r.tty = false
	r.mustRun("--yes")
	r.mustRun()
}

// Every view in every form. -update rewrites the files.
func TestInitGoldens(t *testing.T) {
	cases := map[string]struct {
		prepare func(*initRig)
		args    []string
		exit    int
	}{
		"fresh":   {args: []string{"--yes"}},
		"dry-run": {args: []string{"--dry-run", "--exit-code"}, exit: problem.ExitPending},
		"rerun":   {prepare: func(r *initRig) { r.mustRun("--yes") }, args: []string{"--dry-run", "--exit-code"}},
		"continued": { // killed between the key and its secret
			prepare: func(r *initRig) { r.crash("CreateKey") },
			args:    []string{"--yes"},
		},
		"changed": {
			prepare: func(r *initRig) { r.mustRun("--yes"); clear(r.ring) },
			args:    []string{"--yes", "--new-api-key", "--token-url", "https://voice.acme.example/generateToken"},
		},
		"failed": {
			prepare: func(r *initRig) {
				r.broken = map[string]error{"CreateKey": problem.New(problem.TwilioUnavailable, "cannot create an API key: Twilio answered 503").WithHint("try again later")}
			},
			args: []string{"--yes"},
			exit: problem.ExitFailed,
		},
		"available": {
			prepare: func(r *initRig) {
				r.activities = append(r.activities, twilio.Activity{SID: clitest.SID("WA", "0003"), FriendlyName: "Voice Client Offline", Available: true})
			},
			args: []string{"--yes"},
			exit: problem.ExitFailed,
		},
	}
	for name, tc := range cases {
		for _, output := range []string{"text", "json"} {
			for form, set := range map[string]func(*initRig){
				"tty":     func(r *initRig) { r.tty, r.color = true, true },
				"nocolor": func(r *initRig) { r.tty = true },
				"60":      func(r *initRig) { r.tty, r.width = true, 60 },
				"pipe":    func(*initRig) {},
			} {
				t.Run(name+"/"+output+"/"+form, func(t *testing.T) {
					r := newInitRig(t)
					if tc.prepare != nil {
						tc.prepare(r)
					}
					set(r)
					r.output = output
					out, exit := r.run(tc.args...)
					if exit != tc.exit {
						t.Errorf("exit %d, want %d\n%s", exit, tc.exit, out)
					}
					if form == "60" && output == "text" {
						for line := range strings.Lines(r.steady(out)) {
							if n := len([]rune(strings.TrimRight(line, "\n"))); n > 60 && strings.HasPrefix(line, "  ") {
								t.Errorf("%d columns: %s", n, line)
							}
						}
					}
					clitest.Golden(t, filepath.Join("testdata", "init", name+"-"+output+"-"+form+".golden"), r.steady(out))
					r.noLeak()
				})
			}
		}
	}
}

// crash runs init and ends the process once the named call had its effect.
func (r *initRig) crash(name string) {
	r.t.Helper()
	probe := newInitRig(r.t)
	order := map[string]int{}
	for n := 1; order[name] == 0; n++ {
		probe.calls, probe.failAt, probe.die, probe.after = 0, n, false, false
		out, _ := probe.run("--yes")
		for _, call := range []string{"Workspace", "Activities", "Keys", "CreateActivity", "CreateKey", "Keyring.Set", "RenameKey"} {
			if strings.Contains(out, ": "+call+" fails") {
				order[call] = n
			}
		}
		if n > 50 {
			r.t.Fatalf("no run calls %s", name)
		}
		probe = newInitRig(r.t)
	}
	r.endAt(order[name], true, true)
}

// endAt runs init, disturbed at one call, and reports whether it got that far.
func (r *initRig) endAt(call int, die, after bool) (disturbed bool) {
	r.t.Helper()
	r.calls, r.failAt, r.die, r.after = 0, call, die, after
	defer func() {
		disturbed = r.calls >= call
		r.failAt = 0
		if p := recover(); p != nil {
			if _, ok := p.(initDied); !ok {
				panic(p)
			}
		}
	}()
	r.run("--yes")
	return
}

// state is everything a run leaves, with the key's SID replaced: it differs when
// a key had to be made twice.
func (r *initRig) state() string {
	var b strings.Builder
	for _, k := range r.keys {
		fmt.Fprintf(&b, "key %q kept: %v\n", k.FriendlyName, r.ring[k.SID] == clitest.Secret)
	}
	for _, a := range r.activities {
		fmt.Fprintf(&b, "activity %+v\n", a)
	}
	fmt.Fprintf(&b, "%d secrets\nfiles %q\n", len(r.ring), r.files())
	settings := r.file(clitest.SettingsFile)
	for _, k := range r.keys {
		settings = strings.ReplaceAll(settings, k.SID, "<"+k.FriendlyName+">")
	}
	return b.String() + settings
}

// Ended at each request to Twilio and the keychain, before and after its effect,
// by a crash and by an error, then run again: the end is that of a run nothing
// happened to, files included.
func TestInitSurvivesEveryCrash(t *testing.T) {
	undisturbed := newInitRig(t)
	undisturbed.mustRun("--yes")
	want := undisturbed.state()
	for _, die := range []bool{true, false} {
		for _, after := range []bool{true, false} {
			for call := 1; ; call++ {
				r := newInitRig(t)
				if !r.endAt(call, die, after) {
					if call < 7 {
						t.Errorf("a run makes only %d calls", call-1)
					}
					break
				}
				id := ""
				if slices.Contains(r.files(), ".config/flexvc/extension.pem") {
					id = r.file(".config/flexvc/extension.pem")
				}
				r.mustRun("--yes")
				if diff := cmp.Diff(want, r.state()); diff != "" {
					t.Fatalf("call %d, die %v, after %v (-want +got):\n%s", call, die, after, diff)
				}
				if id != "" && id != r.file(".config/flexvc/extension.pem") {
					t.Errorf("call %d: the signing key was replaced", call)
				}
				if out := r.mustRun(); !strings.Contains(out, "No changes") {
					t.Errorf("call %d: still something to do:\n%s", call, out)
				}
				r.noLeak()
			}
		}
	}
}

func TestInitSecretFile(t *testing.T) {
	r := newInitRig(t)
	r.verbose = true
	r.ringError = errors.New("dbus: no such file")
	secrets := filepath.Join(r.home, "secrets")

	r.mustRun("--yes", "--secret-file", secrets)
	if info, err := os.Stat(secrets); err != nil || info.Mode() != 0o600 {
		t.Errorf("secret file: %v, %v", info.Mode(), err)
	}
	if !strings.Contains(r.file("secrets"), clitest.Secret) {
		t.Error("the secret was not kept")
	}
	if out := r.mustRun(); !strings.Contains(out, "No changes") {
		t.Errorf("the settings do not remember the file:\n%s", out)
	}
	r.noLeak("secrets")

	// The keychain works again, and the secret moves there.
	r.ringError = nil
	other := filepath.Join(r.home, "other")
	if out := r.mustRun("--yes", "--secret-file", other); !strings.Contains(out, "secret moves from ~/secrets to ~/other") {
		t.Errorf("no move:\n%s", out)
	}
	if strings.Contains(r.file("secrets"), clitest.Secret) || !strings.Contains(r.file("other"), clitest.Secret) || len(r.keys) != 2 {
		t.Errorf("after the move: %d keys", len(r.keys))
	}
	if err := os.Chmod(other, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, exit := r.run(); exit != problem.ExitUsage || !strings.Contains(out, "hint: chmod 600 ~/other") {
		t.Errorf("readable by others: exit %d\n%s", exit, out)
	}
}

func TestInitWithoutAKeychain(t *testing.T) {
	r := newInitRig(t)
	r.mustRun("--yes")
	r.ringError = errors.New("dbus: no such file")
	out, exit := r.run("--yes")
	if exit != problem.ExitUsage || !strings.Contains(out, "cannot use the system keychain") || !strings.Contains(out, "--secret-file FILE") {
		t.Errorf("exit %d\n%s", exit, out)
	}
	fresh := newInitRig(t)
	fresh.ringError = r.ringError
	if out, exit := fresh.run("--yes"); exit != problem.ExitUsage || len(fresh.keys) != 1 || len(fresh.activities) != 2 || len(fresh.files()) != 0 {
		t.Errorf("something was made without a keychain: exit %d, keys %v, activities %v, files %q\n%s", exit, fresh.keys, fresh.activities, fresh.files(), out)
	}
}

// Nothing is made at Twilio when not all could be written here. The folders are
// such that even root cannot write to them.
func TestInitUnwritableFolders(t *testing.T) {
	for _, tc := range []struct {
		name    string
		prepare func(r *initRig)
		args    []string
		exit    int
		wants   string
	}{
		{"config", func(r *initRig) { r.env["XDG_CONFIG_HOME"] = "/proc" }, nil, problem.ExitUsage, "cannot write /proc/flexvc/flexvc.yaml"},
		{"config is a file", func(r *initRig) { r.write(".config/flexvc", "") }, nil, problem.ExitUsage, "not a directory"},
		{"state", func(r *initRig) { r.write(".local", "") }, nil, problem.ExitFailed, "cannot use the state folder"},
		{"secret file", func(r *initRig) { r.write("x", "") }, []string{"--secret-file", "HOME/x/secrets"}, problem.ExitUsage, "secret file ~/x/secrets"},
		{"secret file in /proc", func(*initRig) {}, []string{"--secret-file", "/proc/secrets"}, problem.ExitUsage, "cannot write /proc/secrets"},
		{"signing key", func(r *initRig) {
			r.write(clitest.SettingsFile, "profiles: {acme: {signing_key: /proc/extension.pem}}")
		}, nil, problem.ExitUsage, "cannot write /proc/extension.pem"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := os.Stat("/proc/self"); err != nil {
				t.Skip("no /proc here")
			}
			r := newInitRig(t)
			tc.prepare(r)
			before := r.files()
			for i := range tc.args {
				tc.args[i] = strings.Replace(tc.args[i], "HOME", r.home, 1)
			}
			out, exit := r.run(append(tc.args, "--yes")...)
			if exit != tc.exit || !strings.Contains(out, tc.wants) || !strings.Contains(out, "hint: ") {
				t.Errorf("exit %d, want %d and %q\n%s", exit, tc.exit, tc.wants, out)
			}
			if len(r.keys) != 1 || len(r.activities) != 2 || !slices.Equal(r.files(), before) {
				t.Errorf("something was made: keys %v, activities %v, files %q", r.keys, r.activities, r.files())
			}
		})
	}
}

func TestTwoInitsAtOnce(t *testing.T) {
	r := newInitRig(t)
	dir := filepath.Join(r.home, ".local/state/flexvc", clitest.SID("AC", "4f2a"))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lock := flock.New(filepath.Join(dir, "setup.lock"))
	if ok, err := lock.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if out, exit := r.run("--yes"); exit != problem.ExitLocked || !strings.Contains(out, "another flexvc init is already running") || r.calls != 0 {
		t.Errorf("exit %d after %d requests\n%s", exit, r.calls, out)
	}
	if _, exit := r.run("--dry-run"); exit != 0 {
		t.Errorf("a dry run needs the lock: exit %d", exit)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	r.mustRun("--yes")
}

func TestInitBadInput(t *testing.T) {
	permission := problem.New(problem.PermissionDenied, "cannot list keys: 20003")
	for name, tc := range map[string]struct {
		prepare func(*initRig)
		args    []string
		exit    int
		wants   []string
	}{
		"no credentials":   {prepare: func(r *initRig) { clear(r.env) }, exit: problem.ExitCredentials, wants: []string{"no credentials found", "-p emulator"}},
		"no flex":          {prepare: func(r *initRig) { r.flexError = problem.New(problem.FlexNotFound, "the account has no Flex") }, exit: problem.ExitFailed, wants: []string{"no Flex"}},
		"standard key":     {prepare: func(r *initRig) { r.broken = map[string]error{"Keys": permission} }, exit: problem.ExitCredentials, wants: []string{"may not manage", "Main API key"}},
		"workspace":        {args: []string{"--workspace", "AC1"}, exit: problem.ExitUsage, wants: []string{"--workspace", "WS followed by 32 hexadecimal digits"}},
		"token url":        {args: []string{"--token-url", "http://voice.acme.example/t"}, exit: problem.ExitUsage, wants: []string{"--token-url", "use https"}},
		"activity":         {args: []string{"--activity-name", " x"}, exit: problem.ExitUsage, wants: []string{"--activity-name"}},
		"exit code alone":  {args: []string{"--exit-code"}, exit: problem.ExitUsage, wants: []string{"--dry-run"}},
		"argument":         {args: []string{"x"}, exit: problem.ExitUsage, wants: []string{"flexvc init takes no arguments"}},
		"damaged signing":  {prepare: func(r *initRig) { r.write(".config/flexvc/extension.pem", "x") }, exit: problem.ExitUsage, wants: []string{"it is not PEM", "backup"}},
		"damaged settings": {prepare: func(r *initRig) { r.write(clitest.SettingsFile, "profiles: {acme: {auth_token: x}}") }, exit: problem.ExitUsage, wants: []string{"line 1", "leaked"}},
		"another's account": {prepare: func(r *initRig) {
			r.write(clitest.SettingsFile, "profiles: {acme: {account_sid: "+clitest.SID("AC", "beef")+"}}")
		}, exit: problem.ExitUsage, wants: []string{"-p NAME"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newInitRig(t)
			if tc.prepare != nil {
				tc.prepare(r)
			}
			before := r.files()
			out, exit := r.run(append(tc.args, "--yes")...)
			if exit != tc.exit {
				t.Errorf("exit %d, want %d\n%s", exit, tc.exit, out)
			}
			for _, want := range tc.wants {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			if len(r.keys) != 1 || len(r.activities) != 2 || !slices.Equal(r.files(), before) {
				t.Errorf("something was made: keys %v, activities %v, files %q", r.keys, r.activities, r.files())
			}
			r.noLeak()
		})
	}
}

// --workspace is for credentials that may not ask Flex.
func TestInitWorkspaceWithoutFlex(t *testing.T) {
	r := newInitRig(t)
	r.flexError = problem.New(problem.PermissionDenied, "cannot read the Flex configuration")
	r.mustRun("--yes", "--workspace", clitest.SID("WS", "91c0"))
	if out := r.mustRun(); !strings.Contains(out, "No changes") {
		t.Errorf("the rerun does not know the workspace:\n%s", out)
	}
}

func (r *initRig) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}
