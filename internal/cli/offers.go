package cli

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/units"
)

type offerFlags struct {
	chip, provider, region, instanceType, option string
	minChips, limit                              int
	sort                                         string
	overlays                                     []string
}

func (a *app) offersCommand() *cobra.Command {
	var f offerFlags
	cmd := &cobra.Command{
		Use:   "offers",
		Short: "Show what is for sale: per instance, per chip-hour and per useful PFLOP-hour",
		Long: "Offers lists the catalog's offers: instance type × region × purchase option. A\n" +
			"useful PFLOP-hour is an hour of one PFLOP/s of 16-bit matrix products, at the\n" +
			"ceiling that somebody measured on the chip. Hosts without accelerators are shown\n" +
			"with --chip cpu.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.limit < 0 || f.minChips < 0 {
				return fault.Newf(fault.Invalid, "--limit and --min-chips: found %d and %d; neither may be below 0", f.limit, f.minChips)
			}
			limited := a.output == "table" || cmd.Flags().Changed("limit")
			return a.offers(f, limited)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.chip, "chip", "", "only this `CHIP`, by any usual name")
	flags.StringVar(&f.provider, "provider", "", "only this `PROVIDER`")
	flags.StringVar(&f.region, "region", "", "only this `REGION`, a glob such as 'us-*'")
	flags.StringVar(&f.instanceType, "type", "", "only this instance `TYPE`, a glob such as 'p5*'")
	flags.StringVar(&f.option, "option", "", "only this purchase `OPTION`: on-demand, spot or capacity-block")
	flags.IntVar(&f.minChips, "min-chips", 0, "only instances with at least `N` chips")
	flags.StringVar(&f.sort, "sort", "pflop-hour", "cheapest first by price (per instance), chip-hour or pflop-hour")
	flags.IntVar(&f.limit, "limit", 25, "show at most `N` in a table; 0 shows all")
	flags.StringArrayVar(&f.overlays, "overlay", nil, "`FILE` with own prices and instance types (repeatable)")
	return a.withOutput(cmd)
}

func (a *app) offers(f offerFlags, limited bool) error {
	c, err := a.loadCatalog(f.overlays)
	if err != nil {
		return err
	}
	filter, err := offerFilter(c, f)
	if err != nil {
		return err
	}
	var offers []catalog.Offer
	for _, o := range c.Select(filter) {
		if filter.Chip != nil || f.instanceType != "" || o.Type.Chip.Family != chip.CPU {
			offers = append(offers, o)
		}
	}
	if err := sortOffers(offers, f.sort); err != nil {
		return err
	}
	found := len(offers)
	if limited && f.limit > 0 && found > f.limit {
		offers = offers[:f.limit]
	}
	l := offerListing(offers)
	l.after = offersFooter(c, filter, offers, found)
	if found == 0 {
		l.page = "no offer matches\n" + l.after
	}
	return a.print(l)
}

// offerFilter reads the flags, and says what is near a name that is not known.
func offerFilter(c *catalog.Catalog, f offerFlags) (catalog.Filter, error) {
	filter := catalog.Filter{
		Provider: f.provider, Region: f.region, Type: f.instanceType, Option: catalog.Option(f.option), MinChips: f.minChips,
	}
	if f.chip != "" {
		found, err := chip.Find(f.chip)
		if err != nil {
			return filter, err
		}
		filter.Chip = found
	}
	providers := c.Providers()
	if f.provider != "" && !slices.Contains(providers, strings.ToLower(f.provider)) {
		return filter, unknown("provider", f.provider, providers)
	}
	if f.option != "" && !slices.Contains(filter.Option.Values(), f.option) {
		return filter, unknown("option", f.option, filter.Option.Values())
	}
	if f.provider != "" {
		providers = []string{f.provider}
	}
	var regions, types []string
	for _, provider := range providers {
		regions = append(regions, c.Regions(provider)...)
		types = append(types, c.TypeNames(provider)...)
	}
	if err := known("region", f.region, regions); err != nil {
		return filter, err
	}
	return filter, known("instance type", f.instanceType, types)
}

// known refuses a glob that is broken and a name that nothing has.
func known(noun, glob string, names []string) error {
	if glob == "" {
		return nil
	}
	for _, name := range names {
		matched, err := path.Match(strings.ToLower(glob), strings.ToLower(name))
		if err != nil {
			return fault.Newf(fault.Invalid, "%s %q is no name; * stands for any letters", noun, glob)
		}
		if matched {
			return nil
		}
	}
	return unknown(noun, glob, names)
}

