package workers

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/workers/workerstest"
)

// untagged answers without ETags, as a proxy that strips headers does.
type untagged struct{ *workerstest.Workspace }

func (u untagged) Worker(ctx context.Context, sid string) (twilio.Worker, error) {
	w, err := u.Workspace.Worker(ctx, sid)
	w.ETag = ""
	return w, err
}

// TestWriteWithoutAnETag: it would be unconditional, and could take away what
// somebody else has written.
func TestWriteWithoutAnETag(t *testing.T) {
	w := newSite(t, workerstest.Samples(4))
	before := w.api.Texts()
	lock, p := w.planned(attributes.Edit{Enable: true})
	defer lock.Release()
	run, err := lock.Begin(Header{Command: "workers enable"}, p)
	if err != nil {
		t.Fatal(err)
	}
	tally, err := run.Apply(t.Context(), untagged{w.api}, lock.Folder, ApplyOptions{Concurrency: 1})
	if err != nil || tally.Failed != tally.Planned || w.api.Written != 0 {
		t.Errorf("%+v, %v after %d writes, want all failed and none written", tally, err, w.api.Written)
	}
	for o := range run.Outcomes() {
		if o.Code != problem.TwilioAnswer || !strings.Contains(o.Reason, "no ETag") {
			t.Errorf("%+v", o)
		}
	}
	w.wantTexts("not written", before)
}

// powerless is a journal of which only what was synced survives.
type powerless struct {
	*os.File
	synced int64
}

func (p *powerless) Sync() error {
	info, err := p.File.Stat()
	if err == nil {
		p.synced = info.Size()
	}
	return err
}

// TestPowerFailsAfterTwilioStoredOtherBytes: what Twilio made of the text is on disk
// before the worker counts as done. Without it a rollback could not tell those bytes
// from another's.
func TestPowerFailsAfterTwilioStoredOtherBytes(t *testing.T) {
	w := newSite(t, workerstest.Samples(6))
	before := w.api.Texts()
	w.api.Normalise = func(s string) string { return strings.Replace(s, "{", `{"twilio":1,`, 1) }
	lock, p := w.planned(attributes.Edit{Enable: true})
	var disk *powerless
	lock.wrap = func(s sink) sink {
		disk = &powerless{File: s.(*os.File)}
		return disk
	}
	run, err := lock.Begin(Header{Command: "workers enable"}, p)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.path, run.ID+journalSuffix)
	held := 0
	_, err = run.Apply(t.Context(), w.api, lock.Folder, ApplyOptions{Concurrency: 1, Done: func(o Outcome) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		result := []byte(`{"t":"result","sid":"` + o.SID + `"`)
		at := bytes.LastIndex(text[:disk.synced], result)
		if at < 0 || !bytes.Contains(text[at:disk.synced], []byte(`"held":`)) {
			t.Errorf("%s is done, but what it holds is not on disk", o.Name)
		}
		held++
	}})
	if err != nil || held != 5 {
		t.Fatalf("%d done, %v", held, err)
	}
	_ = lock.Release()
	w.api.Normalise = nil
	if _, err := w.rollback(immortal(0), run.ID, ""); err != nil {
		t.Fatal(err)
	}
	w.wantTexts("rollback", before)
}

// TestWorkerThatIsSetAgainCountsTwice: it is one worker, with all its writes, and it is
// looked at once more.
func TestWorkerThatIsSetAgainCountsTwice(t *testing.T) {
	w := newSite(t, workerstest.Samples(7))
	before := w.api.Texts()
	undone := 0
	w.api.Before = func(op, _ string) error {
		// Whenever the workers are looked at, one has lost the change, twice.
		if mia := w.api.Records[workerstest.SID(6)]; op != "write" && w.api.Written >= 6 && mia.Attributes != before[6] && undone < 2 {
			undone++
			w.api.Put(mia, before[6])
		}
		return nil
	}
	w.api.NullList = true
	lock, p := w.planned(attributes.Edit{Enable: true})
	run, err := lock.Begin(Header{Command: "workers enable"}, p)
	if err != nil {
		t.Fatal(err)
	}
	ends := map[string]int{}
	tally, err := run.Apply(t.Context(), w.api, lock.Folder, ApplyOptions{Concurrency: 1, Done: func(o Outcome) { ends[o.SID]++ }})
	if err != nil || tally.Changed != 6 || tally.Planned != 6 || tally.Reset != 1 || !tally.Whole() {
		t.Errorf("%+v, %v, want six changed, one of them set again", tally, err)
	}
	_ = lock.Release()
	w.wantTexts("enabled", enabled(t, before))
	kept, err := w.folder(immortal(0)).Load(run.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if got := kept.Tally(); got != tally {
		t.Errorf("the journal counts %+v, the run %+v", got, tally)
	}
	for o := range kept.Outcomes() {
		want := 1
		if o.SID == workerstest.SID(6) {
			want = 1 + undone
		}
		if o.Attempts != want || ends[o.SID] != want {
			t.Errorf("%s: %d writes, and told of %d times, want %d", o.Name, o.Attempts, ends[o.SID], want)
		}
	}
	if undone != 2 {
		t.Errorf("it was undone %d times, want 2", undone)
	}
}

// TestAResumedRunTookBackWhatWasChangedAfterItsEnd: a worker that was looked at when
// the run ended is done with. Whoever changes it later means it.
func TestAResumedRunTookBackWhatWasChangedAfterItsEnd(t *testing.T) {
	w := newSite(t, workerstest.Samples(3))
	before := w.api.Texts()
	w.api.Before = func(op, sid string) error {
		if op == "write" && sid == workerstest.SID(1) {
			return problem.New(problem.RequestRefused, "no")
		}
		return nil
	}
	if tally, err := w.enable(immortal(0), ""); err != nil || tally.Failed != 1 || tally.Changed != 2 {
		t.Fatalf("%+v, %v", tally, err)
	}
	w.api.Before = nil
	w.api.Set(0, before[0])
	if tally, err := w.enable(immortal(0), w.latest()); err != nil || tally.Changed != 3 {
		t.Errorf("%+v, %v", tally, err)
	}
	want := enabled(t, before)
	want[0] = before[0]
	w.wantTexts("resumed", want)
}

// TestAWriteWithAnUnreadableAnswerCountedAsFailed: it may have arrived, and the worker
// tells.
func TestAWriteWithAnUnreadableAnswerCountedAsFailed(t *testing.T) {
	for _, arrives := range []bool{true, false} {
		w := newSite(t, workerstest.Samples(3))
		before := w.api.Texts()
		torn := problem.New(problem.TwilioAnswer, "cannot read the response")
		once := true
		fail := func(sid string) error {
			if once && sid == workerstest.SID(0) {
				once = false
				return torn
			}
			return nil
		}
		if arrives {
			w.api.After = fail
		} else {
			w.api.Before = func(op, sid string) error {
				if op != "write" {
					return nil
				}
				return fail(sid)
			}
		}
		tally, err := w.enable(immortal(0), "")
		if err != nil || tally.Changed != 3 || once {
			t.Errorf("arrives=%t: %+v, %v", arrives, tally, err)
		}
		w.wantTexts("enabled", enabled(t, before))
		if _, err := w.rollback(immortal(0), w.latest(), ""); err != nil {
			t.Fatal(err)
		}
		w.wantTexts("rolled back", before)
	}
}
