package billing

import "slices"

// cellUse is what a cell used in an hour, as the clauses that accumulate see it.
type cellUse struct {
	cell     int
	quantity num   // all of it
	open     num   // what no commitment covers
	list     int64 // micro-units at list price
	net      int64 // micro-units billed so far, on demand
	covered  int64 // micro-units effective, paid through fees
	credited int64 // micro-units of net that credit paid
}

// feeUse is a fee billed in an hour.
type feeUse struct {
	clause int
	net    int64
}

// hourResult is the outcome of the commitments of one hour.
type hourResult struct {
	entries  []entry
	residues []residue
	usage    []cellUse
	fees     []feeUse
}

// waterfall bills one hour as far as it depends on that hour alone.
type waterfall struct {
	*Book
	hour  int64
	epoch *epoch
	left  map[int]num // by cell
	order []int       // cells, ascending
	held  map[int]heldShare
	out   hourResult
	used  map[int]*cellUse
}

// heldShare is the part of a cell that ran inside a capacity reservation.
type heldShare struct {
	clause int
	part   num
}

// billHour covers and prices what was metered in an hour.
func (b *Book) billHour(hour int64, state *hourState) hourResult {
	w := &waterfall{Book: b, hour: hour, epoch: b.epochAt(hour), left: map[int]num{}, held: map[int]heldShare{}, used: map[int]*cellUse{}}
	for line, quantity := range state.quantities {
		if quantity.sign() <= 0 {
			continue
		}
		c := b.lineCells[line]
		if _, seen := w.left[c]; !seen {
			w.order = append(w.order, c)
		}
		w.left[c] = w.left[c].add(quantity)
	}
	w.reserve(state.pieces)
	slices.SortFunc(w.order, func(x, y int) int { return b.ranks[x] - b.ranks[y] })
	for _, c := range w.order {
		q := w.left[c]
		w.used[c] = &cellUse{cell: c, quantity: q}
	}
	w.cover()
	w.price()
	for _, c := range w.order {
		w.out.usage = append(w.out.usage, *w.used[c])
	}
	return w.out
}

// reserve adds what capacity reservations hold unused to the usage: both parts
// cost the on-demand rate, and commitments may cover both.
func (w *waterfall) reserve(pieces []piece) {
	for i, clause := range w.clauses {
		if clause.CapacityReservation == nil || !clause.active(w.hour) {
			continue
		}
		var about []int
		for _, c := range w.order {
			if _, taken := w.held[c]; w.cells[c].fits[i] && !taken {
				about = append(about, c)
			}
		}
		inside, idle := w.hold(clause, about, pieces)
		for k, c := range about {
			w.held[c] = heldShare{i, inside[k].div(w.left[c])}
		}
		if idle.sign() > 0 {
			c := w.idleCells[i]
			w.left[c] = idle
			w.order = append(w.order, c)
		}
	}
}

// hold works out, second by second, what of the cells ran inside a capacity
// reservation and how much of it stood idle.
func (w *waterfall) hold(clause *clause, about []int, pieces []piece) (inside []num, idle num) {
	inside = make([]num, len(about))
	steady := make([]num, len(about)) // what ran all hour
	place := map[int]int{}
	for k, c := range about {
		steady[k], place[c] = w.left[c], k
	}
	cuts := []int64{w.hour, w.hour + hourSeconds, max(w.hour, clause.from), min(w.hour+hourSeconds, clause.to)}
	for _, p := range pieces {
		if k, concerned := place[w.lineCells[p.line]]; concerned {
			steady[k] = steady[k].sub(p.quantity)
			cuts = append(cuts, p.from, p.to)
		}
	}
	slices.Sort(cuts)
	for n := 1; n < len(cuts); n++ {
		from, to := cuts[n-1], cuts[n]
		if from == to {
			continue
		}
		running := make([]num, len(about))
		var total, room num
		for k := range about {
			running[k] = steady[k].mul(lowest(to-from, hourSeconds))
		}
		for _, p := range pieces {
			if k, concerned := place[w.lineCells[p.line]]; concerned && p.from <= from && p.to >= to {
				running[k] = running[k].add(p.quantity.mul(lowest(to-from, p.to-p.from)))
			}
		}
		for k := range about {
			total = total.add(running[k])
		}
		if from >= clause.from && to <= clause.to {
			room = numOf(clause.CapacityReservation.Count.Exact()).mul(lowest(to-from, hourSeconds))
		}
		used := lesser(room, total)
		idle = idle.add(room.sub(used))
		if used.sign() > 0 {
			for k := range about {
				inside[k] = inside[k].add(running[k].mul(used).div(total))
			}
		}
	}
	return inside, idle
}

// take is what a bundle covers of a cell.
type take struct {
	cell           int
	quantity, used num
}

func (w *waterfall) cover() {
	capacity := make([]num, len(w.bundles))
	remaining := make([]num, len(w.bundles))
	takes := make([][]take, len(w.bundles))
	for i, bundle := range w.bundles {
		for _, m := range bundle.members {
			if c := w.clauses[m]; c.active(w.hour) {
				capacity[i] = capacity[i].add(c.capacity(w.hour).mul(c.fraction(w.hour)))
			}
		}
		remaining[i] = capacity[i]
	}
	for _, g := range w.epoch.groups {
		if remaining[g.bundle].sign() <= 0 {
			continue
		}
		var wanted num
		for i, c := range g.cells {
			wanted = wanted.add(w.left[c].mul(g.use[i]))
		}
		if wanted.sign() <= 0 {
			continue
		}
		part := whole(1)
		if wanted.cmp(remaining[g.bundle]) > 0 {
			part = remaining[g.bundle].div(wanted)
		}
		for i, c := range g.cells {
			left := w.left[c]
			if left.sign() <= 0 {
				continue
			}
			quantity := left.mul(part)
			used := quantity.mul(g.use[i])
			takes[g.bundle] = append(takes[g.bundle], take{c, quantity, used})
			w.left[c] = left.sub(quantity)
			remaining[g.bundle] = remaining[g.bundle].sub(used)
		}
	}
	for i := range w.bundles {
		w.settleBundle(i, capacity[i], remaining[i], takes[i])
	}
}

