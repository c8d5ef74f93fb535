package billing

import (
	"slices"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/contract"
)

// role is what a clause that accumulates does in its turn.
type role int

// The roles in the order of their turns. Discounts come before credits, so
// that credit pays for what is due; fees of minimums come before commitments,
// so that they count towards them.
const (
	roleTiers role = iota
	roleReduce
	roleTakeOrPay
	rolePrepayment
	roleMACC
	roleMinimum
	roleCommit
	roleCovenant
	roleTerminate
)

// gather is one role of one clause.
type gather struct {
	clause int
	role   role
}

func rolesOf(c *clause) []role {
	switch {
	case c.Discount != nil && c.Discount.Tiers != nil:
		return []role{roleTiers}
	case c.Discount != nil && c.Discount.Stacks:
		return []role{roleReduce}
	case c.TakeOrPay != nil:
		return []role{roleTakeOrPay}
	case c.Prepayment != nil:
		return []role{rolePrepayment}
	case c.MACC != nil:
		return []role{roleMACC}
	case c.MonthlyMinimum != nil:
		return []role{roleMinimum}
	case c.Commitment != nil && c.Commitment.Period != contract.Hour:
		return []role{roleCommit}
	case c.EnterpriseAgreement != nil:
		var roles []role
		if c.EnterpriseAgreement.Discount != nil {
			roles = append(roles, roleReduce)
		}
		if c.committed(0).sign() > 0 {
			roles = append(roles, roleCommit)
		}
		return roles
	case c.ChipCovenant != nil:
		return []role{roleCovenant}
	case c.TerminationFee != nil && c.TerminationFee.On != nil:
		return []role{roleTerminate}
	}
	return nil
}

// committed returns the money committed for a window.
func (c *clause) committed(window int) num {
	of := func(single *contract.Number, list []contract.Number) num {
		switch {
		case single != nil:
			return numOf(single.Exact())
		case window < len(list):
			return numOf(list[window].Exact())
		}
		return num{}
	}
	switch {
	case c.Commitment != nil:
		return of(c.Commitment.Amount, c.Commitment.Amounts)
	case c.EnterpriseAgreement != nil:
		return of(c.EnterpriseAgreement.Commitment, c.EnterpriseAgreement.Commitments)
	case c.MACC != nil:
		return numOf(c.MACC.Amount.Exact())
	case c.MonthlyMinimum != nil:
		return numOf(c.MonthlyMinimum.Amount.Exact())
	case c.TakeOrPay != nil:
		return c.floor().mul(numOf(c.TakeOrPay.Price.Exact()))
	}
	return num{}
}

// floor is the quantity of a window that take-or-pay charges in any case.
func (c *clause) floor() num { return c.least }

func (c *clause) floorOf() num {
	if c.TakeOrPay == nil {
		return num{}
	}
	quantity := numOf(c.TakeOrPay.Quantity.Exact())
	if c.TakeOrPay.Floor == nil {
		return quantity
	}
	return quantity.mul(numOf(c.TakeOrPay.Floor.Exact()))
}

// lot is credit, banked quantity, or a breach waiting to be cured.
type lot struct {
	amount  num
	of      num   // of a breach: all work since
	from    int64 // when it began
	expires int64
	first   num // what it held at first
}

// tally is what a gather remembers from hour to hour.
type tally struct {
	count     num   // measure of tiers, take-or-pay and covenants in this window
	of        num   // covenants: all work in this window
	sum       int64 // micro-units counted in this window
	other     int64 // micro-units of marketplace in this window; of tiers: discount given
	total     int64 // micro-units retired over the clause's life
	bank      []lot // oldest first; never modified in place
	remaining int64 // micro-units that were still committed at an early end
	rest      []num // what rounding left over: of fees first, then by cell
}

// round books an exact sum in whole micro-units, with what earlier rounding of
// the same cell left over.
func (t *tally) round(cell int, exact num) int64 {
	for len(t.rest) <= cell+1 {
		t.rest = append(t.rest, num{})
	}
	exact = exact.add(t.rest[cell+1])
	micros := exact.micros()
	t.rest[cell+1] = exact.sub(ofMicros(micros))
	return micros
}

