package planner

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/lp"
)

// reduce adds what one contract takes off usage: before anything counts money.
func (r *recourse) reduce(d int, k *terms) {
	for i := range k.tiers {
		r.tiers(d, &k.tiers[i])
	}
	for i := range k.takes {
		r.takeOrPay(d, &k.takes[i])
	}
}

// dealTerms adds what else one contract asks for in this future.
func (r *recourse) dealTerms(d int, k *terms) {
	for b := range k.bundles {
		r.bundle(d, b, &k.bundles[b])
	}
	for i := range k.floors {
		r.floor(d, k, &k.floors[i])
	}
	for i := range k.covenants {
		if !r.m.ask.without[k.covenants[i].label] {
			r.covenant(d, &k.covenants[i])
		}
	}
	for _, c := range k.caps {
		r.capped(d, c)
	}
	for _, c := range k.exclusive {
		r.exclusive(d, c)
	}
	for i := range k.warrants {
		if !r.m.ask.without[k.warrants[i].label] {
			r.vest(d, &k.warrants[i])
		}
	}
}

// bundle charges a commitment's fee and bounds what it covers.
func (r *recourse) bundle(d, b int, k *bundle) {
	covers := make([][]lp.Term, len(r.m.Periods))
	for _, c := range r.columns {
		if c.deal == d && c.bundle == b {
			covers[c.period] = append(covers[c.period], lp.Term{Var: c.v, Coefficient: k.useOf(c.line, c.period)})
		}
	}
	for t := range r.m.Periods {
		for _, term := range times(r.size[d], k.fee[t]*r.feeKept(d, t)) {
			r.pay(t, term)
		}
		if len(covers[t]) > 0 {
			terms := append(covers[t], times(r.size[d], -k.capacity[t])...)
			r.m.row(r.info(rowCover, k.label, t, "what "+k.label+" covers"), -inf, 0, terms...)
		}
	}
}

// feeKept is what discounts of the same contract, or ones surely in force,
// leave of fees.
func (r *recourse) feeKept(d, t int) float64 {
	keep := 1.0
	for other, k := range r.f.terms {
		if k == nil || other != d && !r.surely(other) {
			continue
		}
		for _, c := range k.stacks {
			if c.fees && (other == d || strings.EqualFold(r.m.deals[other].terms.Counterparty, r.m.deals[d].terms.Counterparty)) {
				keep *= 1 - c.share[t]
			}
		}
	}
	return keep
}

// counted is what the usage of a window counts towards a floor.
func (r *recourse) counted(f *floor, w span) []lp.Term {
	var terms []lp.Term
	for _, c := range r.columns {
		part, inside := w.part[c.period]
		if !inside || !f.lines[c.line] || !f.usage {
			continue
		}
		rate := c.rate
		if f.list {
			rate = c.list
		}
		if rate > 0 {
			terms = append(terms, lp.Term{Var: c.v, Coefficient: rate * part * r.m.Periods[c.period].Hours() / r.m.scale})
		}
	}
	if f.usage && !f.list {
		for _, off := range r.reductions {
			if _, inside := w.part[off.w.due]; inside && allIn(off.lines, f.lines) {
				terms = append(terms, negated(off.terms)...)
			}
		}
	}
	return terms
}

// allIn reports whether every line of a is one of b.
func allIn(a, b []bool) bool {
	for l := range a {
		if a[l] && !b[l] {
			return false
		}
	}
	return true
}

func (r *recourse) feesOf(d int, k *terms, w span) []lp.Term {
	sum := 0.0
	for _, t := range sortedPeriods(w.part) {
		for _, b := range k.bundles {
			sum += b.fee[t] * w.part[t] * r.feeKept(d, t)
		}
	}
	return times(r.size[d], sum/r.m.scale)
}

func sortedPeriods(part map[int]float64) []int {
	var all []int
	for t := range part {
		all = append(all, t)
	}
	sort.Ints(all)
	return all
}

// floor asks for money to be spent in each window, or charges what is missing.
func (r *recourse) floor(d int, k *terms, f *floor) {
	if f.subtotal {
		r.milestones(d, k, f)
		return
	}
	for _, w := range f.windows {
		if w.amount == 0 {
			continue
		}
		if f.prepaid {
			r.prepaid(d, f, w)
			continue
		}
		terms := r.counted(f, w)
		if f.fees && !f.list {
			terms = append(terms, r.feesOf(d, k, w)...)
		}
		short := r.m.lp.Add("shortfall of "+f.label, 0, inf, 0, lp.Continuous)
		r.pay(w.due, lp.Term{Var: short, Coefficient: r.m.scale})
		r.shorts = append(r.shorts, shortVar{d, f.label, w.due, 1, short, "shortfall"})
		terms = append(terms, lp.Term{Var: short, Coefficient: 1})
		terms = append(terms, times(r.size[d], -w.amount/r.m.scale)...)
		r.m.row(r.info(rowFloor, f.label, w.due, "commitment "+f.label), 0, inf, terms...)
	}
}