// settleBundle books a bundle's fee of the hour, and spreads it over what it
// covered and what went unused. Members that began and end together are
// rounded together, then divided by size.
func (w *waterfall) settleBundle(index int, capacity, remaining num, takes []take) {
	for _, cohort := range w.cohorts[index] {
		first := w.clauses[cohort[0]]
		if !first.active(w.hour) {
			w.bookFees(cohort, w.feesAt(cohort, w.hour), nil)
			continue
		}
		sizes := make([]num, len(cohort))
		var size num
		for i, m := range cohort {
			sizes[i] = w.clauses[m].capacity(w.hour).mul(w.clauses[m].fraction(w.hour))
			size = size.add(sizes[i])
		}
		fees := w.feesAt(cohort, w.hour)
		w.bookFees(cohort, fees, sizes)
		if capacity.sign() <= 0 {
			continue
		}
		part := size.div(capacity)
		idle := whole(fees.spread).mul(remaining).div(capacity).div(whole(microsPerUnit)).micros()
		if len(takes) == 0 {
			idle = fees.spread
		}
		w.bookUnused(cohort, sizes, remaining.mul(part), idle)
		w.bookCovered(cohort, sizes, takes, part, fees.spread-idle)
	}
}

func (w *waterfall) bookFees(cohort []int, fees cohortFees, sizes []num) {
	if fees.billed == 0 {
		return
	}
	if sizes == nil || fees.recurring == 0 {
		sizes = make([]num, len(cohort))
		for i, m := range cohort {
			sizes[i] = w.clauses[m].capacity(w.clauses[m].from)
		}
	}
	for i, micros := range w.feeShares(cohort, fees.billed) {
		if micros != 0 {
			w.charge(cohort[i], Fee, -1, sizes[i].div(w.clauses[cohort[i]].ownSize()), 0, micros, 0)
			w.out.fees = append(w.out.fees, feeUse{cohort[i], micros})
		}
	}
}

func (w *waterfall) bookUnused(cohort []int, sizes []num, idle num, effective int64) {
	if idle.sign() <= 0 {
		return
	}
	var size num
	for _, s := range sizes {
		size = size.add(s)
	}
	for i, micros := range share(effective, sizes) {
		quantity := idle.mul(sizes[i]).div(size).div(w.clauses[cohort[i]].ownSize())
		w.charge(cohort[i], Unused, -1, quantity, 0, 0, micros)
	}
}

func (w *waterfall) bookCovered(cohort []int, sizes []num, takes []take, part num, effective int64) {
	if len(takes) == 0 {
		return
	}
	weights := make([]num, len(takes))
	for i, t := range takes {
		weights[i] = t.used
	}
	var size num
	for _, s := range sizes {
		size = size.add(s)
	}
	for i, total := range share(effective, weights) {
		t := takes[i]
		quantity := t.quantity.mul(part)
		w.used[t.cell].covered += total
		for j, micros := range share(total, sizes) {
			w.listed(cohort[j], Covered, t.cell, quantity.mul(sizes[j]).div(size), 0, micros, num{})
		}
	}
}

// price books what no commitment covers.
func (w *waterfall) price() {
	for _, c := range w.order {
		left := w.left[c]
		if left.sign() <= 0 {
			continue
		}
		w.used[c].open = left
		cell, price := w.cells[c], w.epoch.prices[c]
		if cell.reserved >= 0 {
			w.priced(cell.reserved, Unused, c, left, price.rate)
			continue
		}
		if held, inside := w.held[c]; inside {
			quantity := left.mul(held.part)
			by := held.clause
			if price.clause >= 0 {
				by = price.clause
			}
			w.priced(by, Used, c, quantity, price.rate)
			left = left.sub(quantity)
		}
		w.priced(price.clause, Used, c, left, price.rate)
	}
}

// priced books usage at a rate, and notes what rounding to the hour left over.
func (w *waterfall) priced(by int, category Category, c int, quantity, rate num) {
	if quantity.sign() <= 0 {
		return
	}
	exact := quantity.mul(rate)
	billed := exact.micros()
	w.used[c].net += billed
	w.listed(by, category, c, quantity, billed, billed, exact.sub(ofMicros(billed)))
}

// listed books a charge of a cell with what it would cost at list price.
func (w *waterfall) listed(by int, category Category, c int, quantity num, billed, effective int64, rest num) {
	exact := quantity.mul(w.cells[c].list)
	list := exact.micros()
	w.used[c].list += list
	w.charge(by, category, c, quantity, list, billed, effective)
	unlisted := exact.sub(ofMicros(list))
	if rest.sign() != 0 || unlisted.sign() != 0 {
		w.out.residues = append(w.out.residues, residue{w.residueOf(by, category, c), rest, unlisted})
	}
}

func (w *waterfall) charge(by int, category Category, c int, quantity num, list, billed, effective int64) {
	w.out.entries = append(w.out.entries, entry{int32(by), int32(c), category, quantity, list, billed, effective})
}
