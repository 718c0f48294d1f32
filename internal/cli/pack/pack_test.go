package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image/color"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/flexvc/flexvc/extension"
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/crx"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/rollout"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/internal/webstore"
)

// The pin that packing goes by is the one that the build goes by.
func TestPackPinsTheVoiceSDKOfTheBuild(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "extension", "scripts", "voice-sdk.json"))
	if err != nil {
		t.Fatal(err)
	}
	var pin struct {
		Version string
		Files   map[string]struct{ To, SHA256 string }
	}
	if err := json.Unmarshal(text, &pin); err != nil {
		t.Fatal(err)
	}
	file := pin.Files["dist/twilio.min.js"]
	if pin.Version != voiceSDKVersion || file.SHA256 != voiceSDKSum || "vendor/"+file.To != extension.VoiceSDK {
		t.Errorf("the build pins %s, %s; flexvc pack %s, %s", pin.Version, file.SHA256, voiceSDKVersion, voiceSDKSum)
	}
}

// The built-in extension itself asks for nothing that packing would refuse. Only
// the Voice SDK may be missing.
func TestPackTakesTheBuiltInExtension(t *testing.T) {
	_, rules, err := (&Options{builtIn: extension.App(), complete: true}).source()
	if err != nil {
		t.Fatal(err)
	}
	if !extension.HasVoiceSDK() {
		rules.Pinned = nil
	}
	folder, err := crx.ReadFolder(t.Context(), extension.App(), crx.Edits{}, rules)
	if err != nil {
		t.Fatalf("%v\n%s", err, problem.As(err).Detail)
	}
	if len(folder.LeftOut) != 0 {
		t.Errorf("left out: %v", folder.LeftOut)
	}
	raw, err := fs.ReadFile(extension.App(), crx.ManifestName)
	if err != nil || !bytes.Equal(raw, folder.ManifestText) {
		t.Errorf("the manifest was edited: %v", err)
	}
}

func TestPackNeedsTheVoiceSDK(t *testing.T) {
	app := fstest.MapFS{"manifest.json": {Data: []byte(`{"manifest_version": 3, "name": "x", "version": "1"}`)}}
	if _, _, err := (&Options{builtIn: app}).source(); !problem.Is(err, problem.ExtensionIncomplete) || !strings.Contains(problem.As(err).Hint, "make build") {
		t.Errorf("source = %v", err)
	}
	// A folder with another SDK than the pinned one is refused, wherever it is from.
	dir := t.TempDir()
	if err := os.CopyFS(dir, app); err != nil {
		t.Fatal(err)
	}
	other := []byte("another SDK")
	if err := os.CopyFS(dir, fstest.MapFS{extension.VoiceSDK: {Data: other}}); err != nil {
		t.Fatal(err)
	}
	source, rules, err := (&Options{from: dir}).source()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(other)
	_, err = crx.ReadFolder(t.Context(), source, crx.Edits{}, rules)
	if !problem.Is(err, problem.ExtensionInvalid) || !strings.Contains(err.Error(), extension.VoiceSDK+": its checksum is "+hex.EncodeToString(sum[:])) {
		t.Errorf("ReadFolder = %v", err)
	}
}

func TestWherePackLooksForUpdates(t *testing.T) {
	for tokenURL, want := range map[string]string{
		"http://localhost:3001/generateToken":          "http://localhost:3001/extension/update.xml",
		"https://voice.acme.example/x/generateToken?a": "https://voice.acme.example/extension/update.xml",
		"": "",
	} {
		if got := (&Options{}).update(&config.Config{TokenURL: tokenURL}); got != want {
			t.Errorf("for %q updates are at %q, want %q", tokenURL, got, want)
		}
	}
	for address, want := range map[string]bool{"http://localhost:1/": true, "http://127.8.8.8/": true, "http://[::1]/": true, "https://localhost.example.com/": false, "https://10.0.0.1/": false} {
		if onlyHere(address) != want {
			t.Errorf("onlyHere(%s) is %v", address, !want)
		}
	}
}

