package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/eventsrv"
	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/tui"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/workers"
)

type watchOptions struct {
	app         *App
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
	inside bool // part of another command, which runs the emulator
}

const (
	defaultInterval  = 10 * time.Second
	shortestInterval = time.Second
	pushedInterval   = 5 * time.Minute // while events make a reading a safeguard
)

func newWatchCmd(app *App, runF func(context.Context, *watchOptions) error) *cobra.Command {
	o := &watchOptions{app: app}
	if runF == nil {
		runF = watchRun
	}
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Watch where every agent's calls ring",
		Long: `Watch all workers of the workspace: which agents are on the extension, which only
should be, and which have drifted, so that the next call would be lost on a refresh.

  ok        the contact URI is what the flag asks for
  pending   enabled, the agent has not logged in since
  drift     enabled and logged in, but calls ring the tab
  stale     disabled, but still on the extension's address: calls go nowhere
  offline   in the Voice Client Offline activity: the extension is not there
  foreign   the contact URI is a phone number or a SIP address
  invalid   the attributes are not a JSON object

On a terminal it is a screen: ? shows the keys, q leaves it. Off a terminal, with
--plain or with -o json, each change is a line.

A filter has terms that all have to match: FIELD:VALUE[,VALUE...] for one that is,
FIELD~PART for one that contains, - in front for one that is not. The fields are name,
state, activity, uri, flag and sid. A bare word is a state, or a part of a name.

With --events a flexvc serve --events tells of each change within a second, and all
workers are read every 5 minutes only, unless --interval says otherwise. While the events
are lost, they are read as often as without.

With --once the workers that need somebody are printed and the command ends; with a
filter, those it selects. With --exit-code as well it exits with 5 when any of them is
in drift, stale, foreign or invalid.`,
		Example: `  $ flexvc watch
  $ flexvc watch --filter 'state:drift,stale -activity:Offline'
  $ flexvc watch --events https://voice.acme.example
  $ flexvc watch --once --exit-code --quiet
  $ flexvc watch -o json | jq -r 'select(.to.state=="drift").name'`,
		Args:              noArgs,
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
	flags.DurationVar(&o.Interval, "interval", defaultInterval, "time from one reading of all workers to the next")
	flags.StringVar(&o.Filter, "filter", "", "show only workers that it selects, such as state:drift")
	flags.BoolVar(&o.Plain, "plain", false, "a line per change, on a terminal too")
	flags.BoolVar(&o.Once, "once", false, "print the workers that need somebody, and end")
	flags.BoolVar(&o.ExitCode, "exit-code", false, "with --once: exit with 5 when there are any")
	flags.StringVar(&o.Events, "events", "", "follow the changes that a flexvc serve --events at this address tells of")
	workspaceFlag(cmd, &o.Workspace)
	concurrencyFlag(cmd, &o.Concurrency)
	noCompletion(cmd, "interval")
	noCompletion(cmd, "events")
	noCompletion(cmd, "filter")
	return cmd
}

func (o *watchOptions) check() error {
	if o.ExitCode && !o.Once {
		return usagef("--exit-code tells about one look: give --once with it")
	}
	if o.Events != "" {
		if o.Once {
			return usagef("--once is one look, and --events is about what comes after it: give one of them")
		}
		if err := (&eventsrv.Follower{URL: o.Events}).Check(); err != nil {
			return err
		}
	}
	if o.Interval < shortestInterval {
		return usagef("--interval %s is shorter than %s", o.Interval, shortestInterval)
	}
	var err error
	if o.filter, err = tui.ParseFilter(o.Filter); err != nil {
		return err
	}
	return checkConcurrency(o.Concurrency)
}

func watchRun(ctx context.Context, o *watchOptions) (err error) {
	app := o.app
	cfg, err := app.Config()
	if err != nil {
		return err
	}
	if cfg.Emulated() && !o.inside && !o.Once {
		// Other commands are to find the account while the watch goes on.
		stop, err := app.keepEmulator(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	session, err := app.Open(ctx, SessionOptions{Workspace: o.Workspace, Discover: true})
	if err != nil {
		return err
	}
	defer session.close()
	rules := fleet.Rules{Prefix: cfg.IdentityPrefix, VoiceOffline: cfg.ActivitySID}
	if rules.VoiceOffline == "" {
		rules.VoiceOffline = cfg.ActivityName
	}
	rules.LoggedOut, err = loggedOut(ctx, session)
	if err != nil {
		return err
	}
	dir, err := app.RunsDir(session.AccountSID, session.WorkspaceSID)
	if err != nil {
		return err
	}
	folder := workers.Folder{Path: dir, Now: app.Now}
	enabled := folder.EnabledAt()
	options := fleet.Options{
		Rules: rules, Interval: o.Interval, Concurrency: o.Concurrency, Once: o.Once, Now: app.Now,
		EnabledAt: func(sid string) time.Time { return enabled[sid] },
	}
	w := &workspaceWatch{session: session, folder: folder, rules: rules}
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

// loggedOut is Flex's own offline activity. A key that may not read Flex's
// configuration is no reason not to watch: it has its name then.
func loggedOut(ctx context.Context, session *Session) (string, error) {
	var flex twilio.FlexConfiguration
	var err error
	if session.Found != nil {
		flex = *session.Found
	} else {
		flex, err = session.Flex.FlexConfiguration(ctx)
	}
	switch {
	case problem.Is(err, problem.PermissionDenied), problem.Is(err, problem.FlexNotFound),
		err == nil && flex.OfflineActivitySID == "":
		return "Offline", nil
	case err != nil:
		return "", err
	}
	return flex.OfflineActivitySID, nil
}

func (o *watchOptions) screen(ctx context.Context, session *Session, w *workspaceWatch) error {
	sid := o.app.UI.SID(session.WorkspaceSID)
	err := tui.Run(ctx, w, tui.Options{
		Title: sid, Filter: o.filter, Now: o.app.Now,
		WholeTitle: func(ctx context.Context) string {
			ws, err := session.Activities.Workspace(ctx)
			if err != nil {
				return sid // whatever is wrong shows when the workers are listed
			}
			return ws.FriendlyName + " " + sid
		},
		Color: o.app.UI.Colored(), In: o.app.UI.In, Out: o.app.UI.Out,
		Environ: []string{"TERM=" + o.app.Getenv("TERM"), "COLORTERM=" + o.app.Getenv("COLORTERM")},
	})
	if errors.Is(err, tui.ErrInterrupted) {
		return silent(problem.Interrupted)
	}
	return err
}

// lines prints what happens, or with --once what is.
func (o *watchOptions) lines(ctx context.Context, session *Session, w *workspaceWatch) error {
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
		return silent(problem.ChangesPending)
	}
	return nil
}

// workspaceWatch is a workspace under watch, and what may be done to its workers.
type workspaceWatch struct {
	*fleet.Watcher
	session *Session
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
