package catalog

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

const head = "kind: CatalogOverlay\nname: acme\nas_of: 2026-09-01\n"

func file(body string) Overlay { return Overlay{File: "own.yaml", Data: []byte(head + body)} }

func find(t *testing.T, c *Catalog, provider, typeName, region string, option Option) Offer {
	t.Helper()
	offers := c.Select(Filter{Provider: provider, Type: typeName, Region: region, Option: option})
	if len(offers) != 1 {
		t.Fatalf("%s %s %s %s: %d offers", provider, typeName, region, option, len(offers))
	}
	return offers[0]
}

func TestAnOverlaySetsPricesTypesAndRegions(t *testing.T) {
	c := load(t, file(`
regions: [{provider: aws, name: eu-west-1}]
instance_types:
  - {provider: owned, name: dgx-h100, chip: h100 sxm5, chips: 8, chip_memory: 80GiB, vcpus: 112, memory: 2TiB, network_gbit_per_s: 3200, network_kind: infiniband}
offers:
  - {provider: aws, instance_type: p5.48xlarge, region: us-east-1, option: on-demand, price: 38.5}
  - {provider: aws, instance_type: p5.48xlarge, region: eu-west-1, option: spot, price_low: 10, price_high: 20}
  - {provider: owned, instance_type: dgx-h100, region: basement, option: on-demand, price: 11.25, source: depreciation plan, as_of: 2026-10-01}
discounts:
  - {provider: aws, chip: trn2, percent_off: 12.5}
`))
	p5 := find(t, c, "aws", "p5.48xlarge", "us-east-1", OnDemand)
	if p5.Price.Decimal() != "38.5" || p5.List.Decimal() != "55.04" || p5.Overlay != "acme" || p5.AsOf != "2026-09-01" {
		t.Errorf("p5: %+v", p5)
	}
	spot := find(t, c, "aws", "p5.48xlarge", "eu-west-1", Spot)
	if spot.Price.Decimal() != "15" || spot.PriceLow.Decimal() != "10" || spot.PriceHigh.Decimal() != "20" || !spot.List.IsZero() {
		t.Errorf("spot: %+v", spot)
	}
	own := find(t, c, "owned", "dgx-h100", "basement", OnDemand)
	if own.Type.Chip.ID != "H100" || own.Type.Domain != 8 || own.Type.Network != 400e9 || own.Source != "depreciation plan (overlay acme)" || own.AsOf != "2026-10-01" {
		t.Errorf("own: %+v of %+v", own, own.Type)
	}
	trn2 := find(t, c, "aws", "trn2.48xlarge", "us-east-2", CapacityBlock)
	if trn2.Price.Decimal() != "31.2907" || trn2.List.Decimal() != "35.7608" {
		t.Errorf("trn2: %+v", trn2)
	}
	trn2Spot := find(t, c, "aws", "trn2.48xlarge", "us-east-2", Spot)
	if trn2Spot.PriceHigh.Decimal() != "20.1775" {
		t.Errorf("trn2 spot: %+v", trn2Spot)
	}
	if regions := c.Regions("aws"); !strings.Contains(strings.Join(regions, " "), "eu-west-1") {
		t.Errorf("regions of aws: %v", regions)
	}
	if len(c.Warnings) != 0 {
		t.Errorf("warnings: %v", c.Warnings)
	}
}

func TestAnOverlayLeavesTheEmbeddedCatalogAlone(t *testing.T) {
	load(t, file("discounts: [{percent_off: 50}]"))
	if p5 := find(t, load(t), "aws", "p5.48xlarge", "us-east-1", OnDemand); p5.Price.Decimal() != "55.04" || p5.Overlay != "" {
		t.Errorf("got %+v", p5)
	}
}

