package provision

import (
	"context"
	"github.com/flexvc/flexvc/internal/twilio"
)

// RegistryAPI reads and sets which Serverless services Flex's configuration
// names; Flex loads plugins from no other.
type RegistryAPI interface {
	RegisteredServices(ctx context.Context) ([]string, error)
	RegisterServices(ctx context.Context, sids []string) error
}

// HostingAPI finds and makes the places where files are kept.
type HostingAPI interface {
	Services(ctx context.Context) ([]twilio.Service, error)
	CreateService(ctx context.Context, uniqueName, friendlyName string) (twilio.Service, error)
	Environments(ctx context.Context, serviceSID string) ([]twilio.Environment, error)
	CreateEnvironment(ctx context.Context, serviceSID, uniqueName, suffix string) (twilio.Environment, error)
}

// AssetAPI keeps files.
type AssetAPI interface {
	Assets(ctx context.Context, serviceSID string) ([]twilio.Asset, error)
	CreateAsset(ctx context.Context, serviceSID, friendlyName string) (twilio.Asset, error)
	AssetVersions(ctx context.Context, serviceSID, assetSID string) ([]twilio.AssetVersion, error)
	// UploadScript stores JavaScript under a path, for signed requests only.
	UploadScript(ctx context.Context, serviceSID, assetSID, path string, content []byte) (twilio.AssetVersion, error)
}

// BuildAPI builds and deploys files.
type BuildAPI interface {
	Builds(ctx context.Context, serviceSID string) ([]twilio.Build, error)
	Build(ctx context.Context, serviceSID, sid string) (twilio.Build, error)
	CreateBuild(ctx context.Context, serviceSID string, b twilio.Build) (twilio.Build, error)
	Deploy(ctx context.Context, serviceSID, environmentSID, buildSID string) error
}

// PluginAPI tells Flex of plugins and their versions.
type PluginAPI interface {
	// Plugin finds a plugin by its unique name; without one it is NotFound.
	Plugin(ctx context.Context, uniqueName string) (twilio.Plugin, error)
	CreatePlugin(ctx context.Context, uniqueName, friendlyName, description string) (twilio.Plugin, error)
	PluginVersions(ctx context.Context, pluginSID string) ([]twilio.PluginVersion, error)
	CreatePluginVersion(ctx context.Context, pluginSID string, v twilio.PluginVersion) (twilio.PluginVersion, error)
}

// ReleaseAPI decides which versions of plugins Flex loads.
type ReleaseAPI interface {
	// Releases are all releases, the one in force first.
	Releases(ctx context.Context) ([]twilio.Release, error)
	ConfiguredPlugins(ctx context.Context, configurationSID string) ([]twilio.ConfiguredPlugin, error)
	CreateConfiguration(ctx context.Context, name, description string, plugins []twilio.ConfiguredPlugin) (sid string, err error)
	CreateRelease(ctx context.Context, configurationSID string) (twilio.Release, error)
}
