package cli

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/ui"
)

// plannedView is what a planned command prints.
type plannedView interface {
	plan()                               // what would be done, if anything
	start()                              // it is done from here on
	item(item provision.Item, err error) // one item is done, or ended the run
	end(err error)                       // all are done, or one ended the run
}

func (p Planned) view() plannedView {
	if p.App.JSON() {
		return &plannedJSONView{Planned: p}
	}
	return &plannedTextView{Planned: p, ui: p.App.UI}
}

// lap measures from item to item.
type lap struct {
	now          func() time.Time
	began, ended time.Time
}

func (l *lap) next() time.Duration {
	last := l.ended
	l.ended = l.now()
	return l.ended.Sub(last)
}

func (l *lap) total() time.Duration { return l.ended.Sub(l.began) }

func startLap(now func() time.Time) lap {
	t := now()
	return lap{now, t, t}
}

// plannedTextView is the view for people.
type plannedTextView struct {
	Planned
	ui  *ui.Streams
	lap lap
}

func (v *plannedTextView) plan() {
	for _, warning := range v.Text.Warnings {
		v.ui.Warn("%s", warning)
	}
	plan := v.Planned.Plan
	if !plan.Pending() {
		v.ui.Printf("%s\n", v.Text.Nothing)
		return
	}
	if v.Text.Reading != "" {
		v.ui.Note("%s", v.Text.Reading)
		if v.ui.OutTTY {
			v.ui.Printf("\n")
		}
	}
	v.ui.Printf("%s\n\n", v.Text.Heading)
	lines := make([]planLine, len(plan.Items))
	for i, item := range plan.Items {
		name, detail := v.Text.Line(item)
		lines[i] = planLine{v.ui.Mark(v.ui.Out, signs[item.Action]), string(item.Kind), name, detail}
	}
	printPlanLines(v.ui, lines)
	tail := ""
	if v.DryRun {
		tail = " Nothing was changed (--dry-run)."
	}
	v.ui.Printf("\nPlan: %d to add, %d to change, %d to remove.%s\n",
		plan.Count(provision.Add), plan.Count(provision.Change), plan.Count(provision.Remove), tail)
}

func (v *plannedTextView) start() {
	v.lap = startLap(v.App.Now)
	if v.Text.Airy && v.ui.OutTTY {
		v.ui.Chat("\n")
	}
}

func (v *plannedTextView) item(item provision.Item, err error) {
	sign := ui.Done
	if err != nil {
		sign = ui.Failed
	}
	v.ui.Chat(" %s %s%s\n", v.ui.Mark(v.ui.Out, sign), v.ui.Pad(string(item.Kind), PlanKindWidth), v.Text.Result(item, v.lap.next(), err))
}

func (v *plannedTextView) end(err error) {
	if err != nil {
		v.ui.Note("completed steps are kept; %s to continue", v.Text.Again)
		return
	}
	v.ui.Printf("\n%s\n", v.Text.Done)
	if v.Text.Next != "" {
		v.ui.Chat("%s\n", v.Text.Next)
	}
}

var signs = map[provision.Action]ui.Sign{
	provision.Add:    ui.Add,
	provision.Change: ui.Modify,
	provision.Remove: ui.Remove,
	provision.Same:   ui.Same,
}

type planLine struct{ sign, kind, name, detail string }

// printPlanLines prints a plan: one line per item, or, on a terminal too narrow
// for one of them, two. Nothing is ever cut: an ID must be whole to be of use.
func printPlanLines(s *ui.Streams, lines []planLine) {
	oneLine := func(l planLine) string {
		return s.Pad(l.kind, PlanKindWidth) + padName(l.name) + ui.Clean(l.detail)
	}
	widest, longest := 0, 0
	for _, l := range lines {
		widest = max(widest, 4+ansi.StringWidth(oneLine(l)))
		longest = max(longest, ansi.StringWidth(l.detail))
	}
	wide := !s.OutTTY || widest <= s.Width()
	indent := strings.Repeat(" ", max(4, min(4+PlanKindWidth, s.Width()-longest)))
	for _, l := range lines {
		if wide || l.detail == "" {
			s.Printf("  %s %s\n", l.sign, strings.TrimRight(oneLine(l), " "))
			continue
		}
		detail := ansi.Wordwrap(ui.Clean(l.detail), s.Width()-len(indent), "")
		s.Printf("  %s %s%s\n%s%s\n", l.sign, s.Pad(l.kind, PlanKindWidth), ui.Clean(l.name), indent, strings.ReplaceAll(detail, "\n", "\n"+indent))
	}
}

// ResultLine is an item that was done: its name, its ID, and how it went. On a
// narrow terminal they stand close together.
func ResultLine(s *ui.Streams, name, id, how string) string {
	wide := padName(name) + s.Pad(s.SID(id), 7) + "    " + how
	if s.OutTTY && 3+PlanKindWidth+ansi.StringWidth(wide) > s.Width() {
		return ui.Clean(name) + "  " + s.SID(id) + "  " + how
	}
	return wide
}

