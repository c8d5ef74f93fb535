package billing

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// A book can be put away and opened again: a head, and a part for each day.
// Where they are kept is the caller's business. A book that was opened again
// asks for a day when it first comes to it: late usage reads its own day and
// those that follow from it, and no day before.

// archiveVersion is the form of heads and days; of another form nothing is read.
const archiveVersion = 2

// Fingerprint identifies contracts, and the form in which books under them are
// put away.
func Fingerprint(contracts []*contract.Contract) string {
	data, err := json.Marshal(contracts)
	if err != nil {
		panic(fmt.Sprintf("billing: a contract does not marshal: %v", err))
	}
	return fmt.Sprintf("%d-%x", archiveVersion, sha256.Sum256(data))
}

// Head writes all of the book but its days.
func (b *Book) Head() []byte {
	c := &codec{}
	text := b.fingerprint
	c.text(&text)
	lines := b.lineList
	list(c, &lines, c.line)
	b.codeHead(c)
	return c.sealed()
}

// Reopen opens a book from its head, under the contracts that it was written
// under; others are fault.Conflict. recall returns what Day wrote of a day, nil
// where nothing was. It is called at most once for each day, and what it fails
// with is told by Err.
func Reopen(contracts []*contract.Contract, head []byte, recall func(day time.Time) ([]byte, error)) (*Book, error) {
	return ReopenIn("", contracts, head, recall)
}

// ReopenIn is Reopen of a book that NewBookIn made.
func ReopenIn(currency units.Currency, contracts []*contract.Contract, head []byte, recall func(day time.Time) ([]byte, error)) (*Book, error) {
	b, err := NewBookIn(currency, contracts)
	if err != nil {
		return nil, err
	}
	c := readerOf(head)
	var text string
	var lines []Line
	if c.text(&text); !c.bad && text != b.fingerprint {
		return nil, fault.New(fault.Conflict, "what was kept was billed under other contracts, or by another version of yard")
	}
	list(c, &lines, c.line)
	for _, line := range lines {
		if _, err := b.Line(line); err != nil {
			return nil, err
		}
	}
	b.codeHead(c)
	b.recall = recall
	return b, c.err("the head of the kept bill")
}

func (c *codec) line(l *Line) {
	for _, text := range []*string{&l.Provider, &l.Region, &l.Zone, &l.InstanceType, &l.Chip, &l.Chipmaker, &l.Account, &l.Service,
		&l.Platform, &l.Tenancy, &l.Option, &l.Class, &l.Project, &l.Unit, &l.Resource, &l.ListRate, (*string)(&l.Currency), &l.outside} {
		c.text(text)
	}
	chips := int64(l.Chips)
	c.int(&chips)
	l.Chips = int(chips)
}

// codeHead codes what follows the lines, which decide the cells.
func (b *Book) codeHead(c *codec) {
	for _, at := range []*int64{&b.from, &b.to, &b.used.from, &b.used.to} {
		c.int(at)
	}
	residues := b.residueLines
	list(c, &residues, func(r *residueKey) {
		index(c, &r.by, len(b.clauses))
		index(c, &r.cell, len(b.cells))
		c.category(&r.category)
	})
	if c.reading {
		for _, r := range residues {
			b.residueOf(r.by, r.category, r.cell)
		}
	}
	some := b.last != nil
	if c.bool(&some); some {
		if c.reading {
			b.last = &standing{}
		}
		c.standing(b.last, len(b.turns))
	}
	sums := b.sumsInOrder()
	list(c, &sums, func(s *summed) {
		index(c, &s.by, len(b.clauses))
		index(c, &s.cell, len(b.cells))
		c.category(&s.category)
		c.num(&s.quantity)
		c.int(&s.list)
		c.int(&s.billed)
		c.int(&s.effective)
	})
	if c.reading {
		for _, s := range sums {
			b.sums[s.sumKey] = &s.lineSum
		}
	}
}

// Day writes what the book remembers of a UTC day, nil where that is nothing.
func (b *Book) Day(day time.Time) []byte {
	start := floorDay(day.Unix())
	c := &codec{}
	if b.codeDay(c, start) {
		return c.sealed()
	}
	return nil
}

// codeDay codes the hours and standings of a day, and reports whether there
// are any.
func (b *Book) codeDay(c *codec, start int64) bool {
	var hours, marks []int64
	for hour := start; hour < start+daySeconds; hour += hourSeconds {
		if b.hours[hour] != nil {
			hours = append(hours, hour-start)
		}
		if b.snapshots[hour] != nil {
			marks = append(marks, hour-start)
		}
	}
	list(c, &hours, c.offset)
	for _, offset := range hours {
		if c.reading {
			b.hours[start+offset] = &hourState{}
		}
		c.hour(b, b.hours[start+offset])
	}
	list(c, &marks, c.offset)
	for _, offset := range marks {
		if c.reading {
			b.snapshots[start+offset] = &standing{}
		}
		c.standing(b.snapshots[start+offset], len(b.turns))
	}
	return len(hours)+len(marks) > 0
}