func (t *tally) equal(other *tally) bool {
	return t.sum == other.sum && t.other == other.other && t.total == other.total && t.remaining == other.remaining &&
		t.count.cmp(other.count) == 0 && t.of.cmp(other.of) == 0 &&
		samePadded(t.rest, other.rest, func(a, b num) bool { return a.cmp(b) == 0 }) && slices.EqualFunc(t.bank, other.bank, func(a, b lot) bool {
		return a.expires == b.expires && a.from == b.from && a.amount.cmp(b.amount) == 0 && a.of.cmp(b.of) == 0
	})
}

// hourView is an hour as the gathers see and change it, each in its turn.
type hourView struct {
	*Book
	hour    int64
	usage   []cellUse
	fees    []feeUse
	entries []entry
	tallies []tally
}

// standing is what passes from hour to hour: the tallies, and what rounding to
// the hour left over, of the day and of all days.
type standing struct {
	tallies  []tally
	day, all []rest
}

func (s *standing) clone() *standing {
	copied := &standing{slices.Clone(s.tallies), slices.Clone(s.day), slices.Clone(s.all)}
	for i := range copied.tallies {
		copied.tallies[i].rest = slices.Clone(copied.tallies[i].rest)
	}
	return copied
}

func (s *standing) equal(other *standing) bool {
	same := func(a, b rest) bool { return a.net.cmp(b.net) == 0 && a.list.cmp(b.list) == 0 }
	return slices.EqualFunc(s.tallies, other.tallies, func(a, b tally) bool { return a.equal(&b) }) &&
		samePadded(s.day, other.day, same) && samePadded(s.all, other.all, same)
}

// samePadded compares two lists in which what is not there yet is zero.
func samePadded[T any](a, b []T, same func(T, T) bool) bool {
	var zero T
	at := func(all []T, i int) T {
		if i < len(all) {
			return all[i]
		}
		return zero
	}
	for i := range max(len(a), len(b)) {
		if !same(at(a, i), at(b, i)) {
			return false
		}
	}
	return true
}

// gatherHour lets every gather take its turn, and close its window where one
// ends with the hour.
func (b *Book) gatherHour(hour int64, result *hourResult, s *standing, last bool) []entry {
	v := &hourView{Book: b, hour: hour, usage: slices.Clone(result.usage), fees: slices.Clone(result.fees), tallies: s.tallies}
	v.carry(result.residues, s, last)
	for i := range b.turns {
		c, t := b.clauses[b.turns[i].clause], &s.tallies[i]
		if !c.active(hour) && len(t.bank) == 0 {
			continue
		}
		v.apply(b.turns[i], c, t)
		v.close(b.turns[i], c, t)
	}
	return v.entries
}

func (v *hourView) apply(g gather, c *clause, t *tally) {
	switch g.role {
	case roleTiers:
		v.tiers(g, c, t)
	case roleReduce:
		v.reduce(g, c, t)
	case roleTakeOrPay:
		v.take(g, c, t)
	case rolePrepayment:
		v.prepay(g, c, t)
	case roleMACC:
		v.macc(g, c, t)
	case roleMinimum:
		t.sum += v.netOf(g, false)
	case roleCommit:
		v.retire(g, c, t)
	case roleCovenant:
		v.work(g, c, t)
	case roleTerminate:
	}
}

// close ends the window that ends within or with the hour.
func (v *hourView) close(g gather, c *clause, t *tally) {
	end := v.hour + hourSeconds
	window := c.window(v.hour)
	closes := window < len(c.ends) && c.ends[window] <= end
	switch g.role {
	case roleTiers:
		if closes {
			*t = tally{rest: t.rest}
		}
	case roleTakeOrPay:
		v.closeTake(g, c, t, closes)
	case rolePrepayment:
		v.expire(g, t, end)
	case roleMACC:
		v.closeMACC(g, c, t, end)
	case roleMinimum:
		if closes {
			v.lack(g, Minimum, c.committed(window).micros()-t.sum)
			t.sum = 0
		}
	case roleCommit:
		if closes {
			v.closeCommit(g, c, t, window)
		}
	case roleCovenant:
		v.closeCovenant(g, c, t, closes, end)
	case roleTerminate:
		if c.to <= end && c.to > v.hour {
			v.terminate(g, c)
		}
	}
}

func (v *hourView) book(g gather, category Category, c int, quantity num, billed, effective int64) {
	v.entries = append(v.entries, entry{int32(g.clause), int32(c), category, quantity, 0, billed, effective})
}

