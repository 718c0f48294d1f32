package tui

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/internal/workers"
)

// model is the screen. It is one value that Update changes; Bubble Tea calls
// one method at a time.
type model struct {
	ctx    context.Context
	source Source
	o      Options
	styles *styles
	err    error // why the screen ended

	width, height int

	items  map[string]*item
	sorted [orders][]*item // all of them in each order; nil when that has to be sorted anew
	shown  []*item         // selected by the filter, sorted
	counts map[fleet.State]int

	activities map[string]int // their names, numbered as they are met

	status  fleet.Status
	filter  Filter
	sort    order
	cursor  string // the SID it is on
	at, top int    // its place in shown, and the first visible place

	mode     mode
	input    []rune // what is being typed: a filter, or the answer to a question
	inputErr string
	detail   bool
	proposal *workers.Proposal
	about    *item // what the proposal is for

	paused  time.Time // zero while live
	waiting []fleet.Update

	trend  trend
	flash  string // said once, until the next key
	asking bool   // a proposal is being made or applied
}

type mode int

const (
	browsing mode = iota
	filtering
	confirming
	helping
)

// item is a worker on the screen.
type item struct {
	fleet.Row
	history []fleet.Difference // since the start, the latest last

	// What is compared while sorting.
	severity int
	activity int   // number of its name, in the model's activities
	since    int64 // milliseconds since 1970; less than 0 when it is not known
}

const keptHistory = 200 // differences of one worker

func newModel(ctx context.Context, source Source, o Options) *model {
	if o.Location == nil {
		o.Location = time.Local
	}
	return &model{
		ctx: ctx, source: source, o: o, filter: o.Filter,
		styles: newStyles(o.Color, true),
		width:  80, height: 24,
		items: map[string]*item{}, counts: map[fleet.State]int{}, activities: map[string]int{},
		trend: trend{start: o.Now()},
	}
}

// Init starts the clock.
func (m *model) Init() tea.Cmd {
	if !m.o.Color {
		return tick()
	}
	return tea.Batch(tick(), tea.RequestBackgroundColor)
}

func tick() tea.Cmd {
	return tea.Tick(time.Second, func(t time.Time) tea.Msg { return tickMsg(t) })
}

// close gives back what the screen still holds.
func (m *model) close() {
	if m.proposal != nil {
		m.proposal.Close()
		m.proposal = nil
	}
}

// Update takes in one message.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.scroll()
	case tea.BackgroundColorMsg:
		m.styles = newStyles(m.o.Color, msg.IsDark())
	case tickMsg:
		m.trend.sample(m.o.Now(), m.counts[fleet.StateDrift])
		return m, tick()
	case updateMsg:
		u := fleet.Update(msg)
		m.status = u.Status
		if !m.paused.IsZero() {
			m.waiting = append(m.waiting, u)
			break
		}
		m.take(u)
		if len(u.Rows) > 0 || len(u.Gone) > 0 { // the progress of a sweep moves no row
			m.arrange()
		}
	case titleMsg:
		m.o.Title = string(msg)
	case endedMsg:
		m.err = msg.err
		return m, tea.Quit
	case proposedMsg:
		return m, m.proposed(msg)
	case repairedMsg:
		m.asking = false
		if msg.err != nil {
			m.flash = sentence(msg.err)
			break
		}
		m.flash = fmt.Sprintf("%s is repaired; undo: flexvc runs rollback %s", ui.Clean(msg.name), msg.run)
		m.source.Refresh()
	case tea.KeyPressMsg:
		return m, m.key(msg)
	case tea.PasteMsg:
		if m.mode == filtering || m.mode == confirming {
			m.typed(msg.Content)
		}
	case tea.MouseWheelMsg:
		if m.mode == browsing {
			m.move(map[tea.MouseButton]int{tea.MouseWheelUp: -3, tea.MouseWheelDown: 3}[msg.Button])
		}
	case tea.MouseClickMsg:
		if row := msg.Y - headLines; m.mode == browsing && row >= 0 && row < m.rows() && m.top+row < len(m.shown) {
			m.to(m.top + row)
		}
	}
	return m, nil
}

func (m *model) key(k tea.KeyPressMsg) tea.Cmd {
	key := k.String()
	if key == "ctrl+c" {
		m.err = ErrInterrupted
		return tea.Quit
	}
	m.flash = ""
	switch m.mode {
	case filtering:
		return m.filterKey(k)
	case confirming:
		return m.confirmKey(k)
	case helping:
		m.mode = browsing
		return nil
	}
	switch key {
	case "q":
		return tea.Quit
	case "esc":
		if m.detail {
			m.detail = false
			m.scroll()
		} else if len(m.filter.terms) > 0 {
			m.filter = Filter{}
			m.arrange()
		}
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "pgup", "ctrl+b":
		m.move(-m.rows())
	case "pgdown", "ctrl+f", "space":
		m.move(m.rows())
	case "home", "g":
		m.to(0)
	case "end", "G":
		m.to(len(m.shown) - 1)
	case "enter":
		m.detail = !m.detail
		m.scroll()
	case "/":
		m.mode, m.inputErr = filtering, ""
		m.input = []rune(m.filter.text)
	case "s":
		m.sort = (m.sort + 1) % orders
		m.arrange()
	case "p":
		m.pause()
	case "r":
		m.source.Refresh()
	case "c":
		return m.copy()
	case "f":
		return m.fix()
	case "?", "h":
		m.mode = helping
	}
	return nil
}

