// Package clitest holds what tests of commands share: processes, terminals,
// golden files, an emulated account. It imports no command, so that tests
// inside a command can use it.
package clitest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/products"
)

// Outputs runs a command to its end and keeps its streams apart.
func (s *Flexvc) Outputs(args ...string) (exit int, stdout, stderr string) {
	s.T.Helper()
	var out, err bytes.Buffer
	cmd, _ := s.Command(args...)
	cmd.Stdout, cmd.Stderr = &out, &err
	if e := cmd.Run(); e != nil && !errors.As(e, new(*exec.ExitError)) {
		s.T.Fatal(e)
	}
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

// Wants runs a command to its end and wants this exit code and these lines.
func (s *Flexvc) Wants(exit int, args []string, patterns ...string) {
	s.T.Helper()
	got, out := s.Run(args...)
	if got != exit {
		s.T.Fatalf("%q exits with %d, want %d:\n%s", args, got, exit, out)
	}
	WantMatch(s.T, out, patterns...)
}

// Holdings is all that an account holds: what nobody changed is deeply equal.
func (s *Flexvc) Holdings() emulator.State {
	state := s.Export()
	state.Now = time.Time{}
	return state
}

func (s *Flexvc) WantUntouched(before emulator.State) {
	s.T.Helper()
	if now := s.Holdings(); !reflect.DeepEqual(before, now) {
		s.T.Errorf("the account was changed from\n%+v\nto\n%+v", before, now)
	}
	if run := s.LatestRun(); run != "" {
		s.T.Errorf("run %s was begun", run)
	}
	for _, name := range []string{"flexvc.yaml", "extension.pem", "secrets"} {
		if _, err := os.Lstat(filepath.Join(s.State, "emulator", name)); err == nil {
			s.T.Errorf("%s was made", name)
		}
	}
}

// Enabled counts the workers that carry the flag.
func (s *Flexvc) Enabled() (n int) {
	for _, text := range s.Attributes() {
		if state, _ := attributes.Inspect(&text); state == attributes.Enabled {
			n++
		}
	}
	return n
}

func (s *Flexvc) Journals() []string {
	names, _ := fs.Glob(os.DirFS(s.State), "AC*/WS*/*.jsonl")
	var paths []string
	for _, name := range names {
		paths = append(paths, filepath.Join(s.State, filepath.FromSlash(name)))
	}
	return paths
}

// served is an emulator that flexvc processes talk to.
type Flexvc struct {
	T *testing.T
	*emulator.Emulator
	State string
}

func (s *Flexvc) Command(args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.CommandContext(s.T.Context(), "flexvc", args...)
	cmd.Env = append(os.Environ(), "FLEXVC_STATE_DIR="+s.State, "FLEXVC_PROFILE=emulator", "HOME="+s.State)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	return cmd, &out
}

// flexvc runs a command to its end.
func (s *Flexvc) Run(args ...string) (int, string) {
	s.T.Helper()
	cmd, out := s.Command(args...)
	err := cmd.Run()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		s.T.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

func (s *Flexvc) LatestRun() string {
	paths := s.Journals()
	if len(paths) == 0 {
		return ""
	}
	return strings.TrimSuffix(filepath.Base(paths[len(paths)-1]), ".jsonl")
}

func (s *Flexvc) Attributes() map[string]string {
	all := map[string]string{}
	for _, w := range s.Export().Workers {
		all[w.SID] = w.Attributes
	}
	return all
}

func (s *Flexvc) WantAttributes(when string, want map[string]string) {
	s.T.Helper()
	got := s.Attributes()
	wrong := ""
	n := 0
	for sid, text := range want {
		if got[sid] != text && untimed(got[sid], text) != untimed(text, text) {
			n++
			wrong = fmt.Sprintf("%s holds\n%s\nwant\n%s", sid, got[sid], text)
		}
	}
	if n > 0 || len(got) != len(want) {
		s.T.Fatalf("%s: %d of %d workers are not as they should be, such as %s", when, n, len(got), wrong)
	}
}

var setAt = regexp.MustCompile(`,"` + attributes.EnabledAtKey + `":\d{10}`)

// untimed is what a worker holds without the time at which the flag was set, when
// it is to hold the flag: a test does not know the time.
func untimed(got, want string) string {
	if flag, _ := attributes.Inspect(&want); flag != attributes.Enabled {
		return got
	}
	return setAt.ReplaceAllString(got, "")
}

// Terminal starts flexvc on a pseudo-terminal of so many columns. Assignments
// such as TERM=dumb may precede the arguments.
func (s *Flexvc) Terminal(columns int, args ...string) *Terminal {
	s.T.Helper()
	env := []string{"TERM=xterm-256color", "COLUMNS=", "NO_COLOR="}
	for len(args) > 0 && strings.Contains(args[0], "=") {
		env, args = append(env, args[0]), args[1:]
	}
	cmd, _ := s.Command(args...)
	cmd.Stdout, cmd.Stderr = nil, nil
	cmd.Env = append(cmd.Env, env...)
	return OnTerminal(s.T, columns, cmd)
}

func (s *Flexvc) SID(name string) string {
	s.T.Helper()
	for _, w := range s.ExportWorkers() {
		if w.FriendlyName == name {
			return w.SID
		}
	}
	s.T.Fatalf("there is no worker %s", name)
	return ""
}

// Serve is an emulator whose Flex loads the plugin, and flexvc processes for it.
func Serve(t *testing.T, o emulator.Options) *Flexvc {
	t.Helper()
	faults := o.Faults
	o.Faults = nil // they are for the test's own requests
	e, state := ServeAccount(t, o)
	if !o.NoFlex {
		ReleasePlugin(t, e)
	}
	Check(t, e.SetFaults(faults...))
	return &Flexvc{t, e, state}
}

// ServeAccount is an emulator on a port, and the folder where commands find it.
func ServeAccount(t testing.TB, o emulator.Options) (e *emulator.Emulator, state string) {
	t.Helper()
	o.Products = products.All()
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
	at, err := json.Marshal(cli.Address{URL: "http://" + listener.Addr().String(), PID: os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(state, "emulator"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, "emulator", cli.AddressFile), at, 0o600); err != nil {
		t.Fatal(err)
	}
	return e, state
}

func WantNoRun(t *testing.T, s *Flexvc) {
	t.Helper()
	if run := s.LatestRun(); run != "" {
		t.Errorf("run %s was begun", run)
	}
}
