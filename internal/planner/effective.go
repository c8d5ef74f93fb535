package planner

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// effective returns the contract of a deal as it binds within the horizon of a
// future: moved to its start, delayed, and with commitments cut to the part
// that falls within the horizon, in proportion to time. nil where it never
// starts. Both the model and billing read this contract, so they agree on it.
func (p *Problem) effective(d deal, effects []plan.Effect) *contract.Contract {
	start := d.start
	for _, e := range effects {
		if e.What != plan.Block || d.fixed || !named(e.Contracts, d.Contract) || !among(e.Providers, d.terms.Counterparty) {
			continue
		}
		if e.For == nil {
			return nil
		}
		start = e.For.After(start)
	}
	c := cloneOf(d.terms)
	move(reflect.ValueOf(c), start.Sub(d.terms.Term.From.Time))
	if !c.Term.From.Before(p.end) || !c.Term.To.After(p.start) {
		return nil
	}
	late := p.delay(effects, func(e plan.Effect) bool {
		return len(e.Contracts) > 0 && slices.Contains(e.Contracts, d.Contract)
	})
	for i := range c.Clauses {
		if ramp := c.Clauses[i].Ramp; ramp != nil && late != (contract.Span{}) {
			ramp.Delivered = later(ramp, late)
		}
	}
	p.clip(c, d.Retired)
	return c
}

func named(names []string, name string) bool { return len(names) == 0 || slices.Contains(names, name) }

func later(ramp *contract.Ramp, late contract.Span) []contract.RampStep {
	delivered := slices.Clone(ramp.Schedule)
	if len(ramp.Delivered) > 0 {
		delivered = slices.Clone(ramp.Delivered)
	}
	for i := range delivered {
		delivered[i].From.Time = late.After(delivered[i].From.Time)
	}
	return delivered
}

// cloneOf copies a contract through its text, which is exact.
func cloneOf(c *contract.Contract) *contract.Contract {
	data, err := json.Marshal(c)
	var copied contract.Contract
	if err == nil {
		err = json.Unmarshal(data, &copied)
	}
	if err != nil {
		panic(fmt.Sprintf("planner: a contract does not copy: %v", err))
	}
	return &copied
}

// move shifts every instant in a value.
func move(v reflect.Value, by time.Duration) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			move(v.Elem(), by)
		}
	case reflect.Slice:
		for i := range v.Len() {
			move(v.Index(i), by)
		}
	case reflect.Struct:
		if v.CanAddr() {
			if at, ok := v.Addr().Interface().(*contract.Instant); ok {
				at.Time = at.Add(by)
				return
			}
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				move(v.Field(i), by)
			}
		}
	}
}

// window is a span over which a clause counts, with what it asks.
type window struct {
	from, to time.Time
	amount   float64
}

// windowsOf cuts a span as billing does: calendar months, years from the
// start, or the whole.
func windowsOf(period contract.Period, from, to time.Time) []window {
	var all []window
	at := from
	for n := 1; at.Before(to); n++ {
		next := to
		switch period {
		case contract.Month:
			next = time.Date(from.Year(), from.Month()+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
		case contract.Year:
			next = from.AddDate(n, 0, 0)
		}
		if next.After(to) {
			next = to
		}
		all = append(all, window{from: at, to: next})
		at = next
	}
	return all
}

// overlap is the share of [from, to) that the window shares.
func (w window) overlap(from, to time.Time) float64 {
	return plan.Period{From: w.from, To: w.to}.Part(from, to)
}

// clip cuts the clauses that accumulate to the horizon. Commitments by the
// hour need none: billing charges the hours of the horizon.
func (p *Problem) clip(c *contract.Contract, retired *contract.Number) {
	var kept []contract.Clause
	for i := range c.Clauses {
		clause := c.Clauses[i]
		from, to := c.Starts(&clause), c.Ends(&clause)
		first, last := from, to
		if first.Before(p.start) {
			first = p.start
		}
		if last.After(p.end) {
			last = p.end
		}
		if !accumulates(&clause) || (first.Equal(from) && last.Equal(to)) {
			kept = append(kept, clause)
			continue
		}
		if !first.Before(last) || clause.Prepayment != nil && first.After(from) {
			continue // over, not yet begun, or paid for before the horizon
		}
		clause.From, clause.To = &contract.Instant{Time: first}, &contract.Instant{Time: last}
		kept = append(kept, p.cut(clause, from, to, retired)...)
	}
	c.Clauses = kept
}

func accumulates(c *contract.Clause) bool {
	switch {
	case c.Commitment != nil:
		return c.Commitment.Period != contract.Hour
	case c.CapacityBlock != nil, c.Ramp != nil, c.ReservedInstances != nil, c.SavingsPlan != nil, c.CapacityReservation != nil, c.Discount != nil:
		return false
	}
	return true
}

// cut gives a clause, clipped to its From and To, the amounts that fall there
// out of the windows that it had from..to.
func (p *Problem) cut(c contract.Clause, from, to time.Time, retired *contract.Number) []contract.Clause {
	first, last := c.From.Time, c.To.Time
	left := 1.0 // of what is committed in the horizon and beyond, after what was retired before it
	reduce := func(old []window) {
		total, ahead := 0.0, 0.0
		for _, w := range old {
			total += w.amount
			ahead += w.amount * w.overlap(first, to)
		}
		if retired != nil && from.Before(p.start) && ahead > 0 {
			spent, _ := retired.Float64()
			left = max(total-spent, 0) / ahead
		}
	}
	fit := func(period contract.Period, amount func(int) float64) []contract.Number {
		old := windowsOf(period, from, to)
		for i := range old {
			old[i].amount = amount(i)
		}
		reduce(old)
		var amounts []contract.Number
		for _, w := range windowsOf(period, first, last) {
			sum := 0.0
			for _, o := range old {
				sum += o.amount * o.overlap(w.from, w.to)
			}
			amounts = append(amounts, numberOf(sum*left))
		}
		return amounts
	}
	switch {
	case c.Commitment != nil && c.Commitment.Period != contract.Month:
		k := *c.Commitment
		k.Amounts, k.Amount = fit(k.Period, func(i int) float64 { return amountAt(c.Commitment.Amount, c.Commitment.Amounts, i) }), nil
		if k.Period == contract.Total {
			k.Amount, k.Amounts = &k.Amounts[0], nil
		}
		c.Commitment = &k
	case c.EnterpriseAgreement != nil && (c.EnterpriseAgreement.Commitment != nil || len(c.EnterpriseAgreement.Commitments) > 0):
		k := *c.EnterpriseAgreement
		amounts := fit(orTotal(k.Period), func(i int) float64 {
			return amountAt(c.EnterpriseAgreement.Commitment, c.EnterpriseAgreement.Commitments, i)
		})
		k.Commitment, k.Commitments = nil, amounts
		if orTotal(k.Period) == contract.Total {
			k.Commitment, k.Commitments = &amounts[0], nil
		}
		c.EnterpriseAgreement = &k
	case c.MACC != nil:
		c.MACC = cutMACC(*c.MACC, first, last, from, to, retired)
	case c.TakeOrPay != nil:
		return cutTake(c)
	}
	return []contract.Clause{c}
}

func orTotal(period contract.Period) contract.Period {
	if period == "" {
		return contract.Total
	}
	return period
}

func amountAt(single *contract.Number, list []contract.Number, i int) float64 {
	switch {
	case single != nil:
		return float(*single)
	case i < len(list):
		return float(list[i])
	}
	return 0
}

// cutTake splits a take-or-pay whose last window is cut: the rest of it gets a
// clause of its own with the quantity in proportion.
func cutTake(c contract.Clause) []contract.Clause {
	period := c.TakeOrPay.Per
	if period == "" {
		period = contract.Year
	}
	windows := windowsOf(period, c.From.Time, c.To.Time)
	last := windows[len(windows)-1]
	whole := windowsOf(period, last.from, last.from.AddDate(2, 0, 0))[0]
	part := whole.overlap(last.from, last.to)
	if part >= 1 || period == contract.Total {
		return []contract.Clause{c}
	}
	tail, take := c, *c.TakeOrPay
	take.Quantity, take.MakeUp = numberOf(float(take.Quantity)*part), nil
	tail.TakeOrPay, tail.From, tail.Name = &take, &contract.Instant{Time: last.from}, c.Name+"-rest"
	if len(windows) == 1 {
		return []contract.Clause{tail}
	}
	c.To = &contract.Instant{Time: last.from}
	return []contract.Clause{c, tail}
}

func float(n contract.Number) float64 { f, _ := n.Float64(); return f }

func numberOf(x float64) contract.Number {
	return contract.Number{Decimal: decimal.NewFromFloat(x).Round(6)}
}

// sized multiplies what a contract commits to, gives and costs.
func sized(c *contract.Contract, size float64) *contract.Contract {
	c = cloneOf(c)
	if size == 1 {
		return c
	}
	for i := range c.Clauses {
		for _, n := range quantities(&c.Clauses[i]) {
			if n != nil {
				*n = numberOf(float(*n) * size)
			}
		}
	}
	return c
}

// quantities lists the numbers of a clause that grow with the contract's size.
func quantities(c *contract.Clause) []*contract.Number {
	var all []*contract.Number
	each := func(list []contract.Number) {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	switch {
	case c.Commitment != nil:
		all = append(all, c.Commitment.Amount)
		each(c.Commitment.Amounts)
	case c.Prepayment != nil:
		all = append(all, &c.Prepayment.Amount)
	case c.MonthlyMinimum != nil:
		all = append(all, &c.MonthlyMinimum.Amount)
	case c.TakeOrPay != nil:
		all = append(all, &c.TakeOrPay.Quantity)
	case c.Ramp != nil:
		for _, steps := range [][]contract.RampStep{c.Ramp.Schedule, c.Ramp.Delivered} {
			for i := range steps {
				all = append(all, &steps[i].Quantity)
			}
		}
	case c.CapacityReservation != nil:
		all = append(all, &c.CapacityReservation.Count)
	case c.CapacityBlock != nil:
		all = append(all, &c.CapacityBlock.Count, c.CapacityBlock.Fee)
	case c.ReservedInstances != nil:
		all = append(all, &c.ReservedInstances.Count)
	case c.SavingsPlan != nil:
		all = append(all, &c.SavingsPlan.Hourly, c.SavingsPlan.Upfront)
	case c.EnterpriseAgreement != nil:
		all = append(all, c.EnterpriseAgreement.Commitment)
		each(c.EnterpriseAgreement.Commitments)
	case c.MACC != nil:
		all = append(all, &c.MACC.Amount)
		for i := range c.MACC.Milestones {
			all = append(all, &c.MACC.Milestones[i].Amount)
		}
		for i := range c.MACC.Prepayments {
			all = append(all, &c.MACC.Prepayments[i].Amount)
		}
	case c.ChipCovenant != nil:
		all = append(all, c.ChipCovenant.Tranche, c.ChipCovenant.Fee, c.ChipCovenant.Megawatts)
	}
	return all
}
