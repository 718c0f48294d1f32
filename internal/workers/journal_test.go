package workers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/workers/workerstest"
)

func TestRunIDs(t *testing.T) {
	for at, want := range map[time.Time]string{
		idEpoch:                                     "000000",
		idEpoch.Add(31 * time.Second):               "00000Z",
		idEpoch.Add(32 * time.Second):               "000010",
		idEpoch.Add(1<<30*time.Second - 1):          "ZZZZZZ",
		time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC): "000000", // a clock that is wrong
	} {
		got := formatID(idNumber(at))
		if got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
		if back, err := ParseRunID(strings.ToLower(got)); err != nil || back != got {
			t.Errorf("%s is read as %s, %v", got, back, err)
		}
	}
	if a, b := formatID(idNumber(idEpoch.Add(time.Hour))), formatID(idNumber(idEpoch.Add(2*time.Hour))); a >= b {
		t.Errorf("%s does not sort before %s", a, b)
	}
	if got, err := ParseRunID(" oijlx4"); err != nil || got != "01J1X4" {
		t.Errorf("got %s, %v", got, err)
	}
	for _, bad := range []string{"", "01J8X", "01J8X44", "01J8XU", "../../", "01J8Xé"} {
		if got, err := ParseRunID(bad); !problem.Is(err, problem.RunNotFound) {
			t.Errorf("%q is %q, %v", bad, got, err)
		}
	}
}

