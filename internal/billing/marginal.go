package billing

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Marginal is what more usage in one hour really adds to the bill, settled at
// the end of every clause. It may be negative: a retroactive tier reached, a
// breach prevented.
type Marginal struct {
	Micros int64  // micro-units added to all that is paid, tranches withheld included
	List   int64  // micro-units at list price, to stand beside it
	Parts  []Part // where it comes from, largest first; they sum to Micros
	Reason string // in one sentence
}

// Part is what one clause contributes to a marginal price.
type Part struct {
	Party    contract.Party
	Kind     string
	Category Category
	Micros   int64
}

// SettleToEnd bills from the first of usage and clauses to the last end of
// both, as Marginal needs it.
func (b *Book) SettleToEnd(emit func(Charge)) {
	from, to, some := b.Span()
	if start, end, any := b.Life(); any {
		if !some || start.Before(from) {
			from = start
		}
		if !some || end.After(to) {
			to = end
		}
	}
	b.Settle(from, to, emit)
}

// Marginal returns what a quantity of a line in one hour adds to a bill that
// holds the past and the outlook, and was settled to the end (SettleToEnd). The
// book does not change. Only the hour itself is billed again, and what
// accumulates from its day on, until it stands as it would have anyway.
func (b *Book) Marginal(line Line, at time.Time, quantity Quantity) (Marginal, error) {
	hour := floorHour(at.Unix())
	if hour < b.from || hour >= b.to {
		return Marginal{}, fault.Newf(fault.Invalid, "%s is outside what was billed, %s to %s", at.Format(time.RFC3339), unixTime(b.from).Format(time.RFC3339), unixTime(b.to).Format(time.RFC3339))
	}
	index, err := b.Line(line)
	if err != nil {
		return Marginal{}, err
	}
	return b.marginal(index, map[int64]num{hour: quantity.num}), nil
}

// Run is what a run of some hours adds to a bill: in all, and with its first
// and its last node-hour, which differ where the run uses up a commitment's
// room, reaches a tier, or meets a floor.
type Run struct {
	Marginal          // of the whole run
	First, Last int64 // micro-units for a unit in the first hour before the run, and in the last hour within it
}

