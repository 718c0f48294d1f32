//go:build race

package workerstest

// Raced tells whether the race detector is on: it makes some tests too slow.
const Raced = true
