package provision

import (
	"context"
	"iter"
	"time"
)

// What provisioning needs of Twilio. internal/twilioapi implements these
// interfaces; tests implement them in memory. Every error they return is, or
// wraps, a *problem.Problem, and callers tell them apart by its code:
// CredentialsRefused, PermissionDenied, NotFound, PreconditionFailed,
// RequestRefused, FilterRefused, RateLimited, TwilioUnavailable, TwilioAnswer,
// NetworkUnreachable, Timeout, Interrupted.

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

// WorkerAPI reads and writes the workers of one workspace.
type WorkerAPI interface {
	// Workers streams every worker that expression selects ("" selects all),
	// in the order Twilio gives them, a page of up to 1000 per request. One page
	// may be asked for while the rows of the one before are delivered. A failing
	// page ends the stream with its error after the rows before it.
	Workers(ctx context.Context, expression string) iter.Seq2[Worker, error]
	// Worker fetches one worker; Attributes and ETag are set in the answer.
	Worker(ctx context.Context, sid string) (Worker, error)
	// SetAttributes replaces the whole attributes text if the worker still
	// has the given ETag. A stale ETag is PreconditionFailed. It retries only
	// where a repeated request cannot do harm.
	SetAttributes(ctx context.Context, sid, attributes, etag string) (Worker, error)
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

// ActivityAPI reads and adds activities of one workspace.
type ActivityAPI interface {
	Workspace(ctx context.Context) (Workspace, error)
	Activities(ctx context.Context) ([]Activity, error)
	CreateActivity(ctx context.Context, name string, available bool) (Activity, error)
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

// FlexAPI reads the account's Flex configuration. An account without Flex is
// FlexNotFound.
type FlexAPI interface {
	FlexConfiguration(ctx context.Context) (FlexConfiguration, error)
}

// Key is an API key without its secret.
type Key struct {
	SID          string
	FriendlyName string
	Created      time.Time
}

// KeyAPI manages the account's API keys. Credentials that may not do so are
// PermissionDenied.
type KeyAPI interface {
	Keys(ctx context.Context) ([]Key, error)
	// CreateKey returns the new key and its secret, which Twilio shows once.
	CreateKey(ctx context.Context, name string) (Key, string, error)
	RenameKey(ctx context.Context, sid, name string) error
	DeleteKey(ctx context.Context, sid string) error
}
