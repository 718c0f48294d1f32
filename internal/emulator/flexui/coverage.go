package flexui

import (
	"bytes"
	"fmt"
)

// served are the requests that Flex UI sends through the event bridge. WS, WK,
// WT, WR, KD and UO stand for SIDs.
var served = []struct{ method, url, note string }{
	{"GET", "Workspaces/WS/Activities", ""},
	{"GET", "Workspaces/WS/TaskQueues", "one queue, \"Everyone\""},
	{"GET", "Workspaces/WS/Workers", "the first page; `DateStatusChanged` as `Ordering`, any other is the order of creation"},
	{"GET", "Workspaces/WS/Workers/WK", ""},
	{"POST", "Workspaces/WS/Workers/WK", "`Attributes` replaces them whole, as an object or as a text; `ActivitySid`, `RejectPendingReservations`; If-Match when it is sent. Changes by anybody come as `worker.attributes.update` and `worker.activity.update`"},
	{"GET", "Workspaces/WS/Workers/WK/WorkerChannels", "voice with one task, chat with three"},
	{"GET", "Workspaces/WS/Workers/WK/Reservations", "those that are pending, accepted or wrapping"},
	{"POST", "Workspaces/WS/Workers/WK/Reservations/WR", "instruction `conference`, which rings `To` on the voice edge; status wrapping, completed and rejected"},
	{"POST", "Workspaces/WS/Workers/WK/CustomerParticipant", "hold: the customer hears nobody, and nobody hears the customer"},
	{"POST", "Workspaces/WS/Workers/WK/WorkerParticipant", "`Mute`: nobody in the conference hears the agent"},
	{"POST", "Workspaces/WS/Tasks/WT/Reservations/WR", "instruction `supervise`, which rings the supervisor's `To`: mode `monitor`, which is muted, `whisper` and `barge`"},
	{"GET", "Workspaces/WS/Tasks/WT", ""},
	{"POST", "Workspaces/WS/Tasks/WT", "`Attributes`; `AssignmentStatus` wrapping, completed and canceled"},
	{"POST", "Workspaces/WS/Tasks", "an outbound call by the agent for itself"},
	{"POST", "Workspaces/WS/Workers/WK/Transfers", "warm and cold, to a worker who is free or to the queue; `Attributes` are added to the task's"},
	{"POST", "Workspaces/WS/Workers/WK/Transfers/TT", "`TransferStatus` canceled"},
	{"POST", "Workspaces/WS/Workers/WK/KickWorkerParticipant", "ends that agent's call"},
	{"POST", "Workspaces/WS/Workers/WK/HoldWorkerParticipant", "that agent hears nobody, and nobody hears it"},
	{"GET", "v1/Interactions/KD/Channels", "the conference, as a voice channel"},
	{"GET", "v1/Interactions/KD/Channels/UO/Participants", "customer and agents, while they are there"},
	{"POST", "v1/Interactions/KD/Channels/UO", "status closed, with wrapup or closed as routing status"},
	{"POST", "v1/Interactions/KD/Channels/UO/Participants", "type `agent` rings the agent once more (\"Join Call\"); type `external` is somebody without a sound"},
	{"POST", "v1/Interactions/KD/Channels/UO/Participants/UT", "`end_conference_on_exit`; status closed, which ends that participant's call"},
}

// guesses are what was not seen of Twilio, and what the emulator does.
var guesses = []struct{ question, choice string }{
	{"When a reservation is accepted", "Once the voice client has answered; until then it is pending"},
	{"What becomes of a reservation whose voice client is not there, rejects or does not answer", "`timeout`; the worker keeps its activity"},
	{"Which worker gets a call", "The one that the order to the emulator names, if its activity is available and it has no other call"},
	{"What the customer of an outbound call does", "Answers as soon as the agent's voice client has"},
	{"Whether a conference ends when one of two leaves", "Yes, whatever EndConferenceOnExit says; of more than two only one with EndConferenceOnExit ends it"},
	{"When a cold transfer takes the first agent out", "At once; the customer waits for the other agent, and is hung up on if there comes none"},
	{"Who is offered a transfer to the queue", "The first worker who is free; without one it is refused, as is one to a worker who is not free"},
	{"What a customer's hold lets several agents hear", "One another"},
	{"Who may supervise", "A worker whose roles have supervisor or admin"},
	{"How soon a supervisor is in the conference", "500 ms after the answer: Flex misses one who is there before it listens"},
	{"Whether a conference outlasts its last agent for a supervisor", "No: it ends as if the supervisor were not there"},
	{"A task that is wrapped up or completed while its call goes on", "The call goes on: Flex UI leaves it to the voice client"},
	{"The channel of a call that is over", "`closed`, without participants"},
	{"Later pages of the directory", "There are none: the first page is cut at PageSize"},
	{"A Flex token that is not good, on the event bridge, for the session and the plugin list", "401 with Twilio's code and message"},
	{"What Conversations answers over Twilsock", "A configuration, and that the agent has no conversations: just enough for the Conversations client to become ready"},
	{"What Sync answers over Twilsock", "For supervisors: the map `WT.CS` of a call's conference, and live queries of `tr-worker`, `tr-reservation` and `tr-queue`; a participant who has left stays in the map, as `left`"},
	{"What anything else answers over Twilsock, telemetry too", "404, with which Flex UI is content"},
	{"The feature flags of an account", "`flex-warm-transfers`, `flex-multi-tab-support`, `device-manager-beta`; an order changes them"},
	{"A change of activity while reservations are pending", "400, unless `RejectPendingReservations` rejects them, of every channel"},
	{"What is written in a chat", "Nothing: a chat is offered, accepted and completed"},
	{"Insights, other queries than those of the Teams view, and SSO", "Not emulated"},
}

// CoverageMarkdown returns the part of COVERAGE.md about Flex UI.
func CoverageMarkdown() []byte {
	var b bytes.Buffer
	b.WriteString(`
## Flex UI

With ` + "`--flex-listen`" + ` the emulator also serves what the real Flex UI 2.17 asks, seen on the wire or read in its package: the page that
hosts it (flex.twilio.com) with sign-in, session and plugin list, configuration and token refresh, the files and sounds it
loads, Twilsock (tsock.us1), TaskRouter's event bridge, and the tab's own voice client, on the voice edge in builds that have
one and otherwise just registered. Tasks and reservations are kept in memory. Any other host or path answers 404.

| through the event bridge | notes |
| --- | --- |
`)
	for _, row := range served {
		fmt.Fprintf(&b, "| `%s %s` | %s |\n", row.method, row.url, row.note)
	}
	b.WriteString("\n| what is not known of Twilio here | the emulator |\n| --- | --- |\n")
	for _, row := range guesses {
		fmt.Fprintf(&b, "| %s | %s |\n", row.question, row.choice)
	}
	return b.Bytes()
}
