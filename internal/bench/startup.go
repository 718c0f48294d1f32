package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// startups are command lines that people and scripts run without a Twilio account
// being asked: what they take is start-up and little else.
var startups = [][]string{
	{"--version"}, {"version"}, {"--help"}, {"workers", "list", "--help"}, {"serve", "--help"},
	{"config", "list"}, {"runs", "list"}, {"completion", "bash"}, {"help", "exit-codes"},
}

// startup times commands against an empty Go program, by turns, so that all see
// the same machine.
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
	env := append(os.Environ(), "HOME="+dir, "FLEXVC_STATE_DIR="+filepath.Join(dir, "state"))
	times := make([][]time.Duration, len(startups)+1) // the last is the empty program's
	for range rounds {
		for i := range times {
			argv := []string{empty}
			if i < len(startups) {
				argv = append([]string{binary}, startups[i]...)
			}
			cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
			cmd.Env = env
			start := time.Now()
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("%v: %w", argv, err)
			}
			times[i] = append(times[i], time.Since(start))
		}
	}
	info, err := os.Stat(binary)
	if err != nil {
		return err
	}
	base := median(times[len(startups)])
	fmt.Printf("%-28s %6.2f ms   median of %d\n", "empty Go program", ms(base), rounds)
	for i, args := range startups {
		took := median(times[i])
		fmt.Printf("%-28s %6.2f ms   %.2f x   wanted: at most 3 x\n", "flexvc "+strings.Join(args, " "), ms(took), float64(took)/float64(base))
	}
	fmt.Printf("%-28s %6.1f MB\n", "size of the binary", float64(info.Size())/1e6)
	return nil
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
