package tui

import (
	"context"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
)

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
		m.flash = "only the agent can fix drift: reload Flex, then check the extension"
		return nil
	case it.State == fleet.StateNoPlugin:
		m.flash = "Flex does not load the plugin: flexvc plugin deploy"
		return nil
	case it.State != fleet.StateStale:
		m.flash = "only stale workers can be fixed here; this one is " + string(it.State)
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
		m.flash = "nothing to fix"
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
