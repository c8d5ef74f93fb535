package daemon

import (
	"fmt"
	"math/big"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/chip"
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

// likeIn prices a machine by the cheapest like offer of the catalog: the same
// chips, or for a machine without accelerators the same number of cores, each
// taken as one vCPU.
func likeIn(c *catalog.Catalog) func(fleet.Pool) (units.Rate, string) {
	return func(pool fleet.Pool) (units.Rate, string) {
		if pool.Family == string(chip.CPU) {
			if offer, err := c.LikeHost(pool.Cores, 0); err == nil {
				return share(offer, pool.Cores, offer.Type.VCPUs, "vCPUs")
			}
		} else if found, err := chip.Find(pool.Chip); err == nil {
			if offer := cheapestPerChip(c, found); offer != nil {
				return share(*offer, pool.ChipsPerNode, offer.Type.Chips, "chips")
			}
		}
		return units.MustRate("0", units.USD), "nothing in the catalog is like it; set local_rate"
	}
}

func cheapestPerChip(c *catalog.Catalog, want *chip.Chip) *catalog.Offer {
	var best *catalog.Offer
	for _, offer := range c.Select(catalog.Filter{Chip: want, Option: catalog.OnDemand}) {
		if offer.Price.Currency == units.USD && (best == nil || offer.PerChip().Cmp(best.PerChip()) < 0) {
			best = &offer
		}
	}
	return best
}

// share is the price of part of an offer's instance, and where it is from.
func share(offer catalog.Offer, held, all int, unit string) (units.Rate, string) {
	source := fmt.Sprintf("%s %s in %s, %s, %s", offer.Type.Provider, offer.Type.Name, offer.Region, offer.Option, offer.AsOf)
	if held == all {
		return offer.Price, source
	}
	part := new(big.Rat).Mul(offer.Price.Rat(), big.NewRat(int64(held), int64(all)))
	return units.RateOfRat(part, offer.Price.Currency), fmt.Sprintf("%d of %d %s of %s", held, all, unit, source)
}
