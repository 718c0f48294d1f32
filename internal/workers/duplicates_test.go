package workers

import (
	"context"
	"iter"
	"testing"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/workers/workerstest"
)

// shifting lists each worker twice, as pages do when workers are added while they
// are read.
type shifting struct{ *workerstest.Workspace }

func (s shifting) Workers(ctx context.Context, expression string) iter.Seq2[twilio.Worker, error] {
	return func(yield func(twilio.Worker, error) bool) {
		for range 2 {
			for w, err := range s.Workspace.Workers(ctx, expression) {
				if !yield(w, err) {
					return
				}
			}
		}
	}
}

// TestWorkerOnTwoPagesIsCountedTwice: and, worse, was changed by two goroutines at
// a time.
func TestWorkerOnTwoPagesIsCountedTwice(t *testing.T) {
	for _, nulls := range []bool{false, true} {
		w := newSite(t, workerstest.Samples(20))
		w.api.NullList = nulls
		api := shifting{w.api}
		undone := false
		w.api.After = func(sid string) error { // so that there is something to find at the end
			if sid == workerstest.SID(1) && !undone {
				undone = true
				w.api.Put(w.api.Records[workerstest.SID(0)], `{"id":0}`)
			}
			return nil
		}
		lock, err := w.folder(immortal(0)).Lock("workers enable")
		if err != nil {
			t.Fatal(err)
		}
		p, err := PlanEdit(t.Context(), api, Selection{All: true}, attributes.Edit{Enable: true}, 1, lock)
		if err != nil {
			t.Fatal(err)
		}
		const already = 3
		if p.Total != 20 || len(p.Change) != 20-already || p.Same != already || p.listed != 20 {
			t.Errorf("nulls=%t: the plan counts %d workers, %d to change, %d the same, %d listed", nulls, p.Total, len(p.Change), p.Same, p.listed)
		}
		run, err := lock.Begin(Header{Command: "workers enable"}, p)
		if err != nil {
			t.Fatal(err)
		}
		ended := map[string]int{}
		tally, err := run.Apply(t.Context(), api, lock.Folder, ApplyOptions{Concurrency: 1, Done: func(o Outcome) { ended[o.SID]++ }})
		if err != nil || tally.Planned != 20-already || tally.Changed != 20-already {
			t.Errorf("nulls=%t: %+v, %v", nulls, tally, err)
		}
		for sid, n := range ended {
			if want := map[bool]int{true: 2, false: 1}[sid == workerstest.SID(0)]; n != want { // once more for what was undone
				t.Errorf("nulls=%t: %s ended %d times, want %d", nulls, sid, n, want)
			}
		}
		if want := 20 - already + 1; w.api.Written != want {
			t.Errorf("nulls=%t: %d writes, want %d", nulls, w.api.Written, want)
		}
		p.Close()
		_ = lock.Release()
	}
}

// TestFailuresThatAreNotInARowEndTheRun: only writes counted, so that a run in which
// most workers needed none ended after failures with many successes between them.
func TestFailuresThatAreNotInARowEndTheRun(t *testing.T) {
	w := newSite(t, workerstest.Samples(60))
	before := w.api.Texts()
	lock, p := w.planned(attributes.Edit{Enable: true})
	run, err := lock.Begin(Header{Command: "workers enable"}, p)
	if err != nil {
		t.Fatal(err)
	}
	fetched := 0
	w.api.Before = func(op, sid string) error {
		if fetched++; op == "write" {
			return problem.New(problem.TwilioUnavailable, "Twilio is away")
		}
		// Of five workers, four have what they need by now.
		if fetched%6 != 0 {
			w.api.Records[sid].Attributes = enabled(t, []string{w.api.Records[sid].Attributes})[0]
		}
		return nil
	}
	tally, err := run.Apply(t.Context(), w.api, lock.Folder, ApplyOptions{Concurrency: 1})
	if err != nil || tally.Left != 0 || tally.Failed < 5 {
		t.Errorf("%+v, %v, want a run that comes to its end with some failures", tally, err)
	}
	_ = lock.Release()
	w.api.Before = nil
	if _, err := w.enable(immortal(0), run.ID); err != nil {
		t.Fatal(err)
	}
	w.wantTexts("retried", enabled(t, before))
}
