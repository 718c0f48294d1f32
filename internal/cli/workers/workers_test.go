package workers_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/cli/tree"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/internal/workers"
)

const (
	testAccount   = "AC0000000000000000000000000000" + "4f2a"
	testWorkspace = "WS0000000000000000000000000000" + "91c0"
)

// roster is a workspace of the tests.
type roster struct {
	mu      sync.Mutex
	order   []string
	workers map[string]*twilio.Worker
	version map[string]int
	// onWrite is called before a write takes effect.
	onWrite func(name string) error
}

var _ workers.API = (*roster)(nil)

func newRoster() *roster {
	r := &roster{workers: map[string]*twilio.Worker{}, version: map[string]int{}}
	r.add("alice", `{"contact_uri":"client:alice","note":"R&D"}`)
	r.add("bob", `{"extensionVoiceClientEnabled":false}`)
	for i := range 7 {
		r.add(fmt.Sprintf("agent%d@example.com", i), `{"routing":{"skills":["français"]}}`)
	}
	r.add("dan", `{"extensionVoiceClientEnabled":true,"contact_uri":"client:ext_dan?x=1"}`)
	r.add("mallory\x1b[2J\u202e", `{"contact_uri":"client:\u001b[31mred"}`)
	r.add("walt", `["not", "an object"]`)
	r.add("zoe", `{}`)
	return r
}

func (r *roster) add(name, attributes string) {
	sid := fmt.Sprintf("WK%032x", 0xc3d0+len(r.order))
	r.order = append(r.order, sid)
	r.workers[sid] = &twilio.Worker{
		SID: sid, FriendlyName: name, ActivitySID: "WA1", ActivityName: "Offline", Attributes: &attributes,
		DateUpdated: time.Date(2026, 3, 4, 13, 58, 54, 0, time.UTC),
	}
}

func (r *roster) Workers(context.Context, string) iter.Seq2[twilio.Worker, error] {
	return func(yield func(twilio.Worker, error) bool) {
		for _, sid := range r.order {
			w, err := r.Worker(context.Background(), sid)
			w.ETag = ""
			if err == nil && !yield(w, nil) {
				return
			}
		}
	}
}

func (r *roster) Worker(ctx context.Context, sid string) (twilio.Worker, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		return twilio.Worker{}, ctx.Err()
	}
	w := r.workers[sid]
	if w == nil {
		return twilio.Worker{}, problem.New(problem.NotFound, "not found")
	}
	row := *w
	row.ETag = fmt.Sprint(r.version[sid])
	return row, nil
}

func (r *roster) SetAttributes(ctx context.Context, sid, attributes, etag string) (twilio.Worker, error) {
	if w := r.workers[sid]; w != nil && r.onWrite != nil {
		if err := r.onWrite(w.FriendlyName); err != nil {
			return twilio.Worker{}, err
		}
	}
	r.mu.Lock()
	switch {
	case r.workers[sid] == nil:
		r.mu.Unlock()
		return twilio.Worker{}, problem.New(problem.NotFound, "not found")
	case etag != fmt.Sprint(r.version[sid]):
		r.mu.Unlock()
		return twilio.Worker{}, problem.New(problem.PreconditionFailed, "changed")
	}
	r.workers[sid].Attributes = &attributes
	r.version[sid]++
	r.mu.Unlock()
	return r.Worker(ctx, sid)
}

// byName returns a worker to look at or to edit behind flexvc's back.
func (r *roster) byName(name string) *twilio.Worker {
	for _, w := range r.workers {
		if w.FriendlyName == name {
			return w
		}
	}
	return nil
}

// desk is a terminal, or a pipe, in front of one workspace and state folder.
type desk struct {
	t      *testing.T
	api    *roster
	home   string
	tty    bool
	color  bool
	width  int
	answer string
	now    time.Time

	emulated bool
	lacks    []cli.Lack

	app      *cli.App
	out, err bytes.Buffer
}

// space is a workspace that has a name.
type space struct{ provision.ActivityAPI }

func (space) Workspace(context.Context) (twilio.Workspace, error) {
	return twilio.Workspace{SID: testWorkspace, FriendlyName: "Flex Task Assignment"}, nil
}

