package planner

import (
	"slices"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// lot is money paid ahead, and the parts of periods in which usage draws on it.
type lot struct {
	at     int // period of the purchase
	amount float64
	part   map[int]float64
}

// addMACC reads a consumption commitment: subtotals by milestone, prepayment
// that retires it when it is bought, shortfalls that become credit.
func (p *Problem) addMACC(t *terms, label string, c *contract.Clause, lines []bool, from, to time.Time) {
	f := floor{label: label, clause: c.Name, lines: lines, usage: true, fees: true, subtotal: true}
	milestones := slices.Clone(c.MACC.Milestones)
	slices.SortStableFunc(milestones, func(a, b contract.Milestone) int { return a.By.Compare(b.By.Time) })
	for _, m := range append(milestones, contract.Milestone{By: contract.Instant{Time: to}, Amount: c.MACC.Amount}) {
		windows := p.spans(contract.Total, from, m.By.Time, func(int) float64 { return float(m.Amount) })
		if len(windows) == 0 {
			continue
		}
		until := to
		if c.MACC.CreditExpires != nil {
			until = c.MACC.CreditExpires.After(m.By.Time)
		}
		credit := p.partsAfter(m.By.Time, until)
		delete(credit, windows[0].due) // what is owed at its end cannot be drawn before
		f.windows, f.credit = append(f.windows, windows[0]), append(f.credit, credit)
	}
	for _, purchase := range c.MACC.Prepayments {
		until := to
		if purchase.Expires != nil {
			until = purchase.Expires.Time
		}
		if at := p.periodAt(purchase.At.Time); at >= 0 {
			f.lots = append(f.lots, lot{at: at, amount: float(purchase.Amount), part: p.partsAfter(purchase.At.Time, until)})
		}
	}
	t.floors = append(t.floors, f)
}

// partsAfter lists the parts of periods in [from, until).
func (p *Problem) partsAfter(from, until time.Time) map[int]float64 {
	parts := map[int]float64{}
	for i, part := range p.parts(from, until) {
		if part > 0 {
			parts[i] = part
		}
	}
	return parts
}

// drawing is money that usage of a period is paid with.
type drawing struct {
	period int
	lp.Term
}

// credits pays for what was bought ahead and lets usage draw on it and on
// shortfalls that were paid. What is drawn does not retire the commitment.
func (r *recourse) credits(d int, f *floor, shorts []lp.Var) []drawing {
	byPeriod := make([][]lp.Term, len(r.m.Periods))
	var all []drawing
	draw := func(part map[int]float64, limit []lp.Term) {
		var drawn []lp.Term
		for _, t := range sortedPeriods(part) {
			v := r.m.lp.Add("drawn from "+f.label, 0, inf, 0, lp.Continuous)
			r.pay(t, lp.Term{Var: v, Coefficient: -r.m.scale})
			drawn = append(drawn, lp.Term{Var: v, Coefficient: 1})
			byPeriod[t] = append(byPeriod[t], lp.Term{Var: v, Coefficient: 1})
			all = append(all, drawing{t, lp.Term{Var: v, Coefficient: 1}})
		}
		if len(drawn) > 0 {
			r.m.row(r.info(rowLink, f.label, -1, "credit of "+f.label), -inf, 0, append(drawn, negated(limit)...)...)
		}
	}
	for _, l := range f.lots {
		for _, term := range times(r.size[d], l.amount) {
			r.pay(l.at, term)
		}
		draw(l.part, times(r.size[d], l.amount/r.m.scale))
	}
	for i, v := range shorts {
		draw(f.credit[i], []lp.Term{{Var: v, Coefficient: 1}})
	}
	for t := range byPeriod {
		if len(byPeriod[t]) > 0 {
			usage := negated(r.counted(f, span{part: map[int]float64{t: 1}}))
			r.m.row(r.info(rowDraw, f.label, t, "only usage draws on "+f.label), -inf, 0, append(byPeriod[t], usage...)...)
		}
	}
	return all
}

// milestones asks for subtotals from the start to each milestone.
func (r *recourse) milestones(d int, k *terms, f *floor) {
	shorts := make([]lp.Var, len(f.windows))
	for i, w := range f.windows {
		shorts[i] = r.m.lp.Add("shortfall of "+f.label, 0, inf, 0, lp.Continuous)
		r.pay(w.due, lp.Term{Var: shorts[i], Coefficient: r.m.scale})
		r.shorts = append(r.shorts, shortVar{d, f.label, w.due, 1, shorts[i], "shortfall"})
	}
	drawn := r.credits(d, f, shorts)
	for i, w := range f.windows {
		terms := append(r.counted(f, w), r.feesOf(d, k, w)...)
		for _, v := range shorts[:i+1] {
			terms = append(terms, lp.Term{Var: v, Coefficient: 1})
		}
		for _, draw := range drawn {
			if part := w.part[draw.period]; part > 0 {
				terms = append(terms, lp.Term{Var: draw.Var, Coefficient: -part})
			}
		}
		bought := 0.0
		for _, l := range f.lots {
			if w.part[l.at] > 0 {
				bought += l.amount
			}
		}
		terms = append(terms, times(r.size[d], (bought-w.amount)/r.m.scale)...)
		r.m.row(r.info(rowFloor, f.label, w.due, "commitment "+f.label), 0, inf, terms...)
	}
}

// cutMACC takes what was retired before the horizon off a commitment and its
// milestones: as far as it is known, else in proportion to time.
func cutMACC(k contract.MACC, first, last, from, to time.Time, retired *contract.Number) *contract.MACC {
	total := float(k.Amount)
	done := total * plan.Period{From: from, To: to}.Part(from, first)
	if retired != nil && from.Before(first) {
		done = float(*retired)
	}
	left := max(total-done, 0)
	k.Amount = numberOf(left * plan.Period{From: first, To: to}.Part(first, last))
	k.Milestones = slices.DeleteFunc(slices.Clone(k.Milestones), func(m contract.Milestone) bool {
		return m.By.Before(first) || m.By.After(last) || float(m.Amount) <= done
	})
	for i := range k.Milestones {
		k.Milestones[i].Amount = numberOf(float(k.Milestones[i].Amount) - done)
	}
	k.Prepayments = slices.DeleteFunc(slices.Clone(k.Prepayments), func(b contract.Purchase) bool { return b.At.Before(first) || b.At.After(last) })
	return &k
}
