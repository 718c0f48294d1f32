package store

import "time"

// FlexConfiguration is Flex's configuration as a fresh account has it; what POST
// changed is laid over it. Its links begin with base. REST and Flex UI itself both read it.
func (c *content) FlexConfiguration(base string) map[string]any {
	a := c.Meta.Account
	at := func(kind string) string { return kind + a.WorkspaceSID[2:] }
	conf := map[string]any{
		"account_sid":                     a.SID,
		"date_created":                    c.Meta.Created.UTC().Format(time.RFC3339),
		"date_updated":                    c.Meta.FlexUpdated.UTC().Format(time.RFC3339),
		"attributes":                      map[string]any{},
		"status":                          "ok",
		"taskrouter_workspace_sid":        a.WorkspaceSID,
		"taskrouter_target_workflow_sid":  at("WW"),
		"taskrouter_target_taskqueue_sid": a.QueueSID(),
		"taskrouter_taskqueues":           []any{map[string]any{"sid": a.QueueSID(), "targettable": true}},
		"taskrouter_skills":               flexSkills(),
		"taskrouter_worker_channels":      map[string]any{},
		"taskrouter_worker_attributes":    map[string]any{},
		"taskrouter_offline_activity_sid": c.FlexSpace().DefaultActivity,
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
		"url":                             base + "/v1/Configuration",
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
	for name, value := range c.Meta.Flex {
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
