// Package config finds flexvc's settings and credentials: from flags, the
// environment, a profile of flexvc.yaml, the twilio CLI's profiles and defaults,
// in that order. It hands out one plain struct that knows where each value came
// from. viper lives here only. What a setting is good for is its reader's business.
//
// A secret is never a setting. Credentials come from the environment or from the
// twilio CLI; what flexvc itself has to keep goes to a SecretStore.
package config

import (
	"path/filepath"
	"strings"

	"github.com/spf13/viper"

	"github.com/flexvc/flexvc/internal/problem"
)

// Emulator is the profile that stands for the built-in emulator. Nothing of the
// environment's Twilio account or of the twilio CLI reaches it.
const Emulator = "emulator"

// FileName is what the settings file is called in the configuration folder.
const FileName = "flexvc.yaml"

// Input is all that Load looks at.
type Input struct {
	Getenv    func(string) string
	ConfigDir string            // where flexvc.yaml is when File is empty
	File      string            // --config: must exist unless New is set
	Profile   string            // -p: must be known unless New is set
	Flags     map[string]string // settings given on the command line, by name
	// Credentials are those of the emulator, for its profile only.
	Credentials Credentials
	// New says that the command may write a file or a profile that is not
	// there yet.
	New bool
}

// Config is what applies to one profile, validated.
type Config struct {
	File    string // the settings file, absolute; it may not exist
	Profile string

	AccountSID     string
	WorkspaceSID   string
	ActivityName   string
	ActivitySID    string
	IdentityPrefix string
	TokenURL       string
	Region         string
	Edge           string
	APIKeySID      string // the token server's key, SK…
	SecretStore    string // "keychain" or "file:" and an absolute path
	SigningKey     string // absolute path
	Plugin         map[string]string

	Credentials Credentials

	home    string
	values  map[string]value
	stored  map[string]string // the profile as it is in the file
	found   bool              // the file has this profile
	active  string            // the file's active profile
	keys    []string          // the API keys of all profiles of the file
	missing error             // why there are no credentials
	way     string            // where they are from
}

// value is a setting and where it came from. The two travel through viper as
// one, so that they cannot disagree.
type value struct{ text, origin string }

// Load reads the settings of one profile. It works without credentials:
// RequireCredentials tells why there are none.
func Load(in Input) (*Config, error) {
	path := in.File
	if path == "" {
		path = filepath.Join(in.ConfigDir, FileName)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, problem.New(problem.ConfigUnreadable, "cannot locate the settings file: %w", err)
	}
	c := &Config{File: path, home: homeOf(in.Getenv)}
	file, err := readFile(path, c.short(path))
	if err != nil {
		return nil, err
	}
	if file.missing && in.File != "" && !in.New && in.Profile != Emulator {
		return nil, problem.New(problem.ConfigUnreadable, "cannot read settings: %s does not exist", c.short(path)).
			WithHint("flexvc init --config %s", c.short(path))
	}
	if c.Profile, err = chooseProfile(in, file, c.short(path)); err != nil {
		return nil, err
	}
	c.stored, c.found = file.profiles[c.Profile]
	c.active = file.active
	for _, profile := range file.profiles {
		if sid := profile[APIKey]; sid != "" {
			c.keys = append(c.keys, sid)
		}
	}

	var id identity
	if c.Emulated() {
		id = identity{credentials: in.Credentials, origin: "the emulator", missing: problem.New(problem.CredentialsMissing,
			"cannot reach the emulator: it provided no credentials")}
		if in.Credentials.Username != "" {
			id.missing = nil
		}
	} else if id, err = identify(in, c.Profile, file); err != nil {
		return nil, err
	}
	c.Credentials, c.missing, c.way = id.credentials, id.missing, id.origin
	if err := c.resolve(in, id, file); err != nil {
		return nil, err
	}
	if c.missing == nil {
		c.missing = c.sameAccount()
	}
	return c, nil
}

// chooseProfile returns -p, the file's active profile or "default".
func chooseProfile(in Input, file *settingsFile, name string) (string, error) {
	if in.Profile != "" {
		if !profileName(in.Profile) {
			return "", problem.New(problem.Usage, "cannot use profile %q: a name is letters, digits, dots, hyphens and underscores", in.Profile)
		}
		return in.Profile, nil
	}
	if file.active == Emulator {
		return "", problem.New(problem.ConfigInvalid, "cannot use %s: the emulator cannot be the active profile of a settings file", name).
			WithHint("flexvc config set active_profile default, and set FLEXVC_PROFILE=emulator")
	}
	if file.active != "" {
		return file.active, nil
	}
	return "default", nil
}

