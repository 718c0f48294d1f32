//go:build !windows

package tree

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/charmbracelet/x/ansi"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/products"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
)

// Only the whole word carries a plan out, and nothing has happened before it.
func TestTerminalAsksBeforeItChanges(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, keys string
		exit       int
		end        string
	}{
		{"yes", "yes\n", 0, `^Done: \d+ enabled, \d+ already enabled\.$`},
		{"y", "y\n", problem.ExitFailed, `^Nothing was changed\.$`},
		{"YES", "YES\n", problem.ExitFailed, `^Nothing was changed\.$`},
		{"yes please", "yes please\n", problem.ExitFailed, `^Nothing was changed\.$`},
		{"only Enter", "\n", problem.ExitFailed, `^Nothing was changed\.$`},
		{"control-D", clitest.CtrlD, problem.ExitFailed, `^Nothing was changed\.$`},
		{"control-C", clitest.CtrlC, problem.ExitInterrupted, `^(\^C)?flexvc: error: interrupted before anything was changed$`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, columns := range []int{80, 60} {
				s := clitest.Serve(t, emulator.Options{Agents: 40, SeedValue: 7})
				before := s.Attributes()
				tm := s.Terminal(columns, "workers", "enable", "--all")
				question := tm.Await(`Only "yes" is accepted: $`)
				clitest.WantMatch(t, question,
					`^40 workers in WS….{4}: \d+ to enable, \d+ already enabled$`,
					`^  ~ \S+ +extensionVoiceClientEnabled   unset → true$`,
					`^    … \d+ more with the same change \(all of them: -o json\)$`,
					`^Plan: \d+ to change\.$`,
					`^Change \d+ workers in Flex Task Assignment of account flexvc emulator \(profile "emulator"\)\?$`,
					`^The plugin moves each agent to the extension when they next start Flex\.$`)
				for line := range strings.Lines(question) {
					// Questions and warnings may wrap: cutting them would hide what they say.
					free := strings.HasPrefix(line, "Change ") || strings.HasPrefix(line, "The plugin ") || strings.HasPrefix(line, "flexvc: ")
					if width := ansi.StringWidth(strings.TrimRight(line, "\n")); width > columns && !free {
						t.Errorf("%d columns on a terminal of %d: %s", width, columns, line)
					}
				}
				s.WantAttributes("while it asks", before)
				clitest.WantNoRun(t, s)
				tm.Types(test.keys)
				clitest.WantMatch(t, tm.Exit(test.exit), test.end)
				if test.exit == 0 {
					if maps.Equal(before, s.Attributes()) {
						t.Error("yes changed nothing")
					}
					continue
				}
				s.WantAttributes("after "+test.name, before)
				clitest.WantNoRun(t, s)
			}
		})
	}
}

var progressLine = regexp.MustCompile(`^\[\d+:\d\d\] +\d+%  \d+/\d+ workers   \d+\.\d/s   \d+ failed(   about \d+:\d\d left|   retried \d+ times? \(rate limit\))?$`)

// drawn returns the states of the progress line, one by one.
func drawn(screen string) (states []string) {
	for _, line := range strings.Split(screen, "\n") {
		for _, state := range strings.Split(line, "\r")[1:] {
			if text := strings.TrimRight(ansi.Strip(state), " "); text != "" {
				states = append(states, text)
			}
		}
	}
	return states
}

// The progress is one line that is drawn again and again, and fits.
func TestTerminalProgressIsOneLine(t *testing.T) {
	t.Parallel()
	for _, columns := range []int{80, 60} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			t.Parallel()
			s := clitest.Serve(t, emulator.Options{
				Agents: 50, SeedValue: 7, Limits: emulator.Limits{Latency: 20 * time.Millisecond},
				Faults: []string{"UpdateWorker:429*3@5"},
			})
			tm := s.Terminal(columns, "workers", "enable", "--all", "--yes", "--concurrency", "2")
			screen := tm.Exit(0)
			states := drawn(screen)
			if len(states) < 3 {
				t.Fatalf("the progress was drawn %d times:\n%q", len(states), screen)
			}
			left := false
			for _, state := range states {
				if columns == 80 && !progressLine.MatchString(state) {
					t.Errorf("the progress line has another shape: %q", state)
				}
				if width := ansi.StringWidth(state); width >= columns {
					t.Errorf("the progress line has %d columns and would wrap: %q", width, state)
				}
				left = left || strings.Contains(state, "about")
			}
			if !left {
				t.Error("the progress never says how much time is left")
			}
			clitest.WantMatch(t, states[len(states)-1], `^\[0:\d\d\] 100%  (\d+)/\d+ workers   \d+\.\d/s   0 failed   retried 3`)
			if lines := strings.Count(clitest.ScreenOf(screen), "100%"); lines != 1 {
				t.Errorf("%d progress lines are left on the screen:\n%s", lines, clitest.ScreenOf(screen))
			}
			if err := s.UnfiredFaults(); err != nil {
				t.Error(err)
			}
		})
	}
}

