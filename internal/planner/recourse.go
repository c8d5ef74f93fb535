package planner

import (
	"fmt"
	"math"

	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// recourse is what can still be decided in one future: where work runs and
// what is paid.
type recourse struct {
	m *model
	s int
	f *future
	choices

	placed     [][][]lp.Var // by work, group, period: chips at work; none where absent
	columns    []column
	byLine     [][][]int // by line and period: its columns
	unserved   []missing
	breaches   []breachVar
	shorts     []shortVar
	slacks     []slackVar
	vested     []vestVar
	reductions []reduction
	cash       []lp.Var
	cost       []lp.Term   // in the program's money, discounted
	spend      [][]lp.Term // by period, in the program's money: cash paid for compute
	gains      [][]lp.Term // by period: cash received beside the plan's own income
	riskRow    int
	rivals     [][]int // by line; nil until asked for
	demandRow  [][]int // by work and period
}

const none lp.Var = -1

// column is nodes of a line taken in a period from one source.
type column struct {
	line, period int
	deal, bundle int // the source: −1 for the line's price; bundle −1 for a contract's rate
	rate, list   float64
	base         float64 // before discounts that stack: what tiers measure
	option       string
	v            lp.Var
}

type missing struct {
	work, period int
	v            lp.Var
	price        float64
	hours        float64
}

type breachVar struct {
	deal   int
	label  string
	period int
	loss   float64
	v      lp.Var
}

type shortVar struct {
	deal   int
	label  string
	period int
	price  float64 // of a unit
	v      lp.Var
	kind   string
}

// slackVar is a limit that a soft question lets break.
type slackVar struct {
	words string
	v     lp.Var
}

func newRecourse(m *model, s int) *recourse {
	n := len(m.Periods)
	return &recourse{m: m, s: s, f: &m.futures[s], spend: make([][]lp.Term, n), gains: make([][]lp.Term, n), riskRow: -1}
}

func (r *recourse) info(kind rowKind, subject string, period int, words string) rowInfo {
	base := words
	if period >= 0 {
		words += " in " + r.m.Periods[period].Label()
	}
	if len(r.m.futures) > 1 {
		words += " (" + r.f.name + ")"
	}
	return rowInfo{kind: kind, subject: subject, period: period, future: r.s, words: words, base: base}
}

// pay books money paid in a period: term's coefficient is money per unit.
func (r *recourse) pay(period int, term lp.Term) {
	term.Coefficient /= r.m.scale
	if term.Coefficient == 0 {
		return
	}
	r.spend[period] = append(r.spend[period], term)
	term.Coefficient *= r.m.disc[period]
	r.cost = append(r.cost, term)
}

// hurt counts a cost that is no cash, such as work not served.
func (r *recourse) hurt(period int, term lp.Term) {
	term.Coefficient *= r.m.disc[period] / r.m.scale
	r.cost = append(r.cost, term)
}

// gain counts a benefit that is no cash.
func (r *recourse) gain(period int, term lp.Term) {
	term.Coefficient = -term.Coefficient
	r.hurt(period, term)
}

func (r *recourse) build() {
	r.place()
	r.take()
	r.capacity()
	r.sites()
	r.serve()
	for d, t := range r.f.terms {
		if t != nil {
			r.reduce(d, t)
		}
	}
	for d, t := range r.f.terms {
		if t != nil {
			r.dealTerms(d, t)
		}
	}
	r.qualify()
	r.hedges()
	r.survive()
	r.finance()
}

// place makes the variables of work on groups, in chips.
func (r *recourse) place() {
	for w, work := range r.m.works {
		byGroup := make([][]lp.Var, len(r.m.groups))
		for g, group := range r.m.groups {
			byGroup[g] = make([]lp.Var, len(r.m.Periods))
			for t := range r.m.Periods {
				byGroup[g][t] = none
				if r.f.demand[w][t] > 0 && work.runs(group) && r.eta(w, g, t) > 0 {
					byGroup[g][t] = r.m.lp.Add(fmt.Sprintf("chips of %s %s for %s in %s", group.provider, group.chip, work.Name, r.m.Periods[t].Label()), 0, inf, 0, lp.Continuous)
				}
			}
		}
		r.placed = append(r.placed, byGroup)
	}
}

// eta is the units of work that a chip of the group does in an hour.
func (r *recourse) eta(w, g, t int) float64 {
	name := r.m.groups[g].chip
	return r.m.works[w].eta[name] * r.f.factor[w][name][t]
}

// useful is the chips of a group that all its work could use in a period.
func (r *recourse) useful(g, t int) float64 {
	chips := 0.0
	for w, work := range r.m.works {
		if r.placed[w][g][t] == none {
			continue
		}
		rate := r.f.demand[w][t]
		if work.Total > 0 {
			rate = work.Total / r.m.Periods[t].Hours()
			if work.Most > 0 {
				rate = min(rate, work.Most)
			}
		} else if work.Class == plan.Batch {
			rate = 0
			for _, other := range r.f.demand[w] {
				rate = max(rate, 3*other)
			}
		}
		chips += rate / r.eta(w, g, t)
	}
	return chips
}

// capacity binds nodes taken to nodes there are, and chips at work to nodes taken.
func (r *recourse) capacity() {
	for o := range r.m.offers {
		for t := range r.m.Periods {
			r.offerCapacity(o, t)
		}
	}
	for g, group := range r.m.groups {
		for t := range r.m.Periods {
			var terms []lp.Term
			for w := range r.m.works {
				if v := r.placed[w][g][t]; v != none {
					terms = append(terms, lp.Term{Var: v, Coefficient: -1})
				}
			}
			if len(terms) == 0 {
				continue
			}
			for _, l := range group.lines {
				for _, c := range r.byLine[l][t] {
					terms = append(terms, lp.Term{Var: r.columns[c].v, Coefficient: float64(r.m.offers[r.m.lines[l].offer].Chips)})
				}
			}
			r.m.row(r.info(rowGroup, group.provider+" "+group.chip, t, "chips of "+group.provider+" "+group.chip), 0, inf, terms...)
		}
	}
}

func (r *recourse) offerCapacity(o, t int) {
	offered, limit := r.m.offers[o], r.f.capacity[o][t]
	var terms []lp.Term
	for _, l := range r.m.linesOf(o) {
		for _, c := range r.byLine[l][t] {
			if column := r.columns[c]; column.bundle < 0 || !r.f.terms[column.deal].bundles[column.bundle].adds {
				terms = append(terms, lp.Term{Var: column.v, Coefficient: 1})
			}
		}
	}
	if len(terms) == 0 {
		return
	}
	words := "capacity of " + offered.Name
	switch {
	case offered.purchase >= 0:
		limit = 0
		for _, b := range r.buys {
			if b.offer == o {
				end := r.m.Portfolio.Purchases[b.purchase].Life.After(b.ready)
				terms = append(terms, lp.Term{Var: b.v, Coefficient: -r.m.Periods[t].Part(b.ready, end)})
			}
		}
	case offered.deal != "":
		terms, limit = append(terms, r.heldBy(o, t)...), 0
		words += " under " + offered.deal
	case math.IsInf(limit, 1):
		return
	}
	r.m.row(r.info(rowCapacity, offered.Name, t, words), -inf, limit, terms...)
}

// heldBy returns minus the capacity that an offer has under its contract.
func (r *recourse) heldBy(o, t int) []lp.Term {
	var terms []lp.Term
	for d, deal := range r.m.deals {
		k := r.f.terms[d]
		if deal.Contract != r.m.offers[o].deal || k == nil {
			continue
		}
		part := r.m.Periods[t].Part(k.contract.Term.From.Time, k.contract.Term.To.Time)
		capacity := r.f.capacity[o][t]
		if math.IsInf(capacity, 1) {
			capacity = r.mostNodes(o, t)
		}
		if capacity*part > 0 {
			terms = append(terms, times(r.size[d], -capacity*part)...)
		}
	}
	return terms
}

// mostNodes is how many nodes of an offer could be of use.
func (r *recourse) mostNodes(o, t int) float64 {
	nodes := 0.0
	for _, l := range r.m.linesOf(o) {
		nodes += r.lineLimit(l, t)
	}
	return nodes
}

func (p *Problem) linesOf(o int) []int {
	var lines []int
	for l := range p.lines {
		if p.lines[l].offer == o {
			lines = append(lines, l)
		}
	}
	return lines
}

func (r *recourse) lineLimit(l, t int) float64 {
	return r.useful(r.m.lines[l].group, t) / float64(r.m.offers[r.m.lines[l].offer].Chips)
}

// serve asks that work be done: traffic as it comes, programmes by their
// deadline, batch within its window.
func (r *recourse) serve() {
	for w, work := range r.m.works {
		r.demandRow = append(r.demandRow, make([]int, len(r.m.Periods)))
		for t := range r.demandRow[w] {
			r.demandRow[w][t] = -1
		}
		for _, window := range r.windows(work) {
			r.serveWindow(w, window)
		}
		if work.Total > 0 && work.Most > 0 {
			for t := range r.m.Periods {
				if terms := r.doing(w, t, 1); len(terms) > 0 {
					r.m.row(r.info(rowDemand, work.Name, t, "the most of "+work.Name+" that can be done at once"), -inf, work.Most*r.f.demand[w][t], terms...)
				}
			}
		}
	}
}

// windows lists the periods within which a class's work may be moved.
func (r *recourse) windows(w work) [][]int {
	var all [][]int
	switch {
	case w.Total > 0:
		var whole []int
		for t := range r.m.Periods {
			whole = append(whole, t)
		}
		return [][]int{whole}
	case w.Class != plan.Batch:
		for t := range r.m.Periods {
			all = append(all, []int{t})
		}
		return all
	}
	end := r.m.start
	for t, period := range r.m.Periods {
		if !period.From.Before(end) {
			all = append(all, nil)
			end = w.Every.Next(period.From)
		}
		all[len(all)-1] = append(all[len(all)-1], t)
	}
	return all
}

func (r *recourse) serveWindow(w int, window []int) {
	work := r.m.works[w]
	single := len(window) == 1
	var terms []lp.Term
	needed, hours := 0.0, 0.0
	last := window[0]
	for _, t := range window {
		length := r.m.Periods[t].Hours()
		if single {
			length = 1 // a rate, not an amount: better scaled
		}
		terms = append(terms, r.doing(w, t, length)...)
		needed += r.f.demand[w][t] * length
		hours += length
		if r.f.demand[w][t] > 0 {
			last = t
		}
	}
	if needed == 0 {
		return
	}
	words := "work of " + work.Name
	if work.Total > 0 {
		needed, words = work.Total*r.m.totalFactor(work, r.f), words+" by its deadline"
	}
	if price, may := r.penalty(work); may {
		amount := 1.0
		if single {
			amount = r.m.Periods[last].Hours()
		}
		v := r.m.lp.Add(words+" not served", 0, inf, 0, lp.Continuous)
		r.hurt(last, lp.Term{Var: v, Coefficient: price * amount})
		r.unserved = append(r.unserved, missing{w, last, v, price, amount})
		terms = append(terms, lp.Term{Var: v, Coefficient: 1})
	}
	row := r.m.row(r.info(rowDemand, work.Name, last, words), needed, inf, terms...)
	for _, t := range window {
		r.demandRow[w][t] = int(row)
	}
}

// softFactor is how many times the dearest chip's cost a unit of work counts
// that should have been served, where a question allows that at all.
const softFactor = 5

func (r *recourse) penalty(w work) (float64, bool) {
	if w.Unserved != nil {
		return float(*w.Unserved), true
	}
	return softFactor * r.m.dearest, r.m.ask.soft
}

// doing is the work of a class done in a period: units per hour × length.
func (r *recourse) doing(w, t int, length float64) []lp.Term {
	var terms []lp.Term
	for g := range r.m.groups {
		if v := r.placed[w][g][t]; v != none {
			terms = append(terms, lp.Term{Var: v, Coefficient: r.eta(w, g, t) * length})
		}
	}
	return terms
}

// qualify keeps work off families for which its model is not validated yet.
func (r *recourse) qualify() {
	for w, work := range r.m.works {
		families, _ := r.m.qualified(work.Model)
		if families == nil {
			continue
		}
		byFamily := map[string][]int{}
		var order []string
		for g, group := range r.m.groups {
			if among(families, group.family) {
				continue
			}
			if byFamily[group.family] == nil {
				order = append(order, group.family)
			}
			byFamily[group.family] = append(byFamily[group.family], g)
		}
		for _, family := range order {
			r.qualifyFamily(w, family, byFamily[family])
		}
	}
}

func (r *recourse) qualifyFamily(w int, family string, groups []int) {
	work := r.m.works[w]
	for t, period := range r.m.Periods {
		var terms []lp.Term
		limit := 0.0
		for _, g := range groups {
			if v := r.placed[w][g][t]; v != none {
				terms = append(terms, lp.Term{Var: v, Coefficient: r.eta(w, g, t)})
				limit = max(limit, r.useful(g, t)*r.eta(w, g, t))
			}
		}
		if len(terms) == 0 {
			continue
		}
		if work.Total == 0 && work.Class != plan.Batch {
			limit = r.f.demand[w][t]
		}
		for _, b := range r.ports {
			if b.model == work.Model && b.family == family {
				terms = append(terms, lp.Term{Var: b.v, Coefficient: -limit * period.Part(b.ready, r.m.end)})
			}
		}
		r.m.row(r.info(rowQualified, work.Model+" on "+family, t, work.Model+" runs on "+family+" only once it is validated there"), -inf, 0, terms...)
	}
}
