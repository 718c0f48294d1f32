package tokenlog

import (
	"fmt"
	"testing"
	"time"
)

func TestFind(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	r := New("ext_", start)
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	r.Add(Entry{Time: at(1), Identity: "ext_alice", Worker: "WK1", Reason: "role-missing"})
	r.Add(Entry{Time: at(2), Identity: "ext_bob"})
	r.Add(Entry{Time: at(3), Reason: "malformed-token"})
	r.Add(Entry{Time: at(4), Identity: "ext_alice", Worker: "WK1"})
	count := func(want int, names ...string) {
		t.Helper()
		if got := r.Find(names, 100); len(got.Entries) != want || !got.Since.Equal(start) {
			t.Errorf("%q: %+v", names, got)
		}
	}
	count(2) // refusals
	count(2, "alice")
	count(2, "ext_alice")
	count(2, "WK1")
	count(1, "nobody", "bob")
	count(0, "")
	if got := r.Find([]string{"alice"}, 1).Entries; len(got) != 1 || got[0].Time != at(4) {
		t.Errorf("the latest of one is %+v", got)
	}
}

// However many strangers ask, agents are remembered, and memory has an end.
func TestRingIsBounded(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	r := New("ext_", start)
	r.Add(Entry{Time: start, Identity: "ext_alice", Reason: "role-missing"})
	for range 100_000 {
		r.Add(Entry{Time: start, Reason: "malformed-token"})
	}
	if len(r.Find([]string{"alice"}, 10).Entries) != 1 {
		t.Error("a flood of strangers pushed an agent out")
	}
	for n := range namedKept {
		r.Add(Entry{Time: start.Add(time.Duration(n) * time.Second), Identity: fmt.Sprint("ext_", n)})
	}
	if got := r.Find([]string{"alice"}, 10); len(got.Entries) != 0 || !got.Since.Equal(start) {
		t.Errorf("beyond its size it remembers %+v", got)
	}
	if len(r.named.entries) != namedKept || len(r.unnamed.entries) != unnamedKept {
		t.Errorf("%d and %d entries", len(r.named.entries), len(r.unnamed.entries))
	}
}
