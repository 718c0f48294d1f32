package tui

import (
	"charm.land/lipgloss/v2"

	"github.com/flexvc/flexvc/internal/provision"
)

// styles are what the roles on the screen look like. The terminal's own palette
// decides, but yellow cannot be read on a light background.
type styles struct {
	title, faint, cursor, alarm, input lipgloss.Style
	states                             map[provision.State]lipgloss.Style
}

func newStyles(color, dark bool) *styles {
	plain := lipgloss.NewStyle()
	s := &styles{plain, plain, plain, plain, plain, map[provision.State]lipgloss.Style{}}
	if !color {
		return s
	}
	choose := lipgloss.LightDark(dark)
	warning := plain.Foreground(choose(lipgloss.Magenta, lipgloss.Yellow))
	fail := plain.Foreground(choose(lipgloss.Red, lipgloss.BrightRed))
	s.title, s.faint, s.cursor = plain.Bold(true), plain.Faint(true), plain.Bold(true).Reverse(true)
	s.alarm, s.input = fail.Bold(true), plain.Bold(true)
	s.states = map[provision.State]lipgloss.Style{
		provision.StateOK:      plain.Foreground(choose(lipgloss.Green, lipgloss.BrightGreen)),
		provision.StatePending: plain.Foreground(choose(lipgloss.Blue, lipgloss.Cyan)),
		provision.StateDrift:   fail, provision.StateStale: fail,
		provision.StateOffline: warning, provision.StateForeign: warning, provision.StateInvalid: fail,
	}
	return s
}
