package clitest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/term"
)

// LinesFolder is the variable that names the folder in which processes of flexvc
// note what the lines they print with -o json are, and which fit no schema.
const LinesFolder = "FLEXVC_TEST_LINES"

const violation = "violation-"

// Schemas is docs/schemas.
func Schemas() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "..", "..", "..", "docs", "schemas")
}

// Checker checks a line that a command prints, with the names of the
// shapes it may have.
type Checker struct {
	schema string // "workers-enable"
	shapes map[string]*jsonschema.Schema
	whole  *jsonschema.Schema
}

// NewChecker reads docs/schemas/NAME.json.
func NewChecker(name string) (*Checker, error) {
	file, err := os.Open(filepath.Join(Schemas(), name+".json"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.DefaultDraft(jsonschema.Draft2020)
	at := "file:///" + name + ".json"
	if err := c.AddResource(at, text); err != nil {
		return nil, err
	}
	check := &Checker{schema: name, shapes: map[string]*jsonschema.Schema{}}
	if check.whole, err = c.Compile(at); err != nil {
		return nil, err
	}
	defs, _ := text.(map[string]any)["$defs"].(map[string]any)
	for shape := range defs {
		if check.shapes[shape], err = c.Compile(at + "#/$defs/" + shape); err != nil {
			return nil, err
		}
	}
	return check, nil
}

// Shapes are the names of the lines that the command prints.
func (c *Checker) Shapes() []string {
	var names []string
	for name := range c.shapes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Line returns which shape a line has.
func (c *Checker) Line(line []byte) (shape string, err error) {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
	if err != nil {
		return "", err
	}
	object, _ := value.(map[string]any)
	event, named := object["event"].(string)
	for name, schema := range c.shapes {
		if named && name != event {
			continue
		}
		if err = schema.Validate(value); err == nil {
			return name, c.whole.Validate(value)
		}
	}
	if err == nil {
		err = fmt.Errorf("%s.json has no shape %q", c.schema, event)
	}
	return "", err
}

// checkLines puts a check before standard output and standard error of a process
// with -o json. A terminal is left alone: it would be none any more.
func checkLines(args []string, out, err io.Writer) (io.Writer, io.Writer) {
	folder := os.Getenv(LinesFolder)
	words, json := words(args)
	if folder == "" || !json {
		return out, err
	}
	lines := &lines{folder: folder, args: args}
	for n := len(words); n > 0 && lines.check == nil; n-- {
		if check, e := NewChecker(strings.Join(words[:n], "-")); e == nil {
			lines.check = check
		}
	}
	if !terminal(out) && lines.check != nil {
		out = &checked{lines, out, nil}
	}
	if !terminal(err) {
		check, e := NewChecker("error")
		if e != nil {
			panic(e)
		}
		err = &checked{newErrors(folder, args, check), err, nil}
	}
	return out, err
}

func terminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// words are the names of the command, and whether it is to print JSON. Help is not.
func words(args []string) (words []string, json bool) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		name, value, given := strings.Cut(arg, "=")
		switch {
		case arg == "-h", arg == "--help", arg == "help", strings.HasPrefix(arg, "__complete"):
			return nil, false
		case arg == "--version":
			return []string{"version"}, json || slices.Contains(args, "json")
		case slices.Contains([]string{"-p", "--profile", "--config", "-o", "--output", "--color", "--timeout"}, name):
			if !given && i+1 < len(args) {
				i++
				value = args[i]
			}
			if name == "-o" || name == "--output" {
				json = value == "json"
			}
		case !strings.HasPrefix(arg, "-") && len(words) < 2:
			words = append(words, arg)
		}
	}
	return words, json
}

// lines notes what the lines of a process are.
type lines struct {
	folder string
	args   []string
	check  *Checker
	errors bool // it is standard error, which holds more than objects
}

func newErrors(folder string, args []string, check *Checker) *lines {
	return &lines{folder, args, check, true}
}

func (l *lines) note(line []byte) {
	if l.errors && !bytes.HasPrefix(line, []byte(`{"v":`)) {
		return
	}
	shape, err := l.check.Line(line)
	if err == nil {
		path := filepath.Join(l.folder, l.check.schema+" "+shape)
		if _, e := os.Stat(path); e == nil {
			return
		}
		err = os.WriteFile(path, nil, 0o600)
	}
	if err == nil {
		return
	}
	file, e := os.CreateTemp(l.folder, violation)
	if e != nil {
		panic(e)
	}
	defer file.Close()
	fmt.Fprintf(file, "flexvc %s prints\n%s\nwhich docs/schemas/%s.json does not allow: %v\n", strings.Join(l.args, " "), line, l.check.schema, err)
}

// checked writes on, and notes each whole line.
type checked struct {
	lines *lines
	w     io.Writer
	part  []byte
}

var checking sync.Mutex

// Whoever reads the line may end the process the next moment, so it is noted first.
func (c *checked) Write(p []byte) (int, error) {
	checking.Lock()
	c.part = append(c.part, p...)
	for {
		line, rest, ok := bytes.Cut(c.part, []byte("\n"))
		if !ok {
			break
		}
		c.lines.note(line)
		c.part = rest
	}
	checking.Unlock()
	return c.w.Write(p)
}
