//go:build ignore

package emulator_test

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"testing"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/flexui"
)

var update = flag.Bool("update", false, "write the generated files")

func TestCoverageFileIsUpToDate(t *testing.T) {
	const file = "../../COVERAGE.md"
	want := slices.Concat(emulator.CoverageMarkdown(), flexui.CoverageMarkdown())
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("COVERAGE.md differs from its source: go test ./internal/emulator -run TestCoverage -update")
	}
}