func (m *model) filterKey(k tea.KeyPressMsg) tea.Cmd {
	switch k.String() {
	case "esc":
		m.mode, m.inputErr = browsing, ""
	case "enter":
		f, err := ParseFilter(string(m.input))
		if err != nil {
			m.inputErr = sentence(err)
			return nil
		}
		m.filter, m.mode = f, browsing
		m.arrange()
	default:
		m.edit(k)
	}
	return nil
}

func (m *model) confirmKey(k tea.KeyPressMsg) tea.Cmd {
	switch k.String() {
	case "esc":
		m.close()
		m.mode, m.flash = browsing, "nothing was changed"
	case "enter":
		m.mode = browsing
		if string(m.input) != "yes" {
			m.close()
			m.flash = "nothing was changed"
			return nil
		}
		p, name := m.proposal, m.about.Name
		m.proposal, m.asking, m.flash = nil, true, "changing "+ui.Clean(name)+m.ellipsis()
		return func() tea.Msg {
			// A write that has begun is finished, even if the screen is left.
			run, err := p.Apply(context.WithoutCancel(m.ctx))
			return repairedMsg{name, run, err}
		}
	default:
		m.edit(k)
	}
	return nil
}

// edit is the little that typing a line needs.
func (m *model) edit(k tea.KeyPressMsg) {
	m.inputErr = ""
	switch k.String() {
	case "backspace":
		m.input = m.input[:max(len(m.input)-1, 0)]
	case "ctrl+u":
		m.input = nil
	case "ctrl+w":
		text := strings.TrimRight(string(m.input), " ")
		m.input = []rune(text[:strings.LastIndexByte(text, ' ')+1])
	default:
		m.typed(k.Text)
	}
}

func (m *model) typed(text string) {
	const longest = 500
	text = ui.Clean(strings.TrimRight(text, "\r\n"))
	m.input = append(m.input, []rune(text)...)
	m.input = m.input[:min(len(m.input), longest)]
}

// pause holds the picture still; what comes meanwhile is kept.
func (m *model) pause() {
	if m.paused.IsZero() {
		m.paused = m.o.Now()
		return
	}
	m.paused = time.Time{}
	for _, u := range m.waiting {
		m.take(u)
	}
	m.waiting = nil
	m.arrange()
}

func (m *model) copy() tea.Cmd {
	it := m.current()
	if it == nil {
		return nil
	}
	m.flash = "copied " + it.SID
	return tea.SetClipboard(it.SID)
}

// fix asks what repairing the worker would change. Only a stale worker can be
// repaired from here: any other state passes when the agent's Flex starts anew.
func (m *model) fix() tea.Cmd {
	it := m.current()
	switch {
	case it == nil || m.asking:
		return nil
	case it.State == fleet.StateDrift:
		m.flash = "a drifting worker is mended by its agent: reload Flex, then look at the extension"
		return nil
	case it.State != fleet.StateStale:
		m.flash = "only a stale worker can be fixed from here; this one is " + string(it.State)
		return nil
	}
	m.asking = true
	m.flash = "reading " + ui.Clean(it.Name) + m.ellipsis()
	sid := it.SID
	return func() tea.Msg {
		p, err := m.source.Propose(m.ctx, sid)
		return proposedMsg{sid, p, err}
	}
}

func (m *model) proposed(msg proposedMsg) tea.Cmd {
	m.asking, m.flash = false, ""
	it := m.items[msg.sid]
	switch {
	case msg.err != nil:
		m.flash = sentence(msg.err)
	case len(msg.proposal.Changes) == 0 || it == nil:
		msg.proposal.Close()
		m.flash = "nothing is left to fix"
		m.source.Refresh()
	default:
		m.proposal, m.about = msg.proposal, it
		m.mode, m.input = confirming, nil
	}
	return nil
}

// sentence is an error as one line.
func sentence(err error) string {
	if p := problem.As(err); p != nil {
		return ui.Clean(p.Summary)
	}
	return ui.Clean(err.Error())
}

// take applies what changed.
func (m *model) take(u fleet.Update) {
	names := m.sorted[byName]
	if len(u.Rows) > 0 || len(u.Gone) > 0 {
		m.sorted = [orders][]*item{}
	}
	for _, sid := range u.Gone {
		if it := m.items[sid]; it != nil {
			m.counts[it.State]--
			delete(m.items, sid)
			names = nil
		}
	}
	for _, row := range u.Rows {
		it := m.items[row.SID]
		if it == nil {
			it = &item{}
			m.items[row.SID] = it
		} else {
			m.counts[it.State]--
		}
		if it.Name != row.Name || it.SID == "" {
			names = nil
		}
		activity, met := m.activities[row.ActivityName]
		if !met {
			activity = len(m.activities)
			m.activities[row.ActivityName] = activity
		}
		it.Row, it.severity, it.activity, it.since = row, row.State.Severity(), activity, row.Since.UnixMilli()
		m.counts[row.State]++
	}
	m.sorted[byName] = names
	for _, d := range u.Differences {
		if it := m.items[d.SID]; it != nil {
			it.history = append(it.history, d)
			if len(it.history) > keptHistory {
				it.history = slices.Delete(it.history, 0, 1)
			}
		}
	}
	m.trend.sample(m.o.Now(), m.counts[fleet.StateDrift])
}

