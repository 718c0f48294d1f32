package livequery_test

import (
	"testing"

	"github.com/flexvc/flexvc/internal/emulator/flexui/livequery"
)

func TestParse(t *testing.T) {
	row := map[string]any{
		"worker_sid": "WK1", "activity_name": "On a \"Break\"",
		"attributes": map[string]any{"full_name": "Ana Díaz", "rate": 2},
	}
	for query, want := range map[string]bool{
		``:                                               true,
		`data.worker_sid == "WK1"`:                       true,
		`data.worker_sid != "WK1"`:                       false,
		`data.worker_sid == "WK2"`:                       false,
		`data.attributes.rate == 2`:                      true,
		`data.activity_name == "On a \"Break\""`:         true,
		`data.attributes.full_name CONTAINS "díaz"`:      true,
		`data.worker_sid IN ["WK0", "WK1"]`:              true,
		`data.worker_sid NOT_IN ["WK0","WK1"]`:           false,
		`data.worker_sid == "WK1" && (data.gone == "x")`: false,
		`data.gone == "x" OR data.worker_sid == "WK1" AND data.attributes.rate == 2`:   true,
		`(data.gone == "x" OR data.worker_sid == "WK1") AND data.attributes.rate == 3`: false,
	} {
		is, err := livequery.Parse(query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
		} else if got := is(row); got != want {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	for _, wrong := range []string{`worker_sid == "x"`, `data.a`, `data.a == `, `data.a IN ["x"`, `(data.a == "x"`, `data.a == "x" data.b == "y"`, `data.a == "x" AND`, `data.a ~ "x"`} {
		if _, err := livequery.Parse(wrong); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}
