package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// startup times `flexvc --version` against an empty Go program, by turns, so
// that both see the same machine.
func startup(ctx context.Context, binary string) error {
	dir, err := os.MkdirTemp("", "flexvc-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	source, empty := filepath.Join(dir, "main.go"), filepath.Join(dir, "empty")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", empty, source)
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return err
	}
	const rounds = 200
	var ours, theirs []time.Duration
	for range rounds {
		for _, c := range []struct {
			times *[]time.Duration
			argv  []string
		}{{&ours, []string{binary, "--version"}}, {&theirs, []string{empty}}} {
			start := time.Now()
			if err := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...).Run(); err != nil {
				return fmt.Errorf("%v: %w", c.argv, err)
			}
			*c.times = append(*c.times, time.Since(start))
		}
	}
	a, b := median(ours), median(theirs)
	fmt.Printf("flexvc --version     %6.2f ms   median of %d\n", ms(a), rounds)
	fmt.Printf("empty Go program     %6.2f ms\n", ms(b))
	fmt.Printf("ratio                %6.2f      wanted: at most 3\n", float64(a)/float64(b))
	return nil
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
