package rollout

import (
	"bytes"
	"fmt"
	"path"
	"strings"
)

// readme says where each file goes.
func (s Settings) readme(files []File) []byte {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("# Rolling out flexvc %s", s.Version)
	p("")
	p("Extension ID `%s`. Written by `flexvc pack --policy`; regenerate it rather than editing it.", s.ID)
	p("")
	p("1. Put `%s` at %s", path.Base(s.PackageURL), s.PackageURL)
	p("2. Put `%s` at %s, after the package: it triggers the download.", UpdateFile, s.UpdateURL)
	p("   Neither may require a password: browsers treat the refusal as final.")
	p("3. Set one of the policies below. Browsers apply it automatically and show it on chrome://policy or edge://policy.")
	p("")
	p("Every file says the same: install the extension, update it from the address above, pin it, and give it the")
	p("microphone without asking. Exceptions are named. For a new version do steps 1 and 2; the policy stays.")
	if m := s.managed(); len(m) > 0 {
		p("")
		p("The extension's own settings are `%s`.", bytes.TrimSpace(line(m)))
	}
	p("")
	p("| where | what to do |")
	p("| --- | --- |")
	p("| Linux, Chrome | copy `linux.json` to `%sflexvc.json` |", Chrome.Linux[0])
	p("| Linux, Chromium | copy `linux.json` to `%sflexvc.json` |", Chrome.Linux[1])
	p("| Linux, Edge | copy `linux-edge.json` to `%sflexvc.json` |", Edge.Linux[0])
	for _, browser := range []Browser{Chrome, Edge} {
		p("| Windows, %s, registry | `reg import %s.reg` as administrator; not where a Group Policy sets ExtensionSettings already: the registry's keys would hide it |", browser.Title, browser.Name)
		p("| Windows, %s, Group Policy | Extensions > \"Extension management settings\": paste `gpo-%s.json`, one line. \"%s\": add `%s` |", browser.Title, browser.Name, audioCapture, s.origin())
		p("| Windows, %s, Intune | custom profile with the row of `intune-%s.json` after importing the ADMX files, or the Settings catalog; then %s as above. It installs and updates only: pin and microphone are set apart |", browser.Title, browser.Name, audioCapture)
		p("| macOS, %s | `%s.mobileconfig` by MDM; with Jamf's \"Application & Custom Settings\" the plists, each named after its domain |", browser.Title, browser.Name)
	}
	p("| Google Admin console | Chrome browser > Custom configurations: paste `admin-console.json`%s |", storageNote(files))
	p("")
	p("## Traps")
	p("")
	p("- If two Linux policy files set the same policy, the one whose name sorts last wins entirely. Where ExtensionSettings or")
	p("  %s are set already: `flexvc pack --policy DIR --merge FILE`.", audioCapture)
	p("- Two macOS profiles for one domain do not merge either: combine them by hand.")
	p("- Chrome and Edge install an extension from outside their stores only on machines that are managed: joined to a")
	p("  domain, enrolled in Chrome Enterprise Core, or under MDM. Linux has no such limit.")
	p("- Where `runtime_blocked_hosts` is set, allow `*://flex.twilio.com` in `runtime_allowed_hosts`.")
	p("- Developer tools are blocked on force-installed extensions unless `DeveloperToolsAvailability` is 1.")
	p("- macOS asks each user once whether the browser may use the microphone. No policy can grant that.")
	p("- For the buttons of headsets, add to WebHidAllowDevicesWithHidUsagesForUrls (headsets have usage page 11):")
	p("  `{\"urls\": [\"%s\"], \"usages\": [{\"usage_page\": 11}]}`. Without it each agent allows a headset once, on the welcome page.", s.origin())
	p("- To go back, publish the old code under a higher version: browsers ignore lower ones.")
	return []byte(b.String())
}

func storageNote(files []File) string {
	for _, f := range files {
		if f.Name == "admin-console-storage.json" {
			return ". Apps & extensions > the extension > \"Policy for extensions\": paste `admin-console-storage.json`"
		}
	}
	return ""
}
