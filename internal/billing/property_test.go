package billing

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/contract"
)

var epochStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// used is a row of usage in a test.
type used struct {
	line     Line
	from, to time.Time
	quantity Quantity
}

func parsed(t fataler, text string) []*contract.Contract {
	if testing.Short() { // fewer hours: the race detector bills them slowly
		text = strings.ReplaceAll(text, "to: 2026-02-08", "to: 2026-01-12")
	}
	contracts, err := contract.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return contracts
}

type fataler interface{ Fatal(args ...any) }

func booked(t fataler, contracts []*contract.Contract, rows []used) *Book {
	book, err := NewBook(contracts)
	if err != nil {
		t.Fatal(err)
	}
	enter(t, book, rows)
	return book
}

func enter(t fataler, book *Book, rows []used) {
	for _, row := range rows {
		index, err := book.Line(row.line)
		if err != nil {
			t.Fatal(err)
		}
		if err := book.Add(index, row.from, row.to, row.quantity); err != nil {
			t.Fatal(err)
		}
	}
}

// balances sums billed and effective cost by hour, clause and category; with
// merge, by hour, kind of clause and category.
type balances map[balanceKey][2]int64

type balanceKey struct {
	hour     int64
	clause   string
	category Category
}

func balance(book *Book, merge bool) balances {
	sums := balances{}
	book.Charges(func(c Charge) { sums.add(c, merge) })
	return sums.clean()
}

func (b balances) add(c Charge, merge bool) {
	name := c.Contract + "/" + c.Clause
	if merge && len(c.Clause) > 0 {
		name = c.Kind
	}
	key := balanceKey{c.From.Unix(), name, c.Category}
	sum := b[key]
	b[key] = [2]int64{sum[0] + c.Billed, sum[1] + c.Effective}
}

func (b balances) clean() balances {
	for key, value := range b {
		if value == [2]int64{} {
			delete(b, key)
		}
	}
	return b
}

func (b balances) differs(other balances) string {
	first, found := balanceKey{}, ""
	check := func(key balanceKey) {
		if b[key] != other[key] && (found == "" || key.hour < first.hour) {
			first, found = key, fmt.Sprintf("%s %s %s: %d and %d", time.Unix(key.hour, 0).UTC(), key.clause, key.category, b[key], other[key])
		}
	}
	for key := range b {
		check(key)
	}
	for key := range other {
		check(key)
	}
	return found
}

func total(book *Book) int64 {
	sum := int64(0)
	book.Charges(func(c Charge) { sum += c.Billed })
	return sum
}

func ignore(Charge) {}

// portfolio holds a clause of nearly every kind; %s are quoted by drawPortfolio.
const portfolio = `
kind: Contract
name: %[1]s-plans
counterparty: Amazon
term: {from: 2026-01-01, to: 2026-02-08}
scope: {providers: [aws]}
clauses:
  - {name: compute, savings_plan: {type: compute, hourly: %[2]s, discount: 27%%, owner: %[3]s}}
  - {name: m5, scope: {instance_types: ['m5.*']}, savings_plan: {type: ec2-instance, hourly: 1.3, discount: 35%%}}
  - {name: ri, reserved_instances: {instance_type: m5.xlarge, count: 2, hourly: 0.07, upfront: 31}}
  - {name: odcr, scope: {regions: [us-east-1]}, capacity_reservation: {instance_type: r5.large, count: 2, rate: 0.126, owner: %[3]s}}
---
kind: Contract
name: %[1]s-agreement
counterparty: Amazon
term: {from: 2026-01-01, to: 2026-02-08}
scope: {providers: [aws]}
clauses:
  - {name: edp, enterprise_agreement: {commitment: 3000, discount: 7%%, fees: true}}
  - {name: tiers, discount: {tiers: {window: month, steps: [{above: 20, discount: 3%%}, {above: 90, discount: 8%%}]}}}
  - {name: minimum, monthly_minimum: {amount: 700}}
  - {name: prepaid, scope: {services: [api]}, prepayment: {amount: 55.5}}
---
kind: Contract
name: %[1]s-neo
counterparty: Neo
term: {from: 2026-01-01, to: 2026-02-08}
scope: {providers: [neo]}
clauses:
  - {name: take, take_or_pay: {quantity: 60, per: month, floor: 80%%, price: 2.1, make_up: {expires: 2mo}}}
  - {name: chips, chip_covenant: {chips: [H200], share: 40%%, cure: 7d, tranche: 5000, fee: 10}}
`