func unknown(noun, name string, valid []string) error {
	return fault.Newf(fault.Invalid, "unknown %s %q%s", noun, name, spec.DidYouMean(name, valid))
}

// sortOffers puts the cheapest first; offers whose chip has no known speed come
// last by pflop-hour, and currencies are not compared.
func sortOffers(offers []catalog.Offer, by string) error {
	keys := map[string]func(catalog.Offer) (units.Rate, bool){
		"price":     func(o catalog.Offer) (units.Rate, bool) { return o.Price, true },
		"chip-hour": func(o catalog.Offer) (units.Rate, bool) { return o.PerChip(), true },
		"pflop-hour": func(o catalog.Offer) (units.Rate, bool) {
			rate, _, known := o.PerUsefulPFLOP()
			return rate, known
		},
	}
	key, valid := keys[by]
	if !valid {
		return unknown("order", by, []string{"price", "chip-hour", "pflop-hour"})
	}
	sort.SliceStable(offers, func(i, j int) bool {
		a, knownA := key(offers[i])
		b, knownB := key(offers[j])
		if knownA != knownB {
			return knownA
		}
		if a.Currency != b.Currency {
			return a.Currency < b.Currency
		}
		return a.Cmp(b) < 0
	})
	return nil
}

// offerJSON is the stable form of an offer. Figures that are not known are absent.
type offerJSON struct {
	Provider      string         `json:"provider"`
	Region        string         `json:"region"`
	InstanceType  string         `json:"instance_type"`
	Option        catalog.Option `json:"option"`
	Chip          string         `json:"chip"`
	Chipmaker     chip.Maker     `json:"chipmaker"`
	Chips         int            `json:"chips"`
	VCPUs         int            `json:"vcpus,omitempty"`
	HostMemory    int64          `json:"host_memory_bytes,omitempty"`
	Network       float64        `json:"network_bytes_per_second,omitempty"`
	NetworkKind   string         `json:"network_kind,omitempty"`
	Domain        int            `json:"scale_up_domain"`
	Price         units.Rate     `json:"price"`
	PriceLow      *units.Rate    `json:"price_low,omitempty"`
	PriceHigh     *units.Rate    `json:"price_high,omitempty"`
	ListPrice     *units.Rate    `json:"list_price,omitempty"`
	PerChipHour   units.Rate     `json:"price_per_chip_hour"`
	PerPFLOPHour  *units.Rate    `json:"price_per_useful_pflop_hour,omitempty"`
	PFLOPMeasured *bool          `json:"useful_pflop_measured,omitempty"`
	Overlay       string         `json:"overlay,omitempty"`
	Source        string         `json:"source"`
	AsOf          string         `json:"as_of"`
}

func offerDocument(o catalog.Offer) offerJSON {
	t := o.Type
	d := offerJSON{
		Provider: t.Provider, Region: o.Region, InstanceType: t.Name, Option: o.Option,
		Chip: t.Chip.ID, Chipmaker: t.Chip.Maker, Chips: t.Chips, VCPUs: t.VCPUs, HostMemory: int64(t.HostMemory),
		Network: t.Network, NetworkKind: t.NetworkKind, Domain: t.Domain,
		Price: o.Price, PerChipHour: o.PerChip(), Overlay: o.Overlay, Source: o.Source, AsOf: o.AsOf,
	}
	if !o.PriceLow.IsZero() {
		d.PriceLow, d.PriceHigh = &o.PriceLow, &o.PriceHigh
	}
	if !o.List.IsZero() {
		d.ListPrice = &o.List
	}
	if rate, measured, known := o.PerUsefulPFLOP(); known {
		d.PerPFLOPHour, d.PFLOPMeasured = &rate, &measured
	}
	return d
}

func offerListing(offers []catalog.Offer) listing {
	l := listing{
		columns: []column{
			{"PROVIDER", "provider", false}, {"REGION", "region", false}, {"INSTANCE TYPE", "instance_type", false}, {"OPTION", "option", false},
			{"CHIPS", "chips", true}, {"", "chip", false}, {"INSTANCE/H", "price", true}, {"CHIP-H", "price_per_chip_hour", true},
			{"PFLOP-H", "price_per_useful_pflop_hour", true}, {"SPOT RANGE", "spot_range", true},
		},
		extra: []column{
			{field: "as_of"},
			{field: "useful_pflop_measured"}, {field: "price_low"}, {field: "price_high"}, {field: "list_price"},
			{field: "currency"}, {field: "overlay"}, {field: "source"},
		},
	}
	documents := make([]offerJSON, len(offers))
	for i, o := range offers {
		documents[i] = offerDocument(o)
		l.cells = append(l.cells, offerCells(o, documents[i]))
		l.exact = append(l.exact, offerExact(documents[i]))
	}
	l.document = documents
	return l
}

