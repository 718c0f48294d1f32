package provision

import (
	"context"
)

// RegistryAPI reads and sets which Serverless services Flex's configuration
// names; Flex loads plugins from no other.
type RegistryAPI interface {
	RegisteredServices(ctx context.Context) ([]string, error)
	RegisterServices(ctx context.Context, sids []string) error
}

// HostingAPI finds and makes the places where files are kept.
type HostingAPI interface {
	Services(ctx context.Context) ([]Service, error)
	CreateService(ctx context.Context, uniqueName, friendlyName string) (Service, error)
	Environments(ctx context.Context, serviceSID string) ([]Environment, error)
	CreateEnvironment(ctx context.Context, serviceSID, uniqueName, suffix string) (Environment, error)
}

// AssetAPI keeps files.
type AssetAPI interface {
	Assets(ctx context.Context, serviceSID string) ([]Asset, error)
	CreateAsset(ctx context.Context, serviceSID, friendlyName string) (Asset, error)
	AssetVersions(ctx context.Context, serviceSID, assetSID string) ([]AssetVersion, error)
	// UploadScript stores JavaScript under a path, for signed requests only.
	UploadScript(ctx context.Context, serviceSID, assetSID, path string, content []byte) (AssetVersion, error)
}

// BuildAPI builds and deploys files.
type BuildAPI interface {
	Builds(ctx context.Context, serviceSID string) ([]Build, error)
	Build(ctx context.Context, serviceSID, sid string) (Build, error)
	CreateBuild(ctx context.Context, serviceSID string, b Build) (Build, error)
	Deploy(ctx context.Context, serviceSID, environmentSID, buildSID string) error
}

// PluginAPI tells Flex of plugins and their versions.
type PluginAPI interface {
	// Plugin finds a plugin by its unique name; without one it is NotFound.
	Plugin(ctx context.Context, uniqueName string) (Plugin, error)
	CreatePlugin(ctx context.Context, uniqueName, friendlyName, description string) (Plugin, error)
	PluginVersions(ctx context.Context, pluginSID string) ([]PluginVersion, error)
	CreatePluginVersion(ctx context.Context, pluginSID string, v PluginVersion) (PluginVersion, error)
}

// ReleaseAPI decides which versions of plugins Flex loads.
type ReleaseAPI interface {
	// Releases are all releases, the one in force first.
	Releases(ctx context.Context) ([]Release, error)
	ConfiguredPlugins(ctx context.Context, configurationSID string) ([]ConfiguredPlugin, error)
	CreateConfiguration(ctx context.Context, name, description string, plugins []ConfiguredPlugin) (sid string, err error)
	CreateRelease(ctx context.Context, configurationSID string) (Release, error)
}
