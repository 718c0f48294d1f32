package tree

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/cli/clitest"
)

// TestDeployedFlagsExist: what deploy/ starts is a command line that flexvc
// understands.
func TestDeployedFlagsExist(t *testing.T) {
	root := New(clitest.Quiet())
	serve, _, err := root.Find([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	// An argument of a container, or the command line of a unit.
	flags := regexp.MustCompile(`(?m)^\s*- --([a-z-]+)|^ExecStart=\S*/flexvc serve (.*)$`)
	seen := 0
	err = filepath.WalkDir(filepath.Join("..", "..", "..", "deploy"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range flags.FindAllStringSubmatch(string(content), -1) {
			names := []string{m[1]}
			if m[2] != "" {
				names = nil
				for _, word := range strings.Fields(m[2]) {
					if name, ok := strings.CutPrefix(word, "--"); ok {
						names = append(names, name)
					}
				}
			}
			for _, name := range names {
				seen++
				if serve.Flag(name) == nil && root.PersistentFlags().Lookup(name) == nil {
					t.Errorf("%s: flexvc serve has no --%s", path, name)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 10 {
		t.Errorf("only %d flags were found in deploy/: the pattern is broken", seen)
	}
}
