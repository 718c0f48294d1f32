package flexui

import (
	"net/http"
	"strings"

	"github.com/flexvc/flexvc/internal/emulator"
)

const aim = "https://aim.us1.twilio.com/Client/v2/"

// carried answers a request over Twilsock with a status and a body. Its
// services have just enough for the Conversations client to become ready: an
// agent with no conversations, told so by REST and by a Sync map that stays
// empty. Without it Flex UI refreshes the token of a client that it never made.
func carried(login emulator.Login, r twilsockRequest) (status int, body object) {
	// There is no map of the agent's own name and attributes, which the client
	// can do without.
	mine := "MP" + strings.TrimPrefix(login.SID, "WK")
	maps := "/v3/Maps/" + mine
	switch strings.ToUpper(r.Method) + " " + r.Host + r.Path {
	case "GET aim.us1.twilio.com/Client/v2/Configuration":
		return http.StatusOK, object{
			"identity":     login.Identity,
			"sync_objects": object{"my_conversations": mine},
			"links": object{
				"current_user":      aim + "Users/me",
				"users":             aim + "Users",
				"my_conversations":  aim + "MyConversations",
				"conversations":     aim + "Conversations",
				"messages_receipts": aim + "Conversations/Messages/Receipts",
				"typing":            aim + "Typing",
				"media_service":     "https://mcs.us1.twilio.com/v1/Services/Media",
				"media_set_service": "https://mcs.us1.twilio.com/v1/Services/MediaSet",
			},
			"options": object{
				"reachability_enabled":                     false,
				"user_infos_to_subscribe":                  100,
				"http_cache_interval":                      "PT1M",
				"consumption_report_interval":              "PT5S",
				"media_attachments_count_limit":            10,
				"media_attachment_size_limit_in_mb":        20,
				"media_attachments_total_size_limit_in_mb": 20,
				"email_bodies_allowed_mime_types":          []string{},
				"email_histories_allowed_mime_types":       []string{},
			},
		}
	case "GET aim.us1.twilio.com/Client/v2/MyConversations":
		return http.StatusOK, object{"conversations": []any{}, "meta": object{"next_token": nil}}
	case "POST aim.us1.twilio.com/Client/v2/Users/" + login.Identity:
		// Flex writes the worker's name, and nobody here reads it.
		return http.StatusOK, object{"identity": login.Identity}
	case "GET cds.us1.twilio.com" + maps:
		url := "https://cds.us1.twilio.com" + maps
		return http.StatusOK, object{
			"sid": mine, "unique_name": nil, "url": url, "links": object{"items": url + "/Items"},
			"revision": "0", "last_event_id": 0, "date_updated": "2025-01-01T00:00:00.000Z",
		}
	case "GET cds.us1.twilio.com" + maps + "/Items":
		return http.StatusOK, object{"items": []any{}, "meta": object{"key": "items"}}
	case "POST cds.us1.twilio.com/v4/Subscriptions":
		return http.StatusOK, object{"max_batch_size": 100, "estimated_delivery_in_ms": 10000}
	}
	return http.StatusNotFound, object{"code": 20404, "message": "not found", "status": http.StatusNotFound}
}
