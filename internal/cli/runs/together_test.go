package runs_test

import (
	"maps"
	"regexp"
	"slices"
	"testing"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
)

var flagTime = regexp.MustCompile(`,"` + attributes.EnabledAtKey + `":\d+`)

// TestEveryWayBackTakesTheTimeOfTheFlagAlong: enabled, logged in, and then rolled
// back, disabled or torn down, workers keep no key of flexvc's that they did not
// have, and every other byte as it was; also those that an older flexvc enabled,
// which kept no time.
func TestEveryWayBackTakesTheTimeOfTheFlagAlong(t *testing.T) {
	for _, c := range []struct {
		name     string
		args     func(run string) []string
		disabled bool // the flag stays, as false
	}{
		{"rollback", func(run string) []string { return []string{"runs", "rollback", run, "--yes"} }, false},
		{"disable", func(string) []string { return []string{"workers", "disable", "--all", "--reset-contact-uri", "--yes"} }, true},
		{"teardown", func(string) []string { return []string{"teardown", "--yes"} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := clitest.Serve(t, emulator.Options{Agents: 40, SeedValue: 11})
			for sid, text := range s.Attributes() {
				if flag, _ := attributes.Inspect(&text); flag == attributes.Enabled {
					clitest.Check(t, s.Edit(sid, `{"contact_uri":"client:somebody"}`))
				}
			}
			before := s.Attributes()
			s.Wants(0, []string{"workers", "enable", "--all", "--yes"}, "^Done: ")
			run := s.LatestRun()
			timed := 0
			for n, sid := range slices.Sorted(maps.Keys(before)) {
				text := s.Attributes()[sid]
				if !attributes.EnabledAt(&text).IsZero() {
					timed++
				}
				if n%3 == 0 { // as an older flexvc left it
					text = flagTime.ReplaceAllString(text, "")
				}
				if moved, ok := loggedIn(text, true); ok {
					text = moved
				}
				clitest.Check(t, s.Edit(sid, text))
			}
			if timed != len(before) {
				t.Errorf("%d of %d workers have the time at which they were enabled", timed, len(before))
			}

			if exit, out := s.Run(c.args(run)...); exit != 0 {
				t.Fatalf("exit %d\n%s", exit, out)
			}
			want := maps.Clone(before)
			if c.disabled {
				for sid, text := range before {
					enabled, _, err := attributes.Edit{Enable: true}.Apply(text)
					clitest.Check(t, err)
					want[sid], _, err = attributes.Edit{}.Apply(enabled)
					clitest.Check(t, err)
				}
			}
			got := s.Attributes()
			for sid := range want {
				if got[sid] != want[sid] {
					t.Errorf("%s was\n%s\nand holds\n%s\nwant\n%s", sid, before[sid], got[sid], want[sid])
				}
			}
			s.Wants(0, []string{"watch", "--once", "--exit-code"})
		})
	}
}
