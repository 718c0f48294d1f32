// Package buildinfo knows which flexvc this is. It imports nothing, so that anybody
// may ask.
package buildinfo

// Version is set by the linker (see Makefile); a plain `go build` says "dev".
var Version = "dev"
