package iam

import (
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

func fetchAccount(c *emulator.Call) *emulator.Reply {
	if c.Vars["AccountSid"] != c.Account.SID {
		return c.NotFound()
	}
	created, uri := emulator.Stamp2822(c.Store.Meta.Created), "/2010-04-01/Accounts/"+c.Account.SID
	return emulator.OK(map[string]any{
		"sid": c.Account.SID, "owner_account_sid": c.Account.SID, "friendly_name": c.Store.Meta.AccountName,
		"status": "active", "type": "Full", "auth_token": c.Account.AuthToken,
		"date_created": created, "date_updated": created,
		"uri": uri + ".json", "subresource_uris": map[string]string{"keys": uri + "/Keys.json"},
	})
}

type keyView2010 struct {
	SID          string `json:"sid"`
	FriendlyName string `json:"friendly_name"`
	DateCreated  string `json:"date_created"`
	DateUpdated  string `json:"date_updated"`
	Secret       string `json:"secret,omitempty"`
}

func viewKey2010(_ *emulator.Call, k *store.Key) any { return shownKey2010(k) }

func shownKey2010(k *store.Key) keyView2010 {
	return keyView2010{SID: k.SID, FriendlyName: k.FriendlyName, DateCreated: emulator.Stamp2822(k.Created), DateUpdated: emulator.Stamp2822(k.Updated)}
}

func listKeys2010(c *emulator.Call) (l emulator.Listing[*store.Key], no *emulator.Reply) {
	if c.Vars["AccountSid"] != c.Account.SID {
		return l, c.NotFound()
	}
	return emulator.Oldest(c.Store.Keys.Rows(), nil), nil
}

func createKey2010(c *emulator.Call) *emulator.Reply {
	if c.Vars["AccountSid"] != c.Account.SID {
		return c.NotFound()
	}
	return makeKey(c, store.KeyStandard, nil, func(_ *emulator.Call, k *store.Key) any {
		v := shownKey2010(k)
		v.Secret = k.Secret
		return v
	})
}
