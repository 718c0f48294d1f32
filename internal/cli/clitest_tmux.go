package cli

import (
	"errors"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tmux is a real terminal: keys go in as a person types them, and what comes
// out is what a person sees.
type tmux struct {
	t      *testing.T
	socket string
	env    []string
}

func (tm *tmux) run(args ...string) string {
	tm.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-S", tm.socket}, args...)...)
	cmd.Env = tm.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		tm.t.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (tm *tmux) screen() string { return tm.run("capture-pane", "-p") }

// types sends text key by key.
func (tm *tmux) types(text string) { tm.run("send-keys", "-l", text) }

// presses sends named keys.
func (tm *tmux) presses(keys ...string) { tm.run(append([]string{"send-keys"}, keys...)...) }

// await waits until the screen matches all patterns, and returns it.
func (tm *tmux) await(patterns ...string) string {
	tm.t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		screen, all := tm.screen(), true
		for _, p := range patterns {
			all = all && regexp.MustCompile("(?m)"+p).MatchString(screen)
		}
		if all {
			return screen
		}
		select {
		case <-tick.C:
		case <-late:
			tm.t.Fatalf("the screen never shows all of %q:\n%s", patterns, screen)
		}
	}
}

// left waits for the end of the watch: the screen is the one from before, the
// cursor is back, the mouse is the terminal's own, and lines are read as lines.
func (tm *tmux) left(code int) string {
	tm.t.Helper()
	screen := tm.await(`^exit code \d+$`, `^\d$`)
	if !strings.Contains(screen, "exit code "+strconv.Itoa(code)+"\n2\n") {
		tm.t.Errorf("want exit code %d and a terminal that echoes and reads lines:\n%s", code, screen)
	}
	const modes = "#{alternate_on} #{cursor_flag} #{mouse_any_flag}#{mouse_button_flag}#{mouse_standard_flag}"
	if got := strings.TrimSpace(tm.run("display-message", "-p", modes)); got != "0 1 000" {
		tm.t.Errorf("the terminal was left with alternate screen, cursor and mouse %s", got)
	}
	return screen
}

// signal goes to the watch itself, the child of the terminal's shell.
func (tm *tmux) signal(sig syscall.Signal) {
	tm.t.Helper()
	shell := strings.TrimSpace(tm.run("display-message", "-p", "#{pane_pid}"))
	out, err := exec.Command("ps", "-o", "pid=", "--ppid", shell).Output()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		tm.t.Skip("ps is not installed")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		tm.t.Fatalf("the children of the shell are %q", out)
	}
	if err := syscall.Kill(pid, sig); err != nil {
		tm.t.Fatal(err)
	}
}
