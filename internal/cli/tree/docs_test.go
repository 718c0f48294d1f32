package tree

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
)

// TestTheDocumentedWayBackLeavesNobodyStale follows docs/rollout.md as printed:
// every agent is enabled, half of them have moved, and then comes the way back.
func TestTheDocumentedWayBackLeavesNobodyStale(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 40})
	for _, args := range [][]string{{"init", "--yes"}, {"plugin", "deploy", "--yes"}, {"workers", "enable", "--all", "--yes"}} {
		if exit, out := s.Run(args...); exit != 0 && exit != 3 {
			t.Fatalf("%q exits with %d:\n%s", args, exit, out)
		}
	}
	logIn(s, 20)
	lines := commandsIn(t, "docs/rollout.md", "## The way back")
	for _, args := range lines {
		follow(s, args)
	}
}

// commandsIn returns the command lines of flexvc that a document prints below a
// heading, without what a shell ignores.
func commandsIn(t *testing.T, file, heading string) (lines [][]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", file))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n"+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		command, ok := strings.CutPrefix(line, "    flexvc ")
		if !ok {
			continue
		}
		command, _, _ = strings.Cut(command, " #")
		lines = append(lines, strings.Fields(command))
	}
	if !found || len(lines) == 0 {
		t.Fatalf("%s prints no command below %q", file, heading)
	}
	return lines
}

// follow types a command line at a terminal, answers its question with yes, and
// wants it to end well.
func follow(s *clitest.Flexvc, args []string) {
	s.T.Helper()
	tm := s.Terminal(100, args...)
	tm.Types("yes\n") // waits in the terminal until somebody asks
	tm.Exit(0)
}

// logIn does what the plugin does when an agent with the extension starts Flex,
// for the first n enabled workers who are on the tab.
func logIn(s *clitest.Flexvc, n int) {
	s.T.Helper()
	for _, w := range s.ExportWorkers() {
		flag, uri := attributes.Inspect(&w.Attributes)
		identity, ok := strings.CutPrefix(uri, "client:")
		if n == 0 || flag != attributes.Enabled || !ok || strings.HasPrefix(identity, "ext_") {
			continue
		}
		clitest.Check(s.T, s.Edit(w.SID, strings.Replace(w.Attributes, `"client:`, `"client:ext_`, 1)))
		n--
	}
	if n > 0 {
		s.T.Fatalf("%d agents too few can log in", n)
	}
}
