package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/ui"
)

const (
	headLines = 4 // title, filter and sort, a gap, the columns' names
	footLines = 3 // a gap, the counts, the keys
	widest    = 200
)

// rows is how many workers fit on the screen.
func (m *model) rows() int { return max(m.height-headLines-footLines-m.detailLines(), 1) }

// detailLines is the height of the pane below the table.
func (m *model) detailLines() int {
	if !m.detail {
		return 0
	}
	return max(min(12, (m.height-headLines-footLines)/2), 5)
}

// View draws the screen.
func (m *model) View() tea.View {
	v := tea.NewView(m.screen())
	v.AltScreen = true
	v.MouseMode = tea.MouseModeCellMotion
	return v
}

// screen is the text of the whole screen, of exactly m.height lines if there is
// room for the least there is to show.
func (m *model) screen() string {
	var lines, table []string
	switch m.mode {
	case helping:
		lines = m.help()
	case confirming:
		lines = m.question()
	default:
		lines, table = m.head(), m.table()
		lines = append(lines, table...)
		if m.detail {
			lines = append(lines, m.details()...)
		}
		lines = append(lines, "", m.summary(), m.keys())
	}
	width := m.columns()
	for i, line := range lines {
		// A row is as wide as it may be: to measure them all anew takes longer
		// than anything else here.
		if i < headLines || i >= headLines+len(table) {
			line = m.cut(line, width)
		}
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines[:min(len(lines), max(m.height, 1))], "\n")
}

func (m *model) columns() int { return max(min(m.width, widest), 20) }

func (m *model) ellipsis() string { return m.ascii("…", "...") }

func (m *model) ascii(text, replacement string) string {
	if m.o.ASCII {
		return replacement
	}
	return text
}

// spread puts two texts at the ends of a line.
func (m *model) spread(left, right string) string {
	gap := m.columns() - 1 - ansi.StringWidth(left) - ansi.StringWidth(right)
	if gap < 2 {
		return left + "  " + right
	}
	return left + strings.Repeat(" ", gap) + right
}

func (m *model) head() []string {
	title := " " + m.styles.title.Render("flexvc watch")
	parts := []string{title, ui.Clean(m.o.Title), ui.Plural(len(m.items), "worker"), m.freshness()}
	// The workspace's name gives way: how old the picture is may not be cut off.
	const least = 10
	if over := ansi.StringWidth(strings.Join(parts, "   ")) - m.columns(); over > 0 {
		if keep := ansi.StringWidth(parts[1]) - over; keep >= least {
			parts[1] = ansi.Truncate(parts[1], keep, m.ellipsis())
		} else {
			parts = slices.Delete(parts, 1, 2)
		}
		if ansi.StringWidth(strings.Join(parts, "   ")) > m.columns() {
			parts = slices.Delete(parts, 1, 2) // the number is told below as well
		}
	}
	filter := " filter: " + ui.Clean(m.filter.String())
	if m.mode == filtering {
		filter = " filter: " + m.styles.input.Render(string(m.input)) + m.styles.cursor.Render("_")
	}
	return []string{strings.Join(parts, "   "), m.spread(filter, "sort: "+m.sort.String()), "", m.styles.faint.Render(m.row("   ", "WORKER", "ACTIVITY", "CONTACT URI", "STATE", "SINCE", nil))}
}

// freshness says how good the picture is, in words.
func (m *model) freshness() string {
	now, s := m.o.Now(), m.status
	switch {
	case !m.paused.IsZero():
		return m.styles.alarm.Render(fmt.Sprintf("paused %s ago", seconds(now.Sub(m.paused))))
	case s.Err != nil:
		text := fmt.Sprintf("stale data, %s ago, retrying", seconds(now.Sub(s.Whole)))
		if wait := s.Retry.Sub(now); wait > 0 && !s.Sweeping {
			text += " in " + seconds(wait)
		}
		return m.styles.alarm.Render(text)
	case s.Sweeps == 0 && s.Total > s.Read:
		return fmt.Sprintf("reading %d of %d%s", s.Read, s.Total, m.ellipsis())
	case s.Sweeps == 0:
		return "reading" + m.ellipsis()
	case s.Pushed:
		return fmt.Sprintf("live by events, listed %s ago", seconds(now.Sub(s.Whole)))
	case s.EventsErr != nil:
		return m.styles.alarm.Render(m.eventsLost())
	}
	return fmt.Sprintf("live, %s ago", seconds(now.Sub(s.Whole)))
}

// eventsLost tells what is done instead even where there is no room for the
// reason.
func (m *model) eventsLost() string {
	polling := ", polling every " + seconds(m.status.Interval)
	const fixed = len(" flexvc watch   events lost: ")
	const least = 8
	if room := m.columns() - 1 - fixed - len(polling); room >= least {
		return "events lost: " + ansi.Truncate(sentence(m.status.EventsErr), room, m.ellipsis()) + polling
	}
	return "events lost" + polling
}

func seconds(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Round(time.Second)/time.Second))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d/time.Minute))
	}
	return fmt.Sprintf("%d h", int(d/time.Hour))
}

