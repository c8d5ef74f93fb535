//go:build unix

package planner_test

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
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
	var curves []gapCurve
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
		curve := gapCurve{name: c.name}
		progress := func(p lp.Progress) {
			if line := fmt.Sprintf("gap %.2f%%", 100*p.Gap); line != last {
				fmt.Fprintf(&out, "  %6.1f s  %6.1f s of CPU  %s\n", time.Since(started).Seconds(), worked()-before, line)
				last = line
			}
			if !math.IsInf(p.Gap, 0) {
				curve.points = append(curve.points, [2]float64{time.Since(started).Seconds(), 100 * p.Gap})
			}
		}
		made, err := planner.Solve(t.Context(), solver(t), problem(t, c.b.yaml()), planner.Options{Gap: c.target, TimeLimit: 5 * time.Minute, Progress: progress, Each: atOnce})
		if err != nil {
			fmt.Fprintf(&out, "  %6.1f s  %v\n", time.Since(started).Seconds(), err)
			continue
		}
		fmt.Fprintf(&out, "  %6.1f s  %6.1f s of CPU  plan written: gap %.2f%%, billing differs by %+.3f%%; one future has %d columns and %d rows; %s\n\n",
			time.Since(started).Seconds(), worked()-before, 100*made.Quality.Gap, 100*made.Quality.Difference, made.Quality.Variables, made.Quality.Rows, peak())
		curve.end = time.Since(started).Seconds()
		curves = append(curves, curve)
	}
	out.WriteString(replans(t))
	picture := filepath.Join(filepath.Dir(*sizeOut), "planner-gap.svg")
	if err := errors.Join(os.WriteFile(*sizeOut, []byte(out.String()), 0o644), os.WriteFile(picture, []byte(gapPicture(curves)), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// replans measures what a plan of three months ago saves once prices moved: the
// CPU time from the start of the search to a plan within the gap.
func replans(t *testing.T) string {
	const target = 0.003
	var out strings.Builder
	fmt.Fprintf(&out, "planned again after aws became 4%% dearer, to %.1f%%: CPU until a plan is proved to be so close\n", 100*target)
	var fresh, again []float64
	for seed := range uint64(5) {
		b := buyer{seed: 100 + seed, months: 12, classes: 3, offers: 9, contracts: 6, scenarios: 10}
		before, err := planner.Solve(t.Context(), solver(t), problem(t, b.yaml()), planner.Options{Gap: target})
		if err != nil {
			t.Fatal(err)
		}
		b.dearer = 1.04
		p := problem(t, b.yaml())
		until := func(start *plan.FirstStage) float64 {
			started, reached := worked(), 0.0
			made, err := planner.Solve(t.Context(), solver(t), p, planner.Options{Gap: target, Start: start, Progress: func(at lp.Progress) {
				if at.Gap <= target && reached == 0 {
					reached = worked() - started
				}
			}})
			if err != nil || made.Quality.Gap > target || reached == 0 {
				t.Fatal(err, made.Quality.Gap, reached)
			}
			return reached
		}
		one, two := until(nil), until(&before.Choice)
		fresh, again = append(fresh, one), append(again, two/one)
		fmt.Fprintf(&out, "  buyer %d: %5.2f s from nothing, %5.2f s from the last plan\n", b.seed, one, two)
	}
	slices.Sort(fresh)
	slices.Sort(again)
	fmt.Fprintf(&out, "  median: %.2f s from nothing, %.0f%% of it from the last plan\n", fresh[len(fresh)/2], 100*again[len(again)/2])
	return out.String()
}

// gapCurve is how the gap, in percent, fell with time, in seconds.
type gapCurve struct {
	name   string
	points [][2]float64
	end    float64
}

// gapPicture draws gap against time; gaps beyond ten percent at its upper edge.
func gapPicture(curves []gapCurve) string {
	const width, height, left, bottom, top = 860.0, 300.0, 60.0, 40.0, 10.0
	const most = 10.0 // percent
	longest := 1.0
	for _, c := range curves {
		longest = math.Max(longest, c.end)
	}
	x := func(seconds float64) float64 { return left + (width-left-20)*seconds/longest }
	y := func(gap float64) float64 { return height - bottom - (height-bottom-top)*math.Min(gap, most)/most }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="12"><rect width="100%%" height="100%%" fill="#fff"/>`+"\n", width, height)
	for gap := 0.0; gap <= most; gap += 2 {
		fmt.Fprintf(&b, `<line x1="%g" x2="%g" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%g" y="%.1f" text-anchor="end">%g%%</text>`+"\n", left, width-20, y(gap), y(gap), left-6, y(gap)+4, gap)
	}
	for k := range 6 {
		seconds := longest * float64(k) / 5
		fmt.Fprintf(&b, `<text x="%.1f" y="%g" text-anchor="middle">%.0f s</text>`+"\n", x(seconds), height-bottom+18, seconds)
	}
	for i, c := range curves {
		colour := []string{"#0072b2", "#d55e00", "#009e73"}[i%3]
		var path strings.Builder
		for k, p := range c.points {
			if k == 0 {
				fmt.Fprintf(&path, "M%.1f %.1f", x(p[0]), y(p[1]))
			} else {
				fmt.Fprintf(&path, " H%.1f V%.1f", x(p[0]), y(p[1]))
			}
		}
		if len(c.points) > 0 {
			fmt.Fprintf(&path, " H%.1f", x(c.end))
		}
		fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%g" y="%g" fill="%s">%s</text>`+"\n", path.String(), colour, left+120, top+22+18*float64(i), colour, c.name)
	}
	b.WriteString("</svg>\n")
	return b.String()
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
