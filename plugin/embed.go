// Package plugin holds the Flex plugin's bundle, and gives it the settings of one
// account. How it is uploaded and released is in internal/provision, and its source
// in src.
package plugin

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
)

//go:embed dist
var dist embed.FS

// slot is where the build leaves room for the settings: the argument of the function that wraps the bundle, see
// scripts/build.js. Only there does it occur.
const slot = "/*flexvc:settings*/null"

// ErrNotBuilt says that this binary was built before `npm run build` had made a bundle.
var ErrNotBuilt = errors.New("the plugin's bundle is not in this binary")

// Settings are what the bundle has to know of an account. None of them is a secret: every agent's browser gets them.
type Settings struct {
	// Version is the plugin's, such as 1.4.0. The extension's popup shows it.
	Version string `json:"version"`
	// TokenURL is the address of the token endpoint: https, or http on loopback.
	TokenURL string `json:"tokenURL"`
	// IdentityPrefix is what the extension's identity begins with, such as ext_.
	IdentityPrefix string `json:"identityPrefix"`
	// OfflineActivitySID is the activity, WA and 32 hexadecimal digits, of agents whose voice client is away. Without
	// one the plugin leaves activities alone and says so.
	OfflineActivitySID string `json:"offlineActivitySID"`
	// HelpURL is a page of the agents' own help desk; empty for none.
	HelpURL string `json:"helpURL,omitempty"`
}

// Bundle returns the script that Flex loads, holding the settings. Equal settings give equal bytes.
// It fails with ErrNotBuilt when the binary holds no bundle.
func Bundle(settings Settings) ([]byte, error) {
	script, err := dist.ReadFile("dist/bundle.js")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotBuilt
	}
	if err != nil {
		return nil, err
	}
	return fill(script, settings)
}

func fill(script []byte, settings Settings) ([]byte, error) {
	if bytes.Count(script, []byte(slot)) != 1 {
		return nil, errors.New("the plugin's bundle has no place for its settings")
	}
	// Marshal escapes <, >, & and the line separators, so the text is safe in a script, inline ones too.
	object, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	return bytes.Replace(script, []byte(slot), object, 1), nil
}

// HasBundle tells whether the bundle was there when this binary was built.
func HasBundle() bool {
	_, err := fs.Stat(dist, "dist/bundle.js")
	return err == nil
}
