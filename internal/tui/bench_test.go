package tui

import (
	"fmt"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/fleet"
)

// BenchmarkKeys is the cost of a key press up to the text of the frame, on the
// largest workspace there can be.
func BenchmarkKeys(b *testing.B) {
	m := screen(160, 50, true)
	states := fleet.States()
	var rows []fleet.Row
	for i := range 15000 {
		r := row(100+i, fmt.Sprintf("agent%05d@contact.example.com", i*7919%15000), fmt.Sprint("Activity ", i*6007%50),
			"client:ext_x", attributes.Enabled, states[i*4001%15000%len(states)], "12:00:00")
		r.Since = r.Since.Add(time.Duration(i*3011%15000) * time.Second)
		rows = append(rows, r)
	}
	m.Update(updateMsg{Rows: rows, Status: live()})
	press(m, "j")
	for _, key := range []string{"j", "G", "s"} {
		b.Run(key, func(b *testing.B) {
			for b.Loop() {
				press(m, key)
				_ = m.screen()
			}
		})
	}
	for m.sort = range orders {
		b.Run(m.sort.String(), func(b *testing.B) {
			for b.Loop() {
				names := m.sorted[byName]
				m.sorted = [orders][]*item{byName: names}
				m.arrange()
			}
		})
	}
}
