//go:build !windows

package tree

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
)

// What is refused is refused before anything is done, with a sentence, a hint
// and an exit code of its own.
func TestRefusedWithNothingDone(t *testing.T) {
	t.Parallel()
	enable := []string{"workers", "enable", "--all", "--yes"}
	setup := []string{"init", "--yes"}
	for _, test := range []struct {
		name     string
		options  emulator.Options
		commands [][]string
		exit     int
		sentence string
		hint     string
	}{
		{
			"wrong credentials", emulator.Options{Faults: []string{"*:401"}},
			[][]string{enable, setup, {"workers", "list"}, {"workers", "show", "judy"}},
			problem.ExitCredentials,
			`^flexvc: error: cannot .*: Twilio does not accept the credentials of AC….{4}$`,
			`^flexvc: hint: check the account SID and the auth token, or the API key and its secret$`,
		},
		{
			"credentials that may not manage keys", emulator.Options{Faults: []string{"ListGetKeys:401"}},
			[][]string{setup},
			problem.ExitCredentials,
			`^flexvc: error: cannot plan the token server's API key: these credentials may not manage the account's keys$`,
			`^flexvc: hint: run init with the account's auth token or a Main API key`,
		},
		{
			"no Flex", emulator.Options{NoFlex: true},
			[][]string{enable, setup, {"workers", "list"}},
			problem.ExitFailed,
			`^flexvc: error: cannot .*: account AC….{4} has no Flex$`,
			`^flexvc: hint: check the account, or pass --workspace$`,
		},
		{
			"a filter Twilio refuses", emulator.Options{},
			[][]string{
				{"workers", "enable", "--filter", "skills ~ 1", "--yes"},
				{"workers", "list", "--filter", "(("},
			},
			problem.ExitUsage,
			`^flexvc: error: cannot list the workers of WS….{4}: Twilio does not accept the filter: `,
			`^flexvc: hint: see https://www.twilio.com/docs/taskrouter/expression-syntax$`,
		},
		{
			"nobody of that name", emulator.Options{},
			[][]string{{"workers", "enable", "judy.ibrahim", "nobody", "--yes"}, {"workers", "disable", "nobody", "--yes"}},
			problem.ExitUsage,
			`^flexvc: error: no worker has the name or SID "nobody"; nothing was changed$`,
			`^flexvc: hint: .*list all workers: flexvc workers list$`,
		},
		{
			"nobody to show", emulator.Options{},
			[][]string{{"workers", "show", "nobody"}, {"workers", "show", "WKe0e0e0e0000000000000000000000000"}},
			problem.ExitUsage,
			`^flexvc: error: no worker has the name or SID "\w+"$`,
			`^flexvc: hint: .*list all workers: flexvc workers list$`,
		},
		{
			"Twilio is away", emulator.Options{Faults: []string{"*:503html"}},
			[][]string{enable},
			problem.ExitFailed,
			`^flexvc: error: cannot .*: Twilio cannot serve it now \(HTTP 503\)$`,
			`^flexvc: hint: try again later; see https://status\.twilio\.com$`,
		},
		{
			"a list that always breaks off", emulator.Options{Faults: []string{"ListWorker:truncate"}},
			[][]string{enable},
			problem.ExitFailed,
			`^flexvc: error: cannot list the workers of WS….{4}: Twilio's response was cut short$`,
			`^flexvc: hint: try again$`,
		},
		{
			"a workspace of somebody else", emulator.Options{},
			[][]string{{"workers", "enable", "--all", "--yes", "--workspace", "WSe0e0e0e0000000000000000000000000"}},
			problem.ExitFailed,
			`^flexvc: error: cannot list the workers of WS…0000: Twilio does not know it \(404, code 20404\)$`,
			`^ +Twilio says: The requested resource .* was not found$`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.options.Agents, test.options.SeedValue = 20, 7
			s := clitest.Serve(t, test.options)
			before := s.Holdings()
			for _, args := range test.commands {
				s.Wants(test.exit, args, test.sentence, test.hint)
				s.WantUntouched(before)
			}
			if err := s.UnfiredFaults(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A regular file where a folder should be stops root as well.
func TestInitWithNowhereToWrite(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 3, SeedValue: 7})
	before := s.Holdings()
	blocker := filepath.Join(t.TempDir(), "blocker")
	if err := os.WriteFile(blocker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"flexvc.yaml", "extension.pem"} {
		link := filepath.Join(s.State, "emulator", name)
		if err := os.Symlink(filepath.Join(blocker, name), link); err != nil {
			t.Fatal(err)
		}
		exit, out := s.Run("init", "--yes")
		if exit != problem.ExitUsage {
			t.Errorf("without a place for %s, init exits with %d:\n%s", name, exit, out)
		}
		clitest.WantMatch(t, out, `^flexvc: error: cannot .*`+regexp.QuoteMeta(name)+`.*: not a directory$`, `^flexvc: hint: `)
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
		s.WantUntouched(before)
	}
	s.Wants(problem.ExitUsage, []string{"init", "--yes", "--secret-file", filepath.Join(blocker, "secrets")},
		`^flexvc: error: cannot .*blocker.*: not a directory$`, `^flexvc: hint: `)
	s.WantUntouched(before)
}

// Attributes that are no JSON object, or have no room, are left alone: nobody
// can tell what the agent's browser would make of them.
func TestOddAttributesAreLeftAlone(t *testing.T) {
	t.Parallel()
	const inserted = len(`,"extensionVoiceClientEnabled":true`)
	padded := func(n int) emulator.Attributes {
		return emulator.Attributes(`{"a":"` + strings.Repeat("x", n-len(`{"a":""}`)) + `"}`)
	}
	s := clitest.Serve(t, emulator.Options{Seed: &emulator.Seed{Workers: []emulator.SeedWorker{
		{FriendlyName: "good", Attributes: `{"a":1}`},
		{FriendlyName: "array", Attributes: `[{"a":1}]`},
		{FriendlyName: "text", Attributes: `"{}"`},
		{FriendlyName: "torn", Attributes: `{"a":`},
		{FriendlyName: "null", Attributes: `null`},
		{FriendlyName: "two", Attributes: `{"a":1}{"b":2}`},
		{FriendlyName: "fits", Attributes: padded(attributes.MaxLength - inserted)},
		{FriendlyName: "full", Attributes: padded(attributes.MaxLength - inserted + 1)},
		{FriendlyName: "empty"},
	}}})
	var empty string
	for _, w := range s.Export().Workers {
		if w.FriendlyName == "empty" {
			empty = w.SID
		}
	}
	if err := s.Edit(empty, ""); err != nil {
		t.Fatal(err)
	}
	want := s.Attributes()
	blocked := 0
	for sid, text := range want {
		if after, _, err := (attributes.Edit{Enable: true}).Apply(text); err == nil {
			want[sid] = after
		} else {
			blocked++
		}
	}
	if blocked != 7 {
		t.Fatalf("%d workers are blocked", blocked)
	}
	s.Wants(problem.ExitPartly, []string{"workers", "enable", "--all", "--yes"},
		`^9 workers in WS….{4}: 2 to enable, 7 blocked$`,
		`^  ! array  +attributes are not a JSON object; skipped$`,
		`^    … 2 more skipped \(all of them: -o json\)$`,
		`^Done: 2 enabled, 7 blocked\.$`,
		`^flexvc: hint: see which were skipped: flexvc runs show `)
	s.WantAttributes("enabled", want)

	s.Wants(problem.ExitDone, []string{"runs", "show", s.LatestRun()},
		`^ ! full  +attributes would be 4097 characters long, 1 over Twilio's limit$`,
		`^ ! empty  +attributes are not a JSON object$`)
	s.Wants(problem.ExitPartly, []string{"workers", "enable", "--all", "--yes"},
		`^9 workers in WS….{4}: 0 to enable, 2 already enabled, 7 blocked$`, `^No changes\. Next: `)
	s.Wants(problem.ExitPartly, []string{"workers", "enable", "empty", "--yes"}, `: 0 to enable, 1 blocked$`)
	s.WantAttributes("enabled again", want)
	s.Wants(problem.ExitDone, []string{"workers", "show", "empty"}, `^  extension     invalid$`, `^flexvc: hint: fix the attributes`)
}

// Storms of refusals, lost answers and torn lists cost time, and nothing else:
// each worker is changed once, and counted once.
func TestRunsWeatherStorms(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]emulator.Options{
		"429":                   {Faults: []string{"*:429*15@3"}},
		"429 with Retry-After":  {Faults: []string{"UpdateWorker:429,retry-after=1*3"}},
		"503 pages":             {Faults: []string{"*:503html*12@4"}},
		"answers lost":          {Faults: []string{"UpdateWorker:drop-after*8@2"}},
		"connections lost":      {Faults: []string{"UpdateWorker:drop*8@2", "FetchWorker:drop*3"}},
		"answers torn":          {Faults: []string{"UpdateWorker:truncate*8", "FetchWorker:truncate*3", "ListWorker:truncate*2"}},
		"412":                   {Faults: []string{"UpdateWorker:412*12"}},
		"lists without details": {ListAttributes: emulator.AttributesNull},
		"lists torn, no details": {ListAttributes: emulator.AttributesNull,
			Faults: []string{"ListWorker:truncate*3", "FetchWorker:503html*3"}},
		"few at a time": {Limits: emulator.Limits{Concurrency: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options.Agents, options.SeedValue = 60, 7
			s := clitest.Serve(t, options)
			before := s.Attributes()
			after, err := undisturbed()
			if err != nil {
				t.Fatal(err)
			}
			change := 0
			for sid, text := range before {
				if after[sid] != text {
					change++
				}
			}
			exit, stdout, stderr := s.Outputs("workers", "enable", "--all", "--yes", "-o", "json", "--concurrency", "8")
			if exit != 0 || stderr != "" {
				t.Fatalf("exits with %d\n%s%s", exit, stdout, stderr)
			}
			enabled := map[string]int{}
			for _, event := range events(t, stdout) {
				if event["event"] == "worker" {
					if event["status"] != "enabled" {
						t.Errorf("a worker ended so: %v", event)
					}
					enabled[event["sid"].(string)]++
				}
				if event["event"] == "summary" && event["enabled"] != float64(change) {
					t.Errorf("%d workers were to change, but the summary says %v", change, event)
				}
			}
			for sid, n := range enabled {
				if n != 1 || before[sid] == after[sid] {
					t.Errorf("%s was told of %d times", sid, n)
				}
			}
			if len(enabled) != change {
				t.Errorf("%d workers were told of, want %d", len(enabled), change)
			}
			s.WantAttributes("after the storm", after)
			if err := s.UnfiredFaults(); err != nil {
				t.Error(err)
			}
			s.Wants(problem.ExitDone, []string{"runs", "rollback", s.LatestRun(), "--yes"}, fmt.Sprintf(`^Done: %d restored\.$`, change))
			s.WantAttributes("taken back", before)
		})
	}
}

// A browser that writes after each of flexvc's reads forces it to try again,
// every time with what the browser wrote.
func TestBrowsersWinEveryRaceUntilTheyRest(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 20, SeedValue: 7, Now: time.Now, ListAttributes: emulator.AttributesPresent})
	browsers, err := s.StartBrowser(t.Context(), emulator.BrowserOptions{Overwrites: 60, AfterFetch: 1})
	if err != nil {
		t.Fatal(err)
	}
	exit, stdout, stderr := s.Outputs("workers", "enable", "--all", "--yes", "-o", "json")
	if exit != 0 {
		t.Fatalf("exits with %d\n%s%s", exit, stdout, stderr)
	}
	most := 0.0
	for _, event := range events(t, stdout) {
		if n, ok := event["attempts"].(float64); ok {
			most = max(most, n)
		}
	}
	if most < 2 {
		t.Error("no write had to be repeated")
	}
	if err := browsers.Lost(); err != nil {
		t.Error(err)
	}
	for sid, text := range s.Attributes() {
		if state, _ := attributes.Inspect(&text); state != attributes.Enabled {
			t.Errorf("%s is %s", sid, state)
		}
	}
}

