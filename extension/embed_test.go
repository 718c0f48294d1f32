package extension

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// fetched by npm run build, so they may be missing
var fetched = []string{VoiceSDK, "vendor/LICENSE.md"}

func listFiles(t *testing.T) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(App(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// What ships is what is listed: a forgotten file breaks the extension, a stray one is signed with it.
func TestTheFolderHoldsExactlyTheWantedFiles(t *testing.T) {
	wanted := strings.Fields(`
		_locales/de/messages.json _locales/en/messages.json _locales/es/messages.json _locales/fr/messages.json
		_locales/ja/messages.json _locales/pt_BR/messages.json
		background/calls.js background/desk.js background/effects.js background/line.js background/machine.js
		background/ports.js background/schedule.js background/steps.js background/store.js background/token.js
		background/view.js background/windows.js background/worker.js
		content/bridge.js
		icons/call-16.png icons/call-32.png icons/error-16.png icons/error-32.png icons/green-128.png icons/green-16.png
		icons/green-32.png icons/green-48.png icons/grey-16.png icons/grey-32.png icons/muted-16.png icons/muted-32.png
		managed_schema.json
		manifest.json
		offscreen/client.js offscreen/debts.js offscreen/digits.js offscreen/headset.js offscreen/link.js offscreen/microphone.js offscreen/offscreen.html
		offscreen/offscreen.js offscreen/peers.js offscreen/phone.js offscreen/quality.js offscreen/rehearsal.js
		offscreen/signal.js offscreen/switchboard.js
		popup/actions.js popup/names.js popup/others.js popup/popup.css popup/popup.html popup/popup.js popup/sound.js
		popup/status.js
		shared/insights.js shared/look.css shared/messages.js shared/patience.js shared/stream.js shared/words.js
		vendor/README.md vendor/twilio.min.d.ts
		welcome/welcome.css welcome/welcome.html welcome/welcome.js
	`)
	found := slices.DeleteFunc(listFiles(t), func(name string) bool { return slices.Contains(fetched, name) })
	slices.Sort(wanted)
	slices.Sort(found)
	if !slices.Equal(found, wanted) {
		t.Errorf("files are\n%s\nwanted\n%s", strings.Join(found, "\n"), strings.Join(wanted, "\n"))
	}
}

// Each of these is justified in store/permissions.json and SECURITY.md. More of any is a decision, not an accident.
func TestTheManifestGainsNoPermissionUnnoticed(t *testing.T) {
	raw, err := fs.ReadFile(App(), "manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	var manifest map[string]any
	if err := json.Unmarshal(raw, &manifest); err != nil {
		t.Fatal(err)
	}
	wanted := map[string]any{
		"permissions":      []any{"offscreen", "scripting", "storage"},
		"host_permissions": []any{"https://flex.twilio.com/*"},
		"content_security_policy": map[string]any{
			"extension_pages": "script-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		},
		"content_scripts": []any{map[string]any{
			"matches":    []any{"https://flex.twilio.com/*"},
			"js":         []any{"content/bridge.js"},
			"run_at":     "document_start",
			"all_frames": false,
		}},
		"externally_connectable": map[string]any{"ids": []any{}},
	}
	for key, value := range wanted {
		if !reflect.DeepEqual(manifest[key], value) {
			t.Errorf("%s is %v, wanted %v", key, manifest[key], value)
		}
	}
	known := strings.Fields(`action background content_scripts content_security_policy default_locale description
		externally_connectable host_permissions icons manifest_version minimum_chrome_version name permissions
		short_name storage version`)
	for key := range manifest {
		if !slices.Contains(known, key) {
			t.Errorf("the manifest has a new key, %s: what does it let the extension, or others, do?", key)
		}
	}
}

func TestTheManifestNamesFilesThatExist(t *testing.T) {
	raw, err := fs.ReadFile(App(), "manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	var manifest any
	if err := json.Unmarshal(raw, &manifest); err != nil {
		t.Fatal(err)
	}
	named := 0
	var walk func(any)
	walk = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			for _, inner := range value {
				walk(inner)
			}
		case []any:
			for _, inner := range value {
				walk(inner)
			}
		case string:
			if ext := path.Ext(value); ext != ".js" && ext != ".html" && ext != ".png" && ext != ".json" {
				return
			}
			named++
			if _, err := fs.Stat(App(), value); err != nil {
				t.Error(err)
			}
		}
	}
	walk(manifest)
	if named < 8 {
		t.Errorf("only %d files found in the manifest", named)
	}
}

func TestTheVoiceSDKIsThePinnedOne(t *testing.T) {
	if !HasVoiceSDK() {
		t.Skip("built without the Voice SDK; npm run build fetches it")
	}
	raw, err := os.ReadFile("scripts/voice-sdk.json")
	if err != nil {
		t.Fatal(err)
	}
	var pin struct {
		Files map[string]struct{ To, SHA256 string }
	}
	if err := json.Unmarshal(raw, &pin); err != nil {
		t.Fatal(err)
	}
	if len(pin.Files) != len(fetched) {
		t.Fatalf("%d files are pinned, %d are fetched", len(pin.Files), len(fetched))
	}
	for _, file := range pin.Files {
		content, err := fs.ReadFile(App(), "vendor/"+file.To)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != file.SHA256 {
			t.Errorf("vendor/%s has checksum %x, pinned is %s", file.To, sum, file.SHA256)
		}
	}
}

// The limit the project set itself; a browser fetches the whole package at every update.
func TestThePackedFolderIsSmall(t *testing.T) {
	if !HasVoiceSDK() {
		t.Skip("built without the Voice SDK; npm run build fetches it")
	}
	var size counter
	archive := zip.NewWriter(&size)
	if err := archive.AddFS(App()); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files, %d bytes packed", len(listFiles(t)), size)
	if size > 400_000 {
		t.Errorf("packed it is %d bytes, the limit is 400000", size)
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
