package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/ui"
)

// initText is what `flexvc init` says to people. version is Flex UI's, empty
// when that is not known.
func initText(s *ui.Streams, cfg *config.Config, session *Session, version string, p *provision.AccountPlan) planText {
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
	return planText{
		nothing: fmt.Sprintf("No changes: %s already matches. Next: %s", workspace, s.Suggest("flexvc doctor")),
		reading: fmt.Sprintf("reading account %s (profile %q) %s %s", s.SID(session.AccountSID), cfg.Profile, s.Ellipsis(), ui.Clean(answer)),
		heading: fmt.Sprintf("In %s (%s) flexvc will:", ui.Clean(p.Workspace.FriendlyName), workspace),
		airy:    true,
		line: func(item provision.Item) (name, detail string) {
			return item.Name, wholeSID.ReplaceAllStringFunc(item.Detail, s.SID)
		},
		result: func(item provision.Item, took time.Duration, err error) string {
			switch {
			case err != nil || item.Kind == provision.KindSettings:
				return ui.Clean(item.Name)
			case item.Kind == provision.KindSigningKey:
				return item.ID
			case item.Action == provision.Remove:
				return resultLine(s, item.Name, item.ID, "removed")
			}
			return resultLine(s, item.Name, item.ID, inSeconds(took))
		},
		again: "run flexvc init again",
		done:  fmt.Sprintf("Done: %s.", strings.Join(changes, ", ")),
		next:  "Next: flexvc serve, then " + nextAfterInit,
	}
}

// initJSON is what it prints for programs.
func initJSON(cfg *config.Config, session *Session, p *provision.AccountPlan) planJSON {
	return planJSON{
		plan: struct {
			eventJSON
			Profile       string `json:"profile"`
			Account       string `json:"account"`
			Workspace     string `json:"workspace"`
			WorkspaceName string `json:"workspace_name"`
			countsJSON
			Items []itemJSON `json:"items"`
		}{eventJSON{1, "plan"}, cfg.Profile, session.AccountSID, p.Workspace.SID, p.Workspace.FriendlyName, planCounts(&p.Plan), planItems(&p.Plan)},
		summary: func(took time.Duration) any {
			return struct {
				eventJSON
				changesJSON
				Seconds float64 `json:"seconds"`
			}{eventJSON{1, "summary"}, planChanges(&p.Plan), seconds(took)}
		},
	}
}
