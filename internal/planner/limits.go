package planner

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// is returns the offer's place in a dimension.
func (o offer) is(dimension string) string {
	switch plan.Dimension(dimension) {
	case plan.ByProvider:
		return o.Provider
	case plan.ByChipmaker:
		return o.Chipmaker
	case plan.ByRegion:
		return o.Region
	}
	return o.Chip
}

// values lists what the offers have in a dimension, in their order.
func (p *Problem) values(dimension string) []string {
	var all []string
	for _, o := range p.offers {
		if value := o.is(dimension); !slices.Contains(all, value) {
			all = append(all, value)
		}
	}
	return all
}

// bundlePlace is where a commitment's fee counts: the place of all lines that
// it covers, "" where they differ.
func (r *recourse) bundlePlace(b *bundle, dimension string) string {
	place := ""
	for l := range r.m.lines {
		if b.useOf(l, 0) <= 0 && (b.useAt == nil || b.useAt[len(b.useAt)-1][l] <= 0) {
			continue
		}
		value := r.m.offers[r.m.lines[l].offer].is(dimension)
		if place != "" && place != value {
			return ""
		}
		place = value
	}
	return place
}

// shareTerms returns (what one value has) − share × (what all have) over a
// window, and the same of all for scale.
func (r *recourse) shareTerms(dimension, value string, measure contract.Measure, w span, lines []bool, share float64) (terms []lp.Term, any bool) {
	unit := 1.0
	if measure == "" || measure == contract.Spend || measure == contract.ListCost {
		unit = r.m.scale
	}
	for _, c := range r.columns {
		part, inside := w.part[c.period]
		if !inside || lines != nil && !lines[c.line] {
			continue
		}
		o := r.m.offers[r.m.lines[c.line].offer]
		size := r.measured(measure, c, o) * part * r.m.Periods[c.period].Hours() / unit
		own := 0.0
		if strings.EqualFold(o.is(dimension), value) {
			own, any = 1, true
		}
		if size != 0 && own != share {
			terms = append(terms, lp.Term{Var: c.v, Coefficient: size * (own - share)})
		}
	}
	if measure == "" || measure == contract.Spend {
		terms = append(terms, r.feeShare(dimension, value, w, share)...)
	}
	return terms, any
}

func (r *recourse) measured(measure contract.Measure, c column, o offer) float64 {
	switch measure {
	case contract.ChipTime:
		return float64(o.Chips)
	case contract.Quantity:
		return 1
	case contract.ListCost:
		return c.list
	}
	return c.rate
}

func (r *recourse) feeShare(dimension, value string, w span, share float64) []lp.Term {
	var terms []lp.Term
	for d, k := range r.f.terms {
		if k == nil {
			continue
		}
		for b := range k.bundles {
			own := 0.0
			if strings.EqualFold(r.bundlePlace(&k.bundles[b], dimension), value) {
				own = 1
			}
			fee := 0.0
			for _, t := range sortedPeriods(w.part) {
				fee += k.bundles[b].fee[t] * w.part[t] / r.m.scale
			}
			if fee > 0 && own != share {
				terms = append(terms, times(r.size[d], fee*(own-share))...)
			}
		}
	}
	return terms
}

// hedges bounds shares of providers, chipmakers, regions and chips.
func (r *recourse) hedges() {
	all := slices.Clone(r.m.Portfolio.Hedges)
	if r.m.ask.hedge != nil {
		all = append(all, *r.m.ask.hedge)
	}
	for _, h := range all {
		from, to := r.m.start, r.m.end
		if h.From != nil {
			from = h.From.Time
		}
		if h.To != nil {
			to = h.To.Time
		}
		for _, value := range r.m.values(string(h.Of)) {
			if h.Which != "" && !strings.EqualFold(h.Which, value) {
				continue
			}
			for _, w := range r.m.hedgeWindows(h, r.m.parts(from, to)) {
				r.hedge(h, value, w)
			}
		}
	}
}

