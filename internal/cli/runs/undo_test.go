package runs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
)

// TestRollbackLeavesBehindTheAgentsWhoMoved: each login after enable rewrites the
// attributes, and exactly those agents would stay on the extension.
func TestRollbackLeavesBehindTheAgentsWhoMoved(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 250, SeedValue: 7})
	s.Wants(0, []string{"workers", "disable", "--all", "--reset-contact-uri", "--yes"}, "^Done: ")
	before := s.Attributes()
	s.Wants(0, []string{"workers", "enable", "--all", "--yes"}, "^Done: ")
	run := s.LatestRun()

	moved := 0
	for _, sid := range slices.Sorted(maps.Keys(before)) {
		text := s.Attributes()[sid]
		after, ok := loggedIn(text, moved%2 == 0)
		if !ok {
			continue
		}
		if err := s.Edit(sid, after); err != nil {
			t.Fatal(err)
		}
		if moved++; moved == 100 {
			break
		}
	}
	if moved != 100 {
		t.Fatalf("%d agents logged in, want 100", moved)
	}

	s.Wants(0, []string{"runs", "rollback", run, "--yes"}, `^Done: \d+ restored\.$`)
	if n := s.Enabled(); n != 0 {
		t.Errorf("%d workers are still enabled", n)
	}
	s.WantAttributes("rolled back", before)
	exit, out, _ := s.Outputs("watch", "--once", "--exit-code", "-o", "json")
	if exit != 0 || strings.Contains(out, `"state":"stale"`) {
		t.Errorf("watch exits with %d and says\n%s", exit, out)
	}
}

// loggedIn is what Flex makes of the attributes when the agent of an enabled
// worker logs in: the plugin changes contact_uri, and the browser writes the whole
// document as JSON.stringify does. plain keeps the spelling, for the sake of
// writers that do.
func loggedIn(text string, plain bool) (string, bool) {
	var doc map[string]any
	if json.Unmarshal([]byte(text), &doc) != nil {
		return "", false
	}
	uri, _ := doc["contact_uri"].(string)
	identity, ok := strings.CutPrefix(uri, "client:")
	if !ok {
		return "", false
	}
	if plain {
		return strings.Replace(text, `"client:`+identity, `"client:ext_`+identity, 1), true
	}
	dec := json.NewDecoder(strings.NewReader(text))
	_, _ = dec.Token()
	var members []string
	for dec.More() {
		key, _ := dec.Token()
		var value any
		if dec.Decode(&value) != nil {
			return "", false
		}
		if key == "contact_uri" {
			value = "client:ext_" + identity
		}
		members = append(members, stringify(key)+":"+stringify(value))
	}
	return "{" + strings.Join(members, ",") + "}", true
}

// stringify spells a value without white space and escapes, and numbers as a
// browser does.
func stringify(value any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		panic(fmt.Sprint(value, err))
	}
	return strings.TrimSpace(b.String())
}
