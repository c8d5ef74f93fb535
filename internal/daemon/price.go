package daemon

import (
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// pricer sets the rate of this machine's pools: the user's, or an imputed one,
// flagged, at what a like instance rents for.
func pricer(own *units.Rate, like func(fleet.Pool) (units.Rate, string)) func(fleet.Pool) fleet.Pool {
	return func(pool fleet.Pool) fleet.Pool {
		switch {
		case pool.Provider != localSite:
		case own != nil:
			pool.Rate, pool.Imputed, pool.RateSource = *own, false, "set by the user (local_rate)"
		default:
			pool.Imputed = true
			pool.Rate, pool.RateSource = like(pool)
		}
		return pool
	}
}

// unpriced is the rate of a pool that nothing in the catalog is like.
func unpriced(fleet.Pool) (units.Rate, string) {
	return units.MustRate("0", units.USD), "nothing in the catalog is like it; set local_rate"
}
