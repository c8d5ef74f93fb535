package planner

import (
	"os"
	"strings"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/lp/highs"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

const idlePortfolio = `kind: Portfolio
name: idle
horizon: {from: 2026-03-01, to: 2026-03-05, periods: [{every: day}]}
demand: [{name: work, class: inference, rate: 10, throughput: {H100: 1, MI300X: 1}}]
offers:
- {name: a, provider: a, chip: H100, price: 10}
- {name: b, provider: b, chip: MI300X, price: 9.99}
qualification: [{model: work, families: [cuda], porting: [{family: rocm, cost: 1000, takes: 1d}]}]
`

func TestWhatDoesNotPayIsDropped(t *testing.T) {
	solver, err := highs.New("")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI must run `make solver` first: the embedded solver is missing")
		}
		t.Skip("SKIPPED: no embedded solver; run `make solver`")
	}
	portfolio, err := plan.Parse("test.yaml", []byte(idlePortfolio), plan.Choice{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile(portfolio, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	// A plan within 10% of the best that ports for 1000 what saves 7.
	idle := &decided{Port: make([]float64, len(p.portingOptions()))}
	idle.Port[0] = 1
	options := Options{Gap: 0.1}
	a, err := p.ask(t.Context(), solver, question{hold: policy{idle}, weighted: true}, options)
	if err != nil {
		t.Fatal(err)
	}
	a.Bound = 0.9 * a.Objective
	bound := a.Bound
	pruned, err := p.prune(t.Context(), solver, a, options)
	if err != nil {
		t.Fatal(err)
	}
	// And one within 10% that does without a port that saves 1800 a day for 1000.
	cheap, err := plan.Parse("test.yaml", []byte(strings.Replace(idlePortfolio, "price: 9.99", "price: 2.5", 1)), plan.Choice{})
	if err != nil {
		t.Fatal(err)
	}
	if p, err = Compile(cheap, nil, nil); err != nil {
		t.Fatal(err)
	}
	none := &decided{Port: make([]float64, len(p.portingOptions()))}
	if a, err = p.ask(t.Context(), solver, question{hold: policy{none}, weighted: true}, options); err != nil {
		t.Fatal(err)
	}
	a.Bound = 0.5 * a.Objective
	added, err := p.prune(t.Context(), solver, a, options)
	if err != nil {
		t.Fatal(err)
	}
	if cost := added.Objective * added.scale; cost > 2400+1000+3*600+1e-6 {
		t.Errorf("the port that pays is not made: %.2f", cost)
	}
	if first := pruned.policy(pruned.Values)[0]; first.Port[0] != 0 || pruned.Objective*pruned.scale > 9600+1e-6 || pruned.Bound != bound {
		t.Errorf("kept %v at %.2f", first.Port, pruned.Objective*pruned.scale)
	}
}
