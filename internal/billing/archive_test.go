package billing

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// shelf keeps a book in memory and notes which days were asked for.
type shelf struct {
	contracts []*contract.Contract
	head      []byte
	days      map[int64][]byte
	read      []time.Time
}

func (s *shelf) put(b *Book) {
	s.head = b.Head()
	if s.days == nil {
		s.days = map[int64][]byte{}
	}
	for _, day := range b.Touched() {
		s.days[day.Unix()] = b.Day(day)
	}
}

func (s *shelf) reopen(t fataler) *Book {
	s.read = nil
	b, err := Reopen(s.contracts, s.head, func(day time.Time) ([]byte, error) {
		s.read = append(s.read, day)
		return s.days[day.Unix()], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func chargesOf(b *Book) []string {
	var all []string
	b.Charges(func(c Charge) { all = append(all, fmt.Sprintf("%+v", c)) })
	return all
}

// A book that is put away and opened again between any steps ends as one that
// never was: the same charges and balances, which are the sums of the charges.
func TestAPutAwayBookIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		contracts := drawPortfolio(t, "c", "a")
		rows := drawUsage(t, []string{"a", "b"}, 8)
		from, to := epochStart, epochStart.AddDate(0, 0, 39)
		if testing.Short() {
			to = epochStart.AddDate(0, 0, 12)
		}
		one := booked(t, contracts, nil)
		s := &shelf{contracts: contracts}
		s.put(booked(t, contracts, nil))
		for len(rows) > 0 {
			n := rapid.IntRange(1, len(rows)).Draw(t, "rows in this step")
			until := to
			if n < len(rows) {
				until = from.Add(time.Duration(rapid.Int64Range(1, int64(to.Sub(from)/time.Hour)).Draw(t, "until")) * time.Hour)
			}
			kept := s.reopen(t)
			for _, b := range []*Book{one, kept} {
				enter(t, b, rows[:n])
				b.Settle(from, until, ignore)
			}
			if err := kept.Err(); err != nil {
				t.Fatal(err)
			}
			s.put(kept)
			rows = rows[n:]
		}
		again := s.reopen(t)
		if got, want := chargesOf(again), chargesOf(one); !slices.Equal(got, want) {
			t.Fatalf("%d charges, want %d:\n%s\nwant\n%s", len(got), len(want), got, want)
		}
		sums := balances{}
		again.Balances(func(c Charge) {
			c.From = epochStart
			sums.add(c, false)
		})
		want := balances{}
		one.Charges(func(c Charge) {
			c.From = epochStart
			want.add(c, false)
		})
		if found := sums.clean().differs(want.clean()); found != "" {
			t.Fatal(found)
		}
	})
}

// A late row in a book that was put away reads no day before its own; of
// clauses by the hour, nothing beyond the next midnight.
func TestALateDayReadsNoDayBefore(t *testing.T) {
	const hourly = "{savings_plan: {type: compute, hourly: 1.1, discount: 30%}}"
	const tiers = "{discount: {tiers: {window: month, steps: [{above: 100, discount: 5%}]}}}"
	line := Line{Subject: contract.Subject{Provider: "aws", InstanceType: "m5.large"}, ListRate: "0.096"}
	end := epochStart.AddDate(0, 1, 0)
	late := epochStart.AddDate(0, 0, 20)
	for name, c := range map[string]struct {
		clause string
		last   time.Time
	}{"hourly": {hourly, late.AddDate(0, 0, 1)}, "cumulative": {tiers, end.AddDate(0, 0, -1)}} {
		s := &shelf{contracts: parsed(t, "kind: Contract\nname: c\ncounterparty: Amazon\nterm: {from: 2026-01-01, to: 2026-02-01}\nscope: {providers: [aws]}\nclauses:\n  - "+c.clause+"\n")}
		book := booked(t, s.contracts, []used{{line, epochStart, end, Quantity{whole(20 * 744)}}})
		book.SettleToEnd(ignore)
		s.put(book)
		again := s.reopen(t)
		enter(t, again, []used{{line, late.Add(5 * time.Hour), late.Add(8 * time.Hour), Quantity{whole(12)}}})
		changed := 0
		again.SettleToEnd(func(Charge) { changed++ })
		if changed == 0 || again.Err() != nil {
			t.Errorf("%s: %d charges, %v", name, changed, again.Err())
		}
		slices.SortFunc(s.read, time.Time.Compare)
		if len(s.read) == 0 || !s.read[0].Equal(late) || !s.read[len(s.read)-1].Equal(c.last) {
			t.Errorf("%s: the days %v were read; want %s to %s", name, s.read, late, c.last)
		}
	}
}

