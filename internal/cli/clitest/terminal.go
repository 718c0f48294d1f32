package clitest

import (
	"errors"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/creack/pty"
	"golang.org/x/term"
)

// Terminal is a flexvc process and the pseudo-terminal it runs on.
type Terminal struct {
	T   *testing.T
	Cmd *exec.Cmd
	pty *os.File

	mu    sync.Mutex
	raw   strings.Builder // every byte that reached the screen
	ended bool            // the last process that had the terminal is gone
	more  chan struct{}   // closed and replaced when one of these changes
}

// OnTerminal starts a program on a pseudo-terminal of so many columns.
func OnTerminal(t *testing.T, columns int, cmd *exec.Cmd) *Terminal {
	t.Helper()
	file, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: uint16(columns)})
	if err != nil {
		t.Fatal(err)
	}
	tm := &Terminal{T: t, Cmd: cmd, pty: file, more: make(chan struct{})}
	var reading sync.WaitGroup
	reading.Go(tm.read)
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended unless the test has failed
		_ = cmd.Wait()
		reading.Wait()
		_ = file.Close()
	})
	return tm
}

func (tm *Terminal) read() {
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

// Await waits until the screen shows what matches and returns all of it so far.
func (tm *Terminal) Await(pattern string) string {
	tm.T.Helper()
	re := regexp.MustCompile(pattern)
	late := time.After(Patience)
	for {
		tm.mu.Lock()
		screen, ended, more := Shown(tm.raw.String()), tm.ended, tm.more
		tm.mu.Unlock()
		if re.MatchString(screen) {
			return screen
		}
		if ended {
			tm.T.Fatalf("%v ended without showing %s:\n%s", tm.Cmd.Args, pattern, screen)
		}
		select {
		case <-more:
		case <-late:
			tm.T.Fatalf("%v does not show %s:\n%s", tm.Cmd.Args, pattern, screen)
		}
	}
}

// Exit waits for the end and wants this exit code. It returns the screen.
func (tm *Terminal) Exit(want int) string {
	tm.T.Helper()
	got, screen := tm.End()
	if got != want {
		tm.T.Fatalf("%v exits with %d, want %d:\n%s", tm.Cmd.Args, got, want, screen)
	}
	return screen
}

// End waits for the end and returns the exit code and the screen.
func (tm *Terminal) End() (int, string) {
	tm.T.Helper()
	late := time.After(Patience)
	for {
		tm.mu.Lock()
		screen, ended, more := Shown(tm.raw.String()), tm.ended, tm.more
		tm.mu.Unlock()
		if ended {
			if err := tm.Cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
				tm.T.Fatal(err)
			}
			return tm.Cmd.ProcessState.ExitCode(), screen
		}
		select {
		case <-more:
		case <-late:
			tm.T.Fatalf("%v does not end:\n%s", tm.Cmd.Args, screen)
		}
	}
}

func (tm *Terminal) Types(keys string) {
	tm.T.Helper()
	if _, err := tm.pty.WriteString(keys); err != nil {
		tm.T.Fatal(err)
	}
}

// modes are those of the terminal now.
func (tm *Terminal) modes() (state *term.State) {
	tm.T.Helper()
	conn, err := tm.pty.SyscallConn()
	Check(tm.T, err)
	Check(tm.T, conn.Control(func(fd uintptr) { state, err = term.GetState(int(fd)) }))
	Check(tm.T, err)
	return state
}

// fresh are the modes of a terminal that nobody has used.
func (tm *Terminal) fresh() *term.State {
	tm.T.Helper()
	file, other, err := pty.Open()
	Check(tm.T, err)
	defer file.Close()
	defer other.Close()
	state, err := term.GetState(int(other.Fd()))
	Check(tm.T, err)
	return state
}

// Unseen waits until the terminal does not show what is typed.
func (tm *Terminal) Unseen() {
	tm.T.Helper()
	Eventually(tm.T, "the terminal hides what is typed", func() bool { return !reflect.DeepEqual(tm.modes(), tm.fresh()) })
}

// WantAsBefore wants the terminal in the modes in which flexvc found it.
func (tm *Terminal) WantAsBefore() {
	tm.T.Helper()
	if now, before := tm.modes(), tm.fresh(); !reflect.DeepEqual(now, before) {
		tm.T.Errorf("%v leaves the terminal in the modes %+v, was %+v", tm.Cmd.Args, now, before)
	}
}

// Bytes returns all that reached the terminal, as it was sent.
func (tm *Terminal) Bytes() string {
	tm.mu.Lock()
	defer tm.mu.Unlock()
	return tm.raw.String()
}

const (
	CtrlC = "\x03"
	CtrlD = "\x04"
)

// Shown is text without colours and with Unix line breaks. What redraws a line
// stays: a test has to see it.
func Shown(raw string) string {
	return regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(strings.ReplaceAll(raw, "\r\n", "\n"), "")
}

// ScreenOf is what is left on the screen in the end: of a line that was redrawn,
// its last state.
func ScreenOf(screen string) string {
	lines := strings.Split(screen, "\n")
	for i, line := range lines {
		if at := strings.LastIndex(line, "\r"); at >= 0 {
			lines[i] = strings.TrimRight(ansi.Strip(line[at+1:]), " ")
		}
	}
	return strings.Join(lines, "\n")
}

func WantMatch(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		if !regexp.MustCompile("(?m)" + pattern).MatchString(text) {
			t.Errorf("nothing matches %s in\n%s", pattern, text)
		}
	}
}
