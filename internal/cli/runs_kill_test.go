package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
)

// TestKilledHundredTimes kills real processes with SIGKILL at random moments of
// a run, a hundred times, and resumes each time. The end state equals that of an
// undisturbed run byte for byte, and the rollback restores every byte.
func TestKilledHundredTimes(t *testing.T) {
	kills := 100
	if testing.Short() {
		kills = 10
	}
	const agents = 300
	e := serveEmulator(t, emulator.Options{
		Agents: agents, SeedValue: 7, Now: time.Now,
		// So slow that a process is never done before it is killed.
		Limits: emulator.Limits{Latency: 10 * time.Millisecond, Concurrency: 8},
	})
	before := e.attributes()
	want := map[string]string{}
	changes := 0
	for sid, text := range before {
		after, changed, err := provision.Edit{Enable: true}.Apply(text)
		if err != nil {
			after = text
		}
		if len(changed) > 0 {
			changes++
		}
		want[sid] = after
	}

	random := rand.New(rand.NewPCG(1, 2))
	run := ""
	for range kills {
		args := []string{"workers", "enable", "--all", "--yes"}
		if run != "" {
			args = []string{"runs", "resume", run}
		}
		// A journal grows by about a kilobyte per worker.
		e.kill(random.IntN(changes*1000/kills), args...)
		run = e.latestRun()
	}
	if got := e.status(run); got != "unfinished" {
		t.Fatalf("after the kills run %q is %s: they came too late", run, got)
	}
	if exit, out := e.flexvc("runs", "resume", run); exit != 0 && exit != problem.ExitPartly {
		t.Fatalf("resume exits with %d\n%s", exit, out)
	}
	e.wantAttributes("after the kills", want)
	if exit, out := e.flexvc("runs", "rollback", run, "--yes"); exit != 0 {
		t.Fatalf("rollback exits with %d\n%s", exit, out)
	}
	e.wantAttributes("after the rollback", before)
}

// TestBrowsersOverwriteDuringRun lets simulated browsers write whole attributes
// a thousand times while flexvc enables: right between its read and its write,
// and from copies that do not know of its change. Nothing of a browser's is lost,
// and all workers end enabled.
func TestBrowsersOverwriteDuringRun(t *testing.T) {
	for name, browser := range map[string]emulator.BrowserOptions{
		"between read and write": {Overwrites: 1000, AfterFetch: 1},
		"from old copies":        {Overwrites: 1000, Interval: 3 * time.Millisecond, Stale: 0.3},
	} {
		t.Run(name, func(t *testing.T) {
			e := serveEmulator(t, emulator.Options{
				Agents: 200, SeedValue: 7, Now: time.Now, Limits: emulator.Limits{Latency: 2 * time.Millisecond},
			})
			browsers, err := e.StartBrowser(t.Context(), browser)
			if err != nil {
				t.Fatal(err)
			}
			// Back and forth, so that there is always something to write; and once
			// more when they are through, for those undone after the last look.
			for last := false; !last; {
				last = len(browsers.Overwrites()) == browser.Overwrites
				for _, verb := range []string{"disable", "enable"} {
					if exit, out := e.flexvc("workers", verb, "--all", "--yes"); exit != 0 && exit != problem.ExitPartly {
						t.Fatalf("%s exits with %d\n%s", verb, exit, out)
					}
				}
			}
			if err := browsers.Lost(); err != nil {
				t.Error(err)
			}
			for sid, text := range e.attributes() {
				if state, _ := provision.Inspect(&text); state != provision.Enabled && state != provision.Invalid {
					t.Errorf("%s is %s", sid, state)
				}
			}
		})
	}
}

// served is an emulator that flexvc processes talk to.
type served struct {
	t *testing.T
	*emulator.Emulator
	state string
}

func serveEmulator(t *testing.T, o emulator.Options) *served {
	t.Helper()
	e, err := emulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, e.Close()); err != nil {
			t.Error(err)
		}
	})
	s := &served{t, e, t.TempDir()}
	at, err := json.Marshal(address{URL: "http://" + listener.Addr().String(), PID: os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(s.state, "emulator"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.state, "emulator", addressFile), at, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
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

// kill starts a command and kills it once the journals have grown by so many
// bytes.
func (s *served) kill(growth int, args ...string) {
	s.t.Helper()
	size := s.journalled()
	cmd, out := s.command(args...)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	deadline := time.After(time.Minute)
	for s.journalled() < size+growth {
		select {
		case <-done:
			s.t.Fatalf("flexvc %s ended with %d before it could be killed\n%s", strings.Join(args, " "), cmd.ProcessState.ExitCode(), out)
		case <-deadline:
			s.t.Fatalf("flexvc %s does not get on\n%s", strings.Join(args, " "), out)
		case <-look.C:
		}
	}
	_ = cmd.Process.Kill()
	<-done
}

// journalled is how many bytes of journals there are.
func (s *served) journalled() int {
	paths, _ := filepath.Glob(filepath.Join(s.state, "AC*", "WS*", "*.jsonl*"))
	sum := 0
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil {
			sum += int(info.Size())
		}
	}
	return sum
}

func (s *served) latestRun() string {
	paths, _ := filepath.Glob(filepath.Join(s.state, "AC*", "WS*", "*.jsonl"))
	if len(paths) == 0 {
		return ""
	}
	return strings.TrimSuffix(filepath.Base(paths[len(paths)-1]), ".jsonl")
}

func (s *served) status(run string) string {
	_, out := s.flexvc("runs", "show", run, "-o", "json")
	var first struct{ State string }
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&first); err != nil {
		s.t.Fatalf("%v in %s", err, out)
	}
	return first.State
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
