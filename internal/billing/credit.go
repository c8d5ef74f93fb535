package billing

import (
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
)

func unixTime(at int64) time.Time { return time.Unix(at, 0).UTC() }

// within reports whether an instant falls into the hour.
func (v *hourView) within(at time.Time) bool { return floorHour(at.Unix()) == v.hour }

// prepay books the purchase and lets usage draw the credit down.
func (v *hourView) prepay(g gather, c *clause, t *tally) {
	if v.hour == floorHour(c.buysAt()) {
		v.buy(g, Prepaid, t, numOf(c.Prepayment.Amount.Exact()), c.creditEnds())
	}
	v.draw(g, t)
}

// buysAt is when a prepayment is paid.
func (c *clause) buysAt() int64 {
	if c.Prepayment.At != nil {
		return c.Prepayment.At.Unix()
	}
	return c.from
}

// creditEnds is when what is left of a prepayment is lost.
func (c *clause) creditEnds() int64 {
	if c.Prepayment.Expires != nil {
		return c.Prepayment.Expires.Unix()
	}
	return c.to
}

// buy books money paid ahead: billed now, effective as it is drawn down.
func (v *hourView) buy(g gather, category Category, t *tally, amount num, expires int64) {
	v.book(g, category, -1, num{}, amount.micros(), 0)
	t.bank = append(slices.Clone(t.bank), lot{amount: amount, first: amount, from: v.hour, expires: expires})
}

// draw pays for usage out of credit, the soonest to expire first, and returns
// the micro-units drawn.
func (v *hourView) draw(g gather, t *tally) int64 {
	uses := v.eligible(g, false)
	due := int64(0)
	weights := make([]num, len(uses))
	for i, use := range uses {
		open := max(use.net-use.credited, 0)
		weights[i] = whole(open)
		due += open
	}
	drawn := takeFrom(t, ofMicros(due), v.hour).micros()
	if drawn == 0 {
		return 0
	}
	for i, part := range share(drawn, weights) {
		if part != 0 {
			uses[i].credited += part
			v.book(g, Drawdown, uses[i].cell, num{}, -part, 0)
		}
	}
	return drawn
}

// takeFrom takes up to an amount out of the lots that have not expired, the
// soonest to expire first.
func takeFrom(t *tally, wanted num, hour int64) num {
	var taken num
	if wanted.sign() <= 0 || len(t.bank) == 0 {
		return taken
	}
	bank := slices.Clone(t.bank)
	slices.SortStableFunc(bank, func(a, b lot) int { return int(min(max(a.expires-b.expires, -1), 1)) })
	for i := range bank {
		if bank[i].expires <= hour {
			continue
		}
		part := lesser(bank[i].amount, wanted.sub(taken))
		bank[i].amount = bank[i].amount.sub(part)
		taken = taken.add(part)
	}
	t.bank = bank
	return taken
}

// expire drops lots that end by the time given; what they still hold is lost.
func (v *hourView) expire(g gather, t *tally, by int64) {
	if len(t.bank) == 0 {
		return
	}
	var kept []lot
	for _, l := range t.bank {
		if l.expires > by {
			kept = append(kept, l)
			continue
		}
		if l.amount.sign() > 0 {
			v.book(g, Forfeited, -1, num{}, 0, l.amount.micros())
		}
	}
	t.bank = kept
}

// take counts a take-or-pay quantity; what exceeds the floor is free as far as
// earlier windows paid for it.
func (v *hourView) take(g gather, c *clause, t *tally) {
	uses := v.eligible(g, false)
	var quantity, open num
	weights := make([]num, len(uses))
	for i, use := range uses {
		quantity, open = quantity.add(use.quantity), open.add(use.open)
		weights[i] = use.open
	}
	before := t.count
	t.count = before.add(quantity)
	start := c.floor()
	if start.cmp(before) < 0 {
		start = before
	}
	made := takeFrom(t, lesser(t.count.sub(start), open), v.hour)
	if made.sign() <= 0 {
		return
	}
	credit := t.round(-1, made.mul(numOf(c.TakeOrPay.Price.Exact())))
	for i, part := range share(credit, weights) {
		if part != 0 {
			uses[i].net -= part
			v.book(g, MakeUp, uses[i].cell, made.mul(uses[i].open).div(open), -part, -part)
		}
	}
}

