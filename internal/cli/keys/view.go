package keys

import (
	"fmt"
	"time"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/ui"
)

// text is what `flexvc keys rotate` says to people.
func text(s *ui.Streams, session *cli.Session, p *provision.RotationPlan) cli.PlanText {
	t := cli.PlanText{
		Nothing: "No changes: the former key may still have signed a token that is alive.",
		Heading: fmt.Sprintf("In account %s flexvc will:", s.SID(session.AccountSID)),
		Airy:    true,
		Line: func(item provision.Item) (name, detail string) {
			return item.Name, cli.WholeSID.ReplaceAllStringFunc(item.Detail, s.SID)
		},
		Result: func(item provision.Item, took time.Duration, err error) string {
			if err != nil {
				return ui.Clean(item.Name)
			}
			done := map[provision.Action]string{provision.Remove: "deleted", provision.Add: "created, in use", provision.Change: "in use"}[item.Action]
			return cli.ResultLine(s, item.Name, item.ID, done+", "+cli.InSeconds(took))
		},
		Again: "run flexvc keys rotate again",
		Done:  "Done: the rotation is complete.",
		Next:  "Next: flexvc function status",
	}
	if !p.Until.IsZero() && len(p.Kept) > 0 {
		t.Done = "Done: the Function signs with the new key; the former one stays for now."
		t.Next = fmt.Sprintf("Next: flexvc keys rotate after %s deletes the former key", p.Until.UTC().Format("2006-01-02 15:04 UTC"))
	}
	for _, kept := range p.Kept {
		t.Warnings = append(t.Warnings, "kept: "+cli.Finding(s, kept))
	}
	return t
}

type planEvent struct {
	cli.EventJSON
	Profile string         `json:"profile"` // its name
	Account string         `json:"account"` // SID, AC…
	Pending bool           `json:"pending"` // whether anything is to be done
	Items   []cli.ItemJSON `json:"items"`   // in order
	// until when the former key stays, UTC; absent: it goes, or there is none
	Until string   `json:"former_key_until,omitempty" jsonschema:"format=date-time"`
	Kept  []string `json:"kept,omitempty"` // what is not removed, and why
}

// Shapes are what flexvc keys prints.
func Shapes() []cli.Shape { return cli.PlannedShapes(planEvent{}, cli.SummaryJSON{}, "keys rotate") }

// jsonOf is what it prints for programs.
func jsonOf(profile, account string, p *provision.RotationPlan) cli.PlanJSON {
	until := ""
	if !p.Until.IsZero() {
		until = p.Until.UTC().Format(time.RFC3339)
	}
	return cli.PlanJSON{
		Plan:    planEvent{cli.Event("plan"), profile, account, p.Pending(), cli.PlanItems(&p.Plan), until, p.Kept},
		Summary: cli.Summarize(&p.Plan),
	}
}
