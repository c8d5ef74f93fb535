package planner_test

import (
	"math"
	"strings"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/plan"
	"github.com/switchyard-ai/switchyard/internal/planner"
)

// Two days. What is reserved for the second costs 6 an hour in place of 10, used
// or not, and the first shows whether 10 nodes or 20 are needed.
const twoDays = `kind: Portfolio
name: wait
REVEAL
horizon: {from: 2026-01-01, to: 2026-01-03, periods: [{every: day}]}
demand: [{name: work, class: inference, rate: 10, throughput: {H100: 1}}]
offers: [{name: n, provider: a, chip: H100, price: 10}]
contracts: [{contract: reserve, status: offered, size: {max: 40}}]
scenarios:
- {name: few, probability: 0.5}
- {name: many, probability: 0.5, effects: [{what: demand, factor: 2}]}
---
kind: Contract
name: reserve
counterparty: a
term: {from: 2026-01-02, to: 2026-01-03}
scope: {providers: [a]}
clauses: [{reserved_instances: {instance_type: n, count: 1, hourly: 6}}]
`

func TestWhatIsSeenByThenDecides(t *testing.T) {
	const first = 24 * (0.5*10*10 + 0.5*20*10) // the first day, at list price
	for _, c := range []struct {
		reveal string
		second float64
		says   string
	}{
		{"", 24 * (10*6 + 0.5*10*10), "sign reserve at size 10 from 2026-01-02"}, // ten more would be used by half of the futures
		{"reveal: 1d", 24 * (0.5*10*6 + 0.5*20*6), "sign reserve at size 10 from 2026-01-02 if few, sign reserve at size 20 from 2026-01-02 if many"},
		{"reveal: 2d", 24 * (10*6 + 0.5*10*10), "sign reserve at size 10 from 2026-01-02"}, // too late
	} {
		text := strings.Replace(twoDays, "REVEAL", c.reveal, 1)
		made := solve(t, text)
		if want := first + c.second; math.Abs(made.Quality.Objective-want) > 1e-6*want || math.Abs(made.Quality.Billed-want) > 1e-6*want {
			t.Errorf("%q costs %.4f and is billed %.4f, want %.4f", c.reveal, made.Quality.Objective, made.Quality.Billed, want)
		}
		var says []string
		for _, d := range made.Decisions {
			says = append(says, d.Says())
		}
		if got := strings.Join(says, ", "); got != c.says {
			t.Errorf("%q decides to %s, want %s", c.reveal, got, c.says)
		}
		if violations, err := planner.Check(problem(t, text), made); err != nil || len(violations) > 0 {
			t.Errorf("the linter refuses it: %v %v", violations, err)
		}
	}
}

// A scenario may say itself when it is seen; the other one then is too.
func TestAScenarioSaysWhenItIsSeen(t *testing.T) {
	text := strings.Replace(strings.Replace(twoDays, "REVEAL", "", 1), "probability: 0.5, effects", "probability: 0.5, reveal: 2026-01-02, effects", 1)
	if made := solve(t, text); len(made.Choice.Branches) != 2 {
		t.Errorf("the plan has %d branches, want 2: %+v", len(made.Choice.Branches), made.Choice)
	}
}

func TestTheLinterRefusesForesight(t *testing.T) {
	text := strings.Replace(twoDays, "REVEAL", "reveal: 1d", 1)
	made := solve(t, text)
	later := problem(t, strings.Replace(text, "reveal: 1d", "reveal: 2d", 1))
	violations, err := planner.Check(later, made)
	if err != nil || len(violations) != 1 || violations[0].Kind != "foresight" {
		t.Errorf("a plan that decides by what is seen a day later: %v %v", violations, err)
	}
}

// What is bought and ported can wait too.
func TestPurchasesWait(t *testing.T) {
	text := strings.Replace(twoDays, "REVEAL", "reveal: 1d", 1)
	text = strings.Replace(text, "contracts: [{contract: reserve, status: offered, size: {max: 40}}]",
		"purchases: [{name: own, provider: owned, chip: H100, price: 1, node_price: 400, life: 2d, capacity: 40}]", 1)
	made := solve(t, text[:strings.Index(text, "---")])
	// A node bought on the first day saves 9 an hour for two days, 432: ten are
	// sure to be used. Ten more would be by half of the futures; on the second day
	// one saves 216 for what is left of it, 200, where it is known to be needed.
	for _, d := range made.Decisions {
		if d.At.Equal(made.From) && (d.Size != 10 || len(d.If) > 0) || !d.At.Equal(made.From) && (d.Size != 10 || len(d.If) != 1 || d.If[0] != "many") {
			t.Errorf("%s", d.Says())
		}
	}
	if len(made.Decisions) != 2 {
		t.Errorf("decided %+v", made.Decisions)
	}
}

