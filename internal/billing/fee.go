package billing

import (
	"github.com/switchyard-ai/switchyard/internal/contract"
)

// cohortFees is what members of a bundle that began and end together cost in
// an hour, in micro-units.
type cohortFees struct {
	billed    int64 // falls due in this hour
	recurring int64 // of it the part that falls due every hour
	spread    int64 // belongs to this hour
}

// cohortsOf groups the members of a bundle by their dates.
func (p *program) cohortsOf(b *bundle) [][]int {
	var cohorts [][]int
	for _, m := range b.members {
		found := false
		for i, cohort := range cohorts {
			first := p.clauses[cohort[0]]
			if first.from == p.clauses[m].from && first.to == p.clauses[m].to {
				cohorts[i], found = append(cohort, m), true
				break
			}
		}
		if !found {
			cohorts = append(cohorts, []int{m})
		}
	}
	return cohorts
}

// life returns the clause's whole span as agreed, in seconds: an early
// termination does not shorten what was paid ahead.
func (c *clause) life() int64 {
	end := c.contract.Term.To.Unix()
	if c.To != nil {
		end = c.To.Unix()
	}
	return end - c.from
}

// fee returns what the commitment costs over its life as agreed: at the start,
// and spread evenly over the hours.
func (c *clause) fee() (upfront, recurring num) {
	hours := lowest(c.life(), hourSeconds)
	switch {
	case c.CapacityBlock != nil && c.CapacityBlock.Fee != nil:
		return numOf(c.CapacityBlock.Fee.Exact()), num{}
	case c.CapacityBlock != nil:
		return numOf(c.CapacityBlock.Rate.Exact()).mul(numOf(c.CapacityBlock.Count.Exact())).mul(hours), num{}
	case c.ReservedInstances != nil:
		count := numOf(c.ReservedInstances.Count.Exact())
		if c.ReservedInstances.Upfront != nil {
			upfront = numOf(c.ReservedInstances.Upfront.Exact()).mul(count)
		}
		if c.ReservedInstances.Hourly != nil {
			recurring = numOf(c.ReservedInstances.Hourly.Exact()).mul(count).mul(hours)
		}
		return upfront, recurring
	case c.SavingsPlan != nil:
		total := c.hourlyFee().mul(hours)
		switch c.SavingsPlan.Payment {
		case contract.AllUpfront:
			return total, num{}
		case contract.PartialUpfront:
			upfront = total.div(whole(2))
			if c.SavingsPlan.Upfront != nil {
				upfront = numOf(c.SavingsPlan.Upfront.Exact())
			}
			return upfront, total.sub(upfront)
		}
		return num{}, total
	case c.Commitment != nil && c.Commitment.Period == contract.Hour:
		return num{}, c.hourlyFee().mul(hours)
	}
	return num{}, num{}
}

// hourlyFee is what an hour of a money commitment costs: the commitment, or
// with a basis of list prices what is left of it after the discount.
func (c *clause) hourlyFee() num {
	hourly := c.capacity(c.from)
	if !c.listBasis() {
		return hourly
	}
	if c.SavingsPlan != nil {
		return off(hourly, c.SavingsPlan.Discount)
	}
	return off(hourly, c.Commitment.Discount)
}

// paidAt returns the hour in which the part upfront falls due.
func (c *clause) paidAt() int64 {
	if c.CapacityBlock != nil && c.CapacityBlock.Purchased != nil {
		return floorHour(c.CapacityBlock.Purchased.Unix())
	}
	return floorHour(c.from)
}

// feesAt adds up the fees of a cohort for one hour. A fee is spread so that
// any number of hours together have the rounded fee of their whole span.
func (b *Book) feesAt(cohort []int, hour int64) cohortFees {
	first := b.clauses[cohort[0]]
	if first.Ramp != nil {
		var fee num
		for _, m := range cohort {
			c := b.clauses[m]
			fee = fee.add(c.obligation(hour).mul(numOf(c.Ramp.Price.Exact())).mul(c.fraction(hour)))
		}
		return cohortFees{fee.micros(), fee.micros(), fee.micros()}
	}
	due := b.cohortFee(cohort)
	var fees cohortFees
	if hour == first.paidAt() {
		fees.billed = due.upfront
	}
	per := spreadOver(due.recurring, first.from, first.to, hour)
	fees.billed, fees.recurring = fees.billed+per, per
	fees.spread = per + spreadOver(due.upfront, first.from, first.to, hour)
	return fees
}

// cohortFee adds up the fees of a cohort over its life, the recurring part as
// far as an early end lets it fall due.
func (b *Book) cohortFee(cohort []int) feeOf {
	if known, cached := b.feeCache[cohort[0]]; cached {
		return known
	}
	var upfront, recurring num
	for _, m := range cohort {
		up, per := b.clauses[m].fee()
		upfront, recurring = upfront.add(up), recurring.add(per)
	}
	first := b.clauses[cohort[0]]
	served := lowest(first.to-first.from, max(first.life(), 1))
	fees := feeOf{upfront.micros(), recurring.mul(served).micros()}
	b.feeCache[cohort[0]] = fees
	return fees
}

// feeShares divides a cohort's fee among its members by what each costs.
func (b *Book) feeShares(cohort []int, fee int64) []int64 {
	if len(cohort) == 1 {
		return []int64{fee}
	}
	weights := make([]num, len(cohort))
	for i, m := range cohort {
		if c := b.clauses[m]; c.Ramp != nil {
			weights[i] = c.capacity(c.to - hourSeconds).mul(numOf(c.Ramp.Price.Exact()))
		} else {
			up, per := c.fee()
			weights[i] = up.add(per)
		}
	}
	return share(fee, weights)
}

// spreadOver returns the part of a sum that belongs to the hour when it is
// spread evenly over [from, to): differences of a rounded running total, so
// that the parts sum to it.
func spreadOver(total, from, to, hour int64) int64 {
	until := func(at int64) int64 {
		at = min(max(at, from), to)
		return whole(total).mul(lowest(at-from, max(to-from, 1))).div(whole(microsPerUnit)).micros()
	}
	return until(hour+hourSeconds) - until(hour)
}