func drawPortfolio(t *rapid.T, prefix, owner string) []*contract.Contract {
	hourly := rapid.SampledFrom([]string{"0.9", "2.37", "11"}).Draw(t, "hourly")
	return parsed(t, fmt.Sprintf(portfolio, prefix, hourly, owner))
}

func drawLine(t *rapid.T, accounts []string) Line {
	line := rapid.SampledFrom([]Line{
		{Subject: contract.Subject{Provider: "aws", InstanceType: "m5.large", Region: "us-east-1"}, ListRate: "0.096"},
		{Subject: contract.Subject{Provider: "aws", InstanceType: "m5.2xlarge", Region: "us-east-1"}, ListRate: "0.384"},
		{Subject: contract.Subject{Provider: "aws", InstanceType: "r5.large", Region: "us-east-1"}, ListRate: "0.126"},
		{Subject: contract.Subject{Provider: "aws", InstanceType: "p5.48xlarge", Region: "us-west-2", Option: "spot"}, ListRate: "20.0137"},
		{Subject: contract.Subject{Provider: "aws", Service: "api"}, ListRate: "0.0000003"},
		{Subject: contract.Subject{Provider: "neo", InstanceType: "h200", Chip: "H200"}, ListRate: "2.5", Chips: 1},
		{Subject: contract.Subject{Provider: "neo", InstanceType: "b200", Chip: "B200"}, ListRate: "4", Chips: 1},
	}).Draw(t, "line")
	line.Account = rapid.SampledFrom(accounts).Draw(t, "account")
	return line
}

func drawUsage(t *rapid.T, accounts []string, most int) []used {
	var rows []used
	days := 36
	if testing.Short() {
		days = 9
	}
	for range rapid.IntRange(1, most).Draw(t, "rows") {
		from := epochStart.Add(time.Duration(rapid.IntRange(0, days*24*60).Draw(t, "minute")) * time.Minute)
		to := from.Add(time.Duration(rapid.IntRange(1, 30*60).Draw(t, "minutes")) * time.Minute)
		quantity, err := ParseQuantity(rapid.SampledFrom([]string{"1", "3", "0.7", "12.5", "1000"}).Draw(t, "quantity"))
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, used{drawLine(t, accounts), from, to, quantity})
	}
	return rows
}

