package flexapi

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"sync"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

// The Plugins API of Flex: a plugin has versions, a configuration picks one of
// each plugin, and the latest release says which configuration is in force.
// https://www.twilio.com/docs/flex/developer/plugins/api

type plugin struct {
	store.Object
	UniqueName   string `json:"unique_name"`
	FriendlyName string `json:"friendly_name"`
	Description  string `json:"description"`
	Archived     bool   `json:"archived"`
}

type pluginVersion struct {
	store.Object
	Plugin    string `json:"plugin"`
	Version   string `json:"version"`
	URL       string `json:"url"`
	Changelog string `json:"changelog"`
	Private   bool   `json:"private"`
	Validated bool   `json:"validated"`
	Archived  bool   `json:"archived"`
}

var (
	plugins  = store.NewKind[plugin]("plugin")
	versions = store.NewKind[pluginVersion]("pluginversion")
)

func serviceURL(c *emulator.Call) string { return c.Base() + "/v1/PluginService" }

func viewPlugin(c *emulator.Call, p *plugin) any {
	return c.View(p.Object, serviceURL(c)+"/Plugins/"+p.SID, map[string]any{
		"unique_name": p.UniqueName, "friendly_name": p.FriendlyName, "description": p.Description, "archived": p.Archived,
	}, map[string]string{"plugin_versions": "/Versions"})
}

func pluginTable(c *emulator.Call) *store.Table[*plugin] { return plugins.In(c.Store) }

// pluginNamed finds a plugin by its SID or its unique name.
func pluginNamed(c *emulator.Call, name string) *plugin {
	for _, p := range pluginTable(c).Rows() {
		if p.SID == name || p.UniqueName == name {
			return p
		}
	}
	return nil
}

func pluginInPath(c *emulator.Call) *plugin { return pluginNamed(c, c.Vars["Sid"]) }

func createPlugin(c *emulator.Call) *emulator.Reply {
	name, no := c.UniqueName(255)
	if no != nil {
		return no
	}
	friendly, given := c.Filled("FriendlyName")
	if !given {
		friendly = name
	}
	description, _ := c.Filled("Description")
	if pluginNamed(c, name) != nil {
		return emulator.Conflict("Plugin with the same unique name exists")
	}
	p := &plugin{Object: c.New("FP"), UniqueName: name, FriendlyName: friendly, Description: description}
	return emulator.Create(c, pluginTable(c), p, viewPlugin)
}

func updatePlugin(c *emulator.Call, p *plugin) *emulator.Reply {
	for field, target := range map[string]*string{"FriendlyName": &p.FriendlyName, "Description": &p.Description} {
		if text, given := c.Filled(field); given {
			*target = text
		}
	}
	return nil
}

// --- versions

func viewVersion(c *emulator.Call, v *pluginVersion) any {
	return c.Unchanging(v.Object, serviceURL(c)+"/Plugins/"+v.Plugin+"/Versions/"+v.SID, map[string]any{
		"plugin_sid": v.Plugin, "version": v.Version, "plugin_url": v.URL, "changelog": v.Changelog,
		"private": v.Private, "archived": v.Archived, "validated": v.Validated,
	}, nil)
}

// pluginAround is the plugin that the version in the path is of.
func pluginAround(c *emulator.Call) *plugin { return pluginNamed(c, c.Vars["PluginSid"]) }

func (v *pluginVersion) of(p *plugin) bool { return v.Plugin == p.SID }

func versionInPath(c *emulator.Call) *pluginVersion {
	p, v := pluginAround(c), versions.In(c.Store).Find(c.Vars["Sid"])
	if p == nil || v == nil || !v.of(p) {
		return nil
	}
	return v
}

func createVersion(c *emulator.Call) *emulator.Reply {
	version, _ := c.Filled("Version")
	if _, ok := semver(version); !ok {
		return emulator.Invalid("Invalid Version %q", version)
	}
	at, _ := c.Filled("PluginUrl")
	if u, err := url.Parse(at); err != nil || u.Scheme != "https" || u.Host == "" {
		return emulator.Invalid("Invalid PluginUrl %q", at)
	}
	private, no := c.Flag("Private", false)
	if no != nil {
		return no
	}
	changelog, _ := c.Filled("Changelog")
	validated, _ := c.Filled("ValidateStatus")
	p := pluginAround(c)
	if p == nil {
		return c.NotFound()
	}
	for _, v := range versions.In(c.Store).Rows() {
		if v.Plugin == p.SID && !older(v.Version, version) {
			return emulator.Invalid("Version %s is not greater than %s", version, v.Version)
		}
	}
	v := &pluginVersion{
		Object: c.New("FV"), Plugin: p.SID, Version: version, URL: at,
		Changelog: changelog, Private: private, Validated: validated == "success",
	}
	return emulator.Create(c, versions.In(c.Store), v, viewVersion)
}

var semverForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
})

// semver reads major, minor and patch.
func semver(s string) (numbers [3]int, ok bool) {
	m := semverForm().FindStringSubmatch(s)
	if m == nil {
		return numbers, false
	}
	for i := range numbers {
		numbers[i], _ = strconv.Atoi(m[i+1]) // nine digits at most
	}
	return numbers, true
}

// older compares by number only: pre-releases of one number are equal.
func older(a, b string) bool {
	x, _ := semver(a)
	y, _ := semver(b)
	return slices.Compare(x[:], y[:]) < 0
}
