package tui

import (
	"cmp"
	"maps"
	"slices"
)

// arrange filters and sorts anew, and keeps the cursor on its worker.
func (m *model) arrange() {
	m.shown = append(m.shown[:0], m.inOrder(m.sort)...)
	if len(m.filter.terms) > 0 {
		m.shown = slices.DeleteFunc(m.shown, func(it *item) bool { return !m.filter.Match(it.Row) })
	}
	if under := m.items[m.cursor]; under != nil && (m.at > 0 || m.detail) {
		if at := slices.Index(m.shown, under); at >= 0 {
			m.at = at
		}
	}
	// Otherwise a cursor on the first row stays there: that is where the worst is.
	m.to(m.at)
}

// inOrder returns all items in an order. Only that by name compares item with
// item, which for 15,000 of them takes several milliseconds; it is needed anew
// when workers come, go or are renamed.
func (m *model) inOrder(o order) []*item {
	if m.sorted[o] == nil {
		switch o {
		case byState:
			m.sorted[o] = grouped(m.inOrder(byName), func(it *item) int { return it.severity })
		case byName:
			m.sorted[o] = slices.SortedFunc(maps.Values(m.items), byNameAndSID)
		case byActivity:
			places := make([]int, len(m.activities))
			for place, name := range slices.Sorted(maps.Keys(m.activities)) {
				places[m.activities[name]] = place
			}
			m.sorted[o] = grouped(m.inOrder(byName), func(it *item) int { return places[it.activity] })
		case bySince:
			m.sorted[o] = latestFirst(m.inOrder(byName))
		}
	}
	return m.sorted[o]
}

// grouped returns the items by group, those of a group in the order they had.
func grouped(items []*item, group func(*item) int) []*item {
	var next []int // place of each group's next item
	for _, it := range items {
		for g := group(it); g >= len(next); {
			next = append(next, 0)
		}
		next[group(it)]++
	}
	place := 0
	for g, n := range next {
		next[g] = place
		place += n
	}
	out := make([]*item, len(items))
	for _, it := range items {
		g := group(it)
		out[next[g]] = it
		next[g]++
	}
	return out
}

// latestFirst returns the items by time, those of the same in the order they
// had. The time and the place are one number, which is compared in no time.
func latestFirst(items []*item) []*item {
	const (
		places = 20        // bits, for a million rows
		last   = 1<<44 - 1 // in the year 2527
	)
	keys := make([]uint64, len(items))
	for i, it := range items {
		keys[i] = uint64(last-max(0, min(it.since, last)))<<places | uint64(i)
	}
	slices.Sort(keys)
	out := make([]*item, len(items))
	for i, key := range keys {
		out[i] = items[key&(1<<places-1)]
	}
	return out
}

// order is how the rows are sorted.
type order int

const (
	byState order = iota
	byName
	byActivity
	bySince
	orders
)

func (o order) String() string {
	return [...]string{"state, worst first", "worker", "activity", "since, latest first"}[o]
}

func byNameAndSID(a, b *item) int {
	if first := cmp.Compare(a.Name, b.Name); first != 0 {
		return first
	}
	return cmp.Compare(a.SID, b.SID)
}
