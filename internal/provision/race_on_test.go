//go:build race

package provision

const raced = true
