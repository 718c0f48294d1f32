package tui

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
)

func names(m *model) []string {
	var all []string
	for _, it := range m.shown {
		name, _, _ := strings.Cut(it.Name, ".")
		name, _, _ = strings.Cut(name, "\x1b")
		all = append(all, name)
	}
	return all
}

func TestFilters(t *testing.T) {
	for _, c := range []struct{ filter, want string }{
		{"", "carol dave erin grace walt frank alice małgorzata trent 陽菜"},
		{"state:drift", "carol"},
		{"drift", "carol"},
		{"STATE:Drift,stale", "carol erin"},
		{"-state:ok", "carol dave erin grace walt frank"},
		{"name~ZIELIŃSKA", "małgorzata"},
		{"zielińska", "małgorzata"},
		{"name:alice", "alice"},
		{"name:alic", ""},
		{`activity:"voice client offline"`, "dave"},
		{`activity~offline`, "dave walt frank"},
		{"activity:Available state:ok", "alice 陽菜"},
		{"uri~ext_", "dave erin alice małgorzata 陽菜"},
		{"flag:disabled -state:stale", "trent"},
		{"sid:WK00000000000000000000000000000005", "frank"},
		{"activity:Available,Break -陽菜", "carol erin grace alice trent"},
		{"-drift -offline name~a", "grace walt frank alice małgorzata 陽菜"},
	} {
		m := screen(100, 30, false)
		press(m, "/"+c.filter+"<enter>")
		if m.inputErr != "" {
			t.Errorf("%s: %s", c.filter, m.inputErr)
		}
		if got := strings.Join(names(m), " "); got != c.want {
			t.Errorf("%s selects %q, want %q", c.filter, got, c.want)
		}
	}
}

func TestFiltersThatAreNone(t *testing.T) {
	for _, c := range []struct{ filter, want string }{
		{"shape:round", "unknown field"},
		{"state:drunk", "unknown state"},
		{"state:", "no value"},
		{`activity:"Voice`, "unclosed quote"},
		{"-state:,", "no value"},
	} {
		_, err := ParseFilter(c.filter)
		if !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.filter, err, c.want)
		}
	}
}

func FuzzParseFilter(f *testing.F) {
	for _, seed := range []string{"", "state:drift", `a"b c"d`, "-", "-:", ":", "~x", `""`, "name~ł -name:ü"} {
		f.Add(seed)
	}
	r := sampleRows()[0]
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := ParseFilter(text)
		if err != nil {
			return
		}
		again, err := ParseFilter(filter.text)
		if err != nil || again.Match(r) != filter.Match(r) {
			t.Errorf("%q means something else when read again: %v", text, err)
		}
	})
}

func TestSorting(t *testing.T) {
	m := screen(100, 30, false)
	for _, want := range []string{"carol dave erin", "alice carol dave", "małgorzata alice carol", "alice carol 陽菜"} {
		if got := strings.Join(names(m)[:3], " "); got != want {
			t.Errorf("%s: %s, want %s", m.sort, got, want)
		}
		press(m, "s")
	}
	if m.sort != byState {
		t.Errorf("after every order comes %s", m.sort)
	}
}

// TestTheCursorStaysOnItsWorker: rows move under the hands of whoever is about to
// press f.
func TestTheCursorStaysOnItsWorker(t *testing.T) {
	m := screen(100, 30, false)
	press(m, "jj")
	if m.current().Name != "erin" {
		t.Fatalf("the cursor is on %s", m.current().Name)
	}
	r := row(0, "alice", "Available", "client:alice", attributes.Enabled, fleet.StateDrift, "14:02:00")
	m.Update(updateMsg{Rows: []fleet.Row{r}, Status: live()})
	if m.current().Name != "erin" || m.at != 3 {
		t.Errorf("after a row came above it is on %s, at %d", m.current().Name, m.at)
	}
	m.Update(updateMsg{Gone: []string{m.current().SID}, Status: live()})
	if m.current() == nil || m.at != 3 {
		t.Errorf("after its worker was deleted it is at %d", m.at)
	}
	press(m, "/name:nobody<enter>")
	if m.current() != nil || m.at != 0 {
		t.Errorf("with nothing to show it is at %d", m.at)
	}
	for _, key := range []string{"j", "k", "G", "g", "c", "f", "<enter>"} {
		press(m, key)
		_ = m.screen()
	}
}

func TestOnlyVisibleRowsAreDrawn(t *testing.T) {
	m := screen(100, 20, false)
	var rows []fleet.Row
	for i := range 15000 {
		rows = append(rows, row(100+i, fmt.Sprintf("agent%05d", i), "Available", "client:x", attributes.Enabled, fleet.StateOK, "12:00:00"))
	}
	m.Update(updateMsg{Rows: rows, Status: live()})
	press(m, "G")
	text := m.screen()
	if n := strings.Count(text, "agent"); n > m.rows() || n == 0 {
		t.Errorf("%d rows are drawn, %d fit", n, m.rows())
	}
	if !strings.Contains(text, "of 15010") {
		t.Errorf("the place is not told:\n%s", text)
	}
	if allocs := testing.AllocsPerRun(5, func() { _ = m.screen() }); allocs > 3000 {
		t.Errorf("a frame takes %.0f allocations: more than the visible rows can need", allocs)
	}
}

func TestPauseHoldsThePictureStill(t *testing.T) {
	m := screen(100, 30, false)
	before := names(m)
	press(m, "p")
	m.Update(updateMsg{Gone: []string{sampleRows()[1].SID}, Status: live()})
	if !slices.Equal(names(m), before) || !strings.Contains(m.screen(), "paused") {
		t.Error("the picture moved")
	}
	press(m, "p")
	if slices.Contains(names(m), "carol") || strings.Contains(m.screen(), "paused") {
		t.Error("what came meanwhile is lost")
	}
}

