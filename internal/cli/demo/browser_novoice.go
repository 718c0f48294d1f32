//go:build !voice

package demo

import (
	"context"

	"github.com/flexvc/flexvc/internal/problem"
)

// inBrowser needs the voice edge; emulator_novoice.go says why it is apart.
func (o *options) inBrowser(context.Context) error {
	return problem.New(problem.Usage, "cannot show calls in a browser: this flexvc was built without the voice edge").
		WithHint("run make demo-browser in flexvc's source folder")
}
