package planner

import (
	"math"
	"time"

	"github.com/switchyard-ai/switchyard/internal/plan"
)

// follow is what a first stage does in a future: of a scenario what is decided
// for it, and of any other what is decided for the nearest one (see nearest).
func (p *Problem) follow(first *plan.FirstStage, f *future) policy {
	if first == nil {
		return nil
	}
	if len(first.Branches) == 0 {
		return policyOf(first, nil)
	}
	for s := range p.futures {
		if p.futures[s].name == f.name {
			return policy{pathOf(first, f.name)}
		}
	}
	return policy{pathOf(first, p.futures[p.nearest(f)].name)}
}

// nearest is the scenario that a future is taken for by whoever sees only what
// has happened so far: on each day on which scenarios part, of those that are
// still possible the one whose figures of the time before were closest, and with
// it all that cannot be told from it yet.
func (p *Problem) nearest(f *future) int {
	possible := make([]int, len(p.futures))
	for s := range possible {
		possible[s] = s
	}
	for _, day := range revealed(p.futures) {
		closest, least := possible[0], inf
		for _, s := range possible {
			if apart := p.apart(f, &p.futures[s], p.periodsBefore(day)); apart < least {
				closest, least = s, apart
			}
		}
		key := p.futures[closest].seenBy(day)
		var left []int
		for _, s := range possible {
			if p.futures[s].seenBy(day) == key {
				left = append(left, s)
			}
		}
		possible = left
	}
	return possible[0]
}

// periodsBefore counts the periods that have begun before a day, at least one.
func (p *Problem) periodsBefore(day time.Time) int {
	n := 0
	for n < len(p.Periods) && p.Periods[n].From.Before(day) {
		n++
	}
	return max(n, 1)
}

// apart is how far two futures are from each other in their first periods: the
// mean of |ln of the ratio| over demand (each by what it costs to serve), over
// prices, over capacity, over throughput and over revenue, summed. So a tenth more
// demand counts as much as a tenth on all prices.
func (p *Problem) apart(a, b *future, periods int) float64 {
	sum := 0.0
	for t := range periods {
		sum += p.demandApart(a, b, t) + p.offersApart(a, b, t) + p.throughputApart(a, b, t) + logRatio(a.income[t], b.income[t])
	}
	for d := range p.deals {
		if (a.terms[d] == nil) != (b.terms[d] == nil) {
			sum += float64(periods) / float64(len(p.deals))
		}
	}
	return sum / float64(periods)
}

// logRatio is |ln a/b|; 1 where only one of them is nothing.
func logRatio(a, b float64) float64 {
	switch {
	case a == b: // infinite capacities too
		return 0
	case a <= 0 || b <= 0 || math.IsInf(a, 0) || math.IsInf(b, 0):
		return 1
	}
	return math.Abs(math.Log(a / b))
}

func (p *Problem) demandApart(a, b *future, t int) float64 {
	sum, all := 0.0, 0.0
	for w, work := range p.works {
		one, other, size := a.demand[w][t], b.demand[w][t], b.demand[w][t]
		if work.Total > 0 {
			of := func(f *future) float64 { return work.Total * p.totalFactor(work, f) }
			one, other, size = of(a), of(b), of(b)/p.end.Sub(p.start).Hours()
		}
		cost := size * p.cheapest(w)
		sum, all = sum+cost*logRatio(one, other), all+cost
	}
	if all == 0 {
		return 0
	}
	return sum / all
}

// totalFactor is what a future's effects make of a programme's total.
func (p *Problem) totalFactor(w work, f *future) float64 {
	return product(f.effects, plan.Traffic, p.Periods[0], func(e plan.Effect) bool { return among(e.Demand, w.Name) })
}

// cheapest is what a unit of a class's work costs at the least, at list price.
func (p *Problem) cheapest(w int) float64 {
	least := inf
	for _, o := range p.offers {
		if eta := p.works[w].eta[o.Chip]; eta > 0 {
			least = min(least, float(o.Price)/float64(o.Chips)/eta)
		}
	}
	if math.IsInf(least, 1) {
		return 0
	}
	return least
}

func (p *Problem) offersApart(a, b *future, t int) float64 {
	sum := 0.0
	for o := range p.offers {
		sum += logRatio(a.price[o][t], b.price[o][t]) + logRatio(a.capacity[o][t], b.capacity[o][t])
	}
	return sum / float64(len(p.offers))
}

func (p *Problem) throughputApart(a, b *future, t int) float64 {
	sum, n := 0.0, 0
	for w := range p.works {
		for _, name := range sortedNames(p.works[w].eta) {
			sum += logRatio(a.factor[w][name][t], b.factor[w][name][t])
			n++
		}
	}
	return sum / float64(max(n, 1))
}
