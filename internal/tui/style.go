package tui

import (
	"github.com/charmbracelet/x/ansi"

	"github.com/flexvc/flexvc/internal/fleet"
)

// style is how a role looks; the zero value is plain.
type style struct{ sgr ansi.Style }

// Render wraps text, unless there is nothing to show by it.
func (s style) Render(text string) string {
	if len(s.sgr) == 0 || text == "" {
		return text
	}
	return s.sgr.Styled(text)
}

// styles are what the roles on the screen look like. The terminal's own palette
// decides, but its bright colours and its yellow cannot be read on white.
type styles struct {
	title, faint, cursor, alarm, input style
	states                             map[fleet.State]style
}

func newStyles(color, dark bool) *styles {
	s := &styles{states: map[fleet.State]style{}}
	if !color {
		return s
	}
	choose := func(light, onDark ansi.BasicColor) style {
		if dark {
			light = onDark
		}
		return style{ansi.Style{}.ForegroundColor(light)}
	}
	warning, fail := choose(ansi.Magenta, ansi.Yellow), choose(ansi.Red, ansi.BrightRed)
	s.title, s.faint, s.input = style{ansi.Style{}.Bold()}, style{ansi.Style{}.Faint()}, style{ansi.Style{}.Bold()}
	s.cursor, s.alarm = style{ansi.Style{}.Bold().Reverse(true)}, style{fail.sgr.Bold()}
	s.states = map[fleet.State]style{
		fleet.StateOK:      choose(ansi.Green, ansi.BrightGreen),
		fleet.StatePending: choose(ansi.Blue, ansi.Cyan),
		fleet.StateDrift:   fail,
		fleet.StateStale:   fail,
		fleet.StateInvalid: fail,
		fleet.StateOffline: warning,
		fleet.StateForeign: warning,

		fleet.StateNoPlugin: fail,
	}
	return s
}
