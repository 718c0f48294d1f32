package config

import (
	"strings"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
)

// settingRow is one line of a list.
type settingRow struct {
	Name   string `json:"name"`             // as flexvc config get takes it
	Value  string `json:"value"`            // empty: unset; of a secret only "set", "unset" or "unreadable"
	Origin string `json:"origin,omitempty"` // where the value comes from
}

type settingJSON struct {
	V int `json:"v"` // version of the format
	settingRow
}

type settingsJSON struct {
	V        int          `json:"v"`        // version of the format
	File     string       `json:"file"`     // path of flexvc.yaml
	Profile  string       `json:"profile"`  // its name
	Settings []settingRow `json:"settings"` // all there are; origins with --origin only
}

type setJSON struct {
	V       int    `json:"v"`                 // version of the format
	File    string `json:"file"`              // path of flexvc.yaml
	Profile string `json:"profile,omitempty"` // its name; absent for active_profile, which belongs to none
	Name    string `json:"name"`              // of the setting
	Value   string `json:"value"`             // empty: removed
}

type profileJSON struct {
	V       int    `json:"v"`                 // version of the format
	Name    string `json:"name"`              // as -p takes it
	Source  string `json:"source"`            // where it is kept
	Account string `json:"account,omitempty"` // SID, AC…
	Active  bool   `json:"active"`            // it is used when -p names none
}

// Shapes are what flexvc config and flexvc profiles print.
func Shapes() []cli.Shape {
	return append(cli.PlannedShapes(importPlan{}, cli.SummaryJSON{}, "config import"),
		cli.Shape{Commands: []string{"config get"}, Name: "setting", Of: settingJSON{}, When: "Alone."},
		cli.Shape{Commands: []string{"config list"}, Name: "settings", Of: settingsJSON{}, When: "Alone."},
		cli.Shape{Commands: []string{"config set"}, Name: "set", Of: setJSON{}, When: "Alone, when the setting was stored."},
		cli.Shape{Commands: []string{"profiles"}, Name: "profile", Of: profileJSON{}, When: "Once for each profile."})
}

// view is what `flexvc config list` prints.
type view interface {
	list(cfg *config.Config, rows []settingRow) error
}

type textView struct{ *listOptions }

func (v textView) list(cfg *config.Config, rows []settingRow) error {
	ui := v.App.UI
	ui.Note("profile %q of %s", cfg.Profile, cfg.Short(cfg.File))
	headers := []string{"SETTING", "VALUE", "ORIGIN"}
	if !v.Origin {
		headers = headers[:2]
	}
	cells := make([][]string, len(rows))
	for i, row := range rows {
		value := strings.TrimSpace(row.Value)
		if ui.OutTTY {
			value = ui.SID(value)
		}
		if value == "" {
			value = "unset"
		}
		cells[i] = []string{row.Name, value, row.Origin}[:len(headers)]
	}
	ui.Table(headers, cells)
	return nil
}

type jsonView struct{ *listOptions }

func (v jsonView) list(cfg *config.Config, rows []settingRow) error {
	if !v.Origin {
		for i := range rows {
			rows[i].Origin = ""
		}
	}
	return cli.PrintJSON(v.App.UI.Out, settingsJSON{1, cfg.File, cfg.Profile, rows})
}
