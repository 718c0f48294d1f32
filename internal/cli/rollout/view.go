package rollout

import (
	"fmt"
	"time"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/rollout"
	"github.com/flexvc/flexvc/internal/ui"
)

// Shapes are what flexvc rollout prints.
func Shapes() []cli.Shape {
	return []cli.Shape{{Commands: []string{"rollout status"}, Name: "status", Of: rollout.Status{}, When: "Alone."}}
}

func printStatus(app *cli.App, s rollout.Status) {
	out := app.UI
	offered := "all browsers"
	if s.Stage < 100 {
		offered = cli.Percent(s.Stage) + " of browsers"
	}
	out.Printf("%s %s, offered to %s since %s\n", ui.Clean(s.ID), ui.Clean(s.Version), offered, s.Since.Local().Format("2006-01-02 15:04"))
	if s.Base != "" {
		out.Printf("the others are offered %s\n", ui.Clean(s.Base))
	}
	if s.NotServed != "" {
		out.Printf(" %s %s\n", out.Mark(out.Out, ui.Failed), ui.Clean(s.NotServed))
	}
	if s.Foreign > 0 {
		out.Printf(" %s %s for another extension: a policy has a different ID\n", out.Mark(out.Out, ui.Alert), ui.Plural(int(s.Foreign), "request"))
	}
	out.Chat("\n")
	if s.Browsers == 0 {
		out.Printf("No browser has checked yet. Browsers check at start and every five hours.\n")
		return
	}
	rows := make([][]string, len(s.Fleet))
	for i, v := range s.Fleet {
		name := v.Version
		if name == "" {
			name = "installing"
		}
		rows[i] = []string{ui.Clean(name), fmt.Sprint(v.Browsers), fmt.Sprintf("%.0f%%", 100*float64(v.Browsers)/float64(s.Browsers)), ago(app.Now().Sub(v.Last))}
	}
	out.Table([]string{"VERSION", "BROWSERS", "SHARE", "LAST ASKED"}, rows)
	out.Chat("\n%s asked in the last %s", ui.Plural(s.Browsers, "browser"), cli.Lifetime(time.Duration(s.Window)*time.Second))
	if s.Dropped > 0 {
		out.Chat("; at least: %d more exceeded the table's size", s.Dropped)
	}
	out.Chat("\n")
}

// ago prints "12 s ago", "5 min ago" or "3 h ago".
func ago(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s ago", max(d, 0).Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min ago", d.Minutes())
	}
	return fmt.Sprintf("%.0f h ago", d.Hours())
}
