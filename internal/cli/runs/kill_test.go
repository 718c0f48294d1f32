package runs_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
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
	undisturbed := clitest.Serve(t, opts)
	before := undisturbed.Attributes()
	if exit, out := undisturbed.Run("workers", "enable", "--all", "--yes"); exit != 0 && exit != problem.ExitPartly {
		t.Fatalf("the undisturbed run exits with %d\n%s", exit, out)
	}
	after := undisturbed.Attributes()
	if maps.Equal(before, after) {
		t.Fatal("the undisturbed run changed nothing")
	}

	s := clitest.Serve(t, opts)
	killed := 0
	// untilDone starts the command, kills it, and resumes what it left until it
	// ends by itself; while the test wants more kills it kills again.
	untilDone := func(args ...string) {
		known := s.LatestRun()
		for {
			cmd, out := s.Command(args...)
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
			if run := s.LatestRun(); run != known {
				args = []string{"runs", "resume", run}
			}
		}
	}
	for round := 1; killed < kills || round == 1; round++ {
		untilDone("workers", "enable", "--all", "--yes")
		s.WantAttributes(fmt.Sprintf("round %d", round), after)
		untilDone("runs", "rollback", s.LatestRun(), "--yes")
		s.WantAttributes(fmt.Sprintf("round %d, taken back", round), before)
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
			e := clitest.Serve(t, emulator.Options{
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
					if exit, out := e.Run("workers", verb, "--all", "--yes"); exit != 0 && exit != problem.ExitPartly {
						t.Fatalf("%s exits with %d\n%s", verb, exit, out)
					}
				}
			}
			if err := browsers.Lost(); err != nil {
				t.Error(err)
			}
			for sid, text := range e.Attributes() {
				if state, _ := attributes.Inspect(&text); state != attributes.Enabled && state != attributes.Invalid {
					t.Errorf("%s is %s", sid, state)
				}
			}
		})
	}
}