func (v *hourView) closeTake(g gather, c *clause, t *tally, closes bool) {
	if len(t.bank) > 0 {
		t.bank = slices.DeleteFunc(slices.Clone(t.bank), func(l lot) bool { return l.expires <= v.hour+hourSeconds || l.amount.sign() <= 0 })
	}
	if !closes {
		return
	}
	missing := c.floor().sub(t.count)
	t.count = num{}
	price := numOf(c.TakeOrPay.Price.Exact())
	if c.terminated && c.window(v.hour) == len(c.ends)-1 {
		left := c.floor().mul(whole(int64(c.agreedWindows() - len(c.ends))))
		t.remaining = max(missing.add(left).mul(price).micros(), 0)
		return
	}
	if missing.sign() <= 0 {
		return
	}
	micros := missing.mul(price).micros()
	v.book(g, Deficiency, -1, missing, micros, micros)
	v.fees = append(v.fees, feeUse{g.clause, micros})
	if c.TakeOrPay.MakeUp == nil {
		return
	}
	expires := c.to
	if span := c.TakeOrPay.MakeUp.Expires; span != nil {
		expires = min(expires, span.After(unixTime(v.hour+hourSeconds)).Unix())
	}
	if expires > v.hour+hourSeconds {
		t.bank = append(slices.Clone(t.bank), lot{amount: missing, first: missing, from: v.hour, expires: expires})
	}
}

// macc books prepayment bought, draws it down, and retires what it did not pay
// for, marketplace in full.
func (v *hourView) macc(g gather, c *clause, t *tally) {
	for _, purchase := range c.MACC.Prepayments {
		if !v.within(purchase.At.Time) {
			continue
		}
		expires := c.to
		if purchase.Expires != nil {
			expires = purchase.Expires.Unix()
		}
		amount := numOf(purchase.Amount.Exact())
		v.buy(g, Prepaid, t, amount, expires)
		t.total += amount.micros()
	}
	drawn := v.draw(g, t)
	if !c.active(v.hour) {
		return
	}
	t.total += v.netOf(g, true) - drawn
	for _, fee := range v.fees {
		if v.countsFee(c, fee.clause) {
			t.total += fee.net
		}
	}
}

// closeMACC charges what a milestone or the end lacks. The charge is credit
// for usage until it expires, or until the commitment ends; at the end itself
// it is credit only where the agreement says for how long.
func (v *hourView) closeMACC(g gather, c *clause, t *tally, end int64) {
	for _, milestone := range c.MACC.Milestones {
		if by := milestone.By.Unix(); by > v.hour && by <= end && by < c.to {
			v.shortOf(g, c, t, numOf(milestone.Amount.Exact()).micros(), end)
		}
	}
	if c.to > v.hour && c.to <= end {
		if c.terminated {
			t.remaining = max(c.committed(0).micros()-t.total, 0)
		} else {
			v.shortOf(g, c, t, c.committed(0).micros(), end)
		}
	}
	v.expire(g, t, end)
}

func (v *hourView) shortOf(g gather, c *clause, t *tally, due, end int64) {
	missing := due - t.total
	if missing <= 0 {
		return
	}
	t.total = due
	expires := c.to
	if c.MACC.CreditExpires != nil {
		expires = c.MACC.CreditExpires.After(unixTime(end)).Unix()
	}
	if expires <= end {
		v.book(g, Shortfall, -1, num{}, missing, missing)
		return
	}
	v.buy(g, Shortfall, t, ofMicros(missing), expires)
}

// terminate charges for leaving: a sum, and a share of what is still committed.
func (v *hourView) terminate(g gather, c *clause) {
	var fee num
	if c.TerminationFee.Fee != nil {
		fee = numOf(c.TerminationFee.Fee.Exact())
	}
	if c.TerminationFee.Percent != nil {
		fee = fee.add(ofMicros(v.stillCommitted(c)).mul(numOf(c.TerminationFee.Percent.Exact())))
	}
	if micros := fee.micros(); micros > 0 {
		v.book(g, Penalty, -1, num{}, micros, micros)
		v.fees = append(v.fees, feeUse{g.clause, micros})
	}
}

