//go:build ignore

package emulator

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"
)

// The same keys are read and made through two APIs: IAM's and the 2010 API's.

type keyView struct {
	SID          string          `json:"sid"`
	FriendlyName string          `json:"friendly_name"`
	DateCreated  string          `json:"date_created"`
	DateUpdated  string          `json:"date_updated"`
	Secret       string          `json:"secret,omitempty"` // in the answer to a creation only
	Policy       json.RawMessage `json:"policy"`
}

func viewKey(k *key) keyView {
	policy := k.Policy
	if policy == nil {
		policy = json.RawMessage("null")
	}
	return keyView{SID: k.SID, FriendlyName: k.FriendlyName, DateCreated: stamp2822(k.Created), DateUpdated: stamp2822(k.Updated), Policy: policy}
}

type keyRow struct {
	SID          string   `json:"sid"`
	FriendlyName string   `json:"friendly_name"`
	DateCreated  string   `json:"date_created"`
	DateUpdated  string   `json:"date_updated"`
	Flags        []string `json:"flags"`
}

type keyView2010 struct {
	SID          string `json:"sid"`
	FriendlyName string `json:"friendly_name"`
	DateCreated  string `json:"date_created"`
	DateUpdated  string `json:"date_updated"`
	Secret       string `json:"secret,omitempty"`
}

func viewKey2010(k *key) keyView2010 {
	return keyView2010{SID: k.SID, FriendlyName: k.FriendlyName, DateCreated: stamp2822(k.Created), DateUpdated: stamp2822(k.Updated)}
}

func (c *call) keyListing() listing[*key] {
	return listing[*key]{rows: c.st.keys, pos: func(k *key) position { return position{Seq: k.Seq} }}
}

// key finds the key of the request. The caller holds the lock.
func (c *call) key() *key {
	if account, named := c.vars["AccountSid"]; named && account != c.account.SID {
		return nil
	}
	return c.st.key(c.vars["Sid"])
}

func checkKeyName(name string) (reply, bool) {
	if utf8.RuneCountInString(name) > maxName {
		return invalid("FriendlyName is longer than %d characters", maxName), false
	}
	return reply{}, true
}

// --- IAM

