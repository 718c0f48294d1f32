package serve

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/eventsrv"
	"github.com/flexvc/flexvc/internal/tokensrv"
	"github.com/flexvc/flexvc/internal/twilioapi"
)

const notifyAfter = 30 * time.Second

// eventsFlags are serve's flags for events.
type eventsFlags struct {
	on           bool
	url          string
	sweep        time.Duration
	notify       string
	notifyFormat string
	notifyAfter  time.Duration
}

func (e *eventsFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&e.on, "events", false, "receive Twilio's worker events, detect drift, and stream both to flexvc watch")
	f.StringVar(&e.url, "events-url", "", "address Twilio calls, if a proxy is in front; see flexvc events enable")
	f.DurationVar(&e.sweep, "sweep-interval", 5*time.Minute, "how often to list all workers, as events may be lost")
	f.StringVar(&e.notify, "notify", "", "webhook notified once per change of state [env: FLEXVC_NOTIFY_URL]")
	f.StringVar(&e.notifyFormat, "notify-format", eventsrv.FormatJSON, "json or slack")
	f.DurationVar(&e.notifyAfter, "notify-after", notifyAfter, "how long a state must last before it is reported")
	cli.Complete(cmd, "notify-format", eventsrv.FormatJSON, eventsrv.FormatSlack)
}

// check refuses flags that go with --events, or against it.
func (o *Options) checkEvents() error {
	e := &o.events
	if e.on && e.notify == "" {
		e.notify = o.App.Getenv("FLEXVC_NOTIFY_URL")
	}
	switch {
	case !e.on && e.url != "":
		return cli.Usagef("--events-url requires --events")
	case !e.on && e.notify != "":
		return cli.Usagef("--notify requires --events")
	case !e.on:
		return nil
	case o.envFile != "":
		return cli.Usagef("--events and --env-file cannot be combined: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN instead")
	case o.behindProxy && e.url == "":
		return cli.Usagef("--events with --behind-proxy requires --events-url, the address Twilio calls: Twilio's signature covers it")
	case e.sweep < time.Second:
		return cli.Usagef("--sweep-interval %s is less than a second", e.sweep)
	case e.notify == "" && (e.notifyFormat != eventsrv.FormatJSON || e.notifyAfter != notifyAfter):
		return cli.Usagef("--notify-format and --notify-after require --notify")
	case e.notifyAfter < 0:
		return cli.Usagef("--notify-after %s is negative", e.notifyAfter)
	}
	return eventsrv.CheckURL(e.url)
}

// eventService is what --events adds to the token server. It works from open on;
// until then Twilio is asked to come again, and so is flexvc watch.
type eventService struct {
	build  func(ctx context.Context, session *cli.Session) (*eventParts, error)
	parts  atomic.Pointer[eventParts]
	opened chan struct{}
}

type eventParts struct {
	server     *eventsrv.Server
	drift      *eventsrv.Drift
	activities *eventsrv.Activities
}

func (o *Options) eventService(cfg *config.Config, c tokensrv.Config, log *slog.Logger) *eventService {
	return &eventService{
		opened: make(chan struct{}),
		build: func(ctx context.Context, session *cli.Session) (*eventParts, error) {
			return o.eventParts(ctx, cfg, session, c, log)
		},
	}
}

// open builds the service for the session's workspace.
func (e *eventService) open(ctx context.Context, session *cli.Session) error {
	if e.parts.Load() != nil {
		return nil
	}
	parts, err := e.build(ctx, session)
	if err != nil {
		return err
	}
	e.parts.Store(parts)
	close(e.opened)
	return nil
}

