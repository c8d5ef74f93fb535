package focus

import (
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// An entry and its reversal are rows that cancel; booked in a later period, the
// second is a correction without unit prices.
func TestEntriesBecomeRows(t *testing.T) {
	from := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	e := ledger.Entry{
		ID: 1, Category: ledger.Usage, Run: "gpt-1", Attempt: 1, Project: "lab", Pool: "cloud/h100", Provider: "aws", Chipmaker: "nvidia", Chip: "H100",
		From: from, To: from.Add(90 * time.Minute), Nodes: 2, Chips: 16, Rate: units.MustRate("55.04", units.USD), Cost: units.Amount{Micros: 165_120_000, Currency: units.USD},
	}
	row := FromEntry(e, Account{"acc", "Account"})
	if row.PricingQuantity.FloatString(2) != "3.00" || row.BilledCost.Micros != 165_120_000 || row.Provider != "AWS" || row.ResourceID != "cloud/h100" ||
		row.Tags != `{"project":"lab","run":"gpt-1"}` || row.InvoiceID != "acc-2026-03" {
		t.Errorf("row %+v", row)
	}
	for booked, class := range map[time.Time]string{from.Add(time.Hour): "", from.AddDate(0, 1, 0): "Correction"} {
		back := FromEntry(ledger.Reverse(e, booked, "was wrong"), Account{"acc", "Account"})
		if back.BilledCost.Micros != -165_120_000 || back.PricingQuantity.FloatString(2) != "-3.00" || back.ChargeClass != class || (back.ListUnitPrice == nil) != (class != "") {
			t.Errorf("reversal %+v", back)
		}
	}
}
