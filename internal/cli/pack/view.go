package pack

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/crx"
	"github.com/flexvc/flexvc/internal/rollout"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/internal/webstore"
)

// packResult is what `flexvc pack` has made so far.
type packResult struct {
	Format      string
	File        string
	Folder      *crx.Folder
	SDK         bool // it holds the pinned Voice SDK
	KeyFile     string
	KeyOpen     bool // others may read the key
	ID          string
	Package     *crx.Package // nil for a folder
	PolicyDir   string
	PolicyFiles []string
	PackageURL  string
	Publishing  bool     // it goes to the Web Store next
	Listing     *listing // what --listing has written, nil without it
}

type verifyResult struct {
	File         string
	Report       *crx.Report
	OurID        string // of the profile's key, "" when there is none
	UpdateFaults []rollout.Fault
}

// packView is what `flexvc pack` prints.
type packView interface {
	checked(*packResult)      // all is as it should be, and nothing written yet
	packed(*packResult) error // everything is written
	verified(*verifyResult) error
	published(*published) error
}

var (
	_ packView = (*packText)(nil)
	_ packView = (*packJSON)(nil)
)

func newPackView(app *cli.App, cfg *config.Config) packView {
	if app.JSON() {
		return &packJSON{app}
	}
	return &packText{app.UI, cfg}
}

// packText is the view for people.
type packText struct {
	ui  *ui.Streams
	cfg *config.Config
}

func (v *packText) line(sign ui.Sign, name, format string, args ...any) {
	v.ui.Chat(" %s %s %s\n", v.ui.Mark(v.ui.Out, sign), v.ui.Pad(name, 12), ui.Clean(fmt.Sprintf(format, args...)))
}

func (v *packText) row(name, format string, args ...any) {
	v.ui.Printf("%s %s\n", v.ui.Pad(name, 7), ui.Clean(fmt.Sprintf(format, args...)))
}

func (v *packText) checked(r *packResult) {
	m := r.Folder.Manifest
	v.line(ui.Done, "manifest", "%s", asks(m))
	if files := ui.Plural(len(r.Folder.Files), "file"); r.SDK {
		v.line(ui.Done, "integrity", "%s, no remote code, Voice SDK %s checksum matches", files, voiceSDKVersion)
	} else {
		v.line(ui.Alert, "integrity", "%s, no remote code, but no Voice SDK: it cannot make calls", files)
	}
	if len(r.Folder.LeftOut) > 0 {
		v.line(ui.Skipped, "left out", "%s", strings.Join(r.Folder.LeftOut, ", "))
	}
	switch {
	case r.KeyFile == "":
	case r.KeyOpen:
		v.line(ui.Alert, "key", "%s, readable by others: chmod 600 %[1]s", v.cfg.Short(r.KeyFile))
	default:
		v.line(ui.Done, "key", "%s, readable only by you", v.cfg.Short(r.KeyFile))
	}
	switch {
	case r.Format != "crx":
	case m.UpdateURL == "":
		v.line(ui.Alert, "updates", "none: the manifest has no update_url; pass --update-url")
	case onlyHere(m.UpdateURL):
		v.line(ui.Alert, "updates", "%s, for browsers on this machine only; for others pass --update-url", m.UpdateURL)
	default:
		v.line(ui.Done, "updates", "%s", m.UpdateURL)
	}
}

func (v *packText) listing(l *listing) {
	if l != nil {
		v.row("listing", "%s  %s; %s says where each goes in the dashboard", l.Dir, ui.Plural(len(l.Files), "file"), webstore.ListingReadme)
	}
}

func (v *packText) packed(r *packResult) error {
	switch r.Format {
	case "dir":
		v.row("folder", "%s", r.File)
	default:
		v.row("file", "%s   %s", r.File, size(r.Package.Size))
		v.row("sha256", "%s      (same input, same bytes)", v.short(r.Package.SHA256))
	}
	if r.ID != "" {
		v.row("id", "%s", r.ID)
	}
	if r.PolicyDir != "" {
		v.row("policy", "%s  %s", r.PolicyDir, strings.Join(overview(r.PolicyFiles), ", "))
	}
	v.listing(r.Listing)
	switch {
	case r.Publishing:
	case r.Format == "zip" && r.Listing != nil:
		v.ui.Chat("\nNext: upload it in the Chrome Web Store's developer dashboard and enter the listing beside it; it gets a different ID there\n")
	case r.Format == "zip":
		v.ui.Chat("\nNext: upload it in the Chrome Web Store's developer dashboard; it gets a different ID there\n")
	case r.Format == "dir":
		v.ui.Chat("\nNext: chrome://extensions, \"Load unpacked\", %s\n", r.File)
	case r.PolicyDir != "":
		v.ui.Chat("\nNext: flexvc serve --extension %s, or put it at %s; then see %s\n", ui.Clean(r.File), ui.Clean(r.PackageURL), ui.Clean(strings.TrimSuffix(r.PolicyDir, "/")+"/README.md"))
	default:
		v.ui.Chat("\nNext: flexvc serve --extension %s\n", ui.Clean(r.File))
	}
	return nil
}

