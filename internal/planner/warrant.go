package planner

import (
	"fmt"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// warrant is shares that vest as power is in use and their price is met.
type warrant struct {
	label    string
	power    []float64 // by line: gigawatts of a node
	tranches []vesting
}

// vesting is a tranche that has not vested yet.
type vesting struct {
	shares, gigawatts float64
	value             []float64 // by period: a gain, once, if it vests then; 0 where the price is not met
}

// addWarrant values shares at the price that the portfolio expects, as it
// stands when they vest. What vested before counts no more: it is had anyway.
func (p *Problem) addWarrant(t *terms, d deal, label string, k *contract.Warrant, lines []bool, from, to time.Time, effects []plan.Effect) {
	if d.Shares == nil {
		p.note("%s: a warrant without an expected price of the share (contracts[].shares) is given no value", label)
		return
	}
	w := warrant{label: label, power: make([]float64, len(lines))}
	for l := range lines {
		if lines[l] {
			const kilowattsPerGigawatt = 1e6
			w.power[l] = p.offers[p.lines[l].offer].Kilowatts / kilowattsPerGigawatt
		}
	}
	counts := 1.0
	if d.Shares.Counts != nil {
		counts = d.Shares.Counts.InexactFloat64()
	}
	inForce := p.parts(from, to)
	for _, tranche := range k.Tranches {
		alone := contract.Warrant{Shares: tranche.Shares, Strike: k.Strike, Tranches: []contract.Tranche{tranche}, Observations: k.Observations}
		if vested, _ := alone.Vested(p.Portfolio.AsOf.Time); vested.Sign() > 0 {
			continue
		}
		v := vesting{shares: float(tranche.Shares), gigawatts: float(tranche.Gigawatts), value: make([]float64, len(p.Periods))}
		for i := range p.Periods {
			price := p.sharePrice(d, i, effects)
			if gain := price - float(k.Strike); inForce[i] > 0 && gain > 0 && (tranche.Price == nil || price >= float(*tranche.Price)) {
				v.value[i] = counts * v.shares * gain
			}
		}
		w.tranches = append(w.tranches, v)
	}
	t.warrants = append(t.warrants, w)
}

// sharePrice is what a share is expected to be worth at the end of a period.
func (p *Problem) sharePrice(d deal, period int, effects []plan.Effect) float64 {
	price := 0.0
	for _, step := range d.Shares.Price {
		if step.From.Before(p.Periods[period].To) {
			price = step.Value
		}
	}
	return price * product(effects, plan.SharePrice, p.Periods[period], func(e plan.Effect) bool {
		return named(e.Contracts, d.Contract) && among(e.Providers, d.terms.Counterparty)
	})
}

// vest lets each tranche vest once, in a period in which enough power is in use.
func (r *recourse) vest(d int, k *warrant) {
	for n, tranche := range k.tranches {
		var once []lp.Term
		for _, t := range vestingDates(tranche.value) {
			words := fmt.Sprintf("tranche %d of %s vests", n+1, k.label)
			v := r.m.lp.Add(words, 0, 1, 0, lp.Integer)
			once = append(once, lp.Term{Var: v, Coefficient: 1})
			r.gain(t, lp.Term{Var: v, Coefficient: tranche.value[t]})
			r.vested = append(r.vested, vestVar{k.label, n, t, tranche, v})
			if tranche.gigawatts > 0 {
				terms := append(r.powerOf(k, t), lp.Term{Var: v, Coefficient: -tranche.gigawatts})
				r.m.row(r.info(rowWarrant, k.label, t, words), 0, inf, terms...)
			}
		}
		if len(once) > 0 {
			r.m.row(r.info(rowLink, k.label, -1, fmt.Sprintf("tranche %d of %s vests once", n+1, k.label)), -inf, 0, append(once, times(r.sign[d], -1)...)...)
		}
	}
}

// vestingDates picks periods in which a tranche may vest, spread over those in
// which its price is met.
func vestingDates(value []float64) []int {
	var met []int
	for t, gain := range value {
		if gain > 0 {
			met = append(met, t)
		}
	}
	var all []int
	for _, i := range dates(len(met)) {
		all = append(all, met[i])
	}
	return all
}

func (r *recourse) powerOf(k *warrant, t int) []lp.Term {
	var terms []lp.Term
	for l, power := range k.power {
		if power == 0 {
			continue
		}
		for _, c := range r.byLine[l][t] {
			terms = append(terms, lp.Term{Var: r.columns[c].v, Coefficient: power})
		}
	}
	return terms
}

// vestVar is a tranche that may vest in a period.
type vestVar struct {
	label   string
	tranche int // position among those not vested yet
	period  int
	vesting
	v lp.Var
}
