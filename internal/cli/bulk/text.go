package bulk

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/internal/workers"
)

// bulkText is the view for people.
type textView struct {
	*watched
	failures []workers.Outcome
}

func (v *textView) situation(s Situation, refused bool) {
	v.where = s
	s.warn(v.ui, refused)
}

func (v *textView) plan(p *workers.Plan, dryRun bool) error {
	say := v.planned(dryRun)
	if len(p.Change) > 0 {
		say("%s\n", v.where.heading(v.ui))
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

// planned prints a plan: a result under --dry-run, else what leads to one.
func (v *textView) planned(dryRun bool) printf {
	if !dryRun {
		return v.ui.Chat
	}
	return func(format string, args ...any) { v.ui.Printf("%s", v.ui.Suggest(fmt.Sprintf(format, args...))) }
}

func (v *textView) planEdit(say printf, p *workers.Plan) {
	workspace, state := v.ui.SID(v.header.Workspace), v.header.Verb()
	if len(p.Change) == 0 && len(p.Blocked) == 0 {
		switch p.Total {
		case 0:
			say("No changes: the selection matches no worker in %s. Next: flexvc workers list\n", workspace)
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
		say("No changes. Next: fix the attributes in the Twilio Console\n")
	}
}

func (v *textView) planLines(say printf, p *workers.Plan) {
	examples, more := exampleChanges(p.Change)
	examples = slices.Clone(examples)
	for i, w := range examples {
		// The flag says it; the time beside it is the same for all.
		examples[i].Changes = slices.DeleteFunc(slices.Clone(w.Changes), func(c attributes.Change) bool { return c.Key == attributes.EnabledAtKey })
	}
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
		return fmt.Sprintf("%-*s   %s %s %s", keys, c.Key, orUnset(c.From), v.ui.Arrow(), orUnset(c.To))
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
		say("    %s %d more with the same change (all of them: -o json)\n", v.ui.Ellipsis(), more)
	}
	for _, b := range blocked {
		v.line(say, v.ui.Mark(v.ui.Out, ui.Alert), b.Name, names, b.Reason+"; skipped")
	}
	if n := len(p.Blocked) - len(blocked); n > 0 {
		say("    %s %d more skipped (all of them: -o json)\n", v.ui.Ellipsis(), n)
	}
}

// line prints a sign, a name and what is to be said of it, cut to the terminal.
func (v *textView) line(say printf, sign, name string, width int, text string) {
	rest := ui.Clean(text)
	if v.ui.OutTTY {
		rest = v.ui.Cut(text, max(v.ui.Width()-width-6, 20))
	}
	say("  %s %s  %s\n", sign, v.ui.Pad(name, width), rest)
}

func (v *textView) planRollback(say printf, p *workers.Plan) {
	if p.Total == 0 {
		say("No changes: run %s changed no worker. Next: flexvc runs show %s\n", v.header.Of, v.header.Of)
		return
	}
	counts := []string{fmt.Sprintf("%d to restore", len(p.Change))}
	if p.Same > 0 {
		counts = append(counts, fmt.Sprintf("%d already restored", p.Same))
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
		left = ", skipped"
	}
	say("%d %s changed by run %s: %s%s\n", p.Total, was, v.header.Of, strings.Join(counts, ", "), left)
	RemedyHints(v.ui, AsOutcomes(p.Blocked))
	if len(p.Change) == 0 {
		say("No changes. Next: flexvc runs show %s\n", v.header.Of)
	}
}

func (v *textView) begin(run *workers.Run) {
	v.header = run.Header
	t := run.Tally()
	if !v.ui.ErrTTY {
		v.ui.Note("%s %s in %s (run %s)", strings.TrimSuffix(run.Verb(), "ed")+"ing", ui.Plural(t.Left, "worker"), v.ui.SID(run.Workspace), run.ID)
	}
	v.start(t.Left)
}

func (v *textView) done(o workers.Outcome) {
	if v.count(o) && (o.Status == workers.Failed || o.Status == workers.Skipped) {
		v.failures = append(v.failures, o)
	}
}

func (v *textView) stopping() {
	v.finishProgress()
	v.ui.Note("stopping after the writes in flight (press ^C again to stop now)")
}

func (v *textView) end(run *workers.Run, t workers.Tally, err error) error {
	v.finishProgress()
	OutcomeLines(v.ui, v.failures, run.ID)
	RemedyHints(v.ui, v.failures)
	if err != nil {
		return v.stopped(err)
	}
	if len(v.failures) > 0 {
		v.ui.Printf("\n")
	}
	v.ui.Printf("Done: %s.\n", strings.Join(TallyWords(run.Header, t), ", "))
	switch {
	case t.Failed > 0:
		v.ui.Hint("retry %s: flexvc runs resume %s --retry-failed", these(t.Failed), run.ID)
	case !t.Whole():
		v.ui.Hint("see which were skipped: flexvc runs show %s", run.ID)
	default:
		v.ui.Chat("Next: flexvc watch     undo: flexvc runs rollback %s\n", run.ID)
	}
	if !t.Whole() {
		return cli.Silent(problem.PartlyDone)
	}
	return nil
}

// stopped tells of a run that was stopped in the words of a note: that was asked
// for, so it is no error.
func (v *textView) stopped(err error) error {
	p := problem.As(err)
	if p == nil || p.Code != problem.Interrupted || v.ui.Quiet {
		return err
	}
	v.ui.Note("%s", p.Summary)
	v.ui.Hint("%s", p.Hint)
	return cli.Told(p)
}

type printf func(string, ...any)

const (
	shownChanges = 5 // all of them up to here; otherwise one or two per kind
	shownBlocked = 5
)

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

// OutcomeLines prints workers that failed or were left alone.
func OutcomeLines(s *ui.Streams, outcomes []workers.Outcome, run string) {
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
		s.Printf("   %s %d more (all of them: flexvc runs show %s -o json)\n", s.Ellipsis(), n, run)
	}
}

// TallyWords counts in words what became of the workers, the wanted end first.
func TallyWords(h workers.Header, t workers.Tally) []string {
	words := []string{fmt.Sprintf("%d %s", t.Changed, h.Verb())}
	if h.Of != "" { // whether the plan or the write found it edited is no matter to a reader
		t.Skipped, t.Blocked = t.Skipped+t.Blocked, 0
	}
	for _, row := range []struct {
		n    int
		what string
	}{
		{t.Reset, "of them set again"},
		{t.Failed, "failed"},
		{t.Same, "already " + h.Verb()},
		{t.Skipped, "skipped"},
		{t.Blocked, "blocked"},
	} {
		if row.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", row.n, row.what))
		}
	}
	return words
}
