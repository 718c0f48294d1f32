package tui

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// pictures are the scenes that docs/pictures shows, and how each is described to
// who cannot see it.
var pictures = []struct{ scene, title string }{
	{"live", "flexvc watch: ten workers, the worst first; carol drifts, erin is stale"},
	{"details", "flexvc watch: what happened to carol since the watch began"},
	{"confirm", "flexvc watch: the exact change that repairs erin, and the question"},
	{"lost", "flexvc watch: the connection is lost, the rows stay and say how old they are"},
}

// TestPictures draws the pictures from the screens themselves, so that they
// cannot show what the program does not.
func TestPictures(t *testing.T) {
	for _, p := range pictures {
		m := screen(100, 20, true)
		scenes[p.scene](m)
		got := svg(p.title, m.screen(), 100, 20)
		path := filepath.Join("..", "..", "docs", "pictures", "watch-"+p.scene+".svg")
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v; make pictures draws it", err)
		}
		if string(want) != got {
			t.Errorf("%s is not what the screen looks like; make pictures draws it anew", path)
		}
	}
}

const (
	cellWidth  = 8.4
	cellHeight = 18
	margin     = 14
)

// palette is what a dark terminal makes of the sixteen colours.
var palette = map[int]string{
	31: "#e06c75", 32: "#98c379", 33: "#e5c07b", 34: "#61afef", 35: "#c678dd", 36: "#56b6c2",
	91: "#ff7b86", 92: "#a8d389", 93: "#f5d08b", 96: "#66c6d2",
}

// svg draws text with its SGR sequences. Each word is placed by
// itself, so that fonts with wide letters do not shift the rest.
func svg(title, text string, columns, rows int) string {
	width, height := float64(columns)*cellWidth+2*margin, rows*cellHeight+2*margin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" role="img" aria-label="%s">`+"\n", width, height, html.EscapeString(title))
	fmt.Fprintf(&b, "<title>%s</title>\n", html.EscapeString(title))
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="8" fill="#1e2127"/>`+"\n")
	fmt.Fprintf(&b, `<g font-family="ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="14" fill="#d7dae0">`+"\n")
	for y, line := range strings.Split(text, "\n") {
		x, style, reverse := 0, "", false
		for line != "" {
			if rest, ok := strings.CutPrefix(line, "\x1b["); ok {
				codes, after, _ := strings.Cut(rest, "m")
				style, reverse = look(codes)
				line = after
				continue
			}
			run, after := line, ""
			if at := strings.IndexByte(line, '\x1b'); at >= 0 {
				run, after = line[:at], line[at:]
			}
			line = after
			if reverse {
				fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="#d7dae0"/>`+"\n",
					margin+float64(x)*cellWidth, margin+y*cellHeight, float64(ansi.StringWidth(run))*cellWidth, cellHeight)
			}
			// Word by word: SVG takes spaces for one.
			for word := range strings.SplitAfterSeq(run, " ") {
				if text := strings.TrimSpace(word); text != "" {
					fmt.Fprintf(&b, `<text x="%.1f" y="%d" textLength="%.1f"%s>%s</text>`+"\n", margin+float64(x)*cellWidth,
						margin+y*cellHeight+14, float64(ansi.StringWidth(text))*cellWidth, style, html.EscapeString(text))
				}
				x += ansi.StringWidth(word)
			}
		}
	}
	b.WriteString("</g>\n</svg>\n")
	return b.String()
}

// look is the SVG for SGR codes, which replace what was before.
func look(codes string) (style string, reverse bool) {
	for code := range strings.SplitSeq(codes, ";") {
		n, _ := strconv.Atoi(code)
		switch {
		case n == 1:
			style += ` font-weight="bold"`
		case n == 2:
			style += ` opacity="0.6"`
		case n == 7:
			reverse = true
			style += ` fill="#1e2127"`
		case palette[n] != "":
			style += ` fill="` + palette[n] + `"`
		}
	}
	return style, reverse
}
