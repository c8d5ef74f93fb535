package billing

import (
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
)

// A late row restates its own day for clauses by the hour, and nothing before
// its day for those that accumulate.
func TestLateUsageRestatesOnlyWhatItChanges(t *testing.T) {
	const hourly = `
kind: Contract
name: plans
counterparty: Amazon
term: {from: 2026-01-01, to: 2026-02-01}
scope: {providers: [aws]}
clauses:
  - {savings_plan: {type: compute, hourly: 1.1, discount: 30%}}
  - {reserved_instances: {instance_type: m5.large, count: 1, hourly: 0.06}}
`
	const tiers = `
kind: Contract
name: tiers
counterparty: Amazon
term: {from: 2026-01-01, to: 2026-02-01}
scope: {providers: [aws]}
clauses:
  - {discount: {tiers: {window: month, steps: [{above: 100, discount: 5%}]}}}
  - {enterprise_agreement: {commitment: 9000, discount: 3%}}
`
	line := Line{Subject: contract.Subject{Provider: "aws", InstanceType: "m5.large"}, ListRate: "0.096"}
	rows := []used{{line, epochStart, epochStart.AddDate(0, 1, 0), Quantity{whole(20 * 744)}}}
	day := epochStart.AddDate(0, 0, 9)
	late := []used{{line, day.Add(5 * time.Hour), day.Add(8 * time.Hour), Quantity{whole(12)}}}
	for _, c := range []struct {
		name, text string
		last       time.Time
	}{{"hourly", hourly, day.AddDate(0, 0, 1)}, {"cumulative", tiers, epochStart.AddDate(0, 1, 0)}} {
		t.Run(c.name, func(t *testing.T) {
			book := booked(t, parsed(t, c.text), rows)
			book.SettleToEnd(ignore)
			enter(t, book, late)
			reversals, fresh := 0, 0
			book.SettleToEnd(func(charge Charge) {
				if charge.From.Before(day) || !charge.From.Before(c.last) {
					t.Errorf("%s of %s is restated at %s", charge.Category, charge.Clause, charge.From)
				}
				if charge.Reversal {
					reversals++
				} else {
					fresh++
				}
			})
			if reversals == 0 || fresh == 0 {
				t.Errorf("%d reversals and %d new charges", reversals, fresh)
			}
			book.SettleToEnd(func(charge Charge) { t.Errorf("billing again restates %s at %s", charge.Category, charge.From) })
		})
	}
}

// 38 billion over seven years, hour by hour, to the micro-dollar.
func TestThirtyEightBillion(t *testing.T) {
	const deal = `
kind: Contract
name: deal
counterparty: Amazon
term: {from: 2025-11-03, to: 2032-11-03}
scope: {providers: [aws]}
clauses:
  - {name: deal, commitment: {period: total, amount: 38B}}
`
	contracts := parsed(t, deal)
	from := time.Date(2025, 11, 3, 0, 0, 0, 0, time.UTC)
	for _, quantity := range []string{"1000000000", "999999999.999999"} {
		q, err := ParseQuantity(quantity)
		if err != nil {
			t.Fatal(err)
		}
		line := Line{Subject: contract.Subject{Provider: "aws"}, ListRate: "35.7608"}
		book := booked(t, contracts, []used{{line, from, from.AddDate(7, 0, 0), q}})
		book.SettleToEnd(ignore)
		sums := map[Category]int64{}
		book.Charges(func(c Charge) { sums[c.Category] += c.Billed })
		if got := total(book); got != 38_000_000_000_000_000 {
			t.Errorf("%s units: billed %d micro-dollars, want 38 billion dollars", quantity, got)
		}
		if want := q.mul(num{n: 357608, d: 10000}).micros(); sums[Used] != want {
			t.Errorf("%s units: usage %d, want %d", quantity, sums[Used], want)
		}
	}
}

func TestMarginalPrices(t *testing.T) {
	const plan = "{savings_plan: {type: compute, hourly: 7, discount: 30%}}"
	aws := Line{Subject: contract.Subject{Provider: "aws", InstanceType: "m5.large", Chip: "H100"}, ListRate: "10"}
	trainium := aws
	trainium.Chip = "Trainium2"
	hours := func(n int64) []used {
		return []used{{aws, epochStart, epochStart.AddDate(0, 0, 10), Quantity{whole(n * 240)}}}
	}
	for _, c := range []struct {
		name, clause string
		outlook      []used
		line         Line
		want         int64
		reason       string
	}{
		{"list", "{discount: {percent: 0%}}", nil, aws, 10_000_000, "no contract changes the list price"},
		{"under an hourly commitment", plan, nil, aws, 0, "uses what c/savings-plan leaves unused"},
		{"over an hourly commitment", plan, hours(2), aws, 10_000_000, "no contract changes the list price"},
		{"floor unmet to the end", "{commitment: {period: total, amount: 5000}}", hours(2), aws, 0, "counts towards c/commitment, which the outlook leaves unmet"},
		{"floor met by the outlook", "{commitment: {period: total, amount: 4000}}", hours(2), aws, 10_000_000, "no contract changes the list price"},
		{"over a tier", "{discount: {tiers: {window: month, steps: [{above: 1000, discount: 25%}]}}}", hours(2), aws, 7_500_000, "with the discount of c/discount"},
		{"a retroactive tier reached", "{discount: {tiers: {window: month, mode: retroactive, steps: [{above: 4800, discount: 10%}]}}}", hours(2), aws, 10_000_000 - 481_000_000, "with the discount of c/discount"},
		{"a breach prevented", "{chip_covenant: {chips: [Trainium2], share: 0.4%, fee: 1000}}", append(hours(1), used{trainium, epochStart, epochStart.Add(time.Hour), Quantity{lowest(1, 2)}}), trainium, 10_000_000 - 1_000_000_000, "prevents a breach of c/chip-covenant"},
		{"take-or-pay below its floor", "{take_or_pay: {quantity: 100, per: month, price: 10}}", nil, aws, 0, "counts towards c/take-or-pay, which the outlook leaves unmet; at the rate of c/take-or-pay"},
	} {
		t.Run(c.name, func(t *testing.T) {
			book := booked(t, parsed(t, "kind: Contract\nname: c\ncounterparty: Amazon\nterm: {from: 2026-01-01, to: 2026-02-01}\nscope: {providers: [aws]}\nclauses:\n  - "+c.clause+"\n"), c.outlook)
			book.SettleToEnd(ignore)
			m, err := book.Marginal(c.line, epochStart.AddDate(0, 0, 3), Quantity{whole(1)})
			if err != nil {
				t.Fatal(err)
			}
			if m.Micros != c.want || m.List != 10_000_000 || m.Reason != c.reason {
				t.Errorf("marginal %d (list %d): %s; want %d: %s", m.Micros, m.List, m.Reason, c.want, c.reason)
			}
		})
	}
}
