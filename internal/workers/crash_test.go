package workers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/workers/workerstest"
)

// site is a workspace and the folder of its runs, across processes.
type site struct {
	t    *testing.T
	api  *workerstest.Workspace
	path string
	now  time.Time

	concurrency int
}

func newSite(t *testing.T, texts []string) *site {
	return &site{t: t, api: workerstest.New(texts...), path: t.TempDir(), now: idEpoch.Add(48 * time.Hour), concurrency: 1}
}

func (w *site) folder(c *crash) Folder {
	return Folder{Path: w.path, Now: func() time.Time { return w.now }, wrap: c.wrap}
}

// latest returns the run that began last, or "".
func (w *site) latest() string {
	for s, err := range w.folder(immortal(0)).Runs() {
		if err != nil {
			w.t.Fatal(err)
		}
		return s.ID
	}
	return ""
}

// process is one life of flexvc: it resumes the run if there is one, else it
// makes one. An error means nothing while c is dead.
func (w *site) process(c *crash, resume string, plan func(API, Folder, *Lock) (*Plan, error), h Header) (Tally, error) {
	w.now = w.now.Add(time.Second)
	api, f := mortalAPI{w.api, c}, w.folder(c)
	lock, err := f.Lock("test")
	if err != nil {
		return Tally{}, err
	}
	defer lock.Release()
	var run *Run
	if resume != "" {
		if run, err = f.Resumable(resume, true); err != nil {
			return Tally{}, err
		}
		var p *Plan
		if p, err = PlanResume(w.t.Context(), api, f, run, w.concurrency, lock); err != nil {
			_ = run.Close()
			return Tally{}, err
		}
		defer p.Close()
		err = lock.Reopen(run, p)
	} else {
		var p *Plan
		if p, err = plan(api, f, lock); err != nil {
			return Tally{}, err
		}
		defer p.Close()
		if len(p.Change) == 0 {
			return Tally{}, nil
		}
		run, err = lock.Begin(h, p)
	}
	if err != nil {
		return Tally{}, err
	}
	return run.Apply(w.t.Context(), api, f, ApplyOptions{Concurrency: w.concurrency})
}

func (w *site) enable(c *crash, resume string) (Tally, error) {
	return w.process(c, resume, func(api API, _ Folder, lock *Lock) (*Plan, error) {
		return PlanEdit(w.t.Context(), api, Selection{All: true}, attributes.Edit{Enable: true}, w.concurrency, lock)
	}, Header{Command: "workers enable"})
}

func (w *site) disable(c *crash) (Tally, error) {
	return w.process(c, "", func(api API, _ Folder, lock *Lock) (*Plan, error) {
		return PlanEdit(w.t.Context(), api, Selection{All: true}, attributes.Edit{}, w.concurrency, lock)
	}, Header{Command: "workers disable"})
}

func (w *site) rollback(c *crash, of, resume string) (Tally, error) {
	return w.process(c, resume, func(api API, f Folder, lock *Lock) (*Plan, error) {
		return PlanRollback(w.t.Context(), api, f, of, "ext_", w.concurrency, lock)
	}, Header{Command: "runs rollback"})
}

// live runs one command to its end through as many lives as die allows.
func (w *site) live(die func(life int) *crash, command func(c *crash, resume string) (Tally, error)) Tally {
	w.t.Helper()
	began := w.latest()
	for life := 0; ; life++ {
		resume := w.latest()
		if resume == began {
			resume = ""
		}
		c := die(life)
		tally, err := command(c, resume)
		if c.dead {
			continue
		}
		if problem.Is(err, problem.RunNotResumable) {
			return tally // it died after its last record was on disk
		}
		if err != nil {
			w.t.Fatalf("life %d: %v", life, err)
		}
		return tally
	}
}

func (w *site) wantTexts(what string, want []string) {
	w.t.Helper()
	for i, got := range w.api.Texts() {
		if got != want[i] {
			w.t.Fatalf("%s: worker %d holds\n%s\nwant\n%s", what, i, got, want[i])
		}
	}
}