// prepaid pays ahead; usage is free until what was paid is used up.
func (r *recourse) prepaid(d int, f *floor, w span) {
	for _, term := range times(r.size[d], w.amount) {
		r.pay(w.first, term)
	}
	drawn := times(r.size[d], -w.amount/r.m.scale)
	for _, t := range sortedPeriods(w.part) {
		usage := negated(r.counted(f, span{part: map[int]float64{t: w.part[t]}}))
		if len(usage) == 0 {
			continue
		}
		v := r.m.lp.Add("drawn from "+f.label, 0, inf, 0, lp.Continuous)
		r.pay(t, lp.Term{Var: v, Coefficient: -r.m.scale})
		drawn = append(drawn, lp.Term{Var: v, Coefficient: 1})
		r.m.row(r.info(rowDraw, f.label, t, "only usage draws on "+f.label), -inf, 0, append(usage, lp.Term{Var: v, Coefficient: 1})...)
	}
	r.m.row(r.info(rowFloor, f.label, w.due, "prepayment "+f.label), -inf, 0, drawn...)
}

// takeOrPay charges deficiencies, and gives what is made up later free. The
// quantities are in thousands of node-hours, for the sake of scale.
func (r *recourse) takeOrPay(d int, k *take) {
	const thousand = 1000
	price := k.price
	if first := slices.Index(k.lines, true); first >= 0 {
		price *= r.raised(d, first)
	}
	lacking := make([]lp.Var, len(k.windows))
	madeOf, madeIn := make([][]lp.Term, len(k.windows)), make([][]lp.Term, len(k.windows))
	for i, w := range k.windows {
		lacking[i] = r.m.lp.Add("deficiency of "+k.label, 0, inf, 0, lp.Continuous)
		r.pay(w.due, lp.Term{Var: lacking[i], Coefficient: price * thousand})
		r.shorts = append(r.shorts, shortVar{d, k.label, w.due, price * thousand / r.m.scale, lacking[i], "deficiency"})
		for j := i + 1; j <= k.until[i]; j++ {
			v := r.m.lp.Add("make-up of "+k.label, 0, inf, 0, lp.Continuous)
			r.pay(k.windows[j].due, lp.Term{Var: v, Coefficient: -price * thousand})
			madeOf[i] = append(madeOf[i], lp.Term{Var: v, Coefficient: 1})
			madeIn[j] = append(madeIn[j], lp.Term{Var: v, Coefficient: -1})
			r.reductions = append(r.reductions, reduction{k.lines, k.windows[j], []lp.Term{{Var: v, Coefficient: k.price * thousand / r.m.scale}}})
		}
	}
	for i, w := range k.windows {
		taken := append(r.taken(k, w, thousand), lp.Term{Var: lacking[i], Coefficient: 1})
		taken = append(taken, times(r.size[d], -w.amount/thousand)...)
		r.m.row(r.info(rowTake, k.label, w.due, "take-or-pay "+k.label), 0, inf, append(taken, madeIn[i]...)...)
		r.makeUpBeyondFloor(d, k, i, lacking[i], madeIn[i])
		if len(madeOf[i]) > 0 {
			r.m.row(r.info(rowLink, k.label, w.due, "only what was paid for is made up under "+k.label), -inf, 0,
				append(madeOf[i], lp.Term{Var: lacking[i], Coefficient: -1})...)
		}
	}
}

// makeUpBeyondFloor rules out that a window makes up what an earlier one paid for
// while it lacks itself: only what exceeds its floor is free. Without this, a
// deficiency could be rolled on beyond its expiry.
func (r *recourse) makeUpBeyondFloor(d int, k *take, window int, lacking lp.Var, madeIn []lp.Term) {
	if len(madeIn) == 0 || k.until[window] <= window {
		return // nothing is made up, or what it lacks could not be rolled on
	}
	const thousand = 1000
	most := 0.0
	for _, w := range k.windows {
		most = math.Max(most, w.amount/thousand)
	}
	if s := r.m.deals[d].Size; s != nil {
		most *= s.Max
	}
	short := r.m.lp.Add("below the floor of "+k.label, 0, 1, 0, lp.Integer)
	r.m.row(r.info(rowLink, k.label, k.windows[window].due, "what "+k.label+" lacks"), -inf, 0, lp.Term{Var: lacking, Coefficient: 1}, lp.Term{Var: short, Coefficient: -most})
	made := append(negated(madeIn), lp.Term{Var: short, Coefficient: most * float64(len(k.windows))})
	r.m.row(r.info(rowLink, k.label, k.windows[window].due, "what "+k.label+" makes up"), -inf, most*float64(len(k.windows)), made...)
}

