package billing

import (
	"slices"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
)

// Expected is use of a line that goes on as it is.
type Expected struct {
	Line  Line
	Pace  Quantity  // units an hour
	Until time.Time // to the hour that holds it; zero is to the end of all clauses
}

// Foresee makes a bill of the past one of the past and an outlook: the uses go
// on from an hour, and all is settled to the last end of all clauses, as Marginal
// and Shift need it. A book that foresees takes no usage any more.
func (b *Book) Foresee(from time.Time, uses []Expected) error {
	start, end := floorHour(from.Unix()), floorHour(from.Unix())
	if _, to, some := b.Life(); some {
		end = max(start, ceilHour(to.Unix()))
	}
	ends, ahead, err := b.expect(uses, start, end)
	if err != nil {
		return err
	}
	for hour := start; hour < end; hour += hourSeconds {
		state := b.hourAt(hour)
		if state == nil {
			state = &hourState{}
			b.hours[hour] = state
		}
		if less := ends[hour]; less != nil {
			ahead = slices.Clone(ahead)
			for _, c := range less {
				ahead[c.line] = ahead[c.line].sub(c.more)
			}
		}
		parts, err := b.inParts(hour, ahead)
		if err != nil {
			return err
		}
		state.quantities, state.dirty = sumOf(state.quantities, parts), true
	}
	begin := start
	if first, _, some := b.Span(); some && b.to == b.from {
		begin = min(begin, first.Unix())
	}
	if len(ahead) > 0 && end > start {
		if b.used.from == b.used.to {
			b.used.from, b.used.to = start, end
		}
		b.used.from, b.used.to = min(b.used.from, start), max(b.used.to, end)
	}
	b.Settle(unixTime(begin), unixTime(end), func(Charge) {})
	return b.Err()
}

// expect returns what is used at the start of an outlook, and what ends with
// each hour.
func (b *Book) expect(uses []Expected, start, end int64) (ends map[int64][]change, ahead []num, err error) {
	ends = map[int64][]change{}
	for _, use := range uses {
		line, err := b.Line(use.Line)
		if err != nil {
			return nil, nil, err
		}
		if use.Pace.cmp(whole(largestQuantity)) > 0 || use.Pace.mul(b.cells[b.lineCells[line]].list).cmp(whole(largestRow)) > 0 {
			return nil, nil, fault.Newf(fault.Invalid, "%s units an hour are too many to bill", use.Pace)
		}
		until := end
		if !use.Until.IsZero() {
			until = min(end, ceilHour(use.Until.Unix()))
		}
		if until <= start {
			continue
		}
		for len(ahead) <= line {
			ahead = append(ahead, num{})
		}
		ahead[line] = ahead[line].add(use.Pace.num)
		ends[until] = append(ends[until], change{line, use.Pace.num})
	}
	return ends, ahead, nil
}

// inParts divides what is used all of an hour where clauses begin or end in it.
func (b *Book) inParts(hour int64, used []num) ([]num, error) {
	if len(b.cuts[hour]) == 0 {
		return used, nil
	}
	var divided []num
	for line, quantity := range used {
		parts, err := b.segments(line, hour, hour+hourSeconds, quantity)
		if err != nil {
			return nil, err
		}
		for _, p := range parts {
			for len(divided) <= p.line {
				divided = append(divided, num{})
			}
			divided[p.line] = divided[p.line].add(p.quantity)
		}
	}
	return divided, nil
}

// sumOf adds an outlook to what an hour holds. Hours that hold nothing share
// the outlook: there are tens of thousands of them.
func sumOf(held, ahead []num) []num {
	if !slices.ContainsFunc(held, func(n num) bool { return n.sign() != 0 }) {
		return ahead
	}
	sum := slices.Clone(held)
	for line, more := range ahead {
		if line == len(sum) {
			sum = append(sum, num{})
		}
		sum[line] = sum[line].add(more)
	}
	return sum
}

// Shift is a change of what is used: so much more of a line an hour over a
// span, or less where Less is set.
type Shift struct {
	Line     Line
	From, To time.Time
	Pace     Quantity // units an hour
	Less     bool
}

// Shift returns what changes of use, made together, add to a bill that was
// settled to the end, as Marginal does for one line in one hour. Hours that were
// not billed are at list price: no contract is known there.
func (b *Book) Shift(shifts ...Shift) (Marginal, error) {
	changes := map[int64][]change{}
	var beyond num
	for _, s := range shifts {
		start, end := s.From.Unix(), s.To.Unix()
		if end <= start || (end-start)/hourSeconds > maxRunHours {
			return Marginal{}, fault.Newf(fault.Invalid, "use from %s to %s cannot be priced", s.From.Format(time.RFC3339), s.To.Format(time.RFC3339))
		}
		line, err := b.Line(s.Line)
		if err != nil {
			return Marginal{}, err
		}
		pace := s.Pace.num
		if s.Less {
			pace = pace.neg()
		}
		for hour := floorHour(start); hour < end; hour += hourSeconds {
			part := pace.mul(lowest(min(end, hour+hourSeconds)-max(start, hour), hourSeconds))
			if hour < b.from || hour >= b.to {
				beyond = beyond.add(part.mul(b.cells[b.lineCells[line]].list))
				continue
			}
			changes[hour] = append(changes[hour], change{line, part})
		}
	}
	m := b.differ(changes)
	m.Micros, m.List = m.Micros+beyond.micros(), m.List+beyond.micros()
	return m, b.Err()
}

// Alike returns a number that lines which are billed alike share.
func (b *Book) Alike(line Line) (int, error) {
	index, err := b.Line(line)
	if err != nil {
		return 0, err
	}
	return b.lineCells[index], nil
}

// Touching lists the contracts in force at a time whose clauses bill a line, in
// the order in which the book was given them: without any it costs its list price.
func (b *Book) Touching(line Line, at time.Time) []string {
	index, err := b.Line(line)
	if err != nil {
		return nil
	}
	var names []string
	fits := b.cells[b.lineCells[index]].fits
	for i, c := range b.clauses {
		if fits[i] && c.bills() && c.active(floorHour(at.Unix())) && !slices.Contains(names, c.contract.Name) {
			names = append(names, c.contract.Name)
		}
	}
	return names
}

// bills reports whether a clause charges or changes the price of usage; the
// others are about shares of work, about who may offer, and about stock.
func (c *clause) bills() bool {
	return c.ConcentrationCap == nil && c.Exclusivity == nil && c.RightOfFirstRefusal == nil && c.Warrant == nil && c.TerminationFee == nil
}

// LineOfAttempt is what a node-hour of an attempt is billed as.
func LineOfAttempt(a fleet.Attempt, project string) Line {
	return lineOfUse(ledger.Entry{
		Provider: a.Provider, Region: a.Region, InstanceType: a.InstanceType, Chip: a.Chip, Chipmaker: a.Chipmaker,
		Option: a.Option, Project: project, Rate: a.Rate, Chips: a.Chips, Nodes: a.Nodes,
	})
}
