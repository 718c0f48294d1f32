package emulator_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/emulatortest"
)

// benchmarkStores runs f on 10,000 workers, in memory and on disk.
func benchmarkStores(b *testing.B, f func(*testing.B, *emulatortest.Client)) {
	for _, store := range []string{"memory", "disk"} {
		b.Run(store, func(b *testing.B) {
			opts := emulator.Options{Agents: 10_000, Limits: emulator.Limits{ExpressionPerSecond: -1}}
			if store == "disk" {
				opts.DataDir = b.TempDir()
			}
			e := emulatortest.Start(b, opts)
			c := emulatortest.As(b, e)
			c.Transport = e.Transport()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ResetTimer()
			f(b, c)
			b.ReportMetric(float64(m.HeapInuse)/(1<<20), "MB-heap")
		})
	}
}

func BenchmarkFetchAndUpdate(b *testing.B) {
	benchmarkStores(b, func(b *testing.B, c *emulatortest.Client) {
		all := c.E.ExportWorkers()
		for n := 0; b.Loop(); n++ {
			wk := c.Workspace() + "/Workers/" + all[n%len(all)].SID
			etag := c.Get(wk).Want(b, 200).Header.Get("ETag")
			c.Post(wk, []string{"Attributes", fmt.Sprintf(`{"n":%d}`, n)}, "If-Match", etag).Want(b, 200)
		}
		b.ReportMetric(2*float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	})
}

func BenchmarkListOfThousand(b *testing.B) {
	benchmarkStores(b, func(b *testing.B, c *emulatortest.Client) {
		for b.Loop() {
			c.Get(c.Workspace()+"/Workers?PageSize=1000").Want(b, 200)
		}
	})
}

func BenchmarkExpressionOverAll(b *testing.B) {
	benchmarkStores(b, func(b *testing.B, c *emulatortest.Client) {
		for b.Loop() {
			c.Get(c.Workspace()+"/Workers?PageSize=1000&TargetWorkersExpression=extensionVoiceClientEnabled+%3D%3D+true").Want(b, 200)
		}
	})
}
