package function

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/ui"
)

const timeForm = "2006-01-02 15:04 UTC"

// text is what `flexvc function deploy`, `rollback` and `remove` say to people.
func text(s *ui.Streams, session *cli.Session, o *options, p *provision.FunctionPlan, was string) cli.PlanText {
	account := s.SID(session.AccountSID)
	t := cli.PlanText{
		Nothing: fmt.Sprintf("No changes: %s is deployed as it would be.", ui.Clean(p.Address())),
		Heading: fmt.Sprintf("In account %s flexvc will:", account),
		Airy:    true,
		Line: func(item provision.Item) (name, detail string) {
			return item.Name, cli.WholeSID.ReplaceAllStringFunc(item.Detail, s.SID)
		},
		Result: func(item provision.Item, took time.Duration, err error) string {
			switch {
			case err != nil:
				return ui.Clean(item.Name)
			case item.Kind == provision.KindSettings:
				return ui.Clean(item.Name + " = " + p.Address())
			}
			return cli.ResultLine(s, item.Name, item.ID, cli.InSeconds(took))
		},
		Again: "run the command again",
		Next:  "Next: flexvc function status     undo: flexvc function rollback",
		Done:  "Done: the Function answers as before the last deployment.",
	}
	for _, kept := range p.Kept {
		t.Warnings = append(t.Warnings, "kept: "+cli.Finding(s, kept))
	}
	switch {
	case o.Remove:
		t.Nothing = "No changes: no token Function is deployed."
		t.Done, t.Next = "Done: the Function and its keys are deleted.", "Next: flexvc doctor token-server"
		if o.Force && p.Address() != "" && p.Address() == was {
			t.Warnings = append(t.Warnings, "token_url still names the Function: agents get no tokens until it names another address")
		}
	case !o.Rollback:
		t.Done = "Done: the Function answers, and token_url names it."
		// Those who ask another address keep doing so until policy and plugin say otherwise.
		t.Next = "Next: flexvc pack --policy DIR, then flexvc plugin deploy: they use the token URL.\n" +
			"A shift's login is one invocation per agent, charged by Twilio; for large fleets use flexvc serve."
	}
	return t
}

type planEvent struct {
	cli.EventJSON
	Profile string         `json:"profile"`           // its name
	Account string         `json:"account"`           // SID, AC…
	From    string         `json:"from,omitempty"`    // checksum of code and settings that are deployed; absent: none, or another tool's
	To      string         `json:"to,omitempty"`      // the same afterwards; absent: nothing is deployed any more
	Address string         `json:"address,omitempty"` // of the Function; absent: not known before it is deployed
	Pending bool           `json:"pending"`           // whether anything is to be done
	Items   []cli.ItemJSON `json:"items"`             // in order
	Kept    []string       `json:"kept,omitempty"`    // what is not removed, and why
}

type summaryEvent struct {
	cli.EventJSON
	Address string  `json:"address,omitempty"` // of the Function; absent: there is none any more
	Seconds float64 `json:"seconds"`           // all of it took, to the millisecond
}

type statusJSON struct {
	V       int    `json:"v"`                 // version of the format
	Address string `json:"address,omitempty"` // of the Function; absent: nothing is deployed
	InUse   bool   `json:"in_use"`            // token_url names it
	// against what this flexvc would deploy with the same settings
	Code    codeIs `json:"code" jsonschema:"enum=current,enum=different,enum=unknown"`
	Sum     string `json:"sum,omitempty"`     // checksum of code and settings
	Runtime string `json:"runtime,omitempty"` // such as node22
	// when, UTC
	Built string `json:"built,omitempty" jsonschema:"format=date-time"`
	// when what a rollback deploys was built, UTC; absent: nothing
	Previous   string            `json:"previous,omitempty" jsonschema:"format=date-time"`
	Settings   map[string]string `json:"settings"`              // variables by name, without key and secret
	Key        string            `json:"key,omitempty"`         // that signs, SK…
	KeyMissing bool              `json:"key_missing,omitempty"` // the key, or its secret, does not exist
	FormerKeys []string          `json:"former_keys,omitempty"` // that signed before and still exist
	AuthToken  bool              `json:"auth_token,omitempty"`  // Twilio gives the account's auth token to the Function
	Service    string            `json:"service,omitempty"`     // SID, ZS…
}