// stillCommitted adds up what the other clauses of a terminated contract would
// have cost at the least from its end on.
func (v *hourView) stillCommitted(c *clause) int64 {
	sum := int64(0)
	for i, turn := range v.turns {
		if other := v.clauses[turn.clause]; other.contract == c.contract {
			sum += v.tallies[i].remaining
		}
	}
	for _, other := range v.clauses {
		if other.contract != c.contract || !other.terminated {
			continue
		}
		switch {
		case other.Ramp != nil:
			for hour := ceilHour(other.to); hour < other.from+other.life(); hour += hourSeconds {
				sum += other.obligation(hour).mul(numOf(other.Ramp.Price.Exact())).micros()
			}
		case other.MonthlyMinimum != nil:
			left := int64(other.agreedWindows() - len(other.ends))
			sum += other.committed(0).mul(whole(left)).micros()
		default:
			_, recurring := other.fee()
			served := lowest(other.to-other.from, max(other.life(), 1))
			sum += recurring.mul(whole(1).sub(served)).micros()
		}
	}
	return sum
}

// work counts what a covenant measures, in its window and in breaches that
// wait to be cured.
func (v *hourView) work(g gather, c *clause, t *tally) {
	var on, all num
	for _, use := range v.eligible(g, false) {
		cell := v.cells[use.cell]
		if cell.reserved >= 0 {
			continue
		}
		amount := v.covenantWork(c.ChipCovenant, use)
		all = all.add(amount)
		if c.ChipCovenant.Names(cell.product.Chip, cell.product.Chipmaker) {
			on = on.add(amount)
		}
	}
	t.count, t.of = t.count.add(on), t.of.add(all)
	if len(t.bank) > 0 {
		bank := slices.Clone(t.bank)
		for i := range bank {
			bank[i].amount, bank[i].of = bank[i].amount.add(on), bank[i].of.add(all)
		}
		t.bank = bank
	}
}

func (v *hourView) covenantWork(c *contract.ChipCovenant, use *cellUse) num {
	chip := v.cells[use.cell].product.Chip
	if c.Megawatts != nil {
		return use.quantity.mul(byChip(c.Kilowatts, chip, num{}))
	}
	measure := c.Measure
	if measure == "" {
		measure = contract.ChipTime
	}
	amount := v.measured(use, measure)
	if measure == contract.Spend {
		amount = ofMicros(use.net + use.covered)
	}
	return amount.mul(byChip(c.Weights, chip, whole(1)))
}

func (v *hourView) closeCovenant(g gather, c *clause, t *tally, closes bool, end int64) {
	var waiting []lot
	for _, breach := range t.bank {
		switch {
		case breach.expires > end:
			waiting = append(waiting, breach)
		case !c.kept(breach.amount, breach.of, breach.from, breach.expires):
			v.breach(g, c)
		}
	}
	t.bank = waiting
	if !closes {
		return
	}
	window := c.window(v.hour)
	from := c.from
	if window > 0 {
		from = c.ends[window-1]
	}
	kept := c.kept(t.count, t.of, from, c.ends[window])
	t.count, t.of = num{}, num{}
	if kept {
		return
	}
	if c.ChipCovenant.Cure == nil {
		v.breach(g, c)
		return
	}
	t.bank = append(waiting, lot{from: end, expires: c.ChipCovenant.Cure.After(unixTime(end)).Unix()})
}

// kept reports whether the covenant held over a span: no work is no breach of
// a share, but it is one of a power.
func (c *clause) kept(on, all num, from, to int64) bool {
	if c.ChipCovenant.Megawatts != nil {
		const kilowattsPerMegawatt = 1000
		needed := numOf(c.ChipCovenant.Megawatts.Exact()).mul(whole(kilowattsPerMegawatt)).mul(lowest(to-from, hourSeconds))
		return on.cmp(needed) >= 0
	}
	return on.cmp(all.mul(numOf(c.ChipCovenant.Share.Exact()))) >= 0
}

func (v *hourView) breach(g gather, c *clause) {
	if fee := c.ChipCovenant.Fee; fee != nil {
		micros := numOf(fee.Exact()).micros()
		v.book(g, Penalty, -1, num{}, micros, micros)
	}
	if tranche := c.ChipCovenant.Tranche; tranche != nil {
		micros := numOf(tranche.Exact()).micros()
		v.book(g, Withheld, -1, num{}, micros, micros)
	}
}

// byChip looks a figure up by chip, without regard to case.
func byChip(figures map[string]contract.Number, chip string, otherwise num) num {
	if figure, known := figures[chip]; known {
		return numOf(figure.Exact())
	}
	for name, figure := range figures {
		if strings.EqualFold(name, chip) {
			return numOf(figure.Exact())
		}
	}
	return otherwise
}