// stoppable is an emulator on which a run takes long enough to be stopped.
func stoppable(t *testing.T) *clitest.Flexvc {
	return clitest.Serve(t, emulator.Options{Agents: 60, SeedValue: 7, Limits: emulator.Limits{Latency: 15 * time.Millisecond}})
}

// undisturbed is what the workers of stoppable hold after a run nobody stops.
var undisturbed = sync.OnceValues(func() (map[string]string, error) {
	e, err := emulator.New(emulator.Options{Products: products.All(), Agents: 60, SeedValue: 7})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	all := map[string]string{}
	for _, w := range e.ExportWorkers() {
		after, _, err := attributes.Edit{Enable: true}.Apply(w.Attributes)
		if err != nil {
			return nil, err
		}
		all[w.SID] = after
	}
	return all, nil
})

// Whoever presses ^C once, or sends SIGTERM, gets a run in one piece that can
// be continued.
func TestTerminalStopsGently(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(*clitest.Terminal){
		"control-C": func(tm *clitest.Terminal) { tm.Types(clitest.CtrlC) },
		"SIGTERM":   func(tm *clitest.Terminal) { _ = tm.Cmd.Process.Signal(syscall.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := stoppable(t)
			before := s.Attributes()
			tm := s.Terminal(80, "workers", "enable", "--all", "--yes", "--concurrency", "2")
			tm.Await(`[1-9]\d*/\d+ workers`)
			stop(tm)
			screen := tm.Exit(problem.ExitInterrupted)
			run := s.LatestRun()
			clitest.WantMatch(t, screen,
				`flexvc: stopping after the writes in flight \(press \^C again to stop now\)$`,
				`^flexvc: stopped after \d+ of \d+; no write is half-done$`,
				`^flexvc: hint: continue: flexvc runs resume `+run+`     undo: flexvc runs rollback `+run+`$`)
			changed := 0
			for sid, text := range s.Attributes() {
				if text != before[sid] {
					changed++
				}
			}
			clitest.WantMatch(t, screen, fmt.Sprintf(`^flexvc: stopped after %d of \d+;`, changed))

			if _, out := s.Run("runs", "list"); !strings.Contains(out, fmt.Sprintf("unfinished: %d of ", changed)) {
				t.Errorf("runs list says\n%s", out)
			}
			screen = s.Terminal(80, "runs", "resume", strings.ToLower(run)).Exit(0)
			clitest.WantMatch(t, screen, fmt.Sprintf(`^Run %s: %d done, \d+ left$`, run, changed), `^Done: \d+ enabled`)
			after, err := undisturbed()
			if err != nil {
				t.Fatal(err)
			}
			s.WantAttributes("resumed", after)
		})
	}
}

// The second ^C does not wait for Twilio, whatever it is doing.
func TestTerminalStopsAtOnce(t *testing.T) {
	t.Parallel()
	s := stoppable(t)
	if err := s.SetFaults("UpdateWorker:delay=1h@10"); err != nil {
		t.Fatal(err)
	}
	tm := s.Terminal(80, "workers", "enable", "--all", "--yes", "--concurrency", "4")
	tm.Await(`9/\d+ workers`)
	tm.Types(clitest.CtrlC)
	tm.Await(`stopping after the writes in flight`)
	tm.Types(clitest.CtrlC)
	screen := tm.Exit(problem.ExitInterrupted)
	run := s.LatestRun()
	clitest.WantMatch(t, screen,
		`^(\^C)?flexvc: stopped at once after 9 of \d+; resume checks the writes that were in flight$`,
		`^flexvc: hint: continue: flexvc runs resume `+run)
	if err := s.SetFaults(); err != nil {
		t.Fatal(err)
	}
	s.Terminal(60, "runs", "resume", run).Exit(0)
	after, err := undisturbed()
	if err != nil {
		t.Fatal(err)
	}
	s.WantAttributes("resumed", after)
}

