package planner

import (
	"os"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/lp/highs"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

func TestWhatDoesNotPayIsDropped(t *testing.T) {
	solver, err := highs.New("")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI must run `make solver` first: the embedded solver is missing")
		}
		t.Skip("SKIPPED: no embedded solver; run `make solver`")
	}
	portfolio, err := plan.Parse("test.yaml", []byte(`kind: Portfolio
name: idle
horizon: {from: 2026-03-01, to: 2026-03-05, periods: [{every: day}]}
demand: [{name: work, class: inference, rate: 10, throughput: {H100: 1, MI300X: 1}}]
offers:
- {name: a, provider: a, chip: H100, price: 10}
- {name: b, provider: b, chip: MI300X, price: 9.99}
qualification: [{model: work, families: [cuda], porting: [{family: rocm, cost: 1000, takes: 1d}]}]
`), plan.Choice{})
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
	a, err := p.ask(t.Context(), solver, question{hold: idle, weighted: true}, options)
	if err != nil {
		t.Fatal(err)
	}
	a.Bound = 0.9 * a.Objective
	pruned, err := p.prune(t.Context(), solver, a, options)
	if err != nil {
		t.Fatal(err)
	}
	if first := pruned.first(pruned.Values); first.Port[0] != 0 || pruned.Objective*pruned.scale > 9600+1e-6 || pruned.Bound != a.Bound {
		t.Errorf("kept %v at %.2f", first.Port, pruned.Objective*pruned.scale)
	}
}
