package planner

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// question is what is asked of a problem beyond itself: the plan's own
// decisions held fixed, a provider left, a contract forced or refused.
type question struct {
	futures  []future            // in place of the problem's own
	hold     policy              // what is decided, fixed; nil: nothing is, NaN: this is not
	free     time.Time           // with hold: what is decided from then on is not fixed; zero: all is
	sign     map[string]bool     // contracts that must, or must not, be signed
	avoid    func(offer) bool    // offers not to be used
	from     time.Time           // of avoiding
	without  map[string]bool     // inflows and covenants (contract/clause) left out
	hedge    *plan.Hedge         // a further one
	reprice  func(offer) float64 // factor on the price of an offer
	soft     bool                // what must hold may be broken, at a price, and is reported
	tilt     *decided            // prices on the first stage, in money: of a decomposition
	weighted bool                // keep λ where there is one future
}

type rowKind string

const (
	rowDemand    rowKind = "demand"
	rowCapacity  rowKind = "capacity"
	rowGroup     rowKind = "group" // definitional: work placed on nodes taken
	rowCover     rowKind = "cover"
	rowFloor     rowKind = "floor"
	rowTake      rowKind = "take"
	rowCovenant  rowKind = "covenant"
	rowCap       rowKind = "cap"
	rowHedge     rowKind = "hedge"
	rowSurvive   rowKind = "survival"
	rowQualified rowKind = "qualification"
	rowCash      rowKind = "cash"
	rowExclusive rowKind = "exclusivity"
	rowSign      rowKind = "signing"
	rowLink      rowKind = "link"
	rowDraw      rowKind = "draw"  // usage against what was prepaid
	rowForce     rowKind = "force" // a signed contract's price in place of list
	rowSite      rowKind = "site"
	rowTier      rowKind = "tiers"
	rowWarrant   rowKind = "warrant"
)

// rowInfo says what a constraint is, in the user's words.
type rowInfo struct {
	kind    rowKind
	subject string // of the portfolio: the name of an offer, a demand, a clause
	period  int    // −1 where it is about no one period
	future  int    // −1 for the first stage
	words   string
	base    string  // the words without the period and the future; empty where there is neither
	share   float64 // of a row about a share: the share; the row's terms then say what it is taken of
	most    float64 // of a row about an amount behind a binary: the amount, in the row's units
}

// firstRow is a constraint on the first stage.
func firstRow(kind rowKind, subject, words string) rowInfo {
	return rowInfo{kind: kind, subject: subject, period: -1, future: -1, words: words}
}

// model is a linear program with the meaning of its variables.
type model struct {
	*Problem
	lp      *lp.Model
	ask     question
	futures []future
	scale   float64 // money of the portfolio in one unit of the program's
	info    []rowInfo
	disc    []float64 // by period

	recourse []*recourse
	dearest  float64 // price of a unit of work not served where that must not be
}

type buying struct {
	purchase, offer, period int
	ready                   time.Time
	v                       lp.Var
}

type port struct {
	model, family string
	period        int
	ready         time.Time
	cost          float64
	v             lp.Var
}

// build writes the program of a problem and a question.
func (p *Problem) build(ask question) *model {
	m := &model{Problem: p, lp: &lp.Model{}, ask: ask, futures: ask.futures}
	if m.futures == nil {
		m.futures = p.futures
	}
	m.rescale()
	for _, t := range p.Periods {
		years := t.From.Add(t.To.Sub(t.From)/2).Sub(p.start).Hours() / yearHours
		m.disc = append(m.disc, math.Pow(1+p.Portfolio.Risk.Discount, -years))
	}
	for s := range m.futures {
		m.recourse = append(m.recourse, newRecourse(m, s))
	}
	m.addDeals()
	m.addBuying()
	m.addPorting()
	for _, r := range m.recourse {
		r.build()
	}
	m.objective()
	m.tiltFirst()
	m.holdFirst()
	return m
}

// rescale picks the unit of money so that costs of a whole plan are around 1e5:
// solvers work to absolute tolerances.
func (m *model) rescale() {
	total := 0.0
	for i, w := range m.works {
		best := math.Inf(1)
		for o, offered := range m.offers {
			if eta := w.eta[offered.Chip]; eta > 0 {
				cost := m.futures[0].price[o][0] / float64(offered.Chips) / eta
				best = min(best, cost)
				m.dearest = max(m.dearest, cost)
			}
		}
		if math.IsInf(best, 1) {
			continue
		}
		for t, period := range m.Periods {
			if w.Total == 0 {
				total += best * m.futures[0].demand[i][t] * period.Hours()
			}
		}
		total += best * w.Total
	}
	m.scale = 1
	for m.scale < total/1e5 {
		m.scale *= 10
	}
}

