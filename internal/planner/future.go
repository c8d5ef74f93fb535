package planner

import (
	"math"
	"slices"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// Hours of a mean year, and of its twelfth.
const (
	yearHours  = 8766
	monthHours = yearHours / 12.0
)

// future is one scenario in figures of each period.
type future struct {
	name        string
	probability float64
	effects     []plan.Effect
	shown       []time.Time // by effect: when it is seen; never where zero, or absent
	whole       time.Time   // when the future as a whole is told apart; never where zero

	demand   [][]float64            // by work and period: units of work per hour, or in the period for totals
	price    [][]float64            // by offer and period: money per node-hour
	capacity [][]float64            // by offer and period: nodes; of a contract's offer, per unit of its size
	factor   []map[string][]float64 // by work and chip, by period: what throughput is multiplied by
	terms    []*terms               // by deal; nil where it is never in force
	income   []float64              // by period
	costs    []float64              // by period: what is not compute
}

func (p *Problem) addFutures() {
	scenarios := p.Portfolio.Scenarios
	if len(scenarios) == 0 {
		scenarios = []plan.Scenario{{Name: "base", Probability: 1}}
	}
	for _, s := range scenarios {
		f := p.future(s.Name, s.Probability, s.Effects)
		f.shown, f.whole = p.shown(s)
		p.futures = append(p.futures, f)
	}
}

// future works out what a scenario's effects make of every figure.
func (p *Problem) future(name string, probability float64, effects []plan.Effect) future {
	f := future{name: name, probability: probability, effects: effects}
	for _, w := range p.works {
		f.demand = append(f.demand, p.demandOf(w, effects))
		f.factor = append(f.factor, p.throughputOf(w, effects))
	}
	for _, o := range p.offers {
		f.price = append(f.price, p.priceOf(o, effects))
		f.capacity = append(f.capacity, p.capacityOf(o, effects))
	}
	for _, d := range p.deals {
		f.terms = append(f.terms, p.termsOf(d, effects, f.price))
	}
	f.income, f.costs = p.moneyOf(effects)
	return f
}

// during is the part of a period in which an effect holds.
func during(e plan.Effect, t plan.Period) float64 {
	from, to := t.From, t.To
	if e.From != nil {
		from = e.From.Time
	}
	if e.To != nil {
		to = e.To.Time
	}
	return t.Part(from, to)
}

// product multiplies the factors of the effects that concern something.
func product(effects []plan.Effect, what plan.What, t plan.Period, concerns func(plan.Effect) bool) float64 {
	factor := 1.0
	for _, e := range effects {
		if e.What == what && concerns(e) {
			factor *= 1 + (*e.Factor-1)*during(e, t)
		}
	}
	return factor
}

func (o offer) concerns(e plan.Effect) bool {
	return among(e.Providers, o.Provider) && among(e.Chipmakers, o.Chipmaker) && among(e.Chips, o.Chip) && among(e.Offers, o.Name) &&
		(len(e.Contracts) == 0 || slices.Contains(e.Contracts, o.deal))
}

// demandOf returns the mean rate of each period; of a training programme that
// has a total, the part of the period that lies in its window.
func (p *Problem) demandOf(w work, effects []plan.Effect) []float64 {
	from, to := p.start, p.end
	if w.From != nil {
		from = w.From.Time
	}
	if w.To != nil {
		to = w.To.Time
	}
	concerns := func(e plan.Effect) bool { return among(e.Demand, w.Name) }
	demand := make([]float64, len(p.Periods))
	for i, t := range p.Periods {
		part := t.Part(from, to)
		if w.Total == 0 {
			part *= w.rateAt(t, from) * product(effects, plan.Traffic, t, concerns)
		}
		demand[i] = part
	}
	return demand
}

// meanOf is the mean over a period of a value that changes in steps.
func meanOf(steps []plan.Step, t plan.Period) float64 {
	sum := 0.0
	for i, step := range steps {
		until := t.To
		if i+1 < len(steps) {
			until = steps[i+1].From.Time
		}
		sum += step.Value * t.Part(step.From.Time, until)
	}
	return sum
}

// rateAt is the rate of work in a period: the mean of its steps, or what growth
// makes of it by the middle.
func (w work) rateAt(t plan.Period, from time.Time) float64 {
	middle := t.From.Add(t.To.Sub(t.From) / 2)
	rate := w.Rate
	if len(w.Steps) > 0 {
		rate = meanOf(w.Steps, t)
	}
	if w.Growth > 0 {
		rate *= math.Pow(w.Growth, max(middle.Sub(from).Hours(), 0)/yearHours)
	}
	if len(w.Season) == 12 {
		rate *= w.Season[middle.Month()-1]
	}
	return rate * (1 + w.Headroom)
}

func (p *Problem) throughputOf(w work, effects []plan.Effect) map[string][]float64 {
	factors := map[string][]float64{}
	for name := range w.eta {
		factors[name] = make([]float64, len(p.Periods))
		maker := p.makerOf(name)
		for i, t := range p.Periods {
			factors[name][i] = product(effects, plan.Throughput, t, func(e plan.Effect) bool {
				return among(e.Chips, name) && among(e.Demand, w.Name) && among(e.Chipmakers, maker)
			})
		}
	}
	return factors
}

func (p *Problem) makerOf(chipID string) string {
	for _, o := range p.offers {
		if o.Chip == chipID {
			return o.Chipmaker
		}
	}
	return ""
}

// priceOf changes with each January: providers' lists do not change daily, and
// a bill has a line for every price.
func (p *Problem) priceOf(o offer, effects []plan.Effect) []float64 {
	list, _ := o.Price.Float64()
	prices := make([]float64, len(p.Periods))
	for i, t := range p.Periods {
		prices[i] = list * product(effects, plan.Price, t, o.concerns)
		if o.Yearly > 0 {
			prices[i] *= math.Pow(o.Yearly, float64(t.From.Year()-p.start.Year()))
		}
		prices[i] = math.Round(prices[i]*1e6) / 1e6 // as it can be billed
	}
	return prices
}

// capacityOf is the nodes that can be had in each period.
func (p *Problem) capacityOf(o offer, effects []plan.Effect) []float64 {
	late := p.delay(effects, o.concerns)
	capacity := make([]float64, len(p.Periods))
	for i, t := range p.Periods {
		from, to := p.start, p.end
		if o.From != nil {
			from = late.After(o.From.Time)
		}
		if o.To != nil {
			to = o.To.Time
		}
		nodes := o.nodesAt(t, late)
		if o.Contract == "" && o.purchase < 0 {
			nodes *= product(effects, plan.Supply, t, o.concerns)
		}
		if part := t.Part(from, to); part < 1 && (nodes != most || part == 0) {
			nodes = multiply(nodes, part)
		}
		capacity[i] = nodes
	}
	return capacity
}

func multiply(nodes, part float64) float64 {
	if part == 0 {
		return 0
	}
	return nodes * part
}

func (o offer) nodesAt(t plan.Period, late contract.Span) float64 {
	if len(o.Ramp) == 0 {
		if o.Capacity == nil || o.purchase >= 0 {
			return most
		}
		return *o.Capacity
	}
	nodes := 0.0
	for i, step := range o.Ramp {
		until := t.To
		if i+1 < len(o.Ramp) {
			until = late.After(o.Ramp[i+1].From.Time)
		}
		nodes += step.Value * t.Part(late.After(step.From.Time), until)
	}
	return nodes
}

// delay sums the delays that concern something.
func (p *Problem) delay(effects []plan.Effect, concerns func(plan.Effect) bool) contract.Span {
	var late contract.Span
	for _, e := range effects {
		if e.What == plan.Delay && concerns(e) {
			late.Months += e.For.Months
			late.Days += e.For.Days
		}
	}
	return late
}

func (p *Problem) moneyOf(effects []plan.Effect) (income, costs []float64) {
	income, costs = make([]float64, len(p.Periods)), make([]float64, len(p.Periods))
	if p.Portfolio.Financing == nil {
		return income, costs
	}
	at := func(steps []plan.Money, t plan.Period) float64 {
		sum := 0.0
		for i, step := range steps {
			until := p.end
			if i+1 < len(steps) {
				until = steps[i+1].From.Time
			}
			amount, _ := step.Amount.Float64()
			sum += amount * t.Part(step.From.Time, until) * t.Hours() / monthHours
		}
		return sum
	}
	for i, t := range p.Periods {
		everywhere := func(plan.Effect) bool { return true }
		income[i] = at(p.Portfolio.Financing.Revenue, t) * product(effects, plan.Income, t, everywhere)
		costs[i] = at(p.Portfolio.Financing.Other, t)
	}
	return income, costs
}
