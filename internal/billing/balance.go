package billing

import "slices"

// sumKey is a line of the bill: all charges of one clause, category and cell.
type sumKey struct {
	by, cell int32
	category Category
}

// lineSum is what a line of the bill sums to.
type lineSum struct {
	quantity                num
	list, billed, effective int64
}

type summed struct {
	sumKey
	lineSum
}

// tell emits a charge, or with sign −1 its reversal, and keeps the balance.
func (b *Book) tell(e entry, hour int64, sign int64, emit func(Charge)) {
	key := sumKey{e.by, e.cell, e.category}
	s := b.sums[key]
	if s == nil {
		s = &lineSum{}
		b.sums[key] = s
	}
	charge := b.chargeOf(e, hour)
	if sign < 0 {
		charge = charge.reversed()
	}
	s.quantity = s.quantity.add(charge.Quantity.num)
	s.list, s.billed, s.effective = s.list+charge.List, s.billed+charge.Billed, s.effective+charge.Effective
	emit(charge)
}

// sumsInOrder lists the balances in an order that is always the same.
func (b *Book) sumsInOrder() []summed {
	all := make([]summed, 0, len(b.sums))
	for key, s := range b.sums {
		all = append(all, summed{key, *s})
	}
	slices.SortFunc(all, func(x, y summed) int {
		switch {
		case x.by != y.by:
			return int(x.by - y.by)
		case x.cell != y.cell:
			return int(x.cell - y.cell)
		case x.category < y.category:
			return -1
		case x.category > y.category:
			return 1
		}
		return 0
	})
	return all
}

// Balances emits the bill as it stands in one charge for each clause, category
// and product, over the whole span. It needs no day.
func (b *Book) Balances(emit func(Charge)) {
	for _, s := range b.sumsInOrder() {
		charge := b.chargeOf(entry{s.by, s.cell, s.category, s.quantity, s.list, s.billed, s.effective}, b.from)
		charge.To = unixTime(b.to)
		emit(charge)
	}
}
