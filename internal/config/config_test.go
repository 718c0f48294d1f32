package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/flexvc/flexvc/internal/problem"
)

// SIDs and secrets that are visibly made up.
var (
	acmeAC  = "AC" + strings.Repeat("a", 32)
	otherAC = "AC" + strings.Repeat("b", 32)
	someWS  = "WS" + strings.Repeat("c", 32)
	someSK  = "SK" + strings.Repeat("d", 32)
	otherSK = "SK" + strings.Repeat("e", 32)
)

const hidden = "not-a-real-secret"

// place is a made-up machine: a home folder and an environment.
type place struct {
	t   *testing.T
	dir string
	env map[string]string
}

func newPlace(t *testing.T, env ...string) *place {
	p := &place{t: t, dir: t.TempDir(), env: map[string]string{}}
	p.env["HOME"] = p.dir
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		p.env[name] = value
	}
	return p
}

func (p *place) write(name, text string) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

func (p *place) input() Input {
	return Input{Getenv: func(name string) string { return p.env[name] }, ConfigDir: filepath.Join(p.dir, ".config", "flexvc")}
}

func (p *place) load(change func(*Input)) (*Config, error) {
	in := p.input()
	if change != nil {
		change(&in)
	}
	return Load(in)
}

func (p *place) mustLoad(change func(*Input)) *Config {
	p.t.Helper()
	c, err := p.load(change)
	if err != nil {
		p.t.Fatalf("Load: %v (%+v)", err, problem.As(err))
	}
	return c
}

// settings and cli write the two files in their usual places.
func (p *place) settings(text string) { p.write(".config/flexvc/flexvc.yaml", text) }
func (p *place) cli(text string)      { p.write(".twilio-cli/config.json", text) }

func TestDefaultsWithoutAnything(t *testing.T) {
	p := newPlace(t)
	c := p.mustLoad(nil)
	if c.Profile != "default" || c.ActivityName != "Voice Client Offline" || c.IdentityPrefix != "ext_" ||
		c.TokenURL != "http://localhost:3001/generateToken" || c.SecretStore != "keychain" {
		t.Errorf("defaults are %+v", c)
	}
	if want := filepath.Join(p.dir, ".config/flexvc/extension.pem"); c.SigningKey != want {
		t.Errorf("signing key is %s, want %s", c.SigningKey, want)
	}
	if c.Origin(ActivityName) != "default" || c.Origin(WorkspaceSID) != "" {
		t.Errorf("origins are %q and %q", c.Origin(ActivityName), c.Origin(WorkspaceSID))
	}
	if got := c.Plugin["FLEX_APP_VOICE_CLIENT_TOKEN_GENERATOR_URL"]; got != c.TokenURL {
		t.Errorf("plugin's token URL is %q, want the setting's", got)
	}
	err := c.RequireCredentials()
	if !problem.Is(err, problem.CredentialsMissing) {
		t.Fatalf("RequireCredentials = %v", err)
	}
	for _, word := range []string{"TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_API_KEY", "-p emulator"} {
		if !strings.Contains(problem.As(err).Hint, word) {
			t.Errorf("hint %q does not name %s", problem.As(err).Hint, word)
		}
	}
}

// Each source is tried with all the weaker ones present.
func TestPrecedence(t *testing.T) {
	p := newPlace(t)
	p.env["TWILIO_API_KEY"], p.env["TWILIO_API_SECRET"] = someSK, hidden
	check := func(text, origin string, change func(*Input)) {
		t.Helper()
		c := p.mustLoad(change)
		if c.Region != text || c.Origin(Region) != origin {
			t.Errorf("region is %q from %q, want %q from %q", c.Region, c.Origin(Region), text, origin)
		}
	}
	check("", "", nil)
	p.settings("profiles: {default: {region: au1}}")
	check("au1", "flexvc.yaml profile default", nil)
	p.env["TWILIO_REGION"] = "ie1"
	check("ie1", "environment TWILIO_REGION", nil)
	check("us1", "command line", func(in *Input) { in.Flags = map[string]string{Region: "us1"} })
}

