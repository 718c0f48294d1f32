package fleet

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// EventSource pushes changes of workers.
type EventSource interface {
	// Events yields what is pushed until ctx ends or the source breaks, which
	// the last pair's error tells. It may be called again then.
	Events(ctx context.Context) iter.Seq2[Event, error]
}

// Roster reads the workers of one workspace. Its errors are problems.
type Roster interface {
	// Workers streams every worker that expression selects ("" selects all), a
	// page of up to twilio.PageSize per request. A failing page ends the stream
	// with its error after the rows before it.
	Workers(ctx context.Context, expression string) iter.Seq2[twilio.Worker, error]
	// Worker fetches one worker, with its attributes.
	Worker(ctx context.Context, sid string) (twilio.Worker, error)
}

// WatchOptions say how a workspace is watched.
type Options struct {
	Rules       Rules
	Interval    time.Duration // from the end of a sweep to the next
	Pushed      time.Duration // the same while events flow in; Interval if zero
	Concurrency int           // fetches at a time; 96 if zero
	Events      EventSource   // nil: sweeps only
	Once        bool          // end with the first whole picture
	Now         func() time.Time

	// Loaded tells whether Flex loads the plugin; it is asked before each sweep.
	// nil: it does.
	Loaded func(context.Context) (bool, error)
}

// WatchStatus is how good a picture is.
type Status struct {
	Read, Total int       // workers that were read, of those known to exist
	Sweeps      int       // listings that came to their end, with all that was in doubt
	Whole       time.Time // when the latest of them began; zero before the first
	Sweeping    bool
	Pushed      bool          // events are flowing in
	EventsErr   error         // why they do not, although there is a source; nil while they do, and before it has stood
	Interval    time.Duration // from the end of a sweep to the next, as it is now
	Err         error         // why the latest sweep failed; nil when it did not
	Retry       time.Time     // when the next sweep begins after a failed one
}

// Watcher follows the workers of a workspace.
type Watcher struct {
	api     Roster
	o       Options
	refresh chan struct{}
	stands  chan struct{}
}

// NewWatcher returns a watcher. Nothing is asked before Follow.
func NewWatcher(api Roster, o Options) *Watcher {
	if o.Concurrency <= 0 {
		o.Concurrency = fetchesAtOnce
	}
	return &Watcher{api: api, o: o, refresh: make(chan struct{}, 1), stands: make(chan struct{}, 1)}
}

// Refresh asks for a sweep now.
func (w *Watcher) Refresh() {
	select {
	case w.refresh <- struct{}{}:
	default: // already asked for
	}
}

// Connected tells that the source of events stands, which a quiet one does not
// tell by an event.
func (w *Watcher) Connected() {
	select {
	case w.stands <- struct{}{}:
	default: // already told
	}
}

const (
	// deliverEvery bounds how often changes are handed on: a burst of events or
	// of fetches becomes one update.
	deliverEvery  = 100 * time.Millisecond
	firstRetry    = 2 * time.Second
	lastRetry     = time.Minute
	fetchesAtOnce = 96
	settleRounds  = 3 // fetches of what events keep in doubt, before the next sweep has to do
)

// Follow calls deliver with every change until ctx ends; the first updates
// bring the picture as it is read. Calls are never two at a time. An error
// before the first whole picture ends it; a later one is told in the status,
// and the rows stay as they are. A problem of a source of events that has never
// stood ends it as well: what is asked for there cannot be had. One that breaks
// otherwise is told in the status, and sweeps make up for it.
func (w *Watcher) Follow(ctx context.Context, deliver func(Update)) error {
	inner, cancel := context.WithCancel(ctx)
	l := &following{
		Watcher: w, ctx: inner, deliver: deliver,
		fleet: New(w.o.Rules, w.o.Now), work: make(chan func()), ended: make(chan error),
	}
	defer l.jobs.Wait()
	defer cancel()
	if w.o.Events != nil {
		l.jobs.Go(l.listen)
	}
	return l.run()
}

// following is a watch that goes on. Its fleet is run's alone: the jobs hand
// their findings over as functions.
type following struct {
	*Watcher
	ctx     context.Context
	deliver func(Update)
	fleet   *Fleet
	status  Status
	jobs    sync.WaitGroup
	work    chan func() // what jobs want done to the fleet
	ended   chan error  // a sweep or a settling is over

	busy    bool // one of them is under way
	again   bool // a sweep is asked for
	begun   time.Time
	failing int
	stood   bool  // the source of events, at some time
	refused error // why it never will
}

func (l *following) run() error {
	next := time.NewTimer(l.o.Interval)
	defer next.Stop()
	flush := time.NewTimer(deliverEvery)
	flush.Stop()
	defer flush.Stop()
	pending := false
	tell := func() {
		if !pending {
			pending = true
			flush.Reset(deliverEvery)
		}
	}
	l.start()
	tell()
	for {
		select {
		case <-l.ctx.Done():
			return context.Cause(l.ctx)
		case f := <-l.work:
			f()
			if l.refused != nil {
				return l.refused
			}
			tell()
		case <-l.stands:
			l.flow()
			tell()
		case err := <-l.ended:
			if done, err := l.finish(err, next); done || err != nil {
				l.hand()
				return err
			}
			tell()
		case <-flush.C:
			pending = false
			l.hand()
		case <-next.C:
			// While workers are being fetched it waits: nothing else winds the timer.
			l.again = true
		case <-l.refresh:
			l.again = true
		}
		if l.again && !l.busy {
			// Asked for during a sweep: that one may have read before whatever
			// was missed.
			l.again = false
			l.start()
			tell()
		}
		if !l.busy && l.status.Err == nil && l.status.Sweeps > 0 && len(l.fleet.Doubts()) > 0 {
			l.busy = true
			l.job(l.settle)
		}
	}
}