func (r *recourse) taken(k *take, w span, unit float64) []lp.Term {
	var terms []lp.Term
	for _, c := range r.columns {
		if part, inside := w.part[c.period]; inside && k.lines[c.line] {
			terms = append(terms, lp.Term{Var: c.v, Coefficient: part * r.m.Periods[c.period].Hours() / unit})
		}
	}
	return terms
}

// covenant asks for a share of work on the investor's chips; where a tranche or
// fee is at stake it may be broken at that price, else not. A window that was
// missed is no breach where the span of its cure keeps the covenant.
func (r *recourse) covenant(d int, k *covenant) {
	for i, w := range k.windows {
		row, big := r.covenantTerms(k, w)
		if big == 0 {
			continue
		}
		var cure []lp.Term
		cureBig := 0.0
		if len(k.cures) > 0 {
			cure, cureBig = r.covenantTerms(k, k.cures[i])
		}
		breach := lp.Var(none)
		if k.loss > 0 || r.m.ask.soft {
			breach = r.breach(d, k, w, i)
		}
		missed := breach
		if cureBig > 0 {
			missed = r.m.lp.Add("missed "+k.label, 0, 1, 0, lp.Integer)
			r.covenantRow(d, k, k.cures[i], cure, cureBig, "cure of covenant ", breach, missed)
		}
		r.covenantRow(d, k, w, row, big, "covenant ", missed, none)
	}
}

// covenantTerms is what a span has on the investor's chips less what it should
// have, on average, and a bound on the lack of it.
func (r *recourse) covenantTerms(k *covenant, w span) (terms []lp.Term, big float64) {
	hours, most := 0.0, 0.0
	for _, t := range sortedPeriods(w.part) {
		hours += w.part[t] * r.m.Periods[t].Hours()
		most += w.part[t] * r.m.Periods[t].Hours() * r.mostMeasured(k, t)
	}
	if hours == 0 {
		return nil, 0
	}
	for _, c := range r.columns {
		part, inside := w.part[c.period]
		if !inside || !k.lines[c.line] {
			continue
		}
		if net := k.on[c.line] - k.share*k.all[c.line]; net != 0 {
			terms = append(terms, lp.Term{Var: c.v, Coefficient: net * r.worth(k.measure, c) * part * r.m.Periods[c.period].Hours() / hours})
		}
	}
	return terms, max(k.share*most/hours, k.absolute)
}

// breach is the choice to break a covenant in a window, with what that loses
// when the time to cure it is over.
func (r *recourse) breach(d int, k *covenant, w span, window int) lp.Var {
	at := w.due
	if len(k.cures) > 0 && len(k.cures[window].part) > 0 {
		at = k.cures[window].due
	}
	loss := k.loss
	if loss == 0 {
		loss = softFactor * r.m.scale * 1e4
	}
	b := r.m.lp.Add("breach of "+k.label, 0, 1, 0, lp.Integer)
	r.pay(at, lp.Term{Var: b, Coefficient: k.fee})
	if rest := (loss - k.fee) * r.m.countsOf(r.m.deals[d].Contract); rest > 0 {
		r.hurt(at, lp.Term{Var: b, Coefficient: rest})
	}
	r.gains[at] = append(r.gains[at], lp.Term{Var: b, Coefficient: -(k.loss - k.fee) / r.m.scale})
	r.breaches = append(r.breaches, breachVar{d, k.label, w.due, loss, b})
	return b
}

// covenantRow holds a span to the covenant unless a binary lets it be broken,
// or another one does not ask for it at all.
func (r *recourse) covenantRow(d int, k *covenant, w span, terms []lp.Term, big float64, words string, broken, asked lp.Var) {
	// Scaled so that neither the coefficients of nodes vanish (solvers drop what
	// is below 1e-9) nor those of the binaries grow far beyond.
	const thousand = 1000
	norm := min(big, thousand)
	terms = times(terms, 1/norm)
	lower := k.absolute / norm
	if broken != none {
		terms = append(terms, lp.Term{Var: broken, Coefficient: big / norm})
	}
	if asked != none {
		terms = append(terms, lp.Term{Var: asked, Coefficient: -big / norm})
		lower -= big / norm
	}
	if !r.m.deals[d].fixed {
		terms = append(terms, times(r.sign[d], -big/norm)...)
		lower -= big / norm
	}
	info := r.info(rowCovenant, k.label, w.due, words+k.label)
	info.share, info.most = k.share, k.absolute/norm
	r.m.row(info, lower, inf, terms...)
}

