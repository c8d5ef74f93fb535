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
