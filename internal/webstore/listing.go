package webstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/flexvc/flexvc/internal/problem"
)

// What the dashboard's fields take, in characters.
const (
	descriptionMost = 16_000
	reasonMost      = 1_000
)

// otherHosts is the reason for places that a company has added.
const otherHosts = "other hosts"

// ListingReadme is the file that says where the others go.
const ListingReadme = "README.md"

// File is one file of a listing.
type File struct {
	Name    string // below the listing's folder, with slashes
	Content []byte
}

// Listing returns what the developer dashboard asks for and the API has no
// request for. store is extension.Store(); manifest is the package's, so that the
// reasons are for exactly what it asks for: one without a reason is an error.
//
// Source: https://developer.chrome.com/docs/webstore/cws-dashboard-listing,
// https://developer.chrome.com/docs/webstore/cws-dashboard-privacy
func Listing(store fs.FS, manifest []byte) ([]File, error) {
	read := func(name string) (string, error) {
		text, err := fs.ReadFile(store, name)
		return string(text), err
	}
	fail := func(err error) ([]File, error) {
		return nil, problem.New(problem.ExtensionInvalid, "cannot write the listing: %w", err)
	}
	reasons, err := reasonsFor(store, manifest)
	if err != nil {
		return fail(err)
	}
	purpose, err := read("purpose.txt")
	if err != nil {
		return fail(err)
	}
	practices, err := read("practices.md")
	if err != nil {
		return fail(err)
	}
	privacy, err := read("privacy.md")
	if err != nil {
		return fail(err)
	}
	if n := utf8.RuneCountInString(purpose); n > reasonMost {
		return fail(fmt.Errorf("the single purpose has %d characters, of at most %d", n, reasonMost))
	}

	var b strings.Builder
	fmt.Fprintf(&b, "# Privacy tab\n\n## Single purpose\n\n%s\n## Permissions\n", purpose)
	for _, r := range reasons {
		fmt.Fprintf(&b, "\n%s\n\n> %s\n", r.field, r.text)
	}
	fmt.Fprintf(&b, "\n%s", practices)
	files := []File{{"privacy-tab.md", []byte(b.String())}, {"privacy-policy.md", []byte(privacy)}}

	for _, folder := range []string{"listing", "pictures"} {
		entries, err := fs.ReadDir(store, folder)
		if err != nil {
			return fail(err)
		}
		for _, entry := range entries {
			name := path.Join(folder, entry.Name())
			content, err := read(name)
			if err != nil {
				return fail(err)
			}
			if n := utf8.RuneCountInString(content); folder == "listing" && n > descriptionMost {
				return fail(fmt.Errorf("%s has %d characters, of at most %d", name, n, descriptionMost))
			}
			files = append(files, File{name, []byte(content)})
		}
	}
	return append(files, File{ListingReadme, []byte(listingReadme(files))}), nil
}

// reason is a field of the dashboard and what belongs there.
type reason struct{ field, text string }

// reasonsFor has one reason for each permission. All places share one field.
func reasonsFor(store fs.FS, manifest []byte) ([]reason, error) {
	var m struct {
		Permissions             []string
		OptionalPermissions     []string `json:"optional_permissions"`
		HostPermissions         []string `json:"host_permissions"`
		OptionalHostPermissions []string `json:"optional_host_permissions"`
		ContentScripts          []struct {
			Matches []string
		} `json:"content_scripts"`
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, fmt.Errorf("the manifest: %w", err)
	}
	text, err := fs.ReadFile(store, "permissions.json")
	if err != nil {
		return nil, err
	}
	table := map[string]string{}
	if err := json.Unmarshal(text, &table); err != nil {
		return nil, fmt.Errorf("permissions.json: %w", err)
	}
	var reasons []reason
	var faults []error
	add := func(field, text string) {
		if n := utf8.RuneCountInString(text); n > reasonMost {
			faults = append(faults, fmt.Errorf("the reason for %s has %d characters, of at most %d", field, n, reasonMost))
		}
		reasons = append(reasons, reason{field, text})
	}
	for _, permission := range slices.Concat(m.Permissions, m.OptionalPermissions) {
		if table[permission] == "" {
			faults = append(faults, fmt.Errorf("extension/store/permissions.json gives no reason for %s", permission))
			continue
		}
		add(permission, table[permission])
	}
	hosts := slices.Concat(m.HostPermissions, m.OptionalHostPermissions)
	for _, script := range m.ContentScripts {
		hosts = append(hosts, script.Matches...)
	}
	slices.Sort(hosts)
	var places []string
	for _, host := range slices.Compact(hosts) {
		why := table[host]
		if why == "" {
			why = table[otherHosts]
		}
		places = append(places, host+": "+why)
	}
	if len(places) > 0 {
		add("host permissions", strings.Join(places, " "))
	}
	return reasons, errors.Join(faults...)
}

func listingReadme(files []File) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("# The listing in the Chrome Web Store")
	p("")
	p("Written by `flexvc pack --listing`; regenerate it rather than editing it. The store's API takes the package alone")
	p("(`flexvc pack --publish`), and of it the title, the summary and the icon, in each language. Enter the rest once by hand:")
	p("https://chrome.google.com/webstore/devconsole, the item, \"Build\".")
	p("")
	p("| where | what |")
	p("| --- | --- |")
	for _, f := range files {
		switch folder, name := path.Split(f.Name); folder {
		case "listing/":
			p("| Store listing, description, language %s | `%s` |", strings.TrimSuffix(name, path.Ext(name)), f.Name)
		case "pictures/":
			field := "screenshots"
			if strings.HasPrefix(name, "promo-") {
				field = "small promo tile"
			}
			p("| Store listing, %s | `%s` |", field, f.Name)
		}
	}
	p("| Store listing, category | Workflow & Planning |")
	p("| Privacy, all fields | `privacy-tab.md` |")
	p("| Privacy, privacy policy | the address at which you have put `privacy-policy.md`, or its text of your own |")
	p("| Distribution | Private or Unlisted, unless everybody is to find it |")
	p("")
	p("A new version needs none of this again, unless it asks for another permission.")
	return b.String()
}
