package catalog

import (
	"path"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// typeKey identifies an instance type without regard to case and to the
// "Standard_" that Azure's own names begin with.
type typeKey struct{ provider, name string }

func keyOf(provider, name string) typeKey {
	name = strings.TrimPrefix(strings.ToLower(name), "standard_")
	return typeKey{strings.ToLower(provider), name}
}

func (t *InstanceType) key() typeKey { return keyOf(t.Provider, t.Name) }

// offerKey identifies an offer.
type offerKey struct {
	typeKey
	region string
	option Option
}

func (o Offer) key() offerKey { return offerKey{o.Type.key(), o.Region, o.Option} }

// Type returns the instance type of that name, without regard to case and to
// Azure's "Standard_". An unknown one is fault.NotFound and says what is near.
func (c *Catalog) Type(provider, name string) (*InstanceType, error) {
	key := keyOf(provider, name)
	for _, t := range c.Types {
		if t.key() == key {
			return t, nil
		}
	}
	names := c.TypeNames(key.provider)
	if len(names) == 0 {
		return nil, fault.Newf(fault.NotFound, "unknown provider %q%s", provider, spec.DidYouMean(provider, c.Providers()))
	}
	return nil, fault.Newf(fault.NotFound, "unknown instance type %q of %s%s", name, key.provider, spec.DidYouMean(name, names))
}

// OffersOf returns the offers of the type, by region and option.
func (c *Catalog) OffersOf(t *InstanceType) []Offer {
	var offers []Offer
	for _, o := range c.Offers {
		if o.Type == t {
			offers = append(offers, o)
		}
	}
	return offers
}

// Providers lists the providers that have instance types, sorted.
func (c *Catalog) Providers() []string {
	var providers []string
	for _, t := range c.Types {
		if len(providers) == 0 || providers[len(providers)-1] != t.Provider {
			providers = append(providers, t.Provider)
		}
	}
	return providers
}

// Regions lists the provider's regions, sorted; it is empty for an unknown provider.
func (c *Catalog) Regions(provider string) []string {
	return append([]string(nil), c.regions[strings.ToLower(provider)]...)
}

// TypeNames lists the provider's instance types, sorted.
func (c *Catalog) TypeNames(provider string) []string {
	var names []string
	for _, t := range c.Types {
		if strings.EqualFold(t.Provider, provider) {
			names = append(names, t.Name)
		}
	}
	return names
}

// Filter selects offers. Empty fields match everything; Region and Type are
// globs as in "us-*", matched without regard to case.
type Filter struct {
	Provider string
	Region   string
	Type     string
	Chip     *chip.Chip
	Option   Option
	MinChips int
}

// Matches reports whether the filter selects the offer.
func (f Filter) Matches(o Offer) bool {
	switch {
	case f.Provider != "" && !strings.EqualFold(f.Provider, o.Type.Provider),
		f.Chip != nil && f.Chip != o.Type.Chip,
		f.Option != "" && f.Option != o.Option,
		o.Type.Chips < f.MinChips:
		return false
	}
	return matches(f.Region, o.Region) && matches(f.Type, o.Type.Name)
}

// matches reports whether the glob, empty for any, matches the name.
func matches(glob, name string) bool {
	if glob == "" {
		return true
	}
	ok, err := path.Match(strings.ToLower(glob), strings.ToLower(name))
	return ok && err == nil
}

// Select returns the offers that the filter selects, in the catalog's order.
func (c *Catalog) Select(f Filter) []Offer {
	var offers []Offer
	for _, o := range c.Offers {
		if f.Matches(o) {
			offers = append(offers, o)
		}
	}
	return offers
}

// LikeHost returns the cheapest on-demand offer in US dollars without
// accelerators that has at least the processors and the memory: what the work
// of such a machine would cost to rent. For a machine larger than any offer it
// is fault.NotFound.
func (c *Catalog) LikeHost(vcpus int, memory units.Bytes) (Offer, error) {
	var best Offer
	for _, o := range c.Offers {
		t := o.Type
		rentable := t.Chip.Family == chip.CPU && o.Option == OnDemand && o.Price.Currency == units.USD
		if !rentable || t.VCPUs < vcpus || t.HostMemory < memory {
			continue
		}
		if best.Type == nil || o.Price.Cmp(best.Price) < 0 {
			best = o
		}
	}
	if best.Type == nil {
		return Offer{}, fault.Newf(fault.NotFound, "no offer has %d vCPUs and %d bytes of memory without accelerators", vcpus, memory)
	}
	return best, nil
}