func TestCredentialSources(t *testing.T) {
	cli := fmt.Sprintf(`{"activeProject":"acme","profiles":{
		"acme":{"accountSid":%q,"region":"ie1","apiKey":%q,"apiSecret":%q},
		"other":{"accountSid":%q,"apiKey":%q,"apiSecret":%q}},
		"projects":[{"id":"ancient","accountSid":%q}],"email":{}}`,
		acmeAC, someSK, hidden, otherAC, otherSK, hidden, acmeAC)
	env := []string{"TWILIO_ACCOUNT_SID=" + otherAC, "TWILIO_AUTH_TOKEN=" + hidden, "TWILIO_REGION=au1"}
	for name, tc := range map[string]struct {
		env      []string
		cli      string
		profile  string
		account  string
		user     string
		region   string
		kind     Kind
		missing  string // part of the sentence
		settings string
	}{
		"auth token":                  {env: env, account: otherAC, user: otherAC, kind: AuthToken, region: "au1"},
		"key wins over token":         {env: append(env, "TWILIO_API_KEY="+someSK, "TWILIO_API_SECRET=x"), account: otherAC, user: someSK, kind: APIKeyPair, region: "au1"},
		"key without secret":          {env: []string{"TWILIO_ACCOUNT_SID=" + acmeAC, "TWILIO_API_KEY=" + someSK}, account: acmeAC, missing: "TWILIO_API_SECRET is not"},
		"secret without key":          {env: []string{"TWILIO_API_SECRET=x"}, missing: "TWILIO_API_KEY is not"},
		"account alone":               {env: []string{"TWILIO_ACCOUNT_SID=" + acmeAC}, account: acmeAC, missing: "TWILIO_AUTH_TOKEN is not"},
		"token alone":                 {env: []string{"TWILIO_AUTH_TOKEN=x"}, missing: "no account SID", kind: AuthToken},
		"token, account in the file":  {env: []string{"TWILIO_AUTH_TOKEN=x"}, settings: "profiles: {default: {account_sid: " + acmeAC + "}}", account: acmeAC, user: acmeAC, kind: AuthToken},
		"active profile":              {cli: cli, account: acmeAC, user: someSK, region: "ie1", kind: APIKeyPair},
		"environment over active":     {env: env, cli: cli, account: otherAC, user: otherAC, region: "au1", kind: AuthToken},
		"-p over the environment":     {env: env, cli: cli, profile: "acme", account: acmeAC, user: someSK, region: "ie1", kind: APIKeyPair},
		"-p leaves the region out":    {env: env, cli: cli, profile: "other", account: otherAC, user: otherSK, kind: APIKeyPair},
		"legacy profile":              {env: env, cli: cli, profile: "ancient", account: otherAC, region: "au1", missing: "only old releases"},
		"same name as ours":           {cli: strings.Replace(cli, `"activeProject":"acme"`, `"activeProject":"acme"`, 1), settings: "active_profile: other", account: otherAC, user: otherSK, kind: APIKeyPair},
		"another account's settings":  {env: env, settings: "profiles: {default: {account_sid: " + acmeAC + "}}", account: otherAC, user: otherAC, kind: AuthToken, region: "au1", missing: "is for account " + acmeAC},
		"CLI profile without its key": {cli: `{"profiles":{"acme":{"accountSid":"` + acmeAC + `"}}}`, profile: "acme", missing: "it has no API key"},
		"damaged CLI file":            {cli: `{"profiles":[`, missing: "is not valid JSON"},
		"damaged CLI file, not used":  {env: env, cli: `nonsense ` + hidden, account: otherAC, user: otherAC, kind: AuthToken, region: "au1"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, tc.env...)
			if tc.cli != "" {
				p.cli(tc.cli)
			}
			if tc.settings != "" {
				p.settings(tc.settings)
			}
			c := p.mustLoad(func(in *Input) { in.Profile = tc.profile })
			if c.AccountSID != tc.account || c.Credentials.Username != tc.user || c.Credentials.Kind != tc.kind || c.Region != tc.region {
				t.Errorf("account %q user %q kind %q region %q", c.AccountSID, c.Credentials.Username, c.Credentials.Kind, c.Region)
			}
			err := c.RequireCredentials()
			if tc.missing == "" && err != nil {
				t.Errorf("RequireCredentials: %v", err)
			}
			if tc.missing != "" && (err == nil || !strings.Contains(err.Error(), tc.missing)) {
				t.Errorf("RequireCredentials = %v, want %q", err, tc.missing)
			}
			if err != nil && problem.As(err).Hint == "" {
				t.Errorf("%v has no hint", err)
			}
		})
	}
}

func TestUnknownProfile(t *testing.T) {
	p := newPlace(t, "TWILIO_ACCOUNT_SID="+acmeAC, "TWILIO_AUTH_TOKEN=x")
	p.settings("profiles: {acme: {}}")
	_, err := p.load(func(in *Input) { in.Profile = "acne" })
	if !problem.Is(err, problem.ConfigInvalid) || !strings.Contains(problem.As(err).Hint, "did you mean -p acme?") {
		t.Errorf("Load = %v, hint %q", err, problem.As(err).Hint)
	}
	if c := p.mustLoad(func(in *Input) { in.Profile, in.New = "acne", true }); c.HasProfile() {
		t.Error("a new profile is said to be in the file")
	}
	if _, err := p.load(func(in *Input) { in.Profile = "../x" }); !problem.Is(err, problem.Usage) {
		t.Errorf("a profile that is a path: %v", err)
	}
}

