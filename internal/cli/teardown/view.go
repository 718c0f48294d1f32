package teardown

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/ui"
)

// text is what `flexvc teardown` says to people.
func text(s *ui.Streams, profile, account string, session *cli.Session, p *provision.TeardownPlan) cli.PlanText {
	where := s.SID(session.AccountSID)
	if account != "" {
		where = fmt.Sprintf("%s (%s)", ui.Clean(account), where)
	}
	t := cli.PlanText{
		Nothing: fmt.Sprintf("No changes: nothing of flexvc's is left in account %s.", where),
		Heading: fmt.Sprintf("In account %s, workspace %s, profile %q, flexvc will:", where, s.SID(session.WorkspaceSID), profile),
		Airy:    true,
		Line: func(item provision.Item) (name, detail string) {
			return strings.ReplaceAll(item.Name, "→", s.Arrow()), cli.WholeSID.ReplaceAllStringFunc(item.Detail, s.SID)
		},
		Result: func(item provision.Item, took time.Duration, err error) string {
			if err != nil {
				return ui.Clean(item.Name)
			}
			done := map[provision.Action]string{provision.Remove: "removed", provision.Change: "changed"}[item.Action]
			return cli.ResultLine(s, item.Name, item.ID, done+", "+cli.InSeconds(took))
		},
		Again: "run flexvc teardown again",
		Done:  fmt.Sprintf("Done: nothing of flexvc's is left in account %s%s.", where, cmp.Or(map[bool]string{true: ", but for what is named above"}[len(p.Kept) > 0])),
		Next:  "Next: stop flexvc serve, and remove the extension's policy. To return: flexvc init",
	}
	for _, kept := range p.Kept {
		t.Warnings = append(t.Warnings, "kept: "+cli.Finding(s, kept))
	}
	return t
}

type planEvent struct {
	cli.EventJSON
	Profile     string `json:"profile"`                // its name
	Account     string `json:"account"`                // SID, AC…
	AccountName string `json:"account_name,omitempty"` // absent where the credentials may not read it
	Workspace   string `json:"workspace"`              // SID, WS…
	cli.CountsJSON
	Items []cli.ItemJSON `json:"items"`          // in order
	Kept  []string       `json:"kept,omitempty"` // what is not removed, and why
}

// Shapes are what flexvc teardown prints.
func Shapes() []cli.Shape { return cli.PlannedShapes(planEvent{}, cli.SummaryJSON{}, "teardown") }

// jsonOf is what it prints for programs.
func jsonOf(profile, account string, session *cli.Session, p *provision.TeardownPlan) cli.PlanJSON {
	return cli.PlanJSON{
		Plan:    planEvent{cli.Event("plan"), profile, session.AccountSID, account, session.WorkspaceSID, cli.PlanCounts(&p.Plan), cli.PlanItems(&p.Plan), p.Kept},
		Summary: cli.Summarize(&p.Plan),
	}
}