// hedgeWindows are the periods of the plan, or years of them.
func (m *model) hedgeWindows(h plan.Hedge, parts []float64) []span {
	var all []span
	end := m.start
	for t, part := range parts {
		if part <= 0 {
			continue
		}
		if h.Per == "" || len(all) == 0 || !m.Periods[t].From.Before(end) {
			all = append(all, span{part: map[int]float64{}, first: t})
			if h.Per != "" {
				end = h.Per.Next(m.Periods[t].From)
			}
		}
		all[len(all)-1].part[t] = part
		all[len(all)-1].due = t
	}
	return all
}

func (h hedgeName) String() string {
	if h.Name != "" {
		return h.Name
	}
	return fmt.Sprintf("share of %s %s", h.Of, h.value)
}

type hedgeName struct {
	plan.Hedge
	value string
}

func (r *recourse) hedge(h plan.Hedge, value string, w span) {
	name := hedgeName{h, value}.String()
	if h.AtMost != nil {
		if terms, has := r.shareTerms(string(h.Of), value, h.Measure, w, nil, h.AtMost.InexactFloat64()); has {
			words := fmt.Sprintf("at most %s of %s on %s", percent(h.AtMost.InexactFloat64()), measureWord(h.Measure), value)
			info := r.info(rowHedge, name, w.due, words)
			info.share = h.AtMost.InexactFloat64()
			r.limit(info, -inf, 0, terms)
		}
	}
	if h.AtLeast != nil {
		if terms, _ := r.shareTerms(string(h.Of), value, h.Measure, w, nil, h.AtLeast.InexactFloat64()); len(terms) > 0 {
			words := fmt.Sprintf("at least %s of %s on %s", percent(h.AtLeast.InexactFloat64()), measureWord(h.Measure), value)
			info := r.info(rowHedge, name, w.due, words)
			info.share = h.AtLeast.InexactFloat64()
			r.limit(info, 0, inf, terms)
		}
	}
}

func percent(share float64) string { return fmt.Sprintf("%.3g%%", 100*share) }

func measureWord(m contract.Measure) string {
	if m == "" {
		return string(contract.Spend)
	}
	return string(m)
}

// survive asks that without any one provider or chipmaker, a share of critical
// demand can be moved to what is left: nodes in use (other work makes room),
// capacity held under contracts, and what can be had at once on demand.
func (r *recourse) survive() {
	for _, s := range r.m.Portfolio.Survive {
		for _, value := range r.m.values(string(s.Of)) {
			for t, period := range r.m.Periods {
				if s.From == nil || !period.From.Before(s.From.Time) {
					r.surviveLoss(s, value, t)
				}
			}
		}
	}
}

func (r *recourse) surviveLoss(s plan.Survival, value string, t int) {
	moved := make([][]lp.Term, len(r.m.groups))
	asked := false
	for w, work := range r.m.works {
		if !work.Critical || r.f.demand[w][t] == 0 || work.Total > 0 {
			continue
		}
		var serve []lp.Term
		for g, group := range r.m.groups {
			o := r.m.offers[r.m.lines[group.lines[0]].offer]
			if r.placed[w][g][t] == none || strings.EqualFold(o.is(string(s.Of)), value) {
				continue
			}
			v := r.m.lp.Add("moved without "+value, 0, inf, 0, lp.Continuous)
			serve = append(serve, lp.Term{Var: v, Coefficient: r.eta(w, g, t)})
			moved[g] = append(moved[g], lp.Term{Var: v, Coefficient: 1})
		}
		asked = true
		share := s.Share.InexactFloat64()
		words := fmt.Sprintf("%s of %s can be served without %s", percent(share), work.Name, value)
		r.limit(r.info(rowSurvive, value, t, words), share*r.f.demand[w][t], inf, serve)
	}
	if !asked {
		return
	}
	for g := range r.m.groups {
		if terms, bounded := r.available(g, t); len(moved[g]) > 0 && bounded {
			free := 0.0
			for i := range terms {
				if terms[i].Var == none {
					free += terms[i].Coefficient
				}
			}
			terms = slices.DeleteFunc(terms, func(term lp.Term) bool { return term.Var == none })
			r.m.row(r.info(rowGroup, "survival", t, "what is left without "+value), -free, inf, append(terms, negated(moved[g])...)...)
		}
	}
}