func offerCells(o catalog.Offer, d offerJSON) []string {
	price, pflop, spot := money(d.Price), "", ""
	if d.PerPFLOPHour != nil {
		pflop = money(*d.PerPFLOPHour)
		if !*d.PFLOPMeasured {
			pflop = "≥ " + pflop
		}
	}
	if d.PriceLow != nil && o.PriceLow.Cmp(o.PriceHigh) != 0 {
		spot = money(o.PriceLow) + "–" + money(o.PriceHigh)
	}
	if d.Overlay != "" {
		price = "* " + price
	}
	return []string{
		d.Provider, d.Region, d.InstanceType, string(d.Option), strconv.Itoa(d.Chips), d.Chip,
		price, money(d.PerChipHour), pflop, spot,
	}
}

func offerExact(d offerJSON) []string {
	optional := func(r *units.Rate) string {
		if r == nil {
			return ""
		}
		return r.Decimal()
	}
	measured, spot := "", ""
	if d.PFLOPMeasured != nil {
		measured = strconv.FormatBool(*d.PFLOPMeasured)
	}
	if d.PriceLow != nil {
		spot = d.PriceLow.Decimal() + "-" + d.PriceHigh.Decimal()
	}
	return []string{
		d.Provider, d.Region, d.InstanceType, string(d.Option), strconv.Itoa(d.Chips), d.Chip,
		d.Price.Decimal(), d.PerChipHour.Decimal(), optional(d.PerPFLOPHour), spot, d.AsOf,
		measured, optional(d.PriceLow), optional(d.PriceHigh), optional(d.ListPrice), string(d.Price.Currency), d.Overlay, d.Source,
	}
}

// money writes a rate for people: cents from a dollar on, a tenth of them below.
func money(r units.Rate) string {
	value, decimals := r.Float64(), 2
	if value < 1 {
		decimals = 3
	}
	whole, cents, _ := strings.Cut(strconv.FormatFloat(value, 'f', decimals, 64), ".")
	text := grouped(whole) + "." + cents
	if r.Currency == units.USD {
		return "$" + text
	}
	return text + " " + string(r.Currency)
}

func offersFooter(c *catalog.Catalog, filter catalog.Filter, shown []catalog.Offer, found int) string {
	var b strings.Builder
	b.WriteString("\n")
	if len(shown) < found {
		fmt.Fprintf(&b, "%s more: --limit 0 shows all\n", grouped(strconv.Itoa(found-len(shown))))
	}
	if slices.ContainsFunc(shown, func(o catalog.Offer) bool { _, measured, known := o.PerUsefulPFLOP(); return known && !measured }) {
		b.WriteString("≥  nobody published a measured matrix product of this chip: at its peak, so the true price is higher\n")
	}
	if slices.ContainsFunc(shown, func(o catalog.Offer) bool { return o.Overlay != "" }) {
		b.WriteString("*  set by an overlay\n")
	}
	if unpriced := withoutPrice(c, filter); len(unpriced) > 0 {
		fmt.Fprintf(&b, "No public price, so no offer: %s\n", strings.Join(unpriced, ", "))
	}
	b.WriteString("What a run would cost on each: yard quote FILE          Own prices: yard catalog check FILE, then --overlay FILE\n")
	return b.String()
}

// withoutPrice lists the instance types that the filter would select if
// anybody sold them at a public price; an empty filter lists none.
func withoutPrice(c *catalog.Catalog, filter catalog.Filter) []string {
	if filter.Chip == nil && filter.Type == "" || filter.Option != "" || filter.Region != "" {
		return nil
	}
	var names []string
	for _, t := range c.Types {
		if filter.Matches(catalog.Offer{Type: t}) && len(c.OffersOf(t)) == 0 {
			name := fmt.Sprintf("%s %s (%d %s", t.Provider, t.Name, t.Chips, t.Chip.ID)
			if t.Announced {
				name += ", announced"
			}
			names = append(names, name+")")
		}
	}
	return names
}
