package billing

import "sort"

// A marginal price far from the end of a long contract would run the gathers
// over years of hours in which nothing happens but fees. Days without usage and
// without a date of any clause are quiet: in them tallies only grow by fees,
// whatever they stood at, so their growth can be added at once.

// busyDays lists the starts of the days that are not quiet, ascending.
func (b *Book) busyDays() []int64 {
	if b.busy != nil {
		return b.busy
	}
	days := map[int64]bool{b.from - mod(b.from, daySeconds): true, b.to - hourSeconds - mod(b.to-hourSeconds, daySeconds): true}
	mark := func(at int64) {
		for _, near := range []int64{at - hourSeconds, at} {
			days[near-mod(near, daySeconds)] = true
		}
	}
	for day := floorDay(b.from); b.recall != nil && day < b.to; day += daySeconds {
		days[day] = true // what is put away may hold usage
	}
	for hour, state := range b.hours {
		if len(state.result.usage) > 0 {
			days[hour-mod(hour, daySeconds)] = true
		}
	}
	for at := unixTime(b.from); at.Unix() < b.to; {
		_, next := monthBounds(at)
		mark(next.Unix())
		at = next
	}
	feesReduced := false
	for _, c := range b.clauses {
		for _, at := range c.dates() {
			mark(at)
		}
		feesReduced = feesReduced || c.Discount != nil && c.Discount.Fees || c.EnterpriseAgreement != nil && c.EnterpriseAgreement.Fees
	}
	for day := b.from - mod(b.from, daySeconds); feesReduced && day < b.to; day += daySeconds {
		days[day] = true
	}
	b.busy = make([]int64, 0, len(days))
	for day := range days {
		b.busy = append(b.busy, day)
	}
	sort.Slice(b.busy, func(i, j int) bool { return b.busy[i] < b.busy[j] })
	return b.busy
}

// dates lists the moments at which a clause may do something of its own.
func (c *clause) dates() []int64 {
	dates := append([]int64{c.from, c.to}, c.ends...)
	for _, end := range c.ends {
		at := unixTime(end)
		switch {
		case c.TakeOrPay != nil && c.TakeOrPay.MakeUp != nil && c.TakeOrPay.MakeUp.Expires != nil:
			dates = append(dates, c.TakeOrPay.MakeUp.Expires.After(at).Unix())
		case c.ChipCovenant != nil && c.ChipCovenant.Cure != nil:
			dates = append(dates, c.ChipCovenant.Cure.After(at).Unix())
		}
	}
	if p := c.Prepayment; p != nil {
		if p.At != nil {
			dates = append(dates, p.At.Unix())
		}
		if p.Expires != nil {
			dates = append(dates, p.Expires.Unix())
		}
	}
	if c.MACC == nil {
		return dates
	}
	credit := func(at int64) {
		dates = append(dates, at)
		if span := c.MACC.CreditExpires; span != nil {
			dates = append(dates, span.After(unixTime(ceilHour(at))).Unix())
		}
	}
	credit(c.to)
	for _, m := range c.MACC.Milestones {
		credit(m.By.Unix())
	}
	for _, p := range c.MACC.Prepayments {
		dates = append(dates, p.At.Unix())
		if p.Expires != nil {
			dates = append(dates, p.Expires.Unix())
		}
	}
	return dates
}

// skipQuiet moves a standing at the start of a day to the start of the next
// busy day, and returns that day.
func (b *Book) skipQuiet(now *standing, day int64) int64 {
	busy := b.busyDays()
	i := sort.Search(len(busy), func(i int) bool { return busy[i] >= day })
	if i == len(busy) || busy[i] == day {
		return day
	}
	before, after := b.snapshots[day], b.snapshots[busy[i]]
	if before == nil || after == nil {
		return day
	}
	for t := range now.tallies {
		now.tallies[t].sum += after.tallies[t].sum - before.tallies[t].sum
		now.tallies[t].total += after.tallies[t].total - before.tallies[t].total
	}
	return busy[i]
}