func TestNamedFileMustExist(t *testing.T) {
	p := newPlace(t)
	absent := filepath.Join(p.dir, "absent.yaml")
	if _, err := p.load(func(in *Input) { in.File = absent }); !problem.Is(err, problem.ConfigUnreadable) || !strings.Contains(err.Error(), "~/absent.yaml") {
		t.Errorf("Load = %v", err)
	}
	if c := p.mustLoad(func(in *Input) { in.File, in.New = absent, true }); c.File != absent {
		t.Errorf("file is %s", c.File)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if _, err := p.load(func(in *Input) { in.File = "/dev/zero" }); !problem.Is(err, problem.ConfigUnreadable) || !strings.Contains(err.Error(), "longer than 1 MiB") {
		t.Errorf("a file without end: %v", err)
	}
}

func TestEmulatorSeesNothingOfTheRealAccount(t *testing.T) {
	p := newPlace(t, "TWILIO_ACCOUNT_SID="+acmeAC, "TWILIO_AUTH_TOKEN="+hidden, "TWILIO_API_KEY="+someSK,
		"TWILIO_API_SECRET="+hidden, "TWILIO_REGION=ie1", "TWILIO_EDGE=dublin")
	p.cli(fmt.Sprintf(`{"activeProject":"emulator","profiles":{"emulator":{"accountSid":%q,"apiKey":%q,"apiSecret":%q}}}`, acmeAC, someSK, hidden))
	file := filepath.Join(p.dir, "state", "emulator", "flexvc.yaml")
	c := p.mustLoad(func(in *Input) { in.Profile, in.File = Emulator, file })
	if !c.Emulated() || c.AccountSID != "" || c.Region != "" || c.Edge != "" || c.Credentials != (Credentials{}) {
		t.Errorf("the emulator sees account %q region %q edge %q credentials %v", c.AccountSID, c.Region, c.Edge, c.Credentials)
	}
	if want := "file:" + filepath.Join(filepath.Dir(file), "secrets"); c.SecretStore != want {
		t.Errorf("secret store is %q, want %q", c.SecretStore, want)
	}
	if c.RequireCredentials() == nil {
		t.Error("credentials out of nowhere")
	}
	given := Credentials{Username: otherAC, Password: "x", Kind: AuthToken}
	c = p.mustLoad(func(in *Input) {
		in.Profile, in.File, in.Credentials, in.Flags = Emulator, file, given, map[string]string{AccountSID: otherAC}
	})
	if c.RequireCredentials() != nil || c.Credentials != given || c.AccountSID != otherAC {
		t.Errorf("given credentials: %v, %v", c.Credentials, c.RequireCredentials())
	}

	p.settings("active_profile: emulator")
	if _, err := p.load(nil); !problem.Is(err, problem.ConfigInvalid) {
		t.Errorf("the emulator as active profile of the user's file: %v", err)
	}
}

// Whatever is malformed may be a secret in the wrong place.
func TestMalformedValuesAreNotRepeated(t *testing.T) {
	for name, tc := range map[string]struct{ env, cli, wants string }{
		"account": {env: "TWILIO_ACCOUNT_SID=" + hidden, wants: "environment TWILIO_ACCOUNT_SID"},
		"key":     {env: "TWILIO_API_KEY=" + hidden, wants: "TWILIO_API_KEY"},
		"region":  {env: "TWILIO_REGION=x/" + hidden, wants: "environment TWILIO_REGION"},
		"cli key": {cli: `{"activeProject":"a","profiles":{"a":{"apiKey":"` + hidden + `","apiSecret":"x"}}}`, wants: "twilio CLI profile a"},
		"cli sid": {cli: `{"activeProject":"a","profiles":{"a":{"accountSid":"` + hidden + `","apiKey":"` + someSK + `","apiSecret":"x"}}}`, wants: "twilio CLI profile a"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			if tc.cli != "" {
				p.cli(tc.cli)
			} else {
				p.env["TWILIO_API_SECRET"] = "x"
				variable, text, _ := strings.Cut(tc.env, "=")
				p.env[variable] = text
			}
			_, err := p.load(nil)
			if !problem.Is(err, problem.ConfigInvalid) || !strings.Contains(err.Error(), tc.wants) {
				t.Fatalf("Load = %v, want it to name %q", err, tc.wants)
			}
			if strings.Contains(fmt.Sprintf("%+v", problem.As(err)), hidden) {
				t.Errorf("the problem repeats the value: %v", err)
			}
		})
	}
}

func TestCredentialsDoNotPrintThemselves(t *testing.T) {
	c := Credentials{Username: someSK, Password: hidden, Kind: APIKeyPair}
	whole := Config{Credentials: c}
	var printed []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X"} {
		printed = append(printed, fmt.Sprintf(verb, c), fmt.Sprintf(verb, &c), fmt.Sprintf(verb, whole), fmt.Sprintf(verb, &whole))
	}
	for _, encode := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		for _, v := range []any{c, &c, whole} {
			b, err := encode(v)
			if err != nil {
				t.Fatal(err)
			}
			printed = append(printed, string(b))
		}
	}
	var log strings.Builder
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("x", "c", c, "p", &c, "g", slog.GroupValue(slog.Any("c", c)))
	}
	printed = append(printed, log.String(), errors.Join(fmt.Errorf("%v", c)).Error())
	hexed := fmt.Sprintf("%x", hidden)
	for _, text := range printed {
		if strings.Contains(text, hidden) || strings.Contains(strings.ToLower(text), hexed) {
			t.Errorf("printed: %s", text)
		}
	}
	if got := c.String(); !strings.Contains(got, someSK) {
		t.Errorf("String is %q: it should still say which key", got)
	}
}