// A future that is no scenario is taken for the one whose first day was closest.
func TestAFutureFollowsTheNearestScenario(t *testing.T) {
	text := strings.Replace(twoDays, "REVEAL", "reveal: 1d", 1)
	p, made := problem(t, text), solve(t, text)
	for factor, want := range map[float64]float64{
		0.9: 24 * (9*10 + 10*6),         // as if few: one of the ten is paid for and not used
		1.2: 24 * (12*10 + 10*6 + 2*10), // still
		1.9: 24 * (19*10 + 20*6),        // as if many
		2.5: 24 * (25*10 + 20*6 + 5*10),
	} {
		out, err := planner.Play(t.Context(), solver(t), p, &made.Choice, planner.Future{Name: "unseen", Effects: []plan.Effect{{What: plan.Traffic, Factor: &factor}}}, nil, planner.Options{Gap: 1e-9})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(out.Spend-want) > 1e-6*want {
			t.Errorf("with %g times the demand it costs %.2f, want %.2f", factor, out.Spend, want)
		}
	}
}

// Decomposed by futures or not, the bounds and plans of one tree agree; seeing
// more never costs more, and no plan beats the one that knew.
func TestDecompositionOverATree(t *testing.T) {
	if testing.Short() {
		t.Skip("many solves; go test without -short runs them")
	}
	for seed := range uint64(3) {
		b := buyer{seed: 300 + seed, months: 9, classes: 2, offers: 6, contracts: 5, scenarios: 4}
		blind := planOf(t, b.yaml())
		b.extra = "reveal: 3mo\n"
		whole := planOf(t, b.yaml())
		split, err := planner.Solve(t.Context(), solver(t), problem(t, b.yaml()), planner.Options{Gap: gap, Split: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, pair := range [][2]*plan.Plan{{whole, blind}, {whole, split}, {split, whole}} {
			if pair[0].Quality.Bound > pair[1].Quality.Objective*(1+1e-6) {
				t.Errorf("buyer %d: the bound %g is above a plan at %g", b.seed, pair[0].Quality.Bound, pair[1].Quality.Objective)
			}
		}
		t.Logf("buyer %d: blind %g, whole %g, split %g to %g", b.seed, blind.Quality.Objective, whole.Quality.Objective, split.Quality.Bound, split.Quality.Objective)
		if worse := split.Quality.Objective/whole.Quality.Objective - 1; worse > 0.08 {
			t.Errorf("buyer %d: split costs %.1f%% more than whole", b.seed, 100*worse)
		}
		if violations, err := planner.Check(problem(t, b.yaml()), split); err != nil || len(violations) > 0 {
			t.Errorf("the linter refuses it: %v %v", violations, err)
		}
	}
}

// A grid shock that changes no figure of the portfolio is left out.
func TestStressLeavesOutWhatChangesNothing(t *testing.T) {
	text := strings.Replace(twoDays, "REVEAL", "reveal: 1d", 1)
	rows, err := planner.Stress(t.Context(), solver(t), problem(t, text), solve(t, text), planner.Options{Gap: 1e-9})
	if err != nil {
		t.Fatal(err)
	}
	shocks := map[string]float64{}
	for _, r := range rows {
		shocks[r.Shock] = r.Regret
	}
	for _, name := range []string{"a six months late", "a supplies half"} { // no dates, no limit
		if _, there := shocks[name]; there {
			t.Errorf("%s changes nothing and is there", name)
		}
	}
	// As if few: ten are reserved, and with 13 needed three more would have saved 4 an hour each.
	if got, want := shocks["demand up 30%"], 24*3*4.0; math.Abs(got-want) > 1e-6*want {
		t.Errorf("demand up 30%% is regretted by %g, want %g", got, want)
	}
}
