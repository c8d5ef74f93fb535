package planner

import (
	"math"
	"strconv"
	"time"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// takeHistory gives a demand the rate, and where asked the growth, of what was
// used. The rate is moved from the middle of that time to the horizon's start.
func (p *Problem) takeHistory(w *work) error {
	used, known := p.Portfolio.Used[w.Name]
	if !known {
		return fault.Newf(fault.Invalid, "demand %s is taken from the ledger's history, and none is given", w.Name)
	}
	demand := *w.Demand
	var rates []float64
	var middles []time.Time
	total, hours := 0.0, 0.0
	for _, s := range used.Slices {
		done, length := 0.0, s.To.Sub(s.From).Hours()
		for _, name := range sortedNames(s.ChipHours) {
			eta := w.etaOf(name)
			if eta == 0 && s.ChipHours[name] > 0 {
				return fault.Newf(fault.Invalid, "demand %s ran on %s by the ledger; give its throughput there", w.Name, name)
			}
			done += eta * s.ChipHours[name]
		}
		rates, middles = append(rates, done/length), append(middles, s.From.Add(s.To.Sub(s.From)/2))
		total, hours = total+done, hours+length
	}
	if total <= 0 {
		from, to := w.History.Window(p.Portfolio.AsOf.Time)
		return fault.Newf(fault.Invalid, "demand %s: the ledger has no use of it from %s to %s", w.Name, from.Format(time.DateOnly), to.Format(time.DateOnly))
	}
	demand.Rate = total / hours
	if growth, fits := trend(rates, middles); w.History.Trend && fits {
		demand.Growth = growth
	}
	first, last := used.Slices[0].From, used.Slices[len(used.Slices)-1].To
	if demand.Growth > 0 {
		demand.Rate *= math.Pow(demand.Growth, p.start.Sub(first.Add(last.Sub(first)/2)).Hours()/yearHours)
	}
	words := ""
	if demand.Growth > 0 {
		words = ", growing by the factor " + figures(demand.Growth) + " a year"
	}
	p.note("%s by the ledger from %s to %s: %s units of work an hour at the start%s", w.Name, first.Format(time.DateOnly), last.Format(time.DateOnly), figures(demand.Rate), words)
	w.Demand = &demand
	return nil
}

// etaOf is the throughput on a chip by any of its names.
func (w *work) etaOf(name string) float64 {
	if known, err := chip.Find(name); err == nil {
		name = known.ID
	}
	return w.eta[name]
}

// figures is a number to three figures, for people.
func figures(x float64) string {
	if x >= 1000 {
		return grouped(x)
	}
	return strconv.FormatFloat(x, 'g', 3, 64)
}

// trend fits exponential growth, as a yearly factor, to rates in time: least
// squares of their logarithms. Fewer than three rates, or one of nothing, show none.
func trend(rates []float64, at []time.Time) (yearly float64, fits bool) {
	const least = 3
	if len(rates) < least {
		return 0, false
	}
	n, sx, sy, sxx, sxy := float64(len(rates)), 0.0, 0.0, 0.0, 0.0
	for i, rate := range rates {
		if rate <= 0 {
			return 0, false
		}
		x, y := at[i].Sub(at[0]).Hours()/yearHours, math.Log(rate)
		sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	return math.Exp((n*sxy - sx*sy) / (n*sxx - sx*sx)), true
}
