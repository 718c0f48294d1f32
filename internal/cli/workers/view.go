package workers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/bulk"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/ui"
)

// workersView prints a list of workers.
type workersView interface {
	row(twilio.Worker) error
	end() error
}

var (
	_ workersView = (*workersText)(nil)
	_ workersView = workersJSON{}
)

func newWorkersView(app *cli.App) workersView {
	if app.JSON() {
		return workersJSON{cli.NewLines(app.UI.Out)}
	}
	return &workersText{ui: app.UI, states: map[attributes.Flag]int{}}
}

type workersText struct {
	ui     *ui.Streams
	rows   [][]string
	states map[attributes.Flag]int
	phones int // enabled, but calls ring a phone, and go on doing so
}

func (v *workersText) row(w twilio.Worker) error {
	state, uri := attributes.Inspect(w.Attributes)
	v.states[state]++
	if isForeign, kept := attributes.Foreign(w.Attributes); state == attributes.Enabled && isForeign && !kept {
		v.phones++
	}
	sid := w.SID // whole for a program, which has to find the worker by it
	if v.ui.OutTTY {
		uri, sid = cli.Dash(v.ui, uri), v.ui.SID(sid)
	}
	v.rows = append(v.rows, []string{w.FriendlyName, sid, w.ActivityName, string(state), uri})
	return nil
}

func (v *workersText) end() error {
	if len(v.rows) == 0 {
		v.ui.Note("no workers")
		return nil
	}
	v.ui.Table([]string{"WORKER", "SID", "ACTIVITY", "EXTENSION", "CONTACT URI"}, v.rows)
	var counts []string
	for _, state := range []attributes.Flag{attributes.Enabled, attributes.Disabled, attributes.Unset, attributes.Invalid} {
		if n := v.states[state]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, state))
		}
	}
	v.ui.Note("%s: %s", ui.Plural(len(v.rows), "worker"), strings.Join(counts, ", "))
	if v.phones > 0 {
		v.ui.Note("%s on a phone, whose address the plugin leaves alone", ui.Plural(v.phones, "enabled worker"))
	}
	next := "flexvc workers show NAME"
	if v.states[attributes.Disabled]+v.states[attributes.Unset] > 0 {
		next = "flexvc workers enable --all --dry-run"
	}
	v.ui.Hint("%s", next)
	return nil
}

type workersJSON struct{ *cli.Lines }

type workerJSON struct {
	V         int             `json:"v"`         // version of the format
	SID       string          `json:"sid"`       // WK…
	Name      string          `json:"name"`      // friendly name
	Activity  string          `json:"activity"`  // its name
	Available bool            `json:"available"` // whether the activity takes tasks
	Extension attributes.Flag `json:"extension"` // the flag in the attributes; invalid: they are not a JSON object
	// where calls ring; null: unset
	ContactURI *string    `json:"contact_uri" jsonschema:"nullable"`
	Updated    *time.Time `json:"updated,omitempty"`    // last change at Twilio; workers show only
	Attributes *string    `json:"attributes,omitempty"` // as Twilio keeps them, a text; workers show only
}

// Shapes are what flexvc workers prints.
func Shapes() []cli.Shape {
	return append(bulk.Shapes("workers enable", "workers disable"),
		cli.Shape{Commands: []string{"workers list"}, Name: "worker", Of: workerJSON{}, When: "Once for each worker."},
		cli.Shape{Commands: []string{"workers show"}, Name: "worker", Of: workerJSON{}, When: "Alone."})
}

func newWorkerJSON(w twilio.Worker) workerJSON {
	state, uri := attributes.Inspect(w.Attributes)
	row := workerJSON{
		V: 1, SID: w.SID, Name: w.FriendlyName, Activity: w.ActivityName, Available: w.Available, Extension: state,
	}
	if uri != "" {
		row.ContactURI = &uri
	}
	return row
}

func (v workersJSON) row(w twilio.Worker) error { return v.Line(newWorkerJSON(w)) }
func (v workersJSON) end() error                { return nil }

// workerView prints one worker.
type workerView interface {
	show(twilio.Worker) error
}

var (
	_ workerView = workerText{}
	_ workerView = workerLine{}
)

func newWorkerView(app *cli.App) workerView {
	if app.JSON() {
		return workerLine{cli.NewLines(app.UI.Out)}
	}
	return workerText{app.UI}
}

type workerText struct{ ui *ui.Streams }

func (v workerText) show(w twilio.Worker) error {
	state, uri := attributes.Inspect(w.Attributes)
	available := "no"
	if w.Available {
		available = "yes"
	}
	v.ui.Printf("%s\n", v.ui.Paint(v.ui.Out, ui.Strong, ui.Clean(w.FriendlyName)))
	for _, row := range [][2]string{
		{"sid", v.ui.SID(w.SID)},
		{"activity", fmt.Sprintf("%s (available: %s)", w.ActivityName, available)},
		{"extension", string(state)},
		{"contact uri", cli.Dash(v.ui, uri)},
		{"updated", cli.When(v.ui, w.DateUpdated)},
		{"attributes", ""},
	} {
		v.ui.Printf("%s\n", strings.TrimRight(fmt.Sprintf("  %-12s  %s", row[0], ui.Clean(row[1])), " "))
	}
	text := ""
	if w.Attributes != nil {
		text = *w.Attributes
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, []byte(text), "", "  ") != nil {
		pretty.Reset()
		pretty.WriteString(text)
	}
	for line := range strings.Lines(pretty.String()) {
		v.ui.Printf("    %s\n", ui.Clean(strings.TrimRight(line, "\n")))
	}
	switch state {
	case attributes.Disabled, attributes.Unset:
		v.ui.Hint("flexvc workers enable %s", typed(w))
	case attributes.Enabled:
		v.ui.Hint("flexvc workers disable %s", typed(w))
	case attributes.Invalid:
		v.ui.Hint("fix the attributes in the Twilio Console: they are not a JSON object")
	}
	return nil
}

type workerLine struct{ *cli.Lines }

func (v workerLine) show(w twilio.Worker) error {
	row := newWorkerJSON(w)
	row.Attributes = w.Attributes
	if !w.DateUpdated.IsZero() {
		row.Updated = &w.DateUpdated
	}
	return v.Line(row)
}

// typed is how a worker is named on a command line: by name, unless that cannot
// be typed.
func typed(w twilio.Worker) string {
	if w.FriendlyName == "" || ui.Clean(w.FriendlyName) != w.FriendlyName || strings.HasPrefix(w.FriendlyName, "-") {
		return w.SID
	}
	return cli.QuoteAll([]string{w.FriendlyName})[0]
}
