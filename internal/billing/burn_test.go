package billing

import (
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/units"
)

func TestBurn(t *testing.T) {
	var spends []Spend
	for day := range 40 {
		at := epochStart.AddDate(0, 0, day).Add(13 * time.Hour)
		spends = append(spends, Spend{at, "aws", "nvidia", 60_000_000}, Spend{at, "azure", "nvidia", 30_000_000}, Spend{at, "aws", "aws", 10_000_000})
	}
	spends[0].Micros = 1_000_000_000 // too long ago to count for the run-rate
	b := BurnOf(spends, 1_000_000_000, []Inflow{{At: epochStart.AddDate(0, 0, 45), Amount: units.Amount{Micros: 500_000_000}}, {At: epochStart.AddDate(1, 0, 0), Amount: units.Amount{Micros: 1}}})
	if len(b.Days) != 40 || len(b.Months) != 2 || b.PerDay.FloatString(2) != "100.00" {
		t.Errorf("%d days, %d months, %s a day", len(b.Days), len(b.Months), b.PerDay.FloatString(2))
	}
	// 1,000 and, from day 45 on, 500 more, at 100 a day: 15 days after day 40.
	if b.Runway != 15 || !b.Dry.Equal(epochStart.AddDate(0, 0, 55)) {
		t.Errorf("runway %d days, dry on %s", b.Runway, b.Dry)
	}
	if b.Providers[0].Name != "aws" || b.Providers[0].Micros != 3_740_000_000 || b.ProviderHHI.FloatString(0) != "6322" {
		t.Errorf("largest %+v, HHI %s", b.Providers[0], b.ProviderHHI.FloatString(0))
	}
	if idle := BurnOf(nil, 1, nil); idle.Runway != -1 || len(idle.Days) != 0 {
		t.Errorf("nothing spent: %+v", idle)
	}
}
