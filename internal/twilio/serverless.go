package twilio

// Service is a Serverless service, ZS….
type Service struct {
	SID          string
	UniqueName   string
	FriendlyName string
}

// Environment is a Serverless environment, ZE…, with its own domain.
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