// events reads JSON lines and wants each to be an object of version 1.
func events(t *testing.T, text string) (all []map[string]any) {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event map[string]any
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatalf("no JSON object: %v in %q", err, lines.Text())
		}
		if event["v"] != float64(1) {
			t.Errorf(`no "v":1 in %q`, lines.Text())
		}
		all = append(all, event)
	}
	return all
}

// One run at a time changes a workspace; looking at it is free.
func TestLockedWhileAnotherRunIsUnderWay(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 30, SeedValue: 7, Faults: []string{"UpdateWorker:delay=1h@5"}})
	enabled := s.Enabled()
	running, out := s.Command("workers", "enable", "--all", "--yes")
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	clitest.Eventually(t, "the run is under way and only delayed writes are left", func() bool {
		return s.Faults()[0].Fired > 0 && s.Enabled() == enabled+4
	})
	run := s.LatestRun()
	locked := fmt.Sprintf(`^flexvc: error: cannot change workers: run %s \(flexvc workers enable, process %d\) is changing this workspace$`, run, running.Process.Pid)
	before := s.Attributes()
	for _, args := range [][]string{
		{"workers", "enable", "--all", "--yes"},
		{"workers", "disable", "--all", "--yes"},
		{"runs", "resume", run},
		{"runs", "rollback", run, "--yes"},
	} {
		s.Wants(problem.ExitLocked, args, locked, `^flexvc: hint: wait for it to finish, or press \^C in its terminal$`)
	}
	s.WantAttributes("still locked", before)
	s.Wants(problem.ExitDone, []string{"workers", "disable", "--all", "--dry-run"}, `Nothing was changed`)
	s.Wants(problem.ExitDone, []string{"runs", "list"}, run+`.*running: \d+ of \d+`, `^flexvc: hint: flexvc runs show `+run+`$`)
	s.Wants(problem.ExitDone, []string{"runs", "list", "-o", "json"}, `"state":"running"`)
	s.Wants(problem.ExitDone, []string{"runs", "show", run}, `^  state +running: \d+ of \d+$`, `hint: it is still running: \^C in its terminal stops it`)

	if err := running.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = running.Wait()
	if strings.Contains(out.String(), "error") {
		t.Errorf("the run that had the lock says\n%s", out)
	}
	// The lock died with its holder.
	if err := s.SetFaults(); err != nil {
		t.Fatal(err)
	}
	s.Wants(problem.ExitDone, []string{"runs", "resume", run}, `^Done: \d+ enabled`)
}

