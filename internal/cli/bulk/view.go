package bulk

import (
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/internal/workers"
)

// bulkView prints a bulk change from its plan to its end.
type View interface {
	planView
	runView
}

type planView interface {
	situation(s Situation, refused bool) // before a plan with changes
	plan(p *workers.Plan, dryRun bool) error
	// resume is plan for a run that goes on; newer are those that began since.
	resume(run *workers.Run, p *workers.Plan, newer []workers.Summary, dryRun bool) error
}

type runView interface {
	begin(*workers.Run)
	done(workers.Outcome) // one call at a time
	stopping()            // at any time
	// end prints the result and returns what the command returns.
	end(*workers.Run, workers.Tally, error) error
}

var (
	_ View = (*textView)(nil)
	_ View = (*jsonView)(nil)
)

func NewView(app *cli.App, header workers.Header, retries func() int) View {
	shared := &watched{ui: app.UI, now: app.Now, header: header, retries: retries, ended: map[string]workers.Status{}}
	if app.JSON() {
		return &jsonView{watched: shared, Lines: cli.NewLines(app.UI.Out)}
	}
	return &textView{watched: shared}
}

// watched counts a run's workers and shows the progress.
type watched struct {
	ui      *ui.Streams
	now     func() time.Time
	header  workers.Header
	retries func() int
	where   Situation // zero when nothing is to be changed

	started  time.Time
	progress *ui.Progress
	ticks    func() // ends the ticking of the progress

	mu     sync.Mutex
	ended  map[string]workers.Status
	failed int
}

func (w *watched) start(total int) {
	w.started = w.now()
	w.progress = w.ui.Progress("workers", total, w.now)
	done := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() {
		clock := time.NewTicker(time.Second)
		defer clock.Stop()
		for {
			select {
			case <-done:
				return
			case <-clock.C:
				w.progress.Tick()
			}
		}
	})
	w.ticks = sync.OnceFunc(func() {
		close(done)
		ticking.Wait()
	})
}

// count notes a worker's end. It reports false when nothing new is to be told:
// a worker that was overwritten and set again is done only once.
func (w *watched) count(o workers.Outcome) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, again := w.ended[o.SID]
	w.ended[o.SID] = o.Status
	if o.Status == workers.Failed && before != workers.Failed {
		w.failed++
	}
	if w.progress != nil {
		w.progress.Update(len(w.ended), w.failed, w.retries())
	}
	return !again || before != o.Status
}

func (w *watched) finishProgress() {
	w.ticks()
	if w.progress != nil {
		w.progress.End()
	}
}
