package workers

import (
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Summary is a run in a list.
type Summary struct {
	Header
	Tally Tally
	Ended bool
}

// Runs yields the folder's runs, the latest first. A journal that cannot be
// read is yielded with its error and its name alone.
func (f Folder) Runs() iter.Seq2[Summary, error] {
	return func(yield func(Summary, error) bool) {
		names, _ := filepath.Glob(filepath.Join(f.Path, strings.Repeat("?", idDigits)+journalSuffix))
		slices.Sort(names)
		for _, path := range slices.Backward(names) {
			s, err := f.summary(path)
			if !yield(s, err) {
				return
			}
		}
	}
}

// summary reads a journal's first and last line only, if the run has ended.
func (f Folder) summary(path string) (Summary, error) {
	id := strings.TrimSuffix(filepath.Base(path), journalSuffix)
	unknown := Summary{Header: Header{ID: id}}
	first, last, err := ends(path)
	if err != nil {
		return unknown, err
	}
	if first.Run != nil && last.Kind == kindEnd && last.Tally != nil {
		return Summary{Header: *first.Run, Tally: *last.Tally, Ended: true}, nil
	}
	run, err := f.Load(id)
	if err != nil {
		return unknown, err
	}
	defer run.Close()
	return Summary{Header: run.Header, Tally: run.Tally(), Ended: run.Ended}, nil
}

// enablingRuns is how many runs EnabledAt looks at: each is read whole.
const enablingRuns = 20

// EnabledAt returns when each worker was enabled, as far as the latest runs
// here know. Journals that cannot be read are passed over.
func (f Folder) EnabledAt() map[string]time.Time {
	at := map[string]time.Time{}
	looked := 0
	for s, err := range f.Runs() {
		if err != nil || s.Edit == nil || !s.Edit.Enable {
			continue
		}
		if looked++; looked > enablingRuns {
			break
		}
		run, err := f.Load(s.ID)
		if err != nil {
			continue
		}
		for _, it := range run.items {
			if it.status == Changed {
				at[it.sid] = latest(at[it.sid], it.updated)
			}
		}
		_ = run.Close()
	}
	return at
}
