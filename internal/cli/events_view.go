package cli

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/ui"
)

// eventsText is what `flexvc events enable` and `disable` say to people.
func eventsText(s *ui.Streams, workspaceSID string, enable bool, p *provision.EventsPlan) planText {
	workspace := s.SID(workspaceSID)
	text := planText{
		heading: fmt.Sprintf("For %s flexvc will:", workspace),
		line: func(item provision.Item) (name, _ string) {
			name = cmp.Or(item.Detail, item.Name)
			if item.ID != "" {
				name += "   " + s.SID(item.ID)
			}
			return name, ""
		},
		result: func(item provision.Item, _ time.Duration, err error) string {
			name := cmp.Or(s.SID(item.ID), ui.Clean(item.Name))
			if err == nil && item.Action == provision.Remove {
				name += "  removed"
			}
			return name
		},
		again: "run it again",
	}
	for _, one := range p.Left {
		text.warnings = append(text.warnings, fmt.Sprintf("sink %s is left alone: somebody else's subscription uses it", s.SID(one.SID)))
	}
	if enable {
		text.nothing = fmt.Sprintf("No changes: events of %s are pushed already. Next: %s", workspace, s.Suggest(nextAfterEvents))
		text.done, text.next = "Done: events are pushed.", "Next: "+nextAfterEvents
	} else {
		text.nothing = fmt.Sprintf("No changes: flexvc has nothing push events of %s.", workspace)
		text.done = "Done: events are not pushed any more."
	}
	return text
}

// eventsJSON is what they print for programs.
func eventsJSON(workspace string, p *provision.EventsPlan) planJSON {
	return planJSON{
		plan: struct {
			eventJSON
			Workspace string `json:"workspace"`
			countsJSON
			Items []itemJSON `json:"items"`
		}{eventJSON{1, "plan"}, workspace, planCounts(&p.Plan), planItems(&p.Plan)},
		summary: func(time.Duration) any {
			return struct {
				eventJSON
				changesJSON
			}{eventJSON{1, "summary"}, planChanges(&p.Plan)}
		},
	}
}

func printEventsStatus(s *ui.Streams, status *provision.EventsStatus) {
	if len(status.Sinks) == 0 {
		s.Printf("%s%s\n", s.Pad("event streams", planKindWidth), "none of flexvc's")
	}
	for _, one := range status.Sinks {
		types := "no subscription: flexvc events enable completes it"
		for _, sub := range status.Subscriptions {
			if sub.SinkSID == one.SID {
				types = ui.Plural(len(status.Types[sub.SID]), "event type")
			}
		}
		s.Printf("%s%s  %s  %s  %s\n", s.Pad("event streams", planKindWidth), s.SID(one.SID), ui.Clean(one.Status), ui.Clean(provision.Redact(one.Destination)), types)
	}
	switch {
	case status.Callback.URL == "":
		s.Printf("%s%s\n", s.Pad("callback", planKindWidth), "none")
	default:
		filter := "all events"
		if status.Callback.Filter != "" {
			filter = strings.ReplaceAll(status.Callback.Filter, ",", " ")
		}
		s.Printf("%s%s  %s\n", s.Pad("callback", planKindWidth), ui.Clean(provision.Redact(status.Callback.URL)), ui.Clean(filter))
	}
	if status.OtherSinks > 0 {
		s.Printf("%s%s that are not flexvc's\n", s.Pad("others", planKindWidth), ui.Plural(status.OtherSinks, "sink"))
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
	return printJSON(s.Out, struct {
		V              int        `json:"v"`
		Workspace      string     `json:"workspace"`
		Sinks          []sinkJSON `json:"sinks"`
		OtherSinks     int        `json:"other_sinks"`
		CallbackURL    string     `json:"callback_url,omitempty"`
		CallbackFilter string     `json:"callback_filter,omitempty"`
	}{1, workspace, sinks, status.OtherSinks, provision.Redact(status.Callback.URL), status.Callback.Filter})
}

type sinkJSON struct {
	SID          string   `json:"sid"`
	Status       string   `json:"status"`
	Destination  string   `json:"destination"`
	Subscription string   `json:"subscription,omitempty"`
	Types        []string `json:"types,omitempty"`
}

const nextAfterEvents = "flexvc serve --events"
