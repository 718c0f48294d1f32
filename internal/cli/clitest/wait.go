package clitest

import (
	"testing"
	"time"
)

// Patience is how long a test waits for what must happen. It ends no test that
// is merely slow.
const Patience = 60 * time.Second

// Eventually waits for a condition that nothing announces.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(Patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
