// Package products lists the Twilio products that the emulator has: a new one is
// named here and nowhere else. What a product does belongs in its own folder.
package products

import (
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/calls"
	"github.com/flexvc/flexvc/internal/emulator/events"
	"github.com/flexvc/flexvc/internal/emulator/flexapi"
	"github.com/flexvc/flexvc/internal/emulator/iam"
	"github.com/flexvc/flexvc/internal/emulator/serverless"
	"github.com/flexvc/flexvc/internal/emulator/taskrouter"
)

// All is every product, in the order of COVERAGE.md.
func All() []emulator.Product {
	return []emulator.Product{
		taskrouter.Product(), flexapi.Product(), events.Product(), serverless.Product(), iam.Product(), calls.Product(),
	}
}
