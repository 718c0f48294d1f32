package events

import "github.com/flexvc/flexvc/internal/emulator"

// unknowns are the answers of Twilio here that no public document gives, and
// what the emulator does instead. A client should live with every other answer
// too.
var unknowns = []emulator.Unknown{
	{"How often a webhook sink is tried again", "After 1 s, then twice as long each time up to 5 minutes, for 4 hours (Event Streams: up to 4 hours with backoff)"},
	{"Whether Event Streams' worker events carry the worker's version", "They do not; callbacks do (TaskRouter Events reference)"},
	{"How many events a webhook gets at once", "One, or with `batch_events` up to 100 that wait at the same time"},
	{"A second subscription on a sink", "400, \"Sink with SID … is in use\", as users report"},
	{"Deleting a sink in use, and the last type of a subscription", "400, code 20001"},
	{"Event types that do not exist", "400 for worker events and whatever is not com.twilio.…; other types are taken and never occur"},
}
