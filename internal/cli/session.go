package cli

import (
	"github.com/flexvc/flexvc/internal/provision"
)

// Session is a command's way to one Twilio account, real or emulated.
type Session struct {
	AccountSID   string
	WorkspaceSID string // of Flex Task Assignment, or the one the profile or --workspace names
	Emulated     bool

	Workers    provision.WorkerAPI
	Activities provision.ActivityAPI
	Flex       provision.FlexAPI
	Keys       provision.KeyAPI

	Retried func() int // requests repeated so far because of the rate limit
	Close   func() error
}
