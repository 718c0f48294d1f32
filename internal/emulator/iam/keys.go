package iam

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

// The same keys are read and made through two APIs: IAM's and the 2010 API's.

// maxName is how long the name of a key may be.
const maxName = 64

type keyView struct {
	SID          string          `json:"sid"`
	FriendlyName string          `json:"friendly_name"`
	DateCreated  string          `json:"date_created"`
	DateUpdated  string          `json:"date_updated"`
	Secret       string          `json:"secret,omitempty"` // in the answer to a creation only
	Policy       json.RawMessage `json:"policy"`
}

func viewKey(_ *emulator.Call, k *store.Key) any { return shownKey(k) }

func shownKey(k *store.Key) keyView {
	policy := k.Policy
	if policy == nil {
		policy = json.RawMessage("null")
	}
	return keyView{
		SID: k.SID, FriendlyName: k.FriendlyName, DateCreated: emulator.Stamp2822(k.Created), DateUpdated: emulator.Stamp2822(k.Updated), Policy: policy,
	}
}

type keyRow struct {
	SID          string   `json:"sid"`
	FriendlyName string   `json:"friendly_name"`
	DateCreated  string   `json:"date_created"`
	DateUpdated  string   `json:"date_updated"`
	Flags        []string `json:"flags"`
}

func viewKeyRow(_ *emulator.Call, k *store.Key) any {
	v := shownKey(k)
	return keyRow{SID: v.SID, FriendlyName: v.FriendlyName, DateCreated: v.DateCreated, DateUpdated: v.DateUpdated, Flags: []string{"rest_api", "signing"}}
}

func keyTable(c *emulator.Call) *store.Table[*store.Key] { return c.Store.Keys }

// keyInPath is the key of the request, of the account in the path if there is one.
func keyInPath(c *emulator.Call) *store.Key {
	if account, named := c.Vars["AccountSid"]; named && account != c.Account.SID {
		return nil
	}
	return c.Store.Keys.Find(c.Vars["Sid"])
}

func checkName(name string) *emulator.Reply {
	if utf8.RuneCountInString(name) > maxName {
		return emulator.Invalid("FriendlyName is longer than %d characters", maxName)
	}
	return nil
}

func listKeys(c *emulator.Call) (l emulator.Listing[*store.Key], no *emulator.Reply) {
	if sid, _ := c.Queried("AccountSid"); sid != c.Account.SID {
		return l, emulator.Invalid("Missing or wrong required parameter AccountSid")
	}
	return emulator.Oldest(c.Store.Keys.Rows(), nil), nil
}

func createKey(c *emulator.Call) *emulator.Reply {
	if sid, _ := c.Filled("AccountSid"); sid != c.Account.SID {
		return emulator.Invalid("Missing or wrong required parameter AccountSid")
	}
	kind := store.KeyStandard
	if s, given := c.Filled("KeyType"); given {
		if s != "restricted" {
			return emulator.Invalid("Invalid KeyType %q", s)
		}
		kind = store.KeyRestricted
	}
	policy, no := policyOf(c)
	if no != nil {
		return no
	}
	if (kind == store.KeyRestricted) != (policy != nil) {
		return emulator.Invalid("A Policy goes with KeyType restricted, and that needs one")
	}
	return makeKey(c, kind, policy, func(_ *emulator.Call, k *store.Key) any {
		v := shownKey(k)
		v.Secret = k.Secret
		return v
	})
}

// policyOf is the policy of the form, nil without one.
func policyOf(c *emulator.Call) (json.RawMessage, *emulator.Reply) {
	s, given := c.Filled("Policy")
	if !given {
		return nil, nil
	}
	if len(emulator.AllowedBy(json.RawMessage(s))) == 0 {
		return nil, emulator.Invalid(`Policy is not {"allow":["/twilio/..."]}`)
	}
	return json.RawMessage(s), nil
}

func makeKey(c *emulator.Call, kind store.KeyType, policy json.RawMessage, view emulator.View[*store.Key]) *emulator.Reply {
	name, _ := c.Filled("FriendlyName")
	if no := checkName(name); no != nil {
		return no
	}
	return emulator.Create(c, c.Store.Keys, c.Store.NewKey(name, kind, policy, c.Now), view)
}

func updateKey(c *emulator.Call, k *store.Key) *emulator.Reply {
	policy, no := policyOf(c)
	if no != nil {
		return no
	}
	if no := rename(c, k); no != nil || policy == nil {
		return no
	}
	if k.Type != store.KeyRestricted {
		return emulator.Invalid("A Policy goes with a restricted key only")
	}
	k.Policy = policy
	return nil
}

func rename(c *emulator.Call, k *store.Key) *emulator.Reply {
	name, given := c.Filled("FriendlyName")
	if !given {
		return nil
	}
	k.FriendlyName = name
	return checkName(name)
}

func deleteKey(c *emulator.Call) *emulator.Reply {
	k := keyInPath(c)
	if k == nil {
		return c.NotFound()
	}
	return emulator.Delete(c, c.Store.Keys, k)
}
