//go:build ignore

package emulator

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The Plugins API of Flex: a plugin has versions, a configuration picks one of
// each plugin, and the latest release says which configuration is in force.
// https://www.twilio.com/docs/flex/developer/plugins/api

type plugin struct {
	object
	UniqueName   string `json:"unique_name"`
	FriendlyName string `json:"friendly_name"`
	Description  string `json:"description"`
	Archived     bool   `json:"archived"`
}

type pluginVersion struct {
	object
	Plugin    string `json:"plugin"`
	Version   string `json:"version"`
	URL       string `json:"url"`
	Changelog string `json:"changelog"`
	Private   bool   `json:"private"`
	Validated bool   `json:"validated"`
	Archived  bool   `json:"archived"`
}

type configuredPlugin struct {
	Version string `json:"version"` // FV...
	Phase   int    `json:"phase"`
}

type pluginConfiguration struct {
	object
	Name        string             `json:"name"`
	Description string             `json:"description"`
	Plugins     []configuredPlugin `json:"plugins"`
	Archived    bool               `json:"archived"`
}

type pluginRelease struct {
	object
	Configuration string `json:"configuration"`
}

// ReleasedPlugin is one row of what Flex UI gets when it asks flex.twilio.com
// for its plugins.
type ReleasedPlugin struct {
	Name             string `json:"name"`
	Version          string `json:"version"`
	Src              string `json:"src"` // a private plugin's is on flex.twilio.com, which asks for the Flex token
	Phase            int    `json:"phase"`
	PluginSID        string `json:"pluginSid"`
	PluginVersionSID string `json:"pluginVersionSid"`
	ConfigurationSID string `json:"configurationSid"`
	ReleaseSID       string `json:"releaseSid"`
}

// ReleasedPlugins returns what the release in force makes Flex UI load, never
// nil.
func (e *Emulator) ReleasedPlugins() []ReleasedPlugin {
	e.mu.RLock()
	defer e.mu.RUnlock()
	list := []ReleasedPlugin{}
	if len(e.st.releases) == 0 {
		return list
	}
	r := e.st.releases[len(e.st.releases)-1]
	for _, row := range find(e.st.configurations, r.Configuration).Plugins {
		v := find(e.st.pluginVersions, row.Version)
		p := find(e.st.plugins, v.Plugin)
		src := v.URL
		if v.Private {
			src = "https://flex.twilio.com/plugins/v1/" + url.PathEscape(p.UniqueName) + "/" + url.PathEscape(v.Version) + "/bundle.js"
		}
		list = append(list, ReleasedPlugin{
			Name: p.UniqueName, Version: v.Version, Src: src, Phase: row.Phase,
			PluginSID: p.SID, PluginVersionSID: v.SID, ConfigurationSID: r.Configuration, ReleaseSID: r.SID,
		})
	}
	return list
}

// PluginBundle returns the file that a plugin's version points to, when it is
// deployed in this account: what flex.twilio.com passes on to Flex UI.
func (e *Emulator) PluginBundle(name, version string) (content []byte, ok bool) {
	at := e.pluginURL(name, version)
	if at == nil {
		return nil, false
	}
	v := e.hosted(at.Hostname(), at.Path)
	if v == nil || v.Visibility == "private" {
		return nil, false
	}
	return slices.Clone(v.Content), true
}

func (e *Emulator) pluginURL(name, version string) *url.URL {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, v := range e.st.pluginVersions {
		if v.Version == version && find(e.st.plugins, v.Plugin).UniqueName == name {
			if at, err := url.Parse(v.URL); err == nil {
				return at
			}
		}
	}
	return nil
}

func (c *call) pluginServiceURL() string { return c.base() + "/v1/PluginService" }

// --- plugins

func (c *call) viewPlugin(p *plugin) any {
	return c.view(p.object, c.pluginServiceURL()+"/Plugins/"+p.SID, map[string]any{
		"unique_name": p.UniqueName, "friendly_name": p.FriendlyName, "description": p.Description, "archived": p.Archived,
	}, map[string]string{"plugin_versions": "/Versions"})
}

// plugin finds one by its SID or its unique name. The caller holds the lock.
func (c *call) plugin(name string) *plugin {
	for _, p := range c.st.plugins {
		if p.SID == name || p.UniqueName == name {
			return p
		}
	}
	return nil
}

