package cli

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/ui"
)

// initView is what `flexvc init` prints.
type initView interface {
	plan(*provision.SetupPlan)       // what would be done, if anything
	start()                          // it is done from here on
	item(provision.SetupItem, error) // one item is done, or ended the run
	end(*provision.SetupPlan, error) // all are done, or one ended the run
}

var (
	_ initView = (*initText)(nil)
	_ initView = (*initJSON)(nil)
)

func newInitView(opts *initOptions, cfg *config.Config, session *Session, version string) initView {
	if opts.App.JSON() {
		return &initJSON{opts: opts, cfg: cfg, session: session}
	}
	return &initText{opts: opts, ui: opts.App.UI, cfg: cfg, session: session, version: version}
}

// lap measures from item to item.
type lap struct {
	now          func() time.Time
	began, ended time.Time
}

func startLap(now func() time.Time) lap {
	t := now()
	return lap{now, t, t}
}

func (l *lap) next() time.Duration {
	last := l.ended
	l.ended = l.now()
	return l.ended.Sub(last)
}

func (l *lap) total() time.Duration { return l.ended.Sub(l.began) }

// initText is the view for people.
type initText struct {
	opts    *initOptions
	ui      *ui.Streams
	cfg     *config.Config
	session *Session
	version string
	lap     lap
}

// Columns of a plan; the sign is in front.
const (
	setupKindWidth = 14
	setupNameWidth = 27
	setupGap       = 3
)

func (v *initText) nothing(p *provision.SetupPlan) {
	v.ui.Printf("No changes: %s already matches. Next: %s\n", v.ui.SID(p.Workspace.SID), v.ui.Suggest("flexvc doctor"))
}

func (v *initText) plan(p *provision.SetupPlan) {
	if !p.Pending() {
		v.nothing(p)
		return
	}
	answer := "ok"
	if v.version != "" {
		answer = "ok, Flex UI " + v.version
	}
	v.ui.Note("reading account %s (profile %q) %s %s", v.ui.SID(v.session.AccountSID), v.cfg.Profile, v.ui.Ellipsis(), ui.Clean(answer))
	if v.ui.OutTTY {
		v.ui.Printf("\n")
	}
	v.ui.Printf("In %s (%s) flexvc will:\n\n", ui.Clean(p.Workspace.FriendlyName), v.ui.SID(p.Workspace.SID))
	lines := make([]planLine, len(p.Items))
	for i, item := range p.Items {
		lines[i] = planLine{v.ui.Mark(v.ui.Out, signs[item.Action]), string(item.Kind), item.Name, v.shorten(item.Detail)}
	}
	printPlanLines(v.ui, lines)
	tail := ""
	if v.opts.DryRun {
		tail = " Nothing was changed (--dry-run)."
	}
	v.ui.Printf("\nPlan: %d to add, %d to change, %d to remove.%s\n",
		p.Count(provision.SetupAdd), p.Count(provision.SetupChange), p.Count(provision.SetupRemove), tail)
}

var signs = map[provision.SetupAction]ui.Sign{
	provision.SetupAdd:    ui.Add,
	provision.SetupChange: ui.Modify,
	provision.SetupRemove: ui.Remove,
	provision.SetupSame:   ui.Same,
}

type planLine struct{ sign, kind, name, detail string }

// printPlanLines prints a plan: one line per item, or, on a terminal too narrow
// for one of them, two. Nothing is ever cut: an ID must be whole to be of use.
func printPlanLines(s *ui.Streams, lines []planLine) {
	oneLine := func(l planLine) string {
		return s.Pad(l.kind, setupKindWidth) + pad(l.name) + ui.Clean(l.detail)
	}
	widest, longest := 0, 0
	for _, l := range lines {
		widest = max(widest, 4+ansi.StringWidth(oneLine(l)))
		longest = max(longest, ansi.StringWidth(l.detail))
	}
	wide := !s.OutTTY || widest <= s.Width()
	indent := strings.Repeat(" ", max(4, min(4+setupKindWidth, s.Width()-longest)))
	for _, l := range lines {
		if wide || l.detail == "" {
			s.Printf("  %s %s\n", l.sign, strings.TrimRight(oneLine(l), " "))
			continue
		}
		s.Printf("  %s %s%s\n%s%s\n", l.sign, s.Pad(l.kind, setupKindWidth), ui.Clean(l.name), indent, ui.Clean(l.detail))
	}
}

// pad fills the name column; a long name keeps the gap and moves the rest.
func pad(name string) string {
	name = ui.Clean(name)
	return name + strings.Repeat(" ", max(0, setupNameWidth-ansi.StringWidth(name))+setupGap)
}

