package main

import "os"

// peakMemory is 0: Windows tells it of processes that still run only.
func peakMemory(*os.ProcessState) int64 { return 0 }
