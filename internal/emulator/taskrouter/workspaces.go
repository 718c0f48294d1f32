package taskrouter

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

// maxName is TaskRouter's limit. https://www.twilio.com/docs/taskrouter/limits
const maxName = 64

type workspaceView struct {
	SID                  string            `json:"sid"`
	AccountSID           string            `json:"account_sid"`
	FriendlyName         string            `json:"friendly_name"`
	DefaultActivitySID   string            `json:"default_activity_sid"`
	DefaultActivityName  string            `json:"default_activity_name"`
	TimeoutActivitySID   string            `json:"timeout_activity_sid"`
	TimeoutActivityName  string            `json:"timeout_activity_name"`
	EventCallbackURL     *string           `json:"event_callback_url"`
	EventsFilter         *string           `json:"events_filter"`
	MultiTaskEnabled     bool              `json:"multi_task_enabled"`
	PrioritizeQueueOrder string            `json:"prioritize_queue_order"`
	DateCreated          string            `json:"date_created"`
	DateUpdated          string            `json:"date_updated"`
	URL                  string            `json:"url"`
	Links                map[string]string `json:"links"`
}

func viewWorkspace(c *emulator.Call, sp *store.Space) any {
	url := c.Base() + "/v1/Workspaces/" + sp.SID
	v := workspaceView{
		SID: sp.SID, AccountSID: c.Account.SID, FriendlyName: sp.FriendlyName,
		DefaultActivitySID: sp.DefaultActivity, DefaultActivityName: sp.Activity(sp.DefaultActivity).FriendlyName,
		TimeoutActivitySID: sp.TimeoutActivity, TimeoutActivityName: sp.Activity(sp.TimeoutActivity).FriendlyName,
		EventCallbackURL: emulator.OrNull(sp.EventCallbackURL), EventsFilter: emulator.OrNull(sp.EventsFilter),
		MultiTaskEnabled: sp.MultiTask, PrioritizeQueueOrder: sp.QueueOrder,
		DateCreated: emulator.Stamp(sp.Created), DateUpdated: emulator.Stamp(sp.Updated), URL: url, Links: map[string]string{},
	}
	for name, path := range map[string]string{
		"activities": "Activities", "workers": "Workers", "workflows": "Workflows", "task_queues": "TaskQueues",
		"tasks": "Tasks", "task_channels": "TaskChannels", "events": "Events", "statistics": "Statistics",
		"real_time_statistics": "RealTimeStatistics", "cumulative_statistics": "CumulativeStatistics",
	} {
		v.Links[name] = url + "/" + path
	}
	return v
}

// workspace is the one in the path.
func workspace(c *emulator.Call) *store.Space { return c.Store.Space(c.Vars["Sid"]) }

// around is the workspace that the row in the path is in.
func around(c *emulator.Call) *store.Space { return c.Store.Space(c.Vars["WorkspaceSid"]) }

func workspaces(c *emulator.Call) (emulator.Listing[*store.Space], *emulator.Reply) {
	name, byName := c.Queried("FriendlyName")
	return emulator.Oldest(c.Store.Workspaces, func(sp *store.Space) bool { return !byName || sp.FriendlyName == name }), nil
}

func updateWorkspace(c *emulator.Call) *emulator.Reply {
	sp := workspace(c)
	if sp == nil {
		return c.NotFound()
	}
	changed := sp.Workspace
	changed.Updated = c.Now.Truncate(time.Second)
	if name, given := c.Filled("FriendlyName"); given {
		if no := checkName(name); no != nil {
			return no
		}
		changed.FriendlyName = name
	}
	for _, one := range []struct {
		field  string
		target *string
	}{{"DefaultActivitySid", &changed.DefaultActivity}, {"TimeoutActivitySid", &changed.TimeoutActivity}} {
		if sid, given := c.Filled(one.field); given {
			if sp.Activity(sid) == nil {
				return noActivity(one.field, sid)
			}
			*one.target = sid
		}
	}
	if url, given := c.Filled("EventCallbackUrl"); given {
		changed.EventCallbackURL = url
	}
	if filter, given := c.Filled("EventsFilter"); given {
		changed.EventsFilter = filter
	}
	var no *emulator.Reply
	if changed.MultiTask, no = c.Flag("MultiTaskEnabled", changed.MultiTask); no != nil {
		return no
	}
	if order, given := c.Filled("PrioritizeQueueOrder"); given {
		if order != "FIFO" && order != "LIFO" {
			return emulator.Invalid("Invalid PrioritizeQueueOrder %q", order)
		}
		changed.QueueOrder = order
	}
	if no := c.Write(sp.Set(changed)); no != nil {
		return no
	}
	return emulator.OK(viewWorkspace(c, sp))
}

func checkName(name string) *emulator.Reply {
	switch {
	case strings.TrimSpace(name) == "":
		return emulator.Invalid("Missing required parameter FriendlyName")
	case utf8.RuneCountInString(name) > maxName:
		return emulator.Invalid("FriendlyName is longer than %d characters", maxName)
	}
	return nil
}

func noActivity(field, sid string) *emulator.Reply {
	return emulator.Invalid("Invalid %s: no activity %s is in the workspace", field, sid)
}
