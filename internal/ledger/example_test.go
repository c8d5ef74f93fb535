package ledger_test

import (
	"fmt"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// The example of docs/ledger.md: an attempt is booked, the price of one hour
// turns out to have been another, and two lines are torn out.
func Example() {
	at := func(clock string) time.Time {
		t, err := time.Parse(time.RFC3339, "2026-03-04T"+clock+"Z")
		if err != nil {
			panic(err)
		}
		return t
	}
	attempt := fleet.Attempt{
		Run: "gpt-7f3a", Number: 1, Pool: "aws/p5", Provider: "aws", Chipmaker: "nvidia", Chip: "h100",
		State: fleet.AttemptSucceeded, Nodes: 3, Chips: 24, Rate: units.MustRate("55.04", units.USD),
		Started: at("10:20:00"), Ended: at("12:50:00"), Metered: at("12:50:00"),
	}
	book := ledger.UsageEntries(attempt, "lab", attempt.Started, attempt.Ended, at("12:50:01"))
	for i := range book {
		book[i].ID = int64(i + 1)
	}
	late := units.MustRate("50", units.USD)
	book = append(book, ledger.Restate(attempt, book[1], late, at("18:00:00"), "price of 11:00 corrected by aws")...)
	book[3].ID, book[4].ID = 4, 5
	for _, e := range book {
		fmt.Printf("%d  %s to %s  %d nodes at %5s  %11s  %q\n",
			e.ID, e.From.Format("15:04"), e.To.Format("15:04"), e.Nodes, e.Rate.Decimal(), e.Cost.Decimal(), e.Note)
	}
	source := func(fn func(ledger.Entry) error) error {
		for _, e := range book {
			if err := fn(e); err != nil {
				return err
			}
		}
		return nil
	}
	report, err := ledger.Verify(source, []fleet.Attempt{attempt})
	fmt.Println(report.Booked, report.Computed, report.Problems, err)
	total, err := ledger.Total(source, nil)
	fmt.Println(total.NodeHours, "node-hours", total.ChipHours, "chip-hours", total.Cost, err)

	book = append(book[:2:2], book[4:]...) // tear out two lines
	report, err = ledger.Verify(source, []fleet.Attempt{attempt})
	fmt.Println(err)
	for _, problem := range report.Problems {
		fmt.Println(problem)
	}
	// Output:
	// 1  10:20 to 11:00  3 nodes at 55.04   110.080000  ""
	// 2  11:00 to 12:00  3 nodes at 55.04   165.120000  ""
	// 3  12:00 to 12:50  3 nodes at 55.04   137.600000  ""
	// 4  11:00 to 12:00  3 nodes at 55.04  -165.120000  "price of 11:00 corrected by aws"
	// 5  11:00 to 12:00  3 nodes at    50   150.000000  "price of 11:00 corrected by aws"
	// [397.680000 USD] [397.680000 USD] [] <nil>
	// 7.500000 node-hours 60.000000 chip-hours [397.680000 USD] <nil>
	// <nil>
	// gpt-7f3a-1: entry 5 books at 50 USD; the attempt runs at 55.04 USD
	// gpt-7f3a-1: entry 5 books 2026-03-04T11:00:00Z to 2026-03-04T12:00:00Z twice
	// gpt-7f3a-1: 2026-03-04T12:00:00Z to 2026-03-04T12:50:00Z is not booked
}
