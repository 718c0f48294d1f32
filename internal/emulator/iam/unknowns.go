//go:build ignore

package emulator

import (
	"bytes"
	"fmt"
	"strings"
)

// notes say what there is to know about an emulated operation, by product and
// id.
var notes = map[string]string{
	"taskrouter.UpdateWorkspace":              "the event callback is called for worker events that its filter names; nothing else of the workspace is told",
	"taskrouter.ListActivity":                 "filters FriendlyName (exact) and Available",
	"taskrouter.CreateActivity":               "at most 100 per workspace, names of at most 64 characters",
	"taskrouter.UpdateActivity":               "FriendlyName only: `available` never changes",
	"taskrouter.DeleteActivity":               "refused for the default and timeout activities and while a worker is in it",
	"taskrouter.ListWorker":                   "every documented filter; TargetWorkersExpression with its own limit of 3 requests per second; `attributes` present or null by a switch",
	"taskrouter.CreateWorker":                 "at most 15,000 per workspace",
	"taskrouter.UpdateWorker":                 "replaces `attributes` whole; If-Match; at most 4096 characters of JSON; there are no reservations to reject",
	"taskrouter.DeleteWorker":                 "If-Match",
	"flex-api.FetchConfiguration":             "404 when the emulator runs without Flex",
	"flex-api.UpdateConfiguration":            "replaces the named top-level fields; `account_sid` has to be in the body",
	"flex-api.ListFlexUser":                   "read only",
	"flex-api.CreateFlexUserToken":            "public beta at Twilio; the token looks like a JWE and holds nothing",
	"flex-api.FetchTokenInfo":                 "undocumented at Twilio; what Flex UI 2.17 asks",
	"iam.ValidateToken":                       "undocumented at Twilio; four ways to refuse a token by a switch",
	"iam.CreateNewKey":                        "Standard, or Restricted with a policy; Main keys are made in the Console only",
	"api.FetchAccount":                        "the one emulated account",
	"api.CreateNewKey":                        "Standard keys only",
	"taskrouter.ListWorkspace":                "filter FriendlyName (exact)",
	"iam.ListGetKeys":                         "AccountSid is required",
	"iam.UpdateKey":                           "a policy for restricted keys only",
	"taskrouter.FetchWorker":                  "ETag is a quoted integer",
	"events.CreateSink":                       "a webhook is active at once; sinks of other types are kept and get nothing",
	"events.CreateSinkTest":                   "delivers the test event to a webhook",
	"events.CreateSubscription":               "one subscription per sink; `Types` repeated, one JSON object each",
	"events.DeleteSink":                       "refused while a subscription uses it",
	"api.ListKey":                             "pages are linked by relative URIs, as in that API",
	"serverless.CreateService":                "unique names; domains below twil.io, where what is deployed is served: public assets to all, protected ones to signed requests",
	"serverless.CreateEnvironment":            "unique names and suffixes in a service",
	"serverless.CreateFunction":               "kept and built, never run",
	"serverless.CreateBuild":                  "takes as long, and ends, as a switch says; a path may occur once; dependencies are not fetched",
	"serverless.CreateDeployment":             "completed builds only; what the build leaves out is no longer served",
	"serverless-upload.CreateAssetVersion":    "multipart; undocumented but for Twilio's own tools",
	"serverless-upload.CreateFunctionVersion": "multipart; undocumented but for Twilio's own tools",
	"flex-api.FetchPlugin":                    "by SID or unique name",
	"flex-api.CreatePluginVersion":            "three numbers, greater than every version before",
	"flex-api.CreatePluginConfiguration":      "one version of a plugin; may be empty",
	"flex-api.CreatePluginRelease":            "the latest release is in force at once",
}

