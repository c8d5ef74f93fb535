package billing

import (
	"math/big"
	"sort"
	"time"

	"github.com/switchyard-ai/switchyard/internal/units"
)

// Spend is money spent in a span, as the ledger or a bill books it.
type Spend struct {
	At                  time.Time
	To                  time.Time // its end; zero where that is not known
	Provider, Chipmaker string
	Micros              int64
}

// Inflow is money that comes in on a day: a tranche, say.
type Inflow struct {
	At     time.Time
	Amount units.Amount
}

// DaySum is what one UTC day, or the month that begins on it, cost.
type DaySum struct {
	Day    time.Time
	Micros int64
}

// Exposure is the share of spend that depends on one name.
type Exposure struct {
	Name   string
	Micros int64
	Share  *big.Rat
}

// Burn is spend over time, and how long the cash lasts at its pace.
type Burn struct {
	Days, Months          []DaySum      // ascending, days without spend included
	PerDay                *big.Rat      // run-rate in units of money: the mean of the last 30 days, as far as they are known
	Known                 time.Duration // of those days
	Providers, Chipmakers []Exposure
	ProviderHHI, ChipHHI  *big.Rat // sums of squared percentages
	Runway                int      // days until the cash reaches its floor; −1: not within ten years
	Dry                   time.Time
}

// runRateDays is the number of days whose mean is the run-rate.
const runRateDays = 30

// BurnOf sums spend up and extends its run-rate over the cash: cash on hand
// above its floor, in units of micro-money, and what comes in later. Now is when
// the spend was read, of which the day that it falls on is not over; zero where
// all days are whole.
func BurnOf(spends []Spend, now time.Time, cash int64, inflows []Inflow) Burn {
	b := Burn{PerDay: new(big.Rat), ProviderHHI: new(big.Rat), ChipHHI: new(big.Rat), Runway: -1}
	if len(spends) == 0 {
		return b
	}
	byDay, byProvider, byMaker := map[int64]int64{}, map[string]int64{}, map[string]int64{}
	first, last := int64(1<<62), int64(-1<<62)
	for _, s := range spends {
		day := s.At.Unix() - mod(s.At.Unix(), daySeconds)
		byDay[day] += s.Micros
		byProvider[s.Provider] += s.Micros
		byMaker[s.Chipmaker] += s.Micros
		first, last = min(first, day), max(last, day)
	}
	for day := first; day <= last; day += daySeconds {
		b.Days = append(b.Days, DaySum{unixTime(day), byDay[day]})
		month, _ := monthBounds(unixTime(day))
		if n := len(b.Months); n == 0 || !b.Months[n-1].Day.Equal(month) {
			b.Months = append(b.Months, DaySum{Day: month})
		}
		b.Months[len(b.Months)-1].Micros += byDay[day]
	}
	recent := b.Days[max(0, len(b.Days)-runRateDays):]
	sum := int64(0)
	for _, d := range recent {
		sum += d.Micros
	}
	b.Known = time.Duration(len(recent)-1)*24*time.Hour + knownOf(spends, unixTime(last), now)
	b.PerDay = big.NewRat(sum, microsPerUnit)
	b.PerDay.Mul(b.PerDay, big.NewRat(int64(24*time.Hour), int64(b.Known)))
	b.Providers, b.ProviderHHI = exposures(byProvider)
	b.Chipmakers, b.ChipHHI = exposures(byMaker)
	b.lasts(cash, inflows, last+daySeconds)
	return b
}

// knownOf is how much of the last day is known: up to the latest end of what
// was spent, and at least to the last full hour, since bills are made by the hour.
func knownOf(spends []Spend, day, now time.Time) time.Duration {
	const whole = 24 * time.Hour
	if now.IsZero() || now.Sub(day) >= whole {
		return whole
	}
	until := now.Truncate(time.Hour)
	for _, s := range spends {
		if s.To.After(until) && !s.To.After(now) {
			until = s.To
		}
	}
	return max(time.Hour, until.Sub(day))
}

// lasts walks the days ahead at the run-rate until the cash is gone.
func (b *Burn) lasts(cash int64, inflows []Inflow, from int64) {
	const horizon = 10 * 366
	perDay := numOf(b.PerDay).micros()
	if perDay <= 0 {
		return
	}
	in := map[int64]int64{}
	for _, f := range inflows {
		day := f.At.Unix() - mod(f.At.Unix(), daySeconds)
		if day < from {
			cash += f.Amount.Micros
			continue
		}
		in[day] += f.Amount.Micros
	}
	for n := range horizon {
		day := from + int64(n)*daySeconds
		cash += in[day]
		if cash < perDay {
			b.Runway, b.Dry = n, unixTime(day)
			return
		}
		cash -= perDay
	}
}

func exposures(sums map[string]int64) ([]Exposure, *big.Rat) {
	total := int64(0)
	for _, micros := range sums {
		total += max(micros, 0)
	}
	var all []Exposure
	index := new(big.Rat)
	for name, micros := range sums {
		e := Exposure{name, micros, new(big.Rat)}
		if total > 0 && micros > 0 {
			e.Share = big.NewRat(micros, total)
			percent := new(big.Rat).Mul(e.Share, big.NewRat(100, 1))
			index.Add(index, percent.Mul(percent, percent))
		}
		all = append(all, e)
	}
	sort.Slice(all, func(i, j int) bool {
		if all[i].Micros != all[j].Micros {
			return all[i].Micros > all[j].Micros
		}
		return all[i].Name < all[j].Name
	})
	return all, index
}
