package planner

import (
	"math"
	"math/big"
	"strconv"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// use is usage of a line in one period, rounded up to whole node-hours.
type use struct {
	line, period int
	option       string // where it differs from the line's
	list         float64
	nodeHours    int64
}

// bill is what billing says of a schedule.
type bill struct {
	byPeriod []int64 // micro-units invoiced
	byYear   map[int]int64
	total    int64
	withheld int64
	standing []billing.Status
}

// contractsOf returns the contracts in force in a future, at their sizes.
func (p *Problem) contractsOf(f *future, first *decided) []*contract.Contract {
	var all []*contract.Contract
	for d := range p.deals {
		if first.Sign[d] > 0.5 && first.Size[d] > 0 && f.terms[d] != nil {
			c := sized(f.terms[d].contract, first.Size[d])
			if len(c.Clauses) > 0 {
				all = append(all, c)
			}
		}
	}
	return all
}

// billOf asks billing what usage costs under contracts.
func (p *Problem) billOf(contracts []*contract.Contract, uses []use) (*bill, error) {
	book, err := billing.NewBook(contracts)
	if err != nil {
		return nil, err
	}
	for _, u := range uses {
		line, err := book.Line(p.billed(u))
		if err != nil {
			return nil, err
		}
		t := p.Periods[u.period]
		if err := book.Add(line, t.From, t.To, billing.QuantityOf(big.NewRat(u.nodeHours, 1))); err != nil {
			return nil, err
		}
	}
	b := &bill{byPeriod: make([]int64, len(p.Periods)), byYear: map[int]int64{}}
	book.Settle(p.start, p.end, func(c billing.Charge) {
		if c.To.Before(p.start) || !c.From.Before(p.end) {
			return
		}
		if !c.Category.Invoiced() {
			b.withheld += c.Billed
			return
		}
		b.total += c.Billed
		b.byPeriod[p.periodOf(c.From)] += c.Billed
		b.byYear[c.From.Year()] += c.Billed
	})
	b.standing = book.Status()
	return b, nil
}

// billed is usage as billing knows it.
func (p *Problem) billed(u use) billing.Line {
	l := p.lines[u.line]
	subject := p.subject(l)
	if u.option != "" {
		subject.Option = u.option
	}
	return billing.Line{
		Subject: subject, ListRate: strconv.FormatFloat(u.list, 'f', -1, 64), Currency: p.Portfolio.Currency, Chips: p.offers[l.offer].Chips,
	}
}

// useKey is what makes usage one line of a bill.
type useKey struct {
	line, period int
	option       string
	list         float64
}

func (c column) key() useKey { return useKey{c.line, c.period, c.option, c.list} }

// uses is the schedule of a future, rounded up to whole node-hours.
func (a *answer) uses(r *recourse) []use {
	index := map[useKey]int{}
	var all []use
	var exact []float64
	for _, c := range r.columns {
		nodes := a.Values[c.v]
		if nodes < 1e-7 {
			continue
		}
		k := c.key()
		at, known := index[k]
		if !known {
			at = len(all)
			index[k] = at
			all, exact = append(all, use{line: c.line, period: c.period, option: c.option, list: c.list}), append(exact, 0)
		}
		exact[at] += nodes * a.Periods[c.period].Hours()
	}
	for i := range all {
		all[i].nodeHours = wholeUp(exact[i])
	}
	return all
}

// wholeUp rounds up, but for what is solver noise.
func wholeUp(x float64) int64 { return int64(math.Ceil(x - 1e-5*math.Max(1, math.Abs(x)*1e-4))) }

// capital is what a future pays that is no bill: purchases, porting, signing.
func (p *Problem) capital(a *answer, first *decided, f *future) []int64 {
	sums := make([]int64, len(p.Periods))
	book := func(t int, amount contract.Number, times float64) {
		if t >= 0 {
			sums[t] += units.AmountOfRat(new(big.Rat).Mul(amount.Exact(), new(big.Rat).SetFloat64(times)), p.Portfolio.Currency).Micros
		}
	}
	for i, b := range a.recourse[0].buys {
		book(b.period, p.Portfolio.Purchases[b.purchase].NodePrice, math.Round(first.Buy[i]))
	}
	for i, b := range a.recourse[0].ports {
		_, options := p.qualified(b.model)
		for _, option := range options {
			if option.Family == b.family {
				book(b.period, option.Cost, first.Port[i])
			}
		}
	}
	for i, d := range p.deals {
		if d.Cost != nil && !d.fixed {
			book(p.periodOf(d.start), *d.Cost, first.Sign[i])
		}
	}
	return sums
}

func (p *Problem) amount(micros int64) units.Amount {
	return units.Amount{Micros: micros, Currency: p.Portfolio.Currency}
}

// committed is what signed contracts oblige to spend in each period, spread
// evenly over their windows.
func (p *Problem) committed(f *future, first *decided) []float64 {
	sums := make([]float64, len(p.Periods))
	for d, k := range f.terms {
		if k == nil || first.Sign[d] < 0.5 {
			continue
		}
		for _, b := range k.bundles {
			for t, fee := range b.fee {
				sums[t] += fee * first.Size[d]
			}
		}
		spread := func(w span, money float64) {
			hours := 0.0
			for _, t := range sortedPeriods(w.part) {
				hours += w.part[t] * p.Periods[t].Hours()
			}
			for _, t := range sortedPeriods(w.part) {
				sums[t] += money * first.Size[d] * w.part[t] * p.Periods[t].Hours() / hours
			}
		}
		for _, fl := range k.floors {
			for i, w := range fl.windows {
				if !fl.subtotal || i == len(fl.windows)-1 {
					spread(w, w.amount)
				}
			}
		}
		for _, tk := range k.takes {
			for _, w := range tk.windows {
				spread(w, w.amount*tk.price)
			}
		}
	}
	return sums
}
