package tui

import (
	"fmt"
	"testing"

	"github.com/flexvc/flexvc/internal/provision"
)

// BenchmarkKeys is the cost of a key press up to the text of the frame, on the
// largest workspace there can be.
func BenchmarkKeys(b *testing.B) {
	m := screen(160, 50, true)
	var rows []provision.Row
	for i := range 15000 {
		rows = append(rows, row(100+i, fmt.Sprintf("agent%05d@contact.example.com", i*7919%15000), "Available",
			"client:ext_x", provision.Enabled, provision.StateOK, "12:00:00"))
	}
	m.Update(updateMsg{Rows: rows, Status: live()})
	for _, key := range []string{"j", "G", "s"} {
		b.Run(key, func(b *testing.B) {
			for b.Loop() {
				press(m, key)
				_ = m.screen()
			}
		})
	}
}
