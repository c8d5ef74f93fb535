package contract

import (
	"strings"
	"testing"
	"time"
)

const header = `kind: Contract
name: test
counterparty: Amazon
term: {from: 2026-01-01, to: 2029-01-01}
scope: {providers: [aws]}
clauses:
`

func TestFaultsAreAllFoundAtOnce(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"unknown clause", "  - {saving_plan: {type: compute, hourly: 1, discount: 10%}}", []string{"unknown field; did you mean savings_plan?"}},
		{"no kind", "  - {name: x}", []string{"clauses[0]: the clause has no kind"}},
		{"two kinds", "  - {monthly_minimum: {amount: 1}, prepayment: {amount: 1}}", []string{"the clause has 2 kinds (prepayment, monthly_minimum)"}},
		{"values", "  - {savings_plan: {type: computer, hourly: -1, discount: 130%}}", []string{`unknown value "computer"; did you mean compute?`, "it must not be negative", "a share lies between 0 and 1"}},
		{"rates", "  - {savings_plan: {type: compute, hourly: 0}}", []string{"hourly: found 0; it must be positive", "a plan needs rates or a discount"}},
		{"list basis", "  - {savings_plan: {type: gcp, basis: list, hourly: 5, rates: [{rate: 1}]}}", []string{"needs the discount of its fee"}},
		{"past the term", "  - {to: 2030-01-01, monthly_minimum: {amount: 1}}", []string{"clauses[0].to: 2030-01-01 is past the contract's term"}},
		{"names", "  - {name: a, monthly_minimum: {amount: 1}}\n  - {name: a, monthly_minimum: {amount: 2}}", []string{`both named "a"`}},
		{"block end", "  - {from: 2026-03-02T11:30:00Z, to: 2026-03-05T10:00:00Z, capacity_block: {instance_type: p5.48xlarge, count: 65, rate: 39.33}}",
			[]string{"blocks end at 11:30 UTC", "a block holds 1 to 64 instances"}},
		{"block length", "  - {from: 2026-03-02T11:30:00Z, to: 2026-03-18T11:30:00Z, capacity_block: {instance_type: p5.48xlarge, count: 1, rate: 39.33}}", []string{"the block lasts 16 days"}},
		{"amounts", "  - {commitment: {period: year, amounts: [1, 2]}}", []string{"2 sums for 3 years"}},
		{"tiers", "  - {discount: {tiers: {window: month, steps: [{above: 5, discount: 1%}, {above: 5, discount: 2%}]}}}", []string{"the thresholds must grow"}},
		{"milestones", "  - {macc: {amount: 10, milestones: [{by: 2026-05-01, amount: 11}]}}", []string{"11 is more than the whole commitment of 10"}},
		{"zonal", "  - {reserved_instances: {instance_type: m5.large, count: 1, hourly: 1, zone: us-east-1a, size_flexible: true}}", []string{"a zonal reservation is not flexible"}},
		{"warrant", "  - {warrant: {shares: 10, strike: 1, tranches: [{shares: 11}]}}", []string{"a tranche vests on gigawatts", "more than the warrant's 10"}},
		{"covenant", "  - {chip_covenant: {per: hour}}", []string{"either chips or chipmakers", "either a share or megawatts", "found hour"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("c.yaml", []byte(header+c.text+"\n"))
			if err == nil {
				t.Fatal("the file was taken")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("faults do not say %q:\n%s", want, err)
				}
			}
			for _, line := range strings.Split(err.Error(), "\n") {
				if !strings.HasPrefix(line, "c.yaml:") {
					t.Errorf("a fault without a position: %s", line)
				}
			}
		})
	}
}

