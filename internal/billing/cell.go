package billing

import (
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// cell is usage that every clause treats alike: one product, admitted by the
// same clauses. Names of accounts and resources are not part of it, so no
// result can depend on them.
type cell struct {
	product  Product
	subject  contract.Subject // of the first line seen; its names matter only through fits and owned
	list     num
	fits     []bool // by clause: whether it is about this usage
	owned    []bool // by clause: whether the usage is its owner's own
	rules    []int  // by clause: which rate rule applies, −1 for none
	reserved int    // index of the capacity reservation whose unused part this is, or −1
}

type cellKey struct {
	product   Product
	treatment string
}

// cellOf finds or makes the cell of a line.
func (b *Book) cellOf(line Line, reserved int) (int, error) {
	list, err := ParseQuantity(line.ListRate)
	if err != nil {
		return 0, fault.Newf(fault.Invalid, "list rate: %s", err)
	}
	c := &cell{
		product: Product{
			Provider: line.Provider, Region: line.Region, Zone: line.Zone, Service: line.Service, InstanceType: line.InstanceType,
			Chip: line.Chip, Chipmaker: line.Chipmaker, Platform: line.Platform, Tenancy: line.Tenancy, Option: line.Option,
			Unit: line.Unit, ListRate: list.String(), Chips: line.Chips,
		},
		subject: line.Subject, list: list.num, reserved: reserved,
	}
	treatment := []byte(strconv.Itoa(reserved))
	for _, clause := range b.clauses {
		fits, rule := clause.fits(line, reserved >= 0), clause.rule(line.Subject)
		if line.isOutside(len(c.fits)) {
			fits = false
		}
		owned := clause.owner() != "" && strings.EqualFold(clause.owner(), line.Account)
		if !owned && !clause.isShared() {
			fits = false
		}
		c.fits, c.owned, c.rules = append(c.fits, fits), append(c.owned, owned), append(c.rules, rule)
		treatment = append(strconv.AppendBool(strconv.AppendBool(append(treatment, '|'), fits), owned), byte('0'+rule%64+1))
	}
	key := cellKey{c.product, string(treatment)}
	if index, known := b.cellIndex[key]; known {
		return index, nil
	}
	index := len(b.cells)
	b.cells = append(b.cells, c)
	b.cellIndex[key] = index
	clear(b.epochs)
	return index, nil
}

func (c *clause) owner() string {
	switch {
	case c.SavingsPlan != nil:
		return c.SavingsPlan.Owner
	case c.ReservedInstances != nil:
		return c.ReservedInstances.Owner
	}
	return ""
}

func (c *clause) isShared() bool {
	switch {
	case c.SavingsPlan != nil:
		return c.SavingsPlan.Shared == nil || *c.SavingsPlan.Shared
	case c.ReservedInstances != nil:
		return c.ReservedInstances.Shared == nil || *c.ReservedInstances.Shared
	}
	return true
}

// fits reports whether the clause is about the usage. Commitments by the hour
// and price clauses leave spot and marketplace alone unless their scope names
// purchase options.
func (c *clause) fits(line Line, reservation bool) bool {
	if !c.scope.Admits(line.Subject) {
		return false
	}
	plain := line.onDemand() || c.scope.Limits("options")
	switch {
	case c.CapacityBlock != nil:
		return !reservation && strings.EqualFold(c.CapacityBlock.InstanceType, line.InstanceType) &&
			(line.Option == "" || strings.EqualFold(line.Option, optionBlock))
	case c.CapacityReservation != nil:
		r := c.CapacityReservation
		return !reservation && plain && strings.EqualFold(r.InstanceType, line.InstanceType) && agree(r.Zone, line.Zone) && agree(r.Platform, line.Platform)
	case c.ReservedInstances != nil:
		r := c.ReservedInstances
		// What a capacity reservation holds unused gets no discount of a zonal one.
		// Source: Amazon EC2 User Guide, "Capacity Reservation pricing and billing", read 2026-11.
		zonal := r.Zone == "" || !reservation && strings.EqualFold(r.Zone, line.Zone)
		return plain && zonal && agree(r.Platform, line.Platform) && agree(r.Tenancy, line.Tenancy) && c.sizeOf(line.InstanceType).sign() > 0
	case c.Ramp != nil:
		return !reservation && plain && agree(c.Ramp.Unit, line.Unit)
	case c.TakeOrPay != nil:
		return !reservation && !line.marketplace() && agree(c.TakeOrPay.Unit, line.Unit)
	case c.SavingsPlan != nil, c.Commitment != nil && c.Commitment.Period == contract.Hour:
		return plain
	case c.Exclusivity != nil:
		return !reservation && contract.Scope{Classes: c.Exclusivity.Classes}.Admits(line.Subject)
	case c.Discount != nil:
		return !line.marketplace() || c.scope.Limits("options")
	}
	return true
}

// agree reports whether a wanted attribute is absent, or not known of the
// usage, or the same.
func agree(want, have string) bool { return want == "" || have == "" || strings.EqualFold(want, have) }

// rule returns the index of the first rate rule that admits the usage, or −1.
func (c *clause) rule(of contract.Subject) int {
	return slices.IndexFunc(c.rateRules(), func(rule contract.RateRule) bool { return rule.Admits(of) })
}

func (c *clause) rateRules() []contract.RateRule {
	switch {
	case c.SavingsPlan != nil:
		return c.SavingsPlan.Rates
	case c.Commitment != nil:
		return c.Commitment.Rates
	case c.Discount != nil:
		return c.Discount.Rates
	}
	return nil
}

// ruleRate returns what the clause's rules and its share off list make of the
// cell's list price; false where neither speaks of the cell.
func (c *clause) ruleRate(index int, of *cell) (num, bool) {
	if n := of.rules[index]; n >= 0 {
		rule := c.rateRules()[n]
		if rule.Rate != nil {
			return numOf(rule.Rate.Exact()), true
		}
		return off(of.list, rule.Discount), true
	}
	var discount *contract.Share
	switch {
	case c.SavingsPlan != nil:
		discount = c.SavingsPlan.Discount
	case c.Commitment != nil:
		discount = c.Commitment.Discount
	case c.Discount != nil && !c.Discount.Stacks:
		discount = c.Discount.Percent
	}
	if discount == nil {
		return num{}, false
	}
	return off(of.list, discount), true
}

func off(list num, discount *contract.Share) num {
	return list.mul(whole(1).sub(numOf(discount.Exact())))
}

// epoch is a span of hours in which the same clauses are in force, with the
// price of every cell and the order in which commitments cover cells.
type epoch struct {
	prices []price
	groups []group
}

// price is what a unit costs that no commitment covers.
type price struct {
	rate   num
	clause int // that sets it; −1 for list
}

// group is cells that one bundle covers with equal right: they share what
// remains in proportion to what they would use of it.
type group struct {
	bundle int
	cells  []int
	use    []num // per unit of quantity, in the bundle's units
}

type pair struct {
	bundle, cell int
	use          num
	idle         bool // held by a capacity reservation and not running
	foreign      bool // not the owner's own usage
	saving       num  // part of the price that the commitment saves
	rate         num  // tie-break: lower first
	years        int  // Azure: longer first
	breadth      int  // Azure: narrower first
}

// epochAt returns the epoch of an hour.
func (b *Book) epochAt(hour int64) *epoch {
	index := sort.Search(len(b.breaks), func(i int) bool { return b.breaks[i] > hour })
	if known := b.epochs[index]; known != nil {
		return known
	}
	e := &epoch{prices: make([]price, len(b.cells))}
	for i, c := range b.cells {
		e.prices[i] = b.priceOf(c, hour)
	}
	var pairs []pair
	for i, bundle := range b.bundles {
		if !slices.ContainsFunc(bundle.members, func(m int) bool { return b.clauses[m].active(hour) }) {
			continue
		}
		for _, j := range b.ranked() {
			if p, covers := b.pairOf(i, j, e.prices[j].rate); covers {
				pairs = append(pairs, p)
			}
		}
	}
	sort.SliceStable(pairs, func(i, j int) bool { return b.comparePairs(pairs[i], pairs[j]) < 0 })
	for i, p := range pairs {
		if i == 0 || p.bundle != pairs[i-1].bundle || b.comparePairs(pairs[i-1], p) != 0 {
			e.groups = append(e.groups, group{bundle: p.bundle})
		}
		last := &e.groups[len(e.groups)-1]
		last.cells, last.use = append(last.cells, p.cell), append(last.use, p.use)
	}
	b.epochs[index] = e
	return e
}

// priceOf returns the price of a cell: what take-or-pay and ramp contracts fix,
// else the lowest of list and the discounts in force.
func (b *Book) priceOf(c *cell, hour int64) price {
	best := price{c.list, -1}
	if c.reserved >= 0 {
		best.clause = c.reserved
	}
	for i, clause := range b.clauses {
		if !c.fits[i] || !clause.active(hour) {
			continue
		}
		switch {
		case clause.TakeOrPay != nil:
			return price{numOf(clause.TakeOrPay.Price.Exact()), i}
		case clause.Ramp != nil:
			return price{numOf(clause.Ramp.Price.Exact()), i}
		case clause.Discount != nil && clause.Discount.Tiers == nil:
			if rate, speaks := clause.ruleRate(i, c); speaks && rate.cmp(best.rate) < 0 {
				best = price{rate, i}
			}
		}
	}
	return best
}

// pairOf returns how a bundle covers a cell, and whether it does at all.
func (b *Book) pairOf(bundleIndex, cellIndex int, current num) (pair, bool) {
	bundle, c := b.bundles[bundleIndex], b.cells[cellIndex]
	first := bundle.members[0]
	clause := b.clauses[first]
	if !c.fits[first] {
		return pair{}, false
	}
	p := pair{bundle: bundleIndex, cell: cellIndex, use: whole(1), idle: c.reserved >= 0, foreign: bundle.owner != "" && !c.owned[first]}
	switch bundle.stage {
	case stageBlock, stageRamp:
		return p, true
	case stageZonal, stageRegional:
		p.use = clause.sizeOf(c.product.InstanceType)
		p.rate = p.use // smallest size first
		return p, true
	}
	rate, speaks := clause.ruleRate(first, c)
	if !speaks || c.list.sign() == 0 {
		return pair{}, false
	}
	azure := clause.SavingsPlan != nil && clause.SavingsPlan.Type == contract.AzurePlan
	against := current
	switch {
	case azure:
		// The saving is judged against pay-as-you-go; a lower negotiated rate is
		// what is decremented. Source: Microsoft Learn, "How saving plan discount
		// is applied", read 2026-11.
		against, p.years, p.breadth = c.list, bundle.years, bundle.breadth
	case rate.cmp(current) > 0:
		return pair{}, false // a lower negotiated rate wins: the usage leaves the plan
	}
	if against.sign() > 0 {
		p.saving = whole(1).sub(rate.div(against))
	}
	p.use, p.rate = rate, rate
	if azure {
		p.use = lesser(rate, current)
	}
	if clause.listBasis() {
		p.use = c.list
	}
	return p, p.use.sign() > 0
}

func (c *clause) listBasis() bool {
	return c.SavingsPlan != nil && c.SavingsPlan.Basis == contract.List || c.Commitment != nil && c.Commitment.Basis == contract.List
}

// comparePairs is the documented order: stage; what runs before what a capacity
// reservation holds unused; the owner's own usage; for Azure plans the longer term and the narrower scope; the highest saving; the
// lowest rate. Bundles that still tie keep the order of bundleBefore.
func (b *Book) comparePairs(x, y pair) int {
	order := func(less, greater bool) int {
		switch {
		case less:
			return -1
		case greater:
			return 1
		}
		return 0
	}
	sx, sy := b.bundles[x.bundle].stage, b.bundles[y.bundle].stage
	for _, c := range []int{
		sx - sy, order(!x.idle && y.idle, x.idle && !y.idle), order(!x.foreign && y.foreign, x.foreign && !y.foreign), y.years - x.years, x.breadth - y.breadth,
		y.saving.cmp(x.saving), x.rate.cmp(y.rate), x.bundle - y.bundle,
	} {
		if c != 0 {
			return c
		}
	}
	return 0
}