// widths are those of the columns worker, activity, contact URI and since.
func (m *model) widths() (worker, activity, uri, since int) {
	const state = 11
	since = 8
	if m.columns() < 70 {
		since = 0
	}
	free := m.columns() - 3 - state - since - 3*2
	worker = min(max(free*22/100, 13), 40)
	activity = min(max(free*30/100, 11), 24)
	return worker, activity, free - worker - activity, since
}

// row lays out one line of the table. paint colours the state.
func (m *model) row(mark, worker, activity, uri, state, since string, paint *style) string {
	a, b, c, d := m.widths()
	word := m.pad(state, 11)
	if paint != nil {
		word = paint.Render(state) + strings.Repeat(" ", 11-len(state))
	}
	if d == 0 {
		since = ""
	}
	text := mark + m.pad(worker, a) + "  " + m.pad(activity, b) + "  " + m.pad(uri, c) + "  " + word + since
	if c < 0 { // the columns that are never narrowed leave no room
		text = m.cut(text, m.columns())
	}
	return text
}

// pad cuts or fills text to width columns.
func (m *model) pad(text string, width int) string {
	text = m.cut(ui.Clean(text), width)
	return text + strings.Repeat(" ", max(width-columns(text), 0))
}

// cut is text of at most width columns.
func (m *model) cut(text string, width int) string {
	switch {
	case len(text) <= width: // no character is wider than it is long
		return text
	case plain(text) && width > 0 && !m.o.ASCII:
		return text[:width-1] + m.ellipsis()
	}
	return ansi.Truncate(text, width, m.ellipsis())
}

// columns is the width of a text without styles.
func columns(text string) int {
	if plain(text) {
		return len(text)
	}
	return ansi.StringWidth(text)
}

// plain reports whether each byte of text is a column.
func plain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// table is the rows, none wider than the screen.
func (m *model) table() []string {
	rows := m.rows()
	lines := make([]string, 0, rows)
	for at := m.top; at < min(m.top+rows, len(m.shown)); at++ {
		it := m.shown[at]
		mark := "   "
		if at == m.at {
			mark = m.styles.cursor.Render(" >") + " "
		}
		look := m.styles.states[it.State]
		lines = append(lines, m.row(mark, it.Name, it.ActivityName, m.or(it.Facts.ContactURI), string(it.State), m.since(it), &look))
	}
	if len(lines) == 0 {
		lines = append(lines, m.cut("   "+m.empty(), m.columns()))
	}
	for len(lines) < rows {
		lines = append(lines, "")
	}
	return lines
}

// empty says why there are no rows.
func (m *model) empty() string {
	switch {
	case m.status.Sweeps == 0:
		return "reading workers" + m.ellipsis()
	case len(m.items) == 0:
		return "this workspace has no workers"
	}
	return "no worker matches the filter; esc clears it"
}

// since is the time of day, or the day when that was not today. Nobody knows
// since when a pending agent has been away.
func (m *model) since(it *item) string {
	if it.Since.IsZero() || it.State == fleet.StatePending {
		return m.or("")
	}
	at, now := it.Since.In(m.o.Location), m.o.Now().In(m.o.Location)
	if at.Year() == now.Year() && at.YearDay() == now.YearDay() {
		return at.Format("15:04:05")
	}
	return at.Format("06-01-02")
}

func (m *model) or(text string) string {
	if text == "" {
		return m.ascii("–", "-")
	}
	return text
}

// summary is what is visible, the counts, and the trend.
func (m *model) summary() string {
	visible := "0 of 0"
	if n := len(m.shown); n > 0 {
		visible = fmt.Sprintf("%d%s%d of %d", m.top+1, m.ascii("–", "-"), min(m.top+m.rows(), n), n)
	}
	switch {
	case m.inputErr != "":
		return " " + m.styles.alarm.Render(m.inputErr)
	case m.flash != "":
		return " " + m.styles.title.Render(m.flash)
	}
	var counts []string
	for _, s := range fleet.States() {
		if n := m.counts[s]; n > 0 {
			counts = append(counts, m.styles.states[s].Render(fmt.Sprintf("%d %s", n, s)))
		}
	}
	line := " " + visible + "    " + strings.Join(counts, "  ")
	if t := m.trend.draw(m.o.ASCII) + " drift, last hour"; ansi.StringWidth(line)+ansi.StringWidth(t)+4 <= m.columns() {
		line += "    " + t
	}
	return line
}

// draw is a bar per span, the highest for the most drifting workers.
func (t *trend) draw(ascii bool) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	if ascii {
		bars = []rune("_.-:=+*#")
	}
	most := 1
	for _, n := range t.spans {
		most = max(most, n)
	}
	var b strings.Builder
	for _, n := range t.spans {
		b.WriteRune(bars[(n*(len(bars)-1)+most-1)/most])
	}
	return b.String()
}

