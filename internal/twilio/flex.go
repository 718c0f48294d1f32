package twilio

import "time"

// FlexConfiguration is the part of Flex's configuration that flexvc uses.
type FlexConfiguration struct {
	AccountSID         string
	WorkspaceSID       string // taskrouter_workspace_sid; empty when Flex was never set up
	OfflineActivitySID string
	FlexInstanceSID    string // GO…
	UIVersion          string
	RuntimeDomain      string
	// NoBrowserVoice is disableBrowserVoice of ui_attributes: Flex UI refuses to
	// accept a call for an address that begins with client:.
	NoBrowserVoice bool
}

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
