package billing

import (
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
)

// Where clauses stand after a tenth of a year of 3,650 days' commitment.
func TestStatus(t *testing.T) {
	const text = `
kind: Contract
name: c
counterparty: Amazon
term: {from: 2026-01-01, to: 2027-01-01}
scope: {providers: [aws, azure]}
clauses:
  - {name: year, commitment: {period: year, amount: 3650}}
  - {name: cap, concentration_cap: {of: provider, name: aws, share: 50%, per: year}}
  - {name: largest, concentration_cap: {of: chip, share: 50%, measure: chip-hours, per: year}}
  - {name: api, exclusivity: {holder: azure, classes: [api]}}
  - {name: trainium, chip_covenant: {chips: [Trainium2], share: 30%, per: year}}
  - {name: credit, prepayment: {amount: 100, expires: 2026-06-01}}
  - {name: take, take_or_pay: {quantity: 100, price: 2, unit: token}}
`
	until := epochStart.AddDate(0, 0, 73)
	row := func(provider, chip, class string, quantity int64) used {
		return used{Line{Subject: contract.Subject{Provider: provider, Chip: chip, Class: class, Unit: "hour"}, ListRate: "1"}, epochStart, until, Quantity{whole(quantity)}}
	}
	book := booked(t, parsed(t, text), []used{row("aws", "H100", "train", 219), row("azure", "Trainium2", "api", 73), row("aws", "H100", "api", 73)})
	book.Settle(epochStart, until, ignore)
	status := map[string]Status{}
	for _, s := range book.Status() {
		status[s.Clause] = s
	}
	year := status["year"]
	if year.Retired != 365_000_000 || year.Remaining != 3_285_000_000 || year.Shortfall != 1_825_000_000 || len(year.Burn) < 10 {
		t.Errorf("year: %+v", year)
	}
	if got := status["credit"]; got.Credit != 0 || got.Retired != 100_000_000 {
		t.Errorf("credit: %+v", got)
	}
	if got := status["take"]; got.Committed != 200_000_000 || got.Remaining != 200_000_000 || got.NextWhat == "" || !got.Next.Equal(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("take: %+v", got)
	}
	for name, want := range map[string]string{"cap": "0.8", "largest": "0.8", "api": "0.5", "trainium": "0.2"} {
		if got := status[name]; !got.Measured || got.Share.rat().FloatString(4) != want+"000" {
			t.Errorf("%s: share %s, want %s", name, got.Share, want)
		}
	}
}

// What is past of a commitment by the hour is used or lost, never remaining;
// fees that have elapsed do not retire it.
func TestStatusByTheHour(t *testing.T) {
	const text = `
kind: Contract
name: c
counterparty: Amazon
term: {from: 2026-01-01, to: 2027-01-01}
scope: {providers: [aws]}
clauses:
  - {name: block, from: 2026-02-01T11:30:00Z, to: 2026-02-04T11:30:00Z, capacity_block: {instance_type: p5.48xlarge, count: 4, rate: 40, purchased: 2026-01-20}}
  - {name: reserved, from: 2026-01-01, to: 2026-01-11, reserved_instances: {instance_type: m5.large, count: 1, hourly: 0.5, upfront: 120}}
  - {name: plan, scope: {instance_types: [m5.large]}, savings_plan: {type: compute, hourly: 1, discount: 50%}}
  - {name: credit, scope: {regions: [nowhere]}, prepayment: {amount: 100, at: 2026-01-05, expires: 2026-01-15}}
  - {name: least, scope: {regions: [nowhere]}, from: 2026-01-01, to: 2026-02-01, monthly_minimum: {amount: 7}}
`
	day := func(n int) time.Time { return epochStart.AddDate(0, 0, n) }
	large := Line{Subject: contract.Subject{Provider: "aws", InstanceType: "m5.large"}, ListRate: "1"}
	block := Line{Subject: contract.Subject{Provider: "aws", InstanceType: "p5.48xlarge"}, ListRate: "50"}
	at := func(until int) map[string]Status {
		book := booked(t, parsed(t, text), []used{
			{large, day(0), day(1), Quantity{whole(24)}},
			{block, day(32), day(33), Quantity{whole(48)}},
		})
		book.Settle(epochStart, day(until), ignore)
		found := map[string]Status{}
		for _, s := range book.Status() {
			found[s.Clause] = s
		}
		return found
	}
	type figures struct{ committed, retired, lost, remaining int64 }
	for _, c := range []struct {
		until  int
		clause string
		want   figures
	}{
		{4, "block", figures{11_520, 0, 0, 11_520}},
		{33, "block", figures{11_520, 1_920, 4*40*12.5 + 1_920, 5_680}},
		{40, "block", figures{11_520, 1_920, 9_600, 0}},
		{4, "reserved", figures{240, 24, 72, 144}},
		{40, "reserved", figures{240, 24, 216, 0}},
		{4, "plan", figures{8_760, 0, 96, 8_664}},
		{4, "credit", figures{100, 0, 0, 100}},
		{40, "credit", figures{100, 0, 100, 0}},
		{40, "least", figures{7, 7, 0, 0}},
	} {
		s := at(c.until)[c.clause]
		if got := (figures{s.Committed / 1e6, s.Retired / 1e6, s.Lost / 1e6, s.Remaining / 1e6}); got != c.want {
			t.Errorf("day %d, %s: %+v, want %+v", c.until, c.clause, got, c.want)
		}
	}
}
