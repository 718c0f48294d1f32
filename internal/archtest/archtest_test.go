// Package archtest holds the project to ARCHITECTURE.md: who imports whom,
// where the process's globals are touched, and what the repository may hold. What
// the code does is tested beside it.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/flexvc/flexvc/internal/problem"
)

const module = "github.com/flexvc/flexvc/"

const root = "../.."

// source is one Go file outside testdata.
type source struct {
	path    string // slash-separated, from the repository's root
	pkg     string // its folder, such as internal/cli
	test    bool   // for tests only: a test file, or a folder such as internal/emulator/emulatortest
	file    *ast.File
	imports []string
}

var parsed = sync.OnceValues(parse)

func sources(t *testing.T) []source {
	t.Helper()
	all, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d Go files found: the walk is broken", len(all))
	}
	return all
}

func parse() (all []source, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "testdata" || name == "node_modules" || path != root && strings.HasPrefix(name, ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		s := source{path: rel, pkg: rel[:strings.LastIndex(rel, "/")], file: file}
		s.test = strings.HasSuffix(rel, "_test.go") || strings.HasSuffix(s.pkg, "test")
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, name)
		}
		all = append(all, s)
		return nil
	})
	return all, err
}

// TestThirdPartyHomes: a library that shapes code lives in one package, so that
// replacing it touches one package.
func TestThirdPartyHomes(t *testing.T) {
	homes := []struct {
		prefix, why string
		packages    []string
	}{
		{"github.com/spf13/cobra", "the command line is one package's business", []string{"internal/cli"}},
		{"github.com/spf13/viper", "settings reach the others as one plain struct", []string{"internal/config"}},
		{"github.com/twilio/twilio-go", "its quirks are handled once", []string{"internal/twilioapi"}},
		{"github.com/charmbracelet/bubbletea", "its first version asks the terminal for its colours whenever any command starts; use charm.land/bubbletea/v2", nil},
		{"charm.land/bubbletea", "only the watch screen is a program of its own", []string{"internal/tui"}},
		{"charm.land/lipgloss", "it looks the terminal up, inside tmux by running tmux, whenever any command starts; x/ansi has the styles", nil},
		{"github.com/pion", "media exists only on the emulated voice edge", []string{"internal/emulator/voice", "internal/emulator/voice/media"}},
		{"github.com/redis", "only what replicas of serve share is in it", []string{"internal/tokensrv", "internal/eventsrv"}},
		{"text/template", "a template calls methods by name, so the linker keeps every method of every type: 27 MB rather than 18", nil},
		{"html/template", "see text/template", nil},
		{"go.etcd.io/bbolt", "only the emulator keeps a database", []string{"internal/emulator/store"}},
	}
	for _, s := range sources(t) {
		for _, name := range s.imports {
			for _, home := range homes {
				if strings.HasPrefix(name, home.prefix) && !slices.ContainsFunc(home.packages, func(p string) bool { return s.pkg == p || strings.HasPrefix(s.pkg, p+"/") }) {
					t.Errorf("%s imports %s, which belongs to %s: %s", s.path, name, strings.Join(home.packages, " and "), home.why)
				}
			}
		}
	}
}