func TestALostConnectionKeepsTheRows(t *testing.T) {
	m := screen(100, 30, false)
	s := live()
	s.Err, s.Retry = errors.New("no route"), now.Add(8*time.Second)
	m.Update(updateMsg{Status: s})
	text := m.screen()
	if !strings.Contains(text, "stale data, 2 s ago, retrying in 8 s") || !strings.Contains(text, "carol") {
		t.Errorf("the screen says:\n%s", text)
	}
}

func TestFixAsksFirst(t *testing.T) {
	for _, c := range []struct {
		keys string
		want string
	}{
		{"<enter>", "nothing was changed"},
		{"y<enter>", "nothing was changed"},
		{"YES<enter>", "nothing was changed"},
		{"yes please<enter>", "nothing was changed"},
		{"yes<esc>", "nothing was changed"},
	} {
		m := screen(100, 30, false)
		proposal(m)
		if cmd := press(m, c.keys); cmd != nil {
			t.Errorf("%q does something", c.keys)
		}
		if m.flash != c.want || m.proposal != nil || m.mode != browsing {
			t.Errorf("%q: %q", c.keys, m.flash)
		}
	}
	m := screen(100, 30, false)
	proposal(m)
	if press(m, "nno<ctrl+u>yex<backspace>s<enter>") == nil {
		t.Error("yes does nothing")
	}
}

func TestOnlyStaleWorkersCanBeFixed(t *testing.T) {
	m := screen(100, 30, false)
	for i, it := range m.shown {
		m.to(i)
		cmd := press(m, "f")
		if (cmd != nil) != (it.State == fleet.StateStale) {
			t.Errorf("f on a worker that is %s: %v, %q", it.State, cmd != nil, m.flash)
		}
		m.asking = false
	}
	source := &quiet{err: problem.New(problem.Locked, "cannot change workers: another flexvc is")}
	m = screenOf(source, 100, 30, false)
	press(m, "jj")
	m.Update(press(m, "f")())
	if m.mode != browsing || !strings.Contains(m.screen(), "another flexvc") {
		t.Errorf("the refusal is not told:\n%s", m.screen())
	}
}

func TestWaysOut(t *testing.T) {
	for _, keys := range []string{"q", "<ctrl+c>", "/state<ctrl+c>", "?<ctrl+c>"} {
		m := screen(100, 30, false)
		cmd := press(m, keys)
		if cmd == nil {
			t.Fatalf("%s does nothing", keys)
		}
		if _, quit := cmd().(tea.QuitMsg); !quit {
			t.Errorf("%s does not quit", keys)
		}
		if wrong := strings.Contains(keys, "ctrl") != errors.Is(m.err, ErrInterrupted); wrong {
			t.Errorf("%s ends with %v", keys, m.err)
		}
	}
}

func TestMouse(t *testing.T) {
	m := screen(100, 12, false)
	m.Update(tea.MouseClickMsg{X: 5, Y: headLines + 2, Button: tea.MouseLeft})
	if m.current().Name != "erin" {
		t.Errorf("a click selects %s", m.current().Name)
	}
	m.Update(tea.MouseWheelMsg{Button: tea.MouseWheelDown})
	if m.at != 5 {
		t.Errorf("the wheel goes to %d", m.at)
	}
	m.Update(tea.MouseClickMsg{X: 5, Y: 0, Button: tea.MouseLeft})
	m.Update(tea.MouseClickMsg{X: 5, Y: 11, Button: tea.MouseLeft})
	if m.at != 5 {
		t.Errorf("a click outside of the table selects %d", m.at)
	}
}

func TestTrendOfTheLastHour(t *testing.T) {
	tr := trend{start: now}
	tr.sample(now, 0)
	tr.sample(now.Add(6*time.Minute), 4)
	tr.sample(now.Add(7*time.Minute), 2)
	tr.sample(now.Add(21*time.Minute), 1)
	if got := tr.draw(false); got != "▁█▃▃▃" {
		t.Errorf("the trend is %s", got)
	}
	tr.sample(now.Add(3*time.Hour), 0)
	if got := tr.draw(false); got != strings.Repeat("▁", trendSpans) {
		t.Errorf("two hours later it is %s", got)
	}
}

// explosive panics where it is told to.
type explosive struct{ tea.Model }

func (explosive) Update(tea.Msg) (tea.Model, tea.Cmd) { panic("in an update") }
func (explosive) View() tea.View                      { panic("in a render") }

func TestAPanicIsCaught(t *testing.T) {
	for _, what := range []string{"in an update", "in a render"} {
		quit := make(chan struct{})
		g := &guard{Model: explosive{}, quit: func() { close(quit) }}
		if what == "in a render" {
			g.View()
		} else {
			if m, _ := g.Update(nil); m == nil {
				t.Error("there is no model after a panic in an update")
			}
		}
		<-quit
		if err := g.crash(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("the panic %s is reported as %v", what, err)
		}
		g.View() // the last frame must not panic again
	}
}

func TestTitleThatIsFoundLater(t *testing.T) {
	m := screen(100, 30, false)
	m.o.Title = "WS…91c0"
	m.Update(titleMsg("Support \x1b[31m WS…91c0"))
	if first, _, _ := strings.Cut(m.screen(), "\n"); !strings.Contains(first, "Support �[31m WS…91c0   10 workers") {
		t.Errorf("the title is %q", first)
	}
}
