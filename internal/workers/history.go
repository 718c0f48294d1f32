package workers

import (
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/durable"
)

// Summary is a run in a list.
type Summary struct {
	Header
	Tally   Tally
	Ended   bool
	Damaged int // lines of the journal that cannot be read, as far as it was read
}

// Runs yields the folder's runs, the latest first. A journal that cannot be
// read is yielded with its error and its name alone.
func (f Folder) Runs() iter.Seq2[Summary, error] {
	return func(yield func(Summary, error) bool) {
		for _, id := range f.ids() {
			s, err := f.summary(f.journalPath(id))
			if !yield(s, err) {
				return
			}
		}
	}
}

// ids are the names of the folder's runs, the latest first.
func (f Folder) ids() []string {
	ids := f.files(func(name string) bool {
		id, ok := strings.CutSuffix(name, journalSuffix)
		return ok && len(id) == idDigits
	})
	slices.Reverse(ids)
	for i, name := range ids {
		ids[i] = strings.TrimSuffix(name, journalSuffix)
	}
	return ids
}

// files returns the names of the folder's files that is selects, in order. A
// folder's own name is never a pattern: with filepath.Glob one that holds a "["
// hid all its runs.
func (f Folder) files(is func(name string) bool) []string {
	var names []string
	entries, _ := os.ReadDir(f.Path) // one that is not there has none
	for _, e := range entries {
		if is(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
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
	return Summary{Header: run.Header, Tally: run.Tally(), Ended: run.Ended, Damaged: len(run.Damage)}, nil
}

// FormerFlags returns what the flag of each worker was before the first run here
// that changed it. Journals that cannot be read are passed over.
func (f Folder) FormerFlags() map[string]attributes.Flag {
	former := map[string]attributes.Flag{}
	var ids []string
	for s, err := range f.Runs() {
		if err == nil {
			ids = append(ids, s.ID)
		}
	}
	for _, id := range slices.Backward(ids) { // oldest first
		run, err := f.Load(id)
		if err != nil {
			continue
		}
		for _, it := range run.items {
			if _, known := former[it.sid]; known || it.effective.size == 0 {
				continue
			}
			if pairs, err := run.written(it.sid); err == nil && len(pairs) > 0 {
				flag, _ := attributes.Inspect(&pairs[len(pairs)-1].before)
				former[it.sid] = flag
			}
		}
		_ = run.Close()
	}
	return former
}

// OlderThan returns the runs that began before the time and came to their end. One
// that an unfinished run rolls back is still needed, and left out.
func (f Folder) OlderThan(before time.Time) []Summary {
	var old []Summary
	needed := map[string]bool{}
	for s, err := range f.Runs() {
		switch {
		case err != nil:
		case !s.Ended:
			needed[s.Of] = true
		case s.Started.Before(before):
			old = append(old, s)
		}
	}
	return slices.DeleteFunc(old, func(s Summary) bool { return needed[s.ID] })
}

// Remove deletes a run's journal. The run can then be neither shown nor rolled
// back.
func (f Folder) Remove(id string) error {
	if err := durable.Remove(f.journalPath(id)); err != nil {
		return unwritable(f.journalPath(id), err)
	}
	return nil
}
