package twilio

import "time"

// Key is an API key without its secret.
type Key struct {
	SID          string
	FriendlyName string
	Created      time.Time
}
