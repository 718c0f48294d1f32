package watch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/tui"
	"github.com/flexvc/flexvc/internal/ui"
)

// watchView prints what a watch finds, a line each.
type watchView interface {
	update(fleet.Update) error
	faulty() int // workers that somebody has to look at, of those selected
}

var (
	_ watchView = (*watchText)(nil)
	_ watchView = (*watchJSON)(nil)
)

func newWatchView(o *Options, session *cli.Session) watchView {
	shared := &fleetLines{
		ui: o.App.UI, filter: o.filter, all: o.Filter != "", once: o.Once, session: session, rows: map[string]fleet.Row{},
	}
	if o.App.JSON() {
		return &watchJSON{fleetLines: shared, Lines: cli.NewLines(o.App.UI.Out)}
	}
	return &watchText{fleetLines: shared}
}

// fleetLines keeps the picture that the lines are about.
type fleetLines struct {
	ui      *ui.Streams
	filter  tui.Filter
	all     bool // the filter decides alone who is listed
	once    bool
	session *cli.Session

	rows  map[string]fleet.Row
	begun bool // the first whole picture was told
	lost  error

	pushed     bool  // events were flowing at the last update
	eventsLost error // why not, as it was told
}

// take applies an update. first is set once, with the first whole picture.
func (f *fleetLines) take(u fleet.Update) (first bool) {
	for _, sid := range u.Gone {
		delete(f.rows, sid)
	}
	for _, row := range u.Rows {
		f.rows[row.SID] = row
	}
	first = !f.begun && u.Status.Sweeps > 0
	f.begun = f.begun || first
	return first
}

