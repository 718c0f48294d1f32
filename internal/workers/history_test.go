package workers

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/workers/workerstest"
)

// counted counts what is read of a file.
type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// TestWatchReadsWholeOldJournals: of a run all of whose workers were enabled again
// since, the plan is enough.
func TestWatchReadsWholeOldJournals(t *testing.T) {
	var texts []string
	for i := range 400 {
		texts = append(texts, fmt.Sprintf(`{"id":%d,"note":"%s"}`, i, strings.Repeat("x", 2000)))
	}
	w := newSite(t, texts)
	w.concurrency = 32
	if _, err := w.enable(immortal(0), ""); err != nil {
		t.Fatal(err)
	}
	old := w.latest()
	first := w.folder(immortal(0)).EnabledAt()
	if _, err := w.disable(immortal(0)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.enable(immortal(0), ""); err != nil {
		t.Fatal(err)
	}
	at := w.folder(immortal(0)).EnabledAt()
	for i := range texts {
		sid := workerstest.SID(i)
		if want := w.api.Records[sid].Updated(); !at[sid].Equal(want) || !first[sid].Before(want) || first[sid].IsZero() {
			t.Fatalf("%s was enabled at %s and then at %s, want %s", sid, first[sid], at[sid], want)
		}
	}

	file, err := os.Open(filepath.Join(w.path, old+journalSuffix))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	read := &counted{Reader: file}
	if !enabledIn(read, at) || read.n*4 > int(info.Size()) {
		t.Errorf("%d of %d bytes were read", read.n, info.Size())
	}
}

// TestEnabledAtOfWorkersInSeveralRuns: each worker has its latest date, also one that
// the latest run did not touch.
func TestEnabledAtOfWorkersInSeveralRuns(t *testing.T) {
	w := newSite(t, []string{`{"a":1}`, `{"a":2}`, `{"a":3}`})
	if _, err := w.enable(immortal(0), ""); err != nil {
		t.Fatal(err)
	}
	first := w.folder(immortal(0)).EnabledAt()
	w.api.Clock = w.api.Clock.Add(time.Hour)
	w.api.Set(1, `{"a":2}`)
	if _, err := w.enable(immortal(0), ""); err != nil {
		t.Fatal(err)
	}
	at := w.folder(immortal(0)).EnabledAt()
	if len(at) != 3 || !at[workerstest.SID(0)].Equal(first[workerstest.SID(0)]) || !at[workerstest.SID(1)].After(first[workerstest.SID(1)].Add(time.Minute)) {
		t.Errorf("they were enabled at %v, and before at %v", at, first)
	}
}