// worth is what a node counts beside its weight: its money where money is measured.
func (r *recourse) worth(measure contract.Measure, c column) float64 {
	switch measure {
	case contract.Spend:
		return c.rate
	case contract.ListCost:
		return c.list
	}
	return 1
}

// mostMeasured bounds what all work of a period could count for a covenant.
func (r *recourse) mostMeasured(k *covenant, t int) float64 {
	sum := 0.0
	for _, group := range r.m.groups {
		largest := 0.0
		for _, l := range group.lines {
			if !k.lines[l] || len(r.byLine[l][t]) == 0 {
				continue
			}
			weight := k.all[l]
			if k.measure == contract.Spend || k.measure == contract.ListCost {
				weight *= r.f.price[r.m.lines[l].offer][t]
			}
			largest = max(largest, min(r.lineLimit(l, t), orLimit(r.nodesOf(l, t)))*weight)
		}
		sum += largest
	}
	return sum
}

func orLimit(x float64) float64 {
	if x <= 0 {
		return math.Inf(1)
	}
	return x
}

func (r *recourse) nodesOf(l, t int) float64 {
	o := r.m.lines[l].offer
	if r.m.offers[o].deal != "" || r.m.offers[o].purchase >= 0 || r.covered(l, t) {
		return 0
	}
	return r.f.capacity[o][t]
}

// countsOf is the part of a contract's tranches that is a gain to the buyer.
func (m *model) countsOf(name string) float64 {
	if m.Portfolio.Financing == nil {
		return 1
	}
	for _, inflow := range m.Portfolio.Financing.Inflows {
		if inflow.Requires != name {
			continue
		}
		if inflow.Counts == nil {
			return 0
		}
		return inflow.Counts.InexactFloat64()
	}
	return 1
}

func (r *recourse) capped(d int, c capClause) {
	for _, value := range r.m.values(c.of) {
		if c.name != "" && !strings.EqualFold(c.name, value) {
			continue
		}
		for _, w := range c.windows {
			terms, _ := r.shareTerms(c.of, value, c.measure, w, c.lines, c.share)
			if len(terms) == 0 {
				continue
			}
			if !r.m.deals[d].fixed {
				r.m.note("%s: a concentration cap of a contract that is not signed yet is kept in any case", c.label)
			}
			info := r.info(rowCap, c.label, w.due, "cap "+c.label+" on "+value)
			info.share = c.share
			r.limit(info, -inf, 0, terms)
		}
	}
}

// limit adds a row that a soft question may break.
func (r *recourse) limit(info rowInfo, lower, upper float64, terms []lp.Term) {
	if r.m.ask.soft {
		v := r.m.lp.Add("broken: "+info.words, 0, inf, 0, lp.Continuous)
		r.hurt(max(info.period, 0), lp.Term{Var: v, Coefficient: softFactor * r.m.scale})
		sign := 1.0
		if !math.IsInf(upper, 1) {
			sign = -1
		}
		terms = append(terms, lp.Term{Var: v, Coefficient: sign})
		r.slacks = append(r.slacks, slackVar{info.words, v})
	}
	r.m.row(info, lower, upper, terms...)
}

// exclusive keeps classes of work off everybody but the holder.
func (r *recourse) exclusive(d int, k exclusiveClause) {
	for _, c := range r.columns {
		o := r.m.offers[r.m.lines[c.line].offer]
		if k.part[c.period] == 0 || strings.EqualFold(o.Provider, k.holder) || !among(k.classes, r.m.lines[c.line].class) {
			continue
		}
		words := fmt.Sprintf("exclusivity %s keeps %s off %s", k.label, strings.Join(k.classes, ", "), o.Provider)
		bound := 0.0
		terms := []lp.Term{{Var: c.v, Coefficient: 1}}
		if !r.m.deals[d].fixed {
			bound = r.lineLimit(c.line, c.period)
			terms = append(terms, times(r.sign[d], bound)...)
		}
		r.limit(r.info(rowExclusive, k.label, c.period, words), -inf, bound, terms)
	}
}
