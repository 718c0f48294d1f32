package plugin

import (
	"context"
	"errors"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/plugin"
	"github.com/spf13/cobra"
)

// statusOptions is one `flexvc plugin status`.
type statusOptions struct {
	App    *cli.App
	Bundle func(plugin.Settings) ([]byte, error)
}

func newStatus(app *cli.App, bundle func(plugin.Settings) ([]byte, error)) *cobra.Command {
	opts := &statusOptions{App: app, Bundle: bundle}
	return &cobra.Command{
		Use:   "status",
		Short: "Show what Flex loads",
		Long: `Show which version of the plugin Flex loads, from where, whether it matches what this
flexvc would deploy with the current settings, and what a rollback would release.`,
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
	status, err := opts.App.Plugin(session).Status(ctx)
	if err != nil {
		return err
	}
	ours := bundleUnknown
	if status.Sum != "" {
		if content, err := cli.PluginBundle(cfg, opts.Bundle)(status.Version); err == nil {
			ours = bundleOther
			if provision.BundleSum(content) == status.Sum {
				ours = bundleOurs
			}
		}
	}
	if opts.App.JSON() {
		return printPluginStatusJSON(opts.App.UI, status, ours)
	}
	printPluginStatus(opts.App.UI, status, ours)
	return nil
}

// bundleIs says whether the released bundle is what this flexvc would deploy.
type bundleIs string

const (
	bundleOurs    bundleIs = "current"
	bundleOther   bundleIs = "different"
	bundleUnknown bundleIs = "unknown"
)
