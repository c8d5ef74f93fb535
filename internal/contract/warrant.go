package contract

import (
	"fmt"
	"math/big"
	"time"
)

// Vested returns the shares that vested by what was last observed at a time,
// and their intrinsic value: what they are worth less what they cost.
func (w *Warrant) Vested(at time.Time) (shares, value *big.Rat) {
	shares, value = new(big.Rat), new(big.Rat)
	seen := w.observed(at)
	if seen == nil {
		return shares, value
	}
	for _, tranche := range w.Tranches {
		if !w.met(tranche, at) {
			continue
		}
		shares.Add(shares, tranche.Shares.Exact())
	}
	gain := new(big.Rat).Sub(seen.Price.Exact(), w.Strike.Exact())
	if gain.Sign() > 0 {
		value.Mul(shares, gain)
	}
	return shares, value
}

// met reports whether a tranche vested: some observation up to then met both
// of its conditions. What vested once stays vested.
func (w *Warrant) met(tranche Tranche, at time.Time) bool {
	for _, seen := range w.Observations {
		if seen.At.After(at) {
			continue
		}
		if seen.Gigawatts.Cmp(tranche.Gigawatts.Decimal) >= 0 && (tranche.Price == nil || seen.Price.Cmp(tranche.Price.Decimal) >= 0) {
			return true
		}
	}
	return false
}

func (w *Warrant) observed(at time.Time) *Observation {
	var last *Observation
	for i := range w.Observations {
		if seen := &w.Observations[i]; !seen.At.After(at) && (last == nil || !seen.At.Before(last.At.Time)) {
			last = seen
		}
	}
	return last
}

// Note says in a sentence what the warrant has come to.
func (w *Warrant) Note(at time.Time) string {
	seen := w.observed(at)
	if seen == nil {
		return fmt.Sprintf("nothing observed by %s: none of %s shares vested", stamp(at), w.Shares)
	}
	shares, value := w.Vested(at)
	return fmt.Sprintf("%s of %s shares vested at %s GW and a price of %s: worth %s over the strike",
		shares.FloatString(0), w.Shares, seen.Gigawatts, seen.Price, value.FloatString(2))
}
