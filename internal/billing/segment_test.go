package billing

import (
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
)

const halfPast = `
kind: Contract
name: c
counterparty: Amazon
term: {from: 2026-01-01T10:30:00Z, to: 2026-01-02T10:30:00Z}
scope: {providers: [aws]}
clauses:
  - {name: half, discount: {percent: 50%}}
  - {name: least, commitment: {period: total, amount: 100}}
`

// A clause that begins or ends within an hour has only what was used within its
// life, however the rows are cut.
func TestPartsOfHours(t *testing.T) {
	clock := func(day, hour, minute int) time.Time { return time.Date(2026, 1, day, hour, minute, 0, 0, time.UTC) }
	line := Line{Subject: contract.Subject{Provider: "aws"}, ListRate: "1"}
	row := func(from, to time.Time, quantity int64) used { return used{line, from, to, Quantity{whole(quantity)}} }
	for name, rows := range map[string][]used{
		"rows that end at the boundary": {row(clock(1, 10, 0), clock(1, 10, 30), 3), row(clock(1, 10, 30), clock(1, 11, 0), 3), row(clock(2, 10, 0), clock(2, 10, 30), 1), row(clock(2, 10, 30), clock(2, 11, 0), 1)},
		"rows of whole hours":           {row(clock(1, 10, 0), clock(1, 11, 0), 6), row(clock(2, 10, 0), clock(2, 11, 0), 2)},
	} {
		t.Run(name, func(t *testing.T) {
			book := booked(t, parsed(t, halfPast), rows)
			sums := map[string]int64{}
			book.Settle(clock(1, 10, 0), clock(2, 11, 0), func(c Charge) { sums[c.Clause+" "+string(c.Category)] += c.Billed })
			// Of 8 units 4 lie within the life: 2 at half price, and a floor of 100.
			for key, want := range map[string]int64{" usage": 4_000_000, "half usage": 2_000_000, "least shortfall": 98_000_000} {
				if sums[key] != want {
					t.Errorf("%q: billed %d, want %d (%v)", key, sums[key], want, sums)
				}
			}
			parts := map[string]num{}
			book.SplitCharges(func(c Charge, of Line) {
				if c.Category == Used && of.Provider == "aws" {
					parts[c.Clause] = parts[c.Clause].add(c.Quantity.num)
				}
			})
			if parts[""].cmp(whole(4)) != 0 || parts["half"].cmp(whole(4)) != 0 {
				t.Errorf("split into %v", parts)
			}
		})
	}
}

// The marginal price of a node-hour is what the bill with it costs more, also in
// an hour in which a clause begins.
func TestMarginalInPartOfHour(t *testing.T) {
	at := time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	line := Line{Subject: contract.Subject{Provider: "aws"}, ListRate: "1"}
	bill := func(rows ...used) (*Book, int64) {
		book, total := booked(t, parsed(t, halfPast), rows), int64(0)
		book.SettleToEnd(func(c Charge) { total += c.Billed })
		return book, total
	}
	outlook := used{line, at, at.Add(24 * time.Hour), Quantity{whole(480)}}
	book, without := bill(outlook)
	_, with := bill(outlook, used{line, at, at.Add(time.Hour), Quantity{whole(1)}})
	got, err := book.Marginal(line, at, Quantity{whole(1)})
	if err != nil || got.Micros != with-without || got.Micros != 750_000 {
		t.Errorf("marginal %d, the bills differ by %d (%v)", got.Micros, with-without, err)
	}
}