func (m *model) row(info rowInfo, lower, upper float64, terms ...lp.Term) lp.Row {
	m.info = append(m.info, info)
	return m.lp.Constrain(info.words, lower, upper, terms...)
}

var inf = math.Inf(1)

// addDeals makes the decisions to sign: one for all futures that cannot be told
// apart on the day.
func (m *model) addDeals() {
	for _, d := range m.deals {
		for _, group := range m.branches(d.start) {
			m.addDeal(d, group)
		}
	}
	said := map[string]bool{}
	m.eachLeaf(func(r *recourse) { m.signings(r, said) })
}

func (m *model) addDeal(d deal, futures []int) {
	low, high := 0.0, 1.0
	if d.fixed {
		low = 1
	}
	if must, asked := m.ask.sign[d.Contract]; asked && !d.fixed {
		if high = 0; must {
			high = 1
		}
	}
	sign := m.lp.Add("sign "+d.label, low, high, 0, lp.Integer)
	signed := lp.Term{Var: sign, Coefficient: 1}
	size := signed
	if d.Size != nil {
		size = m.addSize(d, signed)
	}
	for _, s := range futures {
		r := m.recourse[s]
		r.sign, r.size = append(r.sign, []lp.Term{signed}), append(r.size, []lp.Term{size})
	}
	if d.Cost != nil && !d.fixed {
		m.payAll(futures, m.periodOf(d.start), sign, float(*d.Cost))
	}
}

// signings binds what is signed on one path. A row that another path has already
// is not said again.
func (m *model) signings(r *recourse, said map[string]bool) {
	byContract := map[string][]lp.Term{}
	for i, d := range m.deals {
		byContract[d.Contract] = append(byContract[d.Contract], r.sign[i]...)
	}
	row := func(d deal, words string, lower, upper float64, terms []lp.Term) {
		if key := fmt.Sprint(words, terms); !said[key] {
			said[key] = true
			m.row(firstRow(rowSign, d.Contract, words), lower, upper, terms...)
		}
	}
	for _, d := range m.uniqueDeals() {
		starts := byContract[d.Contract]
		must, asked := m.ask.sign[d.Contract]
		switch {
		case asked && must && !d.fixed:
			row(d, d.Contract+" is signed", 1, 1, starts)
		case len(starts) > 1:
			row(d, d.Contract+" starts once", -inf, 1, starts)
		}
		for _, other := range d.Requires {
			row(d, d.Contract+" requires "+other, -inf, 0, append(slices.Clone(starts), negated(byContract[other])...))
		}
		for _, other := range d.Excludes {
			row(d, d.Contract+" excludes "+other, -inf, 1, append(slices.Clone(starts), byContract[other]...))
		}
	}
}

// addSize makes the variable of a contract that is signed in sizes.
func (m *model) addSize(d deal, signed lp.Term) lp.Term {
	step, kind, high := 1.0, lp.Continuous, d.Size.Max
	if d.Size.Step > 0 {
		step, kind, high = d.Size.Step, lp.Integer, math.Floor(d.Size.Max/d.Size.Step+1e-9)
	}
	v := m.lp.Add("size of "+d.label, 0, high, 0, kind)
	m.row(firstRow(rowLink, d.Contract, "size of "+d.label+" needs signing"), -inf, 0,
		lp.Term{Var: v, Coefficient: 1}, lp.Term{Var: signed.Var, Coefficient: -high})
	if d.Size.Min > 0 {
		m.row(firstRow(rowLink, d.Contract, "least size of "+d.label), 0, inf,
			lp.Term{Var: v, Coefficient: step}, lp.Term{Var: signed.Var, Coefficient: -d.Size.Min})
	}
	return lp.Term{Var: v, Coefficient: step}
}

func (m *model) uniqueDeals() []deal {
	var unique []deal
	seen := map[string]bool{}
	for _, d := range m.deals {
		if !seen[d.Contract] {
			seen[d.Contract] = true
			unique = append(unique, d)
		}
	}
	return unique
}

func negated(terms []lp.Term) []lp.Term { return times(terms, -1) }

func times(terms []lp.Term, by float64) []lp.Term {
	out := make([]lp.Term, len(terms))
	for i, t := range terms {
		out[i] = lp.Term{Var: t.Var, Coefficient: t.Coefficient * by}
	}
	return out
}

// periodOf returns the period that holds the time, the first for times before
// the horizon, −1 past its end.
func (p *Problem) periodOf(at time.Time) int {
	for i, t := range p.Periods {
		if at.Before(t.To) {
			return i
		}
	}
	return -1
}

