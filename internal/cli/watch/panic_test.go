//go:build !windows

package watch_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/cli/tree"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
)

// TestPanicWhileDrawingTheWatch: the terminal is as before, and what is said is
// that this is a bug.
func TestPanicWhileDrawingTheWatch(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Seed: centre})
	master, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(terminal, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	before, err := term.GetState(int(terminal.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var seen strings.Builder
	live := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		announce := sync.OnceFunc(func() { close(live) })
		chunk := make([]byte, 4096)
		for {
			n, err := master.Read(chunk)
			mu.Lock()
			seen.Write(chunk[:n])
			if strings.Contains(seen.String(), "live,") {
				announce()
			}
			mu.Unlock()
			if err != nil {
				return
			}
		}
	})

	env := map[string]string{"HOME": s.State, "FLEXVC_STATE_DIR": s.State, "FLEXVC_PROFILE": "emulator", "TERM": "xterm-256color"}
	getenv := func(name string) string { return env[name] }
	var broken atomic.Bool
	app := &cli.App{UI: ui.New(terminal, terminal, terminal, getenv), Getenv: getenv, Tree: tree.New, Now: func() time.Time {
		if broken.Load() {
			panic("the clock is broken")
		}
		return time.Now()
	}}
	app.Open = app.OpenSession
	ended := make(chan int, 1)
	go func() { ended <- app.Run(context.Background(), []string{"watch", "--interval", "1h"}) }()
	select {
	case <-live:
	case <-time.After(clitest.Patience):
		t.Fatalf("the watch does not begin: %q", seen.String())
	}
	broken.Store(true)
	select {
	case code := <-ended:
		if code != problem.ExitFailed {
			t.Errorf("it exits with %d", code)
		}
	case <-time.After(clitest.Patience):
		t.Fatal("the watch does not end")
	}
	after, err := term.GetState(int(terminal.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if *after != *before {
		t.Error("the terminal is still in raw mode")
	}
	_ = terminal.Close()
	reading.Wait()
	_ = master.Close()
	text := seen.String()
	left := strings.LastIndex(text, "\x1b[?1049l")
	if said := strings.LastIndex(text, "this is a bug in flexvc"); said < left || left < 0 {
		t.Errorf("after leaving the screen it does not say that this is a bug: %q", text[max(len(text)-800, 0):])
	}
	if strings.LastIndex(text, "\x1b[?25h") < strings.LastIndex(text, "\x1b[?25l") {
		t.Error("the cursor stays hidden")
	}
	if strings.Contains(text, "goroutine ") {
		t.Error("a stack trace is thrown at the person")
	}
}
