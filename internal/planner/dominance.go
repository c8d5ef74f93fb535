package planner

import (
	"fmt"
	"math"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// dominated reports whether another line does the same work at no higher price
// and without limit: then some best plan leaves this one alone, and its columns
// are left out. That is exact where no clause tells the two apart and nothing
// counts money in shares, which a dearer line could help to fill.
func (r *recourse) dominated(l, t int) bool {
	if r.rivals == nil {
		r.findRivals()
	}
	own := r.m.lines[l]
	mine := r.f.price[own.offer][t]
	for _, other := range r.rivals[l] {
		o := r.m.lines[other].offer
		price := r.f.price[o][t]
		if math.IsInf(r.f.capacity[o][t], 1) && (price < mine || price == mine && other < l) {
			return true
		}
	}
	return false
}

// findRivals lists for each line the others of its group that every clause
// treats alike and that may have no limit.
func (r *recourse) findRivals() {
	r.rivals = make([][]int, len(r.m.lines))
	if r.m.countsMoneyShares() || r.m.ask.reprice != nil || r.m.ask.avoid != nil {
		return
	}
	signs := make([]string, len(r.m.lines))
	for l := range r.m.lines {
		signs[l] = r.signature(l)
	}
	for _, g := range r.m.groups {
		for _, l := range g.lines {
			if o := r.m.offers[r.m.lines[l].offer]; o.deal != "" || o.purchase >= 0 {
				continue
			}
			for _, other := range g.lines {
				if rival := r.m.offers[r.m.lines[other].offer]; other != l && rival.deal == "" && rival.purchase < 0 && signs[other] == signs[l] {
					r.rivals[l] = append(r.rivals[l], other)
				}
			}
		}
	}
}

// countsMoneyShares reports whether any limit is a share of money or by region.
func (m *model) countsMoneyShares() bool {
	money := func(measure contract.Measure) bool {
		return measure == "" || measure == contract.Spend || measure == contract.ListCost
	}
	hedges := m.Portfolio.Hedges
	if m.ask.hedge != nil {
		hedges = append(hedges[:len(hedges):len(hedges)], *m.ask.hedge)
	}
	for _, h := range hedges {
		if money(h.Measure) || h.Of == plan.ByRegion {
			return true
		}
	}
	for _, f := range m.futures {
		for _, k := range f.terms {
			if k == nil {
				continue
			}
			for _, c := range k.caps {
				if money(c.measure) {
					return true
				}
			}
			for _, c := range k.tiers {
				if money(c.measure) {
					return true // a dearer line could help to reach a step
				}
			}
			for _, c := range k.covenants {
				if c.measure == contract.Spend || c.measure == contract.ListCost {
					return true
				}
			}
		}
	}
	return false
}

// signature is all that clauses tell of a line apart from its price.
func (r *recourse) signature(l int) string {
	o := r.m.offers[r.m.lines[l].offer]
	var b strings.Builder
	fmt.Fprint(&b, o.Chips, o.Chipmaker, o.Kilowatts, o.Option, o.Site)
	for d, k := range r.f.terms {
		if k == nil {
			continue
		}
		fmt.Fprintf(&b, "|%d", d)
		for i := range k.bundles {
			fmt.Fprint(&b, " ", k.bundles[i].use[l])
			for t := range k.bundles[i].useAt {
				fmt.Fprintf(&b, " %.9g", k.bundles[i].useAt[t][l]/math.Max(r.f.price[r.m.lines[l].offer][t], 1e-9))
			}
		}
		for _, f := range k.floors {
			fmt.Fprint(&b, " ", f.lines[l])
		}
		for _, c := range k.takes {
			fmt.Fprint(&b, " ", c.lines[l])
		}
		for _, c := range k.covenants {
			fmt.Fprint(&b, " ", c.lines[l], c.on[l], c.all[l])
		}
		for _, c := range k.caps {
			fmt.Fprint(&b, " ", c.lines[l])
		}
		for _, c := range k.stacks {
			fmt.Fprint(&b, " ", c.lines[l])
		}
		for _, c := range k.tiers {
			fmt.Fprint(&b, " ", c.lines[l])
		}
		for _, c := range k.warrants {
			fmt.Fprint(&b, " ", c.power[l])
		}
		for _, c := range k.rates {
			for t := range c.rate {
				// A rate of its own counts as it is; a share off list falls with the list.
				rate := c.rate[t][l]
				fmt.Fprint(&b, " ", rate < 0, c.forced)
				if rate >= 0 {
					fmt.Fprintf(&b, " %.9g", rate/math.Max(r.f.price[r.m.lines[l].offer][t], 1e-9))
				}
			}
		}
	}
	return b.String()
}
