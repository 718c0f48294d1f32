package taskrouter

import "github.com/flexvc/flexvc/internal/emulator"

// unknowns are the answers of Twilio here that no public document gives, and
// what the emulator does instead. A client should live with every other answer
// too.
var unknowns = []emulator.Unknown{
	{"The code of a duplicate worker or activity name", "400, code 20001. Worker names are compared without case (Worker resource), activity names with it"},
	{"The code of `Attributes` that are too long, and what a character is", "400, code 20001; Unicode code points are counted, whitespace included (TaskRouter limits say 4096 characters)"},
	{"Whether `Attributes` may be JSON other than an object", "Any JSON is accepted through the API; a seed may hold text that is no JSON"},
	{"Whether worker lists show `attributes`", "A switch: the Worker resource says null, the examples of the same specification show the text"},
	{"How If-Match is quoted", "A quoted, a bare and a weak tag, a list of tags, and `*` are accepted"},
	{"The body of a 412", "Code 20412, \"Precondition failed\", in the usual error body (Mutation and conflict resolution)"},
	{"Whether an update that changes nothing raises the ETag", "It does; so does anything `bump` stands for: reservations, capacity, channels"},
	{"The ETag of a worker list", "A quoted integer that changes when anything is created"},
	{"The order of a list, and the values of `Ordering`", "Oldest first; `FriendlyName`, `DateCreated` and `DateStatusChanged`, each with `:asc` or `:desc`"},
	{"How `FriendlyName` filters workers", "The whole name, without case"},
	{"Filters by TaskQueue", "One queue, \"Everyone\", holds every worker; any other holds none"},
	{"How an expression that cannot be parsed is refused", "400, code 20001"},
	{"NULL in expressions", "A missing key compares false with everything, under `!=` and `NOT IN` too"},
	{"Values of different types in expressions", "`==` is false, `!=` is true, the order operators are false"},
	{"Escapes and hyphens in expressions", "Strings have no escapes; a hyphen outside a string is refused, negative numbers with it (Expression syntax: hyphens are not supported)"},
	{"Attributes named like a worker field in expressions", "`sid`, `friendly_name`, `activity_sid` and `activity_name` mean the field"},
	{"Deleting a worker who is available", "Accepted"},
	{"The format of X-Rate-Limit-*", "Requests per second, tokens left, and a description; sent by TaskRouter while a limit is set"},
	{"Whether a callback is tried again", "It is not"},
	{"Which changes of a worker are told", "Attributes and activity that differ from before, creation and deletion; `bump` is told as worker.capacity.update. A new friendly name alone is not told"},
}
