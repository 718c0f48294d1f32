package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
)

// served is an emulator on a loopback port of this process, found by flexvc
// processes through a state folder of its own.
type served struct {
	*emulator.Emulator
	t     *testing.T
	state string
}

func serve(t *testing.T, opts emulator.Options) *served {
	t.Helper()
	e, err := emulator.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &served{e, t, t.TempDir()}
	content, err := json.Marshal(address{URL: "http://" + listener.Addr().String(), PID: os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(s.state, "emulator")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, addressFile), content, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// command is a flexvc process that has not been started.
func (s *served) command(args ...string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = []string{asFlexvc + "=1", "HOME=" + s.state, "FLEXVC_STATE_DIR=" + s.state, "FLEXVC_PROFILE=emulator"}
	return cmd
}

// attributes maps each worker's SID to its attributes.
func (s *served) attributes() map[string]string {
	all := map[string]string{}
	for _, w := range s.ExportWorkers() {
		all[w.SID] = w.Attributes
	}
	return all
}

func (s *served) latestRun() string {
	s.t.Helper()
	account := s.Account()
	files, err := filepath.Glob(filepath.Join(s.state, account.SID, account.WorkspaceSID, "*.jsonl"))
	if err != nil {
		s.t.Fatal(err)
	}
	if len(files) == 0 {
		return ""
	}
	return strings.TrimSuffix(filepath.Base(slices.Max(files)), ".jsonl")
}

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
	undisturbed := serve(t, opts)
	before := undisturbed.attributes()
	finish(t, undisturbed.command("workers", "enable", "--all", "--yes"))
	after := undisturbed.attributes()
	if equal(before, after) {
		t.Fatal("the undisturbed run changed nothing")
	}

	s := serve(t, opts)
	killed := 0
	// untilDone starts the command, kills it, and resumes what it left until it
	// ends by itself; while the test wants more kills it kills again.
	untilDone := func(args ...string) {
		known := s.latestRun()
		for {
			cmd := s.command(args...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
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
				if strings.Contains(stderr.String(), "nothing") {
					return
				}
				fallthrough
			default:
				t.Fatalf("%v ended with %v:\n%s", args, cmd.ProcessState, stderr.String())
			}
			// A journal that was never begun is a run that never was.
			if run := s.latestRun(); run != known {
				args = []string{"runs", "resume", run}
			}
		}
	}
	for round := 1; killed < kills || round == 1; round++ {
		untilDone("workers", "enable", "--all", "--yes")
		if got := s.attributes(); !equal(got, after) {
			t.Fatalf("round %d: %s", round, difference(after, got))
		}
		untilDone("runs", "rollback", s.latestRun(), "--yes")
		if got := s.attributes(); !equal(got, before) {
			t.Fatalf("round %d, taken back: %s", round, difference(before, got))
		}
		t.Logf("round %d: killed %d times so far", round, killed)
	}
}

// TestBrowsersLoseNothing lets simulated browsers overwrite whole attributes a
// thousand times, some from old copies, while all workers are enabled. Every
// value that a browser wrote last is there at the end, and so is the flag.
func TestBrowsersLoseNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, emulator.Options{Agents: 300, SeedValue: 3})
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	browser, err := s.StartBrowser(ctx, emulator.BrowserOptions{Overwrites: 1000, Interval: 3 * time.Millisecond, Stale: 0.3})
	if err != nil {
		t.Fatal(err)
	}
	finish(t, s.command("workers", "enable", "--all", "--yes"))
	if err := browser.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	// A browser that writes after the run is the plugin's and watch's business;
	// once all is quiet, another run has to find and finish what is left.
	finish(t, s.command("workers", "enable", "--all", "--yes"))

	last := map[string]int{}
	for _, o := range browser.Overwrites() {
		last[o.Worker] = o.Seq
	}
	if len(last) < 100 {
		t.Fatalf("only %d workers were overwritten", len(last))
	}
	for sid, attributes := range s.attributes() {
		var got struct {
			Enabled any `json:"extensionVoiceClientEnabled"`
			Seq     int `json:"browser_seq"`
		}
		if err := json.Unmarshal([]byte(attributes), &got); err != nil {
			t.Fatalf("%s: %v", sid, err)
		}
		if got.Enabled != true || got.Seq != last[sid] {
			t.Errorf("%s: enabled %v, browser's value %d, want true and %d", sid, got.Enabled, got.Seq, last[sid])
		}
	}
}

// finish runs a command to its end and wants it to be done, or partly done
// where the emulator has workers that cannot be changed.
func finish(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != problem.ExitDone && code != problem.ExitPartly {
		t.Fatalf("%v: %v\n%s", cmd.Args[1:], err, out)
	}
}

func equal(a, b map[string]string) bool { return difference(a, b) == "" }

// difference tells the first worker, by SID, whose attributes differ.
func difference(want, got map[string]string) string {
	var sids []string
	for sid := range want {
		sids = append(sids, sid)
	}
	slices.Sort(sids)
	if len(want) != len(got) {
		return fmt.Sprintf("%d workers, want %d", len(got), len(want))
	}
	for _, sid := range sids {
		if want[sid] != got[sid] {
			return fmt.Sprintf("%s has\n%s\nwant\n%s", sid, got[sid], want[sid])
		}
	}
	return ""
}
