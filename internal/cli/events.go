package cli

import (
	"context"
	"net/url"
	"strings"

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

func (o *eventsOptions) pushing(session *Session) *provision.Pushing {
	return &provision.Pushing{
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
	var plan *provision.PushPlan
	switch {
	case !opts.Enable:
		plan, err = p.Disable(ctx, address)
	case opts.Callback:
		plan, err = p.EnableCallback(ctx, address)
	default:
		plan, err = p.Enable(ctx, address)
	}
	if err != nil {
		return err
	}
	view := newEventsView(opts, session)
	return change{
		pending: plan.Pending(), dryRun: opts.DryRun, exitCode: opts.ExitCode, yes: opts.Yes,
		show: func() { view.plan(plan) },
		apply: func() error {
			err := p.Apply(ctx, plan, view.item)
			view.end(plan, err)
			return err
		},
	}.run(ctx, app)
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
	newEventsView(opts, session).status(status)
	return nil
}

// eventsView is what `flexvc events` prints.
type eventsView interface {
	plan(*provision.PushPlan)
	item(provision.SetupItem, error)
	end(*provision.PushPlan, error)
	status(*provision.PushStatus)
}

var (
	_ eventsView = (*eventsText)(nil)
	_ eventsView = (*eventsJSON)(nil)
)

func newEventsView(opts *eventsOptions, session *Session) eventsView {
	if opts.App.JSON() {
		return &eventsJSON{opts: opts, session: session}
	}
	return &eventsText{opts, opts.App.UI, session}
}

// eventsText is the view for people.
type eventsText struct {
	opts    *eventsOptions
	ui      *ui.Streams
	session *Session
}

const nextAfterEvents = "flexvc serve --events"

func (v *eventsText) plan(p *provision.PushPlan) {
	workspace := v.ui.SID(v.session.WorkspaceSID)
	for _, one := range p.Left {
		v.ui.Warn("sink %s is left alone: somebody else's subscription uses it", v.ui.SID(one.SID))
	}
	if !p.Pending() {
		if v.opts.Enable {
			v.ui.Printf("No changes: events of %s are pushed already. Next: %s\n", workspace, v.ui.Suggest(nextAfterEvents))
		} else {
			v.ui.Printf("No changes: flexvc has nothing push events of %s.\n", workspace)
		}
		return
	}
	v.ui.Printf("For %s flexvc will:\n\n", workspace)
	for _, item := range p.Items {
		text := item.Name
		if item.Detail != "" {
			text = item.Detail
		}
		if item.ID != "" {
			text += "   " + v.ui.SID(item.ID)
		}
		v.ui.Printf("  %s %s%s\n", v.ui.Mark(v.ui.Out, signs[item.Action]), v.ui.Pad(string(item.Kind), setupKindWidth), ui.Clean(text))
	}
	tail := ""
	if v.opts.DryRun {
		tail = " Nothing was changed (--dry-run)."
	}
	v.ui.Printf("\nPlan: %d to add, %d to change, %d to remove.%s\n",
		p.Count(provision.SetupAdd), p.Count(provision.SetupChange), p.Count(provision.SetupRemove), tail)
}

func (v *eventsText) item(item provision.SetupItem, err error) {
	sign, text := ui.Done, v.ui.SID(item.ID)
	if item.ID == "" {
		text = ui.Clean(item.Name)
	}
	switch {
	case err != nil:
		sign = ui.Failed
	case item.Action == provision.SetupRemove:
		text += "  removed"
	}
	v.ui.Chat(" %s %s%s\n", v.ui.Mark(v.ui.Out, sign), v.ui.Pad(string(item.Kind), setupKindWidth), text)
}

func (v *eventsText) end(p *provision.PushPlan, err error) {
	if err != nil {
		v.ui.Note("what is done stays; run it again, and it goes on from here")
		return
	}
	if v.opts.Enable {
		v.ui.Printf("\nDone: events are pushed.\n")
		v.ui.Chat("Next: %s\n", nextAfterEvents)
		return
	}
	v.ui.Printf("\nDone: events are not pushed any more.\n")
}

func (v *eventsText) status(s *provision.PushStatus) {
	if len(s.Sinks) == 0 {
		v.ui.Printf("%s%s\n", v.ui.Pad("event streams", setupKindWidth), "none of flexvc's")
	}
	for _, one := range s.Sinks {
		types := "no subscription: flexvc events enable completes it"
		for _, sub := range s.Subscriptions {
			if sub.SinkSID == one.SID {
				types = ui.Plural(len(s.Types[sub.SID]), "event type")
			}
		}
		v.ui.Printf("%s%s  %s  %s  %s\n", v.ui.Pad("event streams", setupKindWidth), v.ui.SID(one.SID), ui.Clean(one.Status), ui.Clean(provision.Redact(one.Destination)), types)
	}
	switch {
	case s.Callback.URL == "":
		v.ui.Printf("%s%s\n", v.ui.Pad("callback", setupKindWidth), "none")
	default:
		filter := "all events"
		if s.Callback.Filter != "" {
			filter = strings.ReplaceAll(s.Callback.Filter, ",", " ")
		}
		v.ui.Printf("%s%s  %s\n", v.ui.Pad("callback", setupKindWidth), ui.Clean(provision.Redact(s.Callback.URL)), ui.Clean(filter))
	}
	if s.OtherSinks > 0 {
		v.ui.Printf("%s%s that are not flexvc's\n", v.ui.Pad("others", setupKindWidth), ui.Plural(s.OtherSinks, "sink"))
	}
}

// eventsJSON is the view for programs: one object per line.
type eventsJSON struct {
	opts    *eventsOptions
	session *Session
	lap     lap
}

func (v *eventsJSON) print(event any) { _ = printJSON(v.opts.App.UI.Out, event) }

func (v *eventsJSON) plan(p *provision.PushPlan) {
	v.lap = startLap(v.opts.App.Now)
	v.print(struct {
		V         int             `json:"v"`
		Event     string          `json:"event"`
		Workspace string          `json:"workspace"`
		Add       int             `json:"add"`
		Change    int             `json:"change"`
		Remove    int             `json:"remove"`
		Same      int             `json:"same"`
		Items     []setupItemJSON `json:"items"`
	}{1, "plan", v.session.WorkspaceSID, p.Count(provision.SetupAdd), p.Count(provision.SetupChange), p.Count(provision.SetupRemove), p.Count(provision.SetupSame), setupJSON(p.Items)})
}

func (v *eventsJSON) item(item provision.SetupItem, err error) {
	printItemJSON(v.opts.App, item, v.lap.next(), err)
}

func (v *eventsJSON) end(p *provision.PushPlan, err error) {
	if err != nil {
		return
	}
	v.print(struct {
		V       int    `json:"v"`
		Event   string `json:"event"`
		Added   int    `json:"added"`
		Changed int    `json:"changed"`
		Removed int    `json:"removed"`
	}{1, "summary", p.Count(provision.SetupAdd), p.Count(provision.SetupChange), p.Count(provision.SetupRemove)})
}

type sinkJSON struct {
	SID          string   `json:"sid"`
	Status       string   `json:"status"`
	Destination  string   `json:"destination"`
	Subscription string   `json:"subscription,omitempty"`
	Types        []string `json:"types,omitempty"`
}

func (v *eventsJSON) status(s *provision.PushStatus) {
	sinks := []sinkJSON{}
	for _, one := range s.Sinks {
		row := sinkJSON{SID: one.SID, Status: one.Status, Destination: provision.Redact(one.Destination)}
		for _, sub := range s.Subscriptions {
			if sub.SinkSID == one.SID {
				row.Subscription, row.Types = sub.SID, s.Types[sub.SID]
			}
		}
		sinks = append(sinks, row)
	}
	v.print(struct {
		V              int        `json:"v"`
		Workspace      string     `json:"workspace"`
		Sinks          []sinkJSON `json:"sinks"`
		OtherSinks     int        `json:"other_sinks"`
		CallbackURL    string     `json:"callback_url,omitempty"`
		CallbackFilter string     `json:"callback_filter,omitempty"`
	}{1, v.session.WorkspaceSID, sinks, s.OtherSinks, provision.Redact(s.Callback.URL), s.Callback.Filter})
}