func (m *model) keys() string {
	if m.mode == filtering {
		return m.styles.faint.Render(" enter apply   esc cancel   fields: name state activity uri flag sid   such as state:drift name~smith")
	}
	all := " enter details   / filter   s sort   f fix   p pause   c copy sid   ? keys   q quit"
	if ansi.StringWidth(all) > m.columns() {
		all = " enter details  / filter  s sort  f fix  ? keys  q quit"
	}
	return m.styles.faint.Render(all)
}

func (m *model) help() []string {
	lines := []string{" " + m.styles.title.Render("flexvc watch: keys"), ""}
	for _, k := range [][2]string{
		{"up down, j k", "one worker up or down; the mouse works too"},
		{"pgup pgdown, g G", "a screen up or down; first, last"},
		{"enter", "details: the worker's history since the start"},
		{"/", "filter: state:drift activity:Available name~smith -state:ok"},
		{"s", "sort by state, worker, activity, time"},
		{"f", "fix a stale worker: shows the change, asks, journals it"},
		{"r", "list all workers now"},
		{"p", "pause and resume the picture"},
		{"c", "copy the worker's SID"},
		{"esc", "close the details, then show all workers"},
		{"q", "quit"},
	} {
		lines = append(lines, "   "+m.pad(k[0], 20)+" "+k[1])
	}
	lines = append(lines, "")
	for _, s := range fleet.States() {
		lines = append(lines, "   "+m.styles.states[s].Render(m.pad(string(s), 20))+" "+s.Meaning())
	}
	if over := len(lines) - (m.height - 2); over > 0 { // a low screen shows the keys
		lines = lines[:max(m.height-2, 0)]
	}
	return append(lines, "", m.styles.faint.Render(" any key closes this"))
}

// details is the pane about the worker under the cursor.
func (m *model) details() []string {
	height := m.detailLines()
	it := m.current()
	if it == nil {
		return make([]string, height)
	}
	lines := []string{
		m.styles.faint.Render(strings.Repeat(m.ascii("─", "-"), m.columns()-1)),
		" " + m.styles.title.Render(ui.Clean(it.Name)) + "   " + it.SID,
		fmt.Sprintf(" %s: %s", m.styles.states[it.State].Render(string(it.State)), it.State.Meaning()),
		fmt.Sprintf(" flag %s   contact uri %s   activity %s", it.Facts.Flag, ui.Clean(m.or(it.Facts.ContactURI)), ui.Clean(it.ActivityName)),
	}
	if len(it.history) == 0 {
		lines = append(lines, m.styles.faint.Render(" nothing has changed since the watch started"))
	}
	for i := len(it.history) - 1; i >= 0 && len(lines) < height; i-- {
		d := it.history[i]
		lines = append(lines, " "+d.At.In(m.o.Location).Format("15:04:05")+"  "+Describe(d, m.ascii("→", "->")))
	}
	for len(lines) < height {
		lines = append(lines, "")
	}
	return lines[:height]
}

// Describe is a difference in words: what was, an arrow, what is.
func Describe(d fleet.Difference, arrow string) string {
	switch {
	case d.New:
		return fmt.Sprintf("new: %s  %s", d.To.State, ui.Clean(d.To.ContactURI))
	case d.Gone:
		return "deleted"
	}
	var parts []string
	if d.StateChanged() {
		parts = append(parts, fmt.Sprintf("%s %s %s", d.From.State, arrow, d.To.State))
	}
	for _, c := range [][2]string{
		{d.From.ContactURI, d.To.ContactURI}, {d.From.Activity, d.To.Activity}, {string(d.From.Flag), string(d.To.Flag)},
	} {
		if c[0] != c[1] {
			parts = append(parts, fmt.Sprintf("%s %s %s", orNothing(c[0]), arrow, orNothing(c[1])))
		}
	}
	return strings.Join(parts, "  ")
}

func orNothing(text string) string {
	if text == "" {
		return "none"
	}
	return ui.Clean(text)
}

// whole is text on as many lines as it takes: what is asked about is never cut.
func (m *model) whole(prefix, text string) []string {
	lines := strings.Split(ansi.Hardwrap(ui.Clean(text), max(m.columns()-len("        ")-1, 8), true), "\n")
	for i := range lines {
		lines[i] = prefix + lines[i]
		prefix = "        "
	}
	return lines
}

// question shows the exact change and asks.
func (m *model) question() []string {
	lines := []string{" " + m.styles.title.Render("flexvc watch: fix "+ui.Clean(m.about.Name)), "",
		" " + m.about.SID + " in " + ui.Clean(m.o.Title),
		" It is disabled, but its calls still go to the extension.", ""}
	for _, c := range m.proposal.Changes {
		lines = append(lines, "   ~ "+c.Key)
		lines = append(lines, m.whole("        ", c.From)...)
		lines = append(lines, m.whole("     "+m.pad(m.ascii("→", "->"), 3), c.To)...)
	}
	return append(lines, "",
		" Nothing else changes; undo with flexvc runs rollback.", "",
		` Only "yes" is accepted: `+m.styles.input.Render(string(m.input))+m.styles.cursor.Render("_"), "",
		m.styles.faint.Render(" enter confirms   esc cancels"))
}
