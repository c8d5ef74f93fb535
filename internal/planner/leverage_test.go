package planner_test

import (
	"math"
	"strings"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/planner"
)

func leversOf(t *testing.T, text string) *planner.Leverage {
	t.Helper()
	asked, all := 0, 0
	levers, err := planner.Levers(t.Context(), solver(t), problem(t, text), planner.Options{Gap: 1e-6, Asking: func(done, of int, _ string) { asked, all = done, of }})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if asked != all {
		t.Errorf("%d questions were asked, and %d announced", asked, all)
	}
	return levers
}

func holdOf(t *testing.T, l *planner.Leverage, name string) planner.Hold {
	t.Helper()
	for _, h := range l.Holds {
		if h.Of == "provider" && h.Name == name {
			return h
		}
	}
	t.Fatalf("nothing is said of %s", name)
	return planner.Hold{}
}

func about(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance }

// A hundred nodes for an hour: b costs 40 and has 60 nodes, a costs 50 and is
// promised 1,500. So the best plan is 60 on b and 40 on a: 4,400.
func TestLeverageOverAKnownOptimum(t *testing.T) {
	l := leversOf(t, "kind: Portfolio\nname: p\n"+hour+`demand: [{name: work, class: inference, rate: 100, unserved: 90, throughput: {H100: 1}}]
offers:
- {name: a, provider: a, chip: H100, price: 50, capacity: 90}
- {name: b, provider: b, chip: H100, price: 40, capacity: 60}
- {name: c, provider: c, chip: H100, price: 95}
contracts: [{contract: floor, status: signed}]
---
kind: Contract
name: floor
counterparty: a
term: {from: 2026-01-01, to: 2026-01-01T01:00:00Z}
scope: {providers: [a]}
clauses: [{commitment: {period: total, amount: 1500}}]
`)
	if !about(l.Best, 4400, 1e-3) {
		t.Fatalf("the best plan costs %g", l.Best)
	}
	a, b := holdOf(t, l, "a"), holdOf(t, l, "b")
	// Without a: 60 on b, 40 undone at 90, and 1,500 still owed.
	if x := a.LeaveNow; x == nil || !about(x.Value, 2400+3600+1500-4400, 1e-3) || !about(x.Owed, 1500, 1e-3) || !about(x.Unserved, 3600, 1e-3) || x.Who != "work" || !about(x.Worst, 0.4, 1e-6) {
		t.Errorf("leaving a: %+v", a.LeaveNow)
	}
	// Without b: 90 on a, 10 undone at 90.
	if x := b.LeaveNow; x == nil || !about(x.Value, 4500+900-4400, 1e-3) || !about(x.Owed, 0, 1e-3) || !about(x.Low, x.Value, 1) || !about(x.High, x.Value, 1) {
		t.Errorf("leaving b: %+v", b.LeaveNow)
	}
	// b keeps the 10 nodes that nobody else has until it costs 90 (+125%).
	if b.WalkAway == nil || *b.WalkAway < 1.25 || *b.WalkAway > 1.25+2.0/64 || !about(b.Floor, 0, 1e-6) {
		t.Errorf("walking away from b: %v to %g", b.WalkAway, b.Floor)
	}
	// A promise of ten points more to a moves ten nodes that cost 10 more: 100 of 2,500.
	if a.AskFor == nil || !about(*a.AskFor, 100.0/2500, 1e-6) || !about(a.Promise, 0.5, 1e-6) {
		t.Errorf("to ask of a: %v for %g", a.AskFor, a.Promise)
	}
	// b has no more to give, and c is not used: nothing to ask of them.
	if c := holdOf(t, l, "c"); b.AskFor != nil || c.AskFor != nil || c.WalkAway != nil || c.LeaveNow == nil || !about(c.LeaveNow.Value, 0, 1e-3) {
		t.Errorf("b %+v, c %+v", b, c)
	}
}

// A covenant asks for half of the work on b, which costs 10 more a node; 800
// hang on it, of which a half counts.
func TestACovenantIsJudgedWithWhatHangsOnIt(t *testing.T) {
	text := "kind: Portfolio\nname: p\n" + hour + `demand: [{name: work, class: inference, rate: 100, throughput: {H100: 1}}]
offers:
- {name: a, provider: a, chip: H100, price: 40}
- {name: b, provider: b, chip: H100, chipmaker: bmaker, price: 50}
financing: {cash: 100000, inflows: [{name: equity, at: 2026-01-01, amount: AMOUNT, requires: talks, counts: 50%}]}
contracts: [{contract: talks, status: offered}]
---
kind: Contract
name: talks
counterparty: b
term: {from: 2026-01-01, to: 2026-01-01T01:00:00Z}
scope: {providers: [a, b]}
clauses: [{name: half, chip_covenant: {chipmakers: [bmaker], share: 50%, per: total}}]
`
	for _, c := range []struct {
		amount, verdict string
		net, tranche    float64
	}{{"3000", "accept", 1000, 1000}, {"800", "refuse", -100, 400}} {
		l := leversOf(t, strings.ReplaceAll(text, "AMOUNT", c.amount))
		worth := map[string]planner.Worth{}
		for _, w := range l.Worths {
			worth[w.Kind] = w
		}
		deal, covenant := worth["contract"], worth["covenant"]
		if deal.Verdict != c.verdict || !about(deal.Value.Value, c.net, 1e-2) {
			t.Errorf("equity of %s: contract %+v %+v", c.amount, deal, deal.Value)
		}
		if covenant.Verdict != c.verdict || !about(covenant.Value.Value, c.net, 1e-2) || !about(covenant.Alone.Value, 500, 1e-2) {
			t.Errorf("equity of %s: covenant %+v, %+v alone %+v", c.amount, covenant, covenant.Value, covenant.Alone)
		}
		if tranche := worth["tranche"]; !about(tranche.Value.Value, c.tranche, 1e-2) || tranche.Signed != (c.verdict == "accept") {
			t.Errorf("equity of %s: tranche %+v %+v", c.amount, tranche, tranche.Value)
		}
	}
}
