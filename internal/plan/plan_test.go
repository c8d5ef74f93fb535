package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

const good = `kind: Portfolio
name: lab
as_of: 2025-12-17
figures:
  investment:
  - {value: 10B, source: one, known: 2025-12-16}
  - {value: 100B, source: other, known: 2025-12-17}
  - {value: 50B, source: later, known: 2026-02-27}
  cash: [{value: 1B, source: then, lapsed: 2026-05-01}, {value: 3B, source: now, known: 2026-05-01}]
horizon: {to: 2027-01-01, periods: [{every: month, for: 6mo}, {every: quarter}]}
demand: [{name: chat, class: inference, rate: 10, throughput: {H100: 1}}]
offers:
- {name: a, provider: aws, chip: H100, price: 40}
- {name: later, provider: aws, chip: H100, price: 30, known: 2026-03-01}
- {name: under, provider: aws, chip: H100, price: 30, contract: new}
contracts:
- {contract: old, status: signed}
- {contract: new, status: offered, known: 2026-02-27}
financing:
  cash: "${cash}"
  inflows: [{name: equity, at: 2026-02-01, amount: "${investment}", requires: old}]
---
kind: Contract
name: old
counterparty: aws
term: {from: 2025-01-01, to: 2028-01-01}
clauses: [{commitment: {period: year, amount: 5M}}]
---
kind: Contract
name: new
counterparty: aws
term: {from: 2026-03-01, to: 2028-01-01}
clauses: [{commitment: {period: year, amount: 5M}}]
`

func TestParseLeavesOutWhatBecameKnownLater(t *testing.T) {
	p, err := Parse("lab.yaml", []byte(good), Choice{})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Offers) != 1 || len(p.Contracts) != 1 || len(p.Terms) != 1 {
		t.Errorf("%d offers, %d contracts, %d terms as of 2025-12-17; want one of each", len(p.Offers), len(p.Contracts), len(p.Terms))
	}
	if n := len(ReportedFigures([]byte(good), nil)["investment"]); n != 2 {
		t.Errorf("%d reported values were known, want 2", n)
	}
	if got := p.Financing.Inflows[0].Amount.String(); got != "10000000000" {
		t.Errorf("the first reported value is %s", got)
	}
	if got := p.Financing.Cash.String(); got != "1000000000" {
		t.Errorf("cash as of 2025-12-17 is %s", got)
	}
	later := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	p, err = Parse("lab.yaml", []byte(good), Choice{AsOf: &later, Figures: map[string]int{"investment": 2}})
	if err != nil || len(p.Offers) != 3 || len(p.Contracts) != 2 || p.Financing.Inflows[0].Amount.String() != "50000000000" {
		t.Errorf("as of 2026-06-01: %d offers, %d contracts, %v, %v", len(p.Offers), len(p.Contracts), p.Financing, err)
	}
	if got := p.Financing.Cash.String(); got != "3000000000" {
		t.Errorf("cash as of 2026-06-01 is %s: a value that lapsed is still taken", got)
	}
	if p.Horizon.From.Format(time.DateOnly) != "2026-07-01" {
		t.Errorf("the horizon starts on %s", p.Horizon.From)
	}
}

func TestPeriodsCutTheHorizon(t *testing.T) {
	p, err := Parse("lab.yaml", []byte(good), Choice{})
	if err != nil {
		t.Fatal(err)
	}
	periods := p.Periods()
	if len(periods) != 8 || periods[0].Label() != "2026-01" || periods[7].Label() != "2026-10" {
		t.Fatalf("%d periods: %v", len(periods), periods)
	}
	for i := 1; i < len(periods); i++ {
		if !periods[i].From.Equal(periods[i-1].To) {
			t.Errorf("period %d starts at %s and the one before ends at %s", i, periods[i].From, periods[i-1].To)
		}
	}
}

func TestParseFindsAllFaultsAtOnce(t *testing.T) {
	text := strings.NewReplacer("rate: 10,", "rate: 10, total: 5,", "provider: aws, chip: H100, price: 40", "provider: aws, chip: H100, price: 40, surge: 3",
		"contract: new}", "contract: nwe}", "as_of: 2025-12-17", "as_of: 2025-12-17\nrisks: {}", "${investment}", "${investmnt}").Replace(good)
	_, err := Parse("lab.yaml", []byte(text), Choice{})
	if !fault.Is(err, fault.Invalid) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		`lab.yaml:4:1: risks: unknown field; did you mean risk?`, `one of rate, steps, history and total is needed`, `only a training programme has a total`,
		`offers[0].surge: a share between 0 and 1`, `unknown contract "nwe"; did you mean new?`, "${investmnt}: no figure of this name that was known; did you mean investment?",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not among the faults:\n%v", want, err)
		}
	}
}

func TestScenariosAreSeenAfterTheStart(t *testing.T) {
	const late = "scenarios: [{name: up, probability: 1, reveal: 2025-12-01}]\nreveal: 0d\n"
	_, err := Parse("lab.yaml", []byte(strings.Replace(good, "as_of: 2025-12-17\n", "as_of: 2025-12-17\n"+late, 1)), Choice{})
	for _, want := range []string{"scenarios[0].reveal: 2025-12-01 is not after the start of the horizon", "reveal: a span such as 3mo"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not among the faults:\n%v", want, err)
		}
	}
}

func TestFactorsHaveBounds(t *testing.T) {
	const wild = "scenarios: [{name: up, probability: 1, effects: [{what: demand, factor: 1e300}, {what: price, factor: -1}, {what: supply}]}]\n"
	_, err := Parse("lab.yaml", []byte(strings.Replace(good, "as_of: 2025-12-17\n", "as_of: 2025-12-17\n"+wild, 1)), Choice{})
	for _, want := range []string{
		"scenarios[0].effects[0].factor: found 1e+300; a factor such as 1.5 is needed: 0 to 1e+06", "scenarios[0].effects[1].factor: found -1;",
		"scenarios[0].effects[2].factor: a factor such as 1.5 is needed",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not among the faults:\n%v", want, err)
		}
	}
}

func TestAPlanThatWasChangedIsRefused(t *testing.T) {
	p := &Plan{Portfolio: "lab", Decisions: []Decision{{Action: Sign, What: "x"}}}
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	id := p.ID
	if err := p.Seal(); err != nil || p.ID != id {
		t.Errorf("sealing twice gives %s and %s", id, p.ID)
	}
	if _, err := Read([]byte(`{"id":"` + id + `","portfolio":"other"}`)); !fault.Is(err, fault.Invalid) {
		t.Errorf("a changed plan is read: %v", err)
	}
}

func TestDiffSaysWhatChanges(t *testing.T) {
	later := Decision{Action: Sign, What: "w", Size: 2, If: []string{"up"}}
	a := &Plan{Decisions: []Decision{{Action: Sign, What: "x", Size: 1}, {Action: Decline, What: "y"}, {Action: Buy, What: "z", Size: 3}, later}}
	later.If = []string{"up", "down"}
	b := &Plan{Decisions: []Decision{{Action: Sign, What: "x", Size: 2}, {Action: Decline, What: "y"}, later, {Action: Port, What: "m to rocm"}}}
	got := strings.Join(Diff(a, b), "\n")
	if want := "sign x becomes sign x at size 2\nbuy z at size 3 is no longer there\nsign w at size 2 if up becomes sign w at size 2 if up or down\nport m to rocm is new"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("kind: Portfolio\nhorizon: {to: 2027-01-01}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse("fuzz.yaml", data, Choice{})
		if (p == nil) == (err == nil) {
			t.Errorf("neither a portfolio nor faults: %v", err)
		}
	})
}