// Whatever the order in which usage arrives, and in however many files, the
// charges and reversals sum to the balances of a bill made at once.
func TestArrivalOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := drawUsage(t, []string{"a", "b"}, 8)
		contracts := drawPortfolio(t, "x", "a")
		once := booked(t, contracts, rows)
		once.SettleToEnd(ignore)

		shuffled := rapid.Permutation(rows).Draw(t, "order")
		cut := rapid.IntRange(0, len(rows)).Draw(t, "cut")
		late := booked(t, contracts, shuffled[:cut])
		sums := balances{}
		late.SettleToEnd(func(c Charge) { sums.add(c, false) })
		enter(t, late, shuffled[cut:])
		late.SettleToEnd(func(c Charge) { sums.add(c, false) })
		if diff := balance(once, false).differs(sums.clean()); diff != "" {
			t.Fatal(diff)
		}
		if diff := balance(once, false).differs(balance(late, false)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestSplittingUsageDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := drawUsage(t, []string{"a", "b"}, 6)
		contracts := drawPortfolio(t, "x", "a")
		once := booked(t, contracts, rows)
		once.SettleToEnd(ignore)
		var parts []used
		for _, row := range rows {
			span := row.to.Sub(row.from)
			at := time.Duration(rapid.Int64Range(0, int64(span/time.Minute)).Draw(t, "at")) * time.Minute
			if at == 0 || at == span {
				half := Quantity{row.quantity.div(whole(3))}
				parts = append(parts, used{row.line, row.from, row.to, half}, used{row.line, row.from, row.to, Quantity{row.quantity.sub(half.num)}})
				continue
			}
			first := Quantity{row.quantity.mul(lowest(int64(at/time.Second), int64(span/time.Second)))}
			parts = append(parts, used{row.line, row.from, row.from.Add(at), first},
				used{row.line, row.from.Add(at), row.to, Quantity{row.quantity.sub(first.num)}})
		}
		split := booked(t, contracts, parts)
		split.SettleToEnd(ignore)
		if diff := balance(once, false).differs(balance(split, false)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestNamesDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := drawUsage(t, []string{"a", "b", "c"}, 8)
		hourly := rapid.SampledFrom([]string{"0.9", "2.37", "11"}).Draw(t, "hourly")
		plain := booked(t, parsed(t, fmt.Sprintf(portfolio, "x", hourly, "a")), rows)
		plain.SettleToEnd(ignore)
		renamed := slices.Clone(rows)
		for i := range renamed {
			renamed[i].line.Account = map[string]string{"a": "zz", "b": "mm", "c": "bb"}[rows[i].line.Account]
			renamed[i].line.Resource = fmt.Sprint("r", i)
		}
		contracts := parsed(t, fmt.Sprintf(portfolio, "q", hourly, "zz"))
		slices.Reverse(contracts)
		other := booked(t, contracts, renamed)
		other.SettleToEnd(ignore)
		if diff := balance(plain, true).differs(balance(other, true)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestSplittingAnHourlyCommitmentDoesNotMatter(t *testing.T) {
	const one = `
kind: Contract
name: one
counterparty: Amazon
term: {from: 2026-01-01, to: 2026-02-15}
scope: {providers: [aws]}
clauses:
  - {name: plan, savings_plan: {type: compute, hourly: %s, discount: 27%%, payment: %s}}
  - {name: ri, reserved_instances: {instance_type: m5.large, count: %d, upfront: 31}}
`
	rapid.Check(t, func(t *rapid.T) {
		rows := drawUsage(t, []string{"a", "b"}, 8)
		payment := rapid.SampledFrom([]string{"none", "all", "partial"}).Draw(t, "payment")
		cents := rapid.IntRange(1, 500).Draw(t, "cents")
		first := rapid.IntRange(1, 500).Draw(t, "first")
		n, m := rapid.IntRange(1, 5).Draw(t, "n"), rapid.IntRange(1, 5).Draw(t, "m")
		money := func(c int) string { return fmt.Sprintf("%d.%02d", c/100, c%100) }
		merged := booked(t, parsed(t, fmt.Sprintf(one, money(cents+first), payment, n+m)), rows)
		merged.SettleToEnd(ignore)
		apart := parsed(t, fmt.Sprintf(one, money(cents), payment, n))
		second := parsed(t, fmt.Sprintf(one, money(first), payment, m))
		second[0].Name = "two"
		split := booked(t, append(apart, second...), rows)
		split.SettleToEnd(ignore)
		if diff := balance(merged, true).differs(balance(split, true)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A commitment is billed exactly what takes effect of it, over its term.
func TestConservation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		book := booked(t, drawPortfolio(t, "x", "a"), drawUsage(t, []string{"a", "b"}, 8))
		book.SettleToEnd(ignore)
		billed, effective := map[contract.Party]int64{}, map[contract.Party]int64{}
		book.Charges(func(c Charge) {
			billed[c.Party()] += c.Billed
			effective[c.Party()] += c.Effective
		})
		for party := range billed {
			if billed[party] != effective[party] {
				t.Fatalf("%s: billed %d, effective %d", party, billed[party], effective[party])
			}
		}
	})
}

// Marginal prices along a path disjoint from the outlook telescope to the
// difference of the bills, and adding what was priced changes the bill by that.
func TestMarginalTelescopes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		contracts := drawPortfolio(t, "x", "a")
		rows := drawUsage(t, []string{"a", "b"}, 6)
		book := booked(t, contracts, rows)
		book.SettleToEnd(ignore)
		before, sum := total(book), int64(0)
		path := drawUsage(t, []string{"a", "b"}, 4)
		for i := range path {
			path[i].from = path[i].from.Truncate(time.Hour) // a marginal price is one of a whole hour
			path[i].to = path[i].from.Add(time.Hour)
			m, err := book.Marginal(path[i].line, path[i].from, path[i].quantity)
			if err != nil {
				t.Fatal(err)
			}
			sum += m.Micros
			enter(t, book, path[i:i+1])
			book.SettleToEnd(ignore)
			parts := int64(0)
			for _, p := range m.Parts {
				parts += p.Micros
			}
			if parts != m.Micros {
				t.Fatalf("the parts sum to %d of %d", parts, m.Micros)
			}
		}
		fresh := booked(t, contracts, append(rows, path...))
		fresh.SettleToEnd(ignore)
		if got := total(fresh) - before; got != sum {
			t.Fatalf("marginal prices sum to %d, the bill grew by %d", sum, got)
		}
	})
}

// What a run adds is the difference of two bills; its first node-hour costs what
// one costs alone, its last what it adds to the run without it.
func TestMarginalOfARun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		contracts := drawPortfolio(t, "x", "a")
		rows := drawUsage(t, []string{"a", "b"}, 5)
		line := drawLine(t, []string{"a", "b"})
		from := epochStart.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "from")) * time.Hour)
		hours := rapid.IntRange(1, 60).Draw(t, "hours")
		pace := rapid.Int64Range(1, 9).Draw(t, "nodes")
		bill := func(last int64) (*Book, int64) {
			run := []used{{line, from, from.Add(time.Duration(hours) * time.Hour), Quantity{whole(pace * int64(hours))}}}
			if last < pace {
				run[0].to, run[0].quantity = run[0].to.Add(-time.Hour), Quantity{whole(pace * int64(hours-1))}
				run = append(run, used{line, run[0].to, run[0].to.Add(time.Hour), Quantity{whole(last)}})
			}
			run = slices.DeleteFunc(run, func(u used) bool { return u.quantity.sign() == 0 })
			book := booked(t, contracts, append(slices.Clone(rows), run...))
			book.SettleToEnd(ignore)
			return book, total(book)
		}
		book := booked(t, contracts, rows)
		book.SettleToEnd(ignore)
		before := total(book)
		got, err := book.MarginalRun(line, from, from.Add(time.Duration(hours)*time.Hour), Quantity{whole(pace)})
		if err != nil {
			t.Fatal(err)
		}
		one, err := book.Marginal(line, from, Quantity{whole(1)})
		if err != nil {
			t.Fatal(err)
		}
		_, with := bill(pace)
		_, less := bill(pace - 1)
		if got.Micros != with-before || got.First != one.Micros || got.Last != with-less {
			t.Fatalf("the run %d, first %d, last %d; the bills say %d, %d, %d", got.Micros, got.First, got.Last, with-before, one.Micros, with-less)
		}
		if again := total(book); again != before {
			t.Fatalf("pricing changed the bill from %d to %d", before, again)
		}
	})
}

// Quiet days are passed over, and the price is that of billing twice: over
// years, with every window closing on the way.
func TestMarginalOverYears(t *testing.T) {
	const long = `
kind: Contract
name: long
counterparty: Amazon
term: {from: 2026-01-01, to: 2028-01-01}
scope: {providers: [aws]}
clauses:
  - {name: plan, savings_plan: {type: compute, hourly: 0.2, discount: 30%}}
  - {name: year, commitment: {period: year, amount: 2500}}
  - {name: tiers, discount: {tiers: {window: year, mode: retroactive, steps: [{above: 30, discount: 10%}]}}}
  - {name: covenant, chip_covenant: {chips: [H200], share: 50%, per: year, cure: 45d, fee: 7}}
  - {name: credit, prepayment: {amount: 3, expires: 2027-05-05}}
  - {name: macc, scope: {services: [api]}, macc: {amount: 90, milestones: [{by: 2026-06-06, amount: 20}], credit_expires: 2mo}}
---
kind: Contract
name: power
counterparty: Neo
term: {from: 2026-01-01, to: 2028-01-01}
scope: {providers: [neo]}
clauses:
  - {name: take, take_or_pay: {quantity: 60, per: year, floor: 80%, price: 2.1, make_up: {expires: 9mo}}}
`
	contracts := parsed(t, long)
	rapid.Check(t, func(t *rapid.T) {
		rows := drawUsage(t, []string{"a"}, 4)
		for i := range rows {
			later := time.Duration(rapid.IntRange(0, 600).Draw(t, "days")) * 24 * time.Hour
			rows[i].from, rows[i].to = rows[i].from.Add(later), rows[i].to.Add(later)
		}
		last := rows[len(rows)-1]
		last.from = last.from.Truncate(time.Hour)
		last.to = last.from.Add(time.Hour)
		without, with := booked(t, contracts, rows[:len(rows)-1]), booked(t, contracts, append(rows[:len(rows)-1:len(rows)-1], last))
		without.SettleToEnd(ignore)
		with.SettleToEnd(ignore)
		m, err := without.Marginal(last.line, last.from, last.quantity)
		if err != nil {
			t.Fatal(err)
		}
		if want := total(with) - total(without); m.Micros != want {
			t.Fatalf("the marginal price is %d, the bills differ by %d (%+v)", m.Micros, want, m.Parts)
		}
	})
}

