// Package watch is flexvc watch: its flags, what it runs, and what it prints.
// Judging workers belongs to internal/fleet, the screen to internal/tui.
package watch

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/eventsrv"
	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/tui"
	"github.com/flexvc/flexvc/internal/workers"
)

type Options struct {
	App         *cli.App
	Interval    time.Duration
	Filter      string
	Plain       bool
	Once        bool
	ExitCode    bool
	Workspace   string
	Concurrency int
	Events      string // address of a flexvc serve --events

	filter tui.Filter
	paced  bool // --interval was given
	Inside bool // part of another command, which runs the emulator
}

const (
	defaultInterval  = 10 * time.Second
	ShortestInterval = time.Second
	pushedInterval   = 5 * time.Minute // while events make a reading a safeguard
)

func New(app *cli.App, runF func(context.Context, *Options) error) *cobra.Command {
	o := &Options{App: app}
	if runF == nil {
		runF = Run
	}
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Watch where every agent's calls ring",
		Long: `Watch all workers of the workspace: which agents are on the extension, which should be
but are not yet, and which have drifted and would lose a call on a refresh.

  ok         the contact URI is what the flag asks for
  pending    enabled, but the agent has not logged in since
  drift      enabled and logged in, but calls ring the tab, or a phone as before
  stale      disabled, but still on the extension's address: calls go nowhere
  offline    in the Voice Client Offline activity: the extension is away
  foreign    calls ring a phone: a number or a SIP address, which stays
  invalid    the attributes are not a JSON object
  no-plugin  enabled, but Flex does not load the plugin

States are judged by what Twilio has and nothing else, so that watch, doctor and
serve --events give the same counts on every machine with the same settings.

On a terminal it is a full screen: ? shows the keys, q quits. Without a terminal, or
with --plain or -o json, each change is a line.

A filter is a list of terms that must all match: FIELD:VALUE[,VALUE...] equals,
FIELD~PART contains, a leading - negates. Fields are name, state, activity, uri, flag
and sid. A bare word is a state or part of a name.

With --events, a flexvc serve --events reports each change within a second, and all
workers are listed only every 5 minutes unless --interval is set. While events are
lost, they are listed as often as without.

With --once, print the workers that need attention (or that the filter selects) and
exit. With --exit-code as well, exit with 5 if any of them is in drift, stale, foreign,
invalid or no-plugin.`,
		Example: `  $ flexvc watch
  $ flexvc watch --filter 'state:drift,stale -activity:Offline'
  $ flexvc watch --events https://voice.acme.example
  $ flexvc watch --once --exit-code --quiet
  $ flexvc watch -o json | jq -r 'select(.to.state=="drift").name'`,
		Args:              cli.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.paced = cmd.Flags().Changed("interval")
			if err := o.check(); err != nil {
				return err
			}
			return runF(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&o.Interval, "interval", defaultInterval, "time between listings of all workers")
	flags.StringVar(&o.Filter, "filter", "", "show only matching workers, such as state:drift")
	flags.BoolVar(&o.Plain, "plain", false, "print a line per change, even on a terminal")
	flags.BoolVar(&o.Once, "once", false, "print the workers that need attention and exit")
	flags.BoolVar(&o.ExitCode, "exit-code", false, "with --once: exit with 5 if any worker is in a faulty state")
	flags.StringVar(&o.Events, "events", "", "follow events from the flexvc serve --events at this address")
	cli.WorkspaceFlag(cmd, &o.Workspace)
	cli.ConcurrencyFlag(cmd, &o.Concurrency)
	cli.NoCompletion(cmd, "interval")
	cli.NoCompletion(cmd, "events")
	cli.NoCompletion(cmd, "filter")
	return cmd
}

func (o *Options) check() error {
	if o.ExitCode && !o.Once {
		return cli.Usagef("--exit-code requires --once")
	}
	if o.Events != "" {
		if o.Once {
			return cli.Usagef("--once and --events cannot be combined")
		}
		if err := (&eventsrv.Follower{URL: o.Events}).Check(); err != nil {
			return err
		}
	}
	if o.Interval < ShortestInterval {
		return cli.Usagef("--interval %s is shorter than %s", o.Interval, ShortestInterval)
	}
	var err error
	if o.filter, err = tui.ParseFilter(o.Filter); err != nil {
		return err
	}
	return cli.CheckConcurrency(o.Concurrency)
}

