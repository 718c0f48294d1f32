package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/ui"
)

// pluginView is what `flexvc plugin deploy` and `rollback` print.
type pluginView interface {
	plan(*provision.PluginPlan)
	start()
	item(provision.SetupItem, error)
	end(*provision.PluginPlan, error)
}

var (
	_ pluginView = (*pluginText)(nil)
	_ pluginView = (*pluginJSON)(nil)
)

func newPluginView(opts *pluginOptions, cfg *config.Config, session *Session) pluginView {
	if opts.App.JSON() {
		return &pluginJSON{opts: opts, profile: cfg.Profile, account: session.AccountSID}
	}
	return &pluginText{opts: opts, ui: opts.App.UI, account: session.AccountSID}
}

type pluginText struct {
	opts    *pluginOptions
	ui      *ui.Streams
	account string
	lap     lap
}

func (v *pluginText) plan(p *provision.PluginPlan) {
	if !p.Pending() {
		v.ui.Printf("No changes: Flex already loads version %s. Next: %s\n", ui.Clean(p.Version), v.ui.Suggest(nextAfterInit))
		return
	}
	v.ui.Printf("In account %s flexvc will:\n\n", v.ui.SID(v.account))
	lines := make([]planLine, len(p.Items))
	for i, item := range p.Items {
		lines[i] = planLine{v.ui.Mark(v.ui.Out, signs[item.Action]), string(item.Kind), v.arrow(item.Name), item.Detail}
	}
	printPlanLines(v.ui, lines)
	tail := ""
	if v.opts.DryRun {
		tail = " Nothing was changed (--dry-run)."
	}
	v.ui.Printf("\nPlan: %d to add, %d to change, %d to remove.%s\n",
		count(p.Items, provision.SetupAdd), count(p.Items, provision.SetupChange), count(p.Items, provision.SetupRemove), tail)
}

// arrow is the name with an arrow that the terminal can draw.
func (v *pluginText) arrow(name string) string { return strings.ReplaceAll(name, "→", v.ui.Arrow()) }

func count(items []provision.SetupItem, action provision.SetupAction) (n int) {
	for _, item := range items {
		if item.Action == action {
			n++
		}
	}
	return n
}

func (v *pluginText) start() {
	v.lap = startLap(v.opts.App.Now)
	if v.ui.OutTTY {
		v.ui.Chat("\n")
	}
}

func (v *pluginText) item(item provision.SetupItem, err error) {
	took := v.lap.next()
	kind := v.ui.Pad(string(item.Kind), setupKindWidth)
	if err != nil {
		v.ui.Chat(" %s %s%s\n", v.ui.Mark(v.ui.Out, ui.Failed), kind, ui.Clean(v.arrow(item.Name)))
		return
	}
	seconds := fmt.Sprintf("%.1f s", took.Seconds())
	rest := pad(v.arrow(item.Name)) + v.ui.Pad(v.ui.SID(item.ID), 7) + "    " + seconds
	if v.ui.OutTTY && 3+setupKindWidth+ansi.StringWidth(rest) > v.ui.Width() {
		rest = ui.Clean(v.arrow(item.Name)) + "  " + v.ui.SID(item.ID) + "  " + seconds
	}
	v.ui.Chat(" %s %s%s\n", v.ui.Mark(v.ui.Out, ui.Done), kind, rest)
}

func (v *pluginText) end(p *provision.PluginPlan, err error) {
	if err != nil {
		v.ui.Note("what is done stays; run it again, and it goes on from here")
		return
	}
	what := "Flex loads version " + p.Version
	if p.Version == "" {
		what = "Flex no longer loads the plugin"
	}
	v.ui.Printf("\nDone: %s from the next start of each agent's Flex%s.\n", what, others(p.Others()))
	if v.opts.Rollback {
		v.ui.Chat("Next: flexvc plugin status     undo: flexvc plugin deploy\n")
		return
	}
	v.ui.Chat("Next: flexvc plugin status     undo: flexvc plugin rollback\n")
}

