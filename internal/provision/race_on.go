//go:build race

package provision

// raced tells whether the race detector is on: it makes some tests too slow.
const raced = true