// wantAllChanged wants the journal to tell that the run did all it planned.
func (w *site) wantAllChanged(id string) {
	w.t.Helper()
	run, err := w.folder(immortal(0)).Load(id)
	if err != nil {
		w.t.Fatal(err)
	}
	defer run.Close()
	if tally := run.Tally(); !run.Ended || tally.Planned == 0 || tally.Changed != tally.Planned || len(run.Damage) > 0 {
		w.t.Fatalf("run %s: ended %t, %+v, lost %+v", id, run.Ended, tally, run.Damage)
	}
}

func immortal(int) *crash { return &crash{left: -1} }

// TestKilledAtEveryStep kills the run, and then its rollback, at every single
// step, in each way a process or a machine can die, and resumes.
func TestKilledAtEveryStep(t *testing.T) {
	for _, nulls := range []bool{false, true} {
		for _, power := range []bool{false, true} {
			t.Run(fmt.Sprintf("nulls=%t,power=%t", nulls, power), func(t *testing.T) {
				steps := 0
				for at := 0; ; at++ {
					w := newSite(t, workerstest.Samples(6))
					w.api.NullList = nulls
					before := w.api.Texts()
					die := func(life int) *crash {
						if life > 0 {
							return &crash{left: -1}
						}
						return &crash{left: at, power: power}
					}
					var first *crash
					w.live(func(life int) *crash {
						c := die(life)
						if life == 0 {
							first = c
						}
						return c
					}, w.enable)
					w.wantTexts(fmt.Sprintf("enable, killed at step %d", at), enabled(t, before))
					enabledBy := w.latest()
					w.wantAllChanged(enabledBy)
					w.live(die, func(c *crash, resume string) (Tally, error) { return w.rollback(c, enabledBy, resume) })
					w.wantTexts(fmt.Sprintf("rollback, killed at step %d", at), before)
					w.wantAllChanged(w.latest())
					if !first.dead {
						steps = first.steps
						break
					}
				}
				if steps < 20 {
					t.Errorf("an undisturbed run takes only %d steps: the crashes are not where they should be", steps)
				}
			})
		}
	}
}

// TestKilledManyTimes kills at random moments, again and again, with several
// workers in hand, while browsers write back old copies.
func TestKilledManyTimes(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		w := newSite(t, workerstest.Samples(12+random.IntN(20)))
		w.api.NullList = seed%2 == 1
		w.concurrency = 1 + random.IntN(4)
		before := w.api.Texts()
		kills := 0
		die := func(life int) *crash {
			if life > 40 {
				return &crash{left: -1}
			}
			kills++
			return &crash{left: random.IntN(60), power: random.IntN(2) == 0}
		}
		w.live(die, w.enable)
		w.wantTexts(fmt.Sprintf("seed %d, enable killed %d times", seed, kills), enabled(t, before))
		by := w.latest()
		w.live(die, func(c *crash, resume string) (Tally, error) { return w.rollback(c, by, resume) })
		w.wantTexts(fmt.Sprintf("seed %d, rollback", seed), before)
		again := w.latest()
		w.live(immortal, func(c *crash, resume string) (Tally, error) { return w.rollback(c, again, resume) })
		w.wantTexts(fmt.Sprintf("seed %d, rollback of the rollback", seed), enabled(t, before))
	}
}

// TestBrowserOverwritesDuringRun: browsers write whole attributes a thousand
// times during a run, without a condition and without our key. What each wrote
// last is kept, and in the end every worker is enabled.
func TestBrowserOverwritesDuringRun(t *testing.T) {
	for _, nulls := range []bool{false, true} {
		w := newSite(t, workerstest.Samples(40))
		w.api.NullList = nulls
		w.concurrency = 4
		random := rand.New(rand.NewPCG(7, 7))
		wrote := slices.Clone(w.api.Texts())
		overwrites := 0
		w.api.Before = func(string, string) error {
			for range 5 {
				if overwrites++; overwrites > 1000 {
					return nil
				}
				i := random.IntN(len(wrote))
				wrote[i] = fmt.Sprintf(`{"browser":%d}`, overwrites)
				w.api.Put(w.api.Records[workerstest.SID(i)], wrote[i])
			}
			return nil
		}
		tally, err := w.enable(immortal(0), "")
		for err == nil && (overwrites <= 1000 || tally.Failed > 0) {
			tally, err = w.enable(immortal(0), "")
		}
		if err == nil {
			_, err = w.enable(immortal(0), "") // whom a browser undid after the last look
		}
		if err != nil {
			t.Fatal(err)
		}
		w.wantTexts(fmt.Sprintf("nulls=%t", nulls), enabled(t, wrote))
	}
}