func newDesk(t *testing.T) *desk {
	// The second that gives the run the name of the examples.
	return &desk{t: t, api: newRoster(), home: t.TempDir(), width: 100, now: time.Date(2024, 1, 20, 1, 38, 44, 0, time.UTC)}
}

// run executes a command line and returns its exit code; out and err then hold
// what it printed.
func (d *desk) run(args ...string) int {
	d.t.Helper()
	return d.runContext(d.t.Context(), args...)
}

func (d *desk) runContext(ctx context.Context, args ...string) int {
	d.out.Reset()
	d.err.Reset()
	d.app = &cli.App{
		UI:     ui.Fake(strings.NewReader(d.answer), &d.out, &d.err, d.tty, d.width),
		Getenv: func(name string) string { return map[string]string{"HOME": d.home}[name] },
		Now:    func() time.Time { return d.now },
		Random: strings.NewReader(""),
		Tree:   tree.New,
		Open: func(_ context.Context, o cli.SessionOptions) (*cli.Session, error) {
			workspace := testWorkspace
			if o.Workspace != "" {
				workspace = o.Workspace
			}
			return &cli.Session{
				AccountSID: testAccount, WorkspaceSID: workspace, Workers: d.api, Activities: space{}, Emulated: d.emulated,
				AccountName: func(context.Context) (string, error) { return "Acme Corp", nil },
				Lacks:       func(context.Context) ([]cli.Lack, error) { return d.lacks, nil },
			}, nil
		},
	}
	if d.color {
		args = append(args, "--color", "always")
	}
	return d.app.Run(ctx, args)
}

// setup runs a command that has to work before the one that is looked at.
func (d *desk) setup(want int, args ...string) {
	d.t.Helper()
	tty, color := d.tty, d.color
	d.tty, d.color = false, false
	if got := d.run(args...); got != want {
		d.t.Fatalf("flexvc %s exits with %d, want %d\n%s%s", strings.Join(args, " "), got, want, &d.out, &d.err)
	}
	d.tty, d.color = tty, color
}

const exampleRun = "01J8X4"

// scenes are what the golden files show: a command, and what was done before.
var scenes = []struct {
	name  string
	args  []string
	exit  int
	setup func(*desk)
}{
	{"workers-list", []string{"workers", "list"}, 0, nil},
	{"workers-list-phones", []string{"workers", "list", "alice", "bob", "dan"}, 0, func(d *desk) {
		d.edit("alice", `{"extensionVoiceClientEnabled":true,"contact_uri":"sip:alice@pbx.example.com"}`)
		d.edit("bob", `{"extensionVoiceClientEnabled":true,"contact_uri":"+15551234567","extensionVoiceClientFormerContactUri":"+15551234567"}`)
	}},
	{"workers-show", []string{"workers", "show", "ALICE"}, 0, nil},
	{"enable-dry-run", []string{"workers", "enable", "--all", "--dry-run"}, 0, nil},
	{"enable-exit-code", []string{"workers", "enable", "bob", "--dry-run", "--exit-code"}, 5, nil},
	{"enable", []string{"workers", "enable", "--all", "--yes", "--concurrency", "1"}, 3, func(d *desk) { d.loseZoe() }},
	{"enable-edited-meanwhile", []string{"workers", "enable", "--all", "--yes", "--concurrency", "1"}, 3, func(d *desk) { d.disabledByAPerson() }},
	{"enable-nothing", []string{"workers", "enable", "dan"}, 0, nil},
	{"enable-only-blocked", []string{"workers", "enable", "walt"}, 3, nil},
	{"disable-reset", []string{"workers", "disable", "dan", "--reset-contact-uri", "--dry-run"}, 0, nil},
	{"enable-unconfirmed", []string{"workers", "enable", "bob", "--no-input"}, 2, nil},
	{"enable-stopped", []string{"workers", "enable", "--all", "--yes", "--concurrency", "1"}, 130, func(d *desk) { d.interruptAt(5) }},
	{"resume", []string{"runs", "resume", exampleRun, "--concurrency", "1"}, 3, func(d *desk) {
		d.interruptAt(5)
		d.setup(130, "workers", "enable", "--all", "--yes", "--concurrency", "1")
		d.loseZoe()
	}},
	{"resume-old", []string{"runs", "resume", exampleRun, "--dry-run"}, 0, func(d *desk) { d.supersede() }},
	{"rollback-dry-run", []string{"runs", "rollback", exampleRun, "--dry-run"}, 0, func(d *desk) { d.enabledThenEdited() }},
	{"rollback", []string{"runs", "rollback", exampleRun, "--yes", "--concurrency", "1"}, 3, func(d *desk) { d.enabledThenEdited() }},
	{"rollback-third-value", []string{"runs", "rollback", exampleRun, "--yes"}, 3, func(d *desk) {
		d.setup(0, "workers", "disable", "dan", "--yes")
		d.edit("dan", `{"extensionVoiceClientEnabled":"soon"}`)
	}},
	{"runs-list", []string{"runs", "list"}, 0, func(d *desk) {
		d.enabledThenEdited()
		d.setup(3, "runs", "rollback", exampleRun, "--yes")
	}},
	{"runs-show-damaged", []string{"runs", "show", exampleRun}, 0, func(d *desk) { d.enabledThenDamaged() }},
	{"rollback-damaged", []string{"runs", "rollback", exampleRun, "--dry-run"}, 0, func(d *desk) { d.enabledThenDamaged() }},
	{"runs-list-empty", []string{"runs", "list"}, 0, nil},
	{"runs-show", []string{"runs", "show", exampleRun}, 0, func(d *desk) {
		d.loseZoe()
		d.setup(3, "workers", "enable", "--all", "--yes", "--concurrency", "1")
	}},
}

