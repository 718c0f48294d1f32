package problem_test

import (
	"testing"

	"github.com/flexvc/flexvc/internal/problem"
)

func TestNearest(t *testing.T) {
	settings := []string{"region", "edge", "account_sid", "workspace_sid", "profiles"}
	workers := []string{"alice.haddad", "bob", "Jürgen", "carol@example.com", "agent1", "agent2"}
	for _, test := range []struct {
		name  string
		known []string
		want  string
	}{
		{"regoin", settings, "region"},
		{"acount_sid", settings, "account_sid"},
		{"acont_sid", settings, "account_sid"},
		{"profile", settings, "profiles"},
		{"egde", settings, "edge"}, // changed places, so one edit
		{"edgy", settings, "edge"},
		{"edit", settings, ""}, // two edits in four letters
		{"EDGE", settings, "edge"},
		{"colour", settings, ""},
		{"", settings, ""},
		{"agnet2", workers, "agent2"},
		{"alice.hadad", workers, "alice.haddad"},
		{"bo", workers, "bob"},
		{"x", []string{"y"}, ""},
		{"jurgen", workers, "Jürgen"}, // a letter, whatever its bytes
		{"dora@example.com", workers, ""},
		{"agent3", workers, "agent1"}, // the first of the equally near
	} {
		if got := problem.Nearest(test.name, test.known); got != test.want {
			t.Errorf("Nearest(%q) = %q, want %q", test.name, got, test.want)
		}
	}
	if got := problem.Nearest("region", nil); got != "" {
		t.Errorf("among none: %q", got)
	}
}