// padName fills the name column; a long name keeps the gap and moves the rest.
func padName(name string) string {
	name = ui.Clean(name)
	return name + strings.Repeat(" ", max(0, planNameWidth-ansi.StringWidth(name))+planGap)
}

func InSeconds(took time.Duration) string { return fmt.Sprintf("%.1f s", took.Seconds()) }

var WholeSID = regexp.MustCompile(`\b[A-Z]{2}[0-9a-fA-F]{32}\b`)

// plannedJSONView is the view for programs: one object per line.
type plannedJSONView struct {
	Planned
	lap lap
}

func (v *plannedJSONView) plan() { v.print(v.JSON.Plan) }

func (v *plannedJSONView) start() { v.lap = startLap(v.App.Now) }

func (v *plannedJSONView) item(item provision.Item, err error) {
	status := statuses[item.Action]
	if err != nil {
		status = "failed"
	}
	v.print(itemEvent{Event("item"), item.Kind, item.Name, item.ID, status, Seconds(v.lap.next())})
}

func (v *plannedJSONView) end(err error) {
	if err == nil {
		v.print(v.JSON.Summary(v.lap.total()))
	}
}

// print writes one line. When nobody reads any more, what is under way is
// finished all the same.
func (v *plannedJSONView) print(line any) { _ = PrintJSON(v.App.UI.Out, line) }

// Event begins a line of the event.
func Event(name string) EventJSON { return EventJSON{1, name} }

// EventJSON is how a line begins.
type EventJSON struct {
	V     int    `json:"v"`     // version of the format
	Event string `json:"event"` // kind of line
}

type itemEvent struct {
	EventJSON
	Kind provision.Kind `json:"kind"`         // kind of object, such as "activity"
	Name string         `json:"name"`         // its name
	ID   string         `json:"id,omitempty"` // its SID, extension ID or file name, once known
	// how it ended
	Status  string  `json:"status" jsonschema:"enum=added,enum=changed,enum=removed,enum=failed"`
	Seconds float64 `json:"seconds"` // it took, to the millisecond
}

type CountsJSON struct {
	Add    int `json:"add"`    // items to create
	Change int `json:"change"` // items to change
	Remove int `json:"remove"` // items to remove
	Same   int `json:"same"`   // items that need no change
}

func PlanCounts(p *provision.Plan) CountsJSON {
	return CountsJSON{p.Count(provision.Add), p.Count(provision.Change), p.Count(provision.Remove), p.Count(provision.Same)}
}

type ChangesJSON struct {
	Added   int `json:"added"`   // items created
	Changed int `json:"changed"` // items changed
	Removed int `json:"removed"` // items removed
}

func PlanChanges(p *provision.Plan) ChangesJSON {
	return ChangesJSON{p.Count(provision.Add), p.Count(provision.Change), p.Count(provision.Remove)}
}

// SummaryJSON is the summary of a command that has nothing to add to it.
type SummaryJSON struct {
	EventJSON
	ChangesJSON
	Seconds float64 `json:"seconds"` // all of it took, to the millisecond
}

// Summarize counts what a plan did.
func Summarize(p *provision.Plan) func(time.Duration) any {
	return func(took time.Duration) any { return SummaryJSON{Event("summary"), PlanChanges(p), Seconds(took)} }
}

type ItemJSON struct {
	Kind   provision.Kind   `json:"kind"`             // kind of object, such as "activity"
	Action provision.Action `json:"action"`           // what is to be done with it
	Name   string           `json:"name"`             // its name
	ID     string           `json:"id,omitempty"`     // its SID, extension ID or file name, once known
	Detail string           `json:"detail,omitempty"` // for people
}

func PlanItems(p *provision.Plan) []ItemJSON {
	all := make([]ItemJSON, len(p.Items))
	for i, item := range p.Items {
		all[i] = ItemJSON(item)
	}
	return all
}

var statuses = map[provision.Action]string{provision.Add: "added", provision.Change: "changed", provision.Remove: "removed"}

// PlanText is what a command says in its own words to people.
type PlanText struct {
	Nothing  string   // instead of a plan without changes
	Warnings []string // before the plan
	Reading  string   // noted before the plan; may be empty
	Heading  string   // above the items
	Airy     bool     // on a terminal, with an empty line before the items that are done

	// line is what an item to be done shows beside its kind.
	Line func(provision.Item) (name, detail string)
	// result is what one shows that was done, or that ended the run with an error.
	Result func(provision.Item, time.Duration, error) string

	Again string // how to go on after an error
	Done  string
	Next  string // to do; may be empty
}

// PlanJSON is what a command prints of its own for programs.
type PlanJSON struct {
	Plan    any
	Summary func(time.Duration) any
}