// lack charges what is missing to a floor, and lets it count as a fee.
func (v *hourView) lack(g gather, category Category, micros int64) {
	if micros <= 0 || v.clauses[g.clause].terminated {
		return
	}
	v.book(g, category, -1, num{}, micros, micros)
	v.fees = append(v.fees, feeUse{g.clause, micros})
}

// eligible lists the usage that a clause is about.
func (v *hourView) eligible(g gather, marketplace bool) []*cellUse {
	var uses []*cellUse
	for i := range v.usage {
		c := v.cells[v.usage[i].cell]
		if c.fits[g.clause] && (marketplace || !c.marketplace()) {
			uses = append(uses, &v.usage[i])
		}
	}
	return uses
}

func (c *cell) marketplace() bool { return strings.EqualFold(c.product.Option, optionMarketplace) }

func (v *hourView) netOf(g gather, marketplace bool) int64 {
	sum := int64(0)
	for _, use := range v.eligible(g, marketplace) {
		sum += use.net
	}
	return sum
}

// measured returns what of a usage a measure counts.
func (v *hourView) measured(use *cellUse, measure contract.Measure) num {
	switch measure {
	case contract.ListCost:
		return ofMicros(use.list)
	case contract.Quantity:
		return use.quantity
	case contract.ChipTime:
		return use.quantity.mul(whole(int64(max(v.cells[use.cell].product.Chips, 1))))
	}
	return ofMicros(use.net)
}

// tiers gives the discount of the tiers that the window's use has reached.
// Within an hour all usage stands alike: each is in a tier in proportion.
func (v *hourView) tiers(g gather, c *clause, t *tally) {
	uses := v.eligible(g, false)
	var hourly num
	net := int64(0)
	for _, use := range uses {
		hourly = hourly.add(v.measured(use, c.Discount.Tiers.Measure))
		net += use.net
	}
	if hourly.sign() <= 0 {
		return
	}
	before := t.count
	t.count = before.add(hourly)
	if c.Discount.Tiers.Mode == contract.Retroactive {
		t.sum += net
		due := ofMicros(t.sum).mul(tierAt(c.Discount.Tiers.Steps, t.count)).micros()
		v.spread(g, uses, Reduction, due-t.other)
		t.other = due
		return
	}
	rate := tierShare(c.Discount.Tiers.Steps, before, t.count).div(hourly)
	if rate.sign() > 0 {
		v.reduceBy(g, t, uses, rate)
	}
}

// tierAt returns the discount of the highest step that the count has passed.
func tierAt(steps []contract.Tier, count num) num {
	var discount num
	for _, step := range steps {
		if count.cmp(numOf(step.Above.Exact())) > 0 {
			discount = numOf(step.Discount.Exact())
		}
	}
	return discount
}

// tierShare returns the sum of slice × discount between two counts.
func tierShare(steps []contract.Tier, from, to num) num {
	var sum num
	for i, step := range steps {
		low, high := numOf(step.Above.Exact()), to
		if i+1 < len(steps) {
			high = lesser(high, numOf(steps[i+1].Above.Exact()))
		}
		if low.cmp(from) < 0 {
			low = from
		}
		if slice := high.sub(low); slice.sign() > 0 {
			sum = sum.add(slice.mul(numOf(step.Discount.Exact())))
		}
	}
	return sum
}

func (v *hourView) reduceBy(g gather, t *tally, uses []*cellUse, rate num) {
	for _, use := range uses {
		if micros := t.round(use.cell, ofMicros(use.net).mul(rate)); micros != 0 {
			use.net -= micros
			v.book(g, Reduction, use.cell, num{}, -micros, -micros)
		}
	}
}

// spread takes micro-units off usage in proportion to what it costs.
func (v *hourView) spread(g gather, uses []*cellUse, category Category, micros int64) {
	if micros == 0 || len(uses) == 0 {
		return
	}
	weights := make([]num, len(uses))
	for i, use := range uses {
		weights[i] = whole(max(use.net, 0))
	}
	for i, part := range share(micros, weights) {
		if part != 0 {
			uses[i].net -= part
			v.book(g, category, uses[i].cell, num{}, -part, -part)
		}
	}
}