// A damaged line costs what is in it: the rest can be seen and rolled back. A journal
// that does not say what its run was is not resumed; one that a crash tore is read up
// to the tear.
func TestDamagedJournals(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 10, SeedValue: 7})
	before := s.Attributes()
	s.Wants(problem.ExitDone, []string{"workers", "enable", "--all", "--yes"})
	run, enabled := s.LatestRun(), s.Attributes()
	path := s.Journals()[0]
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))

	write := func(parts ...[]byte) {
		if err := os.WriteFile(path, bytes.Join(parts, nil), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(bytes.Join(lines[:3], nil), []byte("{\"t\":\"int\x00\n"), bytes.Join(lines[4:], nil))
	s.Wants(problem.ExitDone, []string{"runs", "show", run}, `^   . line 4     the record is lost$`)
	s.Wants(problem.ExitDone, []string{"runs", "show", run, "-o", "json"}, `^\{"v":1,"event":"damage","line":4\}$`)
	s.Wants(problem.ExitUsage, []string{"runs", "resume", run}, `nothing left to do`)
	s.Wants(problem.ExitDone, []string{"runs", "rollback", run, "--dry-run"}, `^10 workers were changed by run `+run+`: 10 to restore$`)
	write([]byte("nonsense\n"), bytes.Join(lines[1:], nil))
	s.Wants(problem.ExitDone, []string{"runs", "list"}, run+`\t\t\tdamaged`)
	s.Wants(problem.ExitDone, []string{"runs", "list", "-o", "json"}, `"state":"damaged","error":"`)
	s.Wants(problem.ExitDone, []string{"runs", "show", run}, `^Run `+run+`: what it was is lost$`, `^   . line 1     the record is lost$`, `undo: flexvc runs rollback `+run)
	s.Wants(problem.ExitFailed, []string{"runs", "resume", run}, `the beginning of its journal is damaged$`, `hint: undo what it did: flexvc runs rollback `+run)
	s.WantAttributes("damaged", enabled)
	s.Wants(problem.ExitDone, []string{"runs", "rollback", run, "--yes"}, `^Done: 10 restored\.$`)
	s.WantAttributes("rolled back", before)
	s.Wants(problem.ExitDone, []string{"runs", "rollback", s.LatestRun(), "--yes"}, `^Done: 10 restored\.$`)
	s.WantAttributes("and back again", enabled)
	for _, later := range s.Journals() {
		if later != path {
			clitest.Check(t, os.Remove(later))
		}
	}

	// The end is missing, and half of the last result.
	last := lines[len(lines)-3] // before the end record and the empty rest
	write(bytes.Join(lines[:len(lines)-3], nil), last[:len(last)/2])
	s.Wants(problem.ExitDone, []string{"runs", "list"}, run+`.*unfinished: \d+ of \d+`)
	s.Wants(problem.ExitDone, []string{"runs", "resume", run}, `^Done: \d+ enabled`)
	s.WantAttributes("resumed", enabled)
	s.Wants(problem.ExitDone, []string{"runs", "rollback", run, "--yes"}, `^Done: \d+ restored`)
}

// When the journal cannot grow any more, nothing more is written at Twilio; what
// is there stays readable, and the run goes on once there is room.
func TestFullDiskUnderTheJournal(t *testing.T) {
	t.Parallel()
	for name, fill := range fullDisks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := clitest.Serve(t, emulator.Options{Agents: 60, SeedValue: 7})
			before := s.Attributes()
			folder := filepath.Join(s.State, s.Account().SID, s.Account().WorkspaceSID)
			if err := os.MkdirAll(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			cmd, free := fill(t, s, folder, "workers", "enable", "--all", "--yes", "--concurrency", "4")
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
				t.Fatal(err)
			}
			run := s.LatestRun()
			if got := cmd.ProcessState.ExitCode(); got != problem.ExitFailed || run == "" {
				t.Fatalf("exits with %d, run %q:\n%s", got, run, out.String())
			}
			clitest.WantMatch(t, out.String(),
				`^flexvc: error: cannot write .*`+run+`\.jsonl: (file too large|no space left on device)$`,
				`^flexvc: hint: .*flexvc runs resume `+run)

			intended := intents(t, s.Journals()[0])
			changed := 0
			for sid, text := range s.Attributes() {
				if text == before[sid] {
					continue
				}
				changed++
				if intended[sid] != before[sid] {
					t.Errorf("%s was written without its old text in the journal", sid)
				}
			}
			if changed == 0 || changed == len(before) {
				t.Fatalf("the disk was full after %d workers", changed)
			}
			s.Wants(problem.ExitDone, []string{"runs", "show", run}, `^  state +unfinished: \d+ of \d+$`)

			free()
			s.Wants(problem.ExitDone, []string{"runs", "resume", run}, `^Done: \d+ enabled`)
			after, err := undisturbed()
			if err != nil {
				t.Fatal(err)
			}
			s.WantAttributes("resumed", after)
			s.Wants(problem.ExitDone, []string{"runs", "rollback", run, "--yes"}, `^Done: \d+ restored`)
			s.WantAttributes("taken back", before)
		})
	}
}

