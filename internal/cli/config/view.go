package config

import (
	"strings"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
)

// settingRow is one line of a list.
type settingRow struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Origin string `json:"origin,omitempty"`
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
	return cli.PrintJSON(v.App.UI.Out, struct {
		V        int          `json:"v"`
		File     string       `json:"file"`
		Profile  string       `json:"profile"`
		Settings []settingRow `json:"settings"`
	}{1, cfg.File, cfg.Profile, rows})
}