// Every permission of the built-in extension has its reason, and none that it does
// not ask for has one; descriptions and pictures are what the store takes.
func TestListingOfTheBuiltInExtension(t *testing.T) {
	manifest, err := fs.ReadFile(extension.App(), crx.ManifestName)
	if err != nil {
		t.Fatal(err)
	}
	files, err := webstore.Listing(extension.Store(), manifest)
	if err != nil {
		t.Fatal(err)
	}
	text, err := fs.ReadFile(extension.Store(), "permissions.json")
	if err != nil {
		t.Fatal(err)
	}
	var reasons map[string]string
	if err := json.Unmarshal(text, &reasons); err != nil {
		t.Fatal(err)
	}
	asked := slices.Concat(knownPermissions, knownHosts, []string{"other hosts"})
	for name := range reasons {
		if !slices.Contains(asked, name) {
			t.Errorf("there is a reason for %s, which the extension does not ask for", name)
		}
	}
	locales, err := fs.ReadDir(extension.App(), "_locales")
	if err != nil {
		t.Fatal(err)
	}
	var wanted, described []string
	for _, locale := range locales {
		wanted = append(wanted, "listing/"+locale.Name()+".txt")
	}
	pictures := map[string]int{}
	for _, f := range files {
		switch {
		case strings.HasPrefix(f.Name, "listing/"):
			described = append(described, f.Name)
		case strings.HasPrefix(f.Name, "pictures/"):
			picture, err := png.DecodeConfig(bytes.NewReader(f.Content))
			if err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
			kind := fmt.Sprintf("%dx%d", picture.Width, picture.Height)
			if picture.ColorModel == color.NRGBAModel {
				kind += " with transparency"
			}
			pictures[kind]++
		}
	}
	if !slices.Equal(described, wanted) {
		t.Errorf("descriptions are %v, languages %v", described, wanted)
	}
	if n := pictures["1280x800"]; n < 1 || n > 5 || pictures["440x280"] != 1 || len(pictures) != 2 {
		t.Errorf("pictures are %v, want 1 to 5 screenshots of 1280x800 and a tile of 440x280", pictures)
	}
}

// Chrome drops what its schema forbids, and says nothing: the settings allow the same.
func TestSecondsAreThoseOfTheSchema(t *testing.T) {
	text, err := fs.ReadFile(extension.App(), "managed_schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties map[string]struct {
			Type             string
			Minimum, Maximum *int
		}
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	for setting, property := range map[string]string{config.LeaveAfter: "leaveAfterSeconds", config.Hold: "holdSeconds"} {
		p := schema.Properties[property]
		if p.Type != "integer" || p.Minimum == nil || p.Maximum == nil {
			t.Fatalf("%s is %+v", property, p)
		}
		load := func(value string) error {
			_, err := config.Load(config.Input{Getenv: func(string) string { return "" }, ConfigDir: t.TempDir(), Flags: map[string]string{setting: value}})
			return err
		}
		for value, good := range map[string]bool{
			fmt.Sprint(*p.Minimum): true, fmt.Sprint(*p.Maximum): true,
			fmt.Sprint(*p.Minimum - 1): false, fmt.Sprint(*p.Maximum + 1): false, "10s": false, "+7": false, "1.5": false, "010": false,
		} {
			if err := load(value); (err == nil) != good {
				t.Errorf("%s %q: %v", setting, value, err)
			}
		}
	}
}