// MarginalRun returns what a line used at a steady pace over [from, to), in
// units an hour, adds to a bill, as Marginal does for one hour. Hours that were not
// billed are at list price: no contract is known there.
func (b *Book) MarginalRun(line Line, from, to time.Time, pace Quantity) (Run, error) {
	start, end := from.Unix(), to.Unix()
	if end <= start || (end-start)/hourSeconds > maxRunHours {
		return Run{}, fault.Newf(fault.Invalid, "a run from %s to %s cannot be priced", from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	index, err := b.Line(line)
	if err != nil {
		return Run{}, err
	}
	list := b.cells[b.lineCells[index]].list
	added := map[int64]num{}
	var beyond num // of what was billed
	for hour := floorHour(start); hour < end; hour += hourSeconds {
		part := pace.num.mul(lowest(min(end, hour+hourSeconds)-max(start, hour), hourSeconds))
		if hour < b.from || hour >= b.to {
			beyond = beyond.add(part)
			continue
		}
		added[hour] = part
	}
	r := Run{Marginal: b.marginal(index, added)}
	r.Micros, r.List = r.Micros+beyond.mul(list).micros(), r.List+beyond.mul(list).micros()
	r.First, r.Last = list.micros(), list.micros()
	if first := floorHour(start); first >= b.from && first < b.to {
		r.First = b.marginal(index, map[int64]num{first: whole(1)}).Micros
	}
	if last := floorHour(end - 1); last >= b.from && last < b.to {
		less := lesser(whole(1), added[last])
		added[last] = added[last].sub(less)
		without := b.marginal(index, added).Micros + beyond.mul(list).micros()
		r.Last = ofMicros(r.Micros - without).div(less).micros()
	}
	return r, nil
}

// maxRunHours bounds the runs that are priced hour by hour: ten years.
const maxRunHours = 10 * 366 * 24

// marginal bills the hours again in which a line gets more.
func (b *Book) marginal(line int, added map[int64]num) Marginal {
	changes := map[int64][]change{}
	for hour, more := range added {
		changes[hour] = []change{{line, more}}
	}
	return b.differ(changes)
}

// change is what a line gets more of in an hour, or less.
type change struct {
	line int
	more num
}

// differ bills the hours again in which lines get more or less. No line gets
// less than nothing.
func (b *Book) differ(changes map[int64][]change) Marginal {
	parts := map[int64][]piece{}
	for _, hour := range slices.Sorted(maps.Keys(changes)) {
		for _, c := range changes[hour] {
			some, _ := b.segments(c.line, hour, hour+hourSeconds, c.more) // of a line that is known nothing can be wrong
			parts[hour] = append(parts[hour], some...)
		}
	}
	b.rank()
	d := delta{book: b, parts: map[partKey]int64{}}
	results := map[int64]*hourResult{}
	repeated := &steady{}
	var list num
	for _, hour := range slices.Sorted(maps.Keys(changes)) {
		state := b.hourAt(hour)
		with := &hourState{quantities: make([]num, max(len(state.quantities), len(b.lineCells))), pieces: state.pieces}
		copy(with.quantities, state.quantities)
		for _, p := range parts[hour] {
			before := with.quantities[p.line]
			with.quantities[p.line] = before.add(p.quantity)
			if with.quantities[p.line].sign() < 0 {
				with.quantities[p.line] = num{}
			}
			list = list.add(with.quantities[p.line].sub(before).mul(b.cells[b.lineCells[p.line]].list))
		}
		with.result = repeated.bill(b, hour, with)
		d.count(state.result.entries, -1)
		d.count(with.result.entries, 1)
		results[hour] = &with.result
	}
	b.regatherWith(results, &d)
	m := d.marginal()
	m.List = list.micros()
	m.Reason = d.reason(m)
	return m
}

// regatherWith runs the gathers again with other results for some hours.
func (b *Book) regatherWith(results map[int64]*hourResult, d *delta) {
	first, last := b.to, b.from
	for hour := range results {
		first, last = min(first, hour), max(last, hour)
	}
	hour := max(floorDay(first), b.from)
	b.visit(hour)
	if b.snapshots[hour] == nil {
		return // nothing changed, or a day did not come back: see Err
	}
	now := b.snapshots[hour].clone()
	for ; hour < b.to; hour += hourSeconds {
		b.visit(hour)
		if hour > last && mod(hour, daySeconds) == 0 {
			if b.snapshots[hour].equal(now) {
				return
			}
			hour = b.skipQuiet(now, hour)
		}
		state := b.hourAt(hour)
		use := &state.result
		if with := results[hour]; with != nil {
			use = with
		}
		d.count(state.gathered, -1)
		d.count(b.gatherHour(hour, use, now, hour+hourSeconds == b.to && !b.open), 1)
	}
}

type partKey struct {
	by       int32
	category Category
}

// delta adds up the difference of two bills.
type delta struct {
	book      *Book
	parts     map[partKey]int64
	effective map[partKey]int64
}

func (d *delta) count(entries []entry, sign int64) {
	for _, e := range entries {
		key := partKey{e.by, e.category}
		d.parts[key] += sign * e.billed
		if e.category == Covered {
			if d.effective == nil {
				d.effective = map[partKey]int64{}
			}
			d.effective[key] += sign * e.effective
		}
	}
}

func (d *delta) party(by int32) (contract.Party, string) {
	if by < 0 {
		return contract.Party{}, ""
	}
	c := d.book.clauses[by]
	return contract.Party{Contract: c.contract.Name, Clause: c.Name}, c.kind
}

func (d *delta) marginal() Marginal {
	var m Marginal
	for key, micros := range d.parts {
		if micros == 0 {
			continue
		}
		party, kind := d.party(key.by)
		m.Parts = append(m.Parts, Part{party, kind, key.category, micros})
		m.Micros += micros
	}
	size := func(p Part) int64 { return max(p.Micros, -p.Micros) }
	sort.Slice(m.Parts, func(i, j int) bool {
		x, y := m.Parts[i], m.Parts[j]
		if size(x) != size(y) {
			return size(x) > size(y)
		}
		return x.Party.String()+string(x.Category) < y.Party.String()+string(y.Category)
	})
	return m
}

// reason says in a sentence why the price is what it is.
func (d *delta) reason(m Marginal) string {
	var reasons []string
	for key, effective := range d.effective {
		if effective > 0 {
			party, _ := d.party(key.by)
			reasons = append(reasons, fmt.Sprintf("uses what %s leaves unused", party))
		}
	}
	sort.Strings(reasons)
	for _, p := range m.Parts {
		if text := p.sentence(); text != "" {
			reasons = append(reasons, text)
		}
	}
	if len(reasons) == 0 {
		return "no contract changes the list price"
	}
	return strings.Join(reasons, "; ")
}

func (p Part) sentence() string {
	name := p.Party.String()
	switch p.Category {
	case Used:
		if p.Party.Contract != "" && p.Micros > 0 {
			return "at the rate of " + name
		}
	case Reduction:
		if p.Micros < 0 {
			return "with the discount of " + name
		}
	case Shortfall, Minimum, Deficiency:
		if p.Micros < 0 {
			return "counts towards " + name + ", which the outlook leaves unmet"
		}
	case MakeUp:
		if p.Micros < 0 {
			return "makes up what " + name + " was paid for before"
		}
	case Drawdown:
		return "paid out of the credit of " + name
	case Withheld, Penalty:
		if p.Micros < 0 {
			return "prevents a breach of " + name
		}
		return "brings about a breach of " + name
	}
	return ""
}
