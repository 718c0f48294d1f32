package flexapi

import (
	"encoding/json"
	"maps"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
)

func fetchConfiguration(c *emulator.Call) *emulator.Reply {
	if !c.HasFlex() {
		return c.NotFound()
	}
	return emulator.OK(c.Store.FlexConfiguration(c.Base()))
}

// settled names what POST cannot change.
var settled = map[string]bool{"account_sid": true, "date_created": true, "date_updated": true, "url": true, "flex_instance_sid": true}

func updateConfiguration(c *emulator.Call) *emulator.Reply {
	if !c.HasFlex() {
		return c.NotFound()
	}
	var given map[string]json.RawMessage
	if json.Unmarshal(c.Body, &given) != nil || given == nil {
		return emulator.Invalid("The request body is not a JSON object")
	}
	var account string
	if json.Unmarshal(given["account_sid"], &account) != nil || account != c.Account.SID {
		return emulator.Invalid("account_sid is missing or not the account's")
	}
	known := c.Store.FlexConfiguration(c.Base())
	m := c.Store.Meta
	m.Flex = maps.Clone(m.Flex)
	if m.Flex == nil {
		m.Flex = map[string]json.RawMessage{}
	}
	for name, value := range given {
		if _, ok := known[name]; !ok {
			return emulator.Invalid("Unknown field %s", name)
		}
		if !settled[name] {
			m.Flex[name] = value
		}
	}
	m.FlexUpdated = c.Now.Truncate(time.Second)
	if no := c.Write(c.Store.SetMeta(m)); no != nil {
		return no
	}
	return emulator.OK(c.Store.FlexConfiguration(c.Base()))
}
