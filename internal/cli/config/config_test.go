package config_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zalando/go-keyring"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/cli/tree"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
)

// configRig runs whole command lines on a made-up home folder.
type configRig struct {
	t     *testing.T
	home  string
	env   map[string]string
	tty   bool
	color bool
	width int
}

func newConfigRig(t *testing.T) *configRig {
	keyring.MockInit()
	home := t.TempDir()
	return &configRig{t: t, home: home, env: map[string]string{"HOME": home}, width: 100}
}

func (r *configRig) run(args ...string) (stdout, stderr string, exit int) {
	var out, errs bytes.Buffer
	if r.color {
		args = append([]string{"--color", "always"}, args...)
	}
	app := &cli.App{UI: ui.Fake(strings.NewReader(""), &out, &errs, r.tty, r.width), Getenv: func(name string) string { return r.env[name] }, Tree: tree.New}
	exit = app.Run(r.t.Context(), args)
	return out.String(), errs.String(), exit
}

func (r *configRig) must(args ...string) string {
	r.t.Helper()
	out, errs, exit := r.run(args...)
	if exit != 0 {
		r.t.Fatalf("flexvc %s: exit %d\n%s%s", strings.Join(args, " "), exit, out, errs)
	}
	return out
}

// acme fills a profile, its credentials and its key's secret.
func (r *configRig) acme() {
	r.env["TWILIO_ACCOUNT_SID"], r.env["TWILIO_AUTH_TOKEN"] = clitest.SID("AC", "4f2a"), clitest.Password
	for name, value := range map[string]string{
		"account_sid": clitest.SID("AC", "4f2a"), "workspace_sid": clitest.SID("WS", "91c0"), "api_key": clitest.SID("SK", "07aa"),
		"token_url": "https://voice.acme.example/generateToken?a=1&b=2",
	} {
		r.must("-p", "acme", "config", "set", name, value)
	}
	if err := keyring.Set("flexvc", clitest.SID("SK", "07aa"), clitest.Secret); err != nil {
		r.t.Fatal(err)
	}
}

func TestConfigListGoldens(t *testing.T) {
	for output, args := range map[string][]string{
		"text":        {"-p", "acme", "config", "list"},
		"text-origin": {"-p", "acme", "config", "list", "--origin"},
		"json":        {"-p", "acme", "-o", "json", "config", "list"},
		"json-origin": {"-p", "acme", "-o", "json", "config", "list", "--origin"},
	} {
		for form, set := range map[string]func(*configRig){
			"tty":     func(r *configRig) { r.tty, r.color = true, true },
			"nocolor": func(r *configRig) { r.tty = true },
			"60":      func(r *configRig) { r.tty, r.width = true, 60 },
			"pipe":    func(*configRig) {},
		} {
			t.Run(output+"/"+form, func(t *testing.T) {
				r := newConfigRig(t)
				r.acme()
				set(r)
				out, errs, exit := r.run(args...)
				got := strings.ReplaceAll("-- stdout --\n"+out+"-- stderr --\n"+errs, r.home, "/home/ada")
				if exit != 0 {
					t.Errorf("exit %d\n%s", exit, got)
				}
				for _, secret := range []string{clitest.Secret, clitest.Password} {
					if strings.Contains(got, secret) {
						t.Errorf("the list shows a secret:\n%s", got)
					}
				}
				clitest.Golden(t, filepath.Join("testdata", "config", output+"-"+form+".golden"), got)
			})
		}
	}
}

func TestConfigListSaysWhetherSecretsAreThere(t *testing.T) {
	r := newConfigRig(t)
	r.acme()
	list := func() string { return r.must("-p", "acme", "config", "list") }
	if out := list(); !strings.Contains(out, "credentials\tset\n") || !strings.Contains(out, "api_key_secret\tset\n") {
		t.Errorf("both are there:\n%s", out)
	}
	if err := keyring.Delete("flexvc", clitest.SID("SK", "07aa")); err != nil {
		t.Fatal(err)
	}
	delete(r.env, "TWILIO_AUTH_TOKEN")
	if out := list(); !strings.Contains(out, "credentials\tunset\n") || !strings.Contains(out, "api_key_secret\tunset\n") {
		t.Errorf("neither is there:\n%s", out)
	}
	keyring.MockInitWithError(errors.New("dbus"))
	defer keyring.MockInit()
	if out := list(); !strings.Contains(out, "api_key_secret\tunreadable\n") {
		t.Errorf("no keychain:\n%s", out)
	}
}

func TestConfigGet(t *testing.T) {
	r := newConfigRig(t)
	r.acme()
	if out := r.must("-p", "acme", "config", "get", "workspace_sid"); out != clitest.SID("WS", "91c0")+"\n" {
		t.Errorf("get = %q", out)
	}
	want := `{"v":1,"name":"token_url","value":"https://voice.acme.example/generateToken?a=1&b=2","origin":"flexvc.yaml profile acme"}` + "\n"
	if out := r.must("-p", "acme", "-o", "json", "config", "get", "token_url"); out != want {
		t.Errorf("get = %s", out)
	}
	if out, errs, exit := r.run("-p", "acme", "config", "get", "edge"); out+errs != "" || exit != 1 {
		t.Errorf("an unset one: %q, %q, exit %d", out, errs, exit)
	}
	for _, name := range []string{"auth_token", "api_secret", "workspce_sid"} {
		if _, errs, exit := r.run("config", "get", name); exit != problem.ExitUsage || !strings.Contains(errs, "hint: ") {
			t.Errorf("get %s: exit %d, %s", name, exit, errs)
		}
	}
}

