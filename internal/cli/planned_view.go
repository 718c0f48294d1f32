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

func (p planned) view() plannedView {
	if p.app.JSON() {
		return &plannedJSONView{planned: p}
	}
	return &plannedTextView{planned: p, ui: p.app.UI}
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
	planned
	ui  *ui.Streams
	lap lap
}

func (v *plannedTextView) plan() {
	for _, warning := range v.text.warnings {
		v.ui.Warn("%s", warning)
	}
	plan := v.planned.plan
	if !plan.Pending() {
		v.ui.Printf("%s\n", v.text.nothing)
		return
	}
	if v.text.reading != "" {
		v.ui.Note("%s", v.text.reading)
		if v.ui.OutTTY {
			v.ui.Printf("\n")
		}
	}
	v.ui.Printf("%s\n\n", v.text.heading)
	lines := make([]planLine, len(plan.Items))
	for i, item := range plan.Items {
		name, detail := v.text.line(item)
		lines[i] = planLine{v.ui.Mark(v.ui.Out, signs[item.Action]), string(item.Kind), name, detail}
	}
	printPlanLines(v.ui, lines)
	tail := ""
	if v.dryRun {
		tail = " Nothing was changed (--dry-run)."
	}
	v.ui.Printf("\nPlan: %d to add, %d to change, %d to remove.%s\n",
		plan.Count(provision.Add), plan.Count(provision.Change), plan.Count(provision.Remove), tail)
}

func (v *plannedTextView) start() {
	v.lap = startLap(v.app.Now)
	if v.text.airy && v.ui.OutTTY {
		v.ui.Chat("\n")
	}
}

func (v *plannedTextView) item(item provision.Item, err error) {
	sign := ui.Done
	if err != nil {
		sign = ui.Failed
	}
	v.ui.Chat(" %s %s%s\n", v.ui.Mark(v.ui.Out, sign), v.ui.Pad(string(item.Kind), planKindWidth), v.text.result(item, v.lap.next(), err))
}

func (v *plannedTextView) end(err error) {
	if err != nil {
		v.ui.Note("what is done stays; %s, and it goes on from here", v.text.again)
		return
	}
	v.ui.Printf("\n%s\n", v.text.done)
	if v.text.next != "" {
		v.ui.Chat("%s\n", v.text.next)
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
		return s.Pad(l.kind, planKindWidth) + padName(l.name) + ui.Clean(l.detail)
	}
	widest, longest := 0, 0
	for _, l := range lines {
		widest = max(widest, 4+ansi.StringWidth(oneLine(l)))
		longest = max(longest, ansi.StringWidth(l.detail))
	}
	wide := !s.OutTTY || widest <= s.Width()
	indent := strings.Repeat(" ", max(4, min(4+planKindWidth, s.Width()-longest)))
	for _, l := range lines {
		if wide || l.detail == "" {
			s.Printf("  %s %s\n", l.sign, strings.TrimRight(oneLine(l), " "))
			continue
		}
		s.Printf("  %s %s%s\n%s%s\n", l.sign, s.Pad(l.kind, planKindWidth), ui.Clean(l.name), indent, ui.Clean(l.detail))
	}
}

// resultLine is an item that was done: its name, its ID, and how it went. On a
// narrow terminal they stand close together.
func resultLine(s *ui.Streams, name, id, how string) string {
	wide := padName(name) + s.Pad(s.SID(id), 7) + "    " + how
	if s.OutTTY && 3+planKindWidth+ansi.StringWidth(wide) > s.Width() {
		return ui.Clean(name) + "  " + s.SID(id) + "  " + how
	}
	return wide
}

// padName fills the name column; a long name keeps the gap and moves the rest.
func padName(name string) string {
	name = ui.Clean(name)
	return name + strings.Repeat(" ", max(0, planNameWidth-ansi.StringWidth(name))+planGap)
}

func inSeconds(took time.Duration) string { return fmt.Sprintf("%.1f s", took.Seconds()) }

var wholeSID = regexp.MustCompile(`\b[A-Z]{2}[0-9a-fA-F]{32}\b`)

// plannedJSONView is the view for programs: one object per line.
type plannedJSONView struct {
	planned
	lap lap
}

func (v *plannedJSONView) plan() { v.print(v.json.plan) }

func (v *plannedJSONView) start() { v.lap = startLap(v.app.Now) }

func (v *plannedJSONView) item(item provision.Item, err error) {
	status := statuses[item.Action]
	if err != nil {
		status = "failed"
	}
	v.print(struct {
		eventJSON
		Kind    provision.Kind `json:"kind"`
		Name    string         `json:"name"`
		ID      string         `json:"id,omitempty"`
		Status  string         `json:"status"`
		Seconds float64        `json:"seconds"`
	}{eventJSON{1, "item"}, item.Kind, item.Name, item.ID, status, seconds(v.lap.next())})
}

func (v *plannedJSONView) end(err error) {
	if err == nil {
		v.print(v.json.summary(v.lap.total()))
	}
}

// print writes one line. When nobody reads any more, what is under way is
// finished all the same.
func (v *plannedJSONView) print(line any) { _ = printJSON(v.app.UI.Out, line) }

// eventJSON is how a line begins.
type eventJSON struct {
	V     int    `json:"v"`
	Event string `json:"event"`
}

type countsJSON struct {
	Add    int `json:"add"`
	Change int `json:"change"`
	Remove int `json:"remove"`
	Same   int `json:"same"`
}

func planCounts(p *provision.Plan) countsJSON {
	return countsJSON{p.Count(provision.Add), p.Count(provision.Change), p.Count(provision.Remove), p.Count(provision.Same)}
}

type changesJSON struct {
	Added   int `json:"added"`
	Changed int `json:"changed"`
	Removed int `json:"removed"`
}

func planChanges(p *provision.Plan) changesJSON {
	return changesJSON{p.Count(provision.Add), p.Count(provision.Change), p.Count(provision.Remove)}
}

type itemJSON struct {
	Kind   provision.Kind   `json:"kind"`
	Action provision.Action `json:"action"`
	Name   string           `json:"name"`
	ID     string           `json:"id,omitempty"`
	Detail string           `json:"detail,omitempty"`
}

func planItems(p *provision.Plan) []itemJSON {
	all := make([]itemJSON, len(p.Items))
	for i, item := range p.Items {
		all[i] = itemJSON(item)
	}
	return all
}

var statuses = map[provision.Action]string{provision.Add: "added", provision.Change: "changed", provision.Remove: "removed"}

// planText is what a command says in its own words to people.
type planText struct {
	nothing  string   // instead of a plan without changes
	warnings []string // before the plan
	reading  string   // noted before the plan; may be empty
	heading  string   // above the items
	airy     bool     // on a terminal, with an empty line before the items that are done

	// line is what an item to be done shows beside its kind.
	line func(provision.Item) (name, detail string)
	// result is what one shows that was done, or that ended the run with an error.
	result func(provision.Item, time.Duration, error) string

	again string // how to go on after an error
	done  string
	next  string // to do; may be empty
}

// planJSON is what a command prints of its own for programs.
type planJSON struct {
	plan    any
	summary func(time.Duration) any
}
