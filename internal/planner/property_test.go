package planner_test

import (
	"errors"
	"flag"
	"math"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/lp/highs"
	"github.com/switchyard-ai/switchyard/internal/plan"
	"github.com/switchyard-ai/switchyard/internal/planner"
)

// TestMain draws fewer examples than rapid's hundred: each is four plans, a
// quarter of a second together.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", "30"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// gap is to what plans of properties are proved; each property allows for it.
const gap = 0.002

func planOf(t testing.TB, text string) *plan.Plan {
	made, err := planner.Solve(t.Context(), solver(t), problem(t, text), planner.Options{Gap: gap})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return made
}

// smallBuyer draws what a buyer may have: a commitment in force, a weight on bad
// futures, capacity that must survive a provider's loss, cash.
func smallBuyer(t *rapid.T) buyer {
	extra := ""
	for _, line := range []string{
		"risk: {weight: 0.4, tail: 0.6, discount: 0.08}\n", "survive: [{of: provider, share: 30%}]\n",
		"financing: {cash: 100M, floor: 1M, revenue: [{from: 2026-01-01, amount: 1M}]}\n",
	} {
		if rapid.IntRange(0, 2).Draw(t, line) == 0 {
			extra += line
		}
	}
	return buyer{
		extra: extra, signed: rapid.Bool().Draw(t, "signed"),

		seed: rapid.Uint64Range(1, 1e6).Draw(t, "seed"), months: rapid.IntRange(2, 6).Draw(t, "months"), classes: rapid.IntRange(1, 3).Draw(t, "classes"),
		offers: rapid.IntRange(3, 8).Draw(t, "offers"), contracts: rapid.IntRange(0, 4).Draw(t, "contracts"), scenarios: rapid.IntRange(1, 2).Draw(t, "scenarios"),
	}
}

func TestPlansKeepTheirProperties(t *testing.T) {
	if testing.Short() {
		t.Skip("many solves; go test without -short runs them")
	}
	solver(t)
	rapid.Check(t, func(r *rapid.T) {
		b := smallBuyer(r)
		base := sound(t, r, b)
		const slack = 1e-6
		constrained := b
		constrained.hedge = true
		if with := sound(t, r, constrained); with.Quality.Objective < base.Quality.Bound*(1-slack) {
			r.Fatalf("a constraint made the plan cheaper: %g, below the bound %g", with.Quality.Objective, base.Quality.Bound)
		}
		option := b
		option.extra += "purchases:\n- {name: own, provider: owned, chip: H100, chips: 8, price: 9, node_price: 250000, life: 4y, capacity: 40}\n"
		if with := sound(t, r, option); with.Quality.Bound > base.Quality.Objective*(1+slack) {
			r.Fatalf("an option made the plan dearer: bound %g, above %g", with.Quality.Bound, base.Quality.Objective)
		}
		later := b
		later.extra += "reveal: 1mo\n"
		if with := sound(t, r, later); with.Quality.Bound > base.Quality.Objective*(1+slack) {
			r.Fatalf("deciding later made the plan dearer: bound %g, above %g", with.Quality.Bound, base.Quality.Objective)
		}
		renamed := b
		renamed.prefix = "z"
		if other := sound(t, r, renamed); math.Abs(other.Quality.Objective-base.Quality.Objective) > 2*gap*base.Quality.Objective {
			r.Fatalf("renaming changed the objective from %g to %g", base.Quality.Objective, other.Quality.Objective)
		}
	})
}

// sound plans for a buyer; whatever is planned passes the linter, and billing
// agrees on what it costs.
func sound(t *testing.T, r *rapid.T, b buyer) *plan.Plan {
	made := planOf(t, b.yaml())
	violations, err := planner.Check(problem(t, b.yaml()), made)
	if err != nil || len(violations) > 0 {
		r.Fatalf("the linter refuses the plan: %v %v\n%s", violations, err, b.yaml())
	}
	if d := made.Quality.Difference; math.Abs(d) > 0.005 {
		r.Fatalf("billing differs from the model by %.3f%%\n%s", 100*d, b.yaml())
	}
	return made
}

func TestTheRelaxationScales(t *testing.T) {
	s := solver(t)
	rapid.Check(t, func(r *rapid.T) {
		b := smallBuyer(r)
		one, err := planner.Relaxed(t.Context(), s, problem(t, b.yaml()))
		if err != nil {
			r.Fatal(err)
		}
		b.scale, b.extra = 3, strings.NewReplacer("100M", "300M", "floor: 1M", "floor: 3M", "amount: 1M", "amount: 3M").Replace(b.extra)
		three, err := planner.Relaxed(t.Context(), s, problem(t, b.yaml()))
		if err != nil {
			r.Fatal(err)
		}
		if math.Abs(three-3*one) > 1e-5*three {
			r.Fatalf("three times the size costs %g, and once %g", three, one)
		}
	})
}

