package tree

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	configCmd "github.com/flexvc/flexvc/internal/cli/config"
	doctorCmd "github.com/flexvc/flexvc/internal/cli/doctor"
	emulatorCmd "github.com/flexvc/flexvc/internal/cli/emulator"
	eventsCmd "github.com/flexvc/flexvc/internal/cli/events"
	functionCmd "github.com/flexvc/flexvc/internal/cli/function"
	initCmd "github.com/flexvc/flexvc/internal/cli/init"
	keysCmd "github.com/flexvc/flexvc/internal/cli/keys"
	packCmd "github.com/flexvc/flexvc/internal/cli/pack"
	pluginCmd "github.com/flexvc/flexvc/internal/cli/plugin"
	rolloutCmd "github.com/flexvc/flexvc/internal/cli/rollout"
	runsCmd "github.com/flexvc/flexvc/internal/cli/runs"
	serveCmd "github.com/flexvc/flexvc/internal/cli/serve"
	teardownCmd "github.com/flexvc/flexvc/internal/cli/teardown"
	watchCmd "github.com/flexvc/flexvc/internal/cli/watch"
	workersCmd "github.com/flexvc/flexvc/internal/cli/workers"
	"github.com/flexvc/flexvc/internal/doctor"
	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/ui"
)

// shapes are all lines of all commands.
func shapes() []cli.Shape {
	return slices.Concat(
		initCmd.Shapes(), pluginCmd.Shapes(), functionCmd.Shapes(), keysCmd.Shapes(), workersCmd.Shapes(), teardownCmd.Shapes(), packCmd.Shapes(), rolloutCmd.Shapes(), serveCmd.Shapes(), watchCmd.Shapes(),
		eventsCmd.Shapes(), emulatorCmd.Shapes(), runsCmd.Shapes(), doctorCmd.Shapes(), configCmd.Shapes(),
		[]cli.Shape{
			{Commands: []string{"version"}, Name: "version", Of: cli.VersionJSON{}, When: "Alone, by flexvc --version too."},
			{Commands: []string{errorSchema}, Name: "error", Of: ui.ErrorJSON{}, When: "On standard error, when the command fails."},
		})
}

const errorSchema = "error"

// shapeless are the commands that print no JSON, and why.
var shapeless = map[string]string{
	"completion":    "prints a script",
	"config export": "prints a sealed file",
	"demo":          "tells a story, for people",
	"serve":         "prints nothing; its log on standard error has one object per line: `time`, `level`, `msg` and what belongs to the message",
}

// TestEveryCommandHasASchema, or a reason to have none.
func TestEveryCommandHasASchema(t *testing.T) {
	have := map[string]bool{}
	for _, s := range shapes() {
		for _, c := range s.Commands {
			have[c] = true
		}
	}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		name := strings.TrimPrefix(cmd.CommandPath(), "flexvc ")
		groups := cmd.HasSubCommands() && cmd.Name() != "emulator"
		if !groups && !cmd.Hidden && !cmd.IsAdditionalHelpTopicCommand() && name != "help" {
			if have[name] == (shapeless[name] != "") {
				t.Errorf("%s has a schema: %v; a reason to have none: %q", name, have[name], shapeless[name])
			}
		}
		delete(have, name)
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	walk(New(clitest.Quiet()))
	delete(have, errorSchema)
	if len(have) > 0 {
		t.Errorf("there are schemas of commands that are gone: %v", have)
	}
}

