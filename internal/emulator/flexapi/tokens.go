package flexapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
)

func createFlexUserToken(c *emulator.Call) *emulator.Reply {
	const most = int64(emulator.MaxTokenLife / time.Second)
	var request struct {
		TTL *int64 `json:"ttl"`
	}
	if json.Unmarshal(c.Body, &request) != nil {
		return emulator.Invalid("The request body is not a JSON object with a number ttl")
	}
	ttl := int64(3600)
	if request.TTL != nil {
		ttl = *request.TTL
	}
	if ttl < 1 || ttl > most {
		return emulator.Invalid("Invalid ttl %d: it must be 1 to %d seconds", ttl, most)
	}
	if !inInstance(c) {
		return c.NotFound()
	}
	_, w := c.Store.Worker("WK" + strings.TrimPrefix(c.Vars["FlexUserSid"], "FU"))
	if w == nil || !w.FlexUser || w.FlexUserSID() != c.Vars["FlexUserSid"] {
		return c.NotFound()
	}
	text, t, no := c.Mint(w, time.Duration(ttl)*time.Second)
	if no != nil {
		return no
	}
	info := tokenInfo(c, emulator.Holder{Worker: w, Expires: t.Expires})
	info["username"] = w.FriendlyName
	return emulator.Created(map[string]any{"access_token": text, "token_info": info})
}

func tokenInfo(c *emulator.Call, h emulator.Holder) map[string]any {
	return map[string]any{
		"account_sid": c.Account.SID, "flex_instance_sid": c.Account.FlexInstanceSID, "flex_user_sid": h.Worker.FlexUserSID(),
		"identity": h.Identity(), "roles": h.Worker.Profile().Roles, "permissions": []string{},
		"expiration": emulator.StampMillis(h.Expires),
	}
}

// fetchTokenInfo is what Flex UI 2.17 asks rather than IAM: the token is its own
// credential. It does not tell the body's token and the password apart.
func fetchTokenInfo(c *emulator.Call) *emulator.Reply {
	user, password := c.BasicAuth()
	text, _ := c.Filled("Token")
	if user != "token" || text == "" || strings.TrimSuffix(password, ")") != text { // the Flex SDK appends a stray ")"
		return emulator.Unauthorized("Authentication Error - invalid username")
	}
	if c.Vars["AccountSid"] != c.Account.SID {
		return c.NotFound()
	}
	h, code, why := c.Holder(text)
	if code != 0 {
		return emulator.Refuse(http.StatusUnauthorized, code, "%d: %s", code, why)
	}
	email := h.Worker.Profile().Email
	info := tokenInfo(c, h)
	info["valid"], info["realm_user_id"], info["name_id"], info["worker_sid"] = true, email, email, h.Worker.SID
	return emulator.OK(info)
}
