package config

import (
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/problem"
)

func TestFaultsOfAFileAreReportedTogether(t *testing.T) {
	_, _, err := parseFile([]byte(`version: 2
active_profile: acme
profile: x
profiles:
  acme:
    account_sid: `+hidden+`
    workspce_sid: x
    region: [ie1]
    plugin:
      FLEX_APP_VOICE_CLIENT_TOKEN_GENERATOR_URI: x
    account_sid: y
  "": {}
`), "flexvc.yaml")
	p := problem.As(err)
	if p == nil || p.Code != problem.ConfigInvalid {
		t.Fatalf("parseFile = %v", err)
	}
	want := `line 1: version is not 1; a newer flexvc may have written it
line 3: "profile" is not a setting: did you mean profiles?
line 6: cannot use account_sid: it is not AC followed by 32 hexadecimal digits
line 7: "workspce_sid" is not a setting: did you mean workspace_sid?
line 8: region is not a single value
line 10: "FLEX_APP_VOICE_CLIENT_TOKEN_GENERATOR_URI" is not a setting: did you mean FLEX_APP_VOICE_CLIENT_TOKEN_GENERATOR_URL?
line 11: "account_sid" is already set on line 6
line 12: a profile name is letters, digits, dots, hyphens and underscores`
	if p.Detail != want {
		t.Errorf("faults are\n%s\nwant\n%s", p.Detail, want)
	}
	if p.Summary != "cannot use flexvc.yaml: 8 errors" {
		t.Errorf("summary is %q", p.Summary)
	}
}

func TestSecretsInTheFileAreRefused(t *testing.T) {
	for _, key := range []string{"auth_token", "api_secret", "TWILIO_AUTH_TOKEN", "password", "apiSecret", "private_key", "plugin: {SOME_SECRET"} {
		end := ""
		if strings.HasPrefix(key, "plugin") {
			end = "}"
		}
		_, _, err := parseFile([]byte("profiles:\n  acme:\n    "+key+": "+hidden+end+"\n"), "flexvc.yaml")
		p := problem.As(err)
		if p == nil || !strings.Contains(p.Summary, "line 3: ") || !strings.Contains(p.Summary, "secrets do not belong in this file") {
			t.Errorf("%s: %v", key, err)
			continue
		}
		if strings.Contains(p.Summary+p.Detail+p.Hint, hidden) || !strings.Contains(p.Hint, "leaked") {
			t.Errorf("%s: %q, hint %q", key, p.Summary, p.Hint)
		}
	}
}

func TestShapesThatAreNoSettings(t *testing.T) {
	for _, tc := range []struct{ text, wants string }{
		{"[]", "the file is not a mapping"},
		{"profiles: 3", "profiles is not a mapping"},
		{"a: 1\n---\nb: 2", "more than one YAML document"},
		{"profiles: {a: &x {region: ie1}, b: *x}", `profile "b" is not a mapping`},
		{"profiles: {a: {<<: {region: ie1}}}", "not a plain name"},
		{"\tx: 1", "cannot start any token"},
		{"profiles: {a: {region: ie1", "did not find expected"},
		{"profiles: {a: {token_url: 'http://voice.example/t'}}", "http is allowed for this machine only"},
		{"profiles: {a: {token_url: 'https://u:p@voice.example/t'}}", "user name or password"},
		{"profiles: {a: {token_url: '/generateToken'}}", "not an absolute URL"},
		{"profiles: {a: {secret_store: vault}}", "neither \"keychain\" nor"},
		{"profiles: {a: {identity_prefix: 'ext-'}}", "letters, digits and underscores"},
		{"profiles: {a: {activity_name: ' x'}}", "starts or ends with a space"},
		{"profiles: {a: {activity_name: " + strings.Repeat("ä", 65) + "}}", "64 characters"},
	} {
		_, _, err := parseFile([]byte(tc.text), "flexvc.yaml")
		if !problem.Is(err, problem.ConfigInvalid) || !strings.Contains(err.Error(), tc.wants) {
			t.Errorf("%s: %v, want %q", tc.text, err, tc.wants)
		}
	}
	for _, text := range []string{"", "# nothing\n", "profiles:\n", "profiles: {a: }\n", "version: 1\nprofiles: {a: {region: }}", "\ufeffversion: 1\n"} {
		if _, _, err := parseFile([]byte(text), "flexvc.yaml"); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestLoopbackTokenURLs(t *testing.T) {
	for _, url := range []string{"http://localhost:3001/generateToken", "http://127.0.0.1/t", "http://[::1]:3/t", "https://voice.example/t?x=1"} {
		if why := isTokenURL(url); why != "" {
			t.Errorf("%s: %s", url, why)
		}
	}
	for _, url := range []string{"http://localhost.example/t", "http://127.0.0.1.example/t", "ftp://localhost/t", "https:voice", "https:///t", "https://x/#t"} {
		if isTokenURL(url) == "" {
			t.Errorf("%s is accepted", url)
		}
	}
}

// Nothing that parses is lost or invented, and a refusal never repeats a value.
func FuzzSettingsFile(f *testing.F) {
	f.Add([]byte("version: 1\nactive_profile: acme\nprofiles:\n  acme:\n    account_sid: " + acmeAC + "\n    plugin:\n      FLEX_APP_X: y\n"))
	f.Add([]byte("profiles: {a: &x {auth_token: zzz}, b: *x}"))
	f.Add([]byte("? [a]\n: b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, file, err := parseFile(data, "flexvc.yaml")
		if err != nil {
			if problem.As(err) == nil || problem.As(err).Code != problem.ConfigInvalid {
				t.Fatalf("not a problem: %v", err)
			}
			return
		}
		for profile, settings := range file.profiles {
			if !profileName(profile) {
				t.Errorf("profile %q", profile)
			}
			for name, text := range settings {
				s, ok := lookup(name)
				if !ok || s.check != nil && s.check(text) != "" {
					t.Errorf("accepted %s: %q", name, text)
				}
			}
		}
	})
}

func FuzzTwilioCLI(f *testing.F) {
	f.Add([]byte(`{"activeProject":"a","profiles":{"a":{"accountSid":"AC","apiKey":"SK","apiSecret":"x"}},"projects":[{"id":"b"}]}`))
	f.Add([]byte(`{"profiles":null,"projects":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		cli, err := parseTwilioCLI(data, "config.json")
		if err != nil {
			if !problem.Is(err, problem.ConfigUnreadable) {
				t.Fatalf("not a problem: %v", err)
			}
			return
		}
		for name, p := range cli.Profiles {
			id, err := p.identity(name)
			if err == nil && id.missing == nil && (id.credentials.Password == "" || isSID("SK")(id.credentials.Username) != "") {
				t.Errorf("profile %q gives unusable credentials", name)
			}
		}
	})
}
