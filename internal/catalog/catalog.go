// Package catalog owns what is for sale: providers, instance types and offers
// with their list prices, and the user's overlays on them.
//
// It refuses contracts (contract, billing) and marginal prices: an offer holds
// a price per hour with its source and date. What an overlay sets is marked by
// its name and keeps the list price beside it; commitments, tiers and anything
// else that depends on other usage are contracts over offers.
package catalog

import (
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Option is how an offer is bought.
type Option string

// The purchase options.
const (
	OnDemand      Option = "on-demand"
	Spot          Option = "spot"
	CapacityBlock Option = "capacity-block"
)

// Values lists the purchase options.
func (Option) Values() []string {
	return []string{string(OnDemand), string(Spot), string(CapacityBlock)}
}

// InstanceType is what a provider sells: chips, host and network.
type InstanceType struct {
	Provider string
	Name     string
	Chip     *chip.Chip
	Chips    int // chips per instance

	VCPUs       int         // 0 where not known
	HostMemory  units.Bytes // 0 where not known
	Network     float64     // bytes/s per instance, one direction, all interfaces; 0 where not known
	NetworkKind string      // "efa", "infiniband", "ethernet", …

	// Domain is the number of chips that share a scale-up network: within the
	// instance, or across instances for UltraServers and NVL72.
	Domain int

	Overlay   string // name of the user's overlay that declared the type, "" for the catalog's own
	Announced bool   // announced by the provider, not yet sold: quoted only on request
	Source    string
	AsOf      string // ISO date of the source
}

// Offer is an instance type in a region under a purchase option at a list price.
type Offer struct {
	Type   *InstanceType
	Region string
	Option Option

	Price     units.Rate // per instance-hour; for spot the middle of the observed range
	PriceLow  units.Rate // spot: lowest observed; zero Rate otherwise
	PriceHigh units.Rate // spot: highest observed; zero Rate otherwise

	List    units.Rate // the catalog's own price where an overlay replaced it; zero Rate otherwise
	Overlay string     // name of the user's overlay that set the price, "" for the catalog's own
	Source  string
	AsOf    string // ISO date
}

// Catalog is an immutable set of chips, instance types and offers: types sorted
// by provider and name, offers by provider, type, region and option.
type Catalog struct {
	Chips  []*chip.Chip
	Types  []*InstanceType
	Offers []Offer

	// Warnings are what the overlays say that may be true but rarely is.
	Warnings spec.Faults

	regions map[string][]string // by provider: regions that have offers or that an overlay declared, sorted
}
