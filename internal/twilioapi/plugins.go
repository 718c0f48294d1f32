package twilioapi

import (
	"context"
	"strings"

	flex "github.com/twilio/twilio-go/rest/flex/v1"

	"github.com/flexvc/flexvc/internal/buildinfo"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

const pluginsURL = flexURL + "/v1/PluginService"

// RegisteredServices reads which Serverless services Flex loads plugins from.
func (c *Client) RegisteredServices(ctx context.Context) ([]string, error) {
	o := op{what: "read the Flex configuration of " + twilio.Short(c.account), repeat: always, flex: true}
	f, err := c.flex(ctx, o).FetchConfiguration(nil)
	if err != nil {
		return nil, c.problem(ctx, o, err)
	}
	return value(f.ServerlessServiceSids), nil
}

// RegisterServices replaces the list of those services and nothing else of the
// configuration.
func (c *Client) RegisterServices(ctx context.Context, sids []string) error {
	o := op{what: "change the Flex configuration of " + twilio.Short(c.account), repeat: always, flex: true}
	params := (&flex.UpdateConfigurationParams{}).SetBody(map[string]any{"account_sid": c.account, "serverless_service_sids": sids})
	_, err := c.flex(ctx, o).UpdateConfiguration(params)
	return c.problem(ctx, o, err)
}

// Plugin finds a plugin by its unique name; without one it is NotFound.
// https://www.twilio.com/docs/flex/developer/plugins/api/plugin
func (c *Client) Plugin(ctx context.Context, uniqueName string) (twilio.Plugin, error) {
	o := op{what: "read Flex plugin " + printable(uniqueName), repeat: always}
	if err := checkPluginName(uniqueName); err != nil {
		return twilio.Plugin{}, err
	}
	p, err := c.flex(ctx, o).FetchPlugin(uniqueName, nil)
	if err != nil {
		return twilio.Plugin{}, c.problem(ctx, o, err)
	}
	return plugin(p), nil
}

// checkPluginName refuses what cannot be a part of a path.
func checkPluginName(name string) error {
	if alphanumeric(strings.NewReplacer("-", "", "_", "").Replace(name)) {
		return nil
	}
	return problem.New(problem.Usage, "cannot ask Twilio for the plugin %q: it is not letters, digits, hyphens and underscores", name)
}

// CreatePlugin tells Flex of a plugin.
func (c *Client) CreatePlugin(ctx context.Context, uniqueName, friendlyName, description string) (twilio.Plugin, error) {
	o := op{what: "create Flex plugin " + printable(uniqueName), repeat: never}
	params := (&flex.CreatePluginParams{}).SetUniqueName(uniqueName).SetFriendlyName(friendlyName).SetDescription(description)
	p, err := c.flex(ctx, o).CreatePlugin(params)
	if err != nil {
		return twilio.Plugin{}, c.problem(ctx, o, err)
	}
	return plugin(p), nil
}

// PluginVersions lists the versions of a plugin.
func (c *Client) PluginVersions(ctx context.Context, pluginSID string) ([]twilio.PluginVersion, error) {
	o := op{what: "list the versions of Flex plugin " + twilio.Short(pluginSID), repeat: always}
	if err := checkSID("FP", pluginSID); err != nil {
		return nil, err
	}
	return list(ctx, c, o, pluginsURL+"/Plugins/"+pluginSID+"/Versions", "plugin_versions", pluginVersion)
}

// CreatePluginVersion adds a version, for logged-in users of Flex only.
func (c *Client) CreatePluginVersion(ctx context.Context, pluginSID string, v twilio.PluginVersion) (twilio.PluginVersion, error) {
	o := op{what: "create version " + printable(v.Version) + " of Flex plugin " + twilio.Short(pluginSID), repeat: never}
	if err := checkSID("FP", pluginSID); err != nil {
		return twilio.PluginVersion{}, err
	}
	params := (&flex.CreatePluginVersionParams{}).SetVersion(v.Version).SetPluginUrl(v.URL).SetPrivate(true).
		SetCliVersion("flexvc " + buildinfo.Version)
	if v.Changelog != "" {
		params.SetChangelog(v.Changelog)
	}
	made, err := c.flex(ctx, o).CreatePluginVersion(pluginSID, params)
	if err != nil {
		return twilio.PluginVersion{}, c.problem(ctx, o, err)
	}
	return pluginVersion(made), nil
}

// Releases lists all releases, the one in force first.
// https://www.twilio.com/docs/flex/developer/plugins/api/release
func (c *Client) Releases(ctx context.Context) ([]twilio.Release, error) {
	o := op{what: "list the releases of Flex plugins of " + twilio.Short(c.account), repeat: always}
	return list(ctx, c, o, pluginsURL+"/Releases", "releases", release)
}

// ConfiguredPlugins lists the plugins of a configuration.
func (c *Client) ConfiguredPlugins(ctx context.Context, configurationSID string) ([]twilio.ConfiguredPlugin, error) {
	o := op{what: "list the plugins of configuration " + twilio.Short(configurationSID), repeat: always}
	if err := checkSID("FJ", configurationSID); err != nil {
		return nil, err
	}
	return list(ctx, c, o, pluginsURL+"/Configurations/"+configurationSID+"/Plugins", "plugins", func(p *flex.FlexV1ConfiguredPlugin) twilio.ConfiguredPlugin {
		return twilio.ConfiguredPlugin{
			PluginSID: value(p.PluginSid), VersionSID: value(p.PluginVersionSid),
			UniqueName: value(p.UniqueName), Version: value(p.Version), Phase: p.Phase,
		}
	})
}

// CreateConfiguration makes a configuration of exactly these plugins.
func (c *Client) CreateConfiguration(ctx context.Context, name, description string, plugins []twilio.ConfiguredPlugin) (string, error) {
	o := op{what: "create a configuration of Flex plugins of " + twilio.Short(c.account), repeat: never}
	rows := make([]any, len(plugins))
	for i, p := range plugins {
		rows[i] = map[string]any{"plugin_version": p.VersionSID, "phase": p.Phase}
	}
	params := (&flex.CreatePluginConfigurationParams{}).SetName(name).SetDescription(description).SetPlugins(rows)
	made, err := c.flex(ctx, o).CreatePluginConfiguration(params)
	if err != nil {
		return "", c.problem(ctx, o, err)
	}
	return value(made.Sid), nil
}

// CreateRelease puts a configuration into force.
func (c *Client) CreateRelease(ctx context.Context, configurationSID string) (twilio.Release, error) {
	o := op{what: "release configuration " + twilio.Short(configurationSID), repeat: never}
	made, err := c.flex(ctx, o).CreatePluginRelease((&flex.CreatePluginReleaseParams{}).SetConfigurationId(configurationSID))
	if err != nil {
		return twilio.Release{}, c.problem(ctx, o, err)
	}
	return release(made), nil
}

func (c *Client) flex(ctx context.Context, o op) *flex.ApiService {
	return flex.NewApiService(c.handler(session{c, ctx, o}))
}

func plugin(p *flex.FlexV1Plugin) twilio.Plugin {
	return twilio.Plugin{SID: value(p.Sid), UniqueName: value(p.UniqueName)}
}

func pluginVersion(v *flex.FlexV1PluginVersion) twilio.PluginVersion {
	return twilio.PluginVersion{SID: value(v.Sid), Version: value(v.Version), URL: value(v.PluginUrl), Changelog: value(v.Changelog), Created: value(v.DateCreated)}
}

func release(r *flex.FlexV1PluginRelease) twilio.Release {
	return twilio.Release{SID: value(r.Sid), ConfigurationSID: value(r.ConfigurationSid), Created: value(r.DateCreated)}
}