// A deeper discount on usage that no commitment, tier or covenant touches never
// raises the bill; an hourly commitment that matches nothing raises it by its fee.
func TestDiscountAndIdleCommitment(t *testing.T) {
	const terms = `
kind: Contract
name: rates
counterparty: Neo
term: {from: 2026-01-01, to: 2026-03-01}
scope: {providers: [neo]}
clauses: [{discount: {percent: %d%%}}]
`
	const idle = `
kind: Contract
name: idle
counterparty: Idle
term: {from: 2026-01-01, to: 2026-03-01}
scope: {providers: [nobody]}
clauses: [{savings_plan: {type: compute, hourly: 2.5, discount: 10%}}]
`
	rapid.Check(t, func(t *rapid.T) {
		rows := drawUsage(t, []string{"a"}, 6)
		less := rapid.IntRange(0, 90).Draw(t, "less")
		more := rapid.IntRange(less, 100).Draw(t, "more")
		bill := func(texts ...string) int64 {
			var contracts []*contract.Contract
			for _, text := range texts {
				contracts = append(contracts, parsed(t, text)...)
			}
			book := booked(t, contracts, rows)
			book.SettleToEnd(ignore)
			return total(book)
		}
		shallow, deep := bill(fmt.Sprintf(terms, less)), bill(fmt.Sprintf(terms, more))
		if deep > shallow {
			t.Fatalf("%d%% costs %d, %d%% costs %d", less, shallow, more, deep)
		}
		const fee = 59 * 24 * 2_500_000
		if with := bill(fmt.Sprintf(terms, less), idle); with != shallow+fee {
			t.Fatalf("an idle commitment raises the bill by %d, not its fee of %d", with-shallow, fee)
		}
	})
}

// What only looks true: a lower rate lowers the bill. A negotiated rate just
// below a plan's takes the usage out of the plan, whose fee stays.
func TestNegotiatedRateCanRaiseTheBill(t *testing.T) {
	const plan = `
kind: Contract
name: plan
counterparty: Amazon
term: {from: 2026-01-01, to: 2026-01-02}
scope: {providers: [aws]}
clauses:
  - {name: plan, savings_plan: {type: compute, hourly: 7, rates: [{rate: 0.70}]}}
  - {name: rate, discount: {rates: [{rate: %s}]}}
`
	rows := []used{{Line{Subject: contract.Subject{Provider: "aws", InstanceType: "m5.large"}, ListRate: "1"}, epochStart, epochStart.Add(time.Hour), Quantity{whole(10)}}}
	bill := func(rate string) int64 {
		book := booked(t, parsed(t, fmt.Sprintf(plan, rate)), rows)
		book.Settle(epochStart, epochStart.Add(time.Hour), ignore)
		return total(book)
	}
	if above, below := bill("0.71"), bill("0.69"); above != 7_000_000 || below != 13_900_000 {
		t.Errorf("a rate of 0.71 costs %d, one of 0.69 %d; want 7 and 13.90", above, below)
	}
}
