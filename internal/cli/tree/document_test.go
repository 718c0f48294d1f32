package tree

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
)

// document is a page of the documentation as a reader goes through it: the blocks of
// commands, from the first to the last.
type document struct {
	t      *testing.T
	name   string
	blocks []string
	next   int
	swaps  []string // what the reader is told to replace, and what with
}

const repository = "../../.."

func read(t *testing.T, name string) *document {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(repository, name))
	if err != nil {
		t.Fatal(err)
	}
	return &document{t: t, name: name, blocks: blocksOf(source)}
}

// blocksOf are the blocks of a Markdown file that are printed as they are, fenced or
// indented.
func blocksOf(source []byte) (blocks []string) {
	tree := goldmark.DefaultParser().Parse(text.NewReader(source))
	_ = ast.Walk(tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if kind := n.Kind(); entering && (kind == ast.KindCodeBlock || kind == ast.KindFencedCodeBlock) {
			blocks = append(blocks, string(n.Lines().Value(source)))
		}
		return ast.WalkContinue, nil
	})
	return blocks
}

// replace is what the text tells the reader to write in place of what is printed.
func (d *document) replace(old, with string) {
	d.t.Helper()
	if !slices.ContainsFunc(d.blocks[d.next:], func(b string) bool { return strings.Contains(b, old) }) {
		d.t.Fatalf("%s prints %q nowhere from here on", d.name, old)
	}
	d.swaps = append(d.swaps, old, with)
}

// block is the next one, which has to begin with these words: whoever adds one to the
// page adds it to the page's story.
func (d *document) block(words string) string {
	d.t.Helper()
	if d.next == len(d.blocks) {
		d.t.Fatalf("%s has only %d blocks, so none begins with %q", d.name, d.next, words)
	}
	block := d.blocks[d.next]
	if !strings.HasPrefix(block, words) {
		d.t.Fatalf("block %d of %s does not begin with %q:\n%s", d.next+1, d.name, words, block)
	}
	d.next++
	return block
}

// omit passes over the next block, for a reason.
func (d *document) omit(words, reason string) {
	d.t.Helper()
	d.block(words)
	d.t.Logf("%s: %s…: %s", d.name, words, reason)
}

// ended wants all blocks to have been gone through.
func (d *document) ended() {
	d.t.Helper()
	if d.next < len(d.blocks) {
		d.t.Errorf("%s has a block that its story neither follows nor omits:\n%s", d.name, d.blocks[d.next])
	}
}

// step is a command line of a block, and what is printed below it.
type step struct {
	line  string
	wants []string // nil: the block prints no output
}

// steps are the lines of a block as a reader types them. Where some begin with "$ ",
// the others are what comes out.
func steps(block string) (all []step) {
	session := strings.HasPrefix(block, "$ ")
	whole := ""
	for line := range strings.Lines(block) {
		line = strings.TrimRight(line, "\n")
		typed, isTyped := strings.CutPrefix(line, "$ ")
		switch {
		case session && isTyped:
			all = append(all, step{line: typed, wants: []string{}})
		case session:
			last := &all[len(all)-1]
			last.wants = append(last.wants, line)
		case strings.HasSuffix(line, "\\"):
			whole += line + "\n"
		case strings.TrimSpace(line) != "":
			all = append(all, step{line: whole + line})
			whole = ""
		}
	}
	return all
}

// What differs from run to run: identifiers, times, rates, and the width of columns.
var differs = []struct{ pattern, as string }{
	{`\b([A-Z]{2})….{4}`, "$1…"},
	{`\b[a-p]{32}\b`, "EXTENSION"},
	{`\b2[0-9A-Z]{5}\b`, "RUN"},
	{`\[\d+:\d\d\]`, "[TIME]"},
	{`\b\d+(\.\d+)?/s`, "RATE/s"},
	{` {2,}`, " "},
}

func blurred(line string) string {
	for _, d := range differs {
		line = regexp.MustCompile(d.pattern).ReplaceAllString(line, d.as)
	}
	return strings.TrimSpace(line)
}

// lacking is the first line printed that did not come out, in its order, or "". A line
// of "…" stands for any others; where lines are broken does not count, since that is a
// matter of the terminal's width.
func lacking(printed []string, got string) string {
	rest := blurred(strings.Join(strings.Fields(got), " "))
	anywhere := false
	for _, want := range printed {
		want = blurred(want)
		if want == "…" {
			anywhere = true
			continue
		}
		before, after, found := strings.Cut(rest, want)
		if !found || strings.TrimSpace(before) != "" && !anywhere {
			return want
		}
		if want != "" {
			rest, anywhere = after, false
		}
	}
	if strings.TrimSpace(rest) != "" && !anywhere {
		return "the end, before " + rest
	}
	return ""
}
