package workers

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/workers/workerstest"
)

// journalled is a site on which four workers were to be enabled, three were, and
// the lines of the journal.
func journalled(t *testing.T) (w *site, id, path string, lines []string) {
	t.Helper()
	w = newSite(t, workerstest.Samples(4))
	if _, err := w.enable(immortal(0), ""); err != nil {
		t.Fatal(err)
	}
	id = w.latest()
	path = filepath.Join(w.path, id+journalSuffix)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return w, id, path, strings.SplitAfter(strings.TrimSuffix(string(whole), "\n"), "\n")
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// sealedLine is a record's line as flexvc writes it.
func sealedLine(t *testing.T, r record) string {
	t.Helper()
	line, err := encode(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(line)
}

// TestDamagedLineLosesTheWholeJournal: everything before it and behind it is read,
// and what is lost is named.
func TestDamagedLineLosesTheWholeJournal(t *testing.T) {
	w, id, path, lines := journalled(t)
	whole := strings.Join(lines, "") + "\n"
	const garbage = "{\"t\":\"intent\",\"sid\n"
	for name, tc := range map[string]struct {
		text  string
		line  int
		about string // what is told of the line: its record and its worker
	}{
		"a plan":                     {strings.Replace(whole, `"plan"`, `"pLan"`, 1), 2, " agent0"},
		"an intent":                  {strings.Replace(whole, `"before":"{`, `"before":"[`, 1), 5, "intent agent0"},
		"a result":                   {strings.Replace(whole, `"status":"changed"`, `"status":"changes"`, 1), 6, "result agent0"},
		"a line in the middle":       {strings.Join(lines[:3], "") + garbage + strings.Join(lines[3:], "") + "\n", 4, "intent "},
		"the header":                 {strings.Replace(whole, `"v":1`, `"v":3`, 1), 1, "run "},
		"no header":                  {strings.Join(lines[1:], "") + "\n", 1, "run "},
		"two headers":                {lines[0] + whole, 2, "run "},
		"an unknown worker":          {lines[0] + sealedLine(t, record{Kind: kindResult, SID: "WK9", Status: Changed}) + strings.Join(lines[1:], "") + "\n", 2, "result "},
		"an intent without its text": {strings.Join(lines[:4], "") + sealedLine(t, record{Kind: kindIntent, SID: workerstest.SID(0)}) + strings.Join(lines[4:], "") + "\n", 5, "intent agent0"},
		"zeros before a line":        {lines[0] + strings.Repeat("\x00", 100) + strings.Join(lines[1:], "") + "\n", 2, " "},
	} {
		t.Run(name, func(t *testing.T) {
			put(t, path, tc.text)
			run, err := w.folder(immortal(0)).Load(id)
			if err != nil {
				t.Fatal(err)
			}
			defer run.Close()
			if len(run.Damage) != 1 || run.Damage[0].Line != tc.line {
				t.Fatalf("lost: %+v, want line %d", run.Damage, tc.line)
			}
			if about := run.Damage[0].Record + " " + run.Damage[0].Name; about != tc.about {
				t.Errorf("lost: %q, want %q", about, tc.about)
			}
			if lost := strings.HasPrefix(tc.about, "run") && tc.line == 1; run.ID != id || lost != (run.Workspace == filepath.Base(w.path)) {
				t.Errorf("it is run %q in %q", run.ID, run.Workspace)
			}
			p, err := PlanRollback(t.Context(), w.api, w.folder(immortal(0)), id, "ext_", 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			named := len(p.Change)
			for _, b := range p.Blocked {
				if b.Code != problem.JournalDamaged || b.Remedy != disableCommand || b.SID != workerstest.SID(0) {
					t.Errorf("blocked %+v", b)
				}
				named++
			}
			if wantLost := tc.about == "intent agent0" && name == "an intent"; named != 3 || wantLost != (len(p.Blocked) == 1) {
				t.Errorf("a rollback restores %d and cannot restore %d", len(p.Change), len(p.Blocked))
			}
			if after, _ := os.ReadFile(path); string(after) != tc.text {
				t.Error("the damaged file was changed")
			}
		})
	}
}

func TestJournalOfWhichNothingIsLeft(t *testing.T) {
	w, id, path, lines := journalled(t)
	for name, text := range map[string]string{"empty": "", "zeros": strings.Repeat("\x00", 500) + "\n", "not a journal": "walt\n"} {
		put(t, path, text)
		if _, err := w.folder(immortal(0)).Load(id); !problem.Is(err, problem.JournalDamaged) || !strings.Contains(err.Error(), path+": line 1 is damaged") {
			t.Errorf("%s: %v", name, err)
		}
		for _, err := range w.folder(immortal(0)).Runs() {
			if !problem.Is(err, problem.JournalDamaged) {
				t.Errorf("%s, in a list: %v", name, err)
			}
		}
	}
	header, err := decode([]byte(lines[0]))
	if err != nil {
		t.Fatal(err)
	}
	header.Run.V = 2
	put(t, path, sealedLine(t, header)+strings.Join(lines[1:], ""))
	if _, err := w.folder(immortal(0)).Load(id); err == nil || !strings.Contains(err.Error(), "it was written by a newer flexvc") {
		t.Errorf("%v, want that a newer flexvc wrote it", err)
	}
}

// TestDamagedByteIsNoticed: whatever byte of the journal is another, each
// worker is either restored to the byte or named as one that cannot be.
func TestDamagedByteIsNoticed(t *testing.T) {
	w, id, path, lines := journalled(t)
	whole := []byte(strings.Join(lines, "") + "\n")
	before := workerstest.Samples(4)
	flips := []byte{0x01, 0x20, 0x80}
	for i := 0; i < len(whole); i += 2 {
		text := bytes.Clone(whole)
		text[i] ^= flips[i%len(flips)]
		put(t, path, string(text))
		run, err := w.folder(immortal(0)).Load(id)
		if err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
		p, err := PlanRollback(t.Context(), w.api, w.folder(immortal(0)), id, "ext_", 1, nil)
		if err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
		if named := len(p.Change) + len(p.Blocked); named != 3 {
			t.Fatalf("byte %d of %q as %q: %d workers to restore and %d named", i, whole[max(0, i-20):i+1], text[i], len(p.Change), len(p.Blocked))
		}
		for _, c := range p.Change {
			at := slices.IndexFunc([]int{0, 1, 2, 3}, func(n int) bool { return workerstest.SID(n) == c.SID })
			back, _, err := restoring{run, "ext_"}.next(c.SID, w.api.Texts()[at])
			if err != nil || back != before[at] {
				t.Fatalf("byte %d: %s is restored to %s, %v", i, c.Name, back, err)
			}
		}
		_ = run.Close()
	}
}

// TestResumeOfADamagedJournal: what is left is done, and the worker whose intent is
// lost is looked at again.
func TestResumeOfADamagedJournal(t *testing.T) {
	w := newSite(t, workerstest.Samples(4))
	before := w.api.Texts()
	lock, p := w.planned(attributes.Edit{Enable: true})
	run, err := lock.Begin(Header{Command: "workers enable"}, p)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	if _, err := run.Apply(t.Context(), w.api, lock.Folder, ApplyOptions{Concurrency: 1, Stop: stop, Done: func(Outcome) {
		select {
		case <-stop:
		default:
			close(stop)
		}
	}}); !problem.Is(err, problem.Interrupted) {
		t.Fatal(err)
	}
	_ = lock.Release()
	path := filepath.Join(w.path, run.ID+journalSuffix)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, strings.Replace(string(text), `"before":"{`, `"before":"[`, 1))
	tally, err := w.enable(immortal(0), run.ID)
	if err != nil || !tally.Whole() || tally.Changed != tally.Planned {
		t.Errorf("%+v, %v", tally, err)
	}
	w.wantTexts("resumed", enabled(t, before))

	put(t, path, strings.Replace(string(text), `"v":1`, `"v":3`, 1))
	if _, err := w.enable(immortal(0), run.ID); !problem.Is(err, problem.JournalDamaged) || !strings.Contains(problem.As(err).Hint, "runs rollback") {
		t.Errorf("without its first line: %v", err)
	}
}

// TestADamagedSecondIntentLeftTheWorkerDone: it was changed, something undid that, and
// what was written then is in a damaged line without a result. It is not done.
func TestADamagedSecondIntentLeftTheWorkerDone(t *testing.T) {
	w, id, path, lines := journalled(t)
	var first []string // the lines up to the first result
	for _, line := range lines {
		first = append(first, line)
		if strings.HasPrefix(line, `{"t":"result"`) {
			break
		}
	}
	intent := first[len(first)-2]
	put(t, path, strings.Join(first, "")+strings.Replace(intent, `"before":"{`, `"before":"[`, 1))
	run, err := w.folder(immortal(0)).Load(id)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	if tally := run.Tally(); len(run.Damage) != 1 || tally.Left != tally.Planned {
		t.Errorf("%+v with %+v, want nothing done", tally, run.Damage)
	}
}

// TestJournalsFromBeforeTheChecksums can still be read, resumed and rolled back.
func TestJournalsFromBeforeTheChecksums(t *testing.T) {
	w, id, path, lines := journalled(t)
	before := workerstest.Samples(4)
	for i, line := range lines {
		line = strings.TrimSuffix(line, "\n")
		lines[i] = line[:len(line)-sealed] + "}\n"
		if strings.Contains(lines[i], "crc") || !strings.HasPrefix(lines[i], `{"t":`) {
			t.Fatalf("the line is %s", lines[i])
		}
	}
	end := len(lines) - 1
	put(t, path, strings.Join(lines[:end], "")) // without its end
	if _, err := w.enable(immortal(0), id); err != nil {
		t.Fatal(err)
	}
	w.wantTexts("resumed", enabled(t, before))
	w.wantAllChanged(id)
	if _, err := w.rollback(immortal(0), id, ""); err != nil {
		t.Fatal(err)
	}
	w.wantTexts("rolled back", before)
}