// resolve lays the sources over each other and takes the values.
func (c *Config) resolve(in Input, id identity, file *settingsFile) error {
	// NUL cannot be part of a key, so viper sees none of the dots as a path.
	v := viper.NewWithOptions(viper.KeyDelimiter("\x00"))
	for _, s := range schema {
		if s.initial != "" {
			v.SetDefault(s.name, value{s.initial, "default"})
		}
	}
	if c.Emulated() {
		v.SetDefault(SecretStore, value{"file:secrets", "default"})
	}
	layers := []map[string]any{id.profile, {}, {}}
	for name, text := range c.stored {
		layers[1][name] = value{text, c.fileOrigin()}
	}
	if !id.explicit && !c.Emulated() {
		for _, s := range schema {
			if text := in.Getenv(s.env); s.env != "" && text != "" {
				layers[2][s.name] = value{text, "environment " + s.env}
			}
		}
	}
	for _, layer := range layers {
		if err := v.MergeConfigMap(layer); err != nil {
			return problem.New(problem.Internal, "cannot merge settings: %w", err)
		}
	}
	for name, text := range in.Flags {
		v.Set(name, value{text, "command line"})
	}

	c.values = map[string]value{}
	for _, s := range schema {
		got, _ := v.Get(s.name).(value)
		switch {
		case got.text != "":
		case s.name == PluginActivityName:
			got = value{c.values[ActivityName].text, "default"}
		case s.name == PluginTokenURL:
			got = value{c.values[TokenURL].text, "default"}
		}
		if got.text != "" && s.check != nil {
			if why := s.check(got.text); why != "" {
				return problem.New(problem.ConfigInvalid, "cannot use %s from %s: %s", s.name, got.origin, why)
			}
		}
		c.values[s.name] = got
	}
	text := func(name string) string { return c.values[name].text }
	c.AccountSID, c.WorkspaceSID = text(AccountSID), text(WorkspaceSID)
	c.ActivityName, c.ActivitySID = text(ActivityName), text(ActivitySID)
	c.IdentityPrefix, c.TokenURL = text(IdentityPrefix), text(TokenURL)
	c.Region, c.Edge = text(Region), text(Edge)
	c.APIKeySID = text(APIKey)
	c.SigningKey = c.absolute(text(SigningKey))
	c.SecretStore = text(SecretStore)
	if path, ok := strings.CutPrefix(c.SecretStore, "file:"); ok {
		c.SecretStore = "file:" + c.absolute(path)
	}
	c.Plugin = map[string]string{}
	for _, s := range schema {
		if key, ok := strings.CutPrefix(s.name, pluginPrefix); ok {
			c.Plugin[key] = text(s.name)
		}
	}
	if c.Credentials.Kind == AuthToken {
		c.Credentials.Username = c.AccountSID
	}
	return nil
}

// sameAccount refuses one account's credentials with another's settings.
func (c *Config) sameAccount() error {
	if c.AccountSID == "" {
		return problem.New(problem.CredentialsMissing, "cannot reach Twilio: credentials are set, but no account SID").
			WithHint("set TWILIO_ACCOUNT_SID")
	}
	stored := c.stored[AccountSID]
	if c.Emulated() || stored == "" || stored == c.AccountSID {
		return nil
	}
	return problem.New(problem.ConfigInvalid, "cannot use profile %q of %s: it is for account %s, but %s sets %s",
		c.Profile, c.short(c.File), stored, c.Origin(AccountSID), c.AccountSID).
		WithHint("use one profile per account: flexvc init -p NAME")
}

// RequireCredentials returns nil when Credentials can be used for AccountSID,
// or the problem to show.
func (c *Config) RequireCredentials() error { return c.missing }

// Emulated reports whether the profile is the emulator's.
func (c *Config) Emulated() bool { return c.Profile == Emulator }

// Origin says where a setting came from, such as "environment
// TWILIO_ACCOUNT_SID", "flexvc.yaml profile acme", "twilio CLI profile acme" or
// "default". It is empty for a setting without a value.
func (c *Config) Origin(name string) string { return c.values[name].origin }

// CredentialsOrigin says where the credentials came from; empty without any.
func (c *Config) CredentialsOrigin() string { return c.way }

// Value returns a setting as text, as it was given; empty when unset.
func (c *Config) Value(name string) string { return c.values[name].text }

// Stored returns what the profile in the file itself says about a setting.
func (c *Config) Stored(name string) string { return c.stored[name] }

// ActiveProfile returns the profile that the file itself makes the active one,
// or "".
func (c *Config) ActiveProfile() string { return c.active }

// APIKeys returns the token server's keys of all profiles of the file.
func (c *Config) APIKeys() []string { return c.keys }

// HasProfile reports whether the settings file has this profile.
func (c *Config) HasProfile() bool { return c.found }

// Short returns path as people write it, with ~ for the home folder.
func (c *Config) Short(path string) string { return c.short(path) }

func (c *Config) short(path string) string {
	if rest, ok := strings.CutPrefix(path, c.home+string(filepath.Separator)); ok && c.home != "" {
		return "~" + string(filepath.Separator) + rest
	}
	return path
}

// absolute resolves a path of the settings file: "~/" is the home folder, and
// a relative one starts beside the file.
func (c *Config) absolute(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok && c.home != "" {
		return filepath.Join(c.home, rest)
	}
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(c.File), path)
}

func (c *Config) fileOrigin() string {
	return filepath.Base(c.File) + " profile " + c.Profile
}

func homeOf(getenv func(string) string) string {
	if home := getenv("HOME"); home != "" {
		return filepath.Clean(home)
	}
	return getenv("USERPROFILE")
}