// TestEmulatorRooms: a product of Twilio's stands on the emulator's core alone, and
// the core on none, so that one can be added or changed in its own folder.
func TestEmulatorRooms(t *testing.T) {
	const at = "internal/emulator/"
	core := []string{"internal/emulator", at + "store", at + "fault", at + "outbox"}
	rooms := map[string][]string{
		"internal/emulator": {at + "store", at + "fault", at + "outbox", at + "journal"},
		at + "store":        {}, at + "fault": {}, at + "journal": {}, at + "outbox": {at + "fault"},
		at + "taskrouter": core, at + "flexapi": core, at + "serverless": append(core, at+"functions"), at + "events": core, at + "iam": core, at + "calls": core,
		at + "products":     {"internal/emulator", at + "taskrouter", at + "flexapi", at + "serverless", at + "events", at + "iam", at + "calls"},
		at + "coverage":     {"internal/emulator", at + "products", at + "flexui"},
		at + "emulatortest": nil, // for tests
		at + "flexui":       {"internal/emulator", at + "flexui/livequery"}, at + "flexui/livequery": {}, at + "voice": {at + "certificate", at + "voice/media"}, at + "voice/media": {}, at + "certificate": {},
		at + "functions": {at + "certificate"},
	}
	for _, s := range sources(t) {
		may, ok := rooms[s.pkg]
		if strings.HasPrefix(s.pkg, at) && !ok {
			t.Errorf("%s is in no room of the emulator that this test knows", s.path)
		}
		for _, name := range s.imports {
			own := strings.TrimPrefix(name, module)
			switch {
			case s.test:
			case own == at+"emulatortest":
				t.Errorf("%s imports %s, which is for tests", s.path, own)
			case ok && strings.HasPrefix(own+"/", at) && !slices.Contains(may, own):
				t.Errorf("%s may not import %s: a product stands on the emulator's core alone, and the core on none", s.path, own)
			}
		}
	}
}

// TestGlobals: the process's exit, environment and arguments are main's; a
// package that reaches for them cannot be tested side by side.
func TestGlobals(t *testing.T) {
	forbidden := map[string]string{"Exit": "", "Getenv": "", "LookupEnv": "", "Environ": "", "Args": "", "Setenv": ""}
	for _, s := range sources(t) {
		if s.test || s.pkg == "cmd/flexvc" || s.file.Name.Name == "main" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == "os" {
				if _, bad := forbidden[sel.Sel.Name]; bad {
					t.Errorf("%s uses os.%s: only cmd/flexvc/main.go may", s.path, sel.Sel.Name)
				}
			}
			return true
		})
	}
}

// TestNoVagueNames: a package named util becomes everyone's attic.
func TestNoVagueNames(t *testing.T) {
	for _, s := range sources(t) {
		name := filepath.Base(s.pkg)
		if slices.Contains([]string{"util", "utils", "common", "helpers", "helper", "manager", "misc", "shared"}, name) {
			t.Errorf("%s: %q says nothing of what is in it", s.path, name)
		}
	}
}

// TestInterfacesAreSmall: an interface has at most four methods.
func TestInterfacesAreSmall(t *testing.T) {
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if it, ok := spec.Type.(*ast.InterfaceType); ok && it.Methods.NumFields() > 4 {
				t.Errorf("%s: interface %s has %d methods", s.path, spec.Name.Name, it.Methods.NumFields())
			}
			return true
		})
	}
}

// TestNoSleepInTests: a test waits for a condition, never for a time.
func TestNoSleepInTests(t *testing.T) {
	for _, s := range sources(t) {
		if !s.test {
			continue
		}
		content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(s.path)))
		if err != nil {
			t.Fatal(err)
		}
		bubble := strings.Contains(string(content), `"testing/synctest"`) // there, time is virtual
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && !bubble {
				if id, ok := sel.X.(*ast.Ident); ok && id.Name == "time" && sel.Sel.Name == "Sleep" {
					t.Errorf("%s sleeps", s.path)
				}
			}
			return true
		})
	}
}

// TestEveryProblemCodeIsDocumented compares the constants of package problem
// with its catalogue, both ways.
func TestEveryProblemCodeIsDocumented(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "problem", "codes.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := map[problem.Code]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); !ok || id.Name != "Code" {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		declared[problem.Code(value)] = true
		return true
	})
	if len(declared) == 0 {
		t.Fatal("no codes found")
	}
	for _, e := range problem.Catalogue {
		if !declared[e.Code] {
			t.Errorf("%q is in the catalogue twice or is no constant", e.Code)
		}
		delete(declared, e.Code)
		if e.Meaning == "" || e.Remedy == "" {
			t.Errorf("%q is not explained", e.Code)
		}
	}
	for code := range declared {
		t.Errorf("%q is missing from the catalogue", code)
	}
}
