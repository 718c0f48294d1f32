package config

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/flexvc/flexvc/internal/problem"
)

// twilioCLI is the part of the twilio CLI's config.json that flexvc reads. It
// is never written. The shape is that of @twilio/cli-core 8,
// src/services/config.js.
type twilioCLI struct {
	Profiles map[string]cliProfile `json:"profiles"`
	Active   string                `json:"activeProject"`
	Projects []struct {
		ID string `json:"id"`
	} `json:"projects"` // up to release 2: their keys are in a keychain
}

type cliProfile struct {
	AccountSID string `json:"accountSid"`
	Region     string `json:"region"`
	Edge       string `json:"edge"`
	APIKey     string `json:"apiKey"`
	APISecret  string `json:"apiSecret"`
}

// readTwilioCLI reads ~/.twilio-cli/config.json, or the one in
// TWILIO_CONFIG_DIR. No such file is no profiles.
func readTwilioCLI(getenv func(string) string) (twilioCLI, error) {
	dir := getenv("TWILIO_CONFIG_DIR")
	if dir == "" {
		home := homeOf(getenv)
		if home == "" {
			return twilioCLI{}, nil
		}
		dir = filepath.Join(home, ".twilio-cli")
	}
	path := filepath.Join(dir, "config.json")
	data, err := ReadText(path, textLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return twilioCLI{}, nil
	}
	if err != nil {
		return twilioCLI{}, problem.New(problem.ConfigUnreadable, "cannot read the twilio CLI's profiles: %w", err)
	}
	return parseTwilioCLI(data, path)
}

func parseTwilioCLI(data []byte, path string) (twilioCLI, error) {
	var cli twilioCLI
	if err := json.Unmarshal(data, &cli); err != nil {
		// The cause may quote the file, and the file holds secrets.
		return twilioCLI{}, problem.New(problem.ConfigUnreadable, "cannot read the twilio CLI's profiles: %s is not valid JSON", path).
			WithHint("check that the CLI can read it: twilio profiles:list")
	}
	return cli, nil
}

// identity turns a profile into credentials and settings.
func (p cliProfile) identity(name string) (identity, error) {
	origin := "twilio CLI profile " + name
	if p.APIKey == "" || p.APISecret == "" {
		return identity{missing: problem.New(problem.CredentialsMissing, "cannot use %s: it has no API key", origin).
			WithHint("twilio profiles:create --profile %s", name)}, nil
	}
	if why := isSID("SK")(p.APIKey); why != "" {
		return identity{}, problem.New(problem.ConfigInvalid, "cannot use the API key from %s: %s", origin, why)
	}
	id := identity{credentials: Credentials{p.APIKey, p.APISecret, APIKeyPair}, origin: origin, profile: map[string]any{}}
	for key, text := range map[string]string{AccountSID: p.AccountSID, Region: p.Region, Edge: p.Edge} {
		if text != "" {
			id.profile[key] = value{text, origin}
		}
	}
	return id, nil
}

func (c twilioCLI) isLegacy(name string) bool {
	for _, p := range c.Projects {
		if p.ID == name {
			return true
		}
	}
	return false
}

func (c twilioCLI) names() []string { return slices.Sorted(maps.Keys(c.Profiles)) }