// arrange filters and sorts anew, and keeps the cursor on its worker.
func (m *model) arrange() {
	m.shown = append(m.shown[:0], m.inOrder(m.sort)...)
	if len(m.filter.terms) > 0 {
		m.shown = slices.DeleteFunc(m.shown, func(it *item) bool { return !m.filter.Match(it.Row) })
	}
	if under := m.items[m.cursor]; under != nil && (m.at > 0 || m.detail) {
		if at := slices.Index(m.shown, under); at >= 0 {
			m.at = at
		}
	}
	// Otherwise a cursor on the first row stays there: that is where the worst is.
	m.to(m.at)
}

// inOrder returns all items in an order. Only that by name compares item with
// item, which for 15,000 of them takes several milliseconds; it is needed anew
// when workers come, go or are renamed.
func (m *model) inOrder(o order) []*item {
	if m.sorted[o] == nil {
		switch o {
		case byState:
			m.sorted[o] = grouped(m.inOrder(byName), func(it *item) int { return it.severity })
		case byName:
			m.sorted[o] = slices.SortedFunc(maps.Values(m.items), byNameAndSID)
		case byActivity:
			places := make([]int, len(m.activities))
			for place, name := range slices.Sorted(maps.Keys(m.activities)) {
				places[m.activities[name]] = place
			}
			m.sorted[o] = grouped(m.inOrder(byName), func(it *item) int { return places[it.activity] })
		case bySince:
			m.sorted[o] = latestFirst(m.inOrder(byName))
		}
	}
	return m.sorted[o]
}

// grouped returns the items by group, those of a group in the order they had.
func grouped(items []*item, group func(*item) int) []*item {
	var next []int // place of each group's next item
	for _, it := range items {
		for g := group(it); g >= len(next); {
			next = append(next, 0)
		}
		next[group(it)]++
	}
	place := 0
	for g, n := range next {
		next[g] = place
		place += n
	}
	out := make([]*item, len(items))
	for _, it := range items {
		g := group(it)
		out[next[g]] = it
		next[g]++
	}
	return out
}

// latestFirst returns the items by time, those of the same in the order they
// had. The time and the place are one number, which is compared in no time.
func latestFirst(items []*item) []*item {
	const (
		places = 20        // bits, for a million rows
		last   = 1<<44 - 1 // in the year 2527
	)
	keys := make([]uint64, len(items))
	for i, it := range items {
		keys[i] = uint64(last-max(0, min(it.since, last)))<<places | uint64(i)
	}
	slices.Sort(keys)
	out := make([]*item, len(items))
	for i, key := range keys {
		out[i] = items[key&(1<<places-1)]
	}
	return out
}

func (m *model) move(by int) { m.to(m.at + by) }

func (m *model) to(at int) {
	m.at = max(0, min(at, len(m.shown)-1))
	m.cursor = ""
	if m.at < len(m.shown) {
		m.cursor = m.shown[m.at].SID
	}
	m.scroll()
}

// scroll keeps the cursor visible.
func (m *model) scroll() {
	rows := m.rows()
	m.top = max(0, min(m.top, len(m.shown)-rows))
	m.top = max(m.at-rows+1, min(m.top, m.at))
}

func (m *model) current() *item {
	if m.at < len(m.shown) {
		return m.shown[m.at]
	}
	return nil
}

// order is how the rows are sorted.
type order int

const (
	byState order = iota
	byName
	byActivity
	bySince
	orders
)

func (o order) String() string {
	return [...]string{"state, worst first", "worker", "activity", "since, latest first"}[o]
}

func byNameAndSID(a, b *item) int {
	if first := cmp.Compare(a.Name, b.Name); first != 0 {
		return first
	}
	return cmp.Compare(a.SID, b.SID)
}

// trend remembers the most drifting workers of each span of the last hour.
type trend struct {
	start time.Time
	spans []int // the latest last
	last  int   // number of the latest span
}

const (
	trendSpan  = 5 * time.Minute
	trendSpans = 12
)

func (t *trend) sample(now time.Time, n int) {
	span := int(now.Sub(t.start) / trendSpan)
	if len(t.spans) == 0 {
		t.spans, t.last = []int{n}, span
	}
	for ; t.last < span; t.last++ {
		t.spans = append(t.spans, n)
	}
	t.spans[len(t.spans)-1] = max(t.spans[len(t.spans)-1], n)
	t.spans = t.spans[max(0, len(t.spans)-trendSpans):]
}
