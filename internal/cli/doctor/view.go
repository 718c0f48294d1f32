package doctor

import (
	"fmt"
	"strings"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/doctor"
	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/ui"
)

// doctorView is what `flexvc doctor` prints.
type doctorView interface {
	check(doctor.Check, doctor.Result)
	end() error
	count(doctor.Status) int
}

var (
	_ doctorView = (*doctorText)(nil)
	_ doctorView = (*doctorJSON)(nil)
)

func newDoctorView(app *cli.App) doctorView {
	if app.JSON() {
		return &doctorJSON{ui: app.UI, tally: tally{}}
	}
	return &doctorText{ui: app.UI, tally: tally{}}
}

// tally counts results.
type tally map[doctor.Status]int

func (t tally) count(s doctor.Status) int { return t[s] }

const doctorNameWidth = 14

type doctorText struct {
	tally
	ui    *ui.Streams
	wrong string // the first check that is worth to be run again
}

var doctorSigns = map[doctor.Status]ui.Sign{
	doctor.Passed: ui.Done, doctor.Warned: ui.Alert, doctor.Failed: ui.Failed, doctor.Skipped: ui.Skipped,
}

func (v *doctorText) check(c doctor.Check, r doctor.Result) {
	v.tally[r.Status]++
	if v.wrong == "" && (r.Status == doctor.Failed || r.Status == doctor.Warned) {
		v.wrong = c.ID
	}
	if v.ui.Quiet && (r.Status == doctor.Passed || r.Status == doctor.Skipped) {
		return
	}
	line := fmt.Sprintf("[%s] %s %s", v.ui.Mark(v.ui.Out, doctorSigns[r.Status]), v.ui.Pad(c.ID, doctorNameWidth), v.text(r.Says))
	if took := r.Took.Milliseconds(); took > 0 && r.Status == doctor.Passed {
		line = fmt.Sprintf("%s  %s", line, v.ui.Paint(v.ui.Out, ui.Faint, fmt.Sprintf("%d ms", took)))
	}
	v.ui.Printf("%s\n", line)
	indent := strings.Repeat(" ", 5+doctorNameWidth)
	if r.Cause != "" {
		v.ui.Printf("%scause:  %s\n", indent, v.text(r.Cause))
	}
	if r.Fix != "" {
		v.ui.Printf("%sfix:    %s\n", indent, v.ui.Suggest(v.text(r.Fix)))
	}
}

func (v *doctorText) text(s string) string { return cli.Finding(v.ui, s) }

func (v *doctorText) end() error {
	var parts []string
	for _, s := range []doctor.Status{doctor.Passed, doctor.Warned, doctor.Failed, doctor.Skipped} {
		n := v.tally[s]
		switch {
		case n == 0:
		case s == doctor.Warned:
			parts = append(parts, ui.Plural(n, "warning"))
		default:
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	next := "Next: flexvc watch"
	if v.wrong != "" {
		next = "Run one: flexvc doctor " + v.wrong
	}
	v.ui.Chat("\n%s.    %s\n", strings.Join(parts, ", "), next)
	return nil
}

type checkEvent struct {
	V       int           `json:"v"`                // version of the format
	Event   string        `json:"event"`            // kind of line
	Check   string        `json:"check"`            // name of the check, as flexvc doctor takes it
	Status  doctor.Status `json:"status"`           // how it ended
	Says    string        `json:"says"`             // what was found
	Cause   string        `json:"cause,omitempty"`  // why, or what it leads to
	Fix     string        `json:"fix,omitempty"`    // a command or an instruction
	Seconds float64       `json:"seconds"`          // it took, to the millisecond
	States  fleet.Counts  `json:"states,omitempty"` // workers in each state, by the check of the workers
}

type summaryEvent struct {
	V        int    `json:"v"`        // version of the format
	Event    string `json:"event"`    // kind of line
	Passed   int    `json:"passed"`   // checks
	Warnings int    `json:"warnings"` // checks
	Failed   int    `json:"failed"`   // checks
	Skipped  int    `json:"skipped"`  // checks
}

// Shapes are what flexvc doctor prints.
func Shapes() []cli.Shape {
	return []cli.Shape{
		{Commands: []string{"doctor"}, Name: "check", Of: checkEvent{}, When: "Once for each check, as it ends."},
		{Commands: []string{"doctor"}, Name: "summary", Of: summaryEvent{}, When: "Last."},
	}
}

type doctorJSON struct {
	tally
	ui  *ui.Streams
	err error
}

func (v *doctorJSON) check(c doctor.Check, r doctor.Result) {
	v.tally[r.Status]++
	if v.err != nil {
		return
	}
	v.err = cli.PrintJSON(v.ui.Out, checkEvent{1, "check", c.ID, r.Status, r.Says, r.Cause, v.ui.Suggest(r.Fix), cli.Seconds(r.Took), r.States})
}

func (v *doctorJSON) end() error {
	if v.err != nil {
		return v.err
	}
	return cli.PrintJSON(v.ui.Out, summaryEvent{1, "summary", v.tally[doctor.Passed], v.tally[doctor.Warned], v.tally[doctor.Failed], v.tally[doctor.Skipped]})
}
