package planner

import (
	"math"

	"github.com/switchyard-ai/switchyard/internal/lp"
)

// take makes the columns: for each line and period, nodes by where their price
// comes from. A contract that is surely in force sets the price; one that may
// be signed adds a column that exists only when it is.
func (r *recourse) take() {
	r.byLine = make([][][]int, len(r.m.lines))
	for l := range r.m.lines {
		r.byLine[l] = make([][]int, len(r.m.Periods))
		for t := range r.m.Periods {
			if r.wanted(l, t) && !r.dominated(l, t) {
				r.takeLine(l, t)
			}
		}
	}
}

// wanted reports whether the line could be of use in the period at all.
func (r *recourse) wanted(l, t int) bool {
	o := r.m.offers[r.m.lines[l].offer]
	if r.m.ask.avoid != nil && r.m.ask.avoid(o) && !r.m.Periods[t].From.Before(r.m.ask.from) {
		return false
	}
	for w := range r.m.works {
		if r.placed[w][r.m.lines[l].group][t] != none {
			return r.f.capacity[r.m.lines[l].offer][t] > 0 || r.covered(l, t)
		}
	}
	return false
}

// covered reports whether a commitment brings nodes of the line beyond the
// offer's own capacity.
func (r *recourse) covered(l, t int) bool {
	for _, k := range r.f.terms {
		if k == nil {
			continue
		}
		for _, b := range k.bundles {
			if b.adds && b.useOf(l, t) > 0 && b.capacity[t] > 0 {
				return true
			}
		}
	}
	return false
}

func (r *recourse) takeLine(l, t int) {
	list := r.f.price[r.m.lines[l].offer][t]
	if r.m.ask.reprice != nil {
		list *= r.m.ask.reprice(r.m.offers[r.m.lines[l].offer])
	}
	base, keep := list, 1.0
	forced := false
	for d, k := range r.f.terms {
		if k == nil || !r.surely(d) {
			continue
		}
		for _, c := range k.rates {
			rate := c.rate[t][l]
			switch {
			case rate < 0 || forced:
			case c.forced:
				base, forced = rate, true
			default:
				base = min(base, rate)
			}
		}
		for _, c := range k.stacks {
			if c.lines[l] {
				keep *= 1 - c.share[t]
			}
		}
	}
	plain := r.column(l, t, -1, -1, base*keep, list)
	r.columns[plain].base = base
	for d, k := range r.f.terms {
		if k != nil {
			r.takeFrom(l, t, d, k, plain, base, keep, forced)
		}
	}
}

// surely reports whether a contract is in force in any plan.
func (r *recourse) surely(d int) bool { return r.m.deals[d].fixed && r.m.deals[d].Size == nil }

func (r *recourse) column(l, t, deal, bundle int, rate, list float64) int {
	c := column{line: l, period: t, deal: deal, bundle: bundle, rate: rate, list: list}
	o := r.m.offers[r.m.lines[l].offer]
	c.v = r.m.lp.Add("nodes of "+o.Name+" in "+r.m.Periods[t].Label(), 0, inf, 0, lp.Continuous)
	r.pay(t, lp.Term{Var: c.v, Coefficient: rate * r.m.Periods[t].Hours()})
	r.byLine[l][t] = append(r.byLine[l][t], len(r.columns))
	r.columns = append(r.columns, c)
	return len(r.columns) - 1
}

// capacityUnder is the nodes of a line's offer once a contract is signed, at its
// largest size where the offer exists under it.
func (r *recourse) capacityUnder(d, l, t int) float64 {
	o, deal := r.m.lines[l].offer, r.m.deals[d]
	capacity := r.f.capacity[o][t]
	if deal.Size != nil && r.m.offers[o].deal == deal.Contract {
		capacity *= deal.Size.Max
	}
	return capacity
}

// raised is the factor on a contract's prices that a question asks for: who has
// not signed yet can be asked for more.
func (r *recourse) raised(d, l int) float64 {
	if r.m.ask.reprice == nil || r.m.deals[d].fixed {
		return 1
	}
	return r.m.ask.reprice(r.m.offers[r.m.lines[l].offer])
}

// takeFrom makes the columns that one contract adds for a line.
func (r *recourse) takeFrom(l, t, d int, k *terms, plain int, base, keep float64, forced bool) {
	list := r.columns[plain].list
	for b := range k.bundles {
		if k.bundles[b].useOf(l, t) > 0 && k.bundles[b].capacity[t] > 0 {
			c := r.column(l, t, d, b, 0, list)
			r.columns[c].option = k.bundles[b].option
		}
	}
	if r.surely(d) {
		return
	}
	rate, own, must := base, 1.0, false
	for _, c := range k.rates {
		if offered := c.rate[t][l] * r.raised(d, l); offered >= 0 && !forced && !must {
			must = c.forced
			if must || offered < rate {
				rate = offered
			}
		}
	}
	for _, c := range k.stacks {
		if c.lines[l] {
			own *= 1 - c.share[t]
		}
	}
	if rate == base && own == 1 {
		return
	}
	c := r.column(l, t, d, -1, rate*keep*own, list)
	r.columns[c].base = rate
	bound := min(r.lineLimit(l, t), r.capacityUnder(d, l, t))
	if math.IsInf(bound, 1) {
		return
	}
	label := r.m.deals[d].label
	if r.m.offers[r.m.lines[l].offer].deal != r.m.deals[d].Contract || len(r.m.deals) > 1 {
		terms := append([]lp.Term{{Var: r.columns[c].v, Coefficient: 1}}, times(r.sign[d], -bound)...)
		r.m.row(r.info(rowLink, label, t, "prices of "+label+" need signing"), -inf, 0, terms...)
	}
	if must {
		terms := append([]lp.Term{{Var: r.columns[plain].v, Coefficient: 1}}, times(r.sign[d], bound)...)
		r.m.row(r.info(rowForce, label, t, "prices of "+label+" bind once signed"), -inf, bound, terms...)
	}
}