func (l *following) hand() {
	u := l.fleet.Take()
	unread, total := l.fleet.Unread()
	l.status.Read, l.status.Total = total-unread, total
	l.status.Interval = l.interval()
	u.Status = l.status
	l.deliver(u)
}

func (l *following) interval() time.Duration {
	if l.status.Pushed && l.o.Pushed > 0 {
		return l.o.Pushed
	}
	return l.o.Interval
}

// flow notes that events come in.
func (l *following) flow() {
	l.stood, l.status.Pushed, l.status.EventsErr = true, true, nil
}

// broken notes that they do not.
func (l *following) broken(err error) {
	select {
	case <-l.stands: // of the connection that is gone
		l.stood = true
	default:
	}
	if !l.stood && problem.As(err) != nil {
		l.refused = err
	}
	l.again = l.again || l.status.Pushed
	l.status.Pushed, l.status.EventsErr = false, err
}

func (l *following) start() {
	l.busy, l.status.Sweeping, l.begun = true, true, l.o.Now()
	l.job(l.sweep)
}

func (l *following) job(do func() error) {
	l.jobs.Go(func() {
		err := do()
		select {
		case l.ended <- err:
		case <-l.ctx.Done():
		}
	})
}

// finish notes how a job ended. It reports true when the watch is over.
func (l *following) finish(err error, next *time.Timer) (bool, error) {
	swept := l.status.Sweeping
	l.busy, l.status.Sweeping = false, false
	if err != nil {
		if l.status.Sweeps == 0 {
			return true, err
		}
		wait := min(firstRetry<<min(l.failing, 10), lastRetry)
		l.failing++
		l.status.Err, l.status.Retry = err, l.o.Now().Add(wait)
		next.Reset(wait)
		return false, nil
	}
	if swept {
		l.failing, l.status.Err, l.status.Retry = 0, nil, time.Time{}
		l.status.Sweeps++
		l.status.Whole = l.begun
		next.Reset(l.interval())
	}
	return l.o.Once, nil
}

// do has f done by run. It reports false when the watch is over.
func (l *following) do(f func()) bool {
	done := make(chan struct{})
	select {
	case l.work <- func() { f(); close(done) }:
		<-done
		return true
	case <-l.ctx.Done():
		return false
	}
}

// sweep lists all workers and looks at what is then in doubt.
func (l *following) sweep() error {
	if l.o.Loaded != nil {
		loaded, err := l.o.Loaded(l.ctx)
		if err != nil {
			return err
		}
		l.do(func() { l.fleet.Plugin(loaded) })
	}
	var sweep Mark
	if !l.do(func() { sweep = l.fleet.Mark() }) {
		return context.Cause(l.ctx)
	}
	asked, next := sweep, sweep // no later than the page at hand, and the one after it
	rows := make([]twilio.Worker, 0, twilio.PageSize)
	flush := func() {
		l.do(func() {
			for _, row := range rows {
				l.fleet.Listed(sweep, asked, row)
			}
			asked, next = next, l.fleet.Mark()
		})
		clear(rows)
		rows = rows[:0]
	}
	for row, err := range l.api.Workers(l.ctx, "") {
		if err != nil {
			flush()
			return err
		}
		// A full page here is a page there: the next may be asked for by now, but
		// not the one after that.
		if rows = append(rows, row); len(rows) == twilio.PageSize {
			flush()
		}
	}
	flush()
	if !l.do(func() { l.fleet.Swept(sweep) }) {
		return context.Cause(l.ctx)
	}
	return l.settle()
}

// settle fetches the workers that are in doubt.
func (l *following) settle() error {
	for range settleRounds {
		var doubts []string
		if !l.do(func() { doubts = l.fleet.Doubts() }) {
			return context.Cause(l.ctx)
		}
		if len(doubts) == 0 {
			return nil
		}
		g, ctx := errgroup.WithContext(l.ctx)
		g.SetLimit(l.o.Concurrency)
		for _, sid := range doubts {
			if ctx.Err() != nil {
				break
			}
			g.Go(func() error { return l.look(ctx, sid) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func (l *following) look(ctx context.Context, sid string) error {
	var asked Mark
	if !l.do(func() { asked = l.fleet.Mark() }) {
		return context.Cause(l.ctx)
	}
	w, err := l.api.Worker(ctx, sid)
	switch {
	case problem.Is(err, problem.NotFound):
		l.do(func() { l.fleet.Missing(asked, sid) })
	case err != nil:
		return err
	default:
		if w.Attributes == nil {
			w.Attributes = new(string) // an answer without them is no JSON object either
		}
		l.do(func() { l.fleet.Fetched(asked, w) })
	}
	return nil
}

// listen applies events. After a break it asks for a sweep, and for another when
// it tries again, as events of the meantime are lost.
func (l *following) listen() {
	for attempts := 0; l.ctx.Err() == nil; attempts++ {
		why := errors.New("the source ended")
		for event, err := range l.o.Events.Events(l.ctx) {
			if err != nil {
				why = err
				break
			}
			attempts = 0
			l.do(func() {
				l.flow()
				l.fleet.Apply(event)
			})
		}
		if !l.do(func() { l.broken(why) }) {
			return
		}
		select {
		case <-time.After(min(firstRetry<<min(attempts, 10), lastRetry)):
		case <-l.ctx.Done():
		}
		l.Refresh()
	}
}
