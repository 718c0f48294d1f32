package workers

import (
	"slices"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/durable"
)

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
