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