// listed returns the rows of the first picture that are told: those the filter
// selects, or without one those that somebody has to look at.
func (f *fleetLines) listed() []fleet.Row {
	var rows []fleet.Row
	for _, row := range f.rows {
		if f.filter.Match(row) && (f.all || row.State.Faulty()) {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b fleet.Row) int {
		if c := a.State.Severity() - b.State.Severity(); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return rows
}

func (f *fleetLines) faulty() int {
	n := 0
	for _, row := range f.rows {
		if f.filter.Match(row) && row.State.Faulty() {
			n++
		}
	}
	return n
}

// selected reports whether the filter selects a worker as it was or as it is.
func (f *fleetLines) selected(d fleet.Difference) bool {
	side := func(l fleet.Look) fleet.Row {
		return fleet.Row{
			SID: d.SID, Name: d.Name, ActivityName: l.Activity, State: l.State,
			Facts: fleet.Facts{Flag: l.Flag, ContactURI: l.ContactURI},
		}
	}
	return f.filter.Match(side(d.From)) || f.filter.Match(side(d.To))
}

func (f *fleetLines) counts() fleet.Counts {
	counts := fleet.Counts{}
	for _, row := range f.rows {
		counts[row.State]++
	}
	return counts
}

// connection reports whether it was lost or came back since the last call.
func (f *fleetLines) connection(s fleet.Status) (lost, back bool) {
	lost, back = f.lost == nil && s.Err != nil, f.lost != nil && s.Err == nil
	f.lost = s.Err
	return lost, back
}

// events reports whether the events began to flow or were lost since the last
// call.
func (f *fleetLines) events(s fleet.Status) (flowing, lost bool) {
	flowing = s.Pushed && !f.pushed
	lost = s.EventsErr != nil && f.eventsLost == nil
	f.pushed, f.eventsLost = s.Pushed, s.EventsErr
	return flowing, lost
}

// watchText is for people and their logs.
type watchText struct{ *fleetLines }

func (v *watchText) update(u fleet.Update) error {
	first := v.take(u)
	if first {
		if err := v.picture(); err != nil {
			return err
		}
	}
	for _, d := range u.Differences {
		if v.begun && v.selected(d) {
			if err := v.print("%s  %s  %s  (%s)\n", stamp(d.At), ui.Clean(d.Name), tui.Describe(d, v.ui.Arrow()), v.ui.SID(d.SID)); err != nil {
				return err
			}
		}
	}
	switch lost, back := v.connection(u.Status); {
	case lost:
		v.ui.Warn("stale data since %s: %s", stamp(u.Status.Whole), u.Status.Err)
	case back:
		v.ui.Note("live again")
	}
	switch flowing, lost := v.events(u.Status); {
	case lost:
		v.ui.Warn("events lost: %s; polling every %s", u.Status.EventsErr, u.Status.Interval)
	case flowing:
		v.ui.Note("live by events")
	}
	return nil
}

func (v *watchText) picture() error {
	rows := v.listed()
	for _, row := range rows {
		if err := v.print("%s  %s  %s  %s  (%s)\n", stamp(row.Since), ui.Clean(row.Name), row.State,
			ui.Clean(cli.Dash(v.ui, row.Facts.ContactURI)), v.ui.SID(row.SID)); err != nil {
			return err
		}
	}
	v.ui.Note("%s in %s: %s", ui.Plural(len(v.rows), "worker"), v.ui.SID(v.session.WorkspaceSID), v.counts())
	switch counts := v.counts(); {
	case counts[fleet.StateNoPlugin] > 0:
		v.ui.Hint("Flex does not load the plugin: flexvc plugin deploy")
	case v.once && v.faulty() > 0:
		v.ui.Hint("follow them as they change: flexvc watch --filter state:drift,stale")
	}
	return nil
}

func (v *watchText) print(format string, args ...any) error {
	if _, err := fmt.Fprintf(v.ui.Out, format, args...); err != nil {
		return cli.Told(problem.New(problem.OutputUnwritable, "cannot write results: %w", err))
	}
	return nil
}

// stamp is a time in a log line. One that is not known is a dash.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// watchJSON is for programs.
type watchJSON struct {
	*fleetLines
	*cli.Lines
}

type lookJSON struct {
	State      fleet.State     `json:"state"`       // how the contact URI agrees with the flag
	Extension  attributes.Flag `json:"extension"`   // the flag in the attributes
	ContactURI string          `json:"contact_uri"` // where calls ring; empty: unset
	Activity   string          `json:"activity"`    // its name
}

type watchedWorker struct {
	V     int        `json:"v"`               // version of the format
	Event string     `json:"event"`           // kind of line
	SID   string     `json:"sid"`             // WK…
	Name  string     `json:"name"`            // friendly name
	Since *time.Time `json:"since,omitempty"` // when the state began, if that is known
	lookJSON
}

type watchedChange struct {
	V     int       `json:"v"`              // version of the format
	Event string    `json:"event"`          // kind of line
	At    time.Time `json:"at"`             // UTC
	SID   string    `json:"sid"`            // WK…
	Name  string    `json:"name"`           // friendly name
	From  *lookJSON `json:"from,omitempty"` // absent: the worker is new
	To    *lookJSON `json:"to,omitempty"`   // absent: the worker is gone
}

type summaryEvent struct {
	V       int          `json:"v"`       // version of the format
	Event   string       `json:"event"`   // kind of line
	Workers int          `json:"workers"` // in the workspace
	States  fleet.Counts `json:"states"`  // workers in each state; those without a worker are left out
}

type lostEvent struct {
	V      int       `json:"v"`      // version of the format
	Event  string    `json:"event"`  // kind of line
	Since  time.Time `json:"since"`  // of the last whole picture, UTC
	Reason string    `json:"reason"` // for people
}

type eventsLostEvent struct {
	V        int     `json:"v"`          // version of the format
	Event    string  `json:"event"`      // kind of line
	Interval float64 `json:"interval_s"` // seconds from one listing of the workers to the next
	Reason   string  `json:"reason"`     // for people
}

// Shapes are what flexvc watch prints.
func Shapes() []cli.Shape {
	command := []string{"watch"}
	return []cli.Shape{
		{Commands: command, Name: "worker", Of: watchedWorker{}, When: "In the first picture, once for each worker that --filter selects, or without it for each in need of attention."},
		{Commands: command, Name: "summary", Of: summaryEvent{}, When: "Behind the first picture."},
		{Commands: command, Name: "change", Of: watchedChange{}, When: "For each change of a worker that --filter selects."},
		{Commands: command, Name: "lost", Of: lostEvent{}, When: "When Twilio no longer answers."},
		{Commands: command, Name: "live", Of: cli.EventJSON{}, When: "When Twilio answers again."},
		{Commands: command, Name: "events_lost", Of: eventsLostEvent{}, When: "With --events, when the stream ends: workers are listed periodically instead."},
		{Commands: command, Name: "events_live", Of: cli.EventJSON{}, When: "With --events, when the stream begins."},
	}
}

func newLook(l fleet.Look) *lookJSON {
	if l == (fleet.Look{}) {
		return nil
	}
	return &lookJSON{l.State, l.Flag, l.ContactURI, l.Activity}
}

func (v *watchJSON) update(u fleet.Update) error {
	first := v.take(u)
	if first {
		for _, row := range v.listed() {
			w := watchedWorker{V: 1, Event: "worker", SID: row.SID, Name: row.Name,
				lookJSON: lookJSON{row.State, row.Facts.Flag, row.Facts.ContactURI, row.ActivityName}}
			if !row.Since.IsZero() {
				w.Since = &row.Since
			}
			if err := v.Line(w); err != nil {
				return err
			}
		}
		if err := v.Line(summaryEvent{1, "summary", len(v.rows), v.counts()}); err != nil {
			return err
		}
	}
	for _, d := range u.Differences {
		if !v.begun || !v.selected(d) {
			continue
		}
		err := v.Line(watchedChange{V: 1, Event: "change", At: d.At.UTC(), SID: d.SID, Name: d.Name, From: newLook(d.From), To: newLook(d.To)})
		if err != nil {
			return err
		}
	}
	switch lost, back := v.connection(u.Status); {
	case lost:
		err := v.Line(lostEvent{1, "lost", u.Status.Whole.UTC(), u.Status.Err.Error()})
		if err != nil {
			return err
		}
	case back:
		if err := v.Line(cli.Event("live")); err != nil {
			return err
		}
	}
	switch flowing, lost := v.events(u.Status); {
	case lost:
		return v.Line(eventsLostEvent{1, "events_lost", u.Status.Interval.Seconds(), u.Status.EventsErr.Error()})
	case flowing:
		return v.Line(cli.Event("events_live"))
	}
	return nil
}
