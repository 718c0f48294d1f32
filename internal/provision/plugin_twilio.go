package provision

import (
	"context"
	"time"
)

// What putting a plugin into Flex needs of Twilio: Serverless keeps the file,
// the Plugins API says which file Flex loads. internal/twilioapi implements all
// of it; the errors are those of the interfaces in twilio.go.
// https://www.twilio.com/docs/serverless/api
// https://www.twilio.com/docs/flex/developer/plugins/api

// Service is a Serverless service, ZS….
type Service struct {
	SID        string
	UniqueName string
}

// Environment is a Serverless environment, ZE…, with a domain of its own.
type Environment struct {
	SID        string
	UniqueName string
	DomainName string // the host, such as default-1234-ab1.twil.io
	BuildSID   string // what is deployed; empty at first
}

// Asset is a file's place in a service, ZH….
type Asset struct {
	SID          string
	FriendlyName string
}

// AssetVersion is a file, ZN….
type AssetVersion struct {
	SID  string
	Path string
}

// Build is a set of files that can be deployed, ZB….
type Build struct {
	SID          string // empty for one that is to be made
	Status       BuildStatus
	Assets       []AssetVersion
	Functions    []string // SIDs of function versions
	Dependencies string   // JSON: [{"name":…,"version":…}]
	Runtime      string   // such as node22
}

// BuildStatus is how far a build is.
type BuildStatus string

// The statuses.
const (
	BuildRunning   BuildStatus = "building"
	BuildCompleted BuildStatus = "completed"
	BuildFailed    BuildStatus = "failed"
)

// Plugin is a Flex plugin, FP….
type Plugin struct {
	SID        string
	UniqueName string
}

// PluginVersion is one version of a plugin, FV….
type PluginVersion struct {
	SID       string
	Version   string // semantic
	URL       string
	Changelog string
	Created   time.Time
}

// ConfiguredPlugin is a plugin in a configuration.
type ConfiguredPlugin struct {
	PluginSID  string
	VersionSID string
	UniqueName string
	Version    string
	Phase      int // when Flex starts it; 3 is the usual
}

// Release puts a configuration into force, FK….
type Release struct {
	SID              string
	ConfigurationSID string
	Created          time.Time
}

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
