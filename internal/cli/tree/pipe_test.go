//go:build !windows

package tree

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
)

// TestReaderThatGoesAway tries flexvc as it is shipped: how a process takes a signal is
// not to be tried on a test's own.
func TestReaderThatGoesAway(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "flexvc")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "../../../cmd/flexvc").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b := built(path)
	for name, test := range map[string]func(*testing.T){
		"enable dies half-way":                      b.enable,
		"interrupt kills the reader too":            b.interrupt,
		"init dies half-way":                        b.init,
		"serve dies at its next line":               b.serve,
		"a list or a watch goes on without readers": b.lists,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// built is the path of the flexvc that is tried.
type built string

// reader is what a flexvc writes to, until it goes away.
type reader struct {
	*bufio.Reader
	pipe *os.File
}

func (r *reader) line(t *testing.T) string {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	return line
}

// piped starts the built flexvc with its standard output on a pipe, and its standard
// error on the same one if both is set, else in complaint.
func (b built) piped(t *testing.T, s *clitest.Flexvc, both bool, args ...string) (cmd *exec.Cmd, out *reader, complaint *bytes.Buffer) {
	t.Helper()
	cmd, complaint = s.Command(args...)
	cmd.Path = string(b)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, complaint
	if both {
		cmd.Stderr = w
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended unless the test has failed
		_ = r.Close()
	})
	return cmd, &reader{bufio.NewReader(r), r}, complaint
}

func wantExit(t *testing.T, cmd *exec.Cmd, want int, complaint *bytes.Buffer) {
	t.Helper()
	late := time.AfterFunc(clitest.Patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	_ = cmd.Wait() // the exit code says it
	if got := cmd.ProcessState.ExitCode(); got != want {
		t.Fatalf("%v ends with %v, want exit code %d:\n%s", cmd.Args, cmd.ProcessState, want, complaint)
	}
}

// enable: `| head -1`, or a log collector that is restarted, is no
// reason to leave half of the workers behind. The exit code and the journal say that
// not all was told.
func (b built) enable(t *testing.T) {
	for name, c := range map[string]struct {
		both bool
		args []string
	}{
		"text":                   {false, nil},
		"text, errors as well":   {true, nil},
		"JSON":                   {false, []string{"-o", "json"}},
		"JSON, errors as well":   {true, []string{"-o", "json"}},
		"one line, then verbose": {true, []string{"-v"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := clitest.Serve(t, emulator.Options{Agents: 60, SeedValue: 7, Limits: emulator.Limits{RequestsPerSecond: 100}})
			cmd, out, complaint := b.piped(t, s, c.both, append([]string{"workers", "enable", "--all", "--yes"}, c.args...)...)
			out.line(t)
			clitest.Check(t, out.pipe.Close())
			wantExit(t, cmd, problem.ExitFailed, complaint)
			if strings.Contains(complaint.String(), "error") {
				t.Errorf("it complains:\n%s", complaint)
			}
			if n := s.Enabled(); n != 60 {
				t.Errorf("%d of 60 workers are enabled", n)
			}
			s.Wants(problem.ExitDone, []string{"runs", "show", s.LatestRun()}, `^  state      done: \d+ enabled`, `^  output     not all was told: broken pipe$`)
			s.Wants(problem.ExitDone, []string{"runs", "show", s.LatestRun(), "-o", "json"}, `"untold":"broken pipe"`)
		})
	}
}

// interrupt: ^C reaches everybody on the terminal, so `tee` dies
// first. The writes in flight are finished, and the run can be resumed.
func (b built) interrupt(t *testing.T) {
	s := clitest.Serve(t, emulator.Options{Agents: 60, SeedValue: 7, Limits: emulator.Limits{Latency: 20 * time.Millisecond}})
	cmd, out, complaint := b.piped(t, s, true, "workers", "enable", "--all", "--yes", "-o", "json", "--concurrency", "2")
	for range 4 {
		out.line(t)
	}
	clitest.Check(t, out.pipe.Close())
	clitest.Check(t, cmd.Process.Signal(os.Interrupt))
	wantExit(t, cmd, problem.ExitInterrupted, complaint)
	run := s.LatestRun()
	s.Wants(problem.ExitDone, []string{"runs", "list"}, run+`.*unfinished: \d+ of \d+`)
	s.Wants(problem.ExitDone, []string{"runs", "resume", run}, `^Done: \d+ enabled`)
	if n := s.Enabled(); n != 60 {
		t.Errorf("%d of 60 workers are enabled", n)
	}
}

func (b built) init(t *testing.T) {
	for name, args := range map[string][]string{"text": nil, "JSON": {"-o", "json"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := clitest.Serve(t, emulator.Options{Agents: 5, SeedValue: 7, Limits: emulator.Limits{Latency: 50 * time.Millisecond}})
			cmd, out, complaint := b.piped(t, s, true, append([]string{"init", "--yes"}, args...)...)
			out.line(t)
			clitest.Check(t, out.pipe.Close())
			wantExit(t, cmd, problem.ExitFailed, complaint)
			s.Wants(problem.ExitDone, []string{"init", "--yes"}, "^No changes: ")
		})
	}
}

// serve: the tokens of all agents depend on it.
func (b built) serve(t *testing.T) {
	s := clitest.Serve(t, emulator.Options{Agents: 5, SeedValue: 7})
	s.Wants(problem.ExitDone, []string{"init", "--yes"}, "^Done: ")
	cmd, out, complaint := b.piped(t, s, true, "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none")
	address := ""
	for address == "" {
		if m := regexp.MustCompile(`(http://[0-9.:]+)/generateToken`).FindStringSubmatch(out.line(t)); m != nil {
			address = m[1]
		}
	}
	clitest.Check(t, out.pipe.Close())
	for range 3 { // each is logged
		res, err := http.PostForm(address+"/generateToken", map[string][]string{"Token": {"eyJhIjoxfQ.no.token"}})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized && res.StatusCode != http.StatusForbidden {
			t.Fatalf("it answers %s", res.Status)
		}
	}
	clitest.Check(t, cmd.Process.Signal(syscall.SIGTERM))
	wantExit(t, cmd, problem.ExitDone, complaint)
}

// lists: what only reads ends soon, and without a word.
func (b built) lists(t *testing.T) {
	s := clitest.Serve(t, emulator.Options{Agents: 3000, SeedValue: 7})
	for _, args := range [][]string{{"workers", "list"}, {"workers", "list", "-o", "json"}, {"watch", "--plain", "--filter", "-name~zzzz"}, {"watch", "-o", "json", "--filter", "-name~zzzz"}} {
		cmd, out, complaint := b.piped(t, s, false, args...)
		out.line(t)
		clitest.Check(t, out.pipe.Close())
		wantExit(t, cmd, problem.ExitFailed, complaint)
		if strings.Contains(complaint.String(), "error") {
			t.Errorf("%q complains:\n%s", args, complaint)
		}
	}
}
