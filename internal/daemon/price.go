package daemon

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// owned is the provider of nodes that nobody rents out.
const owned = "owned"

// pricer sets the rate of pools. This machine's is the user's own, or an
// imputed one, flagged, at what a like instance rents for. Elsewhere it is that
// of the site's file, or else the catalog's; where neither has one the pool is
// flagged and nothing is guessed.
func pricer(own *units.Rate, offers *catalog.Catalog) func(fleet.Pool, *site.Site) fleet.Pool {
	like := likeIn(offers)
	return func(pool fleet.Pool, file *site.Site) fleet.Pool {
		switch {
		case file != nil:
			return priceElsewhere(pool, file, offers)
		case own != nil:
			pool.Rate, pool.Imputed, pool.RateSource = *own, false, "set by the user (local_rate)"
		default:
			pool.Imputed = true
			pool.Rate, pool.RateSource = like(pool)
		}
		return pool
	}
}

func priceElsewhere(pool fleet.Pool, file *site.Site, offers *catalog.Catalog) fleet.Pool {
	pool = complete(pool, offers)
	pool.Imputed, pool.Unpriced = false, false
	if declared := file.Pool(pool.Name); declared != nil && declared.Rate != nil {
		pool.Rate, pool.RateSource = declared.Rate.Rate, "the site's file"
		return pool
	}
	offer, why := offerOf(pool, offers)
	if offer == nil {
		pool.Rate, pool.Unpriced = units.MustRate("0", units.USD), true
		pool.RateSource = why + "; give the pool a rate in the site's file"
		return pool
	}
	pool.Rate, pool.RateSource = offer.Price, sourceOf(*offer)
	return pool
}

// complete adds to a pool what its engine could not tell and its instance type
// does.
func complete(pool fleet.Pool, offers *catalog.Catalog) fleet.Pool {
	if pool.Provider == "" {
		pool.Provider = owned
	}
	if pool.Option == "" && pool.Provider != owned {
		pool.Option = string(catalog.OnDemand)
	}
	if kind, err := offers.Type(pool.Provider, pool.InstanceType); err == nil && pool.Chip == "" && pool.Family != string(chip.CPU) {
		pool.Chip, pool.ChipsPerNode, pool.Family = kind.Chip.ID, kind.Chips, string(kind.Chip.Family)
	}
	if pool.Family == "" || pool.Chip == "" {
		pool.Family, pool.Chip = string(chip.CPU), "cpu"
	}
	pool.ChipsPerNode = max(1, pool.ChipsPerNode)
	return pool
}

// offerOf finds the offer that a pool's nodes are bought under, or says why
// there is none.
func offerOf(pool fleet.Pool, offers *catalog.Catalog) (*catalog.Offer, string) {
	switch {
	case pool.Provider == owned:
		return nil, "no price is known: its nodes are owned"
	case pool.InstanceType == "":
		return nil, "no price is known: its instance type is not"
	}
	kind, err := offers.Type(pool.Provider, pool.InstanceType)
	if err != nil {
		return nil, "no price is known: " + err.Error()
	}
	for _, offer := range offers.OffersOf(kind) {
		if strings.EqualFold(offer.Region, pool.Region) && string(offer.Option) == pool.Option {
			return &offer, ""
		}
	}
	where := pool.Region
	if where == "" {
		where = "a region that is not known"
	}
	return nil, fmt.Sprintf("no price is known: the catalog has no %s offer of %s in %s", pool.Option, kind.Name, where)
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

func sourceOf(offer catalog.Offer) string {
	return fmt.Sprintf("%s %s in %s, %s, %s", offer.Type.Provider, offer.Type.Name, offer.Region, offer.Option, offer.AsOf)
}

// share is the price of part of an offer's instance, and where it is from.
func share(offer catalog.Offer, held, all int, unit string) (units.Rate, string) {
	source := sourceOf(offer)
	if held == all {
		return offer.Price, source
	}
	part := new(big.Rat).Mul(offer.Price.Rat(), big.NewRat(int64(held), int64(all)))
	return units.RateOfRat(part, offer.Price.Currency), fmt.Sprintf("%d of %d %s of %s", held, all, unit, source)
}