// overview names the files that one looks for first; the README names all.
func overview(files []string) []string {
	var names []string
	for _, name := range []string{rollout.UpdateFile, "linux.json", "chrome.reg", "edge.reg", "chrome.mobileconfig", "edge.mobileconfig", "admin-console.json", "README.md"} {
		if slices.Contains(files, name) {
			names = append(names, name)
		}
	}
	return append(names, fmt.Sprintf("%d more", len(files)-len(names)))
}

func (v *packText) verified(r *verifyResult) error {
	p := r.Report
	for _, proof := range p.Proofs {
		sign, word := ui.Done, "fits"
		if !proof.Valid {
			sign, word = ui.Failed, "does not fit"
		}
		v.line(sign, "signature", "%s %d, %s, of %s", strings.ToUpper(proof.Kind), proof.Bits, word, proof.ID)
	}
	if m := p.Manifest; m != nil {
		v.line(ui.Done, "manifest", "%s %s, %s", p.Name, m.Version, asks(m))
		if m.UpdateURL != "" {
			v.line(ui.Done, "updates", "%s", m.UpdateURL)
		} else {
			v.line(ui.Alert, "updates", "none, unless a policy sets override_update_url")
		}
	}
	if r.OurID != "" && p.ID != "" && r.OurID != p.ID {
		v.line(ui.Alert, "key", "not this profile's, whose ID is %s", r.OurID)
	}
	for _, fault := range p.Faults {
		v.fault(fmt.Sprintf("byte %d", fault.At), fault.What, fault.Chromium)
	}
	for _, fault := range r.UpdateFaults {
		v.fault("update", fault.What, fault.Chromium)
	}
	v.row("file", "%s   %s", r.File, size(p.Size))
	v.row("sha256", "%s", p.SHA256)
	if p.ID != "" {
		v.row("id", "%s", p.ID)
	}
	if len(p.Files) > 0 {
		v.ui.Chat("\n")
		rows := make([][]string, len(p.Files))
		for i, f := range p.Files {
			rows[i] = []string{f.Name, fmt.Sprint(f.Size), f.SHA256}
		}
		v.ui.Table([]string{"FILE", "BYTES", "SHA256"}, rows)
	}
	return nil
}

func (v *packText) fault(where, what, chromium string) {
	v.ui.Printf(" %s %s %s\n", v.ui.Mark(v.ui.Out, ui.Failed), v.ui.Pad(where, 12), ui.Clean(what))
	if chromium != "" {
		v.ui.Printf("   %s Chromium says: %s\n", v.ui.Pad("", 12), ui.Clean(chromium))
	}
}

// short shows the ends of a checksum.
func (v *packText) short(sum string) string { return sum[:6] + v.ui.Ellipsis() + sum[len(sum)-6:] }

// asks says what a manifest asks for.
func asks(m *crx.Manifest) string {
	hosts := make([]string, len(m.HostPermissions))
	for i, host := range m.HostPermissions {
		_, host, _ = strings.Cut(host, "://")
		hosts[i] = strings.TrimSuffix(host, "/*")
	}
	list := func(noun string, items []string) string {
		if len(items) == 0 {
			return "no " + noun + "s"
		}
		return fmt.Sprintf("%s (%s)", ui.Plural(len(items), noun), strings.Join(items, ", "))
	}
	return fmt.Sprintf("MV%d, %s, %s", m.ManifestVersion, list("permission", m.Permissions), list("host", hosts))
}

// size prints "212 kB".
func size(bytes int64) string {
	if bytes < 10_000_000 {
		return fmt.Sprintf("%d kB", (bytes+500)/1000)
	}
	return fmt.Sprintf("%d MB", (bytes+500_000)/1_000_000)
}

type packedEvent struct {
	V           int         `json:"v"`                    // version of the format
	Event       string      `json:"event"`                // kind of line
	Format      string      `json:"format"`               // as --format takes it
	File        string      `json:"file"`                 // path of what was written
	Size        int64       `json:"size,omitempty"`       // bytes; absent for a folder
	SHA256      string      `json:"sha256,omitempty"`     // hexadecimal; absent for a folder
	ID          string      `json:"id,omitempty"`         // of the extension; absent when the store gives one
	Version     string      `json:"version"`              // of the extension
	UpdateURL   string      `json:"update_url,omitempty"` // where browsers ask for updates
	Permissions []string    `json:"permissions"`          // the manifest asks for
	Hosts       []string    `json:"hosts"`                // match patterns the manifest asks for
	VoiceSDK    string      `json:"voice_sdk,omitempty"`  // version inside; absent: none
	Key         *keyJSON    `json:"key,omitempty"`        // the package is signed with
	Policy      *policyJSON `json:"policy,omitempty"`     // with --policy
	Files       []crx.File  `json:"files"`                // in the package
	LeftOut     []string    `json:"left_out"`             // files of the folder that the package lacks
	Listing     *listing    `json:"listing,omitempty"`    // with --listing
}