// loseZoe deletes zoe between the plan and the write.
func (d *desk) loseZoe() {
	d.api.onWrite = func(string) error {
		d.api.mu.Lock()
		defer d.api.mu.Unlock()
		if zoe := d.api.byName("zoe"); zoe != nil {
			delete(d.api.workers, zoe.SID)
		}
		return nil
	}
}

// disabledByAPerson disables alice in the Console while she is being enabled, and
// once lets a browser write back what bob had before.
func (d *desk) disabledByAPerson() {
	bob := *d.api.byName("bob").Attributes
	d.api.onWrite = func(name string) error {
		switch name {
		case "alice":
			d.edit("alice", `{"extensionVoiceClientEnabled":false}`)
			d.api.version[d.api.byName("alice").SID]++
		case "zoe":
			d.edit("bob", bob)
			d.api.version[d.api.byName("bob").SID]++
		}
		return nil
	}
}

// interruptAt presses ^C during the n-th write.
func (d *desk) interruptAt(n int) {
	writes := 0
	d.api.onWrite = func(string) error {
		if writes++; writes == n {
			d.app.Interrupt()
		}
		return nil
	}
}

// enabledThenEdited enables all; then bob gets another key in the Console, alice
// logs in, and zoe's attributes are spoiled.
func (d *desk) enabledThenEdited() {
	d.setup(3, "workers", "enable", "--all", "--yes", "--concurrency", "1")
	d.edit("bob", `{"extensionVoiceClientEnabled":true,"team":"sales"}`)
	d.edit("alice", `{"contact_uri":"client:ext_alice","note":"R&D","extensionVoiceClientEnabled":true}`)
	d.edit("zoe", `gone`)
}

