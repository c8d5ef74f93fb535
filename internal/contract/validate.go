package contract

import (
	"fmt"
	"path"
	"strings"
	"time"
	"unicode"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/spec"
)

func validate(d *spec.Document, c *Contract) {
	if !c.Currency.Valid() {
		d.Faultf("currency", "found %q; three capital letters of ISO 4217 are needed, such as USD", clip(string(c.Currency)))
	}
	if c.Name == "" || strings.ContainsAny(c.Name, " /") || !printable(c.Name) {
		d.Faultf("name", "found %q; a name without spaces, slashes and control characters is needed", clip(c.Name))
	}
	if !printable(c.Counterparty) {
		d.Faultf("counterparty", "found %q; a name without control characters is needed", clip(c.Counterparty))
	}
	if !c.Term.To.After(c.Term.From.Time) {
		d.Faultf("term.to", "the term ends at %s, not after its start", c.Term.To.Format(time.DateOnly))
	}
	validateScope(d, "scope", c.Scope)
	if len(c.Clauses) == 0 {
		d.Faultf("clauses", "the list is empty; a contract has at least one clause")
	}
	names := map[string]int{}
	for i := range c.Clauses {
		field := fmt.Sprintf("clauses[%d]", i)
		clause := &c.Clauses[i]
		if first, taken := names[clause.Name]; taken {
			d.Faultf(field+".name", "clauses %d and %d are both named %q", first+1, i+1, clip(clause.Name))
		}
		names[clause.Name] = i
		if !printable(clause.Name) {
			d.Faultf(field+".name", "found %q; a name without control characters is needed", clip(clause.Name))
		}
		validateClause(d, field, c, clause)
	}
}

