//go:build unix

package local_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/enginetest"
)

// BenchmarkStart is the time from Start to the first rank's command having
// begun, as its own process with its record on disk.
func BenchmarkStart(b *testing.B) {
	e := open(b.TempDir())
	for n := 0; b.Loop(); n++ {
		key := fmt.Sprintf("gang-%d", n)
		if err := e.Start(b.Context(), enginetest.Shell(key, 1, "true")); err != nil {
			b.Fatal(err)
		}
		await(b, e, key, func(s engine.Status) bool { return s.State != engine.Starting })
		b.StopTimer()
		await(b, e, key, func(s engine.Status) bool { return s.State == engine.Exited })
		b.StartTimer()
	}
}

// BenchmarkLog is how fast a rank's output of lines of 40 bytes moves through
// the shim into its bounded log.
func BenchmarkLog(b *testing.B) {
	const lines = 2_000_000
	e := open(b.TempDir())
	for n := 0; b.Loop(); n++ {
		key := fmt.Sprintf("gang-%d", n)
		script := fmt.Sprintf("yes 'the quick brown fox jumps over the dogs' | head -n %d", lines)
		if err := e.Start(b.Context(), enginetest.Shell(key, 1, script)); err != nil {
			b.Fatal(err)
		}
		await(b, e, key, func(s engine.Status) bool { return s.State == engine.Exited })
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

func await(b *testing.B, e engine.Engine, key string, done func(engine.Status) bool) {
	b.Helper()
	for {
		status, err := e.Observe(b.Context(), key)
		if err != nil {
			b.Fatal(err)
		}
		if done(status) {
			return
		}
		time.Sleep(200 * time.Microsecond)
	}
}