// offset codes the place of an hour in its day.
func (c *codec) offset(at *int64) {
	c.int(at)
	if c.reading && (*at < 0 || *at >= daySeconds || *at%hourSeconds != 0) {
		c.fail()
		*at = 0
	}
}

func (c *codec) hour(b *Book, h *hourState) {
	type metered struct {
		line     int
		quantity num
	}
	var used []metered
	for line, quantity := range h.quantities {
		if quantity.sign() != 0 {
			used = append(used, metered{line, quantity})
		}
	}
	list(c, &used, func(m *metered) {
		index(c, &m.line, len(b.lineCells))
		c.num(&m.quantity)
	})
	if c.reading && len(used) > 0 {
		h.quantities = make([]num, max(used[len(used)-1].line, 0)+1)
		for _, m := range used {
			if m.line < 0 || m.line >= len(h.quantities) {
				c.fail()
				return
			}
			h.quantities[m.line] = m.quantity
		}
	}
	list(c, &h.pieces, func(p *piece) {
		index(c, &p.line, len(b.lineCells))
		c.int(&p.from)
		c.int(&p.to)
		c.num(&p.quantity)
	})
	c.bool(&h.dirty)
	c.result(b, &h.result)
	list(c, &h.gathered, func(e *entry) { c.entry(b, e) })
}

func (c *codec) result(b *Book, r *hourResult) {
	list(c, &r.entries, func(e *entry) { c.entry(b, e) })
	list(c, &r.residues, func(r *residue) {
		index(c, &r.line, len(b.residueLines))
		c.num(&r.net)
		c.num(&r.list)
	})
	list(c, &r.usage, func(u *cellUse) {
		index(c, &u.cell, len(b.cells))
		c.num(&u.quantity)
		c.num(&u.open)
		for _, micros := range []*int64{&u.list, &u.net, &u.covered, &u.credited} {
			c.int(micros)
		}
	})
	list(c, &r.fees, func(f *feeUse) {
		index(c, &f.clause, len(b.clauses))
		c.int(&f.net)
	})
}

func (c *codec) entry(b *Book, e *entry) {
	index(c, &e.by, len(b.clauses))
	index(c, &e.cell, len(b.cells))
	c.category(&e.category)
	c.num(&e.quantity)
	c.int(&e.list)
	c.int(&e.billed)
	c.int(&e.effective)
}

func (c *codec) standing(s *standing, turns int) {
	list(c, &s.tallies, c.tally)
	if len(s.tallies) != turns {
		c.fail()
	}
	for _, rests := range []*[]rest{&s.day, &s.all} {
		list(c, rests, func(r *rest) {
			c.num(&r.net)
			c.num(&r.list)
		})
	}
	if len(s.day) != len(s.all) {
		c.fail()
	}
}

func (c *codec) tally(t *tally) {
	c.num(&t.count)
	c.num(&t.of)
	for _, micros := range []*int64{&t.sum, &t.other, &t.total, &t.remaining} {
		c.int(micros)
	}
	list(c, &t.bank, func(l *lot) {
		c.num(&l.amount)
		c.num(&l.of)
		c.num(&l.first)
		c.int(&l.from)
		c.int(&l.expires)
	})
	list(c, &t.rest, c.num)
}

// visit makes sure that the day of an hour is in memory.
func (b *Book) visit(hour int64) {
	day := floorDay(hour)
	if b.recall == nil || b.resident[day] {
		return
	}
	b.resident[day] = true
	data, err := b.recall(unixTime(day))
	if err == nil && data != nil {
		c := readerOf(data)
		b.codeDay(c, day)
		err = c.err("the kept bill of " + unixTime(day).Format(time.DateOnly))
	}
	if err != nil && b.failed == nil {
		b.failed = err
	}
}

// parked reports whether the day of an hour is put away, and so unchanged.
func (b *Book) parked(hour int64) bool { return b.recall != nil && !b.resident[floorDay(hour)] }

// hourAt returns what is known of an hour, nil where nothing is.
func (b *Book) hourAt(hour int64) *hourState {
	b.visit(hour)
	return b.hours[hour]
}

// Err is the first failure to bring a day back; after one, nothing that the
// book says holds.
func (b *Book) Err() error { return b.failed }

// Touched lists the days that may have changed since the book was opened: those
// to be put away anew.
func (b *Book) Touched() []time.Time {
	days := make([]int64, 0, len(b.touched))
	for day := range b.touched {
		days = append(days, day)
	}
	slices.Sort(days)
	out := make([]time.Time, len(days))
	for i, day := range days {
		out[i] = unixTime(day)
	}
	return out
}

// Release forgets a day that was put away and not changed since; it is recalled
// when needed.
func (b *Book) Release(day time.Time) {
	start := floorDay(day.Unix())
	if b.recall == nil || b.touched[start] {
		return
	}
	for hour := start; hour < start+daySeconds; hour += hourSeconds {
		delete(b.hours, hour)
		delete(b.snapshots, hour)
	}
	delete(b.resident, start)
}

func floorDay(at int64) int64 { return at - mod(at, daySeconds) }
