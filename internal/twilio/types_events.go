package twilio

// Sink is where Event Streams delivers to.
// https://www.twilio.com/docs/events/event-streams/sink-resource
type Sink struct {
	SID, Description    string
	Type, Status        string
	Destination, Method string // of a webhook
}

// Subscription sends events of some types to a sink, which has one at most.
type Subscription struct {
	SID, Description, SinkSID string
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
