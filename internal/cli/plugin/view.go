package plugin

import (
	"fmt"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/ui"
)

// pluginText is what `flexvc plugin deploy`, `rollback` and `remove` say to people.
func pluginText(s *ui.Streams, account string, o *Options, p *provision.PluginPlan, left fleet.Dependents) cli.PlanText {
	// The name has an arrow that the terminal can draw.
	name := func(item provision.Item) string { return strings.ReplaceAll(item.Name, "→", s.Arrow()) }
	what := "Flex loads version " + p.Version
	if p.Version == "" {
		what = "Flex no longer loads the plugin"
	}
	undo := "rollback"
	if o.back() {
		undo = "deploy"
	}
	nothing := fmt.Sprintf("No changes: Flex already loads version %s. Next: %s", ui.Clean(p.Version), s.Suggest(cli.NextAfterInit))
	if o.Remove {
		nothing = "No changes: Flex does not load the plugin."
	}
	var warnings []string
	switch {
	case left.None():
	case o.Force:
		warnings = append(warnings, depending(left)+": without the plugin their calls may go nowhere")
	case o.DryRun:
		warnings = append(warnings, depending(left)+": this would be refused; first flexvc workers disable --all --reset-contact-uri")
	}
	return cli.PlanText{
		Nothing:  nothing,
		Warnings: warnings,
		Heading:  fmt.Sprintf("In account %s flexvc will:", s.SID(account)),
		Airy:     true,
		Line:     func(item provision.Item) (string, string) { return name(item), item.Detail },
		Result: func(item provision.Item, took time.Duration, err error) string {
			if err != nil {
				return ui.Clean(name(item))
			}
			return cli.ResultLine(s, name(item), item.ID, cli.InSeconds(took))
		},
		Again: "run the command again",
		Done:  fmt.Sprintf("Done: %s when each agent next starts Flex%s.", what, others(p.Others())),
		Next:  "Next: flexvc plugin status     undo: flexvc plugin " + undo,
	}
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

type planEvent struct {
	cli.EventJSON
	Profile string         `json:"profile"`                   // its name
	Account string         `json:"account"`                   // SID, AC…
	From    string         `json:"from,omitempty"`            // version that Flex loads; absent: none
	Version string         `json:"version,omitempty"`         // that it is to load; absent: none
	Pending bool           `json:"pending"`                   // whether anything is to be done
	Others  int            `json:"other_plugins"`             // in the release, kept as they are
	Enabled int            `json:"workers_enabled,omitempty"` // that would be left without the plugin
	Stale   int            `json:"workers_stale,omitempty"`   // disabled, but on the extension's address until the plugin takes them off
	Items   []cli.ItemJSON `json:"items"`                     // in order
}

type summaryEvent struct {
	cli.EventJSON
	Version string  `json:"version,omitempty"` // that Flex loads from now on; absent: none
	Seconds float64 `json:"seconds"`           // all of it took, to the millisecond
}

type statusJSON struct {
	V       int    `json:"v"`                 // version of the format
	Name    string `json:"name"`              // of the plugin
	Version string `json:"version,omitempty"` // that Flex loads; absent: none
	// when, UTC
	Released string `json:"released,omitempty" jsonschema:"format=date-time"`
	// against what this flexvc would deploy
	Bundle   bundleIs    `json:"bundle" jsonschema:"enum=current,enum=different,enum=unknown"`
	URL      string      `json:"url,omitempty"`      // of the bundle
	Latest   string      `json:"latest,omitempty"`   // version registered last
	Previous string      `json:"previous,omitempty"` // version that a rollback releases; absent: none
	Service  string      `json:"service,omitempty"`  // SID of what hosts the bundle, ZS…
	Others   []otherJSON `json:"other_plugins"`      // in the same release
}

type otherJSON struct {
	Name    string `json:"name"`    // unique name
	Version string `json:"version"` // released
}

// Shapes are what flexvc plugin prints.
func Shapes() []cli.Shape {
	return append(cli.PlannedShapes(planEvent{}, summaryEvent{}, "plugin deploy", "plugin rollback", "plugin remove"),
		cli.Shape{Commands: []string{"plugin status"}, Name: "status", Of: statusJSON{}, When: "Alone."})
}

// pluginJSON is what they print for programs.
func pluginJSON(profile, account string, p *provision.PluginPlan, left fleet.Dependents) cli.PlanJSON {
	return cli.PlanJSON{
		Plan: planEvent{cli.Event("plan"), profile, account, p.From, p.Version, p.Pending(), p.Others(), left.Enabled, left.Stale, cli.PlanItems(&p.Plan)},
		Summary: func(took time.Duration) any {
			return summaryEvent{cli.Event("summary"), p.Version, cli.Seconds(took)}
		},
	}
}

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
		bundleOurs:    "same as this flexvc would deploy with the current settings",
		bundleOther:   "differs from what this flexvc would deploy with the current settings",
		bundleUnknown: "cannot be compared with what this flexvc would deploy",
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
	list := []otherJSON{}
	for _, p := range status.Others {
		list = append(list, otherJSON{p.UniqueName, p.Version})
	}
	released := ""
	if !status.Released.IsZero() {
		released = status.Released.UTC().Format(time.RFC3339)
	}
	return cli.PrintJSON(s.Out, statusJSON{1, provision.PluginName, status.Version, released, ours, status.URL, status.Latest, status.Previous, status.ServiceSID, list})
}