// TestRunsOfOneSecond: two runs in a second have two names.
func TestRunsOfOneSecond(t *testing.T) {
	w := newSite(t, workerstest.Samples(3))
	seen := map[string]bool{}
	for range 3 {
		lock, p := w.planned(attributes.Edit{Enable: true})
		run, err := lock.Begin(Header{Command: "workers enable"}, p)
		if err != nil {
			t.Fatal(err)
		}
		seen[run.ID] = true
		if err := errors.Join(run.Close(), lock.Release()); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 3 {
		t.Errorf("the names are %v, want three", seen)
	}
}

// planned locks the folder and plans; the clock stands still.
func (w *site) planned(edit attributes.Edit) (*Lock, *Plan) {
	w.t.Helper()
	lock, err := w.folder(immortal(0)).Lock("workers enable")
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := PlanEdit(w.t.Context(), w.api, Selection{All: true}, edit, 1, lock)
	if err != nil {
		w.t.Fatal(err)
	}
	return lock, p
}

func TestLockTellsWhoHasIt(t *testing.T) {
	w := newSite(t, workerstest.Samples(3))
	lock, p := w.planned(attributes.Edit{Enable: true})
	if _, err := w.folder(immortal(0)).Lock("workers disable"); !problem.Is(err, problem.Locked) ||
		!strings.Contains(err.Error(), fmt.Sprintf("flexvc workers enable (process %d)", os.Getpid())) {
		t.Errorf("%v, want locked by this process", err)
	}
	run, err := lock.Begin(Header{Command: "workers enable"}, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.folder(immortal(0)).Lock("workers disable"); problem.Exit(err) != problem.ExitLocked || !strings.Contains(err.Error(), "run "+run.ID) {
		t.Errorf("%v, want locked by run %s", err, run.ID)
	}
	if err := errors.Join(run.Close(), lock.Release()); err != nil {
		t.Fatal(err)
	}
	again, err := w.folder(immortal(0)).Lock("workers disable")
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Release()
}

// TestJournalIsPrivate: it holds attributes, which are personal data.
func TestJournalIsPrivate(t *testing.T) {
	w := newSite(t, workerstest.Samples(3))
	w.path = filepath.Join(w.path, "AC1", "WS1")
	if _, err := w.enable(immortal(0), ""); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{
		w.path: 0o700, filepath.Dir(w.path): 0o700, filepath.Join(w.path, w.latest()+journalSuffix): 0o600, filepath.Join(w.path, "lock"): 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", filepath.Base(path), info.Mode().Perm(), want)
		}
	}
	left, err := filepath.Glob(filepath.Join(w.path, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("the folder holds %q, %v, want the journal and the lock", left, err)
	}
}

// TestTornLastLine: every prefix of a journal can be resumed, once it has its
// plan.
func TestTornLastLine(t *testing.T) {
	w := newSite(t, workerstest.Samples(4))
	before := w.api.Texts()
	if _, err := w.enable(immortal(0), ""); err != nil {
		t.Fatal(err)
	}
	id := w.latest()
	path := filepath.Join(w.path, id+journalSuffix)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	plan := strings.Index(string(whole), `{"t":"intent"`)
	for n := plan; n < len(whole); n++ {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := w.enable(immortal(0), id); err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		w.wantTexts(fmt.Sprintf("cut at %d", n), enabled(t, before))
		run, err := w.folder(immortal(0)).Load(id)
		if err != nil || !run.Ended || len(run.Damage) > 0 {
			t.Fatalf("cut at %d: %v, lost %+v", n, err, run.Damage)
		}
		_ = run.Close()
	}
}

// early is a journal that is looked for while it is written.
type early struct {
	sink
	look func()
}

func (e early) Write(p []byte) (int, error) {
	e.look()
	n, err := e.sink.Write(p)
	e.look()
	return n, err
}

// TestAPlanWasSeenHalfWritten: whoever lists the runs, and whoever resumes one after a
// crash, finds a whole plan or none.
func TestAPlanWasSeenHalfWritten(t *testing.T) {
	w := newSite(t, workerstest.Samples(4))
	lock, p := w.planned(attributes.Edit{Enable: true})
	defer lock.Release()
	looked := 0
	lock.wrap = func(s sink) sink {
		return early{s, func() {
			looked++
			for run, err := range lock.Runs() {
				t.Errorf("while its plan is written, run %q is there: %v", run.ID, err)
			}
		}}
	}
	run, err := lock.Begin(Header{Command: "workers enable"}, p)
	if err != nil || looked == 0 {
		t.Fatalf("%v after %d looks", err, looked)
	}
	if w.latest() != run.ID {
		t.Errorf("the latest run is %q, want %q", w.latest(), run.ID)
	}
	_ = run.Close()
}

// full is a disk that has no more room after some bytes.
type full struct {
	sink
	room int
}

func (f *full) Write(p []byte) (int, error) {
	if len(p) > f.room {
		n, _ := f.sink.Write(p[:f.room])
		f.room = 0
		return n, &os.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}
	}
	f.room -= len(p)
	return f.sink.Write(p)
}

// TestFullDisk: without a durable intent nothing is written to Twilio, and once
// there is room again the run goes on.
func TestFullDisk(t *testing.T) {
	for _, room := range []int{0, 100, 600, 1000, 1500, 2000, 3000} {
		w := newSite(t, workerstest.Samples(30))
		before := w.api.Texts()
		lock, p := w.planned(attributes.Edit{Enable: true})
		lock.wrap = func(s sink) sink { return &full{s, room} }
		run, err := lock.Begin(Header{Command: "workers enable"}, p)
		if err != nil {
			if !problem.Is(err, problem.StateUnwritable) || w.api.Written != 0 || w.latest() != "" {
				t.Errorf("room %d: %v, %d writes, run %q", room, err, w.api.Written, w.latest())
			}
			_ = lock.Release()
			continue
		}
		_, err = run.Apply(t.Context(), w.api, lock.Folder, ApplyOptions{Concurrency: 3})
		if !problem.Is(err, problem.StateUnwritable) || !strings.Contains(err.Error(), "no space left") ||
			!strings.Contains(problem.As(err).Hint, "runs resume "+run.ID) {
			t.Fatalf("room %d: %v", room, err)
		}
		kept, err := w.folder(immortal(0)).Load(run.ID)
		if err != nil {
			t.Fatal(err)
		}
		intents := 0
		for _, it := range kept.items {
			if it.last.size > 0 {
				intents++
			}
		}
		if w.api.Written > intents {
			t.Errorf("room %d: %d writes, but only %d intents on disk", room, w.api.Written, intents)
		}
		_ = kept.Close()
		_ = lock.Release()
		if _, err := w.enable(immortal(0), run.ID); err != nil {
			t.Fatal(err)
		}
		w.wantTexts(fmt.Sprintf("room %d", room), enabled(t, before))
	}
}

// slow is a disk whose sync takes a while.
type slow struct {
	sink
	mu    sync.Mutex
	syncs int
}

func (s *slow) Sync() error {
	time.Sleep(10 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.syncs++
	return nil
}

// TestGroupCommit: many intents share a sync.
func TestGroupCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		disk := &slow{sink: file}
		j := newJournal(path, disk, 0)
		var all sync.WaitGroup
		for i := range 320 {
			all.Go(func() {
				if _, err := j.commit(record{Kind: kindIntent, SID: workerstest.SID(i)}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if err := j.close(); err != nil {
			t.Fatal(err)
		}
		if disk.syncs > 5 {
			t.Errorf("%d syncs for 320 records", disk.syncs)
		}
	})
	text, err := os.ReadFile(path)
	if err != nil || strings.Count(string(text), "\n") != 320 {
		t.Errorf("%d lines on disk, %v, want 320", strings.Count(string(text), "\n"), err)
	}
}

// TestNotesCanBeReadDuringTheRun: nobody waits for a result, but who reads the
// journal of a run under way sees it, without a sync of its own.
func TestNotesCanBeReadDuringTheRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		disk := &slow{sink: file}
		j := newJournal(path, disk, 0)
		want := func(lines, syncs int) {
			t.Helper()
			text, err := os.ReadFile(path)
			if got := strings.Count(string(text), "\n"); err != nil || got != lines || disk.syncs != syncs {
				t.Errorf("%d lines after %d syncs, %v; want %d after %d", got, disk.syncs, err, lines, syncs)
			}
		}
		note := func() {
			t.Helper()
			if _, err := j.note(record{Kind: kindResult, SID: workerstest.SID(1), Status: Changed}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		note()
		want(1, 0)
		if _, err := j.commit(record{Kind: kindIntent, SID: workerstest.SID(2)}); err != nil {
			t.Fatal(err)
		}
		want(2, 1)
		note()
		want(3, 1)
		if err := j.close(); err != nil {
			t.Fatal(err)
		}
		want(3, 2)
	})
}

// TestStop: the writes in flight finish, nothing else starts, and the run can be
// resumed.
func TestStop(t *testing.T) {
	w := newSite(t, workerstest.Samples(30))
	before := w.api.Texts()
	lock, p := w.planned(attributes.Edit{Enable: true})
	run, err := lock.Begin(Header{Command: "workers enable"}, p)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	ended := 0
	tally, err := run.Apply(t.Context(), w.api, lock.Folder, ApplyOptions{Concurrency: 2, Stop: stop, Done: func(Outcome) {
		if ended++; ended == 7 {
			close(stop)
		}
	}})
	if !problem.Is(err, problem.Interrupted) || !strings.Contains(err.Error(), "no write is half-done") {
		t.Fatalf("%v, want interrupted", err)
	}
	if tally.Changed < 7 || tally.Changed > 7+2 || tally.Left != tally.Planned-tally.Changed || w.api.Written != tally.Changed {
		t.Errorf("%+v after %d writes", tally, w.api.Written)
	}
	_ = lock.Release()
	if _, err := w.enable(immortal(0), run.ID); err != nil {
		t.Fatal(err)
	}
	w.wantTexts("resumed", enabled(t, before))
}

// TestStopAtOnce: when the context ends, what became of the writes in flight is
// left to the resumed run.
func TestStopAtOnce(t *testing.T) {
	w := newSite(t, workerstest.Samples(30))
	before := w.api.Texts()
	lock, p := w.planned(attributes.Edit{Enable: true})
	run, err := lock.Begin(Header{Command: "workers enable"}, p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	written := 0
	w.api.After = func(string) error {
		if written++; written == 5 {
			cancel()
			return problem.New(problem.Interrupted, "interrupted").Because(context.Canceled)
		}
		return nil
	}
	tally, err := run.Apply(ctx, w.api, lock.Folder, ApplyOptions{Concurrency: 2})
	if !problem.Is(err, problem.Interrupted) || tally.Failed != 0 {
		t.Fatalf("%+v, %v, want interrupted without failures", tally, err)
	}
	w.api.After = nil
	_ = lock.Release()
	if _, err := w.enable(immortal(0), run.ID); err != nil {
		t.Fatal(err)
	}
	w.wantTexts("resumed", enabled(t, before))
	if w.api.Written > 27 {
		t.Errorf("%d writes for %d workers", w.api.Written, tally.Planned)
	}
	if _, err := w.rollback(immortal(0), run.ID, ""); err != nil {
		t.Fatal(err)
	}
	w.wantTexts("rolled back", before)
}

func TestFailures(t *testing.T) {
	for _, tc := range []struct {
		name   string
		err    error
		failed int
		code   problem.Code // of the run's error
	}{
		{"one worker is refused", problem.New(problem.RequestRefused, "refused"), 1, ""},
		{"one worker is gone", problem.New(problem.NotFound, "not found"), 1, ""},
		{"the key is revoked", problem.New(problem.CredentialsRefused, "refused"), 0, problem.CredentialsRefused},
	} {
		w := newSite(t, workerstest.Samples(30))
		w.api.Before = func(op, sid string) error {
			if op == "write" && sid == workerstest.SID(2) {
				return tc.err
			}
			return nil
		}
		tally, err := w.enable(immortal(0), "")
		if tally.Failed != tc.failed || (tc.code == "") != (err == nil) || err != nil && !problem.Is(err, tc.code) {
			t.Errorf("%s: %+v, %v", tc.name, tally, err)
		}
		w.api.Before = nil
		p, err := PlanRollback(t.Context(), w.api, w.folder(immortal(0)), w.latest(), "ext_", 1, nil)
		if err != nil || p.Total != tally.Changed || len(p.Change) != tally.Changed {
			t.Errorf("%s: a rollback would restore %d of %d, %v, want %d", tc.name, len(p.Change), p.Total, err, tally.Changed)
		}
		if tally, err := w.enable(immortal(0), w.latest()); err != nil || !tally.Whole() {
			t.Errorf("%s, tried again: %+v, %v", tc.name, tally, err)
		}
	}
}

// TestOutage: when Twilio is away, the run stops instead of failing worker by
// worker.
func TestOutage(t *testing.T) {
	w := newSite(t, workerstest.Samples(60))
	w.api.Before = func(op, _ string) error {
		if op == "write" {
			return problem.New(problem.TwilioUnavailable, "Twilio is away")
		}
		return nil
	}
	w.concurrency = 4
	tally, err := w.enable(immortal(0), "")
	if !problem.Is(err, problem.TwilioUnavailable) || tally.Left == 0 {
		t.Errorf("%+v, %v", tally, err)
	}
	if w.api.Written > 12 {
		t.Errorf("%d writes were tried", w.api.Written)
	}
}

// TestRetriesUnderContention: 412 is answered by reading again, and the rollback
// restores what the worker had right before the write that succeeded.
func TestRetriesUnderContention(t *testing.T) {
	w := newSite(t, workerstest.Samples(3))
	times := 0
	w.api.Before = func(op, sid string) error {
		if op == "write" && sid == workerstest.SID(0) && times < 4 {
			times++
			w.api.Put(w.api.Records[sid], fmt.Sprintf(`{"reservation":%d}`, times))
		}
		return nil
	}
	if tally, err := w.enable(immortal(0), ""); err != nil || !tally.Whole() {
		t.Fatalf("%+v, %v", tally, err)
	}
	if got := w.api.Texts()[0]; got != `{"reservation":4,"extensionVoiceClientEnabled":true}` {
		t.Errorf("the worker holds %s", got)
	}
	run, err := w.folder(immortal(0)).Load(w.latest())
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	for o := range run.Outcomes() {
		if o.SID == workerstest.SID(0) && o.Attempts != 5 {
			t.Errorf("%d attempts, want 5", o.Attempts)
		}
	}
	if _, err := w.rollback(immortal(0), run.ID, ""); err != nil {
		t.Fatal(err)
	}
	if got := w.api.Texts()[0]; got != `{"reservation":4}` {
		t.Errorf("after the rollback the worker holds %s", got)
	}
}

func TestResumeOfWhatCannotBeResumed(t *testing.T) {
	w := newSite(t, workerstest.Samples(6))
	if _, err := w.enable(immortal(0), ""); err != nil {
		t.Fatal(err)
	}
	id := w.latest()
	if _, err := w.enable(immortal(0), id); !problem.Is(err, problem.RunNotResumable) {
		t.Errorf("a run that ended: %v", err)
	}
	if _, err := w.rollback(immortal(0), id, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.enable(immortal(0), id); !problem.Is(err, problem.RunNotResumable) || !strings.Contains(err.Error(), "rolled it back") {
		t.Errorf("a run that was rolled back: %v", err)
	}
	if _, err := w.enable(immortal(0), "ZZZZZZ"); !problem.Is(err, problem.RunNotFound) {
		t.Errorf("no run: %v", err)
	}
}
