package events

import (
	"context"
	"net/url"
	"strings"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/eventsrv"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/spf13/cobra"
)

func NewSet(app *cli.App, enable bool, runF func(context.Context, *options) error) *cobra.Command {
	opts := &options{App: app, Enable: enable}
	if runF == nil {
		runF = setRun
	}
	cmd := &cobra.Command{
		Use:   "enable",
		Short: "Have Twilio push changes to this server",
		Long: `Create an Event Streams sink and a subscription that push the workspace's worker
changes to flexvc serve --events. flexvc recognises both by their description and
leaves every other sink and subscription alone. Safe to run again at any time: existing
items are kept, and an interrupted run is completed.

With --callback, use the workspace's event callback instead, for accounts without
Event Streams. A workspace has only one: another owner's is never replaced.`,
		Example: `  $ flexvc events enable --url https://voice.acme.example/events/twilio
  $ flexvc events enable --dry-run --exit-code`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.CheckPlanFlags(opts.DryRun, opts.ExitCode); err != nil {
				return err
			}
			return runF(cmd.Context(), opts)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	cli.WorkspaceFlag(cmd, &opts.Workspace)
	f.StringVar(&opts.URL, "url", "", "address where Twilio reaches flexvc serve --events (default /events/twilio next to the token URL)")
	if enable {
		f.BoolVar(&opts.Callback, "callback", false, "use the workspace's event callback instead of Event Streams")
	} else {
		cmd.Use = "disable"
		cmd.Short = "Remove what events enable created"
		cmd.Long = `Remove flexvc's sinks and subscriptions for the workspace, and its event callback if
it points to --url. All others are left alone.`
		cmd.Example = `  $ flexvc events disable`
	}
	cli.PlanFlags(cmd, &opts.DryRun, &opts.ExitCode, &opts.Yes)
	cli.NoCompletion(cmd, "url")
	return cmd
}

// address is where Twilio is to call: --url, or beside the token endpoint.
func (o *options) address(cfg *config.Config, emulated bool) (string, error) {
	address := o.URL
	if address == "" {
		u, err := url.Parse(cfg.TokenURL)
		if err != nil || u.Host == "" || cli.IsFunction(u) {
			return "", cli.Usagef("--url is required: the address where Twilio reaches flexvc serve --events")
		}
		u.Path, u.RawQuery, u.Fragment, u.User = strings.TrimSuffix(u.Path, "/generateToken")+eventsrv.PathTwilio, "", "", nil
		address = u.String()
	}
	if err := eventsrv.CheckURL(address); err != nil {
		return "", err
	}
	if !emulated && !strings.HasPrefix(address, "https://") {
		return "", cli.Usagef("Twilio cannot reach %s: pass the public address of flexvc serve --events with --url", address)
	}
	return address, nil
}

// eventsSetRun plans, shows, asks and applies.
func setRun(ctx context.Context, opts *options) error {
	app := opts.App
	cfg, err := app.Config()
	if err != nil {
		return err
	}
	session, err := app.Open(ctx, cli.SessionOptions{Workspace: opts.Workspace, Discover: true})
	if err != nil {
		return err
	}
	defer session.Release()
	address, err := opts.address(cfg, session.Emulated)
	if err != nil && (opts.Enable || opts.URL != "") {
		return err
	}
	p := session.Events()
	var plan *provision.EventsPlan
	switch {
	case !opts.Enable:
		plan, err = p.PlanDisable(ctx, address)
	case opts.Callback:
		plan, err = p.PlanCallback(ctx, address)
	default:
		plan, err = p.PlanEnable(ctx, address)
	}
	if err != nil {
		return err
	}
	return cli.Planned{
		App: app, Plan: &plan.Plan, DryRun: opts.DryRun, ExitCode: opts.ExitCode, Yes: opts.Yes,
		Text: eventsText(app.UI, session.WorkspaceSID, opts.Enable, plan),
		JSON: eventsJSON(session.WorkspaceSID, plan),
	}.Run(ctx)
}