var wholeSID = regexp.MustCompile(`\b[A-Z]{2}[0-9a-fA-F]{32}\b`)

func (v *initText) shorten(text string) string {
	return wholeSID.ReplaceAllStringFunc(text, v.ui.SID)
}

func (v *initText) start() {
	v.lap = startLap(v.opts.App.Now)
	if v.ui.OutTTY {
		v.ui.Chat("\n")
	}
}

func (v *initText) item(item provision.SetupItem, err error) {
	took := v.lap.next()
	if err != nil {
		v.ui.Chat(" %s %s%s\n", v.ui.Mark(v.ui.Out, ui.Failed), v.ui.Pad(string(item.Kind), setupKindWidth), ui.Clean(item.Name))
		return
	}
	kind := v.ui.Pad(string(item.Kind), setupKindWidth)
	rest := item.Name
	switch item.Kind {
	case provision.SetupActivity, provision.SetupKey:
		seconds := fmt.Sprintf("%.1f s", took.Seconds())
		if item.Action == provision.SetupRemove {
			seconds = "removed"
		}
		rest = pad(item.Name) + v.ui.Pad(v.ui.SID(item.ID), 7) + "    " + seconds
		if v.ui.OutTTY && 3+setupKindWidth+ansi.StringWidth(rest) > v.ui.Width() {
			rest = ui.Clean(item.Name) + "  " + v.ui.SID(item.ID) + "  " + seconds
		}
	case provision.SetupSigningKey:
		rest = item.ID
	}
	v.ui.Chat(" %s %s%s\n", v.ui.Mark(v.ui.Out, ui.Done), kind, rest)
}

func (v *initText) end(p *provision.SetupPlan, err error) {
	if err != nil {
		v.ui.Note("what is done stays; run flexvc init again, and it goes on from here")
		return
	}
	var parts []string
	for _, part := range []struct {
		action provision.SetupAction
		word   string
	}{{provision.SetupAdd, "added"}, {provision.SetupChange, "changed"}, {provision.SetupRemove, "removed"}} {
		if n := p.Count(part.action); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, part.word))
		}
	}
	v.ui.Printf("\nDone: %s.\n", strings.Join(parts, ", "))
	v.ui.Chat("Next: flexvc serve, then %s\n", nextAfterInit)
}

const nextAfterInit = "flexvc workers enable --all --dry-run"

// initJSON is the view for programs: one object per line.
type initJSON struct {
	opts    *initOptions
	cfg     *config.Config
	session *Session
	lap     lap
}

type setupItemJSON struct {
	Kind   provision.SetupKind   `json:"kind"`
	Action provision.SetupAction `json:"action"`
	Name   string                `json:"name"`
	ID     string                `json:"id,omitempty"`
	Detail string                `json:"detail,omitempty"`
}

func (v *initJSON) plan(p *provision.SetupPlan) {
	v.print(struct {
		V             int             `json:"v"`
		Event         string          `json:"event"`
		Profile       string          `json:"profile"`
		Account       string          `json:"account"`
		Workspace     string          `json:"workspace"`
		WorkspaceName string          `json:"workspace_name"`
		Add           int             `json:"add"`
		Change        int             `json:"change"`
		Remove        int             `json:"remove"`
		Same          int             `json:"same"`
		Items         []setupItemJSON `json:"items"`
	}{1, "plan", v.cfg.Profile, v.session.AccountSID, p.Workspace.SID, p.Workspace.FriendlyName,
		p.Count(provision.SetupAdd), p.Count(provision.SetupChange), p.Count(provision.SetupRemove), p.Count(provision.SetupSame), setupJSON(p.Items)})
}

func (v *initJSON) start() { v.lap = startLap(v.opts.App.Now) }

func (v *initJSON) item(item provision.SetupItem, err error) {
	printItemJSON(v.opts.App, item, v.lap.next(), err)
}

func (v *initJSON) end(p *provision.SetupPlan, err error) {
	if err != nil {
		return
	}
	v.print(struct {
		V       int     `json:"v"`
		Event   string  `json:"event"`
		Added   int     `json:"added"`
		Changed int     `json:"changed"`
		Removed int     `json:"removed"`
		Seconds float64 `json:"seconds"`
	}{1, "summary", p.Count(provision.SetupAdd), p.Count(provision.SetupChange), p.Count(provision.SetupRemove), seconds(v.lap.total())})
}

// print writes one line. When nobody reads any more, what is being set up is
// finished all the same.
func (v *initJSON) print(event any) { _ = printJSON(v.opts.App.UI.Out, event) }

// seconds is a duration in seconds, to the millisecond.
func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }
