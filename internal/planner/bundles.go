package planner

import (
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
)

// addBundle reads a commitment by the hour.
func (p *Problem) addBundle(t *terms, label string, c *contract.Clause, lines []bool, from, to time.Time, prices [][]float64) {
	parts := p.parts(from, to)
	b := bundle{label: label, use: make([]float64, len(lines)), capacity: make([]float64, len(parts)), fee: make([]float64, len(parts))}
	for l := range lines {
		if lines[l] {
			b.use[l] = 1
		}
	}
	hourly := 0.0 // fee of an hour in which the clause is in force
	switch {
	case c.CapacityBlock != nil:
		p.block(&b, c.CapacityBlock, from, to)
	case c.CapacityReservation != nil:
		k := c.CapacityReservation
		hourly = float(k.Rate) * float(k.Count)
		b.fill(parts, float(k.Count))
		b.adds = true
	case c.ReservedInstances != nil:
		hourly = p.reserved(&b, c.ReservedInstances, parts, from)
	case c.SavingsPlan != nil:
		k := c.SavingsPlan
		hourly = p.savings(&b, k.Rates, k.Discount, k.Basis == contract.List, float(k.Hourly), parts, prices)
		p.upfront(&b, k, hourly, from, to)
		if k.Payment == contract.AllUpfront || k.Payment == contract.PartialUpfront {
			hourly = 0
		}
	case c.Commitment != nil:
		k := c.Commitment
		hourly = p.savings(&b, k.Rates, k.Discount, k.Basis == contract.List, amountAt(k.Amount, nil, 0), parts, prices)
	case c.Ramp != nil:
		p.ramp(t, &b, label, c.Ramp, lines, from, to)
	}
	for i, part := range parts {
		b.fee[i] += hourly * part * p.Periods[i].Hours()
	}
	t.bundles = append(t.bundles, b)
}

func (b *bundle) fill(parts []float64, capacity float64) {
	for i, part := range parts {
		b.capacity[i] = capacity * part
	}
}

// pay books a fee in the period of a day; what was paid before the horizon is
// not paid again.
func (p *Problem) pay(b *bundle, at time.Time, amount float64) {
	for i, t := range p.Periods {
		if !at.Before(t.From) && at.Before(t.To) {
			b.fee[i] += amount
		}
	}
}

func (p *Problem) block(b *bundle, k *contract.CapacityBlock, from, to time.Time) {
	b.adds, b.option = true, blockOption
	b.fill(p.parts(from, to), float(k.Count))
	fee := amountAt(k.Fee, nil, 0)
	if k.Fee == nil {
		fee = amountAt(k.Rate, nil, 0) * float(k.Count) * to.Sub(from).Hours()
	}
	at := from
	if k.Purchased != nil {
		at = k.Purchased.Time
	}
	if at.Before(p.start) && !from.Before(p.start) {
		at = p.start
	}
	p.pay(b, at, fee)
}

func (p *Problem) reserved(b *bundle, k *contract.ReservedInstances, parts []float64, from time.Time) float64 {
	own, known := contract.NormalisedSize(k.InstanceType)
	flexible := known && k.Zone == "" && (k.SizeFlexible == nil || *k.SizeFlexible) && contract.FlexibleInSize(k.InstanceType, k.Platform, k.Tenancy)
	for l := range b.use {
		other := p.offers[p.lines[l].offer].InstanceType
		size, sized := contract.NormalisedSize(other)
		switch {
		case strings.EqualFold(other, k.InstanceType):
		case flexible && sized && contract.Family(other) == contract.Family(k.InstanceType):
			b.use[l] *= float(size) / float(own)
		default:
			b.use[l] = 0
		}
	}
	b.fill(parts, float(k.Count))
	p.pay(b, from, amountAt(k.Upfront, nil, 0)*float(k.Count))
	return amountAt(k.Hourly, nil, 0) * float(k.Count)
}

