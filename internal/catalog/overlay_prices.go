package catalog

import (
	"fmt"
	"math/big"
	"path"
	"slices"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// bound is the range of a chip's prices per chip-hour in the base catalog, in US dollars.
type bound struct{ low, high float64 }

const (
	tooDear  = 5   // times the dearest list price of the chip: refused, for no provider asks that
	tooCheap = 20  // times below the cheapest, spot included: flagged, for an owner may count so
	dearest  = 100 // US dollars per chip-hour where the catalog has no price of the chip: refused beyond
)

// Prices outside these are refused in any currency: below nothing can be
// booked, above sums would leave the range of an amount.
const (
	leastPrice = "0.000001"
	mostPrice  = "100000000"
)

// placeholders are figures that catalogs hold instead of prices.
func placeholders() []float64 { return []float64{700, 777, 999, 9999, 99999, 999999, 1000000} }

func priceBounds(c *Catalog) map[string]bound {
	bounds := map[string]bound{}
	for _, o := range c.Offers {
		if o.Type.Chip.Family == chip.CPU || o.Price.Currency != units.USD {
			continue
		}
		price := o.PerChip().Float64()
		b, seen := bounds[o.Type.Chip.ID]
		if !seen {
			b = bound{price, price}
		}
		bounds[o.Type.Chip.ID] = bound{min(b.low, price), max(b.high, price)}
	}
	return bounds
}

// offer sets the price of one offer.
func (l *layer) offer(i int) {
	o, field := l.file.Offers[i], fmt.Sprintf("offers[%d]", i)
	t := l.typeOf(field, o)
	l.sold(field, o)
	if o.AsOf == "" {
		o.AsOf = l.file.AsOf
	} else {
		l.date(field+".as_of", o.AsOf)
	}
	if t == nil || o.Region == "" || o.Option == "" {
		return
	}
	offer := Offer{Type: t, Region: o.Region, Option: o.Option, Overlay: l.file.Name, Source: l.source(o.Source), AsOf: o.AsOf}
	if !l.knowsRegion(field, o) || !l.prices(field, o, &offer) || !l.once(field, offer) {
		return
	}
	if at, exists := l.offers[offer.key()]; exists {
		old := l.catalog.Offers[at]
		offer.List = old.Price
		if !old.List.IsZero() {
			offer.List = old.List
		}
		l.catalog.Offers[at] = offer
		return
	}
	l.offers[offer.key()] = len(l.catalog.Offers)
	l.catalog.Offers = append(l.catalog.Offers, offer)
}

// typeOf finds the instance type that an offer names, or nil.
func (l *layer) typeOf(field string, o OfferSpec) *InstanceType {
	if o.Provider == "" || o.Type == "" || !l.provider(field+".provider", o.Provider, false) {
		return nil
	}
	if t := l.types[keyOf(o.Provider, o.Type)]; t != nil {
		return t
	}
	l.doc.Faultf(field+".instance_type", "unknown instance type %q of %s%s", clip(o.Type), o.Provider,
		spec.DidYouMean(o.Type, l.catalogTypeNames(o.Provider)))
	return nil
}

func (l *layer) catalogTypeNames(provider string) []string {
	names := l.catalog.TypeNames(provider)
	slices.Sort(names)
	return names
}

// sold refuses a price of 0 and less, and offers without one.
func (l *layer) sold(field string, o OfferSpec) {
	named := map[string]*Number{"price": o.Price, "price_low": o.PriceLow, "price_high": o.PriceHigh}
	for _, name := range []string{"price", "price_low", "price_high"} {
		if n := named[name]; n != nil && n.valid && n.decimal.Sign() <= 0 {
			l.doc.Faultf(field+"."+name, "found %s; what is not sold this way has no offer, never a price of 0", n.decimal)
		}
	}
	ranged := o.PriceLow != nil && o.PriceHigh != nil
	switch {
	case (o.Option == OnDemand || o.Option == CapacityBlock) && (o.PriceLow != nil || o.PriceHigh != nil):
		l.doc.Faultf(field, "a range of prices belongs to spot; option is %s", o.Option)
	case o.Option == Spot && (o.PriceLow == nil) != (o.PriceHigh == nil):
		l.doc.Faultf(field, "price_low and price_high belong together")
	case o.Price == nil && !ranged:
		l.doc.Faultf(field, "price is missing; what is not sold has no offer")
	}
}

func (l *layer) knowsRegion(field string, o OfferSpec) bool {
	known, exists := l.catalog.regions[o.Provider]
	if !exists || slices.Contains(known, o.Region) {
		return true // a new provider's regions are what its offers say
	}
	l.doc.Faultf(field+".region", "unknown region %q of %s%s (a new one is declared under regions)", clip(o.Region), o.Provider, spec.DidYouMean(o.Region, known))
	return false
}

// prices fills in the offer's rates and refuses those that cannot be true.
func (l *layer) prices(field string, o OfferSpec, offer *Offer) bool {
	for _, n := range []*Number{o.Price, o.PriceLow, o.PriceHigh} {
		if n != nil && n.decimal.Sign() <= 0 {
			return false // reported by sold or Decode
		}
	}
	currency := l.file.Currency
	switch {
	case o.PriceLow != nil && o.PriceHigh != nil:
		low, high := o.PriceLow.decimal, o.PriceHigh.decimal
		if low.Cmp(high) > 0 {
			l.doc.Faultf(field+".price_low", "found %s; it is above price_high, %s", low, high)
			return false
		}
		offer.PriceLow, offer.PriceHigh = o.PriceLow.rate(currency), o.PriceHigh.rate(currency)
		if o.Price == nil {
			o.Price = &Number{decimal: low.Add(high).Div(decimal.NewFromInt(2)), valid: true}
		}
		if low.Cmp(o.Price.decimal) > 0 || o.Price.decimal.Cmp(high) > 0 {
			l.doc.Faultf(field+".price", "found %s; it lies outside %s to %s", o.Price.decimal, low, high)
			return false
		}
	case o.Price == nil:
		return false // reported by sold
	}
	offer.Price = o.Price.rate(currency)
	if offer.Option == Spot && offer.PriceLow.IsZero() {
		offer.PriceLow, offer.PriceHigh = offer.Price, offer.Price
	}
	return l.plausible(field+".price", *offer)
}

// plausible refuses prices that no provider asks and flags those that are
// usually a mistake. The field is where the price stands.
func (l *layer) plausible(field string, o Offer) bool {
	if o.Price.Cmp(units.MustRate(leastPrice, o.Price.Currency)) < 0 || o.Price.Cmp(units.MustRate(mostPrice, o.Price.Currency)) > 0 {
		l.doc.Faultf(field, "found %s; a price per instance-hour is needed", o.Price.Decimal())
		return false
	}
	if o.Price.Currency != units.USD {
		return true
	}
	perChip, c := o.PerChip().Float64(), o.Type.Chip
	b, listed := l.bounds[c.ID]
	switch {
	case listed && perChip > tooDear*b.high:
		l.doc.Faultf(field, "found %s per instance-hour, %.2f per chip-hour; no list price of %s is above %.2f: is it a placeholder, or for another unit?",
			o.Price.Decimal(), perChip, c.ID, b.high)
		return false
	case !listed && perChip > dearest:
		l.doc.Faultf(field, "found %s per instance-hour, %.2f per chip-hour; is it a placeholder, or for another unit?", o.Price.Decimal(), perChip)
		return false
	case slices.Contains(placeholders(), o.Price.Float64()):
		l.warnf(field, "%s looks like a placeholder", o.Price.Decimal())
	case listed && perChip < b.low/tooCheap:
		l.warnf(field, "%s per instance-hour is %.4f per chip-hour; the cheapest known %s costs %.2f: is it the price of the whole instance?",
			o.Price.Decimal(), perChip, c.ID, b.low)
	}
	return true
}

// once refuses a second price for one offer, in this file or an earlier one.
func (l *layer) once(field string, o Offer) bool {
	if first, twice := l.given[o.key()]; twice {
		l.doc.Faultf(field, "%s %s %s %s is priced twice; first at %s:%d:%d", o.Type.Provider, o.Type.Name, o.Region, o.Option, first.File, first.Line, first.Column)
		return false
	}
	l.given[o.key()] = l.doc.At(field, "")
	return true
}

// spotBelowOnDemand refuses spot prices of this document that are not below
// the on-demand price of the same type and region, and spot ranges above it.
func (l *layer) spotBelowOnDemand() {
	for i, o := range l.file.Offers {
		field := fmt.Sprintf("offers[%d]", i)
		key := offerKey{keyOf(o.Provider, o.Type), o.Region, Spot}
		at, exists := l.offers[key]
		if o.Option == OnDemand {
			l.spotStillBelow(field, key)
		}
		if o.Option != Spot || !exists || l.catalog.Offers[at].Overlay != l.file.Name {
			continue
		}
		spot := l.catalog.Offers[at]
		key.option = OnDemand
		if at, exists = l.offers[key]; !exists {
			continue
		}
		onDemand := l.catalog.Offers[at].Price
		if spot.Price.Currency == onDemand.Currency && (spot.Price.Cmp(onDemand) >= 0 || spot.PriceHigh.Cmp(onDemand) > 0) {
			l.doc.Faultf(field+".price", "found spot at %s; on demand costs %s there, and spot is never as dear", worst(spot), onDemand.Decimal())
		}
	}
}

// spotStillBelow flags an own on-demand price at or below the catalog's spot:
// a good contract makes that true.
func (l *layer) spotStillBelow(field string, spotKey offerKey) {
	at, exists := l.offers[spotKey]
	if !exists || l.catalog.Offers[at].Overlay != "" {
		return
	}
	onDemandKey := spotKey
	onDemandKey.option = OnDemand
	own, exists := l.offers[onDemandKey]
	if !exists || l.catalog.Offers[own].Price.Currency != l.catalog.Offers[at].Price.Currency {
		return
	}
	if spot, price := l.catalog.Offers[at].Price, l.catalog.Offers[own].Price; price.Cmp(spot) <= 0 {
		l.warnf(field+".price", "%s on demand is not above the catalog's spot of %s", price.Decimal(), spot.Decimal())
	}
}

func worst(spot Offer) string {
	if spot.PriceHigh.Cmp(spot.Price) > 0 {
		return spot.Price.Decimal() + " (up to " + spot.PriceHigh.Decimal() + ")"
	}
	return spot.Price.Decimal()
}

// discount changes the price of the offers that it selects, unless an overlay
// priced them itself.
func (l *layer) discount(i int) {
	d, field := l.file.Discounts[i], fmt.Sprintf("discounts[%d]", i)
	filter, ok := l.selector(field, d)
	ok = l.terms(field, d) && ok
	if !ok {
		return
	}
	var selected []int
	sizes := map[int]bool{}
	for at, o := range l.catalog.Offers {
		if _, own := l.given[o.key()]; !own && filter.Matches(o) {
			selected = append(selected, at)
			sizes[o.Type.Chips] = true
		}
	}
	if selected == nil {
		l.doc.Faultf(field, "selects no offer of the catalog")
		return
	}
	if d.Price != nil && len(sizes) > 1 {
		l.doc.Faultf(field+".price", "a fixed price is per instance-hour, but instance types of %d different sizes are selected; narrow instance_type, or use percent_off", len(sizes))
		return
	}
	for _, at := range selected {
		l.reprice(field, at, d)
	}
}

func (l *layer) reprice(field string, at int, d DiscountSpec) {
	// Offers that no overlay priced stand where they stand in the base catalog.
	base := l.base.Offers[at]
	o := base
	o.List = base.Price
	if d.Price != nil {
		o.Price = d.Price.rate(l.file.Currency)
		if !l.plausible(field+".price", o) {
			return
		}
		o.Source = fmt.Sprintf("%s; fixed by overlay %s", base.Source, l.file.Name)
	} else {
		keep := decimal.NewFromInt(100).Sub(d.PercentOff.decimal).Shift(-2)
		o.Price = base.Price.Scale(keep)
		o.Source = fmt.Sprintf("%s; %s%% off by overlay %s", base.Source, d.PercentOff.decimal, l.file.Name)
	}
	if !base.PriceLow.IsZero() {
		factor := new(big.Rat).Quo(o.Price.Rat(), base.Price.Rat())
		o.PriceLow = scaled(base.PriceLow, factor, o.Price.Currency)
		o.PriceHigh = scaled(base.PriceHigh, factor, o.Price.Currency)
	}
	o.Overlay, o.AsOf = l.file.Name, l.file.AsOf
	l.catalog.Offers[at] = o
}

func scaled(r units.Rate, factor *big.Rat, currency units.Currency) units.Rate {
	return units.RateOfRat(new(big.Rat).Mul(r.Rat(), factor), currency)
}

// terms checks that a discount says how much.
func (l *layer) terms(field string, d DiscountSpec) bool {
	switch {
	case (d.PercentOff == nil) == (d.Price == nil):
		l.doc.Faultf(field, "either percent_off or price is needed")
	case !d.PercentOff.readable() || !d.Price.readable():
		// reported by Decode
	case d.Price != nil && d.Price.decimal.Sign() <= 0:
		l.doc.Faultf(field+".price", "found %s; a price above 0 is needed", d.Price.decimal)
	case d.PercentOff != nil && !within(d.PercentOff.decimal, 0, 100):
		l.doc.Faultf(field+".percent_off", "found %s; it lies above 0 and below 100", d.PercentOff.decimal)
	default:
		if d.PercentOff != nil && within(d.PercentOff.decimal, 0, 1) {
			l.warnf(field+".percent_off", "%s%% is less than one percent; percent_off: 20 takes a fifth off", d.PercentOff.decimal)
		}
		return true
	}
	return false
}

func within(d decimal.Decimal, low, high int64) bool {
	return d.Cmp(decimal.NewFromInt(low)) > 0 && d.Cmp(decimal.NewFromInt(high)) < 0
}

// selector turns a discount's fields into a filter of offers.
func (l *layer) selector(field string, d DiscountSpec) (Filter, bool) {
	filter := Filter{Provider: d.Provider, Region: d.Region, Type: d.Type, Option: d.Option}
	ok := d.Provider == "" || l.provider(field+".provider", d.Provider, false)
	if d.Chip != "" {
		c, err := chip.Find(d.Chip)
		if err != nil {
			l.doc.Faultf(field+".chip", "%s", err)
			ok = false
		}
		filter.Chip = c
	}
	globs := map[string]string{".region": d.Region, ".instance_type": d.Type}
	for _, name := range []string{".region", ".instance_type"} {
		if _, err := path.Match(globs[name], ""); err != nil {
			l.doc.Faultf(field+name, "found %q; a name is needed, in which * stands for any letters", clip(globs[name]))
			ok = false
		}
	}
	return filter, ok
}