func listPlugins(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return paged(c, "plugins", newest(c.st.plugins, nil), c.viewPlugin)
}

func createPlugin(c *call) reply {
	name, rep, ok := c.named(255)
	if !ok {
		return rep
	}
	friendly, given := c.filled("FriendlyName")
	if !given {
		friendly = name
	}
	description, _ := c.filled("Description")
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.plugin(name) != nil {
		return conflict("Plugin with the same unique name exists")
	}
	p := &plugin{object: c.object("FP"), UniqueName: name, FriendlyName: friendly, Description: description}
	if rep, ok := store(c, &c.st.plugins, p); !ok {
		return rep
	}
	return ok201(c.viewPlugin(p))
}

func fetchPlugin(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	p := c.plugin(c.vars["Sid"])
	if p == nil {
		return notFound(c.path)
	}
	return ok(http.StatusOK, c.viewPlugin(p))
}

func updatePlugin(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.plugin(c.vars["Sid"])
	if p == nil {
		return notFound(c.path)
	}
	changed := *p
	changed.Updated = c.now
	for field, target := range map[string]*string{"FriendlyName": &changed.FriendlyName, "Description": &changed.Description} {
		if text, given := c.filled(field); given {
			*target = text
		}
	}
	if err := c.st.put(changed.record()); err != nil {
		return c.broken(err)
	}
	c.st.plugins[slices.Index(c.st.plugins, p)] = &changed
	return ok(http.StatusOK, c.viewPlugin(&changed))
}

// --- versions

func (c *call) viewPluginVersion(v *pluginVersion) any {
	return unchanging(c.view(v.object, c.pluginServiceURL()+"/Plugins/"+v.Plugin+"/Versions/"+v.SID, map[string]any{
		"plugin_sid": v.Plugin, "version": v.Version, "plugin_url": v.URL, "changelog": v.Changelog,
		"private": v.Private, "archived": v.Archived, "validated": v.Validated,
	}, nil))
}

func listPluginVersions(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	p := c.plugin(c.vars["PluginSid"])
	if p == nil {
		return notFound(c.path)
	}
	return paged(c, "plugin_versions", newest(c.st.pluginVersions, func(v *pluginVersion) bool { return v.Plugin == p.SID }), c.viewPluginVersion)
}

func createPluginVersion(c *call) reply {
	version, _ := c.filled("Version")
	if _, ok := semver(version); !ok {
		return invalid("Invalid Version %q", version)
	}
	at, _ := c.filled("PluginUrl")
	if u, err := url.Parse(at); err != nil || u.Scheme != "https" || u.Host == "" {
		return invalid("Invalid PluginUrl %q", at)
	}
	private, rep, ok := c.flag("Private")
	if !ok {
		return rep
	}
	changelog, _ := c.filled("Changelog")
	validated, _ := c.filled("ValidateStatus")
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.plugin(c.vars["PluginSid"])
	if p == nil {
		return notFound(c.path)
	}
	for _, v := range c.st.pluginVersions {
		if v.Plugin == p.SID && !older(v.Version, version) {
			return invalid("Version %s is not greater than %s", version, v.Version)
		}
	}
	v := &pluginVersion{
		object: c.object("FV"), Plugin: p.SID, Version: version, URL: at,
		Changelog: changelog, Private: private, Validated: validated == "success",
	}
	if rep, ok := store(c, &c.st.pluginVersions, v); !ok {
		return rep
	}
	return ok201(c.viewPluginVersion(v))
}

