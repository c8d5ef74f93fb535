package budget

import (
	"fmt"
	"math/big"
	"time"

	"github.com/switchyard-ai/switchyard/internal/units"
)

// Standing is where a budget stands at an instant.
type Standing struct {
	Budget   *Budget
	Now      time.Time
	From, To time.Time      // the period; zero for Total
	Spent    units.Amount   // in the period, up to now
	Day      units.Amount   // in the 24 hours up to now
	Other    []units.Amount // spent in the period in other currencies, which are not compared
}

// Share is the spent part of the amount.
func (s Standing) Share() *big.Rat { return new(big.Rat).Quo(s.Spent.Rat(), s.Budget.Amount.Rat()) }

// Reached is the highest threshold that is reached, or nil.
func (s Standing) Reached() *Threshold {
	var reached *Threshold
	for i := range s.Budget.Thresholds { // ascending: see validate
		if t := &s.Budget.Thresholds[i]; s.Share().Cmp(t.At.Rat()) >= 0 {
			reached = t
		}
	}
	return reached
}

// Next is the lowest threshold that is not reached, or nil.
func (s Standing) Next() *Threshold {
	for i := range s.Budget.Thresholds {
		if t := &s.Budget.Thresholds[i]; s.Share().Cmp(t.At.Rat()) < 0 {
			return t
		}
	}
	return nil
}

// Does is what the budget does now: the action of the highest threshold that
// is reached, "" for none.
func (s Standing) Does() Action {
	if reached := s.Reached(); reached != nil {
		return reached.Do
	}
	return ""
}

// Forecast is what will be spent at the period's end at the pace of the last
// 24 hours; false for Total, which has no end.
func (s Standing) Forecast() (units.Amount, bool) {
	if s.To.IsZero() {
		return units.Amount{}, false
	}
	days := big.NewRat(int64(s.To.Sub(s.Now)/time.Second), int64(24*time.Hour/time.Second))
	sum := new(big.Rat).Mul(s.Day.Rat(), days)
	return units.AmountOfRat(sum.Add(sum, s.Spent.Rat()), s.Budget.Amount.Currency), true
}

// String says where the budget stands and what it does, for people.
func (s Standing) String() string {
	text := fmt.Sprintf("budget %s: %s of %s spent %s", s.Budget.Name, s.Spent.Short(), s.Budget.Amount.Short(), s.Budget.Period.phrase())
	reached := s.Reached()
	if reached == nil {
		return text
	}
	verb := map[Action]string{Warn: "warns", Hold: "holds new runs", Drain: "drains and holds runs"}[reached.Do]
	return fmt.Sprintf("%s; %s at %s", text, verb, reached.At.String()) // not the decimal's own format
}
