package planner_test

import (
	"testing"

	"github.com/switchyard-ai/switchyard/internal/planner"
)

// Solving futures by themselves must bound the same optimum from both sides.
func TestFuturesSolvedByThemselvesBoundTheSamePlan(t *testing.T) {
	if testing.Short() {
		t.Skip("many solves; go test without -short runs them")
	}
	s := solver(t)
	for seed := range uint64(6) {
		b := buyer{seed: 40 + seed/2, months: 4, classes: 2, offers: 7, contracts: 5, scenarios: 3}
		if seed%2 == 1 { // CVaR binds the futures together
			b.extra = "risk: {weight: 0.5, tail: 0.6}\n"
		}
		p := problem(t, b.yaml())
		whole, err := planner.Solve(t.Context(), s, p, planner.Options{Gap: gap})
		if err != nil {
			t.Fatal(err)
		}
		split, err := planner.Solve(t.Context(), s, p, planner.Options{Gap: gap, Split: true})
		if err != nil {
			t.Fatal(err)
		}
		const slack = 1 + 1e-6
		if split.Quality.Bound > whole.Quality.Objective*slack || whole.Quality.Bound > split.Quality.Objective*slack {
			t.Errorf("buyer %d %s: whole %g to %g, split %g to %g do not overlap", b.seed, b.extra, whole.Quality.Bound, whole.Quality.Objective, split.Quality.Bound, split.Quality.Objective)
		}
		if worse := split.Quality.Objective/whole.Quality.Objective - 1; worse > 0.08 {
			t.Errorf("buyer %d: split costs %.1f%% more than whole", b.seed, 100*worse)
		}
		violations, err := planner.Check(p, split)
		if err != nil || len(violations) > 0 {
			t.Errorf("buyer %d: the linter refuses the plan: %v %v", b.seed, violations, err)
		}
	}
}

// A limit on shares of money that cannot bind keeps every offer in the model.
func TestLeavingDominatedOffersOutCostsNothing(t *testing.T) {
	s := solver(t)
	for seed := range uint64(4) {
		b := buyer{seed: 60 + seed, months: 3, classes: 2, offers: 30, contracts: 4, scenarios: 2}
		few, err := planner.Solve(t.Context(), s, problem(t, b.yaml()), planner.Options{Gap: 1e-7})
		if err != nil {
			t.Fatal(err)
		}
		b.extra = "hedges: [{of: provider, at_most: 100%}]\n"
		all, err := planner.Solve(t.Context(), s, problem(t, b.yaml()), planner.Options{Gap: 1e-7})
		if err != nil {
			t.Fatal(err)
		}
		if few.Quality.Variables >= all.Quality.Variables {
			t.Errorf("buyer %d: nothing was left out: %d of %d columns", b.seed, few.Quality.Variables, all.Quality.Variables)
		}
		if d := few.Quality.Objective - all.Quality.Objective; d > 1e-6*all.Quality.Objective || d < -1e-6*all.Quality.Objective {
			t.Errorf("buyer %d: %g without dominated offers, %g with them", b.seed, few.Quality.Objective, all.Quality.Objective)
		}
	}
}