func parse(t *testing.T, text string) []*Contract {
	t.Helper()
	contracts, err := Parse("c.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return contracts
}

func one(name, provider, from, to, clause string) string {
	return "---\nkind: Contract\nname: " + name + "\ncounterparty: " + provider + "\nterm: {from: " + from + ", to: " + to + "}\nscope: {providers: [" + provider + "]}\nclauses:\n  - " + clause + "\n"
}

func TestConflicts(t *testing.T) {
	exclusive := func(holder, classes string) string {
		return "{exclusivity: {holder: " + holder + ", classes: [" + classes + "]}}"
	}
	makerOf := func(chip string) string { return map[string]string{"Trainium2": "aws", "TPU-v5e": "google"}[chip] }
	unscoped := func(name, counterparty, clause string) string {
		return strings.Replace(one(name, counterparty, "2026-01-01", "2027-01-01", clause), "scope: {providers: ["+counterparty+"]}\n", "", 1)
	}
	covenant := func(name, maker, from, share string) string {
		return one(name, "acme", from, "2028-01-01", "{chip_covenant: {chipmakers: ["+maker+"], share: "+share+"}}")
	}
	for _, c := range []struct {
		name, text, want, from, to string
	}{
		{"the holder under its other name", unscoped("a", "Microsoft", exclusive("azure", "'*'")) + unscoped("b", "Microsoft", "{macc: {amount: 1B}}") +
			unscoped("c", "microsoft", "{commitment: {period: total, amount: 1B}}"), "", "", ""},
		{"a plan elsewhere", unscoped("a", "Microsoft", exclusive("azure", "'*'")) + unscoped("b", "Amazon", "{savings_plan: {type: compute, hourly: 1, discount: 10%}}"),
			"the savings plan obliges to pay aws", "2026-01-01", "2027-01-01"},
		{"all work and a cap", unscoped("a", "Microsoft", exclusive("azure", "'*'")) + unscoped("b", "board", "{concentration_cap: {of: provider, share: 60%}}"),
			"the cap allows at most 60% on one provider", "2026-01-01", "2027-01-01"},
		{"a class and a cap", unscoped("a", "Microsoft", exclusive("azure", "api")) + unscoped("b", "board", "{concentration_cap: {of: provider, share: 60%}}"), "", "", ""},
		{"covenant on a chip above a cap on its maker", unscoped("a", "Amazon", "{chip_covenant: {chips: [Trainium2], share: 40%}}") +
			unscoped("b", "board", "{concentration_cap: {of: chipmaker, name: aws, share: 30%}}"), "at least 40% of the work on aws", "2026-01-01", "2027-01-01"},
		{"three covenants above all", covenant("a", "amd", "2026-01-01", "40%") + covenant("b", "aws", "2026-06-01", "40%") + covenant("c", "nvidia", "2026-09-01", "30%"),
			"40% and 30% and 40% of the work", "2026-09-01", "2028-01-01"},
		{"covenants of one chipmaker and its chip", covenant("a", "aws", "2026-01-01", "60%") + unscoped("b", "acme", "{chip_covenant: {chips: [Trainium2], share: 60%}}"), "", "", ""},
		{"two exclusivities", one("a", "azure", "2026-01-01", "2028-01-01", exclusive("azure", "api")) + one("b", "aws", "2027-01-01", "2030-01-01", exclusive("aws", "api, batch")),
			"azure and aws both hold api exclusively", "2027-01-01", "2028-01-01"},
		{"exclusivity against a floor", one("a", "azure", "2026-01-01", "2028-01-01", exclusive("azure", "'*'")) + one("b", "aws", "2026-06-01", "2027-06-01", "{commitment: {period: total, amount: 1B}}"),
			"the commitment obliges to pay aws", "2026-06-01", "2027-06-01"},
		{"a floor of another class", one("a", "azure", "2026-01-01", "2028-01-01", exclusive("azure", "api")) + one("b", "aws", "2026-06-01", "2027-06-01", "{commitment: {period: total, amount: 1B}}"), "", "", ""},
		{"the holder's own floor", one("a", "azure", "2026-01-01", "2028-01-01", exclusive("azure", "'*'")) + one("b", "azure", "2026-06-01", "2027-06-01", "{macc: {amount: 1B}}"), "", "", ""},
		{"one after the other", one("a", "azure", "2026-01-01", "2027-01-01", exclusive("azure", "api")) + one("b", "aws", "2027-01-01", "2028-01-01", exclusive("aws", "api")), "", "", ""},
		{"covenant above a cap", one("a", "aws", "2026-01-01", "2028-01-01", "{chip_covenant: {chipmakers: [aws], share: 30%}}") + one("b", "aws", "2026-01-01", "2027-01-01", "{concentration_cap: {of: chipmaker, name: aws, share: 25%}}"),
			"at least 30% of the work on aws, the cap allows at most 25%", "2026-01-01", "2027-01-01"},
		{"covenants above all", one("a", "aws", "2026-01-01", "2028-01-01", "{chip_covenant: {chips: [Trainium2], share: 60%}}") + one("b", "gcp", "2026-01-01", "2027-01-01", "{chip_covenant: {chips: [TPU-v5e], share: 50%}}"),
			"more than all of it", "2026-01-01", "2027-01-01"},
		{"ramp past the end", one("a", "aws", "2026-01-01", "2027-01-01", "{ramp: {price: 2, schedule: [{from: 2026-01-01, quantity: 1}, {from: 2027-06-01, quantity: 9}]}}"),
			"the ramp reaches 9 on 2027-06-01, past the end", "2027-01-01", "2027-06-01"},
		{"first refusal", one("a", "azure", "2026-01-01", "2028-01-01", "{right_of_first_refusal: {holder: azure, window: 30d}}") +
			strings.Replace(one("b", "oracle", "2026-03-10", "2027-01-01", "{monthly_minimum: {amount: 1}}"), "counterparty", "offered: 2026-02-15\ncounterparty", 1),
			"it may start on 2026-03-17 at the earliest", "2026-03-10", "2026-03-17"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := Conflicts(parse(t, c.text), makerOf)
			if c.want == "" {
				if len(found) != 0 {
					t.Fatalf("found %v", found)
				}
				return
			}
			if len(found) != 1 || !strings.Contains(found[0].Reason, c.want) {
				t.Fatalf("found %v, want %q", found, c.want)
			}
			if from, to := found[0].From.Format(time.DateOnly), found[0].To.Format(time.DateOnly); from != c.from || to != c.to {
				t.Errorf("from %s to %s, want %s to %s", from, to, c.from, c.to)
			}
		})
	}
}

