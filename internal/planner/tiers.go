package planner

import (
	"fmt"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/lp"
)

// tierClause is a discount that grows with what was used in a window.
type tierClause struct {
	label       string
	lines       []bool
	measure     contract.Measure
	retroactive bool
	steps       []tierStep
	windows     []span // amounts are how many windows of the clause were joined
}

// tierStep is a discount above a threshold; before is what the steps below it
// have given when the threshold is reached, per unit of money.
type tierStep struct{ above, share, before float64 }

func (p *Problem) addTiers(t *terms, label string, k *contract.Tiers, lines []bool, from, to time.Time) {
	c := tierClause{label: label, lines: lines, measure: k.Measure, retroactive: k.Mode == contract.Retroactive}
	if c.measure == "" {
		c.measure = contract.Spend
	}
	for i, step := range k.Steps {
		s := tierStep{above: float(step.Above), share: step.Discount.InexactFloat64()}
		if i > 0 {
			last := c.steps[i-1]
			s.before = last.before + (s.above-last.above)*last.share
		}
		c.steps = append(c.steps, s)
	}
	c.windows = p.spans(k.Window, from, to, func(int) float64 { return 1 })
	t.tiers = append(t.tiers, c)
}

// reduction is what tiers, or a quantity made up, take off usage in a window.
type reduction struct {
	lines []bool
	w     span
	terms []lp.Term
}

// tiers picks for each window the step that its use has reached. Only being
// below a threshold has to be ruled out: a lower step never gives more.
func (r *recourse) tiers(d int, k *tierClause) {
	for _, w := range k.windows {
		used, paid, ratio := r.tierUse(k, w)
		if len(used) == 0 {
			continue
		}
		const room = 2 // at the bound itself its shadow price would stand for the tier's
		most := room * r.mostPaid(k, w) / r.m.scale
		var one, split, saving []lp.Term
		threshold := used
		for _, step := range k.steps {
			const beyond = 1 + 1e-6 // a step is reached above its threshold, not at it
			words := fmt.Sprintf("%s above %g", k.label, step.above)
			reached := r.m.lp.Add(words, 0, 1, 0, lp.Integer)
			part := r.m.lp.Add("paid under "+words, 0, inf, 0, lp.Continuous)
			one = append(one, lp.Term{Var: reached, Coefficient: 1})
			threshold = append(threshold, lp.Term{Var: reached, Coefficient: -step.above * beyond * w.amount / r.m.tierUnit(k)})
			split = append(split, lp.Term{Var: part, Coefficient: -1})
			r.m.row(r.info(rowLink, k.label, w.due, "money under "+words), -inf, 0, lp.Term{Var: part, Coefficient: 1}, lp.Term{Var: reached, Coefficient: -most})
			saving = append(saving, lp.Term{Var: part, Coefficient: step.share})
			if !k.retroactive {
				lost := ratio * w.amount * (step.before - step.share*step.above) / r.m.scale
				saving = append(saving, lp.Term{Var: reached, Coefficient: lost})
			}
		}
		r.m.row(r.info(rowLink, k.label, w.due, "one step of "+k.label), -inf, 0, append(one, times(r.sign[d], -1)...)...)
		r.m.row(r.info(rowTier, k.label, w.due, "what reaches the tiers of "+k.label), 0, inf, threshold...)
		r.m.row(r.info(rowTier, k.label, w.due, "what the tiers of "+k.label+" are taken off"), 0, inf, append(paid, split...)...)
		for _, term := range saving {
			r.pay(w.due, lp.Term{Var: term.Var, Coefficient: -term.Coefficient * r.m.scale})
		}
		r.reductions = append(r.reductions, reduction{k.lines, w, saving})
	}
}

// tierUnit is the unit of what tiers measure in the program.
func (m *model) tierUnit(k *tierClause) float64 {
	if k.measure == contract.Quantity || k.measure == contract.ChipTime {
		const thousand = 1000
		return thousand
	}
	return m.scale
}

// tierUse is what a window counts towards the steps, what it pays, and the most
// that is paid for a unit of what counts: a step's start is valued at that.
func (r *recourse) tierUse(k *tierClause, w span) (used, paid []lp.Term, ratio float64) {
	unit := r.m.tierUnit(k)
	for _, c := range r.columns {
		part, inside := w.part[c.period]
		if !inside || !k.lines[c.line] || c.rate <= 0 {
			continue
		}
		hours := part * r.m.Periods[c.period].Hours()
		counts := 1.0
		switch k.measure {
		case contract.Spend:
			counts = c.base
		case contract.ListCost:
			counts = c.list
		case contract.ChipTime:
			counts = float64(r.m.offers[r.m.lines[c.line].offer].Chips)
		}
		used = append(used, lp.Term{Var: c.v, Coefficient: counts * hours / unit})
		paid = append(paid, lp.Term{Var: c.v, Coefficient: c.rate * hours / r.m.scale})
		ratio = max(ratio, c.rate/counts)
	}
	return used, paid, ratio
}

// mostPaid bounds the money of a window.
func (r *recourse) mostPaid(k *tierClause, w span) float64 {
	sum := 0.0
	for _, t := range sortedPeriods(w.part) {
		for l := range r.m.lines {
			if k.lines[l] {
				sum += r.lineLimit(l, t) * r.f.price[r.m.lines[l].offer][t] * w.part[t] * r.m.Periods[t].Hours()
			}
		}
	}
	return sum
}
