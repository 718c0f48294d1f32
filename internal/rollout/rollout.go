// Package rollout writes what an administrator needs to bring a packed
// extension to every browser: the update manifest and the same policy in the
// formats of Chrome, Chromium and Edge on Linux, Windows and macOS. It also serves
// both, in stages. It neither packs nor signs: a package comes from internal/crx.
package rollout

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/durable"
	"github.com/flexvc/flexvc/internal/problem"
)

// Settings are what all formats say.
type Settings struct {
	ID         string
	Version    string
	MinChrome  string // minimum_chrome_version of the manifest, "" for none
	UpdateURL  string // absolute, of update.xml
	PackageURL string // absolute, of the .crx
	SHA256     string // of the .crx, hexadecimal
	Size       int64  // of the .crx, bytes

	// The extension's own settings, which it reads from storage.managed; see
	// managed_schema.json.
	Account   string   // SID, "" for any account
	TokenURLs []string // token endpoints, empty for any
	// Seconds, nil for the extension's default: how long the phone stays registered
	// without a Flex tab, and how long Twilio holds a caller whose browser is silent.
	LeaveAfter, Hold *int
}

func isID(text string) bool {
	return len(text) == 32 && strings.Trim(text, "abcdefghijklmnop") == ""
}

// check says what could not be used by any browser.
func (s Settings) check() error {
	if !isID(s.ID) {
		return fmt.Errorf("%q is not an extension ID", s.ID)
	}
	for _, address := range []string{s.UpdateURL, s.PackageURL} {
		if err := CheckURL(address); err != nil {
			return err
		}
	}
	return nil
}

// CheckURL says why browsers could not fetch an update from address: Chrome takes
// a relative codebase for a damaged update.xml (manifest_invalid_error 8).
func CheckURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not an address", address)
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return fmt.Errorf("%q is not an absolute http or https URL", address)
	case u.User != nil:
		return errors.New("an address must not contain a password: every browser sees it")
	}
	return nil
}

// PackageURL is the address of a package that lies beside update.xml.
func PackageURL(updateURL, file string) string {
	u, err := url.Parse(updateURL)
	if err != nil {
		return ""
	}
	u.RawQuery, u.Fragment = "", ""
	u.Path = path.Join(path.Dir("/"+strings.TrimPrefix(u.Path, "/")), file)
	return u.String()
}

// Browser is a browser by what its policies are called.
type Browser struct {
	Name      string // in file names
	Title     string
	Linux     []string // folders of policy files
	Registry  string   // key of policies
	Domain    string   // of macOS preferences
	Pin       string   // field of ExtensionSettings
	PinForced string
	About     string // the page that shows the policies in force
}

// The browsers. Chromium reads what Chrome reads, elsewhere.
var (
	Chrome = Browser{
		Name: "chrome", Title: "Google Chrome",
		Linux:    []string{"/etc/opt/chrome/policies/managed/", "/etc/chromium/policies/managed/"},
		Registry: `HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Google\Chrome`,
		Domain:   "com.google.Chrome",
		Pin:      "toolbar_pin", PinForced: "force_pinned",
		About: "chrome://policy",
	}
	Edge = Browser{
		Name: "edge", Title: "Microsoft Edge",
		Linux:    []string{"/etc/opt/edge/policies/managed/"},
		Registry: `HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Edge`,
		Domain:   "com.microsoft.Edge",
		Pin:      "toolbar_state", PinForced: "force_shown",
		About: "edge://policy",
	}
)

// Names of policies.
const (
	extensionSettings = "ExtensionSettings"
	audioCapture      = "AudioCaptureAllowedUrls"
	thirdParty        = "3rdparty"
)

// extension is the entry of ExtensionSettings. override_update_url makes later
// versions come from UpdateURL whatever the manifest says; without it, a
// manifest without update_url is never updated, and nothing tells so.
func (s Settings) extension(b Browser) map[string]any {
	return map[string]any{
		"installation_mode":   "force_installed",
		"override_update_url": true,
		b.Pin:                 b.PinForced,
		"update_url":          s.UpdateURL,
	}
}