// available is the chips of a group that could be used at once; a term without
// a variable is a constant. It is unbounded where an offer without limit can surge.
func (r *recourse) available(g, t int) (terms []lp.Term, bounded bool) {
	for _, l := range r.m.groups[g].lines {
		o := r.m.offers[r.m.lines[l].offer]
		chips, capacity := float64(o.Chips), r.f.capacity[r.m.lines[l].offer][t]
		if o.deal != "" {
			terms = append(terms, times(r.heldBy(r.m.lines[l].offer, t), -chips)...)
			continue
		}
		if o.Surge > 0 && math.IsInf(capacity, 1) {
			return nil, false
		}
		used := 1.0
		if o.Surge > 0 {
			used = 1 - o.Surge
			terms = append(terms, lp.Term{Var: none, Coefficient: chips * o.Surge * capacity})
		}
		for _, c := range r.byLine[l][t] {
			terms = append(terms, lp.Term{Var: r.columns[c].v, Coefficient: chips * used})
		}
	}
	return terms, true
}

// finance follows cash from period to period and keeps it above its floor.
func (r *recourse) finance() {
	f := r.m.Portfolio.Financing
	if f == nil {
		return
	}
	for _, inflow := range f.Inflows {
		r.inflow(inflow)
	}
	scale := r.m.scale
	before := float(f.Cash) / scale
	var last lp.Var
	for t := range r.m.Periods {
		floor := float(f.Floor) / scale
		low := floor
		if r.m.ask.soft {
			low = -inf
		}
		v := r.m.lp.Add("cash at the end of "+r.m.Periods[t].Label(), low, inf, 0, lp.Continuous)
		if r.m.ask.soft {
			lack := r.m.lp.Add("cash below its floor", 0, inf, 0, lp.Continuous)
			r.hurt(t, lp.Term{Var: lack, Coefficient: scale})
			r.m.row(r.info(rowLink, "cash", t, "cash floor"), floor, inf, lp.Term{Var: v, Coefficient: 1}, lp.Term{Var: lack, Coefficient: 1})
			r.slacks = append(r.slacks, slackVar{"cash below its floor in " + r.m.Periods[t].Label(), lack})
		}
		terms := append([]lp.Term{{Var: v, Coefficient: 1}}, r.spend[t]...)
		terms = append(terms, negated(r.gains[t])...)
		fixed := (r.f.income[t] - r.f.costs[t]) / scale
		if t == 0 {
			fixed += before
		} else {
			terms = append(terms, lp.Term{Var: last, Coefficient: -1})
		}
		fixed += r.certain(t) / scale
		r.m.row(r.info(rowCash, "cash", t, "cash"), fixed, fixed, terms...)
		r.cash = append(r.cash, v)
		last = v
	}
}

// certain is the inflows of a period that depend on no contract.
func (r *recourse) certain(t int) float64 {
	sum := 0.0
	for _, inflow := range r.m.Portfolio.Financing.Inflows {
		if inflow.Requires == "" && r.m.periodAt(inflow.At.Time) == t {
			sum += float(inflow.Amount)
		}
	}
	return sum
}

// periodAt is the period that holds a time; −1 outside the horizon.
func (p *Problem) periodAt(at time.Time) int {
	if at.Before(p.start) {
		return -1
	}
	return p.periodOf(at)
}

// inflow receives money that hangs on a contract: in futures in which that is
// blocked for ever, never; a tranche counts as a gain by its part.
func (r *recourse) inflow(i plan.Inflow) {
	t := r.m.periodAt(i.At.Time)
	if i.Requires == "" || t < 0 || r.m.ask.without[i.Name] {
		return
	}
	counts := 0.0
	if i.Counts != nil {
		counts = i.Counts.InexactFloat64()
	}
	for d, deal := range r.m.deals {
		if deal.Contract != i.Requires || r.f.terms[d] == nil {
			continue
		}
		at := max(t, r.m.periodOf(r.f.terms[d].contract.Term.From.Time))
		for _, term := range times(r.sign[d], float(i.Amount)) {
			r.gain(at, lp.Term{Var: term.Var, Coefficient: term.Coefficient * counts})
			r.gains[at] = append(r.gains[at], lp.Term{Var: term.Var, Coefficient: term.Coefficient / r.m.scale})
		}
	}
}
