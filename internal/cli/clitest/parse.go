package clitest

import (
	"context"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/spf13/cobra"
)

// Parsed runs a command line of a lone command and returns its options, which
// the run function hands out instead of acting on them.
func Parsed[T any](t *testing.T, newCmd func(*cli.App, func(context.Context, *T) error) *cobra.Command, line string) (*T, error) {
	t.Helper()
	var got *T
	cmd := newCmd(Quiet(), func(_ context.Context, opts *T) error {
		got = opts
		return nil
	})
	cmd.SetArgs(strings.Fields(line))
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	if (err == nil) != (got != nil) {
		t.Fatalf("%q: the run function was called: %t, error: %v", line, got != nil, err)
	}
	return got, err
}