func TestTheEmbeddedSolverAgreesWithCBC(t *testing.T) {
	if testing.Short() {
		t.Skip("many solves; go test without -short runs them")
	}
	embedded := solver(t)
	program, err := highs.FindProgram(t.TempDir())
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI must have coinor-cbc: ", err)
		}
		t.Skip("SKIPPED: neither highs nor cbc on PATH (Debian: coinor-cbc)")
	}
	for seed := range uint64(6) {
		b := buyer{seed: 900 + seed, months: 4, classes: 2, offers: 6, contracts: 4, scenarios: 1 + int(seed%2), hedge: seed%2 == 0, signed: true}
		p := problem(t, b.yaml())
		one, err1 := planner.Solve(t.Context(), embedded, p, planner.Options{Gap: gap})
		two, err2 := planner.Solve(t.Context(), program, p, planner.Options{Gap: gap})
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if d := math.Abs(one.Quality.Objective - two.Quality.Objective); d > 2*gap*one.Quality.Objective {
			t.Errorf("buyer %d: HiGHS says %g and cbc %g", b.seed, one.Quality.Objective, two.Quality.Objective)
		}
	}
}

func TestAnInfeasiblePortfolioNamesItsConflict(t *testing.T) {
	text := "kind: Portfolio\nname: torn\n" + hour + `demand: [{name: chat, class: inference, rate: 100, throughput: {H100: 1, Trainium2: 1}}]
offers:
- {name: trn2, provider: aws, chip: Trainium2, price: 20, capacity: 10}
- {name: h100, provider: azure, chip: H100, price: 30}
- {name: h100-gcp, provider: gcp, chip: H100, price: 31}
hedges:
- {name: not all on azure, of: provider, which: azure, at_most: 90%, measure: chip-hours}
contracts: [{contract: amazon-2026, status: signed}]
---
kind: Contract
name: amazon-2026
counterparty: aws
term: {from: 2026-01-01, to: 2027-01-01}
clauses: [{name: trainium, chip_covenant: {chipmakers: [aws], share: 30%, per: total}}]
`
	_, err := planner.Solve(t.Context(), solver(t), problem(t, text), planner.Options{})
	if !fault.Is(err, fault.Conflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
	for _, words := range []string{"covenant amazon-2026/trainium", "capacity of trn2", "work of chat"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("the conflict does not name %q:\n%v", words, err)
		}
	}
	if strings.Contains(err.Error(), "azure") {
		t.Errorf("the conflict names what is no part of it:\n%v", err)
	}
}

// Found at random: a commitment and the list price serve the same line, and an
// hour more from rounding each of them up is a third of a percent of the bill.
func TestSourcesOfALineAreRoundedTogether(t *testing.T) {
	b := buyer{seed: 5, months: 2, classes: 1, offers: 5, contracts: 1, scenarios: 2,
		extra: "risk: {weight: 0.4, tail: 0.6, discount: 0.08}\nsurvive: [{of: provider, share: 30%}]\nfinancing: {cash: 100M, floor: 1M, revenue: [{from: 2026-01-01, amount: 1M}]}\n"}
	made := planOf(t, b.yaml())
	if violations, err := planner.Check(problem(t, b.yaml()), made); err != nil || len(violations) > 0 {
		t.Errorf("the linter refuses the plan: %v %v", violations, err)
	}
}

// A conflict of one scenario says which, and names what spans months once.
func TestAConflictIsSaidInFewLines(t *testing.T) {
	_, err := planner.Solve(t.Context(), solver(t), problem(t, `kind: Portfolio
name: broke
horizon: {from: 2026-01-01, to: 2026-05-01}
demand: [{name: chat, class: inference, rate: 10, throughput: {H100: 1}}]
offers: [{name: n, provider: a, chip: H100, price: 10}]
financing: {cash: 400k}
scenarios:
- {name: few, probability: 0.5}
- {name: many, probability: 0.5, effects: [{what: demand, factor: 2}]}
`), planner.Options{})
	want := "no plan can keep all of these if many, and any plan can keep them without one of them:\n  work of chat in 2026-02 to 2026-04\n  cash in 2026-01 to 2026-04"
	if !fault.Is(err, fault.Conflict) || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}
