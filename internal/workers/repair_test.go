package workers

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/workers/workerstest"
)

// unprefix is what the watch does to a stale worker.
var unprefix = attributes.Edit{ResetContactURI: true, Prefix: "ext_", URIOnly: true}

// TestRepair: the prefix goes, nothing else does, and a rollback brings it back.
func TestRepair(t *testing.T) {
	const enabledCarol = `{"extensionVoiceClientEnabled":true,"contact_uri":"client:ext_carol"}`
	for _, c := range []struct{ text, want string }{
		{`{"extensionVoiceClientEnabled":false,"contact_uri":"client:ext_carol"}`, `{"extensionVoiceClientEnabled":false,"contact_uri":"client:carol"}`},
		{`{ "contact_uri" : "client:ext_carol", "n":1.0 }`, `{ "contact_uri" : "client:carol", "n":1.0 }`},
		{`{"extensionVoiceClientEnabled":"true","contact_uri":"client:ext_carol"}`, `{"extensionVoiceClientEnabled":"true","contact_uri":"client:carol"}`},
		{enabledCarol, enabledCarol}, // enabled meanwhile
		{`{"extensionVoiceClientEnabled":true,"contact_uri":"client:carol"}`, `{"extensionVoiceClientEnabled":true,"contact_uri":"client:carol"}`},
	} {
		f := workerstest.New(c.text)
		folder := Folder{Path: filepath.Join(t.TempDir(), "runs"), Now: time.Now}
		p, err := folder.Propose(t.Context(), f, Header{Command: "watch", Selection: "carol"}, workerstest.SID(0), unprefix)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := folder.Lock("workers enable"); !problem.Is(err, problem.Locked) {
			t.Errorf("while the question is open, another run gets %v", err)
		}
		if (len(p.Changes) > 0) != (c.text != c.want) {
			t.Errorf("%s: the changes are %v", c.text, p.Changes)
		}
		if len(p.Changes) == 0 {
			p.Close()
			continue
		}
		run, err := p.Apply(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Records[workerstest.SID(0)].Attributes; got != c.want {
			t.Errorf("%s becomes %s, want %s", c.text, got, c.want)
		}
		lock, err := folder.Lock("runs rollback")
		if err != nil {
			t.Fatal(err)
		}
		plan, err := PlanRollback(t.Context(), f, folder, run, "ext_", 1, lock)
		if err != nil || len(plan.Change) != 1 {
			t.Errorf("the rollback plans %+v, %v", plan, err)
		}
		plan.Close()
		if err := lock.Release(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRepairOfAWorkerThatCannotBe(t *testing.T) {
	f := workerstest.New(`walt`)
	folder := Folder{Path: filepath.Join(t.TempDir(), "runs"), Now: time.Now}
	if _, err := folder.Propose(t.Context(), f, Header{Command: "watch"}, workerstest.SID(0), unprefix); !problem.Is(err, problem.AttributesInvalid) {
		t.Errorf("it is %v", err)
	}
	if lock, err := folder.Lock("x"); err != nil {
		t.Errorf("the lock is kept: %v", err)
	} else if err := lock.Release(); err != nil {
		t.Error(err)
	}
}
