package scheduler

import (
	"cmp"
	"slices"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// What makes a rank slow. Stragglers that matter cost a fifth of a step and
// more; machines that do nothing else differ by a few hundredths.
const (
	// slowPoints is how many points of a rank are needed to judge it: each is a
	// mean over a second or more.
	slowPoints = 8
	// slowFactor is how much slower than the others a rank must be, and keepUp
	// below which it keeps up again.
	slowFactor, keepUpFactor = 1.3, 1.15
	// slowSpread is by how many of the others' own spreads it must stand out
	// besides, where they differ from each other; keepUpSpread likewise.
	slowSpread, keepUpSpread = 5, 2.5
	// slowShare is the share of its points that must be as slow.
	slowShare = 0.75
	// normalMAD makes a median of deviations the standard deviation of normal
	// figures: 1/Φ⁻¹(3/4).
	normalMAD = 1.4826
)

// leastSlow is the seconds of a step below which no rank is slow: a report
// itself takes as long.
const leastSlow = 1e-3

// SlowRanks judges the ranks of a gang by their paces, whatever their order:
// who is slow now, and who was, by number. before is what it said last; a rank
// of which too little is known stays what it was.
//
// A rank is slow when its median is above that of all by slowFactor and by
// slowSpread, and so are most of its points; it is slow until it comes close to
// the others again. More than half of the ranks never become slow, nor does one
// whose steps are below leastSlow.
func SlowRanks(paces []fleet.Pace, before []fleet.SlowRank, now time.Time) []fleet.SlowRank {
	after := slices.Clone(before)
	measure, judged := alike(paces)
	if len(judged) < 2 {
		return after
	}
	usual := usualOf(judged)
	var others []float64
	is := make([]bool, len(judged))
	for i, r := range judged {
		was := slices.ContainsFunc(before, func(s fleet.SlowRank) bool { return s.Rank == r.pace.Rank && s.IsSlow() })
		if is[i] = r.median >= leastSlow && usual.slow(r, was); !is[i] {
			others = append(others, r.median)
		}
	}
	middle := median(others)
	for i, r := range judged {
		after = turn(after, fleet.SlowRank{
			Rank: r.pace.Rank, Node: r.pace.Node, Measure: measure, Seconds: r.median, Others: middle,
		}, is[i], now)
	}
	slices.SortFunc(after, func(a, b fleet.SlowRank) int { return cmp.Compare(a.Rank, b.Rank) })
	return after
}

// turn makes what is known of one rank what it is now; a rank that never was
// slow is not kept.
func turn(ranks []fleet.SlowRank, now fleet.SlowRank, slow bool, at time.Time) []fleet.SlowRank {
	i := slices.IndexFunc(ranks, func(s fleet.SlowRank) bool { return s.Rank == now.Rank })
	switch {
	case i < 0 && !slow:
	case i < 0:
		now.Since, now.Spells = at, 1
		return append(ranks, now)
	case ranks[i].IsSlow() && slow:
		now.Since, now.Spells = ranks[i].Since, ranks[i].Spells
		ranks[i] = now
	case ranks[i].IsSlow():
		now.Since, now.Spells, now.Until = ranks[i].Since, ranks[i].Spells, at
		ranks[i] = now
	case slow:
		now.Since, now.Spells = at, ranks[i].Spells+1
		ranks[i] = now
	}
	return ranks
}

// judgedRank is a rank of which enough is known.
type judgedRank struct {
	pace   fleet.Pace
	points []float64
	median float64
}

// alike are the ranks that can be compared, and by what: by their own work
// where as many tell of it as of their steps, else by their steps.
func alike(paces []fleet.Pace) (fleet.PaceMeasure, []judgedRank) {
	byStep := enoughOf(paces, func(p fleet.Pace) []float64 { return p.Seconds })
	byWork := enoughOf(paces, func(p fleet.Pace) []float64 { return p.Compute })
	if len(byWork) >= len(byStep) {
		return fleet.MeasureCompute, byWork
	}
	return fleet.MeasureStep, byStep
}

func enoughOf(paces []fleet.Pace, of func(fleet.Pace) []float64) []judgedRank {
	var enough []judgedRank
	for _, pace := range paces {
		if points := of(pace); len(points) >= slowPoints {
			enough = append(enough, judgedRank{pace, points, median(points)})
		}
	}
	return enough
}

// usualPace is how fast most ranks go.
type usualPace struct{ median, spread float64 }

// usualOf takes the lower median of all, and the spread of those below it: half
// of the ranks may be slow, and neither knows.
func usualOf(all []judgedRank) usualPace {
	medians := make([]float64, len(all))
	for i, r := range all {
		medians[i] = r.median
	}
	slices.Sort(medians)
	lower := medians[:(len(medians)+1)/2]
	middle := lower[len(lower)-1]
	off := make([]float64, len(lower))
	for i, m := range lower {
		off[i] = middle - m
	}
	return usualPace{middle, normalMAD * median(off)}
}

// slow reports whether the rank is slow, one that was being harder to clear.
func (u usualPace) slow(r judgedRank, was bool) bool {
	if u.median <= 0 {
		return false
	}
	if was {
		return r.median > max(keepUpFactor*u.median, u.median+keepUpSpread*u.spread)
	}
	bound := max(slowFactor*u.median, u.median+slowSpread*u.spread)
	above := 0
	for _, point := range r.points {
		if point > bound {
			above++
		}
	}
	return r.median > bound && float64(above) >= slowShare*float64(len(r.points))
}

// median of figures, at least one.
func median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	n := len(sorted)
	return sorted[(n-1)/2]/2 + sorted[n/2]/2
}