// payAll books a cost of a decision: the same in every future that shares it.
func (m *model) payAll(futures []int, period int, v lp.Var, amount float64) {
	if period < 0 {
		return
	}
	for _, s := range futures {
		m.recourse[s].pay(period, lp.Term{Var: v, Coefficient: amount})
	}
}

// options bounds the number of dates at which one thing may be decided.
const options = 8

// dates picks periods spread over [0, last) for decisions that could be taken at any.
func dates(last int) []int {
	step := max(1, (last+options-1)/options)
	var all []int
	for t := 0; t < last; t += step {
		all = append(all, t)
	}
	return all
}

// buyingOptions lists what could be bought, and when.
func (p *Problem) buyingOptions() []buying {
	var all []buying
	for o, offered := range p.offers {
		if offered.purchase < 0 {
			continue
		}
		purchase := p.Portfolio.Purchases[offered.purchase]
		for _, t := range dates(len(p.Periods)) {
			at := p.Periods[t].From
			if purchase.Until == nil || !at.After(purchase.Until.Time) {
				all = append(all, buying{purchase: offered.purchase, offer: o, period: t, ready: purchase.Lead.After(at)})
			}
		}
	}
	return all
}

// addBuying makes the decisions to buy hardware.
func (m *model) addBuying() {
	for _, b := range m.buyingOptions() {
		for _, group := range m.branches(m.Periods[b.period].From) {
			m.addBuy(b, group)
		}
	}
	said := map[string]bool{}
	m.eachLeaf(func(r *recourse) { m.buyingLimits(r, said) })
}

func (m *model) addBuy(b buying, futures []int) {
	purchase := m.Portfolio.Purchases[b.purchase]
	limit, kind := inf, lp.Integer
	if purchase.Capacity != nil {
		limit = *purchase.Capacity
	}
	if limit > 1000 {
		kind = lp.Continuous // a part of a node in a thousand does not matter
	}
	b.v = m.lp.Add(fmt.Sprintf("buy %s in %s", purchase.Name, m.Periods[b.period].Label()), 0, limit, 0, kind)
	m.payAll(futures, b.period, b.v, float(purchase.NodePrice))
	end := purchase.Life.After(b.ready)
	left := (plan.Period{From: b.ready, To: end}).Part(m.end, end)
	for _, s := range futures {
		r := m.recourse[s]
		r.buys = append(r.buys, b)
		if left > 0 { // what it is still worth at the end counts, but is no cash
			r.gain(len(m.Periods)-1, lp.Term{Var: b.v, Coefficient: float(purchase.NodePrice) * left})
		}
	}
}

// buyingLimits binds what is bought at all dates of one path.
func (m *model) buyingLimits(r *recourse, said map[string]bool) {
	for o, offered := range m.offers {
		if offered.purchase < 0 || offered.Capacity == nil {
			continue
		}
		var terms []lp.Term
		for _, b := range r.buys {
			if b.offer == o {
				terms = append(terms, lp.Term{Var: b.v, Coefficient: 1})
			}
		}
		if key := fmt.Sprint(terms); len(terms) > 0 && !said[key] {
			said[key] = true
			name := m.Portfolio.Purchases[offered.purchase].Name
			m.row(firstRow(rowCapacity, name, "at most so many of "+name+" can be bought"), -inf, *offered.Capacity, terms...)
		}
	}
}

// portingOptions lists what could be ported, and when.
func (p *Problem) portingOptions() []port {
	var all []port
	seen := map[string]bool{}
	for _, w := range p.works {
		_, porting := p.qualified(w.Model)
		for _, option := range porting {
			key := w.Model + " " + option.Family
			for _, t := range dates(len(p.Periods)) {
				if ready := option.Takes.After(p.Periods[t].From); !seen[key] && ready.Before(p.end) {
					all = append(all, port{model: w.Model, family: option.Family, period: t, ready: ready, cost: float(option.Cost)})
				}
			}
			seen[key] = true
		}
	}
	return all
}

// addPorting makes the decisions to validate a model on another chip family.
func (m *model) addPorting() {
	for _, b := range m.portingOptions() {
		for _, group := range m.branches(m.Periods[b.period].From) {
			b.v = m.lp.Add(fmt.Sprintf("port %s to %s in %s", b.model, b.family, m.Periods[b.period].Label()), 0, 1, 0, lp.Integer)
			m.payAll(group, b.period, b.v, b.cost)
			for _, s := range group {
				m.recourse[s].ports = append(m.recourse[s].ports, b)
			}
		}
	}
	said := map[string]bool{}
	m.eachLeaf(func(r *recourse) {
		once := map[string][]lp.Term{}
		for _, b := range r.ports {
			once[b.model+" to "+b.family] = append(once[b.model+" to "+b.family], lp.Term{Var: b.v, Coefficient: 1})
		}
		for _, name := range slices.Sorted(maps.Keys(once)) {
			if key := fmt.Sprint(once[name]); !said[key] {
				said[key] = true
				m.row(firstRow(rowSign, name, "porting "+name+" once"), -inf, 1, once[name]...)
			}
		}
	})
}

