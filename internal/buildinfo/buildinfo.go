// Package buildinfo knows which flexvc this is.
package buildinfo

// Version is set by the linker (see Makefile); a plain `go build` says "dev".
var Version = "dev"
