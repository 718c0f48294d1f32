package archtest

import (
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	maxLines = 500 // of a file
	maxFiles = 15  // of a folder
)

// larger names the files and folders beyond the limits, and why. ARCHITECTURE.md
// has the same table, for those who wonder.
var larger = map[string]string{
	"internal/tokensrv": "one file per step of a request; a subfolder for some steps would export what only the others may call",
}

// TestSizes: what does not fit on a few screens has two subjects, and a folder
// with too many files is two rooms. Tests and generated files are not counted.
func TestSizes(t *testing.T) {
	files := map[string]int{}
	beyond := map[string]bool{}
	for _, s := range sources(t) {
		if strings.HasSuffix(s.path, "_test.go") || ast.IsGenerated(s.file) {
			continue
		}
		files[s.pkg]++
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(s.path)))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "\n"); n > maxLines {
			beyond[s.path] = true
			if larger[s.path] == "" {
				t.Errorf("%s has %d lines, more than %d: split it by subject", s.path, n, maxLines)
			}
		}
	}
	for pkg, n := range files {
		if n > maxFiles {
			beyond[pkg] = true
			if larger[pkg] == "" {
				t.Errorf("%s has %d files, more than %d: which of them are a room of their own?", pkg, n, maxFiles)
			}
		}
	}
	for name := range larger {
		if !beyond[name] {
			t.Errorf("%s is within the limits now: take it out of the table, here and in ARCHITECTURE.md", name)
		}
	}
	documented := map[string]string{}
	for _, row := range table(t, "ARCHITECTURE.md", "## Larger than the rule") {
		documented[strings.Trim(row[0], "`")] = row[1]
	}
	for name, why := range larger {
		if documented[name] != why {
			t.Errorf("ARCHITECTURE.md says of %s: %q, and not: %q", name, documented[name], why)
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("ARCHITECTURE.md excuses %s, and this test does not", name)
	}
}

// sentence ends are periods with space after them, but for those of "e.g. this".
var sentenceEnd = regexp.MustCompile(`[^.\s]{2,}[.:](\s|$)`)

// TestPackageComments: a folder says what belongs there, and what does not.
func TestPackageComments(t *testing.T) {
	comments := map[string][]string{}
	for _, s := range sources(t) {
		if comments[s.pkg] == nil {
			comments[s.pkg] = []string{}
		}
		if s.file.Doc != nil && (strings.HasPrefix(s.file.Doc.Text(), "Package ") || strings.HasPrefix(s.file.Doc.Text(), "Command ")) {
			comments[s.pkg] = append(comments[s.pkg], s.file.Doc.Text())
		}
	}
	for pkg, texts := range comments {
		switch {
		case len(texts) != 1:
			t.Errorf("%s has %d package comments, not one", pkg, len(texts))
		case len(sentenceEnd.FindAllString(texts[0], -1)) < 2:
			t.Errorf("%s: the package comment says what belongs there, and not what does not: %s", pkg, texts[0])
		}
	}
}

// table returns the rows below a heading of a Markdown file at the repository's
// root, without the table's own head.
func table(t *testing.T, file, heading string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("%s has no section %q", file, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		inner, ok := strings.CutPrefix(strings.TrimSpace(line), "|")
		if !ok {
			continue
		}
		var row []string
		for cell := range strings.SplitSeq(strings.TrimSuffix(inner, "|"), "|") {
			row = append(row, strings.TrimSpace(cell))
		}
		rows = append(rows, row)
	}
	if len(rows) < 3 {
		t.Fatalf("%s has no table in section %q", file, heading)
	}
	for _, row := range rows[2:] {
		if len(row) != len(rows[0]) {
			t.Fatalf("%s: %q has %d cells, not %d", file, row, len(row), len(rows[0]))
		}
	}
	return rows[2:]
}

var quoted = regexp.MustCompile("`([^`]+)`")

// TestNewcomersTable: CONTRIBUTING.md says where the parts of each command are,
// and they are there.
func TestNewcomersTable(t *testing.T) {
	nouns := map[string]bool{}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "man", "flexvc-*.1"))
	if err != nil || len(pages) < 10 {
		t.Fatalf("%d manual pages, %v", len(pages), err)
	}
	for _, page := range pages {
		noun, _, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(page), "flexvc-"), ".1"), "-")
		nouns[noun] = true
	}
	for _, row := range table(t, "CONTRIBUTING.md", "## Where things are") {
		command := quoted.FindStringSubmatch(row[0])
		if command == nil {
			t.Errorf("%q names no command", row[0])
			continue
		}
		delete(nouns, strings.Fields(command[1])[0])
		for _, cell := range row[1:] {
			paths := quoted.FindAllStringSubmatch(cell, -1)
			if len(paths) == 0 && !strings.HasPrefix(cell, "none") {
				t.Errorf("%s: %q is neither a path nor \"none\"", command[1], cell)
			}
			for _, p := range paths {
				if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(path.Clean(p[1])))); err != nil {
					t.Errorf("%s: %s does not exist", command[1], p[1])
				}
			}
		}
	}
	for noun := range nouns {
		t.Errorf("no row of the table in CONTRIBUTING.md is about flexvc %s", noun)
	}
}
