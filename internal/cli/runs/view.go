package runs

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/bulk"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/internal/workers"
)

// runsView prints runs of the past.
type runsView interface {
	list([]listedRun) error
	// show prints a run; by is the one that has changed what is left of it since.
	show(run *workers.Run, state, by string) error
}

var (
	_ runsView = runsText{}
	_ runsView = runsJSON{}
)

func newRunsView(app *cli.App) runsView {
	if app.JSON() {
		return runsJSON{cli.NewLines(app.UI.Out)}
	}
	return runsText{app.UI}
}

type runsText struct{ ui *ui.Streams }

func (v runsText) list(runs []listedRun) error {
	if len(runs) == 0 {
		v.ui.Note("no runs yet")
		v.ui.Hint("flexvc workers enable --all --dry-run")
		return nil
	}
	var rows [][]string
	next := "flexvc runs show " + runs[0].ID
	oneWorkspace := true
	for _, r := range runs {
		oneWorkspace = oneWorkspace && r.Workspace == runs[0].Workspace
		row := []string{r.ID, "", "", "damaged", v.ui.SID(r.Workspace)}
		if r.err == nil {
			row[1], row[2], row[3] = cli.When(v.ui, r.Started), r.Command+" "+r.Selection, stateText(r.state, r.by, r.Header, r.Tally)
			if r.Damaged > 0 {
				row[3] += ", " + ui.Plural(r.Damaged, "line") + " damaged"
			}
			if v.ui.OutTTY {
				row[1] = r.Started.UTC().Format("2006-01-02 15:04")
			}
		}
		if r.err == nil && r.state == runUnfinished {
			next = "flexvc runs resume " + r.ID
		}
		rows = append(rows, row)
	}
	headers := []string{"RUN", "STARTED", "COMMAND", "STATE", "WORKSPACE"}
	if v.ui.OutTTY && oneWorkspace {
		headers = headers[:4] // a person has no use for a column of equal cells
		for i := range rows {
			rows[i] = rows[i][:4]
		}
	}
	v.ui.Table(headers, rows)
	v.ui.Hint("%s", next)
	return nil
}

func stateText(state, by string, h workers.Header, t workers.Tally) string {
	switch state {
	case runDone:
		return state + ": " + strings.Join(bulk.TallyWords(h, t), ", ")
	case runSuperseded:
		state += " by " + by
	}
	return fmt.Sprintf("%s: %d of %d", state, t.Planned-t.Left, t.Planned)
}

func (v runsText) show(run *workers.Run, state, by string) error {
	t := run.Tally()
	if run.Command == "" {
		v.ui.Printf("Run %s: what it was is lost\n", run.ID)
	} else {
		v.ui.Printf("Run %s: flexvc %s %s\n", run.ID, run.Command, ui.Clean(run.Selection))
	}
	for _, row := range [][2]string{
		{"started", cli.When(v.ui, run.Started)},
		{"workspace", v.ui.SID(run.Workspace) + " of " + v.ui.SID(run.Account)},
		{"state", stateText(state, by, run.Header, t)},
	} {
		v.ui.Printf("  %-10s %s\n", row[0], row[1])
	}
	if run.Untold != "" {
		v.ui.Printf("  %-10s not all was told: %s\n", "output", ui.Clean(run.Untold))
	}
	if n := len(run.Damage); n > 0 {
		v.ui.Printf("  %-10s %s\n", "journal", ui.Plural(n, "line")+" damaged, the others were read")
		for _, d := range run.Damage {
			v.ui.Printf("   %s line %-5d %s\n", v.ui.Mark(v.ui.Out, ui.Alert), d.Line, lostWords(d))
		}
	}
	var notable []workers.Outcome
	for o := range run.Outcomes() {
		if o.Status == workers.Failed || o.Status == workers.Skipped {
			notable = append(notable, o)
		}
	}
	notable = append(notable, bulk.AsOutcomes(run.Blocked)...)
	notable = append(notable, bulk.AsOutcomes(run.Lost())...)
	if len(notable) > 0 {
		v.ui.Printf("\n")
		bulk.OutcomeLines(v.ui, notable, run.ID)
		bulk.RemedyHints(v.ui, notable)
	}
	switch {
	case state == runRunning:
		v.ui.Hint("it is still running: ^C in its terminal stops it safely")
	case run.Command == "":
		v.ui.Hint("undo: flexvc runs rollback %s", run.ID)
	case by != "":
		v.ui.Hint("run %s has changed what is left of it     undo what it did: flexvc runs rollback %s", by, run.ID)
	case state == runUnfinished:
		v.ui.Hint("continue: flexvc runs resume %s     undo: flexvc runs rollback %s", run.ID, run.ID)
	case t.Failed > 0:
		v.ui.Hint("retry: flexvc runs resume %s --retry-failed     undo: flexvc runs rollback %s", run.ID, run.ID)
	default:
		v.ui.Hint("undo: flexvc runs rollback %s", run.ID)
	}
	return nil
}