// What a person, a pipe and a program see of packing and verifying.
func TestPackGolden(t *testing.T) {
	schema, err := clitest.NewChecker("pack")
	if err != nil {
		t.Fatal(err)
	}
	id := strings.Repeat("kfjhbdlpoaegcimn", 2)
	sum := strings.Repeat("9f1c44e2b07a", 6)[:64]
	manifest := &crx.Manifest{
		ManifestVersion: 3, Name: "flexvc", Version: "1.4.0", UpdateURL: "https://ext.acme.example/flexvc/update.xml",
		Permissions: []string{"offscreen", "scripting", "storage"}, HostPermissions: []string{"https://flex.twilio.com/*"},
	}
	files := []crx.File{{Name: "background/worker.js", Size: 6701, SHA256: sum}, {Name: "manifest.json", Size: 1170, SHA256: sum}}
	full := &packResult{
		Format: "crx", File: "flexvc-1.4.0.crx", SDK: true, KeyFile: "/home/ada/.config/flexvc/extension.pem", ID: id,
		Folder:    &crx.Folder{Manifest: manifest, Files: files},
		Package:   &crx.Package{ID: id, Size: 212345, SHA256: sum},
		PolicyDir: "rollout/", PolicyFiles: []string{"linux.json", "linux-edge.json", "chrome.reg", "README.md", "update.xml"},
		PackageURL: "https://ext.acme.example/flexvc/flexvc-1.4.0.crx",
	}
	here := *manifest
	here.UpdateURL = "http://localhost:3001/extension/update.xml"
	doubtful := &packResult{
		Format: "crx", File: "out\x1b[2J.crx", KeyFile: "key.pem", KeyOpen: true, ID: id,
		Folder:  &crx.Folder{Manifest: &here, Files: files, LeftOut: []string{".DS_Store", "node_modules/"}},
		Package: &crx.Package{ID: id, Size: 12_345_678, SHA256: sum},
	}
	bare := &crx.Manifest{ManifestVersion: 3, Name: "flexvc", Version: "1.4.0"}
	proof := crx.Proof{Kind: "rsa", Bits: 2048, ID: id, At: 15, Valid: true, Key: sum}
	bad := proof
	bad.Valid = false
	listed := &listing{"store/", []string{"privacy-tab.md", "pictures/screenshot-1.png", "README.md"}}
	scenes := map[string]func(packView) error{
		"pack":          func(v packView) error { v.checked(full); return v.packed(full) },
		"pack-doubtful": func(v packView) error { v.checked(doubtful); return v.packed(doubtful) },
		"pack-zip": func(v packView) error {
			r := &packResult{Format: "zip", File: "flexvc-1.4.0.zip", SDK: true, Folder: &crx.Folder{Manifest: bare, Files: files}, Package: &crx.Package{Size: 999, SHA256: sum}}
			v.checked(r)
			return v.packed(r)
		},
		"pack-listing": func(v packView) error {
			r := &packResult{Format: "zip", File: "flexvc-1.4.0.zip", SDK: true, Listing: listed, Folder: &crx.Folder{Manifest: bare, Files: files}, Package: &crx.Package{Size: 999, SHA256: sum}}
			v.checked(r)
			return v.packed(r)
		},
		"publish-first": func(v packView) error {
			return v.published(&published{Item: "publishers/p/items/" + id, Version: "1.4.0", State: "PENDING_REVIEW", Uploaded: true, Submitted: true})
		},
		"publish-again": func(v packView) error {
			return v.published(&published{Item: "publishers/p/items/" + id, Version: "1.4.0", Before: "1.4.0", State: "PUBLISHED", Listing: listed})
		},
		"pack-dir": func(v packView) error {
			r := &packResult{Format: "dir", File: "flexvc-1.4.0", SDK: true, ID: id, KeyFile: "key.pem", Folder: &crx.Folder{Manifest: bare, Files: files}}
			v.checked(r)
			return v.packed(r)
		},
		"verify": func(v packView) error {
			return v.verified(&verifyResult{File: "flexvc-1.4.0.crx", OurID: id, Report: &crx.Report{
				Size: 212345, SHA256: sum, ID: id, ArchiveAt: 593, Proofs: []crx.Proof{proof}, Manifest: manifest, Name: manifest.Name, Files: files}})
		},
		"verify-damaged": func(v packView) error {
			return v.verified(&verifyResult{File: "cut.crx", OurID: strings.Repeat("a", 32),
				UpdateFaults: []rollout.Fault{{What: "rollout/update.xml: it has no entry for " + id, Chromium: "failure_reason: 16"}},
				Report: &crx.Report{Size: 100000, SHA256: sum, ID: id, ArchiveAt: 593, Proofs: []crx.Proof{bad}, Manifest: bare, Name: bare.Name, Files: files[:1],
					Faults: []crx.Fault{{At: 315, What: "the signature does not fit", Chromium: "Package is invalid: 'CRX_SIGNATURE_VERIFICATION_FAILED'."}, {At: 100000, What: "\x1b[2J: it is not whole"}}}})
		},
	}
	looks := []struct {
		name             string
		tty, color, json bool
		width            int
	}{
		{"tty", true, true, false, 100}, {"no-color", true, false, false, 100}, {"narrow", true, false, false, 60}, {"pipe", false, false, false, 100}, {"json", false, false, true, 100},
	}
	for name, show := range scenes {
		for _, look := range looks {
			var out, errs bytes.Buffer
			app := &cli.App{UI: ui.Fake(strings.NewReader(""), &out, &errs, look.tty, look.width), Getenv: func(string) string { return "" }}
			if look.color {
				if err := app.UI.SetColor("always"); err != nil {
					t.Fatal(err)
				}
			}
			if look.json {
				app.Global.Output = "json"
			}
			if err := show(newPackView(app, &config.Config{})); err != nil {
				t.Fatal(err)
			}
			clitest.Golden(t, filepath.Join("testdata", "golden", name+"."+look.name), out.String())
			if look.json {
				if _, err := schema.Line(out.Bytes()); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if errs.Len() > 0 || strings.Contains(strings.ReplaceAll(out.String(), "\x1b[2J", "CLEAR"), "CLEAR") {
				t.Errorf("%s/%s: a file's name reaches the terminal, or something standard error: %q", name, look.name, &errs)
			}
			if !look.json && slices.Contains([]string{"pack", "verify"}, name) && !strings.Contains(out.String(), id) {
				t.Errorf("%s/%s cuts the ID", name, look.name)
			}
		}
	}
}