func TestTheLastDiscountCountsAndOwnPricesStand(t *testing.T) {
	c := load(t, file(`
offers: [{provider: aws, instance_type: p5.48xlarge, region: us-east-1, option: on-demand, price: 40}]
discounts:
  - {provider: aws, percent_off: 50}
  - {provider: aws, instance_type: p5en*, option: on-demand, percent_off: 10}
  - {provider: aws, instance_type: p4d.24xlarge, region: us-east-1, price: 15.5}
`))
	for typeName, want := range map[string]string{"p5.48xlarge": "40", "p5en.48xlarge": "56.9664", "p4de.24xlarge": "13.723525", "p4d.24xlarge": "15.5"} {
		if got := find(t, c, "aws", typeName, "us-east-1", OnDemand); got.Price.Decimal() != want {
			t.Errorf("%s: %s, want %s", typeName, got.Price, want)
		}
	}
}

func TestOverlaysAreLaidInOrder(t *testing.T) {
	second := Overlay{File: "second.yaml", Data: []byte(`{kind: CatalogOverlay, name: b, as_of: 2026-10-01, instance_types: [], offers: [
		{provider: owned, instance_type: rack, region: here, option: on-demand, price: 1.5}]}`)}
	first := file("instance_types: [{provider: owned, name: rack, chip: T4, chips: 2}]")
	if _, err := Load(first, second); err != nil {
		t.Error(err)
	}
	if _, err := Load(second, first); err == nil {
		t.Error("the second file names a type that the first declares: the order counts")
	}
}

