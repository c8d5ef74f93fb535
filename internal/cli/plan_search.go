package cli

import (
	"fmt"
	"math"
	"time"

	"github.com/switchyard-ai/switchyard/internal/lp"
)

// search is how the gap to the bound fell while a plan was sought.
type search struct {
	started time.Time
	points  []searchPoint
}

type searchPoint struct {
	after time.Duration
	gap   float64
}

// note takes a report of the solver in; only a smaller gap is news.
func (s *search) note(p lp.Progress, at time.Time) {
	if math.IsInf(p.Gap, 0) || math.IsNaN(p.Gap) || len(s.points) > 0 && p.Gap >= s.points[len(s.points)-1].gap {
		return
	}
	s.points = append(s.points, searchPoint{at.Sub(s.started), p.Gap})
}

// chart draws the gap against the time, up to the end of the search.
func (s *search) chart(took time.Duration) chart {
	c := chart{
		title: "Gap against time", note: "How much less than the best plan so far any plan could still cost, from the first plan on.",
		format: func(v float64) string { return fmt.Sprintf("%.2f%%", v) },
	}
	gaps := series{name: "gap"}
	for i, p := range s.points {
		until := took
		if i+1 < len(s.points) {
			until = s.points[i+1].after
		}
		c.labels = append(c.labels, fmt.Sprintf("%.1f s", p.after.Seconds()))
		c.widths = append(c.widths, math.Max((until-p.after).Seconds(), 1e-3))
		gaps.values = append(gaps.values, 100*p.gap)
	}
	c.bars = []series{gaps}
	return c
}
