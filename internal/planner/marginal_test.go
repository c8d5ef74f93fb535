package planner

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/lp/highs"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// A dispatch price is what one more node-hour of a pool costs when everything
// else answers, with decisions held: the difference of two plans, one of which
// has a little more work bound to that pool. A clause counted twice, or not at
// all, shows as a difference.
func TestADispatchPriceIsWhatOneMoreNodeHourCosts(t *testing.T) {
	if testing.Short() {
		t.Skip("many solves; go test without -short runs them")
	}
	solver, err := highs.New("")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI must run `make solver` first: the embedded solver is missing")
		}
		t.Skip("SKIPPED: no embedded solver; run `make solver`")
	}
	const commitment, off = "{commitment: {period: total, amount: %s}}", "scope: {providers: [b]}"
	cases := []struct {
		name, offer string
		clauses     []string
		price       float64 // worked out by hand
		portfolio   string
		scope       string
	}{
		{name: "no contract", offer: "b", price: 10},
		{name: "a floor unmet", offer: "b", price: 0, clauses: []string{fmt.Sprintf(commitment, "9999")}},
		{name: "a floor just met moves work off the cheaper", offer: "b", price: 8, clauses: []string{fmt.Sprintf(commitment, "1200")}},
		{name: "a floor long met", offer: "b", price: 10, clauses: []string{fmt.Sprintf(commitment, "10")}, portfolio: "providers: [b]"},
		{name: "two floors, one over the other", offer: "b", price: 0, clauses: []string{fmt.Sprintf(commitment, "9999"), "{monthly_minimum: {amount: 1}}"}},
		{name: "a plan by the hour not used up", offer: "b", price: 0, clauses: []string{"{savings_plan: {type: compute, hourly: 500, discount: 50%}}"}},
		{name: "a plan by the hour used up", offer: "b", price: 10, clauses: []string{"{savings_plan: {type: compute, hourly: 5, discount: 50%}}"}, portfolio: "providers: [b]"},
		{name: "take or pay unmet", offer: "b", price: 0, clauses: []string{"{take_or_pay: {quantity: 1000, per: total, price: 9}}"}},
		{name: "take or pay passed", offer: "b", price: 9, clauses: []string{"{take_or_pay: {quantity: 10, per: total, price: 9}}"}, portfolio: "providers: [b]"},
		{name: "an agreement's discount beyond its commitment", offer: "b", price: 9, clauses: []string{"{enterprise_agreement: {discount: 10%, commitment: 100}}"}, portfolio: "providers: [b]"},
		{name: "an agreement's commitment unmet", offer: "b", price: 0, clauses: []string{"{enterprise_agreement: {discount: 10%, commitment: 9999}}"}},
		{name: "above a tier", offer: "b", price: 8, clauses: []string{"{discount: {tiers: {window: total, steps: [{above: 1000, discount: 20%}]}}}"}, portfolio: "providers: [b]"},
		{name: "above a tier with a floor unmet", offer: "b", price: 0, clauses: []string{"{discount: {tiers: {window: total, steps: [{above: 1000, discount: 20%}]}}}", fmt.Sprintf(commitment, "9999")}, portfolio: "providers: [b]"},
		{name: "credit left of a prepayment", offer: "b", price: 0, clauses: []string{"{prepayment: {amount: 9999}}"}},
		{name: "a MACC unmet", offer: "b", price: 0, clauses: []string{"{macc: {amount: 9999}}"}},
		// A node-hour more of work on a asks for 0.3 of a node more on b in place of a: 8 + 0.3·2.
		{name: "a covenant's share", offer: "a", price: 8.6, clauses: []string{"{chip_covenant: {chips: [MI300X], share: 30%, per: total}}"}, scope: "scope: {}"},
		// The same with a floor over b that is not met: b is free, and more of a takes the place of none.
		{name: "a covenant and a floor on the same usage", offer: "b", price: 0, clauses: []string{"{chip_covenant: {chips: [MI300X], share: 30%, per: total}}", "{scope: {providers: [b]}, commitment: {period: total, amount: 9999}}"}, scope: "scope: {}"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			extra := map[string]string{"a": "H100", "b": "MI300X"}[c.offer]
			text := func(more string) string {
				where := ""
				if c.portfolio != "" {
					where = ", " + c.portfolio
				}
				out := "kind: Portfolio\nname: m\nhorizon: {from: 2026-03-01, to: 2026-03-02, periods: [{every: day}]}\n" +
					"demand:\n- {name: work, class: inference, rate: 10, throughput: {H100: 1, MI300X: 1}" + where + "}\n" + more +
					"offers:\n- {name: a, provider: a, chip: H100, price: 8}\n- {name: b, provider: b, chip: MI300X, price: 10}\n"
				if len(c.clauses) > 0 {
					scope := c.scope
					if scope == "" {
						scope = off
					}
					out += "contracts: [{contract: c, status: signed}]\n---\nkind: Contract\nname: c\ncounterparty: b\nterm: {from: 2026-03-01, to: 2026-03-02}\n" + scope + "\nclauses:\n- " + strings.Join(c.clauses, "\n- ") + "\n"
				}
				return out
			}
			cost := func(more string) (*answer, float64) {
				portfolio, err := plan.Parse("test.yaml", []byte(text(more)), plan.Choice{})
				if err != nil {
					t.Fatalf("%v\n%s", err, text(more))
				}
				p, err := Compile(portfolio, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				a, err := p.ask(t.Context(), solver, question{weighted: true}, Options{Gap: 1e-9})
				if err != nil {
					t.Fatal(err)
				}
				return a, a.Objective * a.scale
			}
			base, before := cost("")
			const nodes = 0.01
			_, after := cost(fmt.Sprintf("- {name: extra, class: inference, rate: %g, throughput: {%s: 1}, chips: [%s]}\n", nodes, extra, extra))
			real := (after - before) / 24 / nodes
			duals, err := base.prices(t.Context(), solver)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range base.dispatch(duals) {
				if d.Offer != c.offer {
					continue
				}
				if math.Abs(d.Price-c.price) > 1e-4 || math.Abs(real-c.price) > 1e-3 {
					t.Errorf("the price is %.4f = %.4f + %.4f (%s), a node-hour more costs %.4f, and by hand %.4f", d.Price, d.Cash, d.Opportunity, d.Reason, real, c.price)
				}
				return
			}
			t.Error("the offer has no dispatch price")
		})
	}
}