// TestCatalogErrorsAreRefused has each error that public catalogs were seen
// with, and then what people get wrong.
func TestCatalogErrorsAreRefused(t *testing.T) {
	const p5 = "provider: aws, instance_type: p5.48xlarge, region: us-east-1, option: "
	for name, test := range map[string]struct{ body, want string }{
		"count of a known size": {
			"instance_types: [{provider: azure, name: Standard_ND96isr_H100_v5, chip: H100, chips: 12}]",
			"4:42: instance_types[0].name: azure ND96isr_H100_v5 is in the catalog already, with 8 H100; found 12 H100",
		},
		"count of a new size": {
			"instance_types: [{provider: azure, name: ND96x_H100_v9, chip: H100, chips: 12}]",
			"instance_types[0].chips: found 12; H100 come in scale-up domains of 8, so an instance has up to 8 or a multiple of it",
		},
		"spot above on demand": {
			"offers: [{" + p5 + "spot, price: 60}]",
			"4:94: offers[0].price: found spot at 60; on demand costs 55.04 there",
		},
		"spot at on demand": {
			"offers: [{" + p5 + "spot, price: 55.04}]", "found spot at 55.04; on demand costs 55.04",
		},
		"spot above own on demand": {
			"offers: [{" + p5 + "spot, price: 30}, {" + p5 + "on-demand, price: 29}]", "found spot at 30; on demand costs 29",
		},
		"spot range above on demand": {
			"offers: [{" + p5 + "spot, price_low: 10, price_high: 56}]", "found spot at 33 (up to 56); on demand costs 55.04",
		},
		"placeholder price": {
			"offers: [{provider: gcp, instance_type: tpu-v6e-1, region: us-east5, option: on-demand, price: 700}]",
			"offers[0].price: found 700 per instance-hour, 700.00 per chip-hour; no list price of TPU-v6e is above 3.24",
		},
		"placeholder price of an unpriced chip": {
			"offers: [{provider: aws, instance_type: trn3-ultraserver-gen1, region: us-east-1, option: on-demand, price: 99999}]",
			"found 99999 per instance-hour, 1562.48 per chip-hour; is it a placeholder",
		},
		"price 0": {
			"offers: [{" + p5 + "capacity-block, price: 0}]",
			"offers[0].price: found 0; what is not sold this way has no offer, never a price of 0",
		},
		"huge price in another currency": {"currency: JPY\noffers: [{" + p5 + "on-demand, price: 1e20}]", "found 100000000000000000000; a price per instance-hour is needed"},
		"tiny price":                     {"offers: [{" + p5 + "on-demand, price: 1e-9}]", "found 0.000000001; a price per instance-hour is needed"},
		"negative price":                 {"offers: [{" + p5 + "on-demand, price: -3}]", "found -3; what is not sold"},
		"duplicate rows": {
			"offers:\n- {" + p5 + "on-demand, price: 40}\n- {" + p5 + "on-demand, price: 41}",
			"6:3: offers[1]: aws p5.48xlarge us-east-1 on-demand is priced twice; first at own.yaml:5:3",
		},
		"duplicate under another spelling": {
			"offers:\n- {provider: azure, instance_type: ND96isr_H100_v5, region: eastus, option: on-demand, price: 90}\n" +
				"- {provider: azure, instance_type: standard_nd96isr_h100_v5, region: eastus, option: on-demand, price: 91}", "is priced twice",
		},
		"duplicate types": {
			"instance_types: [{provider: owned, name: x, chip: T4, chips: 1}, {provider: owned, name: x, chip: T4, chips: 1}]", "owned x is in the catalog already",
		},
		"memory in the wrong unit": {
			"instance_types: [{provider: owned, name: trn2-box, chip: Trainium2, chips: 16, chip_memory: 524288MiB}]",
			"instance_types[0].chip_memory: found 549.8 GB per chip; Trainium2 has 96 GB; is the unit right",
		},
		"memory without a unit": {
			"instance_types: [{provider: owned, name: trn2-box, chip: Trainium2, chips: 16, chip_memory: 524288}]", "give the unit, such as 96GB",
		},
		"memory of the whole instance": {
			"instance_types: [{provider: owned, name: h, chip: H100, chips: 8, chip_memory: 640GB}]", "that is the memory of all 8",
		},
		"B200 at 80 GB": {
			"instance_types: [{provider: owned, name: b200-box, chip: B200, chips: 8, chip_memory: 80GB}]",
			"instance_types[0].chip_memory: found 80 GB per chip; B200 has 180 GB",
		},
		"host memory in the wrong unit": {
			"instance_types: [{provider: owned, name: x, chip: T4, chips: 1, memory: 2048}]", "instance_types[0].memory: found 2.048e-06 GB of host memory",
		},
		"unknown chip":     {"instance_types: [{provider: owned, name: x, chip: H1000, chips: 8}]", `unknown chip "H1000"; did you mean H100?`},
		"unknown provider": {"offers: [{provider: asw, instance_type: p5.48xlarge, region: us-east-1, option: spot, price: 20}]", `unknown provider "asw"; did you mean aws?`},
		"unknown type":     {"offers: [{provider: aws, instance_type: p5.48xlarg, region: us-east-1, option: spot, price: 20}]", `unknown instance type "p5.48xlarg" of aws; did you mean p5.48xlarge?`},
		"unknown region":   {"offers: [{provider: aws, instance_type: p5.48xlarge, region: us-esat-1, option: spot, price: 20}]", `unknown region "us-esat-1" of aws; did you mean us-east-1? (a new one is declared under regions)`},
		"unknown option":   {"offers: [{" + p5 + "spott, price: 20}]", `offers[0].option: unknown value "spott"; did you mean spot?`},
		"unknown field":    {"offers: [{" + p5 + "spot, pirce: 20}]", "offers[0].pirce: unknown field; did you mean price?"},
		"no price":         {"offers: [{" + p5 + "on-demand}]", "offers[0]: price is missing"},
		"null price":       {"offers: [{" + p5 + "on-demand, price: }]", "offers[0]: price is missing"},
		"empty provider":   {`offers: [{provider: "", instance_type: p5.48xlarge, region: us-east-1, option: spot, price: 20}]`, "offers[0].provider: the field is empty and needed"},
		"price with text":  {"offers: [{" + p5 + "on-demand, price: $40}]", `offers[0].price: found "$40"; a decimal number is needed`},
		"half a range":     {"offers: [{" + p5 + "spot, price_low: 4}]", "price_low and price_high belong together"},
		"range on demand":  {"offers: [{" + p5 + "on-demand, price: 40, price_low: 4, price_high: 50}]", "a range of prices belongs to spot"},
		"range inverted":   {"offers: [{" + p5 + "spot, price_low: 20, price_high: 10}]", "offers[0].price_low: found 20; it is above price_high, 10"},
		"date":             {"offers: [{" + p5 + "on-demand, price: 40, as_of: 1.9.2026}]", `offers[0].as_of: found "1.9.2026"; a date is needed`},
		"currency":         {"currency: dollars", `currency: found "dollars"`},
		"region twice":     {"regions: [{provider: aws, name: us-east-1}]", "us-east-1 of aws is known already"},
		"no discount":      {"discounts: [{provider: aws}]", "either percent_off or price is needed"},
		"null discount":    {"discounts: [{provider: aws, percent_off: }]", "either percent_off or price is needed"},
		"two discounts":    {"discounts: [{provider: aws, percent_off: 3, price: 4}]", "either percent_off or price is needed"},
		"all off":          {"discounts: [{provider: aws, percent_off: 100}]", "found 100; it lies above 0 and below 100"},
		"percent sign":     {"discounts: [{provider: aws, percent_off: 10%}]", `found "10%"; a decimal number is needed`},
		"selects nothing":  {"discounts: [{provider: aws, chip: MI300X, percent_off: 5}]", "discounts[0]: selects no offer of the catalog"},
		"broken glob":      {"discounts: [{instance_type: 'p5[', percent_off: 5}]", `discounts[0].instance_type: found "p5["`},
		"many sizes":       {"discounts: [{provider: aws, instance_type: g5.*, price: 2}]", "a fixed price is per instance-hour, but instance types of 3 different sizes are selected"},
		"wrong kind":       {"---\nkind: Training\n", `kind: found "Training"; a catalog overlay has kind: CatalogOverlay`},
		"no chips":         {"instance_types: [{provider: owned, name: x, chip: T4, chips: 0}]", "instance_types[0].chips: found 0"},
		"domain":           {"instance_types: [{provider: owned, name: x, chip: GB200, chips: 4, domain_chips: 70}]", "instances of 4 chips cannot share domains of 70"},
		"blank in a name":  {"instance_types: [{provider: owned, name: my box, chip: T4, chips: 1}]", `instance_types[0].name: found "my box"`},
		"provider's form":  {"instance_types: [{provider: AWS, name: x, chip: T4, chips: 1}]", `found "AWS"; lower-case letters, digits and dashes are valid; did you mean aws?`},
	} {
		_, err := Load(file(test.body))
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got\n  %v\nwant\n  %s", name, err, test.want)
		} else if !strings.HasPrefix(err.Error(), "own.yaml:") {
			t.Errorf("%s: no position in %v", name, err)
		}
	}
}

