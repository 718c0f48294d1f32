//go:build ignore

package emulator

import (
	"encoding/json"
	"maps"
	"net/http"
	"time"
)

// configuration is Flex's configuration as a fresh account has it; what POST
// changed is laid over it.
func (c *call) configuration() map[string]any {
	a := c.account
	at := func(kind string) string { return kind + a.WorkspaceSID[2:] }
	conf := map[string]any{
		"account_sid":                     a.SID,
		"date_created":                    stamp(c.st.meta.Created),
		"date_updated":                    stamp(c.st.meta.FlexUpdated),
		"attributes":                      map[string]any{},
		"status":                          "ok",
		"taskrouter_workspace_sid":        a.WorkspaceSID,
		"taskrouter_target_workflow_sid":  at("WW"),
		"taskrouter_target_taskqueue_sid": a.queueSID(),
		"taskrouter_taskqueues":           []any{map[string]any{"sid": a.queueSID(), "targettable": true}},
		"taskrouter_skills":               flexSkills(),
		"taskrouter_worker_channels":      map[string]any{},
		"taskrouter_worker_attributes":    map[string]any{},
		"taskrouter_offline_activity_sid": c.st.space(a.WorkspaceSID).DefaultActivity,
		"runtime_domain":                  "https://emulated-runtime.twil.io",
		"messaging_service_instance_sid":  at("MG"),
		"chat_service_instance_sid":       at("IS"),
		"flex_service_instance_sid":       at("IS"),
		"flex_instance_sid":               a.FlexInstanceSID,
		"ui_language":                     "en-US",
		"ui_attributes":                   map[string]any{"appBar": map[string]any{}},
		"ui_dependencies":                 map[string]any{},
		"ui_version":                      "2.17.1",
		"service_version":                 "1.0.0",
		"call_recording_enabled":          false,
		"call_recording_webhook_url":      nil,
		"crm_enabled":                     false,
		"crm_type":                        nil,
		"crm_callback_url":                nil,
		"crm_fallback_url":                nil,
		"crm_attributes":                  nil,
		"public_attributes":               map[string]any{},
		"plugin_service_enabled":          true,
		"plugin_service_attributes":       map[string]any{},
		"integrations":                    []any{},
		"outbound_call_flows":             map[string]any{"default": map[string]any{"enabled": false}},
		"serverless_service_sids":         []any{},
		"queue_stats_configuration":       map[string]any{},
		"notifications":                   map[string]any{},
		"markdown":                        map[string]any{"enabled": false},
		"url":                             c.base() + "/v1/Configuration",
		"flex_insights_hr":                nil,
		"flex_insights_drilldown":         nil,
		"flex_url":                        "https://flex.twilio.com/emulated-runtime",
		"channel_configs":                 []any{},
		"debugger_integration":            map[string]any{"enabled": false},
		"flex_ui_status_report":           map[string]any{"enabled": false},
		"agent_conv_end_methods":          nil,
		"citrix_voice_vdi":                nil,
		"offline_config":                  nil,
	}
	for name, value := range c.st.meta.Flex {
		conf[name] = value
	}
	return conf
}

func flexSkills() []any {
	var list []any
	for _, name := range skills {
		list = append(list, map[string]any{"name": name, "multivalue": true, "minimum": 1, "maximum": 10})
	}
	return list
}

func fetchConfiguration(c *call) reply {
	if c.noFlex {
		return notFound(c.path)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return ok(http.StatusOK, c.configuration())
}

// settled names what POST cannot change.
var settled = map[string]bool{"account_sid": true, "date_created": true, "date_updated": true, "url": true, "flex_instance_sid": true}

func updateConfiguration(c *call) reply {
	if c.noFlex {
		return notFound(c.path)
	}
	var given map[string]json.RawMessage
	if json.Unmarshal(c.body, &given) != nil || given == nil {
		return invalid("The request body is not a JSON object")
	}
	var account string
	if json.Unmarshal(given["account_sid"], &account) != nil || account != c.account.SID {
		return invalid("account_sid is missing or not the account's")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.configuration()
	m := c.st.meta
	m.Flex = maps.Clone(m.Flex)
	if m.Flex == nil {
		m.Flex = map[string]json.RawMessage{}
	}
	for name, value := range given {
		if _, ok := known[name]; !ok {
			return invalid("Unknown field %s", name)
		}
		if !settled[name] {
			m.Flex[name] = value
		}
	}
	m.FlexUpdated = c.now.Truncate(time.Second)
	if err := c.st.put(m.record()); err != nil {
		return c.broken(err)
	}
	c.st.meta = m
	return ok(http.StatusOK, c.configuration())
}

// --- Flex users

type flexUserView struct {
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

// agent is what Flex knows of a worker besides its friendly name. It reads the
// attributes, as the emulator keeps no second copy that could disagree.
type agent struct {
	FullName string   `json:"full_name"`
	Email    string   `json:"email"`
	Roles    []string `json:"roles"`
}

func (w *worker) agent() agent {
	var a agent
	if json.Unmarshal([]byte(w.Attributes), &a) != nil {
		a = agent{}
	}
	if a.Email == "" {
		a.Email = w.FriendlyName
	}
	if len(a.Roles) == 0 {
		a.Roles = []string{"agent"}
	}
	return a
}

func listFlexUsers(c *call) reply {
	if c.noFlex || c.vars["InstanceSid"] != c.account.FlexInstanceSID {
		return notFound(c.path)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return paged(c, "users", listing[*worker]{
		rows: c.st.space(c.account.WorkspaceSID).workers,
		pos:  func(w *worker) position { return position{Seq: w.Seq} },
		keep: func(w *worker) bool { return w.FlexUser },
	}, func(w *worker) any {
		a := w.agent()
		return flexUserView{
			FlexUserSID: w.flexUser(), InstanceSID: c.account.FlexInstanceSID, AccountSID: c.account.SID, WorkerSID: w.SID,
			Username: w.FriendlyName, Email: a.Email, FullName: a.FullName, Roles: a.Roles,
			Created: stamp(w.Created), Updated: stamp(w.Updated),
		}
	})
}