// TestANewFieldWithoutASchema: what a schema does not name, it refuses.
func TestANewFieldWithoutASchema(t *testing.T) {
	check, err := clitest.NewChecker("workers-list")
	if err != nil {
		t.Fatal(err)
	}
	const line = `{"v":1,"sid":"WK1","name":"carol","activity":"Available","available":true,"extension":"enabled","contact_uri":null`
	if shape, err := check.Line([]byte(line + "}")); err != nil || shape != "worker" {
		t.Errorf("%q, %v", shape, err)
	}
	for _, bad := range []string{
		line + `,"new":1}`,
		strings.Replace(line, `"available":true,`, "", 1) + "}",
		strings.Replace(line, `"enabled"`, `"perhaps"`, 1) + "}",
		strings.Replace(line, `"v":1`, `"v":2`, 1) + "}",
		strings.Replace(line, `"v":1`, `"v":1,"event":"worker"`, 1) + "}",
		`[]`, `{}`, `not JSON`,
	} {
		if shape, err := check.Line([]byte(bad)); err == nil {
			t.Errorf("%s is taken for a %s", bad, shape)
		}
	}
}

func schemaFile(command string) string { return strings.ReplaceAll(command, " ", "-") + ".json" }

// generateSchemas writes a file per command, and one of errors.
func generateSchemas(t *testing.T, files map[string][]byte) {
	byCommand := map[string][]cli.Shape{}
	var commands []string
	for _, s := range shapes() {
		for _, c := range s.Commands {
			if byCommand[c] == nil {
				commands = append(commands, c)
			}
			byCommand[c] = append(byCommand[c], s)
		}
	}
	slices.Sort(commands)
	comments := comments{}
	for _, c := range commands {
		root := &jsonschema.Schema{
			Version: jsonschema.Version, ID: jsonschema.ID(schemaFile(c)), Title: "flexvc " + c + " -o json",
			Description: "One line of standard output.", Definitions: jsonschema.Definitions{},
		}
		if c == errorSchema {
			root.Title, root.Description = "An error of any flexvc command with -o json", "The one object on standard error."
		}
		for _, s := range byCommand[c] {
			if root.Definitions[s.Name] != nil {
				t.Fatalf("flexvc %s has two shapes %s", c, s.Name)
			}
			root.Definitions[s.Name] = schemaOf(t, s, comments)
			root.AnyOf = append(root.AnyOf, &jsonschema.Schema{Ref: "#/$defs/" + s.Name})
		}
		text, err := json.MarshalIndent(root, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		files["docs/schemas/"+schemaFile(c)] = append(text, '\n')
	}
	files["docs/schemas/README.md"] = schemaPage(commands, byCommand)
}

// schemaOf is the schema of one line.
func schemaOf(t *testing.T, s cli.Shape, comments comments) *jsonschema.Schema {
	r := &jsonschema.Reflector{Anonymous: true, DoNotReference: true, ExpandedStruct: true, Mapper: known, LookupComment: comments.of}
	schema := r.Reflect(s.Of)
	schema.Version, schema.Description = "", s.When
	schema.Properties.Set("v", &jsonschema.Schema{Const: 1, Description: "version of the format"})
	if event, ok := schema.Properties.Get("event"); ok {
		schema.Properties.Set("event", &jsonschema.Schema{Const: s.Name, Description: event.Description})
	}
	var walk func(path string, s *jsonschema.Schema)
	walk = func(path string, s *jsonschema.Schema) {
		if s == nil || s.Properties == nil {
			return
		}
		for p := s.Properties.Oldest(); p != nil; p = p.Next() {
			path, field := path+"."+p.Key, p.Value
			if len(field.OneOf) > 0 && field.Description == "" { // nullable
				field.Description, field.OneOf[0].Description = field.OneOf[0].Description, ""
			}
			if field.Description == "" {
				t.Errorf("the field %s has no comment, and so its schema no description", path)
			}
			walk(path, field)
			walk(path, field.Items)
		}
	}
	walk(fmt.Sprintf("%T", s.Of), schema)
	return schema
}

// known are the schemas of types that are not told by their fields.
func known(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[fleet.State]():
		return oneOf(fleet.States()...)
	case reflect.TypeFor[fleet.Counts]():
		return &jsonschema.Schema{
			Type: "object", PropertyNames: oneOf(fleet.States()...), AdditionalProperties: &jsonschema.Schema{Type: "integer", Minimum: "0"},
		}
	case reflect.TypeFor[attributes.Flag]():
		return oneOf(attributes.Enabled, attributes.Disabled, attributes.Unset, attributes.Invalid)
	case reflect.TypeFor[provision.Action]():
		return oneOf(provision.Add, provision.Change, provision.Remove, provision.Same)
	case reflect.TypeFor[doctor.Status]():
		return oneOf(doctor.Passed, doctor.Warned, doctor.Failed, doctor.Skipped)
	case reflect.TypeFor[problem.Code]():
		var codes []problem.Code
		for _, e := range problem.Catalogue {
			codes = append(codes, e.Code)
		}
		return oneOf(codes...)
	}
	return nil
}

