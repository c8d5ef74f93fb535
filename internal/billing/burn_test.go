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
		spends = append(spends, Spend{At: at, Provider: "aws", Chipmaker: "nvidia", Micros: 60_000_000},
			Spend{At: at, Provider: "azure", Chipmaker: "nvidia", Micros: 30_000_000}, Spend{At: at, Provider: "aws", Chipmaker: "aws", Micros: 10_000_000})
	}
	spends[0].Micros = 1_000_000_000 // too long ago to count for the run-rate
	b := BurnOf(spends, time.Time{}, 1_000_000_000, []Inflow{{At: epochStart.AddDate(0, 0, 45), Amount: units.Amount{Micros: 500_000_000}}, {At: epochStart.AddDate(1, 0, 0), Amount: units.Amount{Micros: 1}}})
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
	if idle := BurnOf(nil, time.Time{}, 1, nil); idle.Runway != -1 || len(idle.Days) != 0 {
		t.Errorf("nothing spent: %+v", idle)
	}
}

// A day that is not over counts for the run-rate as far as it is known.
func TestRunRateOfADayThatIsNotOver(t *testing.T) {
	const hourly = 5_200_000_000 // micros
	at := func(clock time.Duration) time.Time { return epochStart.AddDate(0, 0, 40).Add(clock) }
	for name, c := range map[string]struct {
		hours int // booked up to the last full one of now
		more  []Spend
		now   time.Time
		want  string
	}{
		"seven hours of the first day": {7, nil, at(7*time.Hour + 12*time.Minute), "124800.00"},
		"the first minutes":            {1, nil, at(5 * time.Minute), "124800.00"},
		"use up to now":                {7, []Spend{{At: at(7 * time.Hour), To: at(7*time.Hour + 12*time.Minute), Micros: hourly / 5}}, at(7*time.Hour + 12*time.Minute), "124800.00"},
		"paid ahead":                   {7, []Spend{{At: at(0), To: at(720 * time.Hour)}}, at(7*time.Hour + 12*time.Minute), "124800.00"},
		"a day and a half":             {36, nil, at(36 * time.Hour), "124800.00"},
		"forty days and an hour":       {40*24 + 1, nil, at((40*24 + 1) * time.Hour), "124800.00"},
		"the day after":                {12, nil, at(30 * time.Hour), "62400.00"},
		"of a bill, whole days":        {12, nil, time.Time{}, "62400.00"},
	} {
		spends := c.more
		for hour := range c.hours {
			begin := at(time.Duration(hour) * time.Hour)
			spends = append(spends, Spend{At: begin, To: begin.Add(time.Hour), Micros: hourly})
		}
		if got := BurnOf(spends, c.now, 0, nil).PerDay.FloatString(2); got != c.want {
			t.Errorf("%s: %s a day, want %s", name, got, c.want)
		}
	}
}