// intents returns by worker the text before the first intent of a journal. A
// torn last line counts as not written.
func intents(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		var record struct{ T, SID, Before string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if _, known := before[record.SID]; record.T == "intent" && !known {
			before[record.SID] = record.Before
		}
	}
	return before
}

// An emulator that dies leaves a run that can be continued when it is back.
func TestTwilioGoneInTheMiddle(t *testing.T) {
	t.Parallel()
	s := &clitest.Flexvc{T: t, State: t.TempDir()}
	start := func(more ...string) *exec.Cmd {
		cmd, _ := s.Command(append([]string{"emulator", "-o", "json", "--listen", "127.0.0.1:0", "--agents", "60", "--seed-value", "7"}, more...)...)
		cmd.Stdout = nil
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill() // it has ended unless it is the last one
			_ = cmd.Wait()
		})
		if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
			t.Fatalf("the emulator does not start: %q %v", line, err)
		}
		return cmd
	}
	first := start("--latency", "10ms")
	run, out := s.Command("workers", "enable", "--all", "--yes", "--force", "--concurrency", "2")
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	clitest.Eventually(t, "some workers are changed", func() bool {
		paths := s.Journals()
		if len(paths) == 0 {
			return false
		}
		text, _ := os.ReadFile(paths[0])
		return bytes.Count(text, []byte(`"t":"result"`)) > 4
	})
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	_ = run.Wait() // the exit code is looked at next
	if got := run.ProcessState.ExitCode(); got != problem.ExitFailed {
		t.Fatalf("exits with %d:\n%s", got, out)
	}
	id := s.LatestRun()
	clitest.WantMatch(t, out.String(), `^flexvc: error: cannot .*: cannot reach the emulator at 127\.0\.0\.1:\d+$`,
		`^flexvc: hint: continue: flexvc runs resume `+id)
	start()
	s.Wants(problem.ExitDone, []string{"runs", "resume", id, "--retry-failed"}, `^Done: \d+ enabled`)
	exit, stdout, _ := s.Outputs("workers", "list", "-o", "json")
	if exit != 0 {
		t.Fatalf("list exits with %d", exit)
	}
	for _, w := range events(t, stdout) {
		if w["extension"] != "enabled" {
			t.Errorf("%v is %v", w["name"], w["extension"])
		}
	}
}
