package bulk

import (
	"encoding/json"
	"time"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/workers"
)

// bulkJSON is the view for programs.
type jsonView struct {
	*watched
	*cli.Lines
	newer []string // runs that began after the one that is resumed
	again int      // see workers.Plan
	err   error    // the first failure to write a line
}

func (v *jsonView) emit(event any) {
	if err := v.Line(event); v.err == nil {
		v.err = err
	}
}

func (v *jsonView) situation(s Situation, _ bool) { v.where = s }

// plan tells of a plan that is not carried out; one that is gets its run first.
func (v *jsonView) plan(p *workers.Plan, dryRun bool) error {
	if !dryRun && len(p.Change) > 0 {
		return nil
	}
	v.emit(v.where.in(planEvent{V: 1, Event: "plan", Of: v.header.Of, Change: len(p.Change), Same: p.Same, Blocked: len(p.Blocked)}))
	v.planLines(p)
	if !dryRun {
		// Nothing to do is a run that is over: whoever waits for its summary gets one.
		v.emit(v.summary("", workers.Tally{Same: p.Same, Blocked: len(p.Blocked)}))
	}
	return v.err
}

func (v *jsonView) planLines(p *workers.Plan) {
	for _, w := range p.Change {
		event := WorkerEvent{V: 1, Event: "worker", SID: w.SID, Name: w.Name, Status: "planned"}
		for _, c := range w.Changes {
			event.Changes = append(event.Changes, changeJSON{c.Key, json.RawMessage(c.From), json.RawMessage(c.To)})
		}
		v.emit(event)
	}
	v.blocked(p.Blocked)
}

// summary counts what a run did; run is empty when none was needed.
func (v *jsonView) summary(run string, t workers.Tally) summaryEvent {
	event := summaryEvent{
		V: 1, Event: "summary", Run: run, Reset: t.Reset, Failed: t.Failed, Same: t.Same, Skipped: t.Skipped, Blocked: t.Blocked, Left: t.Left,
	}
	switch v.header.Verb() {
	case "enabled":
		event.Enabled = &t.Changed
	case "disabled":
		event.Disabled = &t.Changed
	default:
		event.Restored = &t.Changed
	}
	return event
}

func (v *jsonView) blocked(blocked []workers.Blocked) {
	for _, b := range blocked {
		v.emit(WorkerEvent{V: 1, Event: "worker", SID: b.SID, Name: b.Name, Status: "blocked", Code: b.Code, Reason: b.Reason, Remedy: b.Remedy})
	}
}

func (v *jsonView) begin(run *workers.Run) {
	v.header = run.Header
	t := run.Tally()
	event := planEvent{V: 1, Event: "plan", Run: run.ID, Of: run.Of, Change: t.Left, Same: run.Same, Blocked: t.Blocked}
	if run.Resumed() {
		done := t.Planned - t.Left
		event.Done, event.Again, event.Newer = &done, v.again, v.newer
	}
	v.emit(v.where.in(event))
	v.blocked(run.Blocked)
	// Standard error is for the error object, unless a person is looking at it.
	if v.ui.ErrTTY {
		v.start(t.Left)
		return
	}
	v.started, v.ticks = v.now(), func() {}
}

func (v *jsonView) done(o workers.Outcome) {
	if !v.count(o) {
		return
	}
	status := string(o.Status)
	if o.Status == workers.Changed {
		status = v.header.Verb()
	}
	v.emit(WorkerEvent{V: 1, Event: "worker", SID: o.SID, Name: o.Name, Status: status, Code: o.Code, Reason: o.Reason, Remedy: o.Remedy, Attempts: o.Attempts})
}

func (v *jsonView) stopping() {
	v.finishProgress()
	if v.ui.ErrTTY {
		v.ui.Note("stopping after the writes in flight (press ^C again to stop now)")
	}
}

func (v *jsonView) end(run *workers.Run, t workers.Tally, err error) error {
	v.finishProgress()
	v.header = run.Header
	event := v.summary(run.ID, t)
	event.Seconds = int(v.now().Sub(v.started).Round(time.Second).Seconds())
	v.emit(event)
	switch {
	case err != nil:
		return err
	case v.err != nil:
		return v.err
	case !t.Whole():
		return cli.Silent(problem.PartlyDone)
	}
	return nil
}

type planEvent struct {
	V       int    `json:"v"`
	Event   string `json:"event"`
	Run     string `json:"run,omitempty"`
	Of      string `json:"of,omitempty"`
	Change  int    `json:"change"`
	Again   int    `json:"again,omitempty"` // when resumed: of those, changed before and undone since
	Same    int    `json:"same"`
	Blocked int    `json:"blocked"`
	Done    *int   `json:"done,omitempty"` // when resumed: finished before

	Newer []string `json:"newer,omitempty"` // when resumed: runs that began since, the latest first

	Profile       string     `json:"profile,omitempty"`
	Account       string     `json:"account,omitempty"`
	AccountName   string     `json:"account_name,omitempty"`
	Workspace     string     `json:"workspace,omitempty"`
	WorkspaceName string     `json:"workspace_name,omitempty"`
	Missing       []cli.Lack `json:"missing,omitempty"`
}

// in adds where it happens.
func (s Situation) in(e planEvent) planEvent {
	e.Profile, e.Account, e.AccountName = s.Profile, s.AccountSID, s.AccountName
	e.Workspace, e.WorkspaceName, e.Missing = s.WorkspaceSID, s.WorkspaceName, s.Lacks
	return e
}

type WorkerEvent struct {
	V        int          `json:"v"`
	Event    string       `json:"event"`
	SID      string       `json:"sid"`
	Name     string       `json:"name"`
	Status   string       `json:"status"`
	Changes  []changeJSON `json:"changes,omitempty"`
	Code     problem.Code `json:"code,omitempty"`
	Reason   string       `json:"reason,omitempty"`
	Remedy   string       `json:"remedy,omitempty"` // the command that can change it, without the worker
	Attempts int          `json:"attempts,omitempty"`
}

type changeJSON struct {
	Key  string          `json:"key"`
	From json.RawMessage `json:"from,omitempty"` // absent: unset
	To   json.RawMessage `json:"to,omitempty"`   // absent: removed
}

type summaryEvent struct {
	V        int    `json:"v"`
	Event    string `json:"event"`
	Run      string `json:"run,omitempty"` // absent when nothing had to be done
	Enabled  *int   `json:"enabled,omitempty"`
	Disabled *int   `json:"disabled,omitempty"`
	Restored *int   `json:"restored,omitempty"`
	Reset    int    `json:"reset,omitempty"` // of those, set again after another program had undone them
	Failed   int    `json:"failed"`
	Same     int    `json:"same"`
	Skipped  int    `json:"skipped"`
	Blocked  int    `json:"blocked"`
	Left     int    `json:"left"`
	Seconds  int    `json:"seconds"`
}
