package events

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/ui"
)

// eventsText is what `flexvc events enable` and `disable` say to people.
func eventsText(s *ui.Streams, workspaceSID string, enable bool, p *provision.EventsPlan) cli.PlanText {
	workspace := s.SID(workspaceSID)
	text := cli.PlanText{
		Heading: fmt.Sprintf("For %s flexvc will:", workspace),
		Line: func(item provision.Item) (name, _ string) {
			name = cmp.Or(item.Detail, item.Name)
			if item.ID != "" {
				name += "   " + s.SID(item.ID)
			}
			return name, ""
		},
		Result: func(item provision.Item, _ time.Duration, err error) string {
			name := cmp.Or(s.SID(item.ID), ui.Clean(item.Name))
			if err == nil && item.Action == provision.Remove {
				name += "  removed"
			}
			return name
		},
		Again: "run the command again",
	}
	for _, one := range p.Left {
		text.Warnings = append(text.Warnings, fmt.Sprintf("sink %s is kept: another subscription uses it", s.SID(one.SID)))
	}
	if enable {
		text.Nothing = fmt.Sprintf("No changes: events of %s are already pushed. Next: %s", workspace, s.Suggest(nextAfterEvents))
		text.Done, text.Next = "Done: events are pushed.", "Next: "+nextAfterEvents
	} else {
		text.Nothing = fmt.Sprintf("No changes: nothing of flexvc's pushes events of %s.", workspace)
		text.Done = "Done: events are no longer pushed."
	}
	return text
}

// eventsJSON is what they print for programs.
func eventsJSON(workspace string, p *provision.EventsPlan) cli.PlanJSON {
	return cli.PlanJSON{
		Plan:    planEvent{cli.Event("plan"), workspace, cli.PlanCounts(&p.Plan), cli.PlanItems(&p.Plan)},
		Summary: cli.Summarize(&p.Plan),
	}
}

func printEventsStatus(s *ui.Streams, status *provision.EventsStatus) {
	if len(status.Sinks) == 0 {
		s.Printf("%s%s\n", s.Pad("event streams", cli.PlanKindWidth), "none of flexvc's")
	}
	for _, one := range status.Sinks {
		types := "no subscription: run flexvc events enable"
		for _, sub := range status.Subscriptions {
			if sub.SinkSID == one.SID {
				types = ui.Plural(len(status.Types[sub.SID]), "event type")
			}
		}
		s.Printf("%s%s  %s  %s  %s\n", s.Pad("event streams", cli.PlanKindWidth), s.SID(one.SID), ui.Clean(one.Status), ui.Clean(provision.Redact(one.Destination)), types)
	}
	switch {
	case status.Callback.URL == "":
		s.Printf("%s%s\n", s.Pad("callback", cli.PlanKindWidth), "none")
	default:
		filter := "all events"
		if status.Callback.Filter != "" {
			filter = strings.ReplaceAll(status.Callback.Filter, ",", " ")
		}
		s.Printf("%s%s  %s\n", s.Pad("callback", cli.PlanKindWidth), ui.Clean(provision.Redact(status.Callback.URL)), ui.Clean(filter))
	}
	if status.OtherSinks > 0 {
		s.Printf("%s%s that are not flexvc's\n", s.Pad("others", cli.PlanKindWidth), ui.Plural(status.OtherSinks, "sink"))
	}
}

func printEventsStatusJSON(s *ui.Streams, workspace string, status *provision.EventsStatus) error {
	sinks := []sinkJSON{}
	for _, one := range status.Sinks {
		row := sinkJSON{SID: one.SID, Status: one.Status, Destination: provision.Redact(one.Destination)}
		for _, sub := range status.Subscriptions {
			if sub.SinkSID == one.SID {
				row.Subscription, row.Types = sub.SID, status.Types[sub.SID]
			}
		}
		sinks = append(sinks, row)
	}
	return cli.PrintJSON(s.Out, statusJSON{1, workspace, sinks, status.OtherSinks, provision.Redact(status.Callback.URL), status.Callback.Filter})
}

type planEvent struct {
	cli.EventJSON
	Workspace string `json:"workspace"` // SID, WS…
	cli.CountsJSON
	Items []cli.ItemJSON `json:"items"` // in order
}

type statusJSON struct {
	V              int        `json:"v"`                         // version of the format
	Workspace      string     `json:"workspace"`                 // SID, WS…
	Sinks          []sinkJSON `json:"sinks"`                     // flexvc's own for this workspace
	OtherSinks     int        `json:"other_sinks"`               // of the account
	CallbackURL    string     `json:"callback_url,omitempty"`    // of the workspace, without its secrets
	CallbackFilter string     `json:"callback_filter,omitempty"` // event types, comma-separated; absent: all
}

type sinkJSON struct {
	SID          string   `json:"sid"`                    // DG…
	Status       string   `json:"status"`                 // as Twilio calls it
	Destination  string   `json:"destination"`            // address, without its secrets
	Subscription string   `json:"subscription,omitempty"` // SID, DF…; absent: none, so nothing is pushed
	Types        []string `json:"types,omitempty"`        // event types subscribed to
}

// Shapes are what flexvc events prints.
func Shapes() []cli.Shape {
	return append(cli.PlannedShapes(planEvent{}, cli.SummaryJSON{}, "events enable", "events disable"),
		cli.Shape{Commands: []string{"events status"}, Name: "status", Of: statusJSON{}, When: "Alone."})
}

const nextAfterEvents = "flexvc serve --events"
