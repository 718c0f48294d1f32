package twilio

import "time"

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

// Callback is what a workspace calls for each of its events: one URL, which may
// be anybody's.
type Callback struct {
	URL    string // "" calls nobody
	Filter string // a comma-separated list of event types; "" is all
}

// EventKind says what a pushed change is about. The change itself is told by
// the event's other fields.
type EventKind string

// The kinds, named as TaskRouter names its worker events.
// https://www.twilio.com/docs/taskrouter/api/event/reference
const (
	EventCreated    EventKind = "worker.created"
	EventAttributes EventKind = "worker.attributes.update"
	EventActivity   EventKind = "worker.activity.update"
	EventCapacity   EventKind = "worker.capacity.update"
	EventChannel    EventKind = "worker.channel.availability.update"
	EventDeleted    EventKind = "worker.deleted"
)
