package emulator_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/flexvc/flexvc/internal/emulator"
)

// benchmarkStores runs f on 10,000 workers, in memory and on disk.
func benchmarkStores(b *testing.B, f func(*testing.B, *client)) {
	for _, store := range []string{"memory", "disk"} {
		b.Run(store, func(b *testing.B) {
			opts := emulator.Options{Agents: 10_000, Limits: emulator.Limits{ExpressionPerSecond: -1}}
			if store == "disk" {
				opts.DataDir = b.TempDir()
			}
			e := start(b, opts)
			c := as(b, e)
			c.transport = e.Transport()
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
	benchmarkStores(b, func(b *testing.B, c *client) {
		all := c.e.ExportWorkers()
		for n := 0; b.Loop(); n++ {
			wk := c.workspace() + "/Workers/" + all[n%len(all)].SID
			etag := c.get(wk).want(b, 200).Header.Get("ETag")
			c.post(wk, []string{"Attributes", fmt.Sprintf(`{"n":%d}`, n)}, "If-Match", etag).want(b, 200)
		}
		b.ReportMetric(2*float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	})
}

func BenchmarkListOfThousand(b *testing.B) {
	benchmarkStores(b, func(b *testing.B, c *client) {
		for b.Loop() {
			c.get(c.workspace()+"/Workers?PageSize=1000").want(b, 200)
		}
	})
}

func BenchmarkExpressionOverAll(b *testing.B) {
	benchmarkStores(b, func(b *testing.B, c *client) {
		for b.Loop() {
			c.get(c.workspace()+"/Workers?PageSize=1000&TargetWorkersExpression=extensionVoiceClientEnabled+%3D%3D+true").want(b, 200)
		}
	})
}
