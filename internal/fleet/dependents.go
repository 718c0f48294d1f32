package fleet

import (
	"context"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
)

// Dependents are the workers whose calls depend on the plugin: only it registers
// the extension and keeps the contact URI.
type Dependents struct {
	Enabled int // the flag is set, wherever calls ring now
	Stale   int // the flag is not set, but the contact URI leads to the extension
}

// None reports whether the plugin can go.
func (d Dependents) None() bool { return d.Enabled == 0 && d.Stale == 0 }

// CountDependents reads every worker once. A worker whose attributes are not an
// object counts as none: flexvc cannot have enabled it.
func CountDependents(ctx context.Context, api Roster, rules Rules, now func() time.Time) (Dependents, error) {
	facts := map[string]Facts{}
	w := NewWatcher(api, Options{Rules: rules, Interval: time.Hour, Once: true, Now: now})
	err := w.Follow(ctx, func(u Update) {
		for _, row := range u.Rows {
			facts[row.SID] = row.Facts
		}
		for _, sid := range u.Gone {
			delete(facts, sid)
		}
	})
	var d Dependents
	for _, f := range facts {
		switch {
		case f.Flag == attributes.Enabled:
			d.Enabled++
		case rules.OnExtension(f):
			d.Stale++
		}
	}
	return d, err
}
