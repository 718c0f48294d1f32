package workers

import (
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/workers/workerstest"
)

// TestPersonsEditDuringTheRunIsOverwritten: a person who disables an agent while
// everybody is being enabled means it, whether that comes before the write or after
// it; a browser that writes back what was there before is set again and counted.
func TestPersonsEditDuringTheRunIsOverwritten(t *testing.T) {
	const before, after, stale = 10, 18, 30
	for _, nulls := range []bool{false, true} {
		w := newSite(t, workerstest.Samples(40))
		w.api.NullList = nulls
		texts := w.api.Texts()
		for _, i := range []int{before, after, stale} {
			texts[i] = `{"a":1}`
			w.api.Set(i, texts[i])
		}
		w.api.Before = func(op, sid string) error {
			if op == "write" && sid == workerstest.SID(before) && w.api.Records[sid].Attributes == texts[before] {
				w.api.Put(w.api.Records[sid], `{"a":2,"extensionVoiceClientEnabled":false}`)
			}
			return nil
		}
		w.api.After = func(sid string) error {
			switch sid {
			case workerstest.SID(after + 1):
				w.api.Put(w.api.Records[workerstest.SID(after)], `{"a":3,"extensionVoiceClientEnabled":"no"}`)
			case workerstest.SID(stale + 1):
				w.api.Put(w.api.Records[workerstest.SID(stale)], texts[stale])
			}
			return nil
		}
		tally, err := w.enable(immortal(0), "")
		if err != nil {
			t.Fatal(err)
		}
		if tally.Skipped != 2 || tally.Reset != 1 || tally.Whole() {
			t.Errorf("nulls=%t: %+v, want two skipped and one set again", nulls, tally)
		}
		want := enabled(t, texts)
		want[before], want[after] = `{"a":2,"extensionVoiceClientEnabled":false}`, `{"a":3,"extensionVoiceClientEnabled":"no"}`
		w.wantTexts("enable", want)

		run, err := w.folder(immortal(0)).Load(w.latest())
		if err != nil {
			t.Fatal(err)
		}
		if got := run.Tally(); got != tally {
			t.Errorf("nulls=%t: the journal tells of %+v, want %+v", nulls, got, tally)
		}
		for o := range run.Outcomes() {
			edited := o.SID == workerstest.SID(before) || o.SID == workerstest.SID(after)
			if edited != (o.Status == Skipped) || edited != (o.Code == problem.EditedSince) || edited && (o.Remedy != "workers enable" || !strings.Contains(o.Reason, "since the plan")) {
				t.Errorf("nulls=%t: %+v", nulls, o)
			}
		}
		_ = run.Close()

		w.api.Before, w.api.After = nil, nil
		if _, err := w.rollback(immortal(0), w.latest(), ""); err != nil {
			t.Fatal(err)
		}
		texts[before], texts[after] = want[before], want[after]
		w.wantTexts("rollback", texts)
	}
}

// TestPersonsEditBeforeAResumeIsOverwritten: what was before the run is in the
// journal, so that a resumed run knows it too.
func TestPersonsEditBeforeAResumeIsOverwritten(t *testing.T) {
	w := newSite(t, []string{`{"a":1}`, `{"a":2}`, `{"a":3,"extensionVoiceClientEnabled":false}`, `{"a":4}`})
	lock, p := w.planned(attributes.Edit{Enable: true})
	run, err := lock.Begin(Header{Command: "workers enable"}, p)
	if err != nil {
		t.Fatal(err)
	}
	id := run.ID
	_ = run.Close()
	_ = lock.Release()
	w.api.Set(0, `{"a":1,"extensionVoiceClientEnabled":false}`)
	w.api.Set(1, `{"a":9}`)
	tally, err := w.enable(immortal(0), id)
	if err != nil || tally.Skipped != 1 || tally.Changed != 3 {
		t.Errorf("%+v, %v, want one skipped", tally, err)
	}
	if got := w.api.Texts()[0]; got != `{"a":1,"extensionVoiceClientEnabled":false}` {
		t.Errorf("it was overwritten with %s", got)
	}
}