// enabledThenDamaged enables all; then the disk spoils alice's intent in the journal
// and bob's result.
func (d *desk) enabledThenDamaged() {
	d.setup(3, "workers", "enable", "--all", "--yes", "--concurrency", "1")
	paths, err := filepath.Glob(filepath.Join(d.home, ".local/state/flexvc/*/*", exampleRun+".jsonl"))
	if err != nil || len(paths) != 1 {
		d.t.Fatalf("the journals are %q, %v", paths, err)
	}
	text, err := os.ReadFile(paths[0])
	if err != nil {
		d.t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	for i, line := range lines {
		for _, spoiled := range []struct{ record, sid, from, to string }{
			{`{"t":"intent"`, d.api.byName("alice").SID, `"before":"{`, `"before":"\x00`},
			{`{"t":"result"`, d.api.byName("bob").SID, `"changed"`, `"changes"`},
		} {
			if strings.HasPrefix(line, spoiled.record) && strings.Contains(line, spoiled.sid) {
				lines[i] = strings.Replace(line, spoiled.from, spoiled.to, 1)
			}
		}
	}
	clitest.Check(d.t, os.WriteFile(paths[0], []byte(strings.Join(lines, "")), 0o600))
}

func (d *desk) edit(name, text string) { d.api.byName(name).Attributes = &text }

// TestGolden compares each scene with what a person, a pipe and a program see.
func TestGolden(t *testing.T) {
	looks := []struct {
		name       string
		tty, color bool
		width      int
		json       bool
	}{
		{"tty", true, true, 100, false},
		{"no-color", true, false, 100, false},
		{"narrow", true, false, 60, false},
		{"pipe", false, false, 100, false},
		{"json", false, false, 100, true},
	}
	for _, scene := range scenes {
		for _, look := range looks {
			t.Run(scene.name+"/"+look.name, func(t *testing.T) {
				d := newDesk(t)
				d.tty, d.color, d.width = look.tty, look.color, look.width
				if scene.setup != nil {
					scene.setup(d)
				}
				args := scene.args
				if look.json {
					args = append([]string{"-o", "json"}, args...)
				}
				if got := d.run(args...); got != scene.exit {
					t.Errorf("exits with %d, want %d", got, scene.exit)
				}
				text := fmt.Sprintf("$ flexvc %s\n-- stdout --\n%s-- stderr --\n%s", strings.Join(args, " "), &d.out, &d.err)
				clitest.Golden(t, filepath.Join("testdata", "golden", scene.name+"."+look.name), text)
			})
		}
	}
}

// TestNothingFromTwilioReachesTheTerminal: names and attributes may hold escape
// sequences.
func TestNothingFromTwilioReachesTheTerminal(t *testing.T) {
	for _, args := range [][]string{
		{"workers", "list"},
		{"workers", "show", "mallory\x1b[2J\u202e"},
		{"workers", "enable", "mallory\x1b[2J\u202e", "--dry-run"},
		{"workers", "enable", "mallory\x1b[2J\u202e", "--yes"},
		{"workers", "enable", "mallory\x1b[2J"},
	} {
		for _, tty := range []bool{true, false} {
			d := newDesk(t)
			d.tty = tty
			d.run(args...)
			if text := strings.ReplaceAll(d.out.String()+d.err.String(), "\r\x1b[K", ""); strings.ContainsAny(text, "\x1b\u202e") {
				t.Errorf("%q prints %q", args, text)
			}
		}
	}
}

func TestConfirmation(t *testing.T) {
	for _, tc := range []struct {
		answer string
		exit   int
		writes int
	}{
		{"yes\n", 0, 1}, {"no\n", 1, 0}, {"y\n", 1, 0}, {"YES\n", 1, 0}, {"", 1, 0},
	} {
		d := newDesk(t)
		d.tty, d.answer = true, tc.answer
		writes := 0
		d.api.onWrite = func(string) error { writes++; return nil }
		if got := d.run("workers", "enable", "bob"); got != tc.exit || writes != tc.writes {
			t.Errorf("%q: exit %d after %d writes, want %d after %d", tc.answer, got, writes, tc.exit, tc.writes)
		}
		if want := "Change 1 worker in Flex Task Assignment of account Acme Corp (profile \"default\")?\nThe plugin moves each agent to the extension when they next start Flex.\nOnly \"yes\" is accepted: "; !strings.Contains(d.err.String(), want) {
			t.Errorf("the question is %q", d.err.String())
		}
		if declined := strings.Contains(d.out.String(), "Nothing was changed.\n"); declined != (tc.exit == 1) {
			t.Errorf("%q: %q", tc.answer, d.out.String())
		}
		if tc.writes == 0 {
			if runs, _ := filepath.Glob(filepath.Join(d.home, ".local/state/flexvc/*/*/*.jsonl")); len(runs) > 0 {
				t.Errorf("%q: a run was journalled", tc.answer)
			}
		}
	}
}

// TestJSONNeedsYes: a program cannot be asked.
func TestJSONNeedsYes(t *testing.T) {
	d := newDesk(t)
	d.tty, d.answer = true, "yes\n"
	if got := d.run("workers", "enable", "bob", "-o", "json"); got != problem.ExitUsage || !strings.Contains(d.err.String(), `"code":"confirmation-needed"`) {
		t.Errorf("exit %d: %s", got, &d.err)
	}
	if got := d.run("workers", "enable", "dan", "-o", "json"); got != 0 {
		t.Errorf("with nothing to change it exits with %d: %s", got, &d.err)
	}
}

// TestInterrupts: the first ^C lets writes in flight finish, the second ends
// them; both kinds of stop are resumed to the same end.
func TestInterrupts(t *testing.T) {
	for _, presses := range []int{1, 2} {
		d := newDesk(t)
		signals, done := make(chan os.Signal), make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		writes := 0
		d.api.onWrite = func(string) error {
			if writes++; writes != 4 {
				return nil
			}
			heard := make(chan struct{})
			go func() {
				d.app.HandleSignals(signals, done, cancel)
				close(heard)
			}()
			signals <- os.Interrupt
			if presses == 2 {
				signals <- os.Interrupt
			} else {
				close(done) // the watching ends after what it has begun
			}
			<-heard
			return ctx.Err()
		}
		got := d.runContext(ctx, "workers", "enable", "--all", "--yes", "--concurrency", "1")
		cancel()
		if got != problem.ExitInterrupted {
			t.Fatalf("%d presses: exit %d\n%s%s", presses, got, &d.out, &d.err)
		}
		if !strings.Contains(d.err.String(), "continue: flexvc runs resume "+exampleRun+"     undo: flexvc runs rollback "+exampleRun) {
			t.Errorf("%d presses: no hint in %s", presses, &d.err)
		}
		d.api.onWrite = nil
		if got := d.run("runs", "resume", exampleRun); got != problem.ExitPartly || !strings.Contains(d.out.String(), "Done: 11 enabled, 1 already enabled, 1 blocked.") {
			t.Errorf("%d presses: resume exits with %d\n%s%s", presses, got, &d.out, &d.err)
		}
	}
}

// TestStateFolderThatCannotBeWritten: nothing reaches Twilio without a journal.
func TestStateFolderThatCannotBeWritten(t *testing.T) {
	d := newDesk(t)
	writes := 0
	d.api.onWrite = func(string) error { writes++; return nil }
	if err := os.WriteFile(filepath.Join(d.home, ".local"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := d.run("workers", "enable", "--all", "--yes"); got != problem.ExitFailed || writes > 0 || !strings.Contains(d.err.String(), "cannot write ") {
		t.Errorf("exit %d after %d writes: %s", got, writes, &d.err)
	}
	if got := d.run("workers", "enable", "--all", "--dry-run"); got != 0 {
		t.Errorf("a plan needs no folder, but it exits with %d: %s", got, &d.err)
	}
}

func TestRunOfAnotherWorkspace(t *testing.T) {
	d := newDesk(t)
	d.setup(0, "workers", "enable", "bob", "--yes")
	if got := d.run("runs", "rollback", exampleRun, "--workspace", "WS0000000000000000000000000000"+"0000", "--yes"); got != problem.ExitUsage ||
		!strings.Contains(d.err.String(), "run 01J8X4 belongs to workspace WS…91c0 of account AC…4f2a") {
		t.Errorf("exit %d: %s", got, &d.err)
	}
}

func TestCompletion(t *testing.T) {
	d := newDesk(t)
	d.setup(0, "workers", "enable", "bob", "--yes")
	for _, tc := range []struct{ args, want string }{
		{"workers show B", "bob\tWK…c3d1\n:4\n"},
		{"workers enable mall", ":4\n"}, // a name that cannot be printed is not offered
		{"workers disable nobody", ":4\n"},
		{"runs rollback ", exampleRun + "\tworkers enable bob\n:36\n"},
		{"runs show 02", ":36\n"},
	} {
		args := append([]string{"__complete"}, strings.Split(tc.args, " ")...)
		if d.run(args...); d.out.String() != tc.want {
			t.Errorf("%s: %q, want %q", tc.args, &d.out, tc.want)
		}
	}
}
