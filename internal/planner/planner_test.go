package planner_test

import (
	"math"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/lp/highs"
	"github.com/switchyard-ai/switchyard/internal/plan"
	"github.com/switchyard-ai/switchyard/internal/planner"
)

// solver is the embedded one; without it a test is skipped, but not on CI.
func solver(t testing.TB) lp.Solver {
	t.Helper()
	s, err := shared()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI must run `make solver` first: the embedded solver is missing")
		}
		t.Skip("SKIPPED: no embedded solver; run `make solver`")
	}
	return s
}

var shared = sync.OnceValues(func() (lp.Solver, error) {
	e, err := highs.New("")
	if err != nil {
		return nil, err
	}
	return e, nil
})

func problem(t testing.TB, text string) *planner.Problem {
	t.Helper()
	p, err := plan.Parse("test.yaml", []byte(text), plan.Choice{})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	compiled, err := planner.Compile(p, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func solve(t testing.TB, text string) *plan.Plan {
	t.Helper()
	made, err := planner.Solve(t.Context(), solver(t), problem(t, text), planner.Options{Gap: 1e-9})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// spends checks the optimum by the model, and that billing says the same.
func spends(t *testing.T, made *plan.Plan, want float64) {
	t.Helper()
	if math.Abs(made.Quality.Objective-want) > 1e-6*want {
		t.Errorf("the optimum is %.6f, want %.6f", made.Quality.Objective, want)
	}
	if billed := float64(made.Futures[0].Spend.Micros) / 1e6; math.Abs(billed-want) > 1e-6*want {
		t.Errorf("billing says %.6f, want %.6f", billed, want)
	}
}

const hour = "horizon: {from: 2026-01-01, to: 2026-01-01T01:00:00Z, periods: [{every: hour}]}\n"

func TestP1MeritOrder(t *testing.T) {
	text := "kind: Portfolio\nname: p1\n" + hour + `demand: [{name: work, class: inference, rate: 100, throughput: {Trainium2: ETA, H200: 1}}]
offers:
- {name: trn2.48xlarge, provider: aws, chip: Trainium2, price: 35.7608, capacity: 80}
- {name: p5en.48xlarge, provider: aws, chip: H200, price: 63.296}
`
	spends(t, solve(t, strings.ReplaceAll(text, "ETA", "0.6")), 6152.256)
	spends(t, solve(t, strings.ReplaceAll(text, "ETA", "0.56")), 6329.60)
}

func TestP2TakeOrPay(t *testing.T) {
	text := "kind: Portfolio\nname: p2\n" + hour + `demand: [{name: work, class: inference, rate: 100, throughput: {H100: 1}}]
offers:
- {name: a, provider: a, chip: H100, price: 50}
- {name: b, provider: b, chip: H100, price: 40}
contracts: [{contract: floor, status: signed}]
---
kind: Contract
name: floor
counterparty: a
term: {from: 2026-01-01, to: 2026-01-02}
scope: {providers: [a]}
clauses: [{commitment: {period: total, amount: 72000}}]
`
	// The contract lasts a day and the horizon an hour, so a 24th of it binds: 3000.
	made := solve(t, text)
	spends(t, made, 4600)
	for _, n := range made.Futures[0].Periods[0].Nodes {
		if want := map[string]int64{"a": 60, "b": 40}[n.Offer]; n.NodeHours != want {
			t.Errorf("%s has %d node-hours, want %d", n.Offer, n.NodeHours, want)
		}
	}
}

func TestP3BlockOrOnDemand(t *testing.T) {
	made := solve(t, `kind: Portfolio
name: p3
horizon: {from: 2026-01-01T11:30:00Z, to: 2026-01-04T11:30:00Z, periods: [{every: day}]}
demand:
- {name: work, class: inference, throughput: {H200: 1}, steps: [{from: 2026-01-01, value: 10}, {from: 2026-01-02T11:30:00Z, value: 2}, {from: 2026-01-03T11:30:00Z, value: 10}]}
offers: [{name: p5en.48xlarge, provider: aws, chip: H200, price: 63.296}]
contracts: [{contract: block, status: offered}]
---
kind: Contract
name: block
counterparty: aws
term: {from: 2026-01-01T11:30:00Z, to: 2026-01-04T11:30:00Z}
scope: {providers: [aws]}
clauses: [{capacity_block: {instance_type: p5en.48xlarge, count: 8, rate: 41.61}}]
`)
	spends(t, made, 30043.776)
	if made.Decisions[0].Action != plan.Sign {
		t.Errorf("decided to %s", made.Decisions[0].Says())
	}
}

func TestP4Hedge(t *testing.T) {
	text := "kind: Portfolio\nname: p4\n" + hour + `demand: [{name: work, class: inference, rate: 100, throughput: {H100: 1}}]
offers:
- {name: a, provider: a, chip: H100, price: 40, capacity: 50}
- {name: b, provider: b, chip: H100, price: 50, capacity: 50}
- {name: c, provider: c, chip: H100, price: 60, capacity: 50}
`
	spends(t, solve(t, text), 4500)
	spends(t, solve(t, text+"hedges: [{of: provider, at_least: 10%, measure: chip-hours}]\n"), 4600)
}
