package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/internal/workers"
)

// bulkView prints a bulk change from its plan to its end.
type bulkView interface {
	planView
	runView
}

type planView interface {
	plan(p *workers.Plan, dryRun bool) error
}

type runView interface {
	begin(*workers.Run)
	done(workers.Outcome) // one call at a time
	stopping()            // at any time
	// end prints the result and returns what the command returns.
	end(*workers.Run, workers.Tally, error) error
}

var (
	_ bulkView = (*bulkText)(nil)
	_ bulkView = (*bulkJSON)(nil)
)

func newBulkView(app *App, header workers.Header, retries func() int) bulkView {
	shared := &watched{ui: app.UI, now: app.Now, header: header, retries: retries, ended: map[string]workers.Status{}}
	if app.JSON() {
		return &bulkJSON{watched: shared, lines: newLines(app.UI.Out)}
	}
	return &bulkText{watched: shared}
}

// watched counts a run's workers and shows the progress.
type watched struct {
	ui      *ui.Streams
	now     func() time.Time
	header  workers.Header
	retries func() int

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

// bulkText is the view for people.
type bulkText struct {
	*watched
	failures []workers.Outcome
}

func (v *bulkText) plan(p *workers.Plan, dryRun bool) error {
	say := v.ui.Chat
	if dryRun {
		say = func(format string, args ...any) { v.ui.Printf("%s", v.ui.Suggest(fmt.Sprintf(format, args...))) }
	}
	if v.header.Of != "" {
		v.planRollback(say, p)
	} else {
		v.planEdit(say, p)
	}
	switch {
	case len(p.Change) == 0:
	case dryRun:
		say("Plan: %d to change. Nothing was changed (--dry-run).\n", len(p.Change))
	case v.header.Of == "":
		say("Plan: %d to change.\n", len(p.Change))
	}
	return nil
}

type printf func(string, ...any)

func (v *bulkText) planEdit(say printf, p *workers.Plan) {
	workspace, state := v.ui.SID(v.header.Workspace), v.header.Verb()
	if len(p.Change) == 0 && len(p.Blocked) == 0 {
		switch p.Total {
		case 0:
			say("No changes: no worker in %s is selected. Next: flexvc workers list\n", workspace)
		case 1:
			say("No changes: the worker in %s is already %s. Next: flexvc watch\n", workspace, state)
		default:
			say("No changes: %d workers in %s are already %s. Next: flexvc watch\n", p.Total, workspace, state)
		}
		return
	}
	counts := []string{fmt.Sprintf("%d to %s", len(p.Change), strings.TrimSuffix(state, "d"))}
	if p.Same > 0 {
		counts = append(counts, fmt.Sprintf("%d already %s", p.Same, state))
	}
	if len(p.Blocked) > 0 {
		counts = append(counts, fmt.Sprintf("%d blocked", len(p.Blocked)))
	}
	say("%s in %s: %s\n\n", ui.Plural(p.Total, "worker"), workspace, strings.Join(counts, ", "))
	v.planLines(say, p)
	say("\n")
	if len(p.Change) == 0 {
		say("No changes. Next: repair the attributes in the Twilio Console\n")
	}
}

const (
	shownChanges = 5 // all of them up to here; otherwise one or two per kind
	shownBlocked = 5
)

func (v *bulkText) planLines(say printf, p *workers.Plan) {
	examples, more := exampleChanges(p.Change)
	blocked := p.Blocked[:min(len(p.Blocked), shownBlocked)]
	names, keys, text := 8, 0, 0
	for _, w := range examples {
		names = max(names, ui.Columns(w.Name))
		for _, c := range w.Changes {
			keys = max(keys, len(c.Key))
		}
	}
	for _, b := range blocked {
		names = max(names, ui.Columns(b.Name))
	}
	change := func(c attributes.Change) string {
		return fmt.Sprintf("%-*s   %s %s %s", keys, c.Key, orUnset(c.From), v.ui.Arrow(), plain(c.To))
	}
	for _, w := range examples {
		for _, c := range w.Changes {
			text = max(text, ui.Columns(change(c)))
		}
	}
	names = min(names, 32)
	if v.ui.OutTTY {
		// What changes matters more than the end of a name.
		names = min(names, max(v.ui.Width()-6-text, 12))
	}
	for _, w := range examples {
		sign, name := v.ui.Mark(v.ui.Out, ui.Modify), w.Name
		for _, c := range w.Changes {
			v.line(say, sign, name, names, change(c))
			sign, name = " ", ""
		}
	}
	if more > 0 {
		say("    %s %d more with the same change (list them: -o json)\n", v.ui.Ellipsis(), more)
	}
	for _, b := range blocked {
		v.line(say, v.ui.Mark(v.ui.Out, ui.Alert), b.Name, names, b.Reason+"; left alone")
	}
	if n := len(p.Blocked) - len(blocked); n > 0 {
		say("    %s %d more left alone (list them: -o json)\n", v.ui.Ellipsis(), n)
	}
}

// line prints a sign, a name and what is to be said of it, cut to the terminal.
func (v *bulkText) line(say printf, sign, name string, width int, text string) {
	rest := ui.Clean(text)
	if v.ui.OutTTY {
		rest = v.ui.Cut(text, max(v.ui.Width()-width-6, 20))
	}
	say("  %s %s  %s\n", sign, v.ui.Pad(name, width), rest)
}

// exampleChanges returns the workers to show, with at least one for each kind of
// change, and how many are left out.
func exampleChanges(all []workers.Planned) ([]workers.Planned, int) {
	if len(all) <= shownChanges {
		return all, 0
	}
	var examples []workers.Planned
	kinds := map[string]bool{}
	shown := map[string]bool{}
	for _, w := range all {
		if k := kindOf(w); !kinds[k] && len(examples) < shownChanges {
			kinds[k], shown[w.SID] = true, true
			examples = append(examples, w)
		}
	}
	for _, w := range all {
		if len(examples) >= 2 {
			break
		}
		if !shown[w.SID] {
			examples = append(examples, w)
		}
	}
	return examples, len(all) - len(examples)
}

// kindOf tells changes apart that are worth an example each. All contact URIs
// differ, so their values do not count.
func kindOf(w workers.Planned) string {
	var kind strings.Builder
	for _, c := range w.Changes {
		kind.WriteString(c.Key)
		if c.Key == attributes.EnabledKey {
			kind.WriteString(c.From)
		}
	}
	return kind.String()
}

func orUnset(value string) string { return cmp.Or(plain(value), "unset") }

// plain takes the quotes off a JSON string where nothing is lost by it.
func plain(value string) string {
	var text string
	if strings.HasPrefix(value, `"client:`) && json.Unmarshal([]byte(value), &text) == nil {
		return text
	}
	return value
}

func (v *bulkText) planRollback(say printf, p *workers.Plan) {
	if p.Total == 0 {
		say("No changes: run %s changed no worker. Next: flexvc runs show %s\n", v.header.Of, v.header.Of)
		return
	}
	counts := []string{fmt.Sprintf("%d to restore", len(p.Change))}
	if p.Same > 0 {
		counts = append(counts, fmt.Sprintf("%d restored already", p.Same))
	}
	var edited, gone, other []string
	for _, b := range p.Blocked {
		switch b.Code {
		case problem.EditedSince:
			edited = append(edited, b.Name)
		case problem.NotFound:
			gone = append(gone, b.Name)
		default:
			other = append(other, b.Name)
		}
	}
	for _, row := range []struct {
		names []string
		what  string
	}{{edited, "edited since"}, {gone, "deleted since"}, {other, "blocked"}} {
		if len(row.names) > 0 {
			counts = append(counts, fmt.Sprintf("%d %s (%s)", len(row.names), row.what, someNames(row.names)))
		}
	}
	was := "workers were"
	if p.Total == 1 {
		was = "worker was"
	}
	left := ""
	if len(p.Blocked) > 0 {
		left = ", left alone"
	}
	say("%d %s changed by run %s: %s%s\n", p.Total, was, v.header.Of, strings.Join(counts, ", "), left)
	if len(p.Change) == 0 {
		say("No changes. Next: flexvc runs show %s\n", v.header.Of)
	}
}

func someNames(names []string) string {
	const some = 3
	var clean []string
	for _, n := range names[:min(len(names), some)] {
		clean = append(clean, ui.Clean(n))
	}
	text := strings.Join(clean, ", ")
	if n := len(names) - some; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// question is what has to be answered with yes.
func question(h workers.Header, n int) string {
	switch {
	case h.Of != "":
		return fmt.Sprintf("Plan: %d to change. ", n)
	case h.Edit.Enable:
		return fmt.Sprintf("Change %s? The plugin moves each agent to the extension at the next Flex start.\n", ui.Plural(n, "worker"))
	}
	return fmt.Sprintf("Change %s? The plugin moves each agent back to the Flex tab at the next Flex start.\n", ui.Plural(n, "worker"))
}

func (v *bulkText) begin(run *workers.Run) {
	v.header = run.Header
	t := run.Tally()
	if t.Left < t.Planned || run.Resumed() {
		failed := ""
		if t.Failed > 0 {
			failed = fmt.Sprintf(", %d failed", t.Failed)
		}
		v.ui.Chat("Run %s: %d done%s, %d left\n", run.ID, t.Planned-t.Left-t.Failed, failed, t.Left)
	}
	if !v.ui.ErrTTY {
		v.ui.Note("%s %s in %s (run %s)", strings.TrimSuffix(run.Verb(), "ed")+"ing", ui.Plural(t.Left, "worker"), v.ui.SID(run.Workspace), run.ID)
	}
	v.start(t.Left)
}

func (v *bulkText) done(o workers.Outcome) {
	if v.count(o) && (o.Status == workers.Failed || o.Status == workers.Skipped) {
		v.failures = append(v.failures, o)
	}
}

func (v *bulkText) stopping() {
	v.finishProgress()
	v.ui.Note("stopping after the writes in flight (press ^C again to stop now)")
}

func (v *bulkText) end(run *workers.Run, t workers.Tally, err error) error {
	v.finishProgress()
	outcomeLines(v.ui, v.failures, run.ID)
	if err != nil {
		return v.stopped(err)
	}
	if len(v.failures) > 0 {
		v.ui.Printf("\n")
	}
	v.ui.Printf("Done: %s.\n", strings.Join(tallyWords(run.Header, t), ", "))
	switch {
	case t.Failed > 0:
		these := "that one"
		if t.Failed > 1 {
			these = fmt.Sprintf("those %d", t.Failed)
		}
		v.ui.Hint("try %s again: flexvc runs resume %s --retry-failed", these, run.ID)
	case !t.Whole():
		v.ui.Hint("see which were left alone: flexvc runs show %s", run.ID)
	default:
		v.ui.Chat("Next: flexvc watch     undo: flexvc runs rollback %s\n", run.ID)
	}
	if !t.Whole() {
		return silent(problem.PartlyDone)
	}
	return nil
}

// stopped tells of a run that was stopped in the words of a note: that was asked
// for, so it is no error.
func (v *bulkText) stopped(err error) error {
	p := problem.As(err)
	if p == nil || p.Code != problem.Interrupted || v.ui.Quiet {
		return err
	}
	v.ui.Note("%s", p.Summary)
	v.ui.Hint("%s", p.Hint)
	return silentError{p}
}

// outcomeLines prints workers that failed or were left alone.
func outcomeLines(s *ui.Streams, outcomes []workers.Outcome, run string) {
	const some = 20
	width := 8
	for _, o := range outcomes[:min(len(outcomes), some)] {
		width = max(width, ui.Columns(o.Name))
	}
	width = min(width, 32)
	for _, o := range outcomes[:min(len(outcomes), some)] {
		sign := ui.Failed
		if o.Status != workers.Failed {
			sign = ui.Alert
		}
		s.Printf(" %s %s  %s\n", s.Mark(s.Out, sign), s.Pad(o.Name, width), ui.Clean(o.Reason))
	}
	if n := len(outcomes) - some; n > 0 {
		s.Printf("   %s %d more (list them: flexvc runs show %s -o json)\n", s.Ellipsis(), n, run)
	}
}

// tallyWords counts in words what became of the workers, the wanted end first.
func tallyWords(h workers.Header, t workers.Tally) []string {
	words := []string{fmt.Sprintf("%d %s", t.Changed, h.Verb())}
	alone := "blocked"
	if h.Of != "" {
		alone = "left alone"
	}
	for _, row := range []struct {
		n    int
		what string
	}{
		{t.Failed, "failed"},
		{t.Same, "already " + h.Verb()},
		{t.Skipped + t.Blocked, alone},
	} {
		if row.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", row.n, row.what))
		}
	}
	return words
}

// bulkJSON is the view for programs.
type bulkJSON struct {
	*watched
	*lines
	planned *workers.Plan
	err     error // the first failure to write a line
}

type planEvent struct {
	V       int    `json:"v"`
	Event   string `json:"event"`
	Run     string `json:"run,omitempty"`
	Of      string `json:"of,omitempty"`
	Change  int    `json:"change"`
	Same    int    `json:"same"`
	Blocked int    `json:"blocked"`
	Done    *int   `json:"done,omitempty"` // when resumed: finished before
}

type workerEvent struct {
	V        int          `json:"v"`
	Event    string       `json:"event"`
	SID      string       `json:"sid"`
	Name     string       `json:"name"`
	Status   string       `json:"status"`
	Changes  []changeJSON `json:"changes,omitempty"`
	Code     problem.Code `json:"code,omitempty"`
	Reason   string       `json:"reason,omitempty"`
	Attempts int          `json:"attempts,omitempty"`
}

type changeJSON struct {
	Key  string          `json:"key"`
	From json.RawMessage `json:"from,omitempty"` // absent: unset
	To   json.RawMessage `json:"to"`
}

type summaryEvent struct {
	V        int    `json:"v"`
	Event    string `json:"event"`
	Run      string `json:"run"`
	Enabled  *int   `json:"enabled,omitempty"`
	Disabled *int   `json:"disabled,omitempty"`
	Restored *int   `json:"restored,omitempty"`
	Failed   int    `json:"failed"`
	Same     int    `json:"same"`
	Skipped  int    `json:"skipped"`
	Blocked  int    `json:"blocked"`
	Left     int    `json:"left"`
	Seconds  int    `json:"seconds"`
}

func (v *bulkJSON) emit(event any) {
	if err := v.line(event); v.err == nil {
		v.err = err
	}
}

// plan tells of a plan that is not carried out; one that is gets its run first.
func (v *bulkJSON) plan(p *workers.Plan, dryRun bool) error {
	v.planned = p
	if !dryRun && len(p.Change) > 0 {
		return nil
	}
	v.emit(planEvent{V: 1, Event: "plan", Of: v.header.Of, Change: len(p.Change), Same: p.Same, Blocked: len(p.Blocked)})
	for _, w := range p.Change {
		event := workerEvent{V: 1, Event: "worker", SID: w.SID, Name: w.Name, Status: "planned"}
		for _, c := range w.Changes {
			event.Changes = append(event.Changes, changeJSON{c.Key, json.RawMessage(c.From), json.RawMessage(c.To)})
		}
		v.emit(event)
	}
	v.blocked(p.Blocked)
	return v.err
}

func (v *bulkJSON) blocked(blocked []workers.Blocked) {
	for _, b := range blocked {
		v.emit(workerEvent{V: 1, Event: "worker", SID: b.SID, Name: b.Name, Status: "blocked", Code: b.Code, Reason: b.Reason})
	}
}

func (v *bulkJSON) begin(run *workers.Run) {
	v.header = run.Header
	t := run.Tally()
	event := planEvent{V: 1, Event: "plan", Run: run.ID, Of: run.Of, Change: t.Left, Same: run.Same, Blocked: t.Blocked}
	if run.Resumed() {
		done := t.Planned - t.Left
		event.Done = &done
	}
	v.emit(event)
	v.blocked(run.Blocked)
	// Standard error is for the error object, unless a person is looking at it.
	if v.ui.ErrTTY {
		v.start(t.Left)
		return
	}
	v.started, v.ticks = v.now(), func() {}
}

func (v *bulkJSON) done(o workers.Outcome) {
	if !v.count(o) {
		return
	}
	status := string(o.Status)
	if o.Status == workers.Changed {
		status = v.header.Verb()
	}
	v.emit(workerEvent{V: 1, Event: "worker", SID: o.SID, Name: o.Name, Status: status, Code: o.Code, Reason: o.Reason, Attempts: o.Attempts})
}

func (v *bulkJSON) stopping() {
	v.finishProgress()
	if v.ui.ErrTTY {
		v.ui.Note("stopping after the writes in flight (press ^C again to stop now)")
	}
}

func (v *bulkJSON) end(run *workers.Run, t workers.Tally, err error) error {
	v.finishProgress()
	event := summaryEvent{
		V: 1, Event: "summary", Run: run.ID, Failed: t.Failed, Same: t.Same, Skipped: t.Skipped, Blocked: t.Blocked, Left: t.Left,
		Seconds: int(v.now().Sub(v.started).Round(time.Second).Seconds()),
	}
	switch run.Verb() {
	case "enabled":
		event.Enabled = &t.Changed
	case "disabled":
		event.Disabled = &t.Changed
	default:
		event.Restored = &t.Changed
	}
	v.emit(event)
	switch {
	case err != nil:
		return err
	case v.err != nil:
		return v.err
	case !t.Whole():
		return silent(problem.PartlyDone)
	}
	return nil
}

// runsView prints runs of the past.
type runsView interface {
	list([]listedRun) error
	show(run *workers.Run, state string) error
}

var (
	_ runsView = runsText{}
	_ runsView = runsJSON{}
)

func newRunsView(app *App) runsView {
	if app.JSON() {
		return runsJSON{newLines(app.UI.Out)}
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
			row[1], row[2], row[3] = when(v.ui, r.Started), r.Command+" "+r.Selection, stateText(r.state, r.Header, r.Tally)
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

func stateText(state string, h workers.Header, t workers.Tally) string {
	if state == runDone {
		return state + ": " + strings.Join(tallyWords(h, t), ", ")
	}
	return fmt.Sprintf("%s: %d of %d", state, t.Planned-t.Left, t.Planned)
}

func (v runsText) show(run *workers.Run, state string) error {
	t := run.Tally()
	v.ui.Printf("Run %s: flexvc %s %s\n", run.ID, run.Command, ui.Clean(run.Selection))
	for _, row := range [][2]string{
		{"started", when(v.ui, run.Started)},
		{"workspace", v.ui.SID(run.Workspace) + " of " + v.ui.SID(run.Account)},
		{"state", stateText(state, run.Header, t)},
	} {
		v.ui.Printf("  %-10s %s\n", row[0], row[1])
	}
	var notable []workers.Outcome
	for o := range run.Outcomes() {
		if o.Status == workers.Failed || o.Status == workers.Skipped {
			notable = append(notable, o)
		}
	}
	for _, b := range run.Blocked {
		notable = append(notable, workers.Outcome{SID: b.SID, Name: b.Name, Status: workers.Skipped, Reason: b.Reason})
	}
	if len(notable) > 0 {
		v.ui.Printf("\n")
		outcomeLines(v.ui, notable, run.ID)
	}
	switch {
	case state == runRunning:
		v.ui.Hint("it is being written: ^C there stops it, and nothing is half-written")
	case state == runUnfinished:
		v.ui.Hint("continue: flexvc runs resume %s     undo: flexvc runs rollback %s", run.ID, run.ID)
	case t.Failed > 0:
		v.ui.Hint("try again: flexvc runs resume %s --retry-failed     undo: flexvc runs rollback %s", run.ID, run.ID)
	default:
		v.ui.Hint("undo: flexvc runs rollback %s", run.ID)
	}
	return nil
}

type runsJSON struct{ *lines }

type runJSON struct {
	V         int        `json:"v"`
	Event     string     `json:"event,omitempty"`
	Run       string     `json:"run"`
	Command   string     `json:"command,omitempty"`
	Selection string     `json:"selection,omitempty"`
	Account   string     `json:"account"`
	Workspace string     `json:"workspace"`
	Started   *time.Time `json:"started,omitempty"`
	State     string     `json:"state"` // done, running, unfinished or damaged
	*workers.Tally
	Error string `json:"error,omitempty"`
}

func newRunJSON(h workers.Header, t workers.Tally, state string) runJSON {
	return runJSON{
		V: 1, Run: h.ID, Command: h.Command, Selection: h.Selection, Account: h.Account, Workspace: h.Workspace,
		Started: &h.Started, State: state, Tally: &t,
	}
}

func (v runsJSON) list(runs []listedRun) error {
	for _, r := range runs {
		row := newRunJSON(r.Header, r.Tally, r.state)
		if r.err != nil {
			row = runJSON{V: 1, Run: r.ID, Account: r.Account, Workspace: r.Workspace, State: "damaged", Error: r.err.Error()}
		}
		if err := v.line(row); err != nil {
			return err
		}
	}
	return nil
}

func (v runsJSON) show(run *workers.Run, state string) error {
	row := newRunJSON(run.Header, run.Tally(), state)
	row.Event = "run"
	if err := v.line(row); err != nil {
		return err
	}
	for o := range run.Outcomes() {
		status := string(o.Status)
		switch o.Status {
		case workers.Changed:
			status = run.Verb()
		case "":
			status = "left"
		}
		if err := v.line(workerEvent{V: 1, Event: "worker", SID: o.SID, Name: o.Name, Status: status, Code: o.Code, Reason: o.Reason, Attempts: o.Attempts}); err != nil {
			return err
		}
	}
	for _, b := range run.Blocked {
		if err := v.line(workerEvent{V: 1, Event: "worker", SID: b.SID, Name: b.Name, Status: "blocked", Code: b.Code, Reason: b.Reason}); err != nil {
			return err
		}
	}
	return nil
}
