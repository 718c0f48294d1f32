package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/eventsrv"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/ui"
)

func newEventsCmd(app *App) *cobra.Command {
	return parent("events", "Have Twilio push changes of workers", `Have Twilio push changes of workers to flexvc serve --events, so that flexvc watch and
/metrics know of drift within a second:

  flexvc serve --events     receives them; it needs the account's auth token, which
                            signs them, and an address that Twilio reaches
  flexvc events enable      makes Twilio call that address
  flexvc watch --events     follows what the server streams

Events come late, twice, out of order or not at all, so all workers are still listed
every few minutes.`,
		newEventsSetCmd(app, true, nil), newEventsSetCmd(app, false, nil), newEventsStatusCmd(app, nil))
}

// eventsOptions is one `flexvc events …`.
type eventsOptions struct {
	App       *App
	Enable    bool
	Workspace string
	URL       string
	Callback  bool
	DryRun    bool
	ExitCode  bool
	Yes       bool
}

func newEventsSetCmd(app *App, enable bool, runF func(context.Context, *eventsOptions) error) *cobra.Command {
	opts := &eventsOptions{App: app, Enable: enable}
	if runF == nil {
		runF = eventsSetRun
	}
	cmd := &cobra.Command{
		Use:   "enable",
		Short: "Have Twilio push changes to this server",
		Long: `Make an Event Streams sink and a subscription that push changes of the workspace's
workers to flexvc serve --events. Both carry a description by which flexvc knows them
again; every other sink and subscription of the account is left alone. It may be run
again at any time: what is there stays, and what an interrupted run began is completed.

With --callback the workspace's event callback is used instead, for accounts without
Event Streams. A workspace has one: somebody else's is never replaced.`,
		Example: `  $ flexvc events enable --url https://voice.acme.example/events/twilio
  $ flexvc events enable --dry-run --exit-code`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkPlanFlags(opts.DryRun, opts.ExitCode); err != nil {
				return err
			}
			return runF(cmd.Context(), opts)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	workspaceFlag(cmd, &opts.Workspace)
	f.StringVar(&opts.URL, "url", "", "where Twilio reaches flexvc serve --events (default /events/twilio beside the token URL)")
	if enable {
		f.BoolVar(&opts.Callback, "callback", false, "use the workspace's event callback instead of Event Streams")
	} else {
		cmd.Use = "disable"
		cmd.Short = "Take away what events enable made"
		cmd.Long = `Remove flexvc's sinks and subscriptions of the workspace, and its event callback if
it leads to --url. Everybody else's are left alone.`
		cmd.Example = `  $ flexvc events disable`
	}
	planFlags(cmd, &opts.DryRun, &opts.ExitCode, &opts.Yes)
	noCompletion(cmd, "url")
	return cmd
}

func (o *eventsOptions) pushing(session *Session) *provision.Events {
	return &provision.Events{
		Workspace: session.WorkspaceSID, Sinks: session.Sinks, Subscriptions: session.Subscriptions, Callbacks: session.Callbacks,
	}
}

// address is where Twilio is to call: --url, or beside the token endpoint.
func (o *eventsOptions) address(cfg *config.Config, emulated bool) (string, error) {
	address := o.URL
	if address == "" {
		u, err := url.Parse(cfg.TokenURL)
		if err != nil || u.Host == "" {
			return "", usagef("--url is needed: where Twilio reaches flexvc serve --events")
		}
		u.Path, u.RawQuery, u.Fragment, u.User = strings.TrimSuffix(u.Path, "/generateToken")+eventsrv.PathTwilio, "", "", nil
		address = u.String()
	}
	if err := eventsrv.CheckURL(address); err != nil {
		return "", err
	}
	if !emulated && !strings.HasPrefix(address, "https://") {
		return "", usagef("Twilio cannot reach %s: give the public address of flexvc serve --events with --url", address)
	}
	return address, nil
}

// eventsSetRun plans, shows, asks and applies.
func eventsSetRun(ctx context.Context, opts *eventsOptions) error {
	app := opts.App
	cfg, err := app.Config()
	if err != nil {
		return err
	}
	session, err := app.Open(ctx, SessionOptions{Workspace: opts.Workspace, Discover: true})
	if err != nil {
		return err
	}
	defer session.close()
	address, err := opts.address(cfg, session.Emulated)
	if err != nil && (opts.Enable || opts.URL != "") {
		return err
	}
	p := opts.pushing(session)
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
	return planned{
		app: app, plan: &plan.Plan, dryRun: opts.DryRun, exitCode: opts.ExitCode, yes: opts.Yes,
		text: eventsText(app.UI, session.WorkspaceSID, opts.Enable, plan),
		json: eventsJSON(session.WorkspaceSID, plan),
	}.run(ctx)
}

func newEventsStatusCmd(app *App, runF func(context.Context, *eventsOptions) error) *cobra.Command {
	opts := &eventsOptions{App: app}
	if runF == nil {
		runF = eventsStatusRun
	}
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show who pushes events where",
		Long:    `Show flexvc's sinks and subscriptions of the workspace, and its event callback.`,
		Example: `  $ flexvc events status`,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runF(cmd.Context(), opts) },
	}
	workspaceFlag(cmd, &opts.Workspace)
	return cmd
}

