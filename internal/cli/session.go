package cli

import (
	"context"
	"net/http"

	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/doctor"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/workers"
)

// Session is a command's way to one Twilio account, real or emulated.
type Session struct {
	AccountSID   string
	WorkspaceSID string // empty until it is known: see SessionOptions
	Emulated     bool

	Workers    workers.API           // nil without a workspace
	Activities provision.ActivityAPI // nil without a workspace
	Flex       doctor.FlexAPI
	Found      *twilio.FlexConfiguration // nil unless Flex was asked for the workspace
	Keys       provision.KeyAPI
	Plugins    *provision.Plugin

	Sinks         provision.SinkAPI
	Subscriptions provision.SubscriptionAPI
	Callbacks     provision.CallbackAPI // nil without a workspace

	// Credentials are those the session uses; SigningKey is an API key that may
	// sign tokens when the settings name none, empty if there is none.
	Credentials, SigningKey config.Credentials
	// KeyRestricted tells whether an API key is a Restricted one.
	KeyRestricted func(ctx context.Context, sid string) (bool, error)
	Doctor        doctor.Account // the parts of it that only the client can tell
	// Transport leads to the emulator for a client other than the session's own;
	// nil is Twilio.
	Transport http.RoundTripper

	Retried func() int // requests repeated so far because of the rate limit
	Close   func() error
}

// SessionOptions says what a command needs of its session.
type SessionOptions struct {
	Workspace string // --workspace: a SID that wins over the profile's
	// Discover asks Flex for the workspace when neither Workspace nor the
	// profile names one.
	Discover bool
}
