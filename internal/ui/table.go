package ui

import (
	"strings"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

// Table prints rows under headers on standard output. On a terminal the columns
// are aligned, and the widest are cut to its whole width; off a terminal the cells
// are whole and parted by tabs, without a header, for cut and awk.
func (s *Streams) Table(headers []string, rows [][]string) {
	if !s.OutTTY {
		for _, row := range rows {
			cells := make([]string, len(row))
			for i, cell := range row {
				cells[i] = Clean(cell)
			}
			s.Printf("%s\n", strings.Join(cells, "\t"))
		}
		return
	}
	widths := make([]int, len(headers))
	for i, h := range headers {
		widths[i] = ansi.StringWidth(h)
		for _, row := range rows {
			widths[i] = max(widths[i], ansi.StringWidth(Clean(row[i])))
		}
	}
	fit(widths, max(s.width(), 60)-2*(len(headers)-1)) // text is set in 100 columns at most, a table in all there are
	line := func(cells []string, role Role) {
		var b strings.Builder
		for i, cell := range cells {
			if i > 0 {
				b.WriteString("  ")
			}
			b.WriteString(s.Pad(cell, widths[i]))
		}
		s.Printf("%s\n", s.Paint(s.Out, role, strings.TrimRight(b.String(), " ")))
	}
	line(headers, Faint)
	for _, row := range rows {
		line(row, Plain)
	}
}

// fit narrows the widest column until all fit into total, but none below 8.
func fit(widths []int, total int) {
	for {
		sum, widest := 0, 0
		for i, w := range widths {
			sum += w
			if w > widths[widest] {
				widest = i
			}
		}
		if sum <= total || widths[widest] <= 8 {
			return
		}
		widths[widest]--
	}
}

// Clean makes text from elsewhere (a worker's name, a server's message) safe to
// print: control characters, among them the escape that starts a terminal
// sequence, become U+FFFD.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