// TestBrowserOverwroteIsAppliedAgain: a browser that undoes the change after
// the write is found by the look at the end, and the rollback then restores
// what that browser wrote.
func TestBrowserOverwroteIsAppliedAgain(t *testing.T) {
	for _, nulls := range []bool{false, true} {
		w := newSite(t, workerstest.Samples(40))
		w.api.NullList = nulls
		const browser = `{"browser":"stale copy"}`
		undone := false
		w.api.After = func(sid string) error {
			if sid == workerstest.SID(20) && !undone {
				undone = true
				return nil
			}
			if undone && w.api.Records[workerstest.SID(20)].Version == 2 {
				w.api.Put(w.api.Records[workerstest.SID(20)], browser)
			}
			return nil
		}
		before := w.api.Texts()
		tally, err := w.enable(immortal(0), "")
		if err != nil || !tally.Whole() {
			t.Fatalf("%+v, %v", tally, err)
		}
		want := enabled(t, before)
		want[20] = `{"browser":"stale copy","extensionVoiceClientEnabled":true}`
		w.wantTexts("enable", want)
		if _, err := w.rollback(immortal(0), w.latest(), ""); err != nil {
			t.Fatal(err)
		}
		before[20] = browser
		w.wantTexts("rollback", before)
	}
}

// TestBrowserThatNeverStops: re-applying is bounded, and the worker is told of.
func TestBrowserThatNeverStops(t *testing.T) {
	w := newSite(t, workerstest.Samples(3))
	w.api.Before = func(op, sid string) error {
		if op != "write" {
			w.api.Put(w.api.Records[workerstest.SID(0)], `{"stubborn":true}`)
		}
		return nil
	}
	tally, err := w.enable(immortal(0), "")
	if err != nil {
		t.Fatal(err)
	}
	if tally.Failed != 1 {
		t.Errorf("tally %+v, want one failed", tally)
	}
	if w.api.Written > 20 {
		t.Errorf("%d writes: re-applying is not bounded", w.api.Written)
	}
}

// TestRollbackKeepsWhatOthersChanged: our key goes back, everybody else's stays, and
// a worker that has a third value in our key is left alone, with the command that
// can change it.
func TestRollbackKeepsWhatOthersChanged(t *testing.T) {
	w := newSite(t, workerstest.Samples(20))
	if _, err := w.disable(immortal(0)); err != nil {
		t.Fatal(err)
	}
	disabled := w.latest()
	before := w.api.Texts()
	if _, err := w.enable(immortal(0), ""); err != nil {
		t.Fatal(err)
	}
	w.api.Mu.Lock()
	put := func(i int, old, text string) {
		worker := w.api.Records[workerstest.SID(i)]
		changed := strings.Replace(worker.Attributes, old, text, 1)
		if changed == worker.Attributes {
			t.Fatalf("%s does not hold %s", changed, old)
		}
		w.api.Put(worker, changed)
		before[i] = strings.Replace(before[i], old, text, 1)
	}
	put(1, `"a":`, `"skills":["new"],"a":`)
	put(2, `"client:zoe"`, `"client:ext_zoe"`)
	before[2] = strings.Replace(before[2], "ext_", "", 1)
	put(3, `"id":3`, `"id": 3`)
	before[3] = strings.Replace(before[3], `"id": 3`, `"id":3`, 1)
	delete(w.api.Records, workerstest.SID(5))
	before[5] = "gone"
	w.api.Mu.Unlock()
	if _, err := w.rollback(immortal(0), w.latest(), ""); err != nil {
		t.Fatal(err)
	}
	w.wantTexts("rollback", before)

	w.api.Set(9, `{"extensionVoiceClientEnabled":"soon"}`)
	p, err := PlanRollback(t.Context(), w.api, w.folder(immortal(0)), disabled, "ext_", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Blocked) != 2 || p.Blocked[1].Code != problem.NotFound || p.Blocked[0].Code != problem.EditedSince || p.Blocked[0].Remedy != "workers enable" || p.Blocked[0].SID != workerstest.SID(9) {
		t.Errorf("blocked %+v, want the one that has a third value, and the one that is gone", p.Blocked)
	}
}

