package serve

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/fleet"
)

// workspace is what is known of the account's workers, once Twilio has told where
// they are.
type workspace struct {
	app   *cli.App
	log   *slog.Logger
	found chan struct{} // closed by find; guards the fields below

	session *cli.Session   // which has a workspace
	enabled *fleet.Enabled // lists nothing by itself, see list
}

func newWorkspace(app *cli.App, log *slog.Logger) *workspace {
	return &workspace{app: app, log: log, found: make(chan struct{})}
}

func (w *workspace) known() bool {
	select {
	case <-w.found:
		return true
	default:
		return false
	}
}

// find is session, if it has a workspace, or else one for which Flex was asked
// and which ends with it. Only one find may run at a time.
func (w *workspace) find(ctx context.Context, session *cli.Session) (*cli.Session, error) {
	if w.known() {
		return w.session, nil
	}
	if session.WorkspaceSID == "" {
		found, err := w.app.Open(ctx, cli.SessionOptions{Discover: true})
		if err != nil {
			return nil, err
		}
		closed := session.Close
		session.Close = func() error { return errors.Join(found.Close(), closed()) }
		session = found
	}
	w.session = session
	w.enabled = fleet.NewEnabled(session.Workers, w.app.Now, func(err error) { w.log.Warn("cannot list the workers", "cause", err) })
	close(w.found)
	return session, nil
}

// workerEnabled tells whether a worker is; until the workspace is known, nobody can.
func (w *workspace) workerEnabled(ctx context.Context, sid string) (bool, error) {
	if !w.known() {
		return false, errors.New("the workspace is not known yet")
	}
	return w.enabled.Enabled(ctx, sid)
}

// enabledInterval is how often workers are listed for --require-enabled: an agent
// who is disabled gets no token after that.
const enabledInterval = time.Minute

// list keeps the listing for workerEnabled, from find until ctx ends. wait returns
// when that has.
func (w *workspace) list(ctx context.Context) (wait func()) {
	var job sync.WaitGroup
	job.Go(func() {
		select {
		case <-w.found:
			w.enabled.Run(ctx, enabledInterval)
		case <-ctx.Done():
		}
	})
	return job.Wait
}
