// Package flexapi is the REST API of Flex as the emulator has it: its
// configuration, its users and their tokens, and the Plugins API. What Flex UI
// asks of its own hosts belongs to package flexui, and the configuration as a
// record to package store.
package flexapi

import (
	_ "embed"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

//go:embed unemulated.txt
var unemulated string

// Product registers the Flex API with an emulator.
func Product() emulator.Product {
	return emulator.Product{
		Host: "flex-api", Operations: operations, Known: unemulated, Unknowns: unknowns,
		Kinds: []store.AnyKind{plugins, versions, configurations, releases},
		SIDs:  map[string]string{"ConfigurationId": "FJ"},
	}
}

func operations() []emulator.Operation {
	const ps = "/v1/PluginService"
	return []emulator.Operation{
		{
			Method: "GET", Path: "/v1/Configuration", ID: "FetchConfiguration", Spec: true, Query: []string{"UiVersion"},
			Note:  "404 when the emulator runs without Flex",
			Serve: fetchConfiguration,
		},
		{
			Method: "POST", Path: "/v1/Configuration", ID: "UpdateConfiguration", Spec: true, JSON: true,
			Note:  "replaces the named top-level fields; `account_sid` has to be in the body",
			Serve: updateConfiguration,
		},
		{
			Method: "GET", Path: "/v1/Instances/{InstanceSid}/Users", ID: "ListFlexUser", Paged: true,
			Note:  "read only",
			Serve: emulator.List("users", users, viewUser),
		},
		{
			Method: "GET", Path: "/v4/Instances/{InstanceSid}/Users", ID: "FetchFlexUserByUsername", Query: []string{"Username"},
			Note:  "the user of a `Username`, which is required; v1 lists",
			Serve: userNamed,
		},
		{
			Method: "POST", Path: "/v4/Instances/{InstanceSid}/Users/{FlexUserSid}/Tokens", ID: "CreateFlexUserToken", JSON: true,
			Note:  "public beta at Twilio; the token looks like a JWE and holds nothing",
			Serve: createFlexUserToken,
		},
		{
			Method: "POST", Path: "/v1/Accounts/{AccountSid}/Tokens/Info", ID: "FetchTokenInfo", Form: []string{"Token", "Fingerprint"}, Guard: emulator.GuardFlex,
			Note:  "undocumented at Twilio; what Flex UI 2.17 asks",
			Serve: fetchTokenInfo,
		},
		{
			Method: "GET", Path: ps + "/Plugins", ID: "ListPlugin", Spec: true, Paged: true,
			Serve: emulator.List("plugins", emulator.All(plugins, emulator.Newest), viewPlugin),
		},
		{
			Method: "POST", Path: ps + "/Plugins", ID: "CreatePlugin", Spec: true, Form: []string{"UniqueName", "FriendlyName", "Description"},
			Serve: createPlugin,
		},
		{
			Method: "GET", Path: ps + "/Plugins/{Sid}", ID: "FetchPlugin", Spec: true,
			Note:  "by SID or unique name",
			Serve: emulator.Fetch(pluginInPath, viewPlugin),
		},
		{
			Method: "POST", Path: ps + "/Plugins/{Sid}", ID: "UpdatePlugin", Spec: true, Form: []string{"FriendlyName", "Description"},
			Serve: emulator.Update(pluginTable, pluginInPath, updatePlugin, viewPlugin),
		},
		{
			Method: "GET", Path: ps + "/Plugins/{PluginSid}/Versions", ID: "ListPluginVersion", Spec: true, Paged: true,
			Serve: emulator.List("plugin_versions", emulator.Within(pluginAround, versions, (*pluginVersion).of, emulator.Newest), viewVersion),
		},
		{
			Method: "POST", Path: ps + "/Plugins/{PluginSid}/Versions", ID: "CreatePluginVersion", Spec: true, Form: []string{"Version", "PluginUrl", "Changelog", "Private", "CliVersion", "ValidateStatus"},
			Note:  "three numbers, greater than every version before",
			Serve: createVersion,
		},
		{
			Method: "GET", Path: ps + "/Plugins/{PluginSid}/Versions/{Sid}", ID: "FetchPluginVersion", Spec: true,
			Serve: emulator.Fetch(versionInPath, viewVersion),
		},
		{
			Method: "GET", Path: ps + "/Configurations", ID: "ListPluginConfiguration", Spec: true, Paged: true,
			Serve: emulator.List("configurations", emulator.All(configurations, emulator.Newest), viewConfiguration),
		},
		{
			Method: "POST", Path: ps + "/Configurations", ID: "CreatePluginConfiguration", Spec: true, Form: []string{"Name", "Description", "Plugins"}, List: []string{"Plugins"},
			Note:  "one version of a plugin; may be empty",
			Serve: createConfiguration,
		},
		{
			Method: "GET", Path: ps + "/Configurations/{Sid}", ID: "FetchPluginConfiguration", Spec: true,
			Serve: emulator.Fetch(configurationInPath, viewConfiguration),
		},
		{
			Method: "GET", Path: ps + "/Configurations/{ConfigurationSid}/Plugins", ID: "ListConfiguredPlugin", Spec: true, Paged: true,
			Serve: emulator.List("plugins", listConfigured, viewConfigured),
		},
		{
			Method: "GET", Path: ps + "/Configurations/{ConfigurationSid}/Plugins/{PluginSid}", ID: "FetchConfiguredPlugin", Spec: true,
			Serve: fetchConfigured,
		},
		{
			Method: "GET", Path: ps + "/Releases", ID: "ListPluginRelease", Spec: true, Paged: true,
			Serve: emulator.List("releases", emulator.All(releases, emulator.Newest), viewRelease),
		},
		{
			Method: "POST", Path: ps + "/Releases", ID: "CreatePluginRelease", Spec: true, Form: []string{"ConfigurationId"},
			Note:  "the latest release is in force at once",
			Serve: createRelease,
		},
		{
			Method: "GET", Path: ps + "/Releases/{Sid}", ID: "FetchPluginRelease", Spec: true,
			Serve: emulator.Fetch(releaseInPath, viewRelease),
		},
	}
}