// Off a terminal there is a line every ten seconds, and nothing is redrawn.
func TestProgressOffATerminal(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	streams := ui.New(strings.NewReader(""), &out, &out, func(string) string { return "" })
	now := time.Unix(0, 0)
	p := streams.Progress("workers", 500, func() time.Time { return now })
	for second := 1; second <= 25; second++ {
		now = now.Add(time.Second)
		p.Update(8*second, second/20, 0)
		p.Tick()
	}
	p.End()
	want := "flexvc: 80 of 500 done, 0 failed, about 52 s left\n" +
		"flexvc: 160 of 500 done, 1 failed, about 42 s left\n" +
		"flexvc: 200 of 500 done, 1 failed, 25 s\n"
	if out.String() != want {
		t.Errorf("printed\n%swant\n%s", out.String(), want)
	}
}

// A terminal without colours or without any skill gets the same lines.
func TestTerminalsOfAllKindsShowTheSame(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 30, SeedValue: 7})
	for _, args := range [][]string{
		{"workers", "list"},
		{"workers", "enable", "--all", "--dry-run"},
		{"init", "--dry-run"},
		{"workers", "enable", "nobody"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			show := func(env string) (string, string) {
				tm := s.Terminal(80, append([]string{env}, args...)...)
				want := 0
				if args[len(args)-1] == "nobody" {
					want = problem.ExitUsage
				}
				return tm.Exit(want), tm.Bytes()
			}
			coloured, raw := show("TERM=xterm-256color")
			if clitest.Shown(raw) == strings.ReplaceAll(raw, "\r\n", "\n") {
				t.Errorf("nothing is coloured: %q", raw)
			}
			plain, raw := show("NO_COLOR=1")
			if strings.Contains(raw, "\x1b") {
				t.Errorf("NO_COLOR prints an escape sequence: %q", raw)
			}
			if plain != coloured {
				t.Errorf("NO_COLOR prints\n%s\nwithout it\n%s", plain, coloured)
			}
			dumb, raw := show("TERM=dumb")
			if strings.Contains(raw, "\x1b") {
				t.Errorf("TERM=dumb prints an escape sequence: %q", raw)
			}
			if got, want := strings.Count(dumb, "\n"), strings.Count(plain, "\n"); got != want {
				t.Errorf("TERM=dumb prints %d lines, want %d:\n%s", got, want, dumb)
			}
			if at := strings.IndexAny(dumb, "…→✓✗–"); at >= 0 {
				t.Errorf("TERM=dumb prints more than ASCII: %q", dumb[at:])
			}
		})
	}
}

// A terminal that can only go to the start of a line is not sent escape
// sequences for redrawing either.
func TestDumbTerminalProgressHasNoEscapes(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 30, SeedValue: 7, Limits: emulator.Limits{Latency: 20 * time.Millisecond}})
	tm := s.Terminal(80, "TERM=dumb", "workers", "enable", "--all", "--yes", "--concurrency", "2")
	screen := tm.Exit(0)
	if strings.Contains(tm.Bytes(), "\x1b") {
		t.Errorf("TERM=dumb is sent an escape sequence: %q", tm.Bytes())
	}
	states := drawn(screen)
	if len(states) < 2 {
		t.Fatalf("the progress was drawn %d times: %q", len(states), screen)
	}
	clitest.WantMatch(t, states[len(states)-1], `^\[0:\d\d\] 100%  \d+/\d+ workers`)
}

func TestTerminalQuiet(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 30, SeedValue: 7})
	screen := s.Terminal(80, "workers", "enable", "--all", "--yes", "--quiet").Exit(0)
	clitest.WantMatch(t, screen, `\A(flexvc: warning: .*\n)*Done: \d+ enabled, \d+ already enabled\.\n\z`)
}

