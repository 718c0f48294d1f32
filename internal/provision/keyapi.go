package provision

import (
	"context"
	"github.com/flexvc/flexvc/internal/twilio"
)

// ActivityAPI reads and adds activities of one workspace.
type ActivityAPI interface {
	Workspace(ctx context.Context) (twilio.Workspace, error)
	Activities(ctx context.Context) ([]twilio.Activity, error)
	CreateActivity(ctx context.Context, name string, available bool) (twilio.Activity, error)
}

// FlexAPI reads the account's Flex configuration. An account without Flex is
// FlexNotFound.
type FlexAPI interface {
	FlexConfiguration(ctx context.Context) (twilio.FlexConfiguration, error)
}

// KeyAPI manages the account's API keys. Credentials that may not do so are
// PermissionDenied.
type KeyAPI interface {
	Keys(ctx context.Context) ([]twilio.Key, error)
	// CreateKey returns the new key and its secret, which Twilio shows once.
	CreateKey(ctx context.Context, name string) (twilio.Key, string, error)
	RenameKey(ctx context.Context, sid, name string) error
	DeleteKey(ctx context.Context, sid string) error
}
