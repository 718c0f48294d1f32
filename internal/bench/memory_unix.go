//go:build !windows

package main

import (
	"os"
	"syscall"
)

// peakMemory is the most memory an ended process had: kB on Linux, bytes on
// macOS, 0 where the system does not tell.
func peakMemory(p *os.ProcessState) int64 {
	if usage, ok := p.SysUsage().(*syscall.Rusage); ok {
		return int64(usage.Maxrss)
	}
	return 0
}