// unknowns are the answers of Twilio that no public document gives, and what
// the emulator does instead. A client should live with every other answer too.
var unknowns = []struct{ question, choice string }{
	{"The code of a duplicate worker or activity name", "400, code 20001. Worker names are compared without case (Worker resource), activity names with it"},
	{"The code of `Attributes` that are too long, and what a character is", "400, code 20001; Unicode code points are counted, whitespace included (TaskRouter limits say 4096 characters)"},
	{"Whether `Attributes` may be JSON other than an object", "Any JSON is accepted through the API; a seed may hold text that is no JSON"},
	{"Whether worker lists show `attributes`", "A switch: the Worker resource says null, the examples of the same specification show the text"},
	{"How If-Match is quoted", "A quoted, a bare and a weak tag, a list of tags, and `*` are accepted"},
	{"The body of a 412", "Code 20412, \"Precondition failed\", in the usual error body (Mutation and conflict resolution)"},
	{"Whether an update that changes nothing raises the ETag", "It does; so does anything `bump` stands for: reservations, capacity, channels"},
	{"The ETag of a worker list", "A quoted integer that changes when anything is created"},
	{"The order of a list, and the values of `Ordering`", "Oldest first; `FriendlyName`, `DateCreated` and `DateStatusChanged`, each with `:asc` or `:desc`"},
	{"`Page` without `PageToken`", "400 above page 0: the Worker resource says not to use it"},
	{"How `FriendlyName` filters workers", "The whole name, without case"},
	{"Filters by TaskQueue", "One queue, \"Everyone\", holds every worker; any other holds none"},
	{"How an expression that cannot be parsed is refused", "400, code 20001"},
	{"NULL in expressions", "A missing key compares false with everything, under `!=` and `NOT IN` too"},
	{"Values of different types in expressions", "`==` is false, `!=` is true, the order operators are false"},
	{"Escapes and hyphens in expressions", "Strings have no escapes; a hyphen outside a string is refused, negative numbers with it (Expression syntax: hyphens are not supported)"},
	{"Attributes named like a worker field in expressions", "`sid`, `friendly_name`, `activity_sid` and `activity_name` mean the field"},
	{"Parameters an operation does not have, and repeated ones", "400, code 20001, so that misspelt ones are found"},
	{"A JSON body where a form is expected, and the reverse", "415, code 20001"},
	{"Deleting a worker who is available", "Accepted"},
	{"A Standard key on /Accounts and /Keys", "401, code 20003, \"Authenticate\", the same as for a wrong secret; users of Twilio's helper libraries report it so"},
	{"What a Restricted key may do", "A product, when its policy allows anything in that product; resources and verbs below it are not told apart. Flex and token validation never"},
	{"The failure of Tokens/validate", "A switch: 200 with `valid: false`, 401 or 403 with an error body, or an HTML page"},
	{"The status of a minted Flex token's answer", "201"},
	{"How a SID of the wrong kind in a filter is refused", "400, code 20001 (the specification gives each its pattern)"},
	{"The lifetime of a minted Flex token", "1 second to 24 hours, by default one hour"},
	{"The identity encoding beyond `@` and `.`", "Every byte of UTF-8 that is no ASCII letter or digit becomes `_` and two upper-case hexadecimal digits"},
	{"`Retry-After` on 429", "A switch, off by default: TaskRouter does not document it"},
	{"The format of X-Rate-Limit-*", "Requests per second, tokens left, and a description; sent by TaskRouter while a limit is set"},
	{"The limits themselves", "None but the 3 per second for expressions, until they are set"},
	{"The code of a name that is taken, in Serverless and the Plugins API", "409, code 20409"},
	{"Whether `Visibility` of an upload minds case", "It does not: Twilio's tools send both; answers have it in lower case"},
	{"Whether the Plugins API itself refuses a version that is not greater", "It does, with 400; Twilio's own tools refuse it before"},
	{"The order of lists of Serverless and the Plugins API", "Services, environments, assets and functions oldest first; versions, builds, deployments, configurations and releases newest first"},
	{"How long a build takes", "No time, until a switch says so; it is answered as building once"},
	{"How soon lists show what was written", "At once"},
	{"How often a webhook sink is tried again", "After 1 s, then twice as long each time up to 5 minutes, for 4 hours (Event Streams: up to 4 hours with backoff)"},
	{"Whether a callback is tried again", "It is not"},
	{"Whether Event Streams' worker events carry the worker's version", "They do not; callbacks do (TaskRouter Events reference)"},
	{"Which changes of a worker are told", "Attributes and activity that differ from before, creation and deletion; `bump` is told as worker.capacity.update. A new friendly name alone is not told"},
	{"How many events a webhook gets at once", "One, or with `batch_events` up to 100 that wait at the same time"},
	{"A second subscription on a sink", "400, \"Sink with SID … is in use\", as users report"},
	{"Deleting a sink in use, and the last type of a subscription", "400, code 20001"},
	{"Event types that do not exist", "400 for worker events and whatever is not com.twilio.…; other types are taken and never occur"},
	{"Regions", "Every region and edge in a host name leads to the same account; credentials are not regional"},
}

// CoverageMarkdown returns COVERAGE.md: what is emulated, what is not, and what
// is not known of Twilio.
func CoverageMarkdown() []byte {
	var b bytes.Buffer
	b.WriteString(`# What the emulator covers

Generated from internal/emulator; a test fails when this file differs from it. ` + "`flexvc emulator`" + ` serves these
operations under Twilio's own host names. An operation that is known and not emulated answers 501 and names itself,
everything else 404. Operation names are the operationIds of Twilio's OpenAPI files where those have the operation, and
the emulator's own where they do not; faults are declared by these names.

## Emulated

| operation | request | in Twilio's OpenAPI | notes |
| --- | --- | --- | --- |
`)
	for _, op := range operations() {
		if op.serve != nil {
			public := "yes"
			if !op.spec {
				public = "no"
			}
			fmt.Fprintf(&b, "| %s.%s | `%s %s` | %s | %s |\n", op.product, op.id, op.method, op.path, public, notes[op.product+"."+op.id])
		}
	}
	b.WriteString(`
Every answer carries Date, Twilio-Request-Id, Twilio-Request-Duration and Twilio-Concurrent-Requests; worker answers carry
ETag. Limits, latency and faults apply to every operation. But for Flex UI, CORS is not emulated.

Worker events go to webhook sinks and to the workspace's callback, signed as Twilio signs, to servers on this machine
only. Faults named events.DeliverEvent and taskrouter.DeliverCallback lose, double, delay and reorder them.

## What is not known of Twilio

Twilio's public documentation and specifications leave these open. The emulator does one of the things that can be
expected, and says here which.

| question | the emulator |
| --- | --- |
`)
	for _, u := range unknowns {
		fmt.Fprintf(&b, "| %s | %s |\n", u.question, u.choice)
	}
	b.WriteString(`
## Not emulated

These answer 501.

`)
	product := ""
	for _, op := range operations() {
		if op.serve != nil {
			continue
		}
		if op.product != product {
			product = op.product
			fmt.Fprintf(&b, "- **%s**\n", product)
		}
		fmt.Fprintf(&b, "  - %s: `%s %s`\n", op.id, op.method, op.path)
	}
	return []byte(strings.TrimRight(b.String(), "\n") + "\n")
}
