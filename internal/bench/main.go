// Command bench measures the built flexvc and prints the figures. It judges
// nothing: a figure that should stay within a bound is printed beside it.
//
//	go run ./internal/bench startup bin/flexvc
//	go run ./internal/bench workers bin/flexvc
//	go run ./internal/bench pack bin/flexvc
//	go run ./internal/bench watch bin/flexvc
//	go run ./internal/bench updates bin/flexvc
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	benchmarks := map[string]func(context.Context, string) error{"startup": startup, "workers": workers, "pack": pack, "watch": watch, "updates": updates}
	if len(args) != 2 || benchmarks[args[0]] == nil {
		return fmt.Errorf("usage: bench startup|workers|pack|watch|updates BINARY")
	}
	return benchmarks[args[0]](ctx, args[1])
}