// objective adds the costs of the futures: (1−λ)·expected + λ·CVaR.
func (m *model) objective() {
	weight, tail := m.Portfolio.Risk.Weight, m.Portfolio.Risk.Tail
	if len(m.futures) == 1 && !m.ask.weighted {
		weight = 0
	}
	var worst lp.Var
	if weight > 0 {
		worst = m.lp.Add("cost at the edge of the worst futures", -inf, inf, weight, lp.Continuous)
	}
	for s, r := range m.recourse {
		for _, term := range r.cost {
			m.lp.AddCost(term.Var, (1-weight)*m.futures[s].probability*term.Coefficient)
		}
		if weight == 0 {
			continue
		}
		over := m.lp.Add("cost beyond the edge in "+m.futures[s].name, 0, inf, weight/(1-tail)*m.futures[s].probability, lp.Continuous)
		terms := append(negated(r.cost), lp.Term{Var: over, Coefficient: 1}, lp.Term{Var: worst, Coefficient: 1})
		r.riskRow = int(m.row(rowInfo{kind: rowLink, subject: "risk", period: -1, future: s, words: "cost of " + m.futures[s].name}, 0, inf, terms...))
	}
}

// holdFirst fixes what is decided where the question asks for it.
func (m *model) holdFirst() {
	if m.ask.hold == nil {
		return
	}
	for s, r := range m.recourse {
		m.holdPath(r, m.ask.hold.in(s))
	}
}

func (m *model) holdPath(r *recourse, hold *decided) {
	fix := func(v lp.Var, value float64) {
		if !math.IsNaN(value) {
			m.lp.Fix(v, value)
		}
	}
	open := func(at time.Time) bool { return !m.ask.free.IsZero() && !at.Before(m.ask.free) }
	for i, d := range m.deals {
		if open(d.start) {
			continue
		}
		fix(r.sign[i][0].Var, math.Round(hold.Sign[i]))
		if size := r.size[i][0]; size.Var != r.sign[i][0].Var {
			fix(size.Var, math.Round(hold.Size[i]/size.Coefficient*1e9)/1e9)
		}
	}
	for i, b := range r.buys {
		if !open(m.Periods[b.period].From) {
			fix(b.v, hold.Buy[i])
		}
	}
	for i, b := range r.ports {
		if !open(m.Periods[b.period].From) {
			fix(b.v, math.Round(hold.Port[i]))
		}
	}
}

// tiltFirst adds prices to what is decided: of one future by itself.
func (m *model) tiltFirst() {
	q := m.ask.tilt
	if q == nil {
		return
	}
	add := func(v lp.Var, price float64) { m.lp.AddCost(v, price/m.scale) }
	r := m.recourse[0]
	for i := range m.deals {
		add(r.sign[i][0].Var, q.Sign[i])
		add(r.size[i][0].Var, q.Size[i]*r.size[i][0].Coefficient)
	}
	for i, b := range r.buys {
		add(b.v, q.Buy[i])
	}
	for i, b := range r.ports {
		add(b.v, q.Port[i])
	}
}

// exact reads what one future decides as it stands, not rounded.
func (r *recourse) exact(values []float64) *decided {
	d := &decided{}
	for i := range r.sign {
		d.Sign = append(d.Sign, values[r.sign[i][0].Var])
		d.Size = append(d.Size, values[r.size[i][0].Var]*r.size[i][0].Coefficient)
	}
	for _, b := range r.buys {
		d.Buy = append(d.Buy, values[b.v])
	}
	for _, b := range r.ports {
		d.Port = append(d.Port, values[b.v])
	}
	return d
}

// policy reads out of a solution what is decided in each future.
func (m *model) policy(values []float64) policy {
	all := make(policy, len(m.futures))
	for _, group := range alike(m.futures, allSeen()) {
		d := m.recourse[group[0]].exact(values)
		for i := range d.Sign {
			d.Sign[i], d.Size[i] = math.Round(d.Sign[i]), math.Round(d.Size[i]*1e6)/1e6
		}
		for i := range d.Port {
			d.Port[i] = math.Round(d.Port[i])
		}
		for _, s := range group {
			all[s] = d
		}
	}
	return all
}