func TestAllFaultsComeAtOnceInOrder(t *testing.T) {
	_, err := Load(file(`
offers:
  - {provider: aws, instance_type: p5.48xlarge, region: us-east-1, option: capacity-block, price: 0}
  - {provider: gcp, instance_type: tpu-v6e-1, region: us-east5, option: on-demand, price: 700}
instance_types:
  - {provider: owned, name: box, chip: H100, chips: 12, chip_memory: 80MB}
  - {provider: owned, name: box2}
`), Overlay{File: "a.yaml", Data: []byte("kind: [")})
	var faults spec.Faults
	if !errors.As(err, &faults) {
		t.Fatal(err)
	}
	var got []string
	for _, f := range faults {
		got = append(got, fmt.Sprintf("%s:%d:%s", f.File, f.Line, f.Field))
	}
	want := "a.yaml:1: own.yaml:6:offers[0].price own.yaml:7:offers[1].price own.yaml:9:instance_types[0].chips " +
		"own.yaml:9:instance_types[0].chip_memory own.yaml:10:instance_types[1].chip own.yaml:10:instance_types[1].chips"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
}

func TestWhatIsRareButPossibleIsFlagged(t *testing.T) {
	for name, test := range map[string]struct{ body, want string }{
		"placeholder that could be a price": {
			"instance_types: [{provider: gcp, name: tpu-v6e-256, chip: TPU-v6e, chips: 256}]\n" +
				"offers: [{provider: gcp, instance_type: tpu-v6e-256, region: us-east5, option: on-demand, price: 700}]",
			"own.yaml:5:98: offers[0].price: 700 looks like a placeholder",
		},
		"price per chip": {
			"offers: [{provider: aws, instance_type: p5.48xlarge, region: us-gov-west-1, option: on-demand, price: 0.4}]",
			"0.4 per instance-hour is 0.0500 per chip-hour; the cheapest known H100 costs 1.25",
		},
		"on demand below the catalog's spot": {
			"offers: [{provider: aws, instance_type: p5.48xlarge, region: us-east-1, option: on-demand, price: 30}]",
			"30 on demand is not above the catalog's spot of 32.64",
		},
		"odd number of chips": {"instance_types: [{provider: owned, name: x, chip: H100, chips: 6}]", "6 H100 per instance is unusual"},
		"new provider":        {"instance_types: [{provider: asw, name: x, chip: T4, chips: 1}]", `"asw" is a new provider; did you mean aws?`},
		"share for percent":   {"discounts: [{provider: aws, percent_off: 0.2}]", "0.2% is less than one percent"},
	} {
		c := load(t, file(test.body))
		if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0].Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, c.Warnings, test.want)
		}
	}
}

func TestDiscountsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tenths := rapid.Int64Range(10, 999).Draw(t, "tenths of a percent")
		c, err := Load(file(fmt.Sprintf("discounts: [{percent_off: %d.%d}]", tenths/10, tenths%10)))
		if err != nil {
			t.Fatal(err)
		}
		at := rapid.IntRange(0, len(c.Offers)-1).Draw(t, "offer")
		o := c.Offers[at]
		// price × 1000 = list × (1000 − tenths), in decimals without a remainder
		left, right := o.Price.Rat(), o.List.Rat()
		left.Mul(left, ratOf(1000))
		right.Mul(right, ratOf(1000-tenths))
		if left.Cmp(right) != 0 {
			t.Fatalf("%v: %s of %s at %d/1000 off", o.key(), o.Price, o.List, tenths)
		}
		if o.Option == Spot && (o.PriceLow.Cmp(o.Price) > 0 || o.Price.Cmp(o.PriceHigh) > 0) {
			t.Fatalf("%v: %s outside %s to %s", o.key(), o.Price, o.PriceLow, o.PriceHigh)
		}
	})
}

func FuzzOverlay(f *testing.F) {
	f.Add([]byte(head + "offers: [{provider: aws, instance_type: p5.48xlarge, region: us-east-1, option: on-demand, price: 38.5}]"))
	f.Add([]byte(head + "discounts: [{provider: aws, chip: trn2, percent_off: 12.5}, {instance_type: 'p5[', price: 1e30}]"))
	f.Add([]byte(head + "instance_types: [{provider: owned, name: x, chip: H100, chips: 12, chip_memory: 5e300GB, domain_chips: -1}]"))
	f.Add([]byte(head + "regions: [{provider: aws, name: x}]\n---\n" + head))
	f.Add([]byte("kind: CatalogOverlay\noffers: {a: b}\nregions: *x"))
	f.Add([]byte("{kind: CatalogOverlay, name: a, as_of: 2026-09-01, offers: [{price: 1e-30}, {}, ~, 3]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Load(Overlay{File: "f.yaml", Data: data})
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%v is not invalid", err)
			}
			return
		}
		for _, o := range c.Offers {
			if o.Price.Sign() <= 0 || o.Type == nil || o.Region == "" || o.AsOf == "" {
				t.Errorf("a broken offer was accepted: %+v", o)
			}
		}
	})
}

func ratOf(n int64) *big.Rat { return big.NewRat(n, 1) }
