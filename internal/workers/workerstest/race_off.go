//go:build !race

package workerstest

const Raced = false
