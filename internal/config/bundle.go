package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/flexvc/flexvc/internal/problem"
)

// Bundle is what another machine needs to be one with this one: the settings of a
// profile, the extension's signing key and the secret of the token server's key.
type Bundle struct {
	V          int               `json:"v"`
	Profile    string            `json:"profile"`
	Settings   map[string]string `json:"settings"`
	SigningKey string            `json:"signing_key,omitempty"` // PEM
	Secret     string            `json:"secret,omitempty"`      // of the setting api_key
}

const bundleVersion = 1

// ShortestPassphrase is in characters: the file may be copied and tried at leisure.
const ShortestPassphrase = 12

// here are the settings that say where a machine keeps something.
var here = []string{SecretStore, SigningKey}

// Bundle returns the profile as it is in the file, for another machine. Key and
// secret are the caller's to add.
func (c *Config) Bundle() Bundle {
	b := Bundle{V: bundleVersion, Profile: c.Profile, Settings: map[string]string{}}
	for _, name := range Names() {
		if text := c.stored[name]; text != "" && !slices.Contains(here, name) {
			b.Settings[name] = text
		}
	}
	return b
}

// Seal encrypts the bundle with a passphrase, in the format of age, as text.
// https://age-encryption.org/v1
func (b Bundle) Seal(w io.Writer, passphrase string) error {
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return problem.New(problem.Usage, "cannot seal: %w", err)
	}
	text := armor.NewWriter(w)
	sealed, err := age.Encrypt(text, recipient)
	if err != nil {
		return problem.New(problem.Internal, "cannot seal: %w", err)
	}
	if err := errors.Join(json.NewEncoder(sealed).Encode(b), sealed.Close(), text.Close()); err != nil {
		return problem.New(problem.OutputUnwritable, "cannot write the export: %w", problem.Reason(err))
	}
	return nil
}

// OpenBundle decrypts what Seal has written and validates it. Anything else is
// InputUnreadable; no error repeats a part of it.
func OpenBundle(data []byte, shown, passphrase string) (Bundle, error) {
	refuse := func(why string) (Bundle, error) {
		return Bundle{}, problem.New(problem.InputUnreadable, "cannot import %s: %s", shown, why)
	}
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return refuse("the passphrase is empty")
	}
	opened, err := age.Decrypt(armor.NewReader(bytes.NewReader(bytes.TrimSpace(data))), identity)
	if noMatch := new(age.NoIdentityMatchError); errors.As(err, &noMatch) {
		return refuse("the passphrase is wrong")
	}
	if err != nil {
		return refuse("it is no export of flexvc config export --sealed, or damaged")
	}
	text, err := io.ReadAll(io.LimitReader(opened, textLimit))
	if err != nil {
		return refuse("it is damaged")
	}
	var b Bundle
	if err := json.Unmarshal(text, &b); err != nil || b.V == 0 {
		return refuse("it holds no settings")
	}
	if why := b.fault(); why != "" {
		return refuse(why)
	}
	return b, nil
}

// fault is why a bundle cannot be used, or "".
func (b Bundle) fault() string {
	if b.V > bundleVersion {
		return "it was written by a newer flexvc"
	}
	if !profileName(b.Profile) {
		return "it names no profile"
	}
	for name, value := range b.Settings {
		s, ok := lookup(name)
		if !ok || slices.Contains(here, name) {
			return "it has a setting that this flexvc does not know"
		}
		if s.check != nil && s.check(value) != "" {
			return "its " + name + " is invalid"
		}
	}
	if strings.ContainsFunc(b.Secret, func(r rune) bool { return r <= ' ' || r == 0x7f }) || b.Secret != "" && b.Settings[APIKey] == "" {
		return "its secret is invalid"
	}
	return ""
}