func fetchPluginVersion(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	p, v := c.plugin(c.vars["PluginSid"]), find(c.st.pluginVersions, c.vars["Sid"])
	if p == nil || v == nil || v.Plugin != p.SID {
		return notFound(c.path)
	}
	return ok(http.StatusOK, c.viewPluginVersion(v))
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

// --- configurations

func (c *call) viewConfiguration(p *pluginConfiguration) any {
	return unchanging(c.view(p.object, c.pluginServiceURL()+"/Configurations/"+p.SID, map[string]any{
		"name": p.Name, "description": p.Description, "archived": p.Archived,
	}, map[string]string{"plugins": "/Plugins"}))
}

func listPluginConfigurations(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return paged(c, "configurations", newest(c.st.configurations, nil), c.viewConfiguration)
}

func createPluginConfiguration(c *call) reply {
	name, _ := c.filled("Name")
	if name == "" {
		return invalid("Missing required parameter Name")
	}
	description, _ := c.filled("Description")
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := map[string]bool{}
	rows := []configuredPlugin{}
	for _, text := range c.form["Plugins"] {
		var given struct {
			Version string `json:"plugin_version"`
			Phase   int    `json:"phase"`
		}
		dec := json.NewDecoder(strings.NewReader(text))
		dec.DisallowUnknownFields()
		if dec.Decode(&given) != nil || given.Phase < 0 {
			return invalid(`Plugins is not {"plugin_version":"FV...","phase":3}`)
		}
		v := find(c.st.pluginVersions, given.Version)
		switch {
		case v == nil:
			return invalid("Invalid plugin version %q", given.Version)
		case v.Archived:
			return invalid("Plugin version %s is archived", given.Version)
		case seen[v.Plugin]:
			return invalid("Plugin %s is given twice", v.Plugin)
		}
		seen[v.Plugin] = true
		rows = append(rows, configuredPlugin{v.SID, given.Phase})
	}
	p := &pluginConfiguration{object: c.object("FJ"), Name: name, Description: description, Plugins: rows}
	if rep, ok := store(c, &c.st.configurations, p); !ok {
		return rep
	}
	return ok201(c.viewConfiguration(p))
}

func fetchPluginConfiguration(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	p := find(c.st.configurations, c.vars["Sid"])
	if p == nil {
		return notFound(c.path)
	}
	return ok(http.StatusOK, c.viewConfiguration(p))
}

func (c *call) viewConfigured(in *pluginConfiguration, row configuredPlugin) any {
	v := find(c.st.pluginVersions, row.Version)
	p := find(c.st.plugins, v.Plugin)
	return map[string]any{
		"account_sid": c.account.SID, "configuration_sid": in.SID, "plugin_sid": p.SID, "plugin_version_sid": v.SID,
		"phase": row.Phase, "plugin_url": v.URL, "unique_name": p.UniqueName, "friendly_name": p.FriendlyName,
		"description": p.Description, "plugin_archived": p.Archived, "version": v.Version, "changelog": v.Changelog,
		"plugin_version_archived": v.Archived, "private": v.Private, "date_created": stamp(in.Created),
		"url": c.pluginServiceURL() + "/Configurations/" + in.SID + "/Plugins/" + p.SID,
	}
}

func listConfiguredPlugins(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	in := find(c.st.configurations, c.vars["ConfigurationSid"])
	if in == nil {
		return notFound(c.path)
	}
	return paged(c, "plugins", listing[configuredPlugin]{
		rows: in.Plugins,
		pos: func(row configuredPlugin) position {
			return position{Seq: uint64(slices.Index(in.Plugins, row)) + 1}
		},
	}, func(row configuredPlugin) any { return c.viewConfigured(in, row) })
}

func fetchConfiguredPlugin(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	in, p := find(c.st.configurations, c.vars["ConfigurationSid"]), c.plugin(c.vars["PluginSid"])
	if in == nil || p == nil {
		return notFound(c.path)
	}
	for _, row := range in.Plugins {
		if find(c.st.pluginVersions, row.Version).Plugin == p.SID {
			return ok(http.StatusOK, c.viewConfigured(in, row))
		}
	}
	return notFound(c.path)
}

// --- releases

func (c *call) viewRelease(r *pluginRelease) any {
	return unchanging(c.view(r.object, c.pluginServiceURL()+"/Releases/"+r.SID, map[string]any{"configuration_sid": r.Configuration}, nil))
}

func listPluginReleases(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return paged(c, "releases", newest(c.st.releases, nil), c.viewRelease)
}

func createPluginRelease(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	sid, _ := c.filled("ConfigurationId")
	configuration := find(c.st.configurations, sid)
	switch {
	case configuration == nil:
		return invalid("Invalid ConfigurationId %q", sid)
	case configuration.Archived:
		return invalid("Configuration %s is archived", sid)
	}
	r := &pluginRelease{object: c.object("FK"), Configuration: sid}
	if rep, ok := store(c, &c.st.releases, r); !ok {
		return rep
	}
	return ok201(c.viewRelease(r))
}

func fetchPluginRelease(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	r := find(c.st.releases, c.vars["Sid"])
	if r == nil {
		return notFound(c.path)
	}
	return ok(http.StatusOK, c.viewRelease(r))
}