// Shapes are what flexvc function prints.
func Shapes() []cli.Shape {
	return append(cli.PlannedShapes(planEvent{}, summaryEvent{}, "function deploy", "function rollback", "function remove"),
		cli.Shape{Commands: []string{"function status"}, Name: "status", Of: statusJSON{}, When: "Alone."})
}

// jsonOf is what they print for programs.
func jsonOf(profile, account string, p *provision.FunctionPlan) cli.PlanJSON {
	return cli.PlanJSON{
		Plan: planEvent{cli.Event("plan"), profile, account, p.From, p.To, p.Address(), p.Pending(), cli.PlanItems(&p.Plan), p.Kept},
		Summary: func(took time.Duration) any {
			address := p.Address()
			if p.To == "" {
				address = ""
			}
			return summaryEvent{cli.Event("summary"), address, cli.Seconds(took)}
		},
	}
}

func printStatus(s *ui.Streams, cfg *config.Config, status provision.FunctionStatus, code codeIs) {
	if status.Address == "" {
		s.Printf("No token Function is deployed. Next: %s\n", s.Suggest("flexvc function deploy"))
		return
	}
	row := func(name, format string, args ...any) {
		s.Printf("%s %s\n", s.Pad(name, 10), ui.Clean(fmt.Sprintf(format, args...)))
	}
	row("address", "%s", status.Address)
	row("code", "%s", map[codeIs]string{
		codeOurs:    "same as this flexvc would deploy with these settings",
		codeOther:   "differs from what this flexvc would deploy with these settings",
		codeUnknown: "not deployed by flexvc",
	}[code])
	row("build", "of %s, on %s", status.Built.UTC().Format(timeForm), status.Runtime)
	before := "nothing: no earlier build is left"
	if !status.Previous.IsZero() {
		before = "build of " + status.Previous.UTC().Format(timeForm)
	}
	row("before", "%s", before)
	switch {
	case status.KeyMissing:
		row("key", "%s does not exist, or its secret does not: no token is issued", s.SID(status.KeySID))
	default:
		row("key", "%s", s.SID(status.KeySID))
	}
	for _, sid := range status.OldKeys {
		row("former", "%s", s.SID(sid))
	}
	for _, name := range slices.Sorted(maps.Keys(status.Settings)) {
		row("setting", "%s=%s", name, cli.WholeSID.ReplaceAllStringFunc(status.Settings[name], s.SID))
	}
	named := "names it"
	if cfg.TokenURL != status.Address {
		named = "is " + cfg.TokenURL + ", not this Function"
	}
	row("token_url", "%s", named)
	if status.Credentials {
		s.Warn("Twilio gives the account's auth token to the Function, which does not need it: flexvc function deploy ends that")
	}
	next := []string{}
	switch {
	case code != codeOurs || status.KeyMissing || status.Credentials || cfg.TokenURL != status.Address:
		next = append(next, "Next: flexvc function deploy")
	case len(status.OldKeys) > 0:
		next = append(next, "Next: flexvc keys rotate")
	default:
		next = append(next, "Next: flexvc doctor token-server")
	}
	if !status.Previous.IsZero() {
		next = append(next, "undo: flexvc function rollback")
	}
	s.Chat("\n%s\n", strings.Join(next, "     "))
}

func printStatusJSON(s *ui.Streams, cfg *config.Config, status provision.FunctionStatus, code codeIs) error {
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	return cli.PrintJSON(s.Out, statusJSON{
		1, status.Address, status.Address != "" && cfg.TokenURL == status.Address, code, status.Sum, status.Runtime, stamp(status.Built), stamp(status.Previous),
		status.Settings, status.KeySID, status.Address != "" && status.KeyMissing, status.OldKeys, status.Credentials, status.ServiceSID,
	})
}
