package coverage_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/emulator/coverage"
	"github.com/flexvc/flexvc/internal/emulator/emulatortest"
)

var update = flag.Bool("update", false, "write the generated files")

func TestCoverageFileIsUpToDate(t *testing.T) {
	const file = "../../../COVERAGE.md"
	want := coverage.Markdown()
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
		t.Error("COVERAGE.md differs from its source: go test ./internal/emulator/coverage -run TestCoverage -update")
	}
}

func TestOperationsAreThoseOfTheSpecifications(t *testing.T) {
	docs := emulatortest.Specs(t)
	known := string(coverage.Markdown())
	for product, doc := range docs {
		for path, item := range doc.Paths.Map() {
			for method, op := range item.Operations() {
				request := fmt.Sprintf("`%s %s`", method, path)
				line := ""
				for l := range strings.Lines(known) {
					if strings.Contains(l, request) {
						line += l
					}
				}
				if !strings.Contains(line, op.OperationID) {
					t.Errorf("%s: %s %s is not in the table of operations", product, op.OperationID, request)
				}
			}
		}
	}
}
