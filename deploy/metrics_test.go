package deploy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Every figure that the servers show is in README.md once, with its labels, and
// nothing else is.
func TestMetricsAreDocumented(t *testing.T) {
	inCode := metricsInCode(t)
	if len(inCode) < 20 {
		t.Fatalf("only %d metrics found in the code: the walk is broken", len(inCode))
	}
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `(flexvc_[a-z_]+)` \\| (.*?) ?\\| (.+) \\|$")
	documented := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		name, labels := m[1], m[2]
		if documented[name] {
			t.Errorf("README.md has two rows for %s", name)
		}
		documented[name] = true
		known, ok := inCode[name]
		if !ok {
			t.Errorf("README.md documents %s, which no server shows", name)
		}
		for label := range known {
			if !regexp.MustCompile(`\b` + label + `\b`).MatchString(labels) {
				t.Errorf("README.md does not say that %s has the label %s", name, label)
			}
		}
	}
	for name := range inCode {
		if !documented[name] {
			t.Errorf("README.md has no row for %s", name)
		}
	}
	for _, name := range regexp.MustCompile(`flexvc_[a-z_]+`).FindAllString(string(text), -1) {
		if _, ok := inCode[name]; !ok {
			t.Errorf("README.md speaks of %s, which no server shows", name)
		}
	}
}

// Each alert asks for figures that the servers show, and says what is wrong.
func TestAlertsAskForMetricsThereAre(t *testing.T) {
	inCode := metricsInCode(t)
	rules := read(t, "prometheus/flexvc.rules.yaml")[0].at("groups", 0, "rules")
	all, ok := rules.value.([]any)
	if !ok || len(all) < 8 {
		t.Fatalf("%d rules", len(all))
	}
	for i := range all {
		rule := rules.at(i)
		name, expr := rule.at("alert").value, rule.at("expr").value.(string)
		metrics := regexp.MustCompile(`flexvc_[a-z_]+`).FindAllString(expr, -1)
		if len(metrics) == 0 {
			t.Errorf("%s asks for nothing: %s", name, expr)
		}
		for _, metric := range metrics {
			if _, ok := inCode[metric]; !ok {
				t.Errorf("%s asks for %s, which no server shows", name, metric)
			}
		}
		if text, _ := rule.at("annotations", "summary").value.(string); text == "" {
			t.Errorf("%s does not say what is wrong", name)
		}
		rule.at("labels", "severity")
	}
}

// metricsInCode finds the metrics in the string literals of the program, with
// those of their labels that stand beside the name.
func metricsInCode(t *testing.T) map[string]map[string]bool {
	t.Helper()
	metric := regexp.MustCompile(`^(flexvc_[a-z_]+)(?:\{(.*?)\})?(?: |$)`)
	label := regexp.MustCompile(`([a-z]+)=`)
	found := map[string]map[string]bool{}
	err := filepath.WalkDir(filepath.Join("..", "internal"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			m := metric.FindStringSubmatch(text)
			if m == nil {
				return true
			}
			if found[m[1]] == nil {
				found[m[1]] = map[string]bool{}
			}
			for _, l := range label.FindAllStringSubmatch(m[2], -1) {
				found[m[1]][l[1]] = true
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