func oneOf[T ~string](values ...T) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string"}
	for _, v := range values {
		s.Enum = append(s.Enum, string(v))
	}
	return s
}

// comments are those of the fields of all structs of a package, by "Type.Field".
type comments map[string]map[string]string

func (c comments) of(t reflect.Type, field string) string {
	if field == "" {
		return "" // a type's comment is for who reads the source
	}
	if c[t.PkgPath()] == nil {
		c[t.PkgPath()] = fieldComments(strings.TrimPrefix(t.PkgPath(), "github.com/flexvc/flexvc/"))
	}
	return c[t.PkgPath()][t.Name()+"."+field]
}

func fieldComments(pkg string) map[string]string {
	found := map[string]string{}
	paths, _ := filepath.Glob(filepath.Join("..", "..", "..", filepath.FromSlash(pkg), "*.go"))
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			continue // the compiler says so better
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					for _, name := range f.Names {
						text := f.Comment.Text()
						if text == "" {
							text = f.Doc.Text()
						}
						found[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(text), " ")
					}
				}
			}
			return true
		})
	}
	return found
}

// schemaPage says which file is for which command.
func schemaPage(commands []string, shapes map[string][]cli.Shape) []byte {
	var b bytes.Buffer
	b.WriteString(`# JSON Schemas of what flexvc prints

Generated by ` + "`make generate`" + ` from the types that are printed; the tests hold every line that a command prints to its
schema. With ` + "`-o json`" + `, standard output is one JSON object per line, and each line fits the command's schema
(JSON Schema 2020-12). An error is one object on standard error, and fits [error.json](error.json).

    flexvc workers enable --all --yes -o json | tee run.jsonl | jq -r 'select(.event == "worker" and .status == "failed").name'

A schema belongs to the flexvc of the same version and names every field it prints. Fields may be added within a version
of the format, "v": a program that is to work with the next flexvc too ignores those it does not know, or validates
without ` + "`additionalProperties`" + `. Fields are neither renamed nor removed, and their meaning does not change. Each ` + "`$id`" + ` is
relative: it resolves to wherever you keep the files.

| command | lines, in order |
| --- | --- |
`)
	var rows []string // in which commands with the same lines share one
	files := map[string][]string{}
	for _, c := range commands {
		name := "[`flexvc " + c + "`](" + schemaFile(c) + ")"
		if c == errorSchema {
			name = "[any](" + schemaFile(c) + ")"
		}
		var lines []string
		for _, s := range shapes[c] {
			lines = append(lines, "`"+s.Name+"` "+s.When)
		}
		row := strings.Join(lines, "<br>")
		if files[row] == nil {
			rows = append(rows, row)
		}
		files[row] = append(files[row], name)
	}
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(files[row], "<br>"), row)
	}
	b.WriteString("\nThese have no schema:\n\n")
	var without []string
	for c, why := range shapeless {
		without = append(without, fmt.Sprintf("- `flexvc %s` %s.\n", c, why))
	}
	slices.Sort(without)
	b.WriteString(strings.Join(without, ""))
	return b.Bytes()
}

// schemaLink is the line of the command reference that leads to a command's schema.
func schemaLink(command string) string {
	for _, s := range shapes() {
		if slices.Contains(s.Commands, command) {
			return fmt.Sprintf("With `-o json`: [schemas/%s](schemas/%s).\n", schemaFile(command), schemaFile(command))
		}
	}
	return ""
}
