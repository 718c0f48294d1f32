package cli

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// terminal is a flexvc process and the pseudo-terminal it runs on.
type terminal struct {
	t   *testing.T
	cmd *exec.Cmd
	pty *os.File

	mu    sync.Mutex
	raw   strings.Builder // every byte that reached the screen
	ended bool            // the last process that had the terminal is gone
	more  chan struct{}   // closed and replaced when one of these changes
}

func (tm *terminal) read() {
	chunk := make([]byte, 4096)
	for {
		n, err := tm.pty.Read(chunk)
		tm.mu.Lock()
		tm.raw.Write(chunk[:n])
		tm.ended = err != nil // Linux says EIO when the last process has let go
		close(tm.more)
		tm.more = make(chan struct{})
		tm.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// await waits until the screen shows what matches and returns all of it so far.
func (tm *terminal) await(pattern string) string {
	tm.t.Helper()
	re := regexp.MustCompile(pattern)
	late := time.After(patience)
	for {
		tm.mu.Lock()
		screen, ended, more := shown(tm.raw.String()), tm.ended, tm.more
		tm.mu.Unlock()
		if re.MatchString(screen) {
			return screen
		}
		if ended {
			tm.t.Fatalf("%v ended without showing %s:\n%s", tm.cmd.Args, pattern, screen)
		}
		select {
		case <-more:
		case <-late:
			tm.t.Fatalf("%v does not show %s:\n%s", tm.cmd.Args, pattern, screen)
		}
	}
}

// exit waits for the end and wants this exit code. It returns the screen.
func (tm *terminal) exit(want int) string {
	tm.t.Helper()
	got, screen := tm.end()
	if got != want {
		tm.t.Fatalf("%v exits with %d, want %d:\n%s", tm.cmd.Args, got, want, screen)
	}
	return screen
}

// end waits for the end and returns the exit code and the screen.
func (tm *terminal) end() (int, string) {
	tm.t.Helper()
	late := time.After(patience)
	for {
		tm.mu.Lock()
		screen, ended, more := shown(tm.raw.String()), tm.ended, tm.more
		tm.mu.Unlock()
		if ended {
			if err := tm.cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
				tm.t.Fatal(err)
			}
			return tm.cmd.ProcessState.ExitCode(), screen
		}
		select {
		case <-more:
		case <-late:
			tm.t.Fatalf("%v does not end:\n%s", tm.cmd.Args, screen)
		}
	}
}

func (tm *terminal) types(keys string) {
	tm.t.Helper()
	if _, err := tm.pty.WriteString(keys); err != nil {
		tm.t.Fatal(err)
	}
}

// bytes returns all that reached the terminal, as it was sent.
func (tm *terminal) bytes() string {
	tm.mu.Lock()
	defer tm.mu.Unlock()
	return tm.raw.String()
}

const (
	ctrlC = "\x03"
	ctrlD = "\x04"
)

// shown is text without colours and with Unix line breaks. What redraws a line
// stays: a test has to see it.
func shown(raw string) string {
	return regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(strings.ReplaceAll(raw, "\r\n", "\n"), "")
}

// screenOf is what is left on the screen in the end: of a line that was redrawn,
// its last state.
func screenOf(screen string) string {
	lines := strings.Split(screen, "\n")
	for i, line := range lines {
		if at := strings.LastIndex(line, "\r"); at >= 0 {
			lines[i] = strings.TrimRight(ansi.Strip(line[at+1:]), " ")
		}
	}
	return strings.Join(lines, "\n")
}

func wantMatch(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		if !regexp.MustCompile("(?m)" + pattern).MatchString(text) {
			t.Errorf("nothing matches %s in\n%s", pattern, text)
		}
	}
}