func listKeys(c *call) reply {
	if sid, _ := c.queried("AccountSid"); sid != c.account.SID {
		return invalid("Missing or wrong required parameter AccountSid")
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return paged(c, "keys", c.keyListing(), func(k *key) any {
		v := viewKey(k)
		return keyRow{SID: v.SID, FriendlyName: v.FriendlyName, DateCreated: v.DateCreated, DateUpdated: v.DateUpdated, Flags: []string{"rest_api", "signing"}}
	})
}

func createKey(c *call) reply {
	if sid, _ := c.filled("AccountSid"); sid != c.account.SID {
		return invalid("Missing or wrong required parameter AccountSid")
	}
	kind := KeyStandard
	if s, given := c.filled("KeyType"); given {
		if s != "restricted" {
			return invalid("Invalid KeyType %q", s)
		}
		kind = KeyRestricted
	}
	policy, rep, ok := c.policy()
	if !ok {
		return rep
	}
	if (kind == KeyRestricted) != (policy != nil) {
		return invalid("A Policy goes with KeyType restricted, and that needs one")
	}
	k, rep, ok := c.makeKey(kind, policy)
	if !ok {
		return rep
	}
	v := viewKey(k)
	v.Secret = k.Secret
	return reply{status: http.StatusCreated, body: v}
}

func (c *call) policy() (json.RawMessage, reply, bool) {
	s, given := c.filled("Policy")
	if !given {
		return nil, reply{}, true
	}
	if len(allowedBy(json.RawMessage(s))) == 0 {
		return nil, invalid(`Policy is not {"allow":["/twilio/..."]}`), false
	}
	return json.RawMessage(s), reply{}, true
}

func (c *call) makeKey(kind KeyType, policy json.RawMessage) (*key, reply, bool) {
	name, _ := c.filled("FriendlyName")
	if rep, ok := checkKeyName(name); !ok {
		return nil, rep, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.st.newKey(name, kind, policy, c.now.Truncate(time.Second))
	if err := c.st.put(c.st.meta.record(), k.record()); err != nil {
		return nil, c.broken(err), false
	}
	c.st.keys = append(c.st.keys, k)
	return k, reply{}, true
}

func fetchKey(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	k := c.key()
	if k == nil {
		return notFound(c.path)
	}
	return ok(http.StatusOK, viewKey(k))
}

func updateKey(c *call) reply {
	policy, rep, ok := c.policy()
	if !ok {
		return rep
	}
	k, rep, ok := c.changeKey(func(k *key) (reply, bool) {
		if policy == nil {
			return reply{}, true
		}
		if k.Type != KeyRestricted {
			return invalid("A Policy goes with a restricted key only"), false
		}
		k.Policy = policy
		return reply{}, true
	})
	if !ok {
		return rep
	}
	return reply{status: http.StatusOK, body: viewKey(k)}
}

// changeKey renames the key, changes a copy of it further, and stores that.
func (c *call) changeKey(further func(*key) (reply, bool)) (*key, reply, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.key()
	if k == nil {
		return nil, notFound(c.path), false
	}
	changed := *k
	changed.Updated = c.now.Truncate(time.Second)
	if name, given := c.filled("FriendlyName"); given {
		if rep, ok := checkKeyName(name); !ok {
			return nil, rep, false
		}
		changed.FriendlyName = name
	}
	if rep, ok := further(&changed); !ok {
		return nil, rep, false
	}
	if err := c.st.put(changed.record()); err != nil {
		return nil, c.broken(err), false
	}
	c.st.keys[slices.Index(c.st.keys, k)] = &changed
	return &changed, reply{}, true
}

func deleteKey(c *call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.key()
	if k == nil {
		return notFound(c.path)
	}
	if err := c.st.put(forget("key", k.SID)); err != nil {
		return c.broken(err)
	}
	c.st.keys = slices.DeleteFunc(slices.Clone(c.st.keys), func(x *key) bool { return x == k })
	return ok(http.StatusNoContent, nil)
}

// --- the 2010 API

func fetchAccount(c *call) reply {
	if c.vars["AccountSid"] != c.account.SID {
		return notFound(c.path)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	uri := "/2010-04-01/Accounts/" + c.account.SID
	return ok(http.StatusOK, map[string]any{
		"sid": c.account.SID, "owner_account_sid": c.account.SID, "friendly_name": c.st.meta.AccountName,
		"status": "active", "type": "Full", "auth_token": c.account.AuthToken,
		"date_created": stamp2822(c.st.meta.Created), "date_updated": stamp2822(c.st.meta.Created),
		"uri": uri + ".json", "subresource_uris": map[string]string{"keys": uri + "/Keys.json"},
	})
}

func listKeys2010(c *call) reply {
	if c.vars["AccountSid"] != c.account.SID {
		return notFound(c.path)
	}
	w, rep, ok := c.window()
	if !ok {
		return rep
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	rows, meta := turn(c, w, c.keyListing(), func(k *key) any { return viewKey2010(k) }, "")
	first := w.page * w.size
	return reply{status: http.StatusOK, body: map[string]any{
		"keys": rows, "page": w.page, "page_size": w.size, "start": first, "end": max(first, first+len(rows)-1),
		"uri": meta.URL, "first_page_uri": meta.FirstPageURL, "next_page_uri": meta.NextPageURL, "previous_page_uri": meta.PreviousPageURL,
	}}
}

func createKey2010(c *call) reply {
	if c.vars["AccountSid"] != c.account.SID {
		return notFound(c.path)
	}
	k, rep, ok := c.makeKey(KeyStandard, nil)
	if !ok {
		return rep
	}
	v := viewKey2010(k)
	v.Secret = k.Secret
	return reply{status: http.StatusCreated, body: v}
}

func fetchKey2010(c *call) reply {
	c.mu.RLock()
	defer c.mu.RUnlock()
	k := c.key()
	if k == nil {
		return notFound(c.path)
	}
	return ok(http.StatusOK, viewKey2010(k))
}

func updateKey2010(c *call) reply {
	k, rep, ok := c.changeKey(func(*key) (reply, bool) { return reply{}, true })
	if !ok {
		return rep
	}
	return reply{status: http.StatusOK, body: viewKey2010(k)}
}

// KeySecret is the secret of an API key of the account, for who checks what was
// signed with it. A Restricted key signs no token that Twilio accepts, so it is
// not found.
func (e *Emulator) KeySecret(sid string) (secret string, ok bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	k := e.st.key(sid)
	if k == nil || k.Type == KeyRestricted {
		return "", false
	}
	return k.Secret, true
}