// Days that follow a bill that was put away read its last day alone: what
// rounding left there is no longer at the end.
func TestDaysThatFollowReadTheLastDay(t *testing.T) {
	line := Line{Subject: contract.Subject{Provider: "aws", InstanceType: "m5.large"}, ListRate: "0.096"}
	end := epochStart.AddDate(0, 0, 10)
	for _, clause := range []string{"{savings_plan: {type: compute, hourly: 1.1, discount: 30%}}", "{discount: {tiers: {window: month, steps: [{above: 100, discount: 5%}]}}}"} {
		s := &shelf{contracts: parsed(t, "kind: Contract\nname: c\ncounterparty: Amazon\nterm: {from: 2026-01-01, to: 2026-02-01}\nscope: {providers: [aws]}\nclauses:\n  - "+clause+"\n")}
		rows := []used{{line, epochStart, end, Quantity{whole(20 * 240)}}, {line, end, end.AddDate(0, 0, 2), Quantity{whole(20 * 48)}}}
		book := booked(t, s.contracts, rows[:1])
		book.Settle(epochStart, end, ignore)
		s.put(book)
		again, one := s.reopen(t), booked(t, s.contracts, rows)
		enter(t, again, rows[1:])
		for _, b := range []*Book{again, one} {
			b.Settle(epochStart, end.AddDate(0, 0, 2), ignore)
		}
		slices.SortFunc(s.read, time.Time.Compare)
		if again.Err() != nil || !slices.Equal(s.read, []time.Time{end.AddDate(0, 0, -1), end, end.AddDate(0, 0, 1)}) {
			t.Errorf("%s: %v; the days %v were read", clause, again.Err(), s.read)
		}
		s.put(again)
		if got, want := chargesOf(s.reopen(t)), chargesOf(one); !slices.Equal(got, want) {
			t.Errorf("%s: %d charges, want %d", clause, len(got), len(want))
		}
	}
}

func TestWhatWasKeptMustFit(t *testing.T) {
	const text = "kind: Contract\nname: c\ncounterparty: A\nterm: {from: 2026-01-01, to: 2026-02-01}\nclauses:\n  - discount: {percent: %s}\n"
	s := &shelf{contracts: parsed(t, fmt.Sprintf(text, "5%"))}
	line := Line{Subject: contract.Subject{Provider: "aws"}, ListRate: "1"}
	book := booked(t, s.contracts, []used{{line, epochStart, epochStart.AddDate(0, 0, 3), Quantity{whole(72)}}})
	book.SettleToEnd(ignore)
	s.put(book)
	if _, err := Reopen(parsed(t, fmt.Sprintf(text, "6%")), s.head, nil); !fault.Is(err, fault.Conflict) {
		t.Errorf("under other contracts: %v", err)
	}
	for i := range s.head {
		broken := slices.Clone(s.head)
		broken[i] ^= 1
		if _, err := Reopen(s.contracts, broken, nil); err == nil {
			t.Fatalf("byte %d of the head is wrong and nothing was said", i)
		}
	}
	day := s.days[epochStart.Unix()]
	day[len(day)/2] ^= 1
	again := s.reopen(t)
	enter(t, again, []used{{line, epochStart, epochStart.Add(time.Hour), Quantity{whole(1)}}})
	again.SettleToEnd(ignore)
	if again.Err() == nil {
		t.Error("a damaged day was read and nothing was said")
	}
}

// Whatever a head and a day hold, reading them ends in a fault or a book.
func FuzzReopen(f *testing.F) {
	contracts := parsed(f, "kind: Contract\nname: c\ncounterparty: A\nterm: {from: 2026-01-01, to: 2026-02-01}\nclauses:\n  - {take_or_pay: {quantity: 100, per: month, price: 1, unit: hour}}\n  - {capacity_reservation: {instance_type: m5.large, count: 1, rate: 2}}\n")
	book := booked(f, contracts, []used{{Line{Subject: contract.Subject{Provider: "aws", InstanceType: "m5.large"}, ListRate: "1"}, epochStart, epochStart.Add(30 * time.Hour), Quantity{lowest(1, 3)}}})
	book.SettleToEnd(ignore)
	unsealed := func(data []byte) []byte { return data[:len(data)-sealSize] }
	f.Add(unsealed(book.Head()), unsealed(book.Day(epochStart)))
	f.Fuzz(func(t *testing.T, head, day []byte) {
		seal := func(data []byte) []byte { return (&codec{data: slices.Clone(data)}).sealed() }
		b, err := Reopen(contracts, seal(head), func(time.Time) ([]byte, error) { return seal(day), nil })
		if err != nil || b.to < b.from || b.to-b.from > 1000*daySeconds {
			return
		}
		b.visit(epochStart.Unix())
		_ = b.Day(epochStart)
	})
}