// origin grants the microphone to the extension, so that agents are never prompted.
func (s Settings) origin() string { return "chrome-extension://" + s.ID + "/" }

// managed is what the extension reads from storage.managed.
func (s Settings) managed() map[string]any {
	m := map[string]any{}
	if s.Account != "" {
		m["account"] = s.Account
	}
	if len(s.TokenURLs) > 0 {
		m["tokenURLs"] = s.TokenURLs
	}
	if s.LeaveAfter != nil {
		m["leaveAfterSeconds"] = *s.LeaveAfter
	}
	if s.Hold != nil {
		m["holdSeconds"] = *s.Hold
	}
	return m
}

// policy is everything, in the shape of a Linux policy file.
func (s Settings) policy(b Browser) map[string]any {
	p := map[string]any{
		audioCapture:      []string{s.origin()},
		extensionSettings: map[string]any{s.ID: s.extension(b)},
	}
	if m := s.managed(); len(m) > 0 {
		p[thirdParty] = map[string]any{"extensions": map[string]any{s.ID: m}}
	}
	return p
}

// File is one file of a roll-out.
type File struct {
	Name    string
	Content []byte
}

// Files returns the whole roll-out: update.xml last, since it is what makes
// browsers fetch the package.
func (s Settings) Files() ([]File, error) {
	if err := s.check(); err != nil {
		return nil, problem.New(problem.Usage, "cannot write policies: %w", err)
	}
	files := []File{
		{"linux.json", indent(s.policy(Chrome))},
		{"linux-edge.json", indent(s.policy(Edge))},
	}
	for _, b := range []Browser{Chrome, Edge} {
		files = append(files,
			File{b.Name + ".reg", s.registry(b)},
			File{"gpo-" + b.Name + ".json", line(s.policy(b)[extensionSettings])},
			File{"intune-" + b.Name + ".json", indent(s.intune(b))},
			File{b.Name + ".mobileconfig", s.profile(b)},
			File{b.Domain + ".plist", plist(s.preferences(b))},
		)
		if m := s.managed(); len(m) > 0 {
			files = append(files, File{b.Domain + ".extensions." + s.ID + ".plist", plist(m)})
		}
	}
	console := s.policy(Chrome)
	delete(console, thirdParty)
	files = append(files, File{"admin-console.json", indent(console)})
	if m := s.managed(); len(m) > 0 {
		values := map[string]any{}
		for name, value := range m {
			values[name] = map[string]any{"Value": value}
		}
		files = append(files, File{"admin-console-storage.json", indent(values)})
	}
	files = append(files, File{"README.md", s.readme(files)})
	return append(files, File{UpdateFile, s.updateXML()}), nil
}

// UpdateFile is the name of the update manifest.
const UpdateFile = "update.xml"

// indent writes JSON for people; keys are sorted.
func indent(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		panic(err) // maps, lists and strings of our own
	}
	return b.Bytes()
}

// line writes JSON on one line, as the editor of Group Policy wants it.
func line(v any) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, indent(v)); err != nil {
		panic(err) // it has just been written
	}
	return append(b.Bytes(), '\n')
}

type updateXML struct {
	XMLName  xml.Name `xml:"http://www.google.com/update2/response gupdate"`
	Protocol string   `xml:"protocol,attr"`
	Apps     []app    `xml:"app"`
}

type app struct {
	ID     string        `xml:"appid,attr"`
	Checks []updateCheck `xml:"updatecheck"`
}

type updateCheck struct {
	Status    string `xml:"status,attr,omitempty"`
	Codebase  string `xml:"codebase,attr,omitempty"`
	Version   string `xml:"version,attr,omitempty"`
	MinChrome string `xml:"prodversionmin,attr,omitempty"`
	SHA256    string `xml:"hash_sha256,attr,omitempty"`
	Size      int64  `xml:"size,attr,omitempty"`
}

