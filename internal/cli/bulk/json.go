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
	V       int    `json:"v"`               // version of the format
	Event   string `json:"event"`           // kind of line
	Run     string `json:"run,omitempty"`   // id of the run; absent when none begins
	Of      string `json:"of,omitempty"`    // id of the run that is rolled back
	Change  int    `json:"change"`          // workers to change
	Again   int    `json:"again,omitempty"` // when resumed: of those, changed before and undone since
	Same    int    `json:"same"`            // workers that need no change
	Blocked int    `json:"blocked"`         // workers that are skipped; a line of each follows
	Done    *int   `json:"done,omitempty"`  // when resumed: workers finished before

	Newer []string `json:"newer,omitempty"` // when resumed: runs that began since, the latest first

	Profile       string     `json:"profile,omitempty"`        // its name
	Account       string     `json:"account,omitempty"`        // SID, AC…
	AccountName   string     `json:"account_name,omitempty"`   // absent where the credentials may not read it
	Workspace     string     `json:"workspace,omitempty"`      // SID, WS…
	WorkspaceName string     `json:"workspace_name,omitempty"` // absent when it cannot be read
	Missing       []cli.Lack `json:"missing,omitempty"`        // without which an enabled agent's calls would not reach the extension
}

// in adds where it happens.
func (s Situation) in(e planEvent) planEvent {
	e.Profile, e.Account, e.AccountName = s.Profile, s.AccountSID, s.AccountName
	e.Workspace, e.WorkspaceName, e.Missing = s.WorkspaceSID, s.WorkspaceName, s.Lacks
	return e
}

type WorkerEvent struct {
	V     int    `json:"v"`     // version of the format
	Event string `json:"event"` // kind of line
	SID   string `json:"sid"`   // of the worker, WK…
	Name  string `json:"name"`  // friendly name
	// how it ended; left: it has not
	Status   string       `json:"status" jsonschema:"enum=planned,enum=blocked,enum=enabled,enum=disabled,enum=restored,enum=repaired,enum=same,enum=failed,enum=skipped,enum=left"`
	Changes  []changeJSON `json:"changes,omitempty"`  // when planned
	Code     problem.Code `json:"code,omitempty"`     // why it failed, was skipped or blocked
	Reason   string       `json:"reason,omitempty"`   // the same for people
	Remedy   string       `json:"remedy,omitempty"`   // the command that can change it, without the worker
	Attempts int          `json:"attempts,omitempty"` // writes to Twilio, if any
}

type changeJSON struct {
	Key  string          `json:"key"`            // of the attributes, dots for nesting
	From json.RawMessage `json:"from,omitempty"` // value; absent: unset
	To   json.RawMessage `json:"to,omitempty"`   // value; absent: removed
}

type summaryEvent struct {
	V        int    `json:"v"`                  // version of the format
	Event    string `json:"event"`              // kind of line
	Run      string `json:"run,omitempty"`      // id of the run; absent when nothing had to be done
	Enabled  *int   `json:"enabled,omitempty"`  // workers changed by a run that enables
	Disabled *int   `json:"disabled,omitempty"` // workers changed by a run that disables
	Restored *int   `json:"restored,omitempty"` // workers changed by any other run
	Reset    int    `json:"reset,omitempty"`    // of the changed, set again after another program had undone them
	Failed   int    `json:"failed"`             // workers that could not be changed
	Same     int    `json:"same"`               // workers that needed no change
	Skipped  int    `json:"skipped"`            // workers that somebody else edited meanwhile
	Blocked  int    `json:"blocked"`            // workers that the plan skipped
	Left     int    `json:"left"`               // workers that an interrupted run did not reach
	Seconds  int    `json:"seconds"`            // it took
}

// Shapes are what bulk changes print.
func Shapes(commands ...string) []cli.Shape {
	return []cli.Shape{
		{Commands: commands, Name: "plan", Of: planEvent{}, When: "First: what would be changed, or is about to be."},
		{Commands: commands, Name: "worker", Of: WorkerEvent{}, When: "Once for each worker that is blocked, and once for each whose change has ended; with --dry-run, for each that would be changed."},
		{Commands: commands, Name: "summary", Of: summaryEvent{}, When: "Last, even when nothing had to be done or the run was interrupted. None with --dry-run."},
	}
}
