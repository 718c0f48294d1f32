package tui

import (
	"context"
	"fmt"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/flexvc/flexvc/internal/fleet"
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
		m.flash = fmt.Sprintf("%s repaired; undo: flexvc runs rollback %s", ui.Clean(msg.name), msg.run)
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