// TestNormalisedTextIsOurs: Twilio may store other bytes than it was sent.
func TestNormalisedTextIsOurs(t *testing.T) {
	w := newSite(t, workerstest.Samples(4))
	before := w.api.Texts()
	w.api.Normalise = func(s string) string { return s + " " }
	if _, err := w.enable(immortal(0), ""); err != nil {
		t.Fatal(err)
	}
	w.api.Normalise = nil
	if _, err := w.rollback(immortal(0), w.latest(), ""); err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(before)
	w.wantTexts("rollback", want)
}

// TestLostAnswers: a write that was carried out, but whose answer never came,
// is recognised by its text and not made again.
func TestLostAnswers(t *testing.T) {
	w := newSite(t, workerstest.Samples(6))
	before := w.api.Texts()
	lost := 0
	w.api.After = func(string) error {
		if lost++; lost == 2 {
			return problem.New(problem.NetworkUnreachable, "connection reset")
		}
		return nil
	}
	tally, err := w.enable(immortal(0), "")
	if err != nil || tally.Failed != 1 {
		t.Fatalf("%+v, %v, want one failed", tally, err)
	}
	writes := w.api.Written
	run := w.latest()
	if tally, err = w.enable(immortal(0), run); err != nil || !tally.Whole() {
		t.Fatalf("%+v, %v", tally, err)
	}
	if w.api.Written != writes {
		t.Errorf("the retry wrote %d times, want 0: the first write had arrived", w.api.Written-writes)
	}
	w.wantTexts("enable", enabled(t, before))
	if _, err := w.rollback(immortal(0), run, ""); err != nil {
		t.Fatal(err)
	}
	w.wantTexts("rollback", before)
}

// TestRequestBudget: two requests per worker, a page per thousand, and the look
// at the end.
func TestRequestBudget(t *testing.T) {
	const n = 2500
	var texts []string
	for i := range n {
		texts = append(texts, fmt.Sprintf(`{"id":%d}`, i))
	}
	for _, nulls := range []bool{false, true} {
		w := newSite(t, texts)
		w.api.NullList = nulls
		w.concurrency = 32
		tally, err := w.enable(immortal(0), "")
		if err != nil || tally.Changed != n {
			t.Fatalf("%+v, %v", tally, err)
		}
		if budget := 2*n + 3 + 2*n/100; w.api.Requests > budget {
			t.Errorf("nulls=%t: %d requests, want at most %d", nulls, w.api.Requests, budget)
		}
	}
}

// TestRollbackOfAnOlderWrite: the run wrote, a browser overwrote, and the run
// died before it could write again. Should the worker hold the first write after
// all, that one is undone.
func TestRollbackOfAnOlderWrite(t *testing.T) {
	w := newSite(t, workerstest.Samples(3))
	before := w.api.Texts()
	if _, err := w.enable(immortal(0), ""); err != nil {
		t.Fatal(err)
	}
	id := w.latest()
	run, err := w.folder(immortal(0)).Load(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.open(w.folder(immortal(0))); err != nil {
		t.Fatal(err)
	}
	text, again := `{"browser":1}`, `{"browser":1,"extensionVoiceClientEnabled":true}`
	if _, err := run.journal.commit(record{Kind: kindIntent, SID: workerstest.SID(0), Before: &text, After: &again}); err != nil {
		t.Fatal(err)
	}
	if err := run.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.rollback(immortal(0), id, ""); err != nil {
		t.Fatal(err)
	}
	w.wantTexts("rollback", before)
}