func TestTerminalNoInput(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 30, SeedValue: 7})
	before := s.Attributes()
	screen := s.Terminal(80, "workers", "enable", "--all", "--no-input").Exit(problem.ExitUsage)
	clitest.WantMatch(t, screen,
		`^flexvc: error: cannot ask for confirmation: --no-input was given$`,
		`^flexvc: hint: review with --dry-run, then run again with --yes$`)
	s.WantAttributes("nobody confirmed", before)
	clitest.WantNoRun(t, s)
}

// A worker's name is whatever somebody typed into it. It must not be able to
// move the cursor, set the title, or turn text around.
func TestHostileNamesNeverReachTheTerminal(t *testing.T) {
	t.Parallel()
	names := []string{
		"title\x1b]0;owned\a", "clear\x1b[2J\x1b[H", "c1\u009b31mred", "bidi\u202egnp.exe\u2066", "two\nlines\r\n",
		"back\b\b\b\bspace", "null\x00byte", strings.Repeat("広", 200), "plain",
	}
	seed := &emulator.Seed{}
	for _, name := range names {
		seed.Workers = append(seed.Workers, emulator.SeedWorker{
			FriendlyName: name,
			Attributes:   `{"contact_uri":"client:\u001b[31m\u202e\u009b2J","note":"` + "raw \u009b and \u202e" + `"}`,
		})
	}
	// One is blocked, so that its name is shown for another reason.
	seed.Workers = append(seed.Workers, emulator.SeedWorker{FriendlyName: "blocked\x1b[31m", Attributes: "[\u009b]"})
	s := clitest.Serve(t, emulator.Options{Seed: seed})
	sid := s.Export().Workers[0].SID
	commands := [][]string{
		{"0", "workers", "list"},
		{"0", "workers", "list", "-o", "json"},
		{"0", "workers", "show", sid},
		{"0", "workers", "show", names[1]},
		{"0", "workers", "show", sid, "-o", "json"},
		{"0", "workers", "enable", "--all", "--dry-run"},
		{"0", "workers", "enable", "--all", "--dry-run", "-o", "json"},
		{"2", "workers", "show", "plainx\x1b[31m\u202e"},
		{"2", "workers", "enable", "clear\x1b[2J\x1b[h", "title\x1b]0;ownex\a", "--yes"},
		{"2", "workers", "enable", "no\u009bbody", "--yes", "-o", "json"},
		{"2", "workers", "list", "--filter", "x ~ \x1b[31m"},
		{"2", "workers", "enable", "--from", "no\x1b[31mfile\u202e", "--yes"},
		{"2", "runs", "show", "no\x1b[31mrun"},
		{"2", "workers", "list", "--concurrency", "\x1b[31m\u202e"},
		{"2", "workers", "\x1b[31mlost"},
		{"2", "version", "--\x1b[31m\u202eflag"},
		{"2", "-o", "\x1b[31m\u202e", "version"},
		{"2", "-p", "\x1b[31m\u202e", "workers", "list"},
		{"3", "workers", "enable", "--all", "--yes"},
		{"3", "workers", "disable", "--all", "--yes", "-o", "json"},
		{"0", "__complete", "workers", "show", ""},
		{"0", "__complete", "runs", "show", ""},
		{"0", "runs", "list"},
		{"0", "runs", "list", "-o", "json"},
	}
	for _, args := range commands {
		cmd, out := s.Command(args[1:]...)
		cmd.Env = append(cmd.Env, "NO_COLOR=1")
		if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
			t.Fatal(err)
		}
		if got := fmt.Sprint(cmd.ProcessState.ExitCode()); got != args[0] {
			t.Errorf("%q exits with %s, want %s:\n%s", args[1:], got, args[0], out)
		}
		wantInert(t, args[1:], out.String())

		tm := s.Terminal(60, append([]string{"NO_COLOR=1"}, args[1:]...)...)
		tm.End()
		wantInert(t, args[1:], strings.ReplaceAll(regexp.MustCompile("\r\x1b\\[K|\r").ReplaceAllString(tm.Bytes(), ""), "\r", ""))
	}
	run := s.LatestRun()
	for _, args := range [][]string{{"runs", "show", run}, {"runs", "show", run, "-o", "json"}, {"runs", "rollback", run, "--dry-run"}} {
		_, out := s.Run(args...)
		wantInert(t, args, out)
	}
}

// wantInert wants text without anything that a terminal acts upon.
func wantInert(t *testing.T, args []string, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && r != '\t' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			t.Errorf("%q prints %U:\n%q", args, r, text)
			return
		}
	}
}