func (o *Options) eventParts(ctx context.Context, cfg *config.Config, session *cli.Session, c tokensrv.Config, log *slog.Logger) (*eventParts, error) {
	app := o.App
	judgement, err := app.Judgement(ctx, session)
	if err != nil {
		return nil, err
	}
	authToken := AccountToken(app, session)
	activities := eventsrv.NewActivities(session.Activities.Activities, log)
	options := eventsrv.DriftOptions{Rules: judgement.Rules, Loaded: judgement.Loaded, Interval: o.events.sweep, Hold: o.events.notifyAfter}
	if o.requireEnabled {
		options.Told, options.Interval = o.space.enabled.Take, min(options.Interval, enabledInterval)
	}
	if o.events.notify != "" {
		options.Notify, err = eventsrv.NewNotifier(eventsrv.NotifierOptions{
			URL: o.events.notify, Format: o.events.notifyFormat, Workspace: session.WorkspaceSID,
			Transport: tokensrv.NewTransport(http.ProxyFromEnvironment), Log: log,
		})
		if err != nil {
			return nil, err
		}
	}
	server, err := eventsrv.New(eventsrv.Config{
		AccountSID: session.AccountSID, WorkspaceSID: session.WorkspaceSID, AuthToken: authToken,
		URL: o.events.url, RedisURL: c.RedisURL,
		Readers: []eventsrv.Credentials{
			{User: session.AccountSID, Password: authToken},
			{User: session.Credentials.Username, Password: session.Credentials.Password},
			{User: c.KeySID, Password: c.KeySecret},
		},
	}, eventsrv.Deps{
		Signed: func(address string, body []byte, signature string) bool {
			return twilioapi.Signed(authToken, address, body, signature)
		},
		SignedAddress: func(address, signature string) bool {
			return twilioapi.SignedAddress(authToken, address, signature)
		},
		Available: activities.Available, Log: log, Now: app.Now,
	})
	if err != nil {
		return nil, err
	}
	return &eventParts{server, server.Drift(session.Workers, options), activities}, nil
}

// AccountToken is the account's auth token, if it is known: with it Twilio signs.
// An API key that the profile uses does not make it unknown.
func AccountToken(app *cli.App, session *cli.Session) string {
	if session.Credentials.Kind == config.AuthToken {
		return session.Credentials.Password
	}
	if sid := app.Getenv("TWILIO_ACCOUNT_SID"); sid != "" && sid != session.AccountSID {
		return ""
	}
	return app.Getenv("TWILIO_AUTH_TOKEN")
}

// routes hangs the service into the token server. On the metrics listener,
// which only operators reach, programs on this machine may read the stream as
// they are.
func (e *eventService) routes(deps *tokensrv.Deps) {
	deps.Public = append(deps.Public,
		tokensrv.Route{Path: eventsrv.PathTwilio, Name: "events", Handler: e.to((*eventsrv.Server).Receiver), MaxBody: eventsrv.MaxBody},
		tokensrv.Route{Path: eventsrv.PathStream, Name: "stream", Handler: e.to(func(s *eventsrv.Server) http.Handler { return s.Stream(false) }), MaxBody: 1, Streams: true},
	)
	deps.Admin = append(deps.Admin, tokensrv.Route{Path: eventsrv.PathStream, Handler: e.to(func(s *eventsrv.Server) http.Handler { return s.Stream(true) })})
	deps.Metrics = append(deps.Metrics, func(w io.Writer) {
		if parts := e.parts.Load(); parts != nil {
			parts.server.WriteMetrics(w)
		}
	})
	deps.Degraded = append(deps.Degraded, func() []tokensrv.Degraded {
		if e.parts.Load() != nil {
			return nil
		}
		return []tokensrv.Degraded{{What: "events", Why: "Twilio has not told yet whose events these are: events are not taken"}}
	})
	also := deps.OtherWork
	deps.OtherWork = func() bool { return e.parts.Load() != nil || also != nil && also() }
}

// to is a handler of the service's server, from the moment there is one.
func (e *eventService) to(handler func(*eventsrv.Server) http.Handler) http.Handler {
	made := sync.OnceValue(func() http.Handler { return handler(e.parts.Load().server) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e.parts.Load() == nil {
			w.Header().Set("Retry-After", "10")
			http.Error(w, "not yet: the server is starting", http.StatusServiceUnavailable)
			return
		}
		made().ServeHTTP(w, r)
	})
}

// run serves from open until ctx ends, and returns when all has ended.
func (e *eventService) run(ctx context.Context) (wait func()) {
	var jobs sync.WaitGroup
	jobs.Go(func() {
		select {
		case <-e.opened:
		case <-ctx.Done():
			return
		}
		parts := e.parts.Load()
		jobs.Go(func() { parts.activities.Run(ctx) })
		jobs.Go(func() { parts.server.Run(ctx) })
		jobs.Go(func() { parts.drift.Run(ctx) })
	})
	return jobs.Wait
}

// tellEvents says where events arrive and leave.
func (o *Options) tellEvents(l tokensrv.Listeners) {
	to := o.events.url
	if to == "" {
		to = placeOf(l.Public[0], o.tlsCert != "", eventsrv.PathTwilio)
	}
	from := placeOf(l.Public[0], o.tlsCert != "", eventsrv.PathStream)
	if l.Admin != nil {
		from = placeOf(l.Admin, false, eventsrv.PathStream)
	}
	o.App.UI.Note("events to %s     streamed on %s", to, from)
}
