// Package coverage writes COVERAGE.md from what the products registered. What is
// to be said of one product belongs in that product's folder.
package coverage

import (
	"bytes"
	"fmt"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/flexui"
	"github.com/flexvc/flexvc/internal/emulator/products"
)

// unknowns are the answers of Twilio that no public document gives, whatever the
// product, and what the emulator does instead.
var unknowns = []emulator.Unknown{
	{"`Page` without `PageToken`", "400 above page 0: the Worker resource says not to use it"},
	{"Parameters an operation does not have, and repeated ones", "400, code 20001, so that misspelt ones are found"},
	{"A JSON body where a form is expected, and the reverse", "415, code 20001"},
	{"How a SID of the wrong kind in a filter is refused", "400, code 20001 (the specification gives each its pattern)"},
	{"`Retry-After` on 429", "A switch, off by default: TaskRouter does not document it"},
	{"The limits themselves", "None but the 3 per second for expressions, until they are set"},
	{"The code of a name that is taken, in Serverless and the Plugins API", "409, code 20409"},
	{"The order of lists of Serverless and the Plugins API", "Services, environments, assets and functions oldest first; versions, builds, deployments, configurations and releases newest first"},
	{"How soon lists show what was written", "At once"},
	{"Regions", "Every region and edge in a host name leads to the same account; credentials are not regional"},
}

// Markdown returns COVERAGE.md: what is emulated, what is not, and what
// is not known of Twilio.
func Markdown() []byte {
	all := products.All()
	operations := emulator.Operations(all)
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
	for _, op := range operations {
		if op.Serve != nil {
			public := "yes"
			if !op.Spec {
				public = "no"
			}
			fmt.Fprintf(&b, "| %s.%s | `%s %s` | %s | %s |\n", op.Product, op.ID, op.Method, op.Path, public, op.Note)
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
	for _, p := range all {
		for _, u := range p.Unknowns {
			fmt.Fprintf(&b, "| %s | %s |\n", u[0], u[1])
		}
	}
	for _, u := range unknowns {
		fmt.Fprintf(&b, "| %s | %s |\n", u[0], u[1])
	}
	b.WriteString(`
## Not emulated

These answer 501.

`)
	product := ""
	for _, op := range operations {
		if op.Serve != nil {
			continue
		}
		if op.Product != product {
			product = op.Product
			fmt.Fprintf(&b, "- **%s**\n", product)
		}
		fmt.Fprintf(&b, "  - %s: `%s %s`\n", op.ID, op.Method, op.Path)
	}
	b.Write(flexui.CoverageMarkdown())
	return b.Bytes()
}
