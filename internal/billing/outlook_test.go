package billing

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/contract"
)

const fromHalfPast = `
kind: Contract
name: late
counterparty: Amazon
term: {from: 2026-01-04T11:30:00Z, to: 2026-01-09T09:15:00Z}
scope: {providers: [aws]}
clauses: [{name: half, savings_plan: {type: compute, hourly: 4, discount: 41%}}]
`

// A bill that foresees is the bill of the past and the outlook, also where the
// past was put away before; and what a shift of use adds is the difference of
// two bills.
func TestShiftsAreDifferencesOfBills(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		contracts := append(drawPortfolio(t, "x", "a"), parsed(t, fromHalfPast)...)
		rows := drawUsage(t, []string{"a", "b"}, 4)
		now := epochStart.Add(time.Duration(rapid.IntRange(24, 8*24).Draw(t, "now")) * time.Hour)
		rows = slices.DeleteFunc(rows, func(u used) bool { return u.to.After(now) })
		line, other := drawLine(t, []string{"a"}), drawLine(t, []string{"b"})
		pace, less := rapid.Int64Range(1, 9).Draw(t, "nodes"), rapid.Int64Range(1, 9).Draw(t, "less")
		less = min(less, pace)
		hours := rapid.IntRange(1, 60).Draw(t, "hours")
		brief := time.Duration(rapid.IntRange(0, 50).Draw(t, "brief")) * time.Hour

		past := booked(t, contracts, rows)
		past.KeepOpen()
		past.Settle(epochStart, now, ignore)
		book := reopened(t, past, contracts)
		if err := book.Foresee(now, []Expected{{line, Quantity{whole(pace)}, time.Time{}}, {other, Quantity{whole(pace)}, now.Add(brief)}}); err != nil {
			t.Fatal(err)
		}
		before := total(book)
		got, err := book.Shift(
			Shift{Line: line, From: now, To: now.Add(time.Duration(hours) * time.Hour), Pace: Quantity{whole(less)}, Less: true},
			Shift{Line: other, From: now, To: now.Add(time.Duration(hours) * time.Hour), Pace: Quantity{whole(less)}},
		)
		if err != nil {
			t.Fatal(err)
		}
		_, end, _ := book.Life()
		bill := func(moved bool) int64 {
			use := func(line Line, from time.Time, to time.Time, pace int64) used {
				return used{line, from, to, Quantity{whole(pace * int64(to.Sub(from)/time.Hour))}}
			}
			all, until := append(slices.Clone(rows), use(other, now, now.Add(brief), pace)), now.Add(time.Duration(hours)*time.Hour)
			if moved {
				all = append(all, use(line, now, until, pace-less), use(other, now, until, less), use(line, until, end, pace))
			} else {
				all = append(all, use(line, now, end, pace))
			}
			all = slices.DeleteFunc(all, func(u used) bool { return u.quantity.sign() == 0 })
			fresh := booked(t, contracts, all)
			fresh.KeepOpen()
			fresh.Settle(epochStart, end, ignore)
			return total(fresh)
		}
		if want := bill(false); before != want {
			t.Fatalf("the outlook is billed at %d, and use that goes on so at %d", before, want)
		}
		if want := bill(true) - before; got.Micros != want {
			t.Fatalf("the shift adds %d, the bills differ by %d (%+v)", got.Micros, want, got.Parts)
		}
		if again := total(book); again != before {
			t.Fatalf("pricing changed the bill from %d to %d", before, again)
		}
	})
}

// reopened is a book put away and opened again.
func reopened(t fataler, book *Book, contracts []*contract.Contract) *Book {
	kept := map[time.Time][]byte{}
	for _, day := range book.Touched() {
		kept[day] = book.Day(day)
	}
	again, err := Reopen(contracts, book.Head(), func(day time.Time) ([]byte, error) { return kept[day], nil })
	if err != nil {
		t.Fatal(err)
	}
	again.KeepOpen()
	return again
}

// Contracts touch what they bill while they are in force, and nothing else.
func TestWhatContractsTouch(t *testing.T) {
	contracts, err := contract.Parse("c.yaml", []byte(`kind: Contract
name: plans
counterparty: Amazon
term: {from: 2026-01-01, to: 2026-03-01}
scope: {providers: [aws]}
clauses: [{savings_plan: {type: compute, hourly: 10, discount: 30%}}]
---
kind: Contract
name: board
counterparty: us
term: {from: 2026-01-01, to: 2027-01-01}
clauses: [{concentration_cap: {of: provider, share: 60%}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	book := booked(t, contracts, nil)
	aws := Line{Subject: contract.Subject{Provider: "aws", InstanceType: "p5.48xlarge", Option: "on-demand"}, ListRate: "50"}
	gcp := Line{Subject: contract.Subject{Provider: "gcp", InstanceType: "a3", Option: "on-demand"}, ListRate: "50"}
	spot := aws
	spot.Option = "spot"
	for _, c := range []struct {
		line Line
		at   time.Time
		want []string
	}{
		{aws, epochStart, []string{"plans"}}, {aws, epochStart.AddDate(0, 3, 0), nil}, {gcp, epochStart, nil}, {spot, epochStart, nil},
	} {
		if got := book.Touching(c.line, c.at); !slices.Equal(got, c.want) {
			t.Errorf("%s %s at %s: %v, want %v", c.line.Provider, c.line.Option, c.at, got, c.want)
		}
	}
}