// updateXML is the update manifest that browsers ask for.
//
// Source: https://developer.chrome.com/docs/apps/autoupdate
func (s Settings) updateXML() []byte {
	text, err := xml.MarshalIndent(updateXML{
		Protocol: "2.0",
		Apps: []app{{s.ID, []updateCheck{{
			Codebase: s.PackageURL, Version: s.Version, MinChrome: s.MinChrome, SHA256: s.SHA256, Size: s.Size,
		}}}},
	}, "", "  ")
	if err != nil {
		panic(err) // strings and a number
	}
	return slices.Concat([]byte(xml.Header), text, []byte("\n"))
}

// updateLimit is the size of the longest update.xml that is read.
const updateLimit = 1 << 20

// Fault is what a browser would make of an update.xml.
type Fault struct {
	What     string
	Chromium string // what Chromium logs
}

// CheckUpdate says what is wrong with an update manifest for a package.
func (s Settings) CheckUpdate(text []byte) []Fault {
	failed := func(reason, code int) string {
		return fmt.Sprintf("Forced extension %s failed to install with data=failure_reason: %d; install_stage: 2; downloading_stage: 9; manifest_invalid_error: %d", s.ID, reason, code)
	}
	var u updateXML
	if len(text) > updateLimit {
		return []Fault{{"it is longer than 1 MiB", failed(16, 1)}}
	}
	if err := xml.Unmarshal(text, &u); err != nil {
		return []Fault{{"it is not an update manifest: " + err.Error(), failed(16, 1)}}
	}
	at := slices.IndexFunc(u.Apps, func(a app) bool { return a.ID == s.ID })
	if at < 0 {
		return []Fault{{"it has no entry for " + s.ID, failed(16, 4)}}
	}
	var faults []Fault
	if len(u.Apps[at].Checks) == 0 {
		return []Fault{{"its entry has no version", failed(16, 4)}}
	}
	for _, c := range u.Apps[at].Checks {
		if err := CheckURL(c.Codebase); err != nil {
			faults = append(faults, Fault{"its codebase is unusable: " + err.Error(), failed(16, 8)})
		}
		if c.Version != s.Version {
			faults = append(faults, Fault{fmt.Sprintf("it offers version %s, but the package is %s", c.Version, s.Version),
				fmt.Sprintf("Expected version %q, but version was %q", c.Version, s.Version)})
		}
		if c.SHA256 != "" && !strings.EqualFold(c.SHA256, s.SHA256) || c.Size != 0 && c.Size != s.Size {
			faults = append(faults, Fault{"its checksum or size belongs to another package", ""})
		}
	}
	return faults
}

// Write puts the files into dir, which it makes if need be; merge, when it is
// not nil, takes the place of linux.json. Each file is replaced as a whole. A
// folder with another extension's roll-out is left alone.
func Write(dir string, s Settings, merged []byte) (names []string, err error) {
	files, err := s.Files()
	if err != nil {
		return nil, err
	}
	if merged != nil {
		files[0].Content = merged
	}
	unwritable := func(path string, err error) error {
		return problem.New(problem.OutputUnwritable, "cannot write %s: %w", path, problem.Reason(err)).
			WithHint("check free space and permissions of %s", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, unwritable(dir, err)
	}
	if err := Free(dir, s.ID); err != nil {
		return nil, err
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		if err := durable.WriteFile(path, f.Content, 0o644); err != nil {
			return nil, unwritable(path, err)
		}
		names = append(names, f.Name)
	}
	return names, nil
}

// Free tells whether dir may take the roll-out of the extension id: not when
// another's is there, which browsers that have it would never leave.
func Free(dir, id string) error {
	text, err := os.ReadFile(filepath.Join(dir, UpdateFile))
	if err != nil {
		return nil
	}
	var u updateXML
	if xml.Unmarshal(text, &u) != nil || len(u.Apps) == 0 || slices.ContainsFunc(u.Apps, func(a app) bool { return a.ID == id }) {
		return nil
	}
	return problem.New(problem.PolicyConflict, "cannot write policies to %s: the existing ones are for another extension, %s", dir, u.Apps[0].ID).
		WithHint("use that extension's key, or choose another folder with --policy")
}
