package config

import (
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/flexvc/flexvc/internal/problem"
)

// Kind says what credentials are made of.
type Kind string

// The kinds.
const (
	AuthToken  Kind = "auth token" // of the account: may do everything
	APIKeyPair Kind = "API key"
)

// Credentials are the user name and password of Twilio's HTTP API. However they
// are printed, logged or encoded, the password is left out.
type Credentials struct {
	Username string // AC… for an auth token, SK… for an API key
	Password string
	Kind     Kind
}

// String names the credentials without the password.
func (c Credentials) String() string {
	if c.Username == "" && c.Password == "" {
		return "no credentials"
	}
	return fmt.Sprintf("%s of %s (redacted)", c.Kind, c.Username)
}

// Format covers every verb of package fmt.
func (c Credentials) Format(s fmt.State, _ rune) { io.WriteString(s, c.String()) }

// GoString is String.
func (c Credentials) GoString() string { return c.String() }

// MarshalText is String, for JSON, YAML and whatever else encodes text.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// LogValue is String.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

var (
	_ fmt.Formatter  = Credentials{}
	_ fmt.GoStringer = Credentials{}
	_ slog.LogValuer = Credentials{}
)

// identity is an account and the way into it, from one source as a whole: the
// account of one and the key of another would be worse than none.
type identity struct {
	credentials Credentials
	origin      string
	missing     error          // why there are none
	profile     map[string]any // settings of the twilio CLI profile they are from
	explicit    bool           // -p names that profile, so the environment is left out
}

// identify follows the twilio CLI: -p NAME, then the environment, then the
// active profile. A profile of the CLI that has the name of the chosen flexvc
// profile comes before the active one.
func identify(in Input, profile string, file *settingsFile) (identity, error) {
	cli, cliErr := readTwilioCLI(in.Getenv)
	if in.Profile != "" {
		if p, ok := cli.Profiles[in.Profile]; ok {
			id, err := p.identity(in.Profile)
			id.explicit = true
			return id, err
		}
		if cli.isLegacy(in.Profile) {
			return identity{missing: legacyProfile(in.Profile)}, nil
		}
		if _, known := file.profiles[in.Profile]; !known && !in.New && in.Profile != "default" {
			if cliErr != nil {
				return identity{}, cliErr
			}
			return identity{}, unknownProfile(in.Profile, append(file.names(), cli.names()...))
		}
	}

	if id, why, err := environment(in.Getenv); err != nil || id.origin != "" {
		return id, err
	} else if why != "" {
		return identity{missing: noCredentials(why, cli)}, nil
	}

	if cliErr != nil {
		return identity{missing: cliErr}, nil
	}
	for _, name := range []string{profile, cli.Active} {
		if p, ok := cli.Profiles[name]; ok {
			return p.identity(name)
		}
		if name != "" && name == cli.Active && cli.isLegacy(name) {
			return identity{missing: legacyProfile(name)}, nil
		}
	}
	if in.Getenv("TWILIO_ACCOUNT_SID") != "" {
		return identity{missing: noCredentials("TWILIO_ACCOUNT_SID is set, but TWILIO_AUTH_TOKEN is not", cli)}, nil
	}
	return identity{missing: noCredentials("no credentials found", cli)}, nil
}

// environment takes the credentials from Twilio's own variables. Where only half of
// them is set, it says why there are none.
func environment(env func(string) string) (id identity, why string, err error) {
	key, secret, token := env("TWILIO_API_KEY"), env("TWILIO_API_SECRET"), env("TWILIO_AUTH_TOKEN")
	switch {
	case key != "" && secret != "":
		if why := isSID("SK")(key); why != "" {
			return identity{}, "", problem.New(problem.ConfigInvalid, "cannot use TWILIO_API_KEY from the environment: %s", why)
		}
		return identity{credentials: Credentials{key, secret, APIKeyPair}, origin: "environment TWILIO_API_KEY"}, "", nil
	case token != "":
		return identity{credentials: Credentials{"", token, AuthToken}, origin: "environment TWILIO_AUTH_TOKEN"}, "", nil
	case key != "":
		return identity{}, "TWILIO_API_KEY is set, but TWILIO_API_SECRET is not", nil
	case secret != "":
		return identity{}, "TWILIO_API_SECRET is set, but TWILIO_API_KEY is not", nil
	}
	return identity{}, "", nil
}

// FromEnvironment returns the credentials of Twilio's own variables for the account
// in TWILIO_ACCOUNT_SID, or why there are none.
func FromEnvironment(env func(string) string) (Credentials, error) {
	id, why, err := environment(env)
	switch {
	case err != nil:
		return Credentials{}, err
	case why == "" && id.origin == "":
		why = "TWILIO_ACCOUNT_SID is set, but TWILIO_AUTH_TOKEN is not"
	}
	if why != "" {
		return Credentials{}, problem.New(problem.CredentialsMissing, "cannot reach the emulator: %s", why).
			WithHint("set the variables that flexvc emulator prints, or use -p emulator")
	}
	if id.credentials.Kind == AuthToken {
		id.credentials.Username = env("TWILIO_ACCOUNT_SID")
	}
	return id.credentials, nil
}

func noCredentials(why string, cli twilioCLI) error {
	p := problem.New(problem.CredentialsMissing, "cannot reach Twilio: %s", why).
		WithHint("set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN (or TWILIO_API_KEY and TWILIO_API_SECRET), or use -p emulator")
	if names := cli.names(); len(names) > 0 {
		p.Hint += ", or a twilio CLI profile: -p " + names[0]
	}
	return p
}

func legacyProfile(name string) error {
	return problem.New(problem.CredentialsMissing, "cannot use twilio CLI profile %q: its key is in a keychain only old releases of that CLI can read", name).
		WithHint("twilio profiles:create --profile %s", name)
}

func unknownProfile(name string, known []string) error {
	p := problem.New(problem.ConfigInvalid, "cannot use profile %q: it is in neither flexvc.yaml nor the twilio CLI", name)
	slices.Sort(known)
	if near := problem.Nearest(name, append(known, Emulator)); near != "" {
		return p.WithHint("did you mean -p %s? To create a new profile: flexvc init -p %s", near, name)
	}
	return p.WithHint("create a new profile: flexvc init -p %s", name)
}