// printable reports whether a name can be shown as it is: an escape in it would
// reach the terminal.
func printable(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

func validateScope(d *spec.Document, field string, s Scope) {
	for _, dimension := range s.dimensions() {
		for i, name := range dimension.names {
			if _, err := path.Match(name, ""); err != nil || name == "" {
				d.Faultf(fmt.Sprintf("%s.%s[%d]", field, dimension.name, i), "found %q; a name is needed, with * or ? if you like", clip(name))
			}
		}
	}
}

func validateClause(d *spec.Document, field string, c *Contract, clause *Clause) {
	var set, all []string
	for _, kind := range clause.kinds() {
		all = append(all, kind.name)
		if kind.set {
			set = append(set, kind.name)
		}
	}
	switch len(set) {
	case 0:
		d.Faultf(field, "the clause has no kind; one of %s is needed", strings.Join(all, ", "))
		return
	case 1:
	default:
		d.Faultf(field, "the clause has %d kinds (%s); write one clause for each", len(set), strings.Join(set, ", "))
	}
	if clause.Scope != nil {
		validateScope(d, field+".scope", *clause.Scope)
	}
	from, to := c.Starts(clause), c.Term.To.Time
	if clause.To != nil {
		to = clause.To.Time
	}
	if !to.After(from) {
		d.Faultf(field+".to", "the clause ends at %s, not after its start at %s", stamp(to), stamp(from))
	}
	if from.Before(c.Term.From.Time) {
		d.Faultf(field+".from", "%s is before the contract's term, which starts at %s", stamp(from), stamp(c.Term.From.Time))
	}
	if to.After(c.Term.To.Time) {
		d.Faultf(field+".to", "%s is past the contract's term, which ends at %s", stamp(to), stamp(c.Term.To.Time))
	}
	v := validator{d, field + "." + set[0], c, from, to}
	v.clause(clause)
}

type validator struct {
	d        *spec.Document
	field    string
	contract *Contract
	from, to time.Time
}

func (v validator) faultf(name, format string, args ...any) {
	field := v.field
	if name != "" {
		field += "." + name
	}
	v.d.Faultf(field, format, args...)
}

func (v validator) clause(c *Clause) {
	switch {
	case c.Commitment != nil:
		v.commitment(c.Commitment)
	case c.Discount != nil:
		v.discount(c.Discount)
	case c.Prepayment != nil:
		v.positive("amount", c.Prepayment.Amount)
		v.within("at", c.Prepayment.At)
		v.within("expires", c.Prepayment.Expires)
	case c.MonthlyMinimum != nil:
		v.positive("amount", c.MonthlyMinimum.Amount)
	case c.TakeOrPay != nil:
		v.takeOrPay(c.TakeOrPay)
	case c.Ramp != nil:
		v.positive("price", c.Ramp.Price)
		v.steps("schedule", c.Ramp.Schedule, true)
		v.steps("delivered", c.Ramp.Delivered, false)
	case c.CapacityReservation != nil:
		v.positive("count", c.CapacityReservation.Count)
		v.positive("rate", c.CapacityReservation.Rate)
	case c.CapacityBlock != nil:
		v.block(c.CapacityBlock)
	case c.ReservedInstances != nil:
		v.reserved(c.ReservedInstances)
	case c.SavingsPlan != nil:
		v.plan(c.SavingsPlan)
	case c.EnterpriseAgreement != nil:
		v.enterprise(c.EnterpriseAgreement)
	case c.MACC != nil:
		v.macc(c.MACC)
	default:
		v.covenants(c)
	}
}

func (v validator) covenants(c *Clause) {
	switch {
	case c.ChipCovenant != nil:
		v.covenant(c.ChipCovenant)
	case c.Warrant != nil:
		v.warrant(c.Warrant)
	case c.Exclusivity != nil:
		if len(c.Exclusivity.Classes) == 0 {
			v.faultf("classes", "the list is empty; name the classes of work, or * for all")
		}
	case c.RightOfFirstRefusal != nil:
		if c.RightOfFirstRefusal.Window == (Span{}) {
			v.faultf("window", "the window has no length")
		}
	case c.ConcentrationCap != nil:
		valid := []string{"provider", "chipmaker", "chip"}
		if of := c.ConcentrationCap.Of; of != valid[0] && of != valid[1] && of != valid[2] {
			v.faultf("of", "unknown value %q%s", clip(of), spec.DidYouMean(of, valid))
		}
	case c.TerminationFee != nil:
		if c.TerminationFee.Fee == nil && c.TerminationFee.Percent == nil {
			v.faultf("", "a fee, a percent of what remains committed, or both is needed")
		}
		v.within("on", c.TerminationFee.On)
	}
}

func (v validator) positive(name string, n Number) {
	if n.Sign() <= 0 {
		v.faultf(name, "found 0; it must be positive")
	}
}

func (v validator) within(name string, at *Instant) {
	if at != nil && (at.Before(v.from) || at.After(v.to)) {
		v.faultf(name, "%s is outside the clause's life, %s to %s", stamp(at.Time), stamp(v.from), stamp(v.to))
	}
}

func (v validator) years() int {
	years := 0
	for at := v.from; at.Before(v.to); at = (Span{Months: 12 * years}).After(v.from) {
		years++
	}
	return years
}

func (v validator) amounts(single *Number, name string, list []Number, listName string, period Period) {
	switch {
	case single == nil && list == nil:
		v.faultf(name, "the field is missing and needed")
	case single != nil && list != nil:
		v.faultf(listName, "give either %s or %s", name, listName)
	case single != nil:
		v.positive(name, *single)
	case period != Year:
		v.faultf(listName, "a sum for each year needs period: year")
	case len(list) != v.years():
		v.faultf(listName, "%d sums for %d years of the clause", len(list), v.years())
	}
}

func (v validator) rules(rules []RateRule) {
	for i, rule := range rules {
		if (rule.Rate == nil) == (rule.Discount == nil) {
			v.faultf(fmt.Sprintf("rates[%d]", i), "either a rate or a discount is needed")
		}
		validateScope(v.d, fmt.Sprintf("%s.rates[%d]", v.field, i), rule.Scope)
	}
}

func (v validator) commitment(c *Commitment) {
	v.amounts(c.Amount, "amount", c.Amounts, "amounts", c.Period)
	v.rules(c.Rates)
	hourly := c.Period == Hour
	if hourly && len(c.Rates) == 0 && c.Discount == nil {
		v.faultf("", "an hourly commitment needs rates or a discount: what does covered usage cost?")
	}
	if !hourly && (len(c.Rates) > 0 || c.Discount != nil) {
		v.faultf("", "rates and a discount belong to an hourly commitment; write a discount clause beside this one")
	}
	if hourly && c.Basis == List && c.Discount == nil {
		v.faultf("discount", "an hourly commitment in list dollars needs the discount of its fee")
	}
	if hourly && (c.Retires != nil || c.MarketplaceCap != nil) {
		v.faultf("retires", "an hourly commitment is used by the usage that it covers; nothing else retires it")
	}
}

func (v validator) discount(c *Discount) {
	set := 0
	for _, present := range []bool{c.Percent != nil, len(c.Rates) > 0, c.Tiers != nil} {
		if present {
			set++
		}
	}
	if set != 1 {
		v.faultf("", "exactly one of percent, rates and tiers is needed")
	}
	if (c.Stacks || c.Fees) && c.Percent == nil {
		v.faultf("stacks", "stacks and fees go with percent")
	}
	if c.Fees && !c.Stacks {
		v.faultf("fees", "a discount off fees needs stacks: true")
	}
	v.rules(c.Rates)
	if c.Tiers == nil {
		return
	}
	if c.Tiers.Window == Hour {
		v.faultf("tiers.window", "found hour; valid: month, year, total")
	}
	if len(c.Tiers.Steps) == 0 {
		v.faultf("tiers.steps", "the list is empty")
	}
	for i := 1; i < len(c.Tiers.Steps); i++ {
		if c.Tiers.Steps[i].Above.Cmp(c.Tiers.Steps[i-1].Above.Decimal) <= 0 {
			v.faultf(fmt.Sprintf("tiers.steps[%d].above", i), "the thresholds must grow from step to step")
		}
	}
}

func (v validator) takeOrPay(c *TakeOrPay) {
	v.positive("quantity", c.Quantity)
	v.positive("price", c.Price)
	if c.Per == Hour {
		v.faultf("per", "found hour; valid: month, year, total (an hourly one is a ramp)")
	}
}

func (v validator) steps(name string, steps []RampStep, needed bool) {
	if needed && len(steps) == 0 {
		v.faultf(name, "the list is empty; a ramp has at least one step")
	}
	for i, step := range steps {
		if i > 0 && !step.From.After(steps[i-1].From.Time) {
			v.faultf(fmt.Sprintf("%s[%d].from", name, i), "the steps must be in order of time")
		}
	}
}

// Capacity blocks of AWS, as documented: at most 64 instances, for 1 to 14 days
// or whole weeks up to 182 days, ending at 11:30 UTC.
const (
	blockInstances = 64
	blockDaily     = 14
	blockLongest   = 182
)

func (v validator) block(c *CapacityBlock) {
	v.positive("count", c.Count)
	if (c.Rate == nil) == (c.Fee == nil) {
		v.faultf("rate", "either a rate per instance-hour or the whole fee is needed")
	}
	if c.Purchased != nil && c.Purchased.After(v.from) {
		v.faultf("purchased", "the block is paid upfront; %s is after its start", stamp(c.Purchased.Time))
	}
	if names := v.contract.Scope.Names("providers"); len(names) != 1 || !strings.EqualFold(names[0], "aws") {
		return
	}
	if c.Count.Cmp(decimal.NewFromInt(blockInstances)) > 0 || !c.Count.IsInteger() {
		v.faultf("count", "found %s; a block holds 1 to %d instances", c.Count, blockInstances)
	}
	if v.to.Format("15:04") != "11:30" {
		v.d.Faultf(strings.TrimSuffix(v.field, ".capacity_block")+".to", "the block ends at %s; blocks end at 11:30 UTC", stamp(v.to))
	}
	days := int((v.to.Sub(v.from) + 24*time.Hour - 1) / (24 * time.Hour))
	if days > blockLongest || (days > blockDaily && days%7 != 0) {
		v.faultf("", "the block lasts %d days; valid: 1 to %d days, or whole weeks up to %d days", days, blockDaily, blockLongest)
	}
}

func (v validator) reserved(c *ReservedInstances) {
	v.positive("count", c.Count)
	if c.Hourly == nil && c.Upfront == nil {
		v.faultf("hourly", "a price is needed: hourly, upfront, or both (0 where it is not known)")
	}
	flexible := c.SizeFlexible != nil && *c.SizeFlexible
	if flexible && c.Zone != "" {
		v.faultf("size_flexible", "a zonal reservation is not flexible in size")
	}
	if flexible && len(c.Sizes) == 0 {
		if _, known := NormalisedSize(c.InstanceType); !known {
			v.faultf("sizes", "the size of %s is not known; give normalised units by instance type", clip(c.InstanceType))
		}
	}
	if _, listed := c.Sizes[c.InstanceType]; len(c.Sizes) > 0 && !listed {
		v.faultf("sizes", "the sizes do not list %s itself", clip(c.InstanceType))
	}
	for name, size := range c.Sizes {
		if size.Sign() <= 0 {
			v.faultf("sizes."+name, "found 0; it must be positive")
		}
	}
}

func (v validator) plan(c *SavingsPlan) {
	v.positive("hourly", c.Hourly)
	v.rules(c.Rates)
	if len(c.Rates) == 0 && c.Discount == nil {
		v.faultf("rates", "a plan needs rates or a discount: what does covered usage cost?")
	}
	if c.Basis == List && c.Discount == nil {
		v.faultf("discount", "a commitment in list dollars needs the discount of its fee")
	}
	if c.Years != 0 && c.Years != 1 && c.Years != 3 {
		v.faultf("years", "found %d; plans run for 1 or 3 years", c.Years)
	}
	if c.Upfront != nil && c.Payment != PartialUpfront {
		v.faultf("upfront", "a sum at the start goes with payment: partial")
	}
}

func (v validator) enterprise(c *EnterpriseAgreement) {
	period := c.Period
	if period == Hour {
		v.faultf("period", "found hour; valid: month, year, total")
	}
	if c.Commitment == nil && c.Commitments == nil && c.Discount == nil {
		v.faultf("", "a discount, a commitment, or both is needed")
	}
	if c.Commitment != nil || c.Commitments != nil {
		v.amounts(c.Commitment, "commitment", c.Commitments, "commitments", period)
	}
}

func (v validator) macc(c *MACC) {
	v.positive("amount", c.Amount)
	for i, milestone := range c.Milestones {
		name := fmt.Sprintf("milestones[%d]", i)
		v.within(name+".by", &c.Milestones[i].By)
		if i > 0 && (!milestone.By.After(c.Milestones[i-1].By.Time) || milestone.Amount.Cmp(c.Milestones[i-1].Amount.Decimal) < 0) {
			v.faultf(name, "milestones must be in order of time, with cumulative sums that grow")
		}
		if milestone.Amount.Cmp(c.Amount.Decimal) > 0 {
			v.faultf(name+".amount", "%s is more than the whole commitment of %s", milestone.Amount, c.Amount)
		}
	}
	for i := range c.Prepayments {
		v.positive(fmt.Sprintf("prepayments[%d].amount", i), c.Prepayments[i].Amount)
		v.within(fmt.Sprintf("prepayments[%d].at", i), &c.Prepayments[i].At)
	}
}

func (v validator) covenant(c *ChipCovenant) {
	if (len(c.Chips) == 0) == (len(c.Chipmakers) == 0) {
		v.faultf("chips", "either chips or chipmakers is needed")
	}
	if (c.Share == nil) == (c.Megawatts == nil) {
		v.faultf("share", "either a share or megawatts is needed")
	}
	if c.Megawatts != nil && len(c.Kilowatts) == 0 {
		v.faultf("kilowatts", "megawatts need the kilowatts of a unit, by chip")
	}
	if c.Per == Hour {
		v.faultf("per", "found hour; valid: month, year, total")
	}
	if c.Measure == ListCost {
		v.faultf("measure", "found list; valid: spend, quantity, chip-hours")
	}
}

func (v validator) warrant(c *Warrant) {
	v.positive("shares", c.Shares)
	total := decimal.Zero
	for i, tranche := range c.Tranches {
		total = total.Add(tranche.Shares.Decimal)
		if tranche.Gigawatts.IsZero() && tranche.Price == nil {
			v.faultf(fmt.Sprintf("tranches[%d]", i), "a tranche vests on gigawatts, a price, or both; it has neither")
		}
	}
	if total.Cmp(c.Shares.Decimal) > 0 {
		v.faultf("tranches", "the tranches hold %s shares, more than the warrant's %s", total, c.Shares)
	}
}

// stamp writes a time for a message: the date alone at midnight.
func stamp(at time.Time) string {
	text, _ := Instant{at}.MarshalText()
	return string(text)
}