// savings covers usage by the money that it costs at the plan's rates, or at
// list; it returns the fee of an hour.
func (p *Problem) savings(b *bundle, rules []contract.RateRule, discount *contract.Share, list bool, hourly float64, parts []float64, prices [][]float64) float64 {
	b.useAt = make([][]float64, len(parts))
	for i := range parts {
		b.useAt[i] = make([]float64, len(b.use))
		for l, covers := range b.use {
			price := prices[p.lines[l].offer][i]
			rate := p.ruleRate(rules, discount, l, price)
			switch {
			case covers == 0 || rate < 0 || rate >= price: // it saves nothing there
			case list:
				b.useAt[i][l] = price
			default:
				b.useAt[i][l] = rate
			}
		}
	}
	b.fill(parts, hourly)
	if list && discount != nil {
		return hourly * (1 - discount.InexactFloat64())
	}
	return hourly
}

func (p *Problem) upfront(b *bundle, k *contract.SavingsPlan, hourly float64, from, to time.Time) {
	total := hourly * to.Sub(from).Hours()
	switch k.Payment {
	case contract.AllUpfront:
		p.pay(b, from, total)
	case contract.PartialUpfront:
		first := total / 2
		if k.Upfront != nil {
			first = float(*k.Upfront)
		}
		p.pay(b, from, first)
		for i, part := range p.parts(from, to) {
			b.fee[i] += (total - first) / to.Sub(from).Hours() * part * p.Periods[i].Hours()
		}
	}
}

// ramp pays for the lesser of what was scheduled and delivered, and covers it;
// usage beyond it costs the ramp's price.
func (p *Problem) ramp(t *terms, b *bundle, label string, k *contract.Ramp, lines []bool, from, to time.Time) {
	at := func(steps []contract.RampStep, i int) float64 {
		sum := 0.0
		for j, step := range steps {
			until := to
			if j+1 < len(steps) && steps[j+1].From.Before(to) {
				until = steps[j+1].From.Time
			}
			start := step.From.Time
			if start.Before(from) {
				start = from
			}
			if start.Before(until) {
				sum += float(step.Quantity) * p.Periods[i].Part(start, until)
			}
		}
		return sum
	}
	for i := range p.Periods {
		quantity := at(k.Schedule, i)
		if len(k.Delivered) > 0 {
			quantity = min(quantity, at(k.Delivered, i))
		}
		b.capacity[i] = quantity
		b.fee[i] = quantity * float(k.Price) * p.Periods[i].Hours()
	}
	t.rates = append(t.rates, rateClause{label, p.rateTable(lines, from, to, func(int, int) float64 { return float(k.Price) }), true})
}

// addCovenant reads a promise to use the investor's chips.
func (p *Problem) addCovenant(t *terms, label string, k *contract.ChipCovenant, lines []bool, from, to time.Time) {
	period := k.Per
	if period == "" {
		period = contract.Month
	}
	c := covenant{label: label, lines: lines, measure: k.Measure, windows: p.spans(period, from, to, nil)}
	if k.Cure != nil {
		c.cures = p.curesOf(c.windows, k.Cure)
	}
	c.fee = amountAt(k.Fee, nil, 0)
	c.loss = c.fee + amountAt(k.Tranche, nil, 0)
	if k.Share != nil {
		c.share = k.Share.InexactFloat64()
	}
	if k.Megawatts != nil {
		c.absolute = 1000 * float(*k.Megawatts)
	}
	if c.measure == "" {
		c.measure = contract.ChipTime
	}
	for l := range lines {
		o := p.offers[p.lines[l].offer]
		weight := byChip(k.Weights, o.Chip, 1)
		switch {
		case k.Megawatts != nil:
			weight = byChip(k.Kilowatts, o.Chip, 0)
		case c.measure == contract.ChipTime:
			weight *= float64(o.Chips)
		}
		c.all = append(c.all, weight)
		if !k.Names(o.Chip, o.Chipmaker) {
			weight = 0
		}
		c.on = append(c.on, weight)
	}
	t.covenants = append(t.covenants, c)
}

// curesOf is the span after each window in which a breach can be cured.
func (p *Problem) curesOf(windows []span, cure *contract.Span) []span {
	var all []span
	for _, w := range windows {
		from := w.end
		s := span{part: p.partsAfter(from, cure.After(from)), due: w.due}
		for t := range s.part {
			s.due = max(s.due, t)
		}
		all = append(all, s)
	}
	return all
}

func byChip(figures map[string]contract.Number, chip string, otherwise float64) float64 {
	for name, figure := range figures {
		if strings.EqualFold(name, chip) {
			return float(figure)
		}
	}
	return otherwise
}
