package workers

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/workers/workerstest"
)

// TestABracketInTheFolderHidTheRuns: with its name taken for a pattern, the folder
// showed no run, and a rolled back run could be resumed.
func TestABracketInTheFolderHidTheRuns(t *testing.T) {
	for _, name := range []string{"a[b", "[ab]", "state[1]", `back\slash`, "star*", "question?"} {
		path := filepath.Join(t.TempDir(), name)
		if os.MkdirAll(path, 0o700) != nil {
			continue // not a name on this system
		}
		f := Folder{Path: path, Now: time.Now}
		api := workerstest.New(workerstest.Samples(3)...)
		begin := func(plan func(*Lock) (*Plan, error), header Header) *Run {
			t.Helper()
			lock, err := f.Lock("test")
			if err != nil {
				t.Fatal(err)
			}
			defer lock.Release()
			p, err := plan(lock)
			if err != nil {
				t.Fatal(err)
			}
			run, err := lock.Begin(header, p)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := run.Apply(t.Context(), api, f, ApplyOptions{}); err != nil {
				t.Fatal(err)
			}
			return run
		}
		run := begin(func(lock *Lock) (*Plan, error) {
			return PlanEdit(t.Context(), api, Selection{All: true}, attributes.Edit{Enable: true}, 2, lock)
		}, Header{Command: "workers enable"})
		back := begin(func(lock *Lock) (*Plan, error) {
			return PlanRollback(t.Context(), api, f, run.ID, "ext_", 2, lock)
		}, Header{Command: "runs rollback"})
		var ids []string
		for s, err := range f.Runs() {
			if err != nil {
				t.Errorf("in %s: %v", name, err)
			}
			ids = append(ids, s.ID)
		}
		if len(ids) != 2 || ids[0] != back.ID || ids[1] != run.ID {
			t.Errorf("the runs in %s are %q, want %s and %s", name, ids, back.ID, run.ID)
		}
		if _, err := f.Resumable(run.ID, false); !problem.Is(err, problem.RunNotResumable) {
			t.Errorf("in %s a run that was rolled back is resumed: %v", name, err)
		}
		left := filepath.Join(path, run.ID+journalSuffix+tmpSuffix)
		if err := os.WriteFile(left, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		(&Lock{Folder: f}).sweep()
		if _, err := os.Stat(left); err == nil {
			t.Errorf("%s stays in %s", filepath.Base(left), name)
		}
	}
}
