package catalog

import (
	"embed"
	"fmt"
	"io/fs"
	"sort"
	"sync"

	"github.com/jszwec/csvutil"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// The tables are ours: compiled by hand from the sources that each row names.
//
//go:embed data/*.csv
var tables embed.FS

const (
	gibibyte     = 1 << 30
	bytesPerGbit = 1e9 / 8
)

// typeRow is a row of data/types.csv, in the units of its column names.
type typeRow struct {
	Provider    string  `csv:"provider"`
	Name        string  `csv:"name"`
	Chip        string  `csv:"chip"`
	Chips       int     `csv:"chips"`
	VCPUs       int     `csv:"vcpus,omitempty"`
	Memory      float64 `csv:"memory_gib,omitempty"`
	Network     float64 `csv:"network_gbit_per_s,omitempty"`
	NetworkKind string  `csv:"network_kind"`
	Domain      int     `csv:"domain_chips"`
	Announced   bool    `csv:"announced,omitempty"`
	Source      string  `csv:"source"`
	AsOf        string  `csv:"as_of"`
}

// offerRow is a row of data/offers.csv. What is not sold has no row.
type offerRow struct {
	Provider  string         `csv:"provider"`
	Type      string         `csv:"instance_type"`
	Region    string         `csv:"region"`
	Option    Option         `csv:"option"`
	Price     string         `csv:"price"`
	PriceLow  string         `csv:"price_low"`
	PriceHigh string         `csv:"price_high"`
	Currency  units.Currency `csv:"currency"`
	Source    string         `csv:"source"`
	AsOf      string         `csv:"as_of"`
}

// embedded is parsed once and shared; Load copies what it changes.
var embedded = sync.OnceValue(func() *Catalog {
	c, err := read(tables)
	if err != nil {
		panic("catalog: the embedded tables are broken: " + err.Error())
	}
	return c
})

func read(files fs.FS) (*Catalog, error) {
	var types []typeRow
	var offers []offerRow
	if err := readTable(files, "data/types.csv", &types); err != nil {
		return nil, err
	}
	if err := readTable(files, "data/offers.csv", &offers); err != nil {
		return nil, err
	}
	c := &Catalog{Chips: chip.All()}
	byKey := map[typeKey]*InstanceType{}
	for _, row := range types {
		t, err := row.instanceType()
		if err != nil {
			return nil, err
		}
		byKey[t.key()] = t
		c.Types = append(c.Types, t)
	}
	for _, row := range offers {
		t := byKey[keyOf(row.Provider, row.Type)]
		if t == nil {
			return nil, fmt.Errorf("offers.csv: unknown instance type %s %s", row.Provider, row.Type)
		}
		offer, err := row.offer(t)
		if err != nil {
			return nil, err
		}
		c.Offers = append(c.Offers, offer)
	}
	c.sort()
	return c, nil
}

func readTable(files fs.FS, name string, into any) error {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	if err := csvutil.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (r typeRow) instanceType() (*InstanceType, error) {
	c, err := chip.Find(r.Chip)
	if err != nil {
		return nil, fmt.Errorf("types.csv: %s %s: %w", r.Provider, r.Name, err)
	}
	domain := r.Domain
	if domain == 0 {
		domain = r.Chips
	}
	return &InstanceType{
		Provider: r.Provider, Name: r.Name, Chip: c, Chips: r.Chips,
		VCPUs: r.VCPUs, HostMemory: units.Bytes(r.Memory * gibibyte),
		Network: r.Network * bytesPerGbit, NetworkKind: r.NetworkKind,
		Domain: domain, Announced: r.Announced, Source: r.Source, AsOf: r.AsOf,
	}, nil
}

func (r offerRow) offer(t *InstanceType) (Offer, error) {
	offer := Offer{Type: t, Region: r.Region, Option: r.Option, Source: r.Source, AsOf: r.AsOf}
	var err error
	if offer.Price, err = units.ParseRate(r.Price, r.Currency); err != nil {
		return Offer{}, err
	}
	if r.PriceLow == "" {
		return offer, nil
	}
	if offer.PriceLow, err = units.ParseRate(r.PriceLow, r.Currency); err != nil {
		return Offer{}, err
	}
	offer.PriceHigh, err = units.ParseRate(r.PriceHigh, r.Currency)
	return offer, err
}

// sort brings types and offers into their documented order and indexes the regions.
func (c *Catalog) sort() {
	sort.SliceStable(c.Types, func(i, j int) bool {
		a, b := c.Types[i], c.Types[j]
		if a.Provider != b.Provider {
			return a.Provider < b.Provider
		}
		return a.Name < b.Name
	})
	sort.SliceStable(c.Offers, func(i, j int) bool {
		a, b := c.Offers[i], c.Offers[j]
		switch {
		case a.Type.Provider != b.Type.Provider:
			return a.Type.Provider < b.Type.Provider
		case a.Type.Name != b.Type.Name:
			return a.Type.Name < b.Type.Name
		case a.Region != b.Region:
			return a.Region < b.Region
		}
		return a.Option < b.Option
	})
	regions := map[string][]string{}
	seen := map[[2]string]bool{}
	add := func(provider, region string) {
		if key := [2]string{provider, region}; !seen[key] {
			seen[key] = true
			regions[provider] = append(regions[provider], region)
		}
	}
	for provider, declared := range c.regions {
		for _, region := range declared {
			add(provider, region)
		}
	}
	for _, o := range c.Offers {
		add(o.Type.Provider, o.Region)
	}
	for _, list := range regions {
		sort.Strings(list)
	}
	c.regions = regions
}
