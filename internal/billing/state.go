package billing

import (
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Status is where a clause stands at the end of what was billed. Money is in
// micro-units.
type Status struct {
	Contract, Clause, Kind string
	From, To               time.Time // the clause's life
	WindowFrom, WindowTo   time.Time // the window under way, or the last one

	Committed int64 // in the window
	Retired   int64 // of it: what was used, or counted towards it
	Lost      int64 // of it: paid for and past, and never used
	Remaining int64 // what is still to come
	Shortfall int64 // projected at the window's pace so far
	Life      int64 // committed over the clause's life
	LifeDone  int64 // retired over the clause's life

	Measured bool     // Share and Floor are set
	Share    Quantity // a covenant's or a cap's share, or megawatts
	Floor    Quantity // what it must reach, or may not pass

	Credit   int64     // prepayment or credit left
	Bank     Quantity  // quantity that may be made up
	Expires  time.Time // of the credit or bank that expires first
	Next     time.Time // the next date that binds
	NextWhat string
	Burn     []float64 // remaining of Life at the end of each elapsed thirtieth, for charts only
}

// Status reports every clause that commits to something, in the order of the
// contracts, as of the end of what Settle billed.
func (b *Book) Status() []Status { return b.statuses(true) }

// Commitments reports the clauses that accumulate towards a commitment, as
// Status does, out of the head of the book: it needs no day.
func (b *Book) Commitments() []Status { return b.statuses(false) }

func (b *Book) statuses(all bool) []Status {
	var found []Status
	for i, c := range b.clauses {
		s := Status{Contract: c.contract.Name, Clause: c.Name, Kind: c.kind, From: unixTime(c.from), To: unixTime(c.to)}
		window := min(c.window(max(b.to, c.from)), len(c.ends)-1)
		s.WindowFrom, s.WindowTo = unixTime(c.from), unixTime(c.ends[window])
		if window > 0 {
			s.WindowFrom = unixTime(c.ends[window-1])
		}
		known := b.commitStatus(c, i, window, &s)
		if !known && all {
			known = b.bundleStatus(c, i, &s) || b.shareStatus(c, i, &s)
		}
		if known {
			b.nextDate(c, &s)
			found = append(found, s)
		}
	}
	return found
}

func (b *Book) turnOf(clause int, roles ...role) (int, bool) {
	for i, turn := range b.turns {
		for _, r := range roles {
			if turn.clause == clause && turn.role == r {
				return i, true
			}
		}
	}
	return 0, false
}

// commitStatus fills in the state of a clause that accumulates.
func (b *Book) commitStatus(c *clause, index, window int, s *Status) bool {
	i, found := b.turnOf(index, roleCommit, roleMACC, roleMinimum, roleTakeOrPay, rolePrepayment, roleCovenant)
	if !found {
		return false
	}
	t := tally{}
	if b.last != nil {
		t = b.last.tallies[i]
	}
	over := b.to >= c.to // the last window is closed: its tally was reset
	switch b.turns[i].role {
	case roleCommit:
		b.commitWindow(c, &t, window, over, s)
	case roleMACC:
		s.Committed, s.Retired = c.committed(0).micros(), t.total
		s.Life, s.LifeDone = s.Committed, t.total
		s.Credit = lotsOf(&t, s).micros()
	case roleMinimum:
		s.Committed, s.Retired = c.committed(window).micros(), t.sum
		if over {
			s.Retired = s.Committed
		}
		s.Life = c.committed(0).mul(whole(int64(len(c.ends)))).micros()
	case roleTakeOrPay:
		price := numOf(c.TakeOrPay.Price.Exact())
		s.Committed, s.Retired = c.committed(window).micros(), t.count.mul(price).micros()
		if over {
			s.Retired = s.Committed
		}
		s.Life = c.committed(0).mul(whole(int64(len(c.ends)))).micros()
		s.Bank = Quantity{lotsOf(&t, s)}
	case rolePrepayment:
		b.prepaidStatus(c, index, &t, s)
		return true
	case roleCovenant:
		b.covenantStatus(c, &t, s)
		return true
	}
	s.Remaining = max(s.Committed-s.Retired, 0)
	if !over {
		s.Shortfall = b.project(s)
	}
	s.Burn = b.burn(c, i, s.Life)
	return true
}

func (b *Book) commitWindow(c *clause, t *tally, window int, over bool, s *Status) {
	s.Committed = c.committed(window).micros()
	var life num
	for w := range c.agreedWindows() {
		life = life.add(c.committed(w))
	}
	s.Life, s.LifeDone = life.micros(), t.total
	if over {
		s.Retired = s.Committed
		return
	}
	s.Retired = c.retired(t, window)
	s.LifeDone += s.Retired
}

// prepaidStatus tells credit that was drawn from credit that expired.
func (b *Book) prepaidStatus(c *clause, index int, t *tally, s *Status) {
	s.Committed = numOf(c.Prepayment.Amount.Exact()).micros()
	s.Life, s.Remaining = s.Committed, s.Committed
	if b.to <= c.buysAt() {
		return
	}
	s.Credit = lotsOf(t, s).micros()
	s.Lost = b.effectiveOf(index, Forfeited)
	s.Retired, s.Remaining = s.Committed-s.Credit-s.Lost, s.Credit
	s.LifeDone = s.Retired
}

// effectiveOf sums up what a clause's charges of some categories come to.
func (b *Book) effectiveOf(index int, categories ...Category) int64 {
	total := int64(0)
	for key, sum := range b.sums {
		if int(key.by) == index && slices.Contains(categories, key.category) {
			total += sum.effective
		}
	}
	return total
}

func (b *Book) covenantStatus(c *clause, t *tally, s *Status) {
	covenant := c.ChipCovenant
	s.Measured = covenant.Megawatts != nil || t.of.sign() > 0
	on, of := t.count, t.of
	if covenant.Megawatts != nil {
		s.Floor = Quantity{numOf(covenant.Megawatts.Exact())}
		const kilowattsPerMegawatt = 1000
		if elapsed := b.to - s.WindowFrom.Unix(); elapsed > 0 {
			s.Share = Quantity{on.div(lowest(elapsed, hourSeconds)).div(whole(kilowattsPerMegawatt))}
		}
	} else {
		s.Floor = Quantity{numOf(covenant.Share.Exact())}
		if of.sign() > 0 {
			s.Share = Quantity{on.div(of)}
		}
	}
	if len(t.bank) > 0 {
		s.Expires = unixTime(t.bank[0].expires)
	}
}

// shareStatus fills in the share that a concentration cap bounds, the largest
// where it names none, or of an exclusive class the share that ran on its holder.
func (b *Book) shareStatus(c *clause, index int, s *Status) bool {
	limit, exclusive := c.ConcentrationCap, c.Exclusivity
	if limit == nil && exclusive == nil {
		return false
	}
	sums := map[string]num{}
	var all num
	for hour := max(floorHour(s.WindowFrom.Unix()), b.from); hour < b.to; hour += hourSeconds {
		state := b.hourAt(hour)
		if state == nil {
			continue // a day that did not come back: see Err
		}
		for _, use := range state.result.usage {
			cell := b.cells[use.cell]
			if !cell.fits[index] || cell.reserved >= 0 {
				continue
			}
			amount, name := use.quantity.mul(whole(int64(max(cell.product.Chips, 1)))), cell.product.Provider
			if limit != nil {
				amount, name = b.capAmount(limit, &use), map[string]string{"provider": cell.product.Provider, "chipmaker": cell.product.Chipmaker, "chip": cell.product.Chip}[limit.Of]
			}
			name = strings.ToLower(name)
			sums[name], all = sums[name].add(amount), all.add(amount)
		}
	}
	if all.sign() <= 0 {
		return true
	}
	s.Measured, s.Floor = true, Quantity{whole(1)}
	if exclusive != nil {
		s.Share = Quantity{sums[strings.ToLower(exclusive.Holder)].div(all)}
		return true
	}
	s.Floor = Quantity{numOf(limit.Share.Exact())}
	for name, sum := range sums {
		if limit.Name == "" && sum.div(all).cmp(s.Share.num) > 0 || strings.EqualFold(limit.Name, name) {
			s.Share = Quantity{sum.div(all)}
		}
	}
	return true
}

func (b *Book) capAmount(limit *contract.ConcentrationCap, use *cellUse) num {
	if limit.Measure == "" || limit.Measure == contract.Spend {
		return ofMicros(use.net + use.covered)
	}
	return (&hourView{Book: b}).measured(use, limit.Measure)
}

// lotsOf adds up what lots still hold and notes the first to expire.
func lotsOf(t *tally, s *Status) num {
	var sum num
	for _, l := range t.bank {
		if l.amount.sign() <= 0 {
			continue
		}
		sum = sum.add(l.amount)
		if at := unixTime(l.expires); s.Expires.IsZero() || at.Before(s.Expires) {
			s.Expires = at
		}
	}
	return sum
}

// project extends the window's pace to its end.
func (b *Book) project(s *Status) int64 {
	elapsed, length := b.to-s.WindowFrom.Unix(), s.WindowTo.Unix()-s.WindowFrom.Unix()
	if elapsed <= 0 || length <= 0 {
		return s.Committed
	}
	projected := ofMicros(s.Retired).mul(lowest(length, elapsed)).micros()
	return max(s.Committed-projected, 0)
}

// bundleStatus fills in the state of a commitment by the hour: what it costs
// over its life, what of that paid for usage, what was lost because no usage
// came, and what is still to come. An hour that is over leaves nothing.
func (b *Book) bundleStatus(c *clause, index int, s *Status) bool {
	if newBundle(c) == nil {
		return false
	}
	upfront, recurring := c.fee()
	served := lowest(c.to-c.from, max(c.life(), 1))
	due := upfront.add(recurring.mul(served))
	s.Life = due.micros()
	past := int64(0)
	if elapsed := min(b.to, c.to) - c.from; elapsed > 0 {
		past = due.mul(lowest(elapsed, c.to-c.from)).micros()
	}
	if c.Ramp != nil {
		for hour := floorHour(c.from); hour < c.to; hour += hourSeconds {
			owed := c.obligation(hour).mul(numOf(c.Ramp.Price.Exact())).mul(c.fraction(hour)).micros()
			if s.Life += owed; hour < b.to {
				past += owed
			}
		}
	}
	s.Committed, s.Remaining = s.Life, s.Life-past
	s.Retired, s.Lost = b.effectiveOf(index, Covered), b.effectiveOf(index, Unused)
	s.LifeDone = s.Retired
	return true
}

// nextDate finds the next date that binds after what was billed.
func (b *Book) nextDate(c *clause, s *Status) {
	consider := func(at time.Time, what string) {
		if at.Unix() > b.to && (s.Next.IsZero() || at.Before(s.Next)) {
			s.Next, s.NextWhat = at, what
		}
	}
	consider(s.From, "starts")
	consider(s.To, "ends")
	if c.period() != contract.Hour && newBundle(c) == nil {
		consider(s.WindowTo, "window closes")
	}
	if c.MACC != nil {
		for _, m := range c.MACC.Milestones {
			consider(m.By.Time, "milestone of "+units.AmountOfRat(m.Amount.Exact(), b.currency).Short())
		}
	}
	if c.Ramp != nil {
		for _, step := range c.Ramp.Schedule {
			consider(step.From.Time, "ramp to "+step.Quantity.String())
		}
	}
	if !s.Expires.IsZero() {
		consider(s.Expires, "credit expires")
	}
}

// burn samples what remains of a commitment at thirty points of its life so
// far, from the state saved at the start of days.
func (b *Book) burn(c *clause, turn int, life int64) []float64 {
	const points = 30
	start := max(c.from, b.from)
	if b.to <= start {
		return nil
	}
	var samples []float64
	for i := range points + 1 {
		at := start + (b.to-start)*int64(i)/points
		t, known := b.tallyAt(turn, at-mod(at, daySeconds))
		if !known {
			continue
		}
		done := t.total
		if b.turns[turn].role == roleCommit {
			done += t.sum + t.other
		}
		samples = append(samples, float64(life-done)/microsPerUnit)
	}
	return samples
}

func (b *Book) tallyAt(turn int, day int64) (tally, bool) {
	if day < b.from {
		day = b.from
	}
	saved, known := b.snapshots[day]
	if !known {
		return tally{}, false
	}
	return saved.tallies[turn], true
}