func others(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "; 1 other plugin stays"
	}
	return fmt.Sprintf("; %d other plugins stay", n)
}

// pluginJSON prints one object per line.
type pluginJSON struct {
	opts             *pluginOptions
	profile, account string
	lap              lap
}

func (v *pluginJSON) plan(p *provision.PluginPlan) {
	v.print(struct {
		V       int             `json:"v"`
		Event   string          `json:"event"`
		Profile string          `json:"profile"`
		Account string          `json:"account"`
		From    string          `json:"from,omitempty"`
		Version string          `json:"version,omitempty"`
		Pending bool            `json:"pending"`
		Others  int             `json:"other_plugins"`
		Items   []setupItemJSON `json:"items"`
	}{1, "plan", v.profile, v.account, p.From, p.Version, p.Pending(), p.Others(), setupJSON(p.Items)})
}

func (v *pluginJSON) start() { v.lap = startLap(v.opts.App.Now) }

func (v *pluginJSON) item(item provision.SetupItem, err error) {
	printItemJSON(v.opts.App, item, v.lap.next(), err)
}

func (v *pluginJSON) end(p *provision.PluginPlan, err error) {
	if err != nil {
		return
	}
	v.print(struct {
		V       int     `json:"v"`
		Event   string  `json:"event"`
		Version string  `json:"version,omitempty"`
		Seconds float64 `json:"seconds"`
	}{1, "summary", p.Version, seconds(v.lap.total())})
}

// print writes one line. When nobody reads any more, what is under way is
// finished all the same.
func (v *pluginJSON) print(event any) { _ = printJSON(v.opts.App.UI.Out, event) }

func printPluginStatus(s *ui.Streams, status provision.PluginStatus, ours bundleIs) {
	if status.Version == "" {
		s.Printf("Flex does not load the plugin%s. Next: %s\n", others(len(status.Others)), s.Suggest("flexvc plugin deploy"))
		return
	}
	row := func(name, format string, args ...any) {
		s.Printf("%s %s\n", s.Pad(name, 10), ui.Clean(fmt.Sprintf(format, args...)))
	}
	row("plugin", "%s %s, released %s", provision.PluginName, status.Version, status.Released.UTC().Format("2006-01-02 15:04 UTC"))
	row("bundle", "%s", map[bundleIs]string{
		bundleOurs:    "what this flexvc deploys with the present settings",
		bundleOther:   "not what this flexvc deploys with the present settings",
		bundleUnknown: "cannot be compared with what this flexvc deploys",
	}[ours])
	row("from", "%s", status.URL)
	before := status.Previous
	if before == "" {
		before = "Flex without the plugin"
	}
	row("before", "%s", before)
	row("others", "%s", ui.Plural(len(status.Others), "plugin"))
	next := "Next: flexvc workers enable --all --dry-run"
	if ours == bundleOther {
		next = "Next: flexvc plugin deploy"
	}
	s.Chat("\n%s     undo: flexvc plugin rollback\n", next)
}

func printPluginStatusJSON(s *ui.Streams, status provision.PluginStatus, ours bundleIs) error {
	type other struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	list := []other{}
	for _, p := range status.Others {
		list = append(list, other{p.UniqueName, p.Version})
	}
	released := ""
	if !status.Released.IsZero() {
		released = status.Released.UTC().Format(time.RFC3339)
	}
	return printJSON(s.Out, struct {
		V        int      `json:"v"`
		Name     string   `json:"name"`
		Version  string   `json:"version,omitempty"`
		Released string   `json:"released,omitempty"`
		Bundle   bundleIs `json:"bundle"`
		URL      string   `json:"url,omitempty"`
		Latest   string   `json:"latest,omitempty"`
		Previous string   `json:"previous,omitempty"`
		Service  string   `json:"service,omitempty"`
		Others   []other  `json:"other_plugins"`
	}{1, provision.PluginName, status.Version, released, ours, status.URL, status.Latest, status.Previous, status.ServiceSID, list})
}
