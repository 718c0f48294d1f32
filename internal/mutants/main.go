// Command mutants breaks flexvc in the places of its list, one at a time, and runs
// the tests that must notice: a mutant that they do not notice survives, and is a
// promise that no test holds. No file of the repository is changed. The list belongs
// here; the tests belong to the packages that it breaks.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	only := flag.String("only", "", "run the mutants whose names contain this")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	survivors, err := run(ctx, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
	if survivors > 0 {
		os.Exit(1)
	}
}

// run prints how each mutant ended and counts the survivors.
func run(ctx context.Context, only string) (survivors int, err error) {
	root, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	chosen := slices.DeleteFunc(slices.Clone(mutants), func(m mutant) bool { return !strings.Contains(m.name, only) })
	var tested []string
	for _, m := range chosen {
		for _, pkg := range m.tests {
			if !slices.Contains(tested, pkg) {
				tested = append(tested, pkg)
			}
		}
	}
	// Tests that fail anyway would kill every mutant.
	if out, err := test(ctx, root, "", tested); err != nil {
		return 0, fmt.Errorf("the tests fail without a mutant: %w\n%s", err, out)
	}
	killed := 0
	for _, m := range chosen {
		overlay, err := m.overlay(root, dir)
		if err != nil {
			return 0, err
		}
		began := time.Now()
		out, err := test(ctx, root, overlay, m.tests)
		took := time.Since(began).Round(time.Second / 10)
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case err == nil:
			survivors++
			fmt.Printf("SURVIVED  %-52s %6s  %s: %s\n", m.name, took, m.file, m.why)
		case bytes.Contains(out, []byte("[build failed]")) || bytes.Contains(out, []byte("[setup failed]")):
			survivors++
			fmt.Printf("BROKEN    %s does not compile:\n%s", m.name, out)
		default:
			killed++
			fmt.Printf("killed    %-52s %6s  by %s\n", m.name, took, killer(out))
		}
	}
	fmt.Printf("\n%d killed, %d survived\n", killed, survivors)
	return survivors, nil
}

func test(ctx context.Context, root, overlay string, packages []string) ([]byte, error) {
	args := append([]string{"test", "-count=1", "-failfast", "-timeout=5m"}, packages...)
	if overlay != "" {
		args = slices.Insert(args, 1, "-overlay="+overlay)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		return nil, fmt.Errorf("cannot run go test: %w", err)
	}
	return out, err
}

// killer is the first test that failed.
func killer(out []byte) string {
	for line := range strings.Lines(string(out)) {
		if _, name, ok := strings.Cut(line, "--- FAIL: "); ok {
			name, _, _ = strings.Cut(name, " ")
			return strings.TrimSpace(name)
		}
	}
	return "a panic or its time limit"
}

// overlay writes the broken file and the list that puts it in its place.
func (m mutant) overlay(root, dir string) (string, error) {
	path := filepath.Join(root, filepath.FromSlash(m.file))
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	broken, err := m.apply(string(text))
	if err != nil {
		return "", err
	}
	with := filepath.Join(dir, "broken.go")
	if err := os.WriteFile(with, []byte(broken), 0o600); err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {path: with}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, list, 0o600)
}

// apply changes the one place that the mutant is about.
func (m mutant) apply(text string) (string, error) {
	if n := strings.Count(text, m.old); n != 1 {
		return "", fmt.Errorf("%s no longer applies: %s has %q %d times", m.name, m.file, m.old, n)
	}
	return strings.Replace(text, m.old, m.new, 1), nil
}
