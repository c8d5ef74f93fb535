package planner_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/plan"
)

// floorOf is P2 with a commitment of the amount at provider a.
func floorOf(amount string) string {
	return strings.ReplaceAll("kind: Portfolio\nname: p2\n"+hour+`demand: [{name: work, class: inference, rate: 100, throughput: {H100: 1}}]
offers:
- {name: a, provider: a, chip: H100, price: 50}
- {name: b, provider: b, chip: H100, price: 40}
contracts: [{contract: floor, status: signed}]
---
kind: Contract
name: floor
counterparty: a
term: {from: 2026-01-01, to: 2026-01-01T01:00:00Z}
scope: {providers: [a]}
clauses: [{commitment: {period: total, amount: AMOUNT}}]
`, "AMOUNT", amount)
}

func dispatchOf(t *testing.T, made *plan.Plan, offer string) plan.Dispatch {
	t.Helper()
	for _, d := range made.Dispatch {
		if d.Offer == offer {
			return d
		}
	}
	t.Fatalf("no dispatch price of %s in %v", offer, made.Dispatch)
	return plan.Dispatch{}
}

func TestDispatchPrices(t *testing.T) {
	// A floor that stays unmet makes more usage free; at one that is just met,
	// more usage is worth what it displaces elsewhere.
	for amount, price := range map[string]float64{"6000": 0, "3000": 40} {
		d := dispatchOf(t, solve(t, floorOf(amount)), "a")
		if math.Abs(d.Price-price) > 1e-6 || d.Cash != 50 || math.Abs(d.Cash+d.Opportunity-d.Price) > 1e-6 {
			t.Errorf("under a floor of %s: %.4f = %.4f + %.4f (%s), want %.4f", amount, d.Price, d.Cash, d.Opportunity, d.Reason, price)
		}
	}
	if d := dispatchOf(t, solve(t, floorOf("6000")), "a"); !strings.Contains(d.Reason, "free at the margin") {
		t.Errorf("the reason is %q", d.Reason)
	}
}

func TestWhatBindsIsSaidWithItsPrice(t *testing.T) {
	made := solve(t, floorOf("3000"))
	for _, b := range made.Binding {
		// One percent of 3000 is 30, which moves 0.6 nodes that cost 10 more each.
		if b.Subject == "floor/commitment" && math.Abs(b.Cost-6) < 1e-6 {
			return
		}
	}
	t.Errorf("the floor's shadow price of $6 per percent is missing: %+v", made.Binding)
}

func TestARightOfFirstRefusalHoldsOthersBack(t *testing.T) {
	text := `kind: Portfolio
name: held
as_of: 2026-01-01
horizon: {from: 2026-01-01, to: 2026-07-01}
demand: [{name: work, class: inference, rate: 10, throughput: {H100: 1}}]
offers:
- {name: dear, provider: azure, chip: H100, price: 50}
- {name: cheap, provider: aws, chip: H100, price: 20, contract: new}
contracts: [{contract: holder, status: signed}, {contract: new, status: offered}]
---
kind: Contract
name: holder
counterparty: azure
term: {from: 2025-01-01, to: 2030-01-01}
clauses: [RIGHT]
---
kind: Contract
name: new
counterparty: aws
offered: 2026-01-01
term: {from: 2026-01-01, to: 2027-01-01}
scope: {providers: [aws]}
clauses: [{commitment: {period: year, amount: 1000}}]
`
	for clause, want := range map[string]string{"{right_of_first_refusal: {holder: azure, window: 30d}}": "2026-01-31", "{discount: {percent: 1%}}": "2026-01-01"} {
		made := solve(t, strings.ReplaceAll(text, "RIGHT", clause))
		for _, d := range made.Decisions {
			if d.What == "new" && (d.Action != plan.Sign || d.At.Format(time.DateOnly) != want) {
				t.Errorf("with %s: %s, want it signed from %s", clause, d.Says(), want)
			}
		}
	}
}

func TestASharesShadowPriceIsPerPercentOfWhatItIsTakenOf(t *testing.T) {
	c := clauseCase{days: 1, portfolio: tenNodes + covenantOffers, documents: document("c", "aws", 1, "", "{name: share, chip_covenant: {chipmakers: [aws], share: 30%, per: total}}")}
	// At a share φ an hour costs 10·(10−4φ)/(1−φ/2), which grows by 10/(1−φ/2)² a unit of φ.
	want := 24 * 0.01 * 10 / (0.85 * 0.85)
	for _, b := range solve(t, c.text()).Binding {
		if b.Subject == "c/share" {
			if math.Abs(b.Cost-want) > 1e-3*want {
				t.Errorf("one more percent would cost %.4f, want %.4f", b.Cost, want)
			}
			return
		}
	}
	t.Error("the covenant's shadow price is missing")
}

func TestAPeriodOverNewYearCountsInBothYears(t *testing.T) {
	made := solve(t, `kind: Portfolio
name: over
horizon: {from: 2026-12-01, to: 2027-12-01, periods: [{every: year}]}
demand: [{name: work, class: inference, rate: 1, throughput: {H100: 1}}]
offers: [{name: a, provider: a, chip: H100, price: 1}]
contracts: [{contract: floor, status: signed}]
financing: {cash: 100000, floor: 10000, revenue: [{from: 2026-12-01, amount: 30.5}]}
---
kind: Contract
name: floor
counterparty: a
term: {from: 2026-12-01, to: 2027-12-01}
scope: {providers: [a]}
clauses: [{commitment: {period: total, amount: 3650}}]
`)
	for i, days := range []float64{31, 334} {
		y := made.Years[i]
		if math.Abs(y.Committed-10*days) > 1e-6 || y.Year != 2026+i {
			t.Errorf("%d commits %.2f, want %.2f", y.Year, y.Committed, 10*days)
		}
	}
	// 8760 node-hours for a dollar each less 30.5 a month of revenue: 8394 burnt in twelve months.
	last := made.Years[1]
	cash := 100000 - 8760 + 30.5*365*24/(8766.0/12)
	if last.NetBurn == nil || last.Runway == nil || math.Abs(*last.NetBurn-(8760.0/365*8766/24/12-30.5)) > 0.01 || math.Abs(*last.Runway - (cash-10000) / *last.NetBurn) > 0.01 {
		t.Errorf("burn %v, runway %v", last.NetBurn, last.Runway)
	}
}
