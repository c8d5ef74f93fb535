//go:build unix

package planner_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/planner"
)

var sizeOut = flag.String("planner.size", "", "plan the large portfolios and write gap against time to this file")

// TestPlannerSize plans portfolios of the size of a large lab's and writes how
// the gap falls with time. It is run by `make bench-planner-size`.
func TestPlannerSize(t *testing.T) {
	if *sizeOut == "" {
		t.Skip("run by make bench-planner-size")
	}
	var out strings.Builder
	for _, c := range []struct {
		name   string
		b      buyer
		target float64
	}{
		{"one scenario, 84 months, 60 offers, 10 classes", buyer{seed: 1, months: 84, classes: 10, offers: 60, contracts: 8, scenarios: 1}, 0.01},
		{"ten scenarios, 24 months and 20 quarters, 300 offers, 30 classes, 20 contracts", buyer{seed: 2, months: 24, quarters: 20, classes: 30, offers: 300, contracts: 20, scenarios: 10}, 0.03},
	} {
		fmt.Fprintf(&out, "%s\n", c.name)
		started, before := time.Now(), worked()
		last := ""
		progress := func(p lp.Progress) {
			if line := fmt.Sprintf("gap %.2f%%", 100*p.Gap); line != last {
				fmt.Fprintf(&out, "  %6.1f s  %6.1f s of CPU  %s\n", time.Since(started).Seconds(), worked()-before, line)
				last = line
			}
		}
		made, err := planner.Solve(t.Context(), solver(t), problem(t, c.b.yaml()), planner.Options{Gap: c.target, TimeLimit: 5 * time.Minute, Progress: progress, Each: atOnce})
		if err != nil {
			fmt.Fprintf(&out, "  %6.1f s  %v\n", time.Since(started).Seconds(), err)
			continue
		}
		fmt.Fprintf(&out, "  %6.1f s  %6.1f s of CPU  plan written: gap %.2f%%, billing differs by %+.3f%%; one future has %d columns and %d rows; %s\n\n",
			time.Since(started).Seconds(), worked()-before, 100*made.Quality.Gap, 100*made.Quality.Difference, made.Quality.Variables, made.Quality.Rows, peak())
		if err := os.WriteFile(*sizeOut, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(*sizeOut, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// atOnce works on two futures at a time, as yard does.
func atOnce(n int, do func(i int) error) error {
	var group errgroup.Group
	group.SetLimit(2)
	for i := range n {
		group.Go(func() error { return do(i) })
	}
	return group.Wait()
}

// worked is the seconds of CPU that this process has used: what a machine that
// others use too can be compared by.
func worked() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}

// peak is the most memory that this process held, where the system tells.
func peak() string {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "memory not known here"
	}
	for _, line := range strings.Split(string(data), "\n") {
		if value, found := strings.CutPrefix(line, "VmHWM:"); found {
			return strings.Join(strings.Fields(value), " ") + " at most in memory"
		}
	}
	return "memory not known here"
}