func TestConfigSet(t *testing.T) {
	r := newConfigRig(t)
	if out := r.must("config", "set", "region", "ie1"); out != "region set (~/.config/flexvc/flexvc.yaml, profile default)\n" {
		t.Errorf("set = %q", out)
	}
	if out := r.must("-p", "acme", "-o", "json", "config", "set", "region", "au1"); !strings.Contains(out, `"profile":"acme","name":"region","value":"au1"`) {
		t.Errorf("set = %q", out)
	}
	r.must("config", "set", "active_profile", "acme")
	if out := r.must("config", "get", "region"); out != "au1\n" {
		t.Errorf("the active profile's region is %q", out)
	}
	if out := r.must("config", "get", "active_profile"); out != "acme\n" {
		t.Errorf("the active profile is %q", out)
	}
	if out := r.must("config", "set", "region", ""); !strings.Contains(out, "region removed") {
		t.Errorf("set to nothing = %q", out)
	}
	path := filepath.Join(r.home, clitest.SettingsFile)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "version: 1\nactive_profile: acme\nprofiles:\n  default:\n    region: ie1\n  acme: {}\n"; string(before) != want {
		t.Errorf("file is\n%s", before)
	}
	for _, args := range [][]string{
		{"auth_token", clitest.Secret}, {"TWILIO_AUTH_TOKEN", clitest.Secret}, {"api_secret", clitest.Secret}, {"account_sid", clitest.Secret},
		{"token_url", "http://u:" + clitest.Secret + "@localhost/"}, {"active_profile", "nobody"}, {"regio", "x"}, {"region"},
	} {
		out, errs, exit := r.run(append([]string{"config", "set"}, args...)...)
		if exit != problem.ExitUsage || out != "" || strings.Contains(errs, clitest.Secret) {
			t.Errorf("set %v: exit %d\n%s%s", args, exit, out, errs)
		}
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a refused value changed the file: %v\n%s", err, after)
	}
}

// Experiments with the emulator never touch the user's own settings.
func TestConfigOfTheEmulatorIsApart(t *testing.T) {
	r := newConfigRig(t)
	r.env["FLEXVC_CONFIG"] = filepath.Join(r.home, "mine.yaml")
	r.env["TWILIO_REGION"] = "ie1"
	r.must("-p", "emulator", "config", "set", "activity_name", "Away")
	if _, err := os.Stat(r.env["FLEXVC_CONFIG"]); err == nil {
		t.Error("the user's own file was written")
	}
	text, err := os.ReadFile(filepath.Join(r.home, ".local/state/flexvc/emulator/flexvc.yaml"))
	if err != nil || !strings.Contains(string(text), "activity_name: Away") {
		t.Errorf("the emulator's settings are %q, %v", text, err)
	}
	if out := r.must("-p", "emulator", "config", "list"); !strings.Contains(out, "activity_name\tAway\n") || !strings.Contains(out, "region\tunset\n") {
		t.Errorf("list:\n%s", out)
	}
}

// TestNobodyKnewTheProfiles: -p took names that nothing listed, and did not complete
// them.
func TestNobodyKnewTheProfiles(t *testing.T) {
	r := newConfigRig(t)
	r.acme()
	r.must("-p", "beta", "config", "set", "region", "ie1")
	r.must("config", "set", "active_profile", "beta")
	if err := os.MkdirAll(filepath.Join(r.home, ".twilio-cli"), 0o700); err != nil {
		t.Fatal(err)
	}
	cli := `{"profiles":{"acme":{"accountSid":"` + clitest.SID("AC", "1") + `"},"theirs":{"accountSid":"` + clitest.SID("AC", "2") + `","apiSecret":"` + clitest.Secret + `"}}}`
	if err := os.WriteFile(filepath.Join(r.home, ".twilio-cli", "config.json"), []byte(cli), 0o600); err != nil {
		t.Fatal(err)
	}
	want := "acme\tflexvc.yaml\t" + clitest.SID("AC", "4f2a") + "\t\nbeta\tflexvc.yaml\t\tactive\ntheirs\ttwilio CLI\t" + clitest.SID("AC", "2") + "\t\nemulator\tbuilt in\t\t\n"
	if out := r.must("profiles"); out != want {
		t.Errorf("the profiles are\n%s\nwant\n%s", out, want)
	}
	out := r.must("__complete", "workers", "list", "-p", "")
	for _, name := range []string{"acme\t", "beta\t", "theirs\t", "emulator\t"} {
		if !strings.Contains(out, name) {
			t.Errorf("-p <TAB> offers\n%s", out)
		}
	}
}
