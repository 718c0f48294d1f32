//go:build !windows

package tree

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
)

// A passphrase is typed unseen, twice, and again when it cannot be used; what was
// sealed with it is opened with it.
func TestPassphraseAtATerminal(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 2})
	s.Wants(0, []string{"init", "--yes"})
	const phrase = "correct horse battery"
	export := filepath.Join(t.TempDir(), "acme.flexvc")

	tm := s.Terminal(80, "config", "export", "--sealed", "--out", export)
	answer := func(question, text string) {
		t.Helper()
		tm.Await(question + `: $`)
		tm.Unseen()
		tm.Types(text + "\n")
	}
	answer(`passphrase \(12 characters or more\)`, "too short")
	answer(`warning: the passphrase is shorter than 12 characters: try again\s+passphrase \(.*`, phrase)
	answer(`the same passphrase again`, phrase+"!")
	answer(`warning: the two passphrases differ: try again\s+passphrase \(.*`, phrase)
	answer(`the same passphrase again`, phrase)
	if screen := tm.Exit(0); !strings.Contains(screen, "exported profile") || strings.Contains(screen, "horse") || strings.Contains(screen, "too short") {
		t.Errorf("the screen shows\n%s", screen)
	}
	if _, err := os.Stat(export); err != nil {
		t.Fatal(err)
	}

	tm = s.Terminal(80, "config", "import", export)
	answer(`passphrase`, "another phrase altogether")
	if screen := tm.Exit(problem.ExitUsage); !strings.Contains(screen, "the passphrase is wrong") {
		t.Errorf("the screen shows\n%s", screen)
	}
	tm = s.Terminal(80, "config", "import", export)
	answer(`passphrase`, phrase)
	if screen := tm.Exit(0); !strings.Contains(screen, "No changes") {
		t.Errorf("the screen shows\n%s", screen)
	}

	// Three are enough.
	tm = s.Terminal(80, "config", "export", "--sealed")
	for range 3 {
		answer(`passphrase \(.*`, "")
	}
	if screen := tm.Exit(problem.ExitUsage); strings.Count(screen, "the passphrase is empty") != 3 {
		t.Errorf("the screen shows\n%s", screen)
	}
}

// TestInterruptedPassphraseLeftTheTerminalDumb: whenever ^C comes, the terminal shows
// again what is typed.
func TestInterruptedPassphraseLeftTheTerminalDumb(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 2})
	s.Wants(0, []string{"init", "--yes"})
	for _, typed := range []string{"", "correct"} {
		tm := s.Terminal(80, "config", "export", "--sealed")
		tm.Await(`12 characters or more\): $`)
		if typed != "" {
			tm.Unseen()
		}
		tm.Types(typed + "\x03")
		if screen := tm.Exit(problem.ExitInterrupted); !strings.Contains(screen, "error: interrupted before anything was changed") || strings.Contains(screen, "correct") {
			t.Errorf("the screen shows\n%s", screen)
		}
		tm.WantAsBefore()
	}
}
