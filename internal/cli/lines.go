package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/ui"
)

// PrintJSON prints one object on one line.
func PrintJSON(w io.Writer, v any) error {
	return ui.JSON(w).Encode(v)
}

// Lines writes JSON objects, one per line.
type Lines struct{ enc *json.Encoder }

func (l *Lines) Line(v any) error { return l.enc.Encode(v) }

func NewLines(w io.Writer) *Lines { return &Lines{ui.JSON(w)} }

// Shape is a line that commands print with -o json. The comments of its type's
// fields are published with it, in docs/schemas.
type Shape struct {
	Commands []string // "workers enable", without "flexvc"
	Name     string   // what "event" says, or what the line is when it has no "event"
	Of       any      // of the line's type
	When     string   // it is printed, a sentence
}

// PlannedShapes are what Planned prints; a plan and a summary are the command's own.
func PlannedShapes(plan, summary any, commands ...string) []Shape {
	return []Shape{
		{commands, "plan", plan, "First, unless the command line is refused: what would be done, or is about to be."},
		{commands, "item", itemEvent{}, "Once for each item that was done, and for one that failed, which is the last. None with --dry-run."},
		{commands, "summary", summary, "Last, when all items were done. None when there was nothing to do, with --dry-run, or after a failure."},
	}
}

// Dash stands for nothing.
func Dash(s *ui.Streams, text string) string {
	if text == "" {
		return s.ASCII("–", "-")
	}
	return text
}

func When(s *ui.Streams, t time.Time) string {
	if t.IsZero() {
		return Dash(s, "")
	}
	return t.UTC().Format(time.RFC3339)
}

// QuoteAll puts quotes around what a shell would split.
func QuoteAll(args []string) []string {
	out := make([]string, len(args))
	for i, arg := range args {
		if strings.ContainsAny(arg, " \t'\"$&()*;<>?[]\\`{|}~#!") {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		out[i] = arg
	}
	return out
}

func Percent(share float64) string { return strconv.FormatFloat(share, 'g', -1, 64) + "%" }

// Lifetime prints "1 h", "25 min" or "90 s".
func Lifetime(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}

const NextAfterInit = "flexvc workers enable --all --dry-run"