func TestInitOnATerminal(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 5, SeedValue: 7})
	before := s.Export()
	plan := []string{
		`^flexvc: reading account AC….{4} \(profile "emulator"\) … ok, Flex UI \d`,
		`^In Flex Task Assignment \(WS….{4}\) flexvc will:$`,
		`^  \+ activity      Voice Client Offline          available: no$`,
		`^  \+ api key       flexvc-token-server           secret goes to `,
		`^  \+ settings      flexvc.yaml                   workspace, activity name, identity prefix ext_$`,
		`^Plan: 4 to add, 0 to change, 0 to remove\.$`,
	}

	for _, keys := range []string{"no\n", "y\n", clitest.CtrlD, clitest.CtrlC} {
		tm := s.Terminal(100, "init")
		clitest.WantMatch(t, tm.Await(`Apply\? Only "yes" is accepted: $`), plan...)
		tm.Types(keys)
		if keys == clitest.CtrlC {
			clitest.WantMatch(t, tm.Exit(problem.ExitInterrupted), `^flexvc: error: interrupted before anything was changed$`)
		} else {
			clitest.WantMatch(t, tm.Exit(problem.ExitFailed), `^Nothing was changed\.$`)
		}
		wantSetup(t, s, before, 0)
	}

	tm := s.Terminal(100, "init")
	tm.Await(`Only "yes" is accepted: $`)
	tm.Types("yes\n")
	clitest.WantMatch(t, tm.Exit(0), append(plan,
		`^ ✓ activity      Voice Client Offline          WA….{4}    \d\.\d s$`,
		`^ ✓ api key       flexvc-token-server           SK….{4}    \d\.\d s$`,
		`^ ✓ signing key   [a-p]{32}$`,
		`^ ✓ settings      flexvc\.yaml$`,
		`^Done: 4 added\.$`,
		`^Next: .*flexvc workers enable --all --dry-run$`)...)
	wantSetup(t, s, before, 1)

	clitest.WantMatch(t, s.Terminal(60, "init").Exit(0), `\ANo changes: WS….{4} already matches\. Next: flexvc \S+`)
	wantSetup(t, s, before, 1)
}

// wantSetup wants so many activities, API keys and settings files more than
// there were before init.
func wantSetup(t *testing.T, s *clitest.Flexvc, before emulator.State, more int) {
	t.Helper()
	now := s.Export()
	if got := len(now.Activities) - len(before.Activities); got != more {
		t.Errorf("%d activities were added, want %d", got, more)
	}
	if got := len(now.Keys) - len(before.Keys); got != more {
		t.Errorf("%d API keys were added, want %d", got, more)
	}
	for _, name := range []string{"flexvc.yaml", "extension.pem"} {
		if _, err := os.Stat(filepath.Join(s.State, "emulator", name)); (err == nil) != (more > 0) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// ^C while one item is being made ends init there; the next run goes on, and
// ends where an undisturbed one does.
func TestInitStoppedBetweenItems(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{"CreateActivity", "iam.CreateNewKey", "iam.UpdateKey"} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			s := clitest.Serve(t, emulator.Options{Agents: 3, SeedValue: 7})
			before := s.Export()
			if err := s.SetFaults(operation + ":delay=1h"); err != nil {
				t.Fatal(err)
			}
			tm := s.Terminal(80, "init", "--yes")
			clitest.Eventually(t, operation+" is asked for", func() bool { return s.Faults()[0].Fired > 0 })
			tm.Types(clitest.CtrlC)
			clitest.WantMatch(t, tm.Exit(problem.ExitInterrupted),
				`interrupted`, `^flexvc: completed steps are kept; run flexvc init again to continue$`)
			if err := s.SetFaults(); err != nil {
				t.Fatal(err)
			}
			clitest.WantMatch(t, s.Terminal(80, "init", "--yes").Exit(0), `^Done: `)
			wantSetup(t, s, before, 1)
			clitest.WantMatch(t, s.Terminal(80, "init", "--yes").Exit(0), `\ANo changes: `)
			for _, key := range s.Export().Keys {
				if strings.Contains(key.FriendlyName, "(setup") {
					t.Errorf("a key of the first run is left: %s", key.FriendlyName)
				}
			}
		})
	}
}
