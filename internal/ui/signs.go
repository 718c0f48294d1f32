package ui

import (
	"io"
	"strings"

	"github.com/charmbracelet/x/ansi"
	"github.com/flexvc/flexvc/internal/twilio"
)

// Role is what a piece of text means; the terminal's own palette decides how
// it looks.
type Role int

// The roles.
const (
	Plain   Role = iota
	Success      // done, added
	Warning      // needs a look
	Failure      // failed, removed
	Change       // will be changed
	Faint        // less important
	Strong       // headings, the one thing to read
)

var styles = map[Role]ansi.Style{
	Success: ansi.Style{}.ForegroundColor(ansi.Green),
	Warning: ansi.Style{}.ForegroundColor(ansi.Yellow),
	Failure: ansi.Style{}.ForegroundColor(ansi.Red),
	Change:  ansi.Style{}.ForegroundColor(ansi.Cyan),
	Faint:   ansi.Style{}.Faint(),
	Strong:  ansi.Style{}.Bold(),
}

// Paint colours text for w, which is s.Out or s.Err, when w shows colour.
func (s *Streams) Paint(w io.Writer, role Role, text string) string {
	tty := (w == s.Out && s.OutTTY) || (w == s.Err && s.ErrTTY)
	style, ok := styles[role]
	if !ok || text == "" || !s.color || !(tty || s.force) {
		return text
	}
	return style.Styled(text)
}

// Sign is a mark in front of a line. Each has an ASCII form for TERM=dumb.
type Sign struct {
	unicode, ascii string
	role           Role
}

// The signs of states and of plans.
var (
	Done    = Sign{"✓", "ok", Success}
	Alert   = Sign{"!", "!", Warning}
	Failed  = Sign{"✗", "x", Failure}
	Skipped = Sign{"–", "-", Faint}

	Add    = Sign{"+", "+", Success}
	Modify = Sign{"~", "~", Change}
	Remove = Sign{"-", "-", Failure}
	Same   = Sign{"=", "=", Faint}
)

// Mark renders a sign for w.
func (s *Streams) Mark(w io.Writer, sign Sign) string {
	text := sign.unicode
	if s.ascii {
		text = sign.ascii
	}
	return s.Paint(w, sign.role, text)
}

// Ellipsis is "…", or "..." under TERM=dumb.
func (s *Streams) Ellipsis() string { return s.ASCII("…", "...") }

// Arrow is "→", or "->" under TERM=dumb.
func (s *Streams) Arrow() string { return s.ASCII("→", "->") }

// ASCII returns text, or its replacement under TERM=dumb.
func (s *Streams) ASCII(text, replacement string) string {
	if s.ascii {
		return replacement
	}
	return text
}

// SID shortens a Twilio SID for people: type and last four, "WS…91c0". Anything
// that is no SID stays as it is.
func (s *Streams) SID(sid string) string {
	short := twilio.Short(sid)
	if short == sid {
		return sid
	}
	return strings.Replace(short, "…", s.Ellipsis(), 1)
}

// Pad cuts or fills text to width columns, counting what the terminal shows.
func (s *Streams) Pad(text string, width int) string {
	text = s.Cut(text, width)
	for n := ansi.StringWidth(text); n < width; n++ {
		text += " "
	}
	return text
}

// Columns is how many columns text takes on a terminal.
func Columns(text string) int { return ansi.StringWidth(Clean(text)) }

// Cut shortens text to width columns with an ellipsis.
func (s *Streams) Cut(text string, width int) string {
	return ansi.Truncate(Clean(text), width, s.Ellipsis())
}

// Colored reports whether results on standard output may have colour.
func (s *Streams) Colored() bool { return s.color && (s.OutTTY || s.force) }

// Screen reports whether a program may take over the whole terminal: both ends
// are terminals, and TERM knows how.
func (s *Streams) Screen() bool { return s.InTTY && s.OutTTY && !s.ascii }
