package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/products"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
)

// TestKilledAHundredTimes kills flexvc with SIGKILL at a random moment,
// resumes, and kills again, a hundred times. What stands at the end is what an
// undisturbed run leaves, byte for byte, and the way back leads to what was
// there before.
func TestKilledAHundredTimes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts hundreds of processes")
	}
	const kills = 100
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)

	opts := emulator.Options{Agents: 400, SeedValue: 7, Limits: emulator.Limits{RequestsPerSecond: 300}}
	undisturbed := serveEmulator(t, opts)
	before := undisturbed.attributes()
	if exit, out := undisturbed.flexvc("workers", "enable", "--all", "--yes"); exit != 0 && exit != problem.ExitPartly {
		t.Fatalf("the undisturbed run exits with %d\n%s", exit, out)
	}
	after := undisturbed.attributes()
	if maps.Equal(before, after) {
		t.Fatal("the undisturbed run changed nothing")
	}

	s := serveEmulator(t, opts)
	killed := 0
	// untilDone starts the command, kills it, and resumes what it left until it
	// ends by itself; while the test wants more kills it kills again.
	untilDone := func(args ...string) {
		known := s.latestRun()
		for {
			cmd, out := s.command(args...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if killed < kills {
				timer := time.AfterFunc(time.Duration(rng.IntN(600))*time.Millisecond, func() { _ = cmd.Process.Kill() })
				err := cmd.Wait()
				timer.Stop()
				if err != nil && cmd.ProcessState.ExitCode() == -1 {
					killed++
				}
			} else {
				_ = cmd.Wait() // the exit code is looked at below
			}
			switch cmd.ProcessState.ExitCode() {
			case problem.ExitDone, problem.ExitPartly:
				return
			case -1:
			case problem.ExitUsage:
				// Killed after the last record: there is nothing to resume.
				if strings.Contains(out.String(), "nothing") {
					return
				}
				fallthrough
			default:
				t.Fatalf("%v ended with %v:\n%s", args, cmd.ProcessState, out.String())
			}
			// A journal that was never begun is a run that never was.
			if run := s.latestRun(); run != known {
				args = []string{"runs", "resume", run}
			}
		}
	}
	for round := 1; killed < kills || round == 1; round++ {
		untilDone("workers", "enable", "--all", "--yes")
		s.wantAttributes(fmt.Sprintf("round %d", round), after)
		untilDone("runs", "rollback", s.latestRun(), "--yes")
		s.wantAttributes(fmt.Sprintf("round %d, taken back", round), before)
		t.Logf("round %d: killed %d times so far", round, killed)
	}
}

// TestBrowsersOverwriteDuringRun lets simulated browsers write whole attributes
// a thousand times while flexvc enables: right between its read and its write,
// and from copies that do not know of its change. Nothing of a browser's is lost,
// and all workers end enabled.
func TestBrowsersOverwriteDuringRun(t *testing.T) {
	t.Parallel()
	for name, browser := range map[string]emulator.BrowserOptions{
		"between read and write": {Overwrites: 1000, AfterFetch: 1},
		"from old copies":        {Overwrites: 1000, Interval: 3 * time.Millisecond, Stale: 0.3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
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
	e, state := serveAccount(t, o)
	return &served{t, e, state}
}

// serveAccount is an emulator on a port, and the folder where commands find it.
func serveAccount(t testing.TB, o emulator.Options) (e *emulator.Emulator, state string) {
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
