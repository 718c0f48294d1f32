package twilio

import "time"

// Service is a Serverless service, ZS….
type Service struct {
	SID          string
	UniqueName   string
	FriendlyName string
	Credentials  bool // its Functions are given the account's auth token
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
	Functions    []string  // SIDs of function versions
	FunctionSIDs []string  // of what they are versions of, in the same order; empty for one that is to be made
	Dependencies string    // JSON: [{"name":…,"version":…}]
	Runtime      string    // such as node22
	Created      time.Time // zero for one that is to be made
}

// Function is a Function's place in a service, ZH….
type Function struct {
	SID          string
	FriendlyName string
}

// Variable is a setting that an environment gives to its Functions, ZV….
type Variable struct {
	SID     string
	Key     string
	Value   string    // may be a secret: never shown, never logged
	Updated time.Time // when the value was last changed
}

// BuildStatus is how far a build is.
type BuildStatus string

// The statuses.
const (
	BuildRunning   BuildStatus = "building"
	BuildCompleted BuildStatus = "completed"
	BuildFailed    BuildStatus = "failed"
)
