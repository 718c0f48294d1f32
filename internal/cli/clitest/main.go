package clitest

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Main makes the test binary serve as flexvc in the stories, and wherever a
// test starts a process of its own. A line that such a process prints with -o json
// and that its schema does not allow fails the tests.
func Main(m *testing.M, flexvc func(args []string, getenv func(string) string, in io.Reader, out, err io.Writer) int) {
	run(&suite{M: m}, flexvc)
}

// MainOfAll is Main for the tests that see every shape of every schema, unless one
// is in unseen, with the reason, as "schema shape".
func MainOfAll(m *testing.M, flexvc func(args []string, getenv func(string) string, in io.Reader, out, err io.Writer) int, unseen map[string]string) {
	run(&suite{M: m, all: true, unseen: unseen}, flexvc)
}

func run(s *suite, flexvc func(args []string, getenv func(string) string, in io.Reader, out, err io.Writer) int) {
	// The parallel tests wait for processes and emulated delays far more than
	// they compute. -parallel on the command line wins: it is parsed later.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	testscript.Main(s, map[string]func(){
		"flexvc": func() {
			out, err := checkLines(os.Args[1:], os.Stdout, os.Stderr)
			os.Exit(flexvc(os.Args[1:], os.Getenv, os.Stdin, out, err))
		},
	})
}

// suite runs the tests, and then looks at what their processes noted.
type suite struct {
	*testing.M
	all    bool
	unseen map[string]string
}

func (s *suite) Run() int {
	folder, err := os.MkdirTemp("", "flexvc-lines-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	if err := os.Setenv(LinesFolder, folder); err != nil {
		panic(err)
	}
	exit := s.M.Run()
	seen := map[string]bool{}
	entries, err := os.ReadDir(folder)
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		seen[e.Name()] = true
		if strings.HasPrefix(e.Name(), violation) {
			text, _ := os.ReadFile(filepath.Join(folder, e.Name()))
			fmt.Printf("--- FAIL: %s", text)
			exit = max(exit, 1)
		}
	}
	// A few of the tests, or their list, print a few of the lines.
	if f := flag.Lookup("test.run"); !s.all || f.Value.String() != "" || flag.Lookup("test.list").Value.String() != "" || testing.Short() {
		return exit
	}
	for _, missing := range unseen(seen, s.unseen) {
		fmt.Printf("--- FAIL: %s\n", missing)
		exit = max(exit, 1)
	}
	return exit
}

// unseen says of which shapes no line was printed.
func unseen(seen map[string]bool, reasons map[string]string) (all []string) {
	paths, err := filepath.Glob(filepath.Join(Schemas(), "*.json"))
	if err != nil || len(paths) == 0 {
		return []string{"there are no schemas in " + Schemas()}
	}
	reasons = maps.Clone(reasons)
	for _, path := range paths {
		check, err := NewChecker(strings.TrimSuffix(filepath.Base(path), ".json"))
		if err != nil {
			return []string{err.Error()}
		}
		for _, shape := range check.Shapes() {
			name := check.schema + " " + shape
			reason, excused := reasons[name]
			delete(reasons, name)
			switch {
			case !seen[name] && !excused:
				all = append(all, "no test prints a line of the shape "+name)
			case seen[name] && excused:
				all = append(all, name+" was printed, although: "+reason)
			}
		}
	}
	for name := range reasons {
		all = append(all, "there is no shape "+name)
	}
	slices.Sort(all)
	return all
}
