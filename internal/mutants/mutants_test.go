package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestEveryMutantApplies: a mutant of code that has changed would kill nothing, and
// nobody would notice before make mutants.
func TestEveryMutantApplies(t *testing.T) {
	names := map[string]bool{}
	for _, m := range mutants {
		text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(m.file)))
		if err != nil {
			t.Error(err)
			continue
		}
		if broken, err := m.apply(string(text)); err != nil || broken == string(text) {
			t.Errorf("%s changes nothing: %v", m.name, err)
		}
		if names[m.name] || m.why == "" || len(m.tests) == 0 {
			t.Errorf("%s has another's name, no reason or no tests", m.name)
		}
		names[m.name] = true
	}
}
