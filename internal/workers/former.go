package workers

import (
	"slices"

	"github.com/flexvc/flexvc/internal/attributes"
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