// 160 million shares at 0.01 are worth 95,998,400,000 at 600 once all vested.
func TestWarrant(t *testing.T) {
	w := parse(t, header+`  - warrant:
      shares: 160M
      strike: 0.01
      tranches: [{shares: 40M, gigawatts: 1}, {shares: 120M, gigawatts: 6, price: 600}]
      observations: [{at: 2026-10-01, gigawatts: 1, price: 300}, {at: 2028-01-01, gigawatts: 6, price: 600}]
`)[0].Clauses[0].Warrant
	for _, c := range []struct{ at, shares, value string }{
		{"2026-09-30", "0", "0.00"},
		{"2026-10-01", "40000000", "11999600000.00"},
		{"2028-01-01", "160000000", "95998400000.00"},
	} {
		at, err := ParseInstant(c.at)
		if err != nil {
			t.Fatal(err)
		}
		shares, value := w.Vested(at)
		if shares.FloatString(0) != c.shares || value.FloatString(2) != c.value {
			t.Errorf("%s: %s shares worth %s, want %s worth %s", c.at, shares.FloatString(0), value.FloatString(2), c.shares, c.value)
		}
	}
}

func TestScope(t *testing.T) {
	outer := Scope{Providers: []string{"aws"}, InstanceTypes: []string{"p5*"}}
	narrow := outer.Narrow(Scope{Regions: []string{"us-east-?"}})
	for _, c := range []struct {
		of   Subject
		want bool
	}{
		{Subject{Provider: "AWS", InstanceType: "p5.48xlarge", Region: "us-east-1"}, true},
		{Subject{Provider: "aws", InstanceType: "p5.48xlarge", Region: "us-west-2"}, false},
		{Subject{Provider: "aws", InstanceType: "p4d.24xlarge", Region: "us-east-1"}, false},
		{Subject{Provider: "azure", InstanceType: "p5.48xlarge", Region: "us-east-1"}, false},
	} {
		if got := narrow.Admits(c.of); got != c.want {
			t.Errorf("%+v: %v", c.of, got)
		}
	}
	if !outer.Overlaps(Scope{InstanceTypes: []string{"p5en.48xlarge"}}) || outer.Overlaps(Scope{InstanceTypes: []string{"p4*"}}) {
		t.Error("overlap of wildcard names")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(header + "  - {savings_plan: {type: compute, hourly: 50, discount: 27%}}\n"))
	f.Add([]byte(header + "  - {ramp: {price: 2, schedule: [{from: 2026-01-01, quantity: 1}]}}\n"))
	f.Add([]byte(header + "  - {reserved_instances: {instance_type: m5.large, count: 1e30, upfront: 9T, sizes: {m5.large: 1}}}\n"))
	f.Add([]byte("kind: Contract\nname: [\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		contracts, err := Parse("f.yaml", data)
		if err == nil {
			Conflicts(contracts, nil)
		}
	})
}

// What a name holds is printed: an escape in one would reach the terminal.
func TestNamesArePrintable(t *testing.T) {
	const valid = "kind: Contract\nname: c\ncounterparty: A\nterm: {from: 2026-06-01, to: 2026-07-01}\nclauses:\n  - {name: d, discount: {percent: 5%}}\n"
	for change, field := range map[string]string{
		"name: c|name: \"c\\e[31m\"": "name", "name: d|name: \"d\\x07\"": "clauses[0].name", "counterparty: A|counterparty: \"A\\e[2J\"": "counterparty",
	} {
		from, to, _ := strings.Cut(change, "|")
		_, err := Parse("c.yaml", []byte(strings.Replace(valid, from, to, 1)))
		if err == nil || !strings.Contains(err.Error(), ": "+field+": found ") || strings.ContainsAny(err.Error(), "\x1b\x07") {
			t.Errorf("%s: %v", change, err)
		}
	}
	if _, err := Parse("c.yaml", []byte(valid)); err != nil {
		t.Error(err)
	}
}
