package twilio

import (
	"time"
)

// What provisioning needs of Twilio. internal/twilioapi implements these
// interfaces; tests implement them in memory. Every error they return is, or
// wraps, a *problem.Problem, and callers tell them apart by its code:
// CredentialsRefused, PermissionDenied, NotFound, PreconditionFailed,
// RequestRefused, FilterRefused, RateLimited, TwilioUnavailable, TwilioAnswer,
// NetworkUnreachable, Timeout, Interrupted.

// PageSize is how many rows Twilio gives in one page of a list, at most.
// https://www.twilio.com/docs/usage/twilios-response#pagination
const PageSize = 1000

// Worker is a TaskRouter worker at one moment.
type Worker struct {
	SID          string
	FriendlyName string // unique in the workspace, whatever its case
	ActivitySID  string
	ActivityName string
	Available    bool
	Attributes   *string   // the exact text; nil when the answer left it out, as lists may
	ETag         string    // opaque; empty when the answer carried none, as list rows do
	DateUpdated  time.Time // to the second; zero when absent

	StatusChanged time.Time // when the activity last changed, to the second; zero when absent
}

// Workspace is a TaskRouter workspace.
type Workspace struct {
	SID          string
	FriendlyName string
}

// Activity is a state an agent can be in. Available never changes once it
// exists: https://www.twilio.com/docs/taskrouter/api/activity
type Activity struct {
	SID          string
	FriendlyName string
	Available    bool
}

// FlexConfiguration is the part of Flex's configuration that flexvc uses.
type FlexConfiguration struct {
	AccountSID         string
	WorkspaceSID       string // taskrouter_workspace_sid; empty when Flex was never set up
	OfflineActivitySID string
	FlexInstanceSID    string // GO…
	UIVersion          string
	RuntimeDomain      string
}

// Key is an API key without its secret.
type Key struct {
	SID          string
	FriendlyName string
	Created      time.Time
}
