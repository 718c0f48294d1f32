package taskrouter

import (
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

type activityView struct {
	SID          string            `json:"sid"`
	AccountSID   string            `json:"account_sid"`
	WorkspaceSID string            `json:"workspace_sid"`
	FriendlyName string            `json:"friendly_name"`
	Available    bool              `json:"available"`
	DateCreated  string            `json:"date_created"`
	DateUpdated  string            `json:"date_updated"`
	URL          string            `json:"url"`
	Links        map[string]string `json:"links"`
}

func viewActivity(c *emulator.Call, a *store.Activity) any {
	url := c.Base() + "/v1/Workspaces/" + a.Workspace
	return activityView{
		SID: a.SID, AccountSID: c.Account.SID, WorkspaceSID: a.Workspace, FriendlyName: a.FriendlyName,
		Available: a.Available, DateCreated: emulator.Stamp(a.Created), DateUpdated: emulator.Stamp(a.Updated),
		URL: url + "/Activities/" + a.SID, Links: map[string]string{"workspace": url},
	}
}

// activity is the one in the path.
func activity(c *emulator.Call) *store.Activity {
	sp := around(c)
	if sp == nil {
		return nil
	}
	return sp.Activity(c.Vars["Sid"])
}

// activityTable is where the one in the path stands.
func activityTable(c *emulator.Call) *store.Table[*store.Activity] { return around(c).Activities }

func activities(c *emulator.Call) (l emulator.Listing[*store.Activity], no *emulator.Reply) {
	sp := around(c)
	if sp == nil {
		return l, c.NotFound()
	}
	name, byName := c.Queried("FriendlyName")
	available, byAvailable := c.Queried("Available")
	return emulator.Oldest(sp.Activities.Rows(), func(a *store.Activity) bool {
		return (!byName || a.FriendlyName == name) && (!byAvailable || a.Available == meansAvailable(available))
	}), nil
}

// meansAvailable reads a filter: true, 1 and yes are available, all else not.
func meansAvailable(s string) bool {
	return slices.Contains([]string{"true", "1", "yes"}, strings.ToLower(s))
}

func createActivity(c *emulator.Call) *emulator.Reply {
	sp := around(c)
	if sp == nil {
		return c.NotFound()
	}
	name, _ := c.Filled("FriendlyName")
	if no := checkName(name); no != nil {
		return no
	}
	available, no := c.Flag("Available", false)
	if no != nil {
		return no
	}
	if sp.ActivityNamed(name) != nil {
		return activityExists(name)
	}
	if len(sp.Activities.Rows()) >= store.MaxActivities {
		return emulator.Invalid("The workspace already has %d activities", store.MaxActivities)
	}
	a := &store.Activity{Object: c.New("WA"), Workspace: sp.SID, FriendlyName: name, Available: available}
	return emulator.Create(c, sp.Activities, a, viewActivity)
}

func activityExists(name string) *emulator.Reply {
	return emulator.Invalid("An activity named %q already exists in the workspace", name)
}

func updateActivity(c *emulator.Call, a *store.Activity) *emulator.Reply {
	name, given := c.Filled("FriendlyName")
	if !given {
		return nil
	}
	if no := checkName(name); no != nil {
		return no
	}
	if other := around(c).ActivityNamed(name); other != nil && other.SID != a.SID {
		return activityExists(name)
	}
	a.FriendlyName = name
	return nil
}

func deleteActivity(c *emulator.Call) *emulator.Reply {
	sp, a := around(c), activity(c)
	switch {
	case a == nil:
		return c.NotFound()
	case a.SID == sp.DefaultActivity || a.SID == sp.TimeoutActivity:
		return emulator.Invalid("The activity is the default or the timeout activity of the workspace")
	case slices.ContainsFunc(sp.Workers, func(w *store.Worker) bool { return w.Activity == a.SID }):
		return emulator.Invalid("Workers are in the activity")
	}
	return emulator.Delete(c, sp.Activities, a)
}