func eventsStatusRun(ctx context.Context, opts *eventsOptions) error {
	session, err := opts.App.Open(ctx, SessionOptions{Workspace: opts.Workspace, Discover: true})
	if err != nil {
		return err
	}
	defer session.close()
	status, err := opts.pushing(session).Status(ctx)
	if err != nil {
		return err
	}
	if opts.App.JSON() {
		return printEventsStatusJSON(opts.App.UI, session.WorkspaceSID, status)
	}
	printEventsStatus(opts.App.UI, status)
	return nil
}

const nextAfterEvents = "flexvc serve --events"

// eventsText is what `flexvc events enable` and `disable` say to people.
func eventsText(s *ui.Streams, workspaceSID string, enable bool, p *provision.EventsPlan) planText {
	workspace := s.SID(workspaceSID)
	text := planText{
		heading: fmt.Sprintf("For %s flexvc will:", workspace),
		line: func(item provision.Item) (name, _ string) {
			name = cmp.Or(item.Detail, item.Name)
			if item.ID != "" {
				name += "   " + s.SID(item.ID)
			}
			return name, ""
		},
		result: func(item provision.Item, _ time.Duration, err error) string {
			name := cmp.Or(s.SID(item.ID), ui.Clean(item.Name))
			if err == nil && item.Action == provision.Remove {
				name += "  removed"
			}
			return name
		},
		again: "run it again",
	}
	for _, one := range p.Left {
		text.warnings = append(text.warnings, fmt.Sprintf("sink %s is left alone: somebody else's subscription uses it", s.SID(one.SID)))
	}
	if enable {
		text.nothing = fmt.Sprintf("No changes: events of %s are pushed already. Next: %s", workspace, s.Suggest(nextAfterEvents))
		text.done, text.next = "Done: events are pushed.", "Next: "+nextAfterEvents
	} else {
		text.nothing = fmt.Sprintf("No changes: flexvc has nothing push events of %s.", workspace)
		text.done = "Done: events are not pushed any more."
	}
	return text
}

// eventsJSON is what they print for programs.
func eventsJSON(workspace string, p *provision.EventsPlan) planJSON {
	return planJSON{
		plan: struct {
			eventJSON
			Workspace string `json:"workspace"`
			countsJSON
			Items []itemJSON `json:"items"`
		}{eventJSON{1, "plan"}, workspace, planCounts(&p.Plan), planItems(&p.Plan)},
		summary: func(time.Duration) any {
			return struct {
				eventJSON
				changesJSON
			}{eventJSON{1, "summary"}, planChanges(&p.Plan)}
		},
	}
}

func printEventsStatus(s *ui.Streams, status *provision.EventsStatus) {
	if len(status.Sinks) == 0 {
		s.Printf("%s%s\n", s.Pad("event streams", planKindWidth), "none of flexvc's")
	}
	for _, one := range status.Sinks {
		types := "no subscription: flexvc events enable completes it"
		for _, sub := range status.Subscriptions {
			if sub.SinkSID == one.SID {
				types = ui.Plural(len(status.Types[sub.SID]), "event type")
			}
		}
		s.Printf("%s%s  %s  %s  %s\n", s.Pad("event streams", planKindWidth), s.SID(one.SID), ui.Clean(one.Status), ui.Clean(provision.Redact(one.Destination)), types)
	}
	switch {
	case status.Callback.URL == "":
		s.Printf("%s%s\n", s.Pad("callback", planKindWidth), "none")
	default:
		filter := "all events"
		if status.Callback.Filter != "" {
			filter = strings.ReplaceAll(status.Callback.Filter, ",", " ")
		}
		s.Printf("%s%s  %s\n", s.Pad("callback", planKindWidth), ui.Clean(provision.Redact(status.Callback.URL)), ui.Clean(filter))
	}
	if status.OtherSinks > 0 {
		s.Printf("%s%s that are not flexvc's\n", s.Pad("others", planKindWidth), ui.Plural(status.OtherSinks, "sink"))
	}
}

type sinkJSON struct {
	SID          string   `json:"sid"`
	Status       string   `json:"status"`
	Destination  string   `json:"destination"`
	Subscription string   `json:"subscription,omitempty"`
	Types        []string `json:"types,omitempty"`
}

func printEventsStatusJSON(s *ui.Streams, workspace string, status *provision.EventsStatus) error {
	sinks := []sinkJSON{}
	for _, one := range status.Sinks {
		row := sinkJSON{SID: one.SID, Status: one.Status, Destination: provision.Redact(one.Destination)}
		for _, sub := range status.Subscriptions {
			if sub.SinkSID == one.SID {
				row.Subscription, row.Types = sub.SID, status.Types[sub.SID]
			}
		}
		sinks = append(sinks, row)
	}
	return printJSON(s.Out, struct {
		V              int        `json:"v"`
		Workspace      string     `json:"workspace"`
		Sinks          []sinkJSON `json:"sinks"`
		OtherSinks     int        `json:"other_sinks"`
		CallbackURL    string     `json:"callback_url,omitempty"`
		CallbackFilter string     `json:"callback_filter,omitempty"`
	}{1, workspace, sinks, status.OtherSinks, provision.Redact(status.Callback.URL), status.Callback.Filter})
}
