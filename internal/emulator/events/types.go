package events

import (
	"slices"
	"strconv"

	"github.com/flexvc/flexvc/internal/emulator"
)

// A subscribed event is one type of a subscription, and no row of its own.

type subscribedEventView struct {
	AccountSID      string `json:"account_sid"`
	Type            string `json:"type"`
	SchemaVersion   int    `json:"schema_version"`
	SubscriptionSID string `json:"subscription_sid"`
	URL             string `json:"url"`
}

func viewType(c *emulator.Call, s *subscription, t subscribedType) subscribedEventView {
	return subscribedEventView{
		AccountSID: c.Account.SID, Type: t.Type, SchemaVersion: t.SchemaVersion, SubscriptionSID: s.SID,
		URL: c.Base() + "/v1/Subscriptions/" + s.SID + "/SubscribedEvents/" + t.Type,
	}
}

// subscribed finds the subscription and the type of the path. at is -1 when
// the subscription has no such type.
func subscribed(c *emulator.Call) (s *subscription, at int) {
	if s = subscriptionInPath(c); s == nil {
		return nil, -1
	}
	at, found := slices.BinarySearchFunc(s.Types, subscribedType{Type: c.Vars["Type"]}, byType)
	if !found {
		return s, -1
	}
	return s, at
}

func listTypes(c *emulator.Call) (l emulator.Listing[subscribedType], no *emulator.Reply) {
	s := subscriptionInPath(c)
	if s == nil {
		return l, c.NotFound()
	}
	l.Rows = s.Types
	l.Position = func(t subscribedType) emulator.Position { return emulator.Position{Key: t.Type} }
	return l, nil
}

func viewListedType(c *emulator.Call, t subscribedType) any {
	return viewType(c, subscriptionInPath(c), t)
}

func fetchType(c *emulator.Call) *emulator.Reply {
	s, at := subscribed(c)
	if at < 0 {
		return c.NotFound()
	}
	return emulator.OK(viewType(c, s, s.Types[at]))
}

func createType(c *emulator.Call) *emulator.Reply {
	s := subscriptionInPath(c)
	if s == nil {
		return c.NotFound()
	}
	name, no := c.Required("Type")
	if no != nil {
		return no
	}
	return subscribe(c, s, name, emulator.Created)
}

func updateType(c *emulator.Call) *emulator.Reply {
	s, at := subscribed(c)
	if at < 0 {
		return c.NotFound()
	}
	return subscribe(c, s, s.Types[at].Type, emulator.OK)
}

// subscribe adds a type or changes its version.
func subscribe(c *emulator.Call, s *subscription, name string, answer func(any) *emulator.Reply) *emulator.Reply {
	var version *int
	if text, given := c.Filled("SchemaVersion"); given {
		n, err := strconv.Atoi(text)
		if err != nil {
			return emulator.Invalid("Invalid SchemaVersion %q", text)
		}
		version = &n
	}
	t, no := checkType(name, version)
	if no != nil {
		return no
	}
	return emulator.Change(c, subscriptionTable(c), s, func(s *subscription) *emulator.Reply {
		s.Types = withType(s.Types, t)
		return nil
	}, func(s *subscription) *emulator.Reply { return answer(viewType(c, s, t)) })
}

func deleteType(c *emulator.Call) *emulator.Reply {
	s, at := subscribed(c)
	switch {
	case at < 0:
		return c.NotFound()
	case len(s.Types) == 1:
		return emulator.Invalid("A Subscription needs at least one event type")
	}
	return emulator.Change(c, subscriptionTable(c), s, func(s *subscription) *emulator.Reply {
		s.Types = slices.Delete(slices.Clone(s.Types), at, at+1)
		return nil
	}, func(*subscription) *emulator.Reply { return emulator.NoContent() })
}
