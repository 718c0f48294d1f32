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

// printJSON prints one object on one line.
func printJSON(w io.Writer, v any) error {
	return ui.JSON(w).Encode(v)
}

// lines writes JSON objects, one per line.
type lines struct{ enc *json.Encoder }

func (l *lines) line(v any) error { return l.enc.Encode(v) }

func newLines(w io.Writer) *lines { return &lines{ui.JSON(w)} }

// dash stands for nothing.
func dash(s *ui.Streams, text string) string {
	if text == "" {
		return s.ASCII("–", "-")
	}
	return text
}

func when(s *ui.Streams, t time.Time) string {
	if t.IsZero() {
		return dash(s, "")
	}
	return t.UTC().Format(time.RFC3339)
}

// quoteAll puts quotes around what a shell would split.
func quoteAll(args []string) []string {
	out := make([]string, len(args))
	for i, arg := range args {
		if strings.ContainsAny(arg, " \t'\"$&()*;<>?[]\\`{|}~#!") {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		out[i] = arg
	}
	return out
}

func percent(share float64) string { return strconv.FormatFloat(share, 'g', -1, 64) + "%" }

// lifetime prints "1 h", "25 min" or "90 s".
func lifetime(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}

const nextAfterInit = "flexvc workers enable --all --dry-run"