// lostWords say what a damaged line was, as far as it tells.
func lostWords(d workers.Damage) string {
	record, of := d.Record, d.Name
	if record == "" {
		record = "record"
	}
	if of == "" {
		of = d.SID
	}
	if of == "" {
		return "the " + record + " is lost"
	}
	return "the " + record + " of " + ui.Clean(of) + " is lost"
}

type runsJSON struct{ *cli.Lines }

type listedJSON struct {
	V int `json:"v"` // version of the format
	runJSON
}

type runEvent struct {
	cli.EventJSON
	runJSON
}

type runJSON struct {
	Run       string    `json:"run"`                 // id of the run
	Command   string    `json:"command,omitempty"`   // such as "workers enable"
	Selection string    `json:"selection,omitempty"` // of workers, as it was typed
	Account   string    `json:"account"`             // SID, AC…
	Workspace string    `json:"workspace"`           // SID, WS…
	Started   time.Time `json:"started"`             // UTC
	// superseded: a newer run has changed what is left of it
	State string `json:"state" jsonschema:"enum=done,enum=running,enum=unfinished,enum=superseded"`
	By    string `json:"superseded_by,omitempty"` // id of that run
	workers.Tally
	Untold  string `json:"untold,omitempty"`  // why not all was told when it ended
	Damaged int    `json:"damaged,omitempty"` // lines of the journal that cannot be read
}

// unreadableJSON is a run whose journal cannot be read.
type unreadableJSON struct {
	V         int    `json:"v"`                               // version of the format
	Run       string `json:"run"`                             // id of the run
	Account   string `json:"account"`                         // SID, AC…
	Workspace string `json:"workspace"`                       // SID, WS…
	State     string `json:"state" jsonschema:"enum=damaged"` // always "damaged"
	Error     string `json:"error"`                           // why it cannot be read
}

// damageJSON is a line of the journal that cannot be read, and what it tells.
type damageJSON struct {
	V      int    `json:"v"`                // version of the format
	Event  string `json:"event"`            // kind of line
	Line   int    `json:"line"`             // from 1
	Record string `json:"record,omitempty"` // kind of record, as far as it tells
	SID    string `json:"sid,omitempty"`    // of its worker, as far as it tells
	Name   string `json:"name,omitempty"`   // of its worker, as far as it tells
}

// Shapes are what flexvc runs prints.
func Shapes() []cli.Shape {
	list, show := []string{"runs list"}, []string{"runs show"}
	return slices.Concat(
		bulk.Shapes("runs resume", "runs rollback"),
		cli.PlannedShapes(prunePlan{}, cli.SummaryJSON{}, "runs prune"),
		[]cli.Shape{
			{Commands: list, Name: "run", Of: listedJSON{}, When: "Once for each run, the latest first."},
			{Commands: list, Name: "unreadable", Of: unreadableJSON{}, When: "In place of a run whose journal cannot be read."},
			{Commands: show, Name: "run", Of: runEvent{}, When: "First."},
			{Commands: show, Name: "damage", Of: damageJSON{}, When: "Once for each line of the journal that cannot be read."},
			{Commands: show, Name: "worker", Of: bulk.WorkerEvent{}, When: "Once for each worker of the run."},
		})
}

func newRunJSON(h workers.Header, t workers.Tally, state string) runJSON {
	return runJSON{
		Run: h.ID, Command: h.Command, Selection: h.Selection, Account: h.Account, Workspace: h.Workspace,
		Started: h.Started, State: state, Tally: t,
	}
}

func (v runsJSON) list(runs []listedRun) error {
	for _, r := range runs {
		row := newRunJSON(r.Header, r.Tally, r.state)
		row.By, row.Damaged = r.by, r.Damaged
		var line any = listedJSON{1, row}
		if r.err != nil {
			line = unreadableJSON{V: 1, Run: r.ID, Account: r.Account, Workspace: r.Workspace, State: "damaged", Error: r.err.Error()}
		}
		if err := v.Line(line); err != nil {
			return err
		}
	}
	return nil
}

func (v runsJSON) show(run *workers.Run, state, by string) error {
	row := newRunJSON(run.Header, run.Tally(), state)
	row.By, row.Untold, row.Damaged = by, run.Untold, len(run.Damage)
	if err := v.Line(runEvent{cli.Event("run"), row}); err != nil {
		return err
	}
	for _, d := range run.Damage {
		if err := v.Line(damageJSON{V: 1, Event: "damage", Line: d.Line, Record: d.Record, SID: d.SID, Name: d.Name}); err != nil {
			return err
		}
	}
	for o := range run.Outcomes() {
		status := string(o.Status)
		switch o.Status {
		case workers.Changed:
			status = run.Verb()
		case "":
			status = "left"
		}
		if err := v.Line(bulk.WorkerEvent{V: 1, Event: "worker", SID: o.SID, Name: o.Name, Status: status, Code: o.Code, Reason: o.Reason, Remedy: o.Remedy, Attempts: o.Attempts}); err != nil {
			return err
		}
	}
	for _, b := range run.Blocked {
		if err := v.Line(bulk.WorkerEvent{V: 1, Event: "worker", SID: b.SID, Name: b.Name, Status: "blocked", Code: b.Code, Reason: b.Reason, Remedy: b.Remedy}); err != nil {
			return err
		}
	}
	return nil
}
