package iam

import (
	"encoding/json"
	"net/http"

	"github.com/flexvc/flexvc/internal/emulator"
)

// validateToken tells whether a Flex token is good, and refuses one that is not
// in the way that a switch says.
func validateToken(c *emulator.Call) *emulator.Reply {
	var request struct {
		Token *string `json:"token"`
	}
	if json.Unmarshal(c.Body, &request) != nil || request.Token == nil {
		return emulator.Invalid("The request body is not a JSON object with a string token")
	}
	if c.Vars["AccountSid"] != c.Account.SID {
		return c.NotFound()
	}
	h, code, why := c.Holder(*request.Token)
	if code == 0 {
		p := h.Worker.Profile()
		return emulator.OK(map[string]any{
			"valid": true, "code": 0, "message": nil, "expiration": emulator.StampMillis(h.Expires),
			"realm_user_id": p.Email, "identity": h.Identity(), "roles": p.Roles, "worker_sid": h.Worker.SID,
		})
	}
	switch c.Settings.ValidateFailure {
	case emulator.Failure401:
		return emulator.Refuse(http.StatusUnauthorized, code, "%s", why)
	case emulator.Failure403:
		return emulator.Refuse(http.StatusForbidden, code, "%s", why)
	case emulator.FailureNonJSON:
		return emulator.HTMLPage(http.StatusForbidden)
	}
	return emulator.OK(map[string]any{"valid": false, "code": code, "message": why})
}