func Run(ctx context.Context, o *Options) (err error) {
	app := o.App
	cfg, err := app.Config()
	if err != nil {
		return err
	}
	if cfg.Emulated() && !o.Inside && !o.Once {
		// Other commands are to find the account while the watch goes on.
		stop, err := app.KeepEmulator(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	session, err := app.Open(ctx, cli.SessionOptions{Workspace: o.Workspace, Discover: true})
	if err != nil {
		return err
	}
	defer session.Release()
	judgement, err := app.Judgement(ctx, session)
	if err != nil {
		return err
	}
	dir, err := app.RunsDir(session.AccountSID, session.WorkspaceSID)
	if err != nil {
		return err
	}
	folder := workers.Folder{Path: dir, Now: app.Now}
	options := fleet.Options{
		Rules: judgement.Rules, Loaded: judgement.Loaded, Interval: o.Interval, Concurrency: o.Concurrency, Once: o.Once, Now: app.Now,
	}
	w := &workspaceWatch{session: session, folder: folder, rules: judgement.Rules}
	if o.Events != "" {
		options.Events = &eventsrv.Follower{
			URL:    o.Events,
			Auth:   eventsrv.Credentials{User: session.Credentials.Username, Password: session.Credentials.Password},
			Resync: func(string) { w.Refresh() },
			Found:  func() { w.Connected() },
		}
		if !o.paced {
			options.Pushed = pushedInterval
		}
	}
	w.Watcher = fleet.NewWatcher(session.Workers, options)
	if app.UI.Screen() && !o.Plain && !o.Once && !app.JSON() {
		return o.screen(ctx, session, w)
	}
	return o.lines(ctx, session, w)
}

func (o *Options) screen(ctx context.Context, session *cli.Session, w *workspaceWatch) error {
	sid := o.App.UI.SID(session.WorkspaceSID)
	err := tui.Run(ctx, w, tui.Options{
		Title: sid, Filter: o.filter, Now: o.App.Now,
		WholeTitle: func(ctx context.Context) string {
			ws, err := session.Activities.Workspace(ctx)
			if err != nil {
				return sid // whatever is wrong shows when the workers are listed
			}
			return ws.FriendlyName + " " + sid
		},
		Color: o.App.UI.Colored(), In: o.App.UI.In, Out: o.App.UI.Out,
		Environ: []string{"TERM=" + o.App.Getenv("TERM"), "COLORTERM=" + o.App.Getenv("COLORTERM")},
	})
	if errors.Is(err, tui.ErrInterrupted) {
		return cli.Silent(problem.Interrupted)
	}
	return err
}

// lines prints what happens, or with --once what is.
func (o *Options) lines(ctx context.Context, session *cli.Session, w *workspaceWatch) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	view := newWatchView(o, session)
	err := w.Follow(ctx, func(u fleet.Update) {
		if err := view.update(u); err != nil {
			cancel(err)
		}
	})
	if err != nil {
		return err
	}
	if faulty := view.faulty(); o.ExitCode && faulty > 0 {
		return cli.Silent(problem.ChangesPending)
	}
	return nil
}

// workspaceWatch is a workspace under watch, and what may be done to its workers.
type workspaceWatch struct {
	*fleet.Watcher
	session *cli.Session
	folder  workers.Folder
	rules   fleet.Rules
}

var _ tui.Source = (*workspaceWatch)(nil)

// Propose plans the repair of a stale worker.
func (w *workspaceWatch) Propose(ctx context.Context, sid string) (*workers.Proposal, error) {
	header := workers.Header{
		Command: "watch", Selection: sid, Account: w.session.AccountSID, Workspace: w.session.WorkspaceSID,
	}
	return w.folder.Propose(ctx, w.session.Workers, header, sid, w.rules.Repair())
}
