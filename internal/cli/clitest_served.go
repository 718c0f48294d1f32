package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/emulator"
)

// outputs runs a command to its end and keeps its streams apart.
func (s *served) outputs(args ...string) (exit int, stdout, stderr string) {
	s.t.Helper()
	var out, err bytes.Buffer
	cmd, _ := s.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &err
	if e := cmd.Run(); e != nil && !errors.As(e, new(*exec.ExitError)) {
		s.t.Fatal(e)
	}
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

// wants runs a command to its end and wants this exit code and these lines.
func (s *served) wants(exit int, args []string, patterns ...string) {
	s.t.Helper()
	got, out := s.flexvc(args...)
	if got != exit {
		s.t.Fatalf("%q exits with %d, want %d:\n%s", args, got, exit, out)
	}
	wantMatch(s.t, out, patterns...)
}

// holdings is all that an account holds: what nobody changed is deeply equal.
func (s *served) holdings() emulator.State {
	state := s.Export()
	state.Now = time.Time{}
	return state
}

func (s *served) wantUntouched(before emulator.State) {
	s.t.Helper()
	if now := s.holdings(); !reflect.DeepEqual(before, now) {
		s.t.Errorf("the account was changed from\n%+v\nto\n%+v", before, now)
	}
	if run := s.latestRun(); run != "" {
		s.t.Errorf("run %s was begun", run)
	}
	for _, name := range []string{"flexvc.yaml", "extension.pem", "secrets"} {
		if _, err := os.Lstat(filepath.Join(s.state, "emulator", name)); err == nil {
			s.t.Errorf("%s was made", name)
		}
	}
}

// enabled counts the workers that carry the flag.
func (s *served) enabled() (n int) {
	for _, text := range s.attributes() {
		if state, _ := attributes.Inspect(&text); state == attributes.Enabled {
			n++
		}
	}
	return n
}

func (s *served) journals() []string {
	paths, _ := filepath.Glob(filepath.Join(s.state, "AC*", "WS*", "*.jsonl"))
	return paths
}

// served is an emulator that flexvc processes talk to.
type served struct {
	t *testing.T
	*emulator.Emulator
	state string
}

func (s *served) command(args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.CommandContext(s.t.Context(), "flexvc", args...)
	cmd.Env = append(os.Environ(), "FLEXVC_STATE_DIR="+s.state, "FLEXVC_PROFILE=emulator", "HOME="+s.state)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	return cmd, &out
}

// flexvc runs a command to its end.
func (s *served) flexvc(args ...string) (int, string) {
	s.t.Helper()
	cmd, out := s.command(args...)
	err := cmd.Run()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

func (s *served) latestRun() string {
	paths, _ := filepath.Glob(filepath.Join(s.state, "AC*", "WS*", "*.jsonl"))
	if len(paths) == 0 {
		return ""
	}
	return strings.TrimSuffix(filepath.Base(paths[len(paths)-1]), ".jsonl")
}

func (s *served) attributes() map[string]string {
	all := map[string]string{}
	for _, w := range s.Export().Workers {
		all[w.SID] = w.Attributes
	}
	return all
}

func (s *served) wantAttributes(when string, want map[string]string) {
	s.t.Helper()
	got := s.attributes()
	wrong := ""
	n := 0
	for sid, text := range want {
		if got[sid] != text {
			n++
			wrong = fmt.Sprintf("%s holds\n%s\nwant\n%s", sid, got[sid], text)
		}
	}
	if n > 0 || len(got) != len(want) {
		s.t.Fatalf("%s: %d of %d workers are not as they should be, such as %s", when, n, len(got), wrong)
	}
}

// terminal starts flexvc on a pseudo-terminal of so many columns. Assignments
// such as TERM=dumb may precede the arguments.
func (s *served) terminal(columns int, args ...string) *terminal {
	s.t.Helper()
	env := []string{"TERM=xterm-256color", "COLUMNS=", "NO_COLOR="}
	for len(args) > 0 && strings.Contains(args[0], "=") {
		env, args = append(env, args[0]), args[1:]
	}
	cmd, _ := s.command(args...)
	cmd.Stdout, cmd.Stderr = nil, nil
	cmd.Env = append(cmd.Env, env...)
	file, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: uint16(columns)})
	if err != nil {
		s.t.Fatal(err)
	}
	tm := &terminal{t: s.t, cmd: cmd, pty: file, more: make(chan struct{})}
	var reading sync.WaitGroup
	reading.Go(tm.read)
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended unless the test has failed
		_ = cmd.Wait()
		reading.Wait()
		_ = file.Close()
	})
	return tm
}

// watchOn runs flexvc watch in a terminal of so many columns and rows. When it
// ends, the terminal says how, and what state it was left in.
func (s *served) watchOn(columns, rows int, args ...string) *tmux {
	s.t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		s.t.Skip("tmux is not installed: scripts/tools.sh tmux")
	}
	tm := &tmux{t: s.t, socket: filepath.Join(s.t.TempDir(), "tmux")}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "TMUX") && !strings.HasPrefix(v, "COLUMNS=") && !strings.HasPrefix(v, "NO_COLOR=") {
			tm.env = append(tm.env, v)
		}
	}
	tm.env = append(tm.env, "FLEXVC_STATE_DIR="+s.state, "FLEXVC_PROFILE=emulator", "HOME="+s.state, "TERM=xterm-256color", "LC_ALL=C.UTF-8")
	line := "flexvc watch --interval 1s " + strings.Join(quoteAll(args), " ") +
		`; echo "exit code $?"; stty -a | tr ' ' '\n' | grep -cE '^(icanon|echo)$'; exec cat`
	tm.run("-f", "/dev/null", "-u", "new-session", "-d", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(rows), "sh", "-c", line)
	s.t.Cleanup(func() { tm.run("kill-server") })
	return tm
}

func (s *served) sid(name string) string {
	s.t.Helper()
	for _, w := range s.ExportWorkers() {
		if w.FriendlyName == name {
			return w.SID
		}
	}
	s.t.Fatalf("there is no worker %s", name)
	return ""
}

func serveEmulator(t *testing.T, o emulator.Options) *served {
	t.Helper()
	e, state := serveAccount(t, o)
	return &served{t, e, state}
}

// serveAccount is an emulator on a port, and the folder where commands find it.
func serveAccount(t testing.TB, o emulator.Options) (e *emulator.Emulator, state string) {
	t.Helper()
	e, err := emulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// Not e.Run: that would wait for requests that a fault holds up.
	ctx, cancel := context.WithCancel(context.Background())
	server := &http.Server{Handler: e, BaseContext: func(net.Listener) context.Context { return ctx }}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		cancel()
		err := server.Close()
		if served := <-ended; served != http.ErrServerClosed {
			t.Error(served)
		}
		if err := errors.Join(err, e.Close()); err != nil {
			t.Error(err)
		}
	})
	state = t.TempDir()
	at, err := json.Marshal(address{URL: "http://" + listener.Addr().String(), PID: os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(state, "emulator"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, "emulator", addressFile), at, 0o600); err != nil {
		t.Fatal(err)
	}
	return e, state
}