type keyJSON struct {
	Path string `json:"path"` // file
	Open bool   `json:"open"` // others on this machine can read it
}

type policyJSON struct {
	Dir        string   `json:"dir"`         // folder
	Files      []string `json:"files"`       // names in it
	PackageURL string   `json:"package_url"` // where browsers fetch the package
}

type verifiedEvent struct {
	V           int         `json:"v"`                    // version of the format
	Event       string      `json:"event"`                // kind of line
	File        string      `json:"file"`                 // path
	OK          bool        `json:"ok"`                   // no faults
	Size        int64       `json:"size"`                 // bytes
	SHA256      string      `json:"sha256"`               // hexadecimal
	ID          string      `json:"id,omitempty"`         // of the extension, as the file declares it
	OurID       string      `json:"our_id,omitempty"`     // of the profile's signing key
	Name        string      `json:"name,omitempty"`       // of the extension, in its default locale
	Version     string      `json:"version,omitempty"`    // of the extension
	UpdateURL   string      `json:"update_url,omitempty"` // where browsers ask for updates
	Permissions []string    `json:"permissions"`          // the manifest asks for
	Hosts       []string    `json:"hosts"`                // match patterns the manifest asks for
	ArchiveAt   int64       `json:"archive_at"`           // byte of the file at which the ZIP archive starts
	Proofs      []crx.Proof `json:"proofs"`               // signatures
	Files       []crx.File  `json:"files"`                // in the package
	Faults      []faultJSON `json:"faults"`               // what is wrong
}

type faultJSON struct {
	At       *int64 `json:"at,omitempty"`       // byte of the file; absent for a fault of the update file
	What     string `json:"what"`               // is wrong
	Chromium string `json:"chromium,omitempty"` // what Chromium logs of it
}

// Shapes are what flexvc pack prints.
func Shapes() []cli.Shape {
	command := []string{"pack"}
	return []cli.Shape{
		{Commands: command, Name: "packed", Of: packedEvent{}, When: "Alone, when the package was written; with --publish, before it is uploaded."},
		{Commands: command, Name: "published", Of: publishedEvent{}, When: "With --publish: what became of the version in the store."},
		{Commands: command, Name: "verified", Of: verifiedEvent{}, When: "With --verify, alone."},
	}
}

// packJSON is the view for programs: one object.
type packJSON struct{ app *cli.App }

func (v *packJSON) checked(*packResult) {}

func (v *packJSON) packed(r *packResult) error {
	m := r.Folder.Manifest
	event := packedEvent{V: 1, Listing: r.Listing, Event: "packed", Format: r.Format, File: r.File, ID: r.ID, Version: m.Version, UpdateURL: m.UpdateURL,
		Permissions: listed(m.Permissions), Hosts: listed(m.HostPermissions), Files: r.Folder.Files, LeftOut: listed(r.Folder.LeftOut)}
	if r.Package != nil {
		event.Size, event.SHA256 = r.Package.Size, r.Package.SHA256
	}
	if r.SDK {
		event.VoiceSDK = voiceSDKVersion
	}
	if r.KeyFile != "" {
		event.Key = &keyJSON{r.KeyFile, r.KeyOpen}
	}
	if r.PolicyDir != "" {
		event.Policy = &policyJSON{r.PolicyDir, r.PolicyFiles, r.PackageURL}
	}
	return cli.PrintJSON(v.app.UI.Out, event)
}

func (v *packJSON) verified(r *verifyResult) error {
	faults := []faultJSON{}
	for _, f := range r.Report.Faults {
		faults = append(faults, faultJSON{&f.At, f.What, f.Chromium})
	}
	for _, f := range r.UpdateFaults {
		faults = append(faults, faultJSON{nil, f.What, f.Chromium})
	}
	event := verifiedEvent{V: 1, Event: "verified", File: r.File, OK: len(faults) == 0, Size: r.Report.Size, SHA256: r.Report.SHA256, ID: r.Report.ID, OurID: r.OurID,
		Permissions: []string{}, Hosts: []string{}, ArchiveAt: r.Report.ArchiveAt, Proofs: r.Report.Proofs, Files: r.Report.Files, Faults: faults}
	if m := r.Report.Manifest; m != nil {
		event.Name, event.Version, event.UpdateURL = r.Report.Name, m.Version, m.UpdateURL
		event.Permissions, event.Hosts = listed(m.Permissions), listed(m.HostPermissions)
	}
	return cli.PrintJSON(v.app.UI.Out, event)
}

// listed is a list that is never null.
func listed(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
