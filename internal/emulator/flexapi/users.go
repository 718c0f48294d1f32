package flexapi

import (
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

type userView struct {
	FlexUserSID string   `json:"flex_user_sid"`
	InstanceSID string   `json:"instance_sid"`
	AccountSID  string   `json:"account_sid"`
	WorkerSID   string   `json:"worker_sid"`
	Username    string   `json:"username"`
	Email       string   `json:"email"`
	FullName    string   `json:"full_name"`
	Roles       []string `json:"roles"`
	Deactivated bool     `json:"deactivated"`
	Created     string   `json:"created_date"`
	Updated     string   `json:"updated_date"`
}

func users(c *emulator.Call) (l emulator.Listing[*store.Worker], no *emulator.Reply) {
	if !inInstance(c) {
		return l, c.NotFound()
	}
	return emulator.Oldest(c.Store.FlexSpace().Workers, func(w *store.Worker) bool { return w.FlexUser }), nil
}

// userNamed finds one user. In v4 the path of the list does that.
func userNamed(c *emulator.Call) *emulator.Reply {
	name, given := c.Queried("Username")
	switch {
	case !given:
		return emulator.Invalid("Missing required parameter Username")
	case !inInstance(c):
		return c.NotFound()
	}
	w := c.Store.FlexSpace().WorkerNamed(name)
	if w == nil || !w.FlexUser {
		return c.NotFound()
	}
	return emulator.OK(viewUser(c, w))
}

// inInstance reports whether the path is about the account's Flex.
func inInstance(c *emulator.Call) bool {
	return c.HasFlex() && c.Vars["InstanceSid"] == c.Account.FlexInstanceSID
}

func viewUser(c *emulator.Call, w *store.Worker) any {
	p := w.Profile()
	return userView{
		FlexUserSID: w.FlexUserSID(), InstanceSID: c.Account.FlexInstanceSID, AccountSID: c.Account.SID, WorkerSID: w.SID,
		Username: w.FriendlyName, Email: p.Email, FullName: p.FullName, Roles: p.Roles,
		Created: emulator.Stamp(w.Created), Updated: emulator.Stamp(w.Updated),
	}
}
