package function

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/provision"
)

// statusOptions is one `flexvc function status`.
type statusOptions struct {
	App    *cli.App
	Source []byte
}

func newStatus(app *cli.App, source []byte) *cobra.Command {
	opts := &statusOptions{App: app, Source: source}
	return &cobra.Command{
		Use:   "status",
		Short: "Show what is deployed",
		Long: `Show the Function's address, build, settings and key, whether it is what this flexvc would
deploy, and whether token_url names it. The secret is never shown.`,
		Args:              cli.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return statusRun(cmd.Context(), opts) },
	}
}

func statusRun(ctx context.Context, opts *statusOptions) (err error) {
	cfg, err := opts.App.Config()
	if err != nil {
		return err
	}
	session, err := opts.App.Open(ctx, cli.SessionOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	d, err := opts.App.Function(session)
	if err != nil {
		return err
	}
	status, err := d.Status(ctx)
	if err != nil {
		return err
	}
	code := codeUnknown
	switch {
	case status.Sum == "":
	case status.Sum == provision.FunctionSum(opts.Source, status.Settings):
		code = codeOurs
	default:
		code = codeOther
	}
	if opts.App.JSON() {
		return printStatusJSON(opts.App.UI, cfg, status, code)
	}
	printStatus(opts.App.UI, cfg, status, code)
	return nil
}

// codeIs says whether the deployed Function is what this flexvc would deploy with
// the settings that it has.
type codeIs string

const (
	codeOurs    codeIs = "current"
	codeOther   codeIs = "different"
	codeUnknown codeIs = "unknown"
)
