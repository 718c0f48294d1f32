//go:build !windows

package clitest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/cli"
)

// Tmux is a real terminal: keys go in as a person types them, and what comes
// out is what a person sees.
type Tmux struct {
	T      *testing.T
	socket string
	env    []string
}

func (tm *Tmux) Run(args ...string) string {
	tm.T.Helper()
	cmd := exec.Command("tmux", append([]string{"-S", tm.socket}, args...)...)
	cmd.Env = tm.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		tm.T.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (tm *Tmux) screen() string { return tm.Run("capture-pane", "-p") }

// Types sends text key by key.
func (tm *Tmux) Types(text string) { tm.Run("send-keys", "-l", text) }

// Presses sends named keys.
func (tm *Tmux) Presses(keys ...string) { tm.Run(append([]string{"send-keys"}, keys...)...) }

// Await waits until the screen matches all patterns, and returns it.
func (tm *Tmux) Await(patterns ...string) string {
	tm.T.Helper()
	late := time.After(Patience)
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
			tm.T.Fatalf("the screen never shows all of %q:\n%s", patterns, screen)
		}
	}
}

// Left waits for the end of the watch: the screen is the one from before, the
// cursor is back, the mouse is the terminal's own, and lines are read as lines.
func (tm *Tmux) Left(code int) string {
	tm.T.Helper()
	screen := tm.Await(`^exit code \d+$`, `^\d$`)
	if !strings.Contains(screen, "exit code "+strconv.Itoa(code)+"\n2\n") {
		tm.T.Errorf("want exit code %d and a terminal that echoes and reads lines:\n%s", code, screen)
	}
	const modes = "#{alternate_on} #{cursor_flag} #{mouse_any_flag}#{mouse_button_flag}#{mouse_standard_flag}"
	if got := strings.TrimSpace(tm.Run("display-message", "-p", modes)); got != "0 1 000" {
		tm.T.Errorf("the terminal was left with alternate screen, cursor and mouse %s", got)
	}
	return screen
}

// Signal goes to the watch itself, the child of the terminal's shell.
func (tm *Tmux) Signal(sig syscall.Signal) {
	tm.T.Helper()
	shell := strings.TrimSpace(tm.Run("display-message", "-p", "#{pane_pid}"))
	out, err := exec.Command("ps", "-o", "pid=", "--ppid", shell).Output()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		tm.T.Skip("ps is not installed")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		tm.T.Fatalf("the children of the shell are %q", out)
	}
	if err := syscall.Kill(pid, sig); err != nil {
		tm.T.Fatal(err)
	}
}

// WatchOn runs flexvc watch in a terminal of so many columns and rows. When it
// ends, the terminal says how, and what state it was left in.
func (s *Flexvc) WatchOn(columns, rows int, args ...string) *Tmux {
	s.T.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		s.T.Skip("tmux is not installed: scripts/tools.sh tmux")
	}
	tm := &Tmux{T: s.T, socket: filepath.Join(s.T.TempDir(), "tmux")}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "TMUX") && !strings.HasPrefix(v, "COLUMNS=") && !strings.HasPrefix(v, "NO_COLOR=") {
			tm.env = append(tm.env, v)
		}
	}
	tm.env = append(tm.env, "FLEXVC_STATE_DIR="+s.State, "FLEXVC_PROFILE=emulator", "HOME="+s.State, "TERM=xterm-256color", "LC_ALL=C.UTF-8")
	line := "flexvc watch --interval 1s " + strings.Join(cli.QuoteAll(args), " ") +
		`; echo "exit code $?"; stty -a | tr ' ' '\n' | grep -cE '^(icanon|echo)$'; exec cat`
	tm.Run("-f", "/dev/null", "-u", "new-session", "-d", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(rows), "sh", "-c", line)
	s.T.Cleanup(func() { tm.Run("kill-server") })
	return tm
}
