package flexapi

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/outbox"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

type configuredPlugin struct {
	Version string `json:"version"` // FV...
	Phase   int    `json:"phase"`
}

type pluginConfiguration struct {
	store.Object
	Name        string             `json:"name"`
	Description string             `json:"description"`
	Plugins     []configuredPlugin `json:"plugins"`
	Archived    bool               `json:"archived"`
}

type pluginRelease struct {
	store.Object
	Configuration string `json:"configuration"`
}

var (
	configurations = store.NewKind[pluginConfiguration]("configuration")
	releases       = store.NewKind[pluginRelease]("release")
)

func viewConfiguration(c *emulator.Call, p *pluginConfiguration) any {
	return c.Unchanging(p.Object, serviceURL(c)+"/Configurations/"+p.SID, map[string]any{
		"name": p.Name, "description": p.Description, "archived": p.Archived,
	}, map[string]string{"plugins": "/Plugins"})
}

func configurationInPath(c *emulator.Call) *pluginConfiguration {
	return configurations.In(c.Store).Find(c.Vars["Sid"])
}

func createConfiguration(c *emulator.Call) *emulator.Reply {
	name, no := c.Required("Name")
	if no != nil {
		return no
	}
	description, _ := c.Filled("Description")
	seen := map[string]bool{}
	rows := []configuredPlugin{}
	for _, text := range c.Repeated("Plugins") {
		var given struct {
			Version string `json:"plugin_version"`
			Phase   int    `json:"phase"`
		}
		dec := json.NewDecoder(strings.NewReader(text))
		dec.DisallowUnknownFields()
		if dec.Decode(&given) != nil || given.Phase < 0 {
			return emulator.Invalid(`Plugins is not {"plugin_version":"FV...","phase":3}`)
		}
		v := versions.In(c.Store).Find(given.Version)
		switch {
		case v == nil:
			return emulator.Invalid("Invalid plugin version %q", given.Version)
		case v.Archived:
			return emulator.Invalid("Plugin version %s is archived", given.Version)
		case seen[v.Plugin]:
			return emulator.Invalid("Plugin %s is given twice", v.Plugin)
		}
		seen[v.Plugin] = true
		rows = append(rows, configuredPlugin{v.SID, given.Phase})
	}
	p := &pluginConfiguration{Object: c.New("FJ"), Name: name, Description: description, Plugins: rows}
	return emulator.Create(c, configurations.In(c.Store), p, viewConfiguration)
}

// --- the plugins of a configuration

// configurationAround is the configuration that the plugin in the path is of.
func configurationAround(c *emulator.Call) *pluginConfiguration {
	return configurations.In(c.Store).Find(c.Vars["ConfigurationSid"])
}

func viewConfigured(c *emulator.Call, row configuredPlugin) any {
	in := configurationAround(c)
	v := versions.In(c.Store).Find(row.Version)
	p := plugins.In(c.Store).Find(v.Plugin)
	return map[string]any{
		"account_sid": c.Account.SID, "configuration_sid": in.SID, "plugin_sid": p.SID, "plugin_version_sid": v.SID,
		"phase": row.Phase, "plugin_url": v.URL, "unique_name": p.UniqueName, "friendly_name": p.FriendlyName,
		"description": p.Description, "plugin_archived": p.Archived, "version": v.Version, "changelog": v.Changelog,
		"plugin_version_archived": v.Archived, "private": v.Private, "date_created": emulator.Stamp(in.Created),
		"url": serviceURL(c) + "/Configurations/" + in.SID + "/Plugins/" + p.SID,
	}
}

func listConfigured(c *emulator.Call) (l emulator.Listing[configuredPlugin], no *emulator.Reply) {
	in := configurationAround(c)
	if in == nil {
		return l, c.NotFound()
	}
	l.Rows = in.Plugins
	l.Position = func(row configuredPlugin) emulator.Position {
		return emulator.Position{Seq: uint64(slices.Index(in.Plugins, row)) + 1}
	}
	return l, nil
}

func configuredInPath(c *emulator.Call) *configuredPlugin {
	in, p := configurationAround(c), pluginAround(c)
	if in == nil || p == nil {
		return nil
	}
	for _, row := range in.Plugins {
		if versions.In(c.Store).Find(row.Version).Plugin == p.SID {
			return &row
		}
	}
	return nil
}

func fetchConfigured(c *emulator.Call) *emulator.Reply {
	row := configuredInPath(c)
	if row == nil {
		return c.NotFound()
	}
	return emulator.OK(viewConfigured(c, *row))
}

// --- releases

func viewRelease(c *emulator.Call, r *pluginRelease) any {
	return c.Unchanging(r.Object, serviceURL(c)+"/Releases/"+r.SID, map[string]any{"configuration_sid": r.Configuration}, nil)
}

func releaseInPath(c *emulator.Call) *pluginRelease { return releases.In(c.Store).Find(c.Vars["Sid"]) }

func createRelease(c *emulator.Call) *emulator.Reply {
	sid, _ := c.Filled("ConfigurationId")
	configuration := configurations.In(c.Store).Find(sid)
	switch {
	case configuration == nil:
		return emulator.Invalid("Invalid ConfigurationId %q", sid)
	case configuration.Archived:
		return emulator.Invalid("Configuration %s is archived", sid)
	}
	return emulator.Create(c, releases.In(c.Store), &pluginRelease{Object: c.New("FK"), Configuration: sid}, viewRelease)
}

// --- what the release in force means

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
func ReleasedPlugins(e *emulator.Emulator) []ReleasedPlugin {
	s := e.Store()
	s.RLock()
	defer s.RUnlock()
	list := []ReleasedPlugin{}
	made := releases.In(s).Rows()
	if len(made) == 0 {
		return list
	}
	r := made[len(made)-1]
	for _, row := range configurations.In(s).Find(r.Configuration).Plugins {
		v := versions.In(s).Find(row.Version)
		p := plugins.In(s).Find(v.Plugin)
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
// deployed in this account: what flex.twilio.com passes on to Flex UI. It asks as
// Twilio does, signed, so that a protected file is given out too.
func PluginBundle(e *emulator.Emulator, name, version string) (content []byte, ok bool) {
	at := pluginURL(e.Store(), name, version)
	if at == nil || !strings.HasSuffix(at.Hostname(), ".twil.io") {
		return nil, false
	}
	r, err := http.NewRequest(http.MethodGet, "https://"+at.Hostname()+at.EscapedPath(), nil)
	if err != nil {
		return nil, false
	}
	r.Header.Set("X-Twilio-Signature", outbox.Sign(e.Account().AuthToken, "https://"+at.Hostname()+at.Path, nil))
	resp, err := e.Transport().RoundTrip(r)
	if err != nil {
		return nil, false
	}
	defer resp.Body.Close()
	content, err = io.ReadAll(resp.Body)
	return content, err == nil && resp.StatusCode == http.StatusOK
}

func pluginURL(s *store.Store, name, version string) *url.URL {
	s.RLock()
	defer s.RUnlock()
	for _, v := range versions.In(s).Rows() {
		if v.Version == version && plugins.In(s).Find(v.Plugin).UniqueName == name {
			if at, err := url.Parse(v.URL); err == nil {
				return at
			}
		}
	}
	return nil
}
