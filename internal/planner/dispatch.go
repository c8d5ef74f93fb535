package planner

import (
	"fmt"
	"math"

	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

func lpRow(i int) lp.Row { return lp.Row(i) }

// weight is what one unit of cost in a future adds to the objective.
func (a *answer) weight(s int, duals []float64) float64 {
	if s < 0 {
		return 1
	}
	weight := 1.0
	risk := a.Portfolio.Risk.Weight
	if a.recourse[s].riskRow < 0 {
		return a.futures[s].probability
	}
	weight = (1 - risk) * a.futures[s].probability
	return math.Max(weight+math.Abs(duals[a.recourse[s].riskRow]), 1e-12)
}

// accumulates are the constraints over longer windows whose duals are an
// opportunity cost of usage now. Cash is none of them: where it binds it raises
// all prices alike.
func (k rowKind) accumulates() bool {
	switch k {
	case rowFloor, rowTake, rowCovenant, rowHedge, rowCap, rowDraw, rowForce, rowTier, rowWarrant:
		return true
	}
	return false
}

// dispatch prices one more node-hour of each line and period of the first
// future: for its cheapest source, the cash that it adds now, plus the duals of
// clauses that accumulate, each counted once. The scarcity of the pool's own
// capacity is no part of it: that is the pool's profit, not its price.
func (a *answer) dispatch(duals []float64) []plan.Dispatch {
	r := a.recourse[0]
	weight := a.weight(0, duals)
	byColumn := a.columnRows()
	var all []plan.Dispatch
	for l := range a.lines {
		for t := range a.Periods {
			best, found := plan.Dispatch{}, false
			for _, c := range r.byLine[l][t] {
				if price, usable := a.priceColumn(r, r.columns[c], byColumn[r.columns[c].v], duals, weight); usable && (!found || price.Price < best.Price) {
					best, found = price, true
				}
			}
			if found {
				all = append(all, best)
			}
		}
	}
	return all
}

type entry struct {
	row         int
	coefficient float64
}

// columnRows lists the constraints of each variable.
func (a *answer) columnRows() map[lp.Var][]entry {
	rows := map[lp.Var][]entry{}
	for i := range a.info {
		for _, t := range a.lp.Terms(lpRow(i)) {
			rows[t.Var] = append(rows[t.Var], entry{i, t.Coefficient})
		}
	}
	return rows
}

// priceColumn prices one source; it is not usable where its contract is not signed.
func (a *answer) priceColumn(r *recourse, c column, rows []entry, duals []float64, weight float64) (plan.Dispatch, bool) {
	o := a.offers[a.lines[c.line].offer]
	period := a.Periods[c.period]
	unit := a.scale / weight / a.disc[c.period] / period.Hours() // of the objective, in money of a node-hour now
	d := plan.Dispatch{
		Offer: o.Name, Provider: o.Provider, Region: o.Region, Instance: o.InstanceType, Option: o.Option, Class: a.lines[c.line].class,
		Period: period, List: c.list, Cash: c.rate, Reason: "its price, on the bill now",
	}
	deal := c.deal
	if deal >= 0 && a.Values[r.sign[deal][0].Var] < 0.5 {
		return d, false
	}
	if o.deal != "" && !a.inForce(o.deal) {
		return d, false
	}
	covered := 0.0
	for _, e := range rows {
		part := -duals[e.row] * e.coefficient * unit
		switch info := a.info[e.row]; {
		case info.kind == rowCover:
			covered += part
		case info.kind.accumulates() && math.Abs(part) > 1e-9*math.Max(1, c.list):
			d.Opportunity += part
			d.Reason = fmt.Sprintf("its price, and %s", info.words)
		}
	}
	if c.deal >= 0 && c.bundle >= 0 {
		d.Reason = "covered by " + a.deals[c.deal].Contract
		if covered > 1e-9*math.Max(1, c.list) {
			d.Reason += ", which is used up: more displaces other work from it"
		}
	} else if c.deal >= 0 {
		d.Reason = "the price of " + a.deals[c.deal].Contract
	}
	if d.Opportunity < -1e-9 && d.Cash+d.Opportunity < 0.01*d.Cash {
		d.Reason = "free at the margin: a commitment is not met"
	}
	d.Opportunity += covered
	d.Price = math.Max(d.Cash+d.Opportunity, 0)
	return d, true
}

func (a *answer) inForce(contract string) bool {
	for i, d := range a.deals {
		if d.Contract == contract && a.Values[a.recourse[0].sign[i][0].Var] > 0.5 {
			return true
		}
	}
	return false
}
