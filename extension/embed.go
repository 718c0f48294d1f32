// Package extension holds the Chrome extension's folder, as Chrome loads it.
// Packing, signing and checking it is internal/crx.
package extension

import (
	"embed"
	"io/fs"
)

// The pattern says all: because Go leaves out names that begin with an underscore, and Chrome wants _locales.
//
//go:embed all:app
var files embed.FS

//go:embed store
var store embed.FS

// VoiceSDK is the file, relative to App, that `npm run build` fetches. A binary built without it holds an
// extension that cannot make calls, so whoever packs it has to look for it.
const VoiceSDK = "vendor/twilio.min.js"

// App returns the extension's folder: manifest.json is at its root.
func App() fs.FS {
	return sub(files, "app")
}

// Store returns what a listing in the Chrome Web Store says of the extension; see
// internal/webstore.
func Store() fs.FS { return sub(store, "store") }

func sub(files fs.FS, folder string) fs.FS {
	inside, err := fs.Sub(files, folder)
	if err != nil {
		panic(err) // the name is a valid path, and that is all Sub checks
	}
	return inside
}

// HasVoiceSDK tells whether the Voice SDK was there when this binary was built.
func HasVoiceSDK() bool {
	_, err := fs.Stat(App(), VoiceSDK)
	return err == nil
}
