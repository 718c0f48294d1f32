package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Browser is where the browsers of this machine keep their policies.
type Browser struct {
	Root fs.FS  // of the machine; nil where policies are not in files
	OS   string // for people
	// Agents says that agents work on this machine, which is not so where an
	// administrator checks everything.
	Agents bool
}

// The folders of Chrome, Chromium and Edge on Linux, below the root.
// https://support.google.com/chrome/a/answer/9027408
var policyFolders = []struct{ browser, dir string }{
	{"Chrome", "etc/opt/chrome/policies/managed"},
	{"Chromium", "etc/chromium/policies/managed"},
	{"Edge", "etc/opt/edge/policies/managed"},
}

// policies are what a browser makes of all files of a folder: of two that set
// the same policy, the later name wins the whole of it.
type policies map[string]json.RawMessage

func (d *Doctor) browser(context.Context) Result {
	if d.Browser.Root == nil {
		return skip("policies of " + d.Browser.OS + " are not checked: see chrome://policy in the browser")
	}
	if d.Extension.ID == "" {
		return skip("without a signing key the extension is unknown: see extension")
	}
	var looked []string
	for _, f := range policyFolders {
		p, err := readPolicies(d.Browser.Root, f.dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fail(f.browser+"'s policies cannot be read", err.Error(), "fix or remove the file: the browser ignores it")
		}
		if r, ok := d.policy(f.browser, "/"+f.dir, p); !ok {
			return r
		}
		looked = append(looked, f.browser)
	}
	if len(looked) == 0 {
		return skip("no browser on this machine has policies")
	}
	return pass(strings.Join(looked, " and ") + ": the extension is installed by policy, with its microphone")
}

func readPolicies(root fs.FS, dir string) (policies, error) {
	files, err := fs.ReadDir(root, dir)
	if err != nil {
		return nil, err
	}
	all := policies{}
	for _, f := range files { // ReadDir sorts by name, and so does Chromium
		if f.IsDir() || path.Ext(f.Name()) != ".json" {
			continue
		}
		text, err := fs.ReadFile(root, path.Join(dir, f.Name()))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		var one policies
		if err := json.Unmarshal(text, &one); err != nil {
			return nil, fmt.Errorf("%s is not a JSON object: %w", f.Name(), err)
		}
		for name, value := range one {
			all[name] = value
		}
	}
	return all, nil
}

// policy looks at what one browser makes of its files.
func (d *Doctor) policy(browser, dir string, p policies) (Result, bool) {
	says := browser + " in " + dir
	const write = "flexvc pack --policy DIR --merge FILE, then copy linux.json there"
	var entries map[string]struct {
		Mode     string `json:"installation_mode"`
		Update   string `json:"update_url"`
		Override bool   `json:"override_update_url"`
	}
	if p["ExtensionSettings"] != nil && json.Unmarshal(p["ExtensionSettings"], &entries) != nil {
		return fail(says, "ExtensionSettings is not an object: the browser ignores it", write), false
	}
	entry, ok := entries[d.Extension.ID]
	origins := func(name string) (list []string) {
		_ = json.Unmarshal(p[name], &list) // absent or of another type: the browser sees none either
		return list
	}
	origin := d.Extension.origin()
	_, ownEntry := managedOf(p)[d.Extension.ID]
	switch {
	case !ok && slices.ContainsFunc(origins("ExtensionInstallForcelist"), func(s string) bool { return strings.HasPrefix(s, d.Extension.ID) }):
		return Result{}, true // the older policy; it says nothing wrong
	case !ok && !ownEntry && !d.Browser.Agents:
		return warn(says, fmt.Sprintf("ExtensionSettings has no entry for %s", d.Extension.ID), "if agents work on this machine: "+write), false
	case !ok:
		return fail(says, fmt.Sprintf("ExtensionSettings has no entry for %s", d.Extension.ID), write), false
	case entry.Mode != "force_installed" && entry.Mode != "normal_installed":
		return fail(says, fmt.Sprintf("installation_mode is %q: the browser does not install the extension", entry.Mode), write), false
	case d.Settings.UpdateURL != "" && entry.Update != d.Settings.UpdateURL:
		return fail(says, fmt.Sprintf("update_url is %s, but the extension is at %s", entry.Update, d.Settings.UpdateURL), write), false
	case !entry.Override:
		return warn(says, "override_update_url is not set: a package without update_url in its manifest is never updated", write), false
	case !slices.ContainsFunc(origins("AudioCaptureAllowedUrls"), func(s string) bool { return strings.TrimSuffix(s, "/") == origin }):
		if string(p["AudioCaptureAllowed"]) == "false" {
			return fail(says, "AudioCaptureAllowed is false and the extension is not an exception: it has no microphone", write), false
		}
		return warn(says, "AudioCaptureAllowedUrls lacks "+origin+"/: each agent is asked for the microphone", write), false
	case ownEntry:
		return d.managed(says, p)
	}
	return Result{}, true
}

type managedSettings struct {
	Account   string   `json:"account"`
	TokenURLs []string `json:"tokenURLs"`
}

func managedOf(p policies) map[string]managedSettings {
	var third struct {
		Extensions map[string]managedSettings `json:"extensions"`
	}
	_ = json.Unmarshal(p["3rdparty"], &third) // the browser ignores what it cannot read
	return third.Extensions
}

// managed looks at the extension's own settings.
func (d *Doctor) managed(says string, p policies) (Result, bool) {
	m := managedOf(p)[d.Extension.ID]
	const write = "flexvc pack --policy DIR, then copy linux.json there"
	switch {
	case m.Account != "" && m.Account != d.Settings.AccountSID:
		return fail(says, fmt.Sprintf("the extension is bound to account %s", m.Account), write), false
	case len(m.TokenURLs) > 0 && !slices.Contains(m.TokenURLs, d.Settings.TokenURL):
		return fail(says, fmt.Sprintf("the extension may not send tokens to %s", d.Settings.TokenURL), write), false
	}
	return Result{}, true
}
