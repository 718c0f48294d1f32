package webstore

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/flexvc/flexvc/internal/problem"
)

func storeFolder(more map[string]string) fstest.MapFS {
	folder := fstest.MapFS{}
	for name, text := range map[string]string{
		"permissions.json":          `{"storage": "to remember", "https://flex.twilio.com/*": "to speak", "other hosts": "to speak there"}`,
		"purpose.txt":               "One thing.\n",
		"practices.md":              "## Remote code\n\nNone.\n",
		"privacy.md":                "# Privacy policy\n",
		"listing/en.txt":            "It does one thing.\n",
		"pictures/promo-1x1.png":    "png",
		"pictures/screenshot-1.png": "png",
	} {
		folder[name] = &fstest.MapFile{Data: []byte(text)}
	}
	for name, text := range more {
		folder[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return folder
}

func TestListingIsForWhatTheManifestAsks(t *testing.T) {
	files, err := Listing(storeFolder(nil), []byte(`{"permissions": ["storage"], "host_permissions": ["https://flex.twilio.com/*"],
		"content_scripts": [{"matches": ["https://flex.twilio.com/*", "https://flex.acme.example/*"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	text := map[string]string{}
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
		text[f.Name] = string(f.Content)
	}
	if want := []string{"privacy-tab.md", "privacy-policy.md", "listing/en.txt", "pictures/promo-1x1.png", "pictures/screenshot-1.png", "README.md"}; !slices.Equal(names, want) {
		t.Errorf("files are %v, want %v", names, want)
	}
	const tab = `# Privacy tab

## Single purpose

One thing.

## Permissions

storage

> to remember

host permissions

> https://flex.acme.example/*: to speak there https://flex.twilio.com/*: to speak

## Remote code

None.
`
	if text["privacy-tab.md"] != tab {
		t.Errorf("the tab says\n%s\nwant\n%s", text["privacy-tab.md"], tab)
	}
	for _, name := range names[:len(names)-1] {
		if !strings.Contains(text[ListingReadme], "`"+name+"`") {
			t.Errorf("README.md does not say where %s goes", name)
		}
	}
}

func TestListingRefusesWhatTheDashboardWould(t *testing.T) {
	for says, tc := range map[string]struct {
		manifest string
		files    map[string]string
	}{
		"no reason for tabs":                       {`{"permissions": ["storage", "tabs"]}`, nil},
		"no reason for bookmarks":                  {`{"optional_permissions": ["bookmarks"]}`, nil},
		"storage has 1001 characters":              {`{"permissions": ["storage"]}`, map[string]string{"permissions.json": `{"storage": "` + strings.Repeat("ü", 1001) + `"}`}},
		"the single purpose has 1001 characters":   {`{}`, map[string]string{"purpose.txt": strings.Repeat("ü", 1001)}},
		"listing/ja.txt has 16001 characters":      {`{}`, map[string]string{"listing/ja.txt": strings.Repeat("通", 16_001)}},
		"permissions.json: unexpected end of JSON": {`{}`, map[string]string{"permissions.json": `{`}},
		"the manifest: ":                           {`[`, nil},
	} {
		_, err := Listing(storeFolder(tc.files), []byte(tc.manifest))
		if !problem.Is(err, problem.ExtensionInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("Listing = %v, want %q", err, says)
		}
	}
	missing := storeFolder(nil)
	delete(missing, "privacy.md")
	if _, err := Listing(missing, []byte(`{}`)); err == nil {
		t.Error("a listing without a privacy policy")
	}
}
