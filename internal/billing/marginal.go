package billing

import (
	"fmt"
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
	b.rank()
	d := delta{book: b, parts: map[partKey]int64{}}
	state := b.hourAt(hour)
	with := &hourState{quantities: make([]num, max(len(state.quantities), index+1)), pieces: state.pieces}
	copy(with.quantities, state.quantities)
	with.quantities[index] = with.quantities[index].add(quantity.num)
	with.result = b.billHour(hour, with)
	d.count(state.result.entries, -1)
	d.count(with.result.entries, 1)
	b.regatherWith(hour, &with.result, &d)
	m := d.marginal()
	m.List = quantity.mul(b.cells[b.lineCells[index]].list).micros()
	m.Reason = d.reason(m)
	return m, nil
}

// regatherWith runs the gathers again with another result for one hour.
func (b *Book) regatherWith(changed int64, result *hourResult, d *delta) {
	hour := max(changed-mod(changed, daySeconds), b.from)
	b.visit(hour)
	now := b.snapshots[hour].clone()
	for ; hour < b.to; hour += hourSeconds {
		b.visit(hour)
		if hour > changed && mod(hour, daySeconds) == 0 {
			if b.snapshots[hour].equal(now) {
				return
			}
			hour = b.skipQuiet(now, hour)
		}
		state := b.hourAt(hour)
		use := &state.result
		if hour == changed {
			use = result
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
