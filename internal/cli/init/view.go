package initcmd

import (
	"fmt"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/ui"
)

// initText is what `flexvc init` says to people. version is Flex UI's, empty
// when that is not known.
func initText(s *ui.Streams, cfg *config.Config, session *cli.Session, version string, p *provision.AccountPlan) cli.PlanText {
	workspace := s.SID(p.Workspace.SID)
	answer := "ok"
	if version != "" {
		answer = "ok, Flex UI " + version
	}
	var changes []string
	for _, part := range []struct {
		action provision.Action
		word   string
	}{{provision.Add, "added"}, {provision.Change, "changed"}, {provision.Remove, "removed"}} {
		if n := p.Count(part.action); n > 0 {
			changes = append(changes, fmt.Sprintf("%d %s", n, part.word))
		}
	}
	next := "Next: flexvc serve, flexvc plugin deploy, then " + cli.NextAfterInit
	if p.TokenURLChanged() {
		next = "Next: flexvc plugin deploy, flexvc pack --policy DIR, and restart flexvc serve: they use the token URL"
	}
	return cli.PlanText{
		Nothing: fmt.Sprintf("No changes: %s already matches. Next: %s", workspace, s.Suggest("flexvc doctor")),
		Reading: fmt.Sprintf("reading account %s (profile %q) %s %s", s.SID(session.AccountSID), cfg.Profile, s.Ellipsis(), ui.Clean(answer)),
		Heading: fmt.Sprintf("In %s (%s) flexvc will:", ui.Clean(p.Workspace.FriendlyName), workspace),
		Airy:    true,
		Line: func(item provision.Item) (name, detail string) {
			return item.Name, cli.WholeSID.ReplaceAllStringFunc(item.Detail, s.SID)
		},
		Result: func(item provision.Item, took time.Duration, err error) string {
			switch {
			case err != nil || item.Kind == provision.KindSettings:
				return ui.Clean(item.Name)
			case item.Kind == provision.KindSigningKey:
				return item.ID
			case item.Action == provision.Remove:
				return cli.ResultLine(s, item.Name, item.ID, "removed")
			}
			return cli.ResultLine(s, item.Name, item.ID, cli.InSeconds(took))
		},
		Again: "run flexvc init again",
		Done:  fmt.Sprintf("Done: %s.", strings.Join(changes, ", ")),
		Next:  next,
	}
}

type planEvent struct {
	cli.EventJSON
	Profile       string `json:"profile"`        // its name
	Account       string `json:"account"`        // SID, AC…
	Workspace     string `json:"workspace"`      // SID, WS…
	WorkspaceName string `json:"workspace_name"` // friendly name
	cli.CountsJSON
	Items []cli.ItemJSON `json:"items"` // in order
}

// Shapes are what flexvc init prints.
func Shapes() []cli.Shape { return cli.PlannedShapes(planEvent{}, cli.SummaryJSON{}, "init") }

// initJSON is what it prints for programs.
func initJSON(cfg *config.Config, session *cli.Session, p *provision.AccountPlan) cli.PlanJSON {
	return cli.PlanJSON{
		Plan:    planEvent{cli.Event("plan"), cfg.Profile, session.AccountSID, p.Workspace.SID, p.Workspace.FriendlyName, cli.PlanCounts(&p.Plan), cli.PlanItems(&p.Plan)},
		Summary: cli.Summarize(&p.Plan),
	}
}