// reduce takes a share off what usage, and where agreed fees, cost.
func (v *hourView) reduce(g gather, c *clause, t *tally) {
	discount, fees := c.Discount, false
	var rate num
	if discount != nil {
		rate, fees = numOf(discount.Percent.Exact()), discount.Fees
	} else {
		rate, fees = numOf(c.EnterpriseAgreement.Discount.Exact()), c.EnterpriseAgreement.Fees
	}
	v.reduceBy(g, t, v.eligible(g, false), rate)
	if !fees {
		return
	}
	for i := range v.fees {
		fee := &v.fees[i]
		if !v.countsFee(c, fee.clause) {
			continue
		}
		if micros := t.round(-1, ofMicros(fee.net).mul(rate)); micros != 0 {
			fee.net -= micros
			v.book(g, Reduction, -1, num{}, -micros, -micros)
		}
	}
}

// countsFee reports whether fees of another clause are the concern of c.
func (v *hourView) countsFee(c *clause, by int) bool { return c.feesOf[by] }

// concerns reports whether fees of the other clause are the concern of c: those
// of its own contract, and those of its provider where c has no finer scope.
func (c *clause) concerns(other *clause) bool {
	if other == c {
		return false
	}
	if other.contract == c.contract {
		return true
	}
	for _, name := range []string{"regions", "zones", "instance_types", "chips", "accounts", "services", "classes", "projects", "units"} {
		if c.scope.Limits(name) {
			return false
		}
	}
	return other.provider != "" && c.scope.Limits("providers") &&
		c.scope.Admits(contract.Subject{Provider: other.provider, Option: optionOnDemand})
}

// retire counts what the hour contributes to a commitment.
func (v *hourView) retire(g gather, c *clause, t *tally) {
	retires, list := c.retires()
	has := func(name contract.Retires) bool { return slices.Contains(retires, name) }
	for _, use := range v.eligible(g, true) {
		money := use.net
		if list {
			money = use.list
		}
		switch {
		case v.cells[use.cell].marketplace():
			if has(contract.RetireMarketplace) {
				t.other += money
			}
		case has(contract.RetireUsage):
			t.sum += money
		}
	}
	if !has(contract.RetireFees) || list {
		return
	}
	for _, fee := range v.fees {
		if v.countsFee(c, fee.clause) {
			t.sum += fee.net
		}
	}
}

func (c *clause) retires() (classes []contract.Retires, list bool) {
	if c.Commitment != nil {
		classes, list = c.Commitment.Retires, c.Commitment.Basis == contract.List
		if classes == nil {
			classes = []contract.Retires{contract.RetireUsage, contract.RetireFees}
		}
		return classes, list
	}
	classes, list = c.EnterpriseAgreement.Retires, c.EnterpriseAgreement.Basis == contract.List
	if classes == nil {
		classes = []contract.Retires{contract.RetireUsage, contract.RetireFees, contract.RetireMarketplace}
	}
	return classes, list
}

// retired is what counts towards the window's commitment so far, marketplace
// up to its cap.
func (c *clause) retired(t *tally, window int) int64 {
	marketplace := t.other
	if limit := c.marketplaceCap(); limit != nil {
		marketplace = min(marketplace, c.committed(window).mul(*limit).micros())
	}
	return t.sum + marketplace
}

// marketplaceCap is the share of a commitment that marketplace may retire: of
// an enterprise agreement a quarter unless it says otherwise.
func (c *clause) marketplaceCap() *num {
	var limit *contract.Share
	switch {
	case c.Commitment != nil:
		limit = c.Commitment.MarketplaceCap
	case c.EnterpriseAgreement != nil:
		limit = c.EnterpriseAgreement.MarketplaceCap
		if limit == nil {
			quarter := lowest(1, 4)
			return &quarter
		}
	}
	if limit == nil {
		return nil
	}
	exact := numOf(limit.Exact())
	return &exact
}

func (v *hourView) closeCommit(g gather, c *clause, t *tally, window int) {
	retired := c.retired(t, window)
	t.total += retired
	if c.terminated && window == len(c.ends)-1 {
		var committed num
		for w := window; w < c.agreedWindows(); w++ {
			committed = committed.add(c.committed(w))
		}
		t.remaining = max(committed.micros()-retired, 0)
		return
	}
	v.lack(g, Shortfall, c.committed(window).micros()-retired)
	t.sum, t.other = 0, 0
}

// agreedWindows counts the windows of the clause's life as agreed.
func (c *clause) agreedWindows() int {
	whole := *c
	whole.to = c.from + c.life()
	return len(windowEnds(&whole))
}
