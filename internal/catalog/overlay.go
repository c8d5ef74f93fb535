package catalog

import (
	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// KindOverlay is the kind of an overlay document.
const KindOverlay = "CatalogOverlay"

// Overlay is a user's file of own prices, discounts, instance types and
// regions, laid over the embedded catalog by Load.
type Overlay struct {
	File string // for messages
	Data []byte // one or more YAML documents of kind CatalogOverlay
}

// OverlayFile is the form of an overlay document.
type OverlayFile struct {
	Kind     string         `json:"kind" jsonschema:"required"`
	Name     string         `json:"name" jsonschema:"required" jsonschema_description:"Shown beside each price that the overlay sets."`
	AsOf     string         `json:"as_of" jsonschema:"required" jsonschema_description:"Date of the prices, as 2026-09-01."`
	Source   string         `json:"source,omitempty" jsonschema_description:"Where the prices are from."`
	Currency units.Currency `json:"currency,omitempty" jsonschema_description:"ISO 4217 code; USD if absent."`

	Regions   []RegionSpec   `json:"regions,omitempty" jsonschema_description:"Regions that the catalog does not know yet."`
	Types     []TypeSpec     `json:"instance_types,omitempty" jsonschema_description:"Instance types that the catalog does not have, such as your own machines."`
	Offers    []OfferSpec    `json:"offers,omitempty" jsonschema_description:"Prices of your own; they replace the catalog's."`
	Discounts []DiscountSpec `json:"discounts,omitempty" jsonschema_description:"Discounts on the catalog's prices; the last that selects an offer counts."`
}

// RegionSpec declares a region.
type RegionSpec struct {
	Provider string `json:"provider" jsonschema:"required"`
	Name     string `json:"name" jsonschema:"required"`
}

// TypeSpec declares an instance type.
type TypeSpec struct {
	Provider    string      `json:"provider" jsonschema:"required"`
	Name        string      `json:"name" jsonschema:"required"`
	Chip        string      `json:"chip" jsonschema:"required"`
	Chips       int         `json:"chips" jsonschema:"required" jsonschema_description:"Chips per instance."`
	ChipMemory  units.Bytes `json:"chip_memory,omitempty" jsonschema_description:"Memory of one chip, to be checked against the chip's."`
	VCPUs       int         `json:"vcpus,omitempty"`
	Memory      units.Bytes `json:"memory,omitempty" jsonschema_description:"Memory of the host, such as 2TiB."`
	Network     float64     `json:"network_gbit_per_s,omitempty" jsonschema_description:"Gb/s per instance, one direction, all interfaces."`
	NetworkKind string      `json:"network_kind,omitempty"`
	Domain      int         `json:"domain_chips,omitempty" jsonschema_description:"Chips that share a scale-up network; the instance's if absent."`
}

// OfferSpec sets a price. A spot offer may give a range instead of a price.
type OfferSpec struct {
	Provider  string  `json:"provider" jsonschema:"required"`
	Type      string  `json:"instance_type" jsonschema:"required"`
	Region    string  `json:"region" jsonschema:"required"`
	Option    Option  `json:"option" jsonschema:"required"`
	Price     *Number `json:"price,omitempty" jsonschema_description:"Per instance-hour. What is not sold has no offer, never a price of 0."`
	PriceLow  *Number `json:"price_low,omitempty" jsonschema_description:"Spot: lowest observed."`
	PriceHigh *Number `json:"price_high,omitempty" jsonschema_description:"Spot: highest observed."`
	AsOf      string  `json:"as_of,omitempty"`
	Source    string  `json:"source,omitempty"`
}

// DiscountSpec changes the price of the offers that it selects. Empty
// selectors select all.
type DiscountSpec struct {
	Provider   string  `json:"provider,omitempty"`
	Region     string  `json:"region,omitempty" jsonschema_description:"A glob such as us-*."`
	Chip       string  `json:"chip,omitempty"`
	Type       string  `json:"instance_type,omitempty" jsonschema_description:"A glob such as p5*."`
	Option     Option  `json:"option,omitempty"`
	PercentOff *Number `json:"percent_off,omitempty"`
	Price      *Number `json:"price,omitempty" jsonschema_description:"A fixed price per instance-hour."`
}

// Number is an exact decimal of a file: money never passes through a float.
type Number struct {
	decimal decimal.Decimal
	valid   bool // the text was a number
}

// UnmarshalText reads a plain decimal such as "35.7608".
func (n *Number) UnmarshalText(text []byte) error {
	const longest = 40
	rate, err := units.ParseRate(string(text), units.USD)
	if err != nil || len(text) > longest {
		return fault.Newf(fault.Invalid, "found %q; a decimal number is needed, without currency or unit", clip(string(text)))
	}
	n.decimal, err = decimal.NewFromString(rate.Decimal())
	n.valid = err == nil
	return err
}

// readable reports whether the number is absent or was a number.
func (n *Number) readable() bool { return n == nil || n.valid }

// MarshalText writes the exact decimal.
func (n Number) MarshalText() ([]byte, error) { return []byte(n.decimal.String()), nil }

func (n Number) rate(currency units.Currency) units.Rate {
	return units.MustRate(n.decimal.String(), currency)
}

// clip bounds what of a user's text is quoted back.
func clip(text string) string {
	const limit = 60
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return text
}
