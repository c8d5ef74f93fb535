package catalog

import (
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/units"
)

var isoDate = regexp.MustCompile(`^20\d\d-\d\d-\d\d$`)

func load(t *testing.T, overlays ...Overlay) *Catalog {
	t.Helper()
	c, err := Load(overlays...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEveryTypeIsWholeAndSane(t *testing.T) {
	c := load(t)
	if len(c.Types) < 100 {
		t.Fatalf("%d instance types", len(c.Types))
	}
	seen := map[typeKey]bool{}
	for _, it := range c.Types {
		name := it.Provider + " " + it.Name
		if seen[it.key()] {
			t.Errorf("%s is listed twice", name)
		}
		seen[it.key()] = true
		if it.Source == "" || !isoDate.MatchString(it.AsOf) {
			t.Errorf("%s: source %q as of %q", name, it.Source, it.AsOf)
		}
		if it.Chips < 1 || it.Domain < 1 || (it.Domain%it.Chips != 0 && it.Chips%it.Domain != 0) {
			t.Errorf("%s: %d chips in domains of %d", name, it.Chips, it.Domain)
		}
		if it.Network <= 0 || it.Network > 28800*bytesPerGbit || it.HostMemory < 0 || it.HostMemory > 8<<40 {
			t.Errorf("%s: network %g, memory %d", name, it.Network, it.HostMemory)
		}
		if strings.Contains(it.Name, " ") {
			t.Errorf("%q has a blank", it.Name)
		}
	}
}

func TestEveryOfferIsWholeAndSane(t *testing.T) {
	c := load(t)
	if len(c.Offers) < 500 {
		t.Fatalf("%d offers", len(c.Offers))
	}
	seen := map[offerKey]Offer{}
	for _, o := range c.Offers {
		if _, twice := seen[o.key()]; twice {
			t.Errorf("%v is listed twice", o.key())
		}
		seen[o.key()] = o
		if o.Source == "" || !isoDate.MatchString(o.AsOf) || o.Region == "" || o.Price.Currency != units.USD {
			t.Errorf("%v: source %q as of %q in %q", o.key(), o.Source, o.AsOf, o.Price.Currency)
		}
		if o.Type.Announced {
			t.Errorf("%v: announced types are not sold yet", o.key())
		}
		if per := o.PerChip().Float64(); per < 0.02 || per > 60 {
			t.Errorf("%v: %g per chip-hour", o.key(), per)
		}
		if o.Price.Float64() == 700 {
			t.Errorf("%v: placeholder price", o.key())
		}
		if o.Option == Spot && (o.PriceLow.Sign() <= 0 || o.PriceLow.Cmp(o.Price) > 0 || o.Price.Cmp(o.PriceHigh) > 0) {
			t.Errorf("%v: spot %s outside %s to %s", o.key(), o.Price, o.PriceLow, o.PriceHigh)
		}
		if o.Option != Spot && !o.PriceLow.IsZero() {
			t.Errorf("%v: a range belongs to spot", o.key())
		}
	}
	for key, o := range seen {
		key.option = OnDemand
		onDemand, sold := seen[key]
		if o.Option == Spot && sold && o.Price.Cmp(onDemand.Price) >= 0 {
			t.Errorf("%v: spot %s is not below on demand %s", key, o.Price, onDemand.Price)
		}
	}
}

func TestTheCatalogHoldsWhatIsPromised(t *testing.T) {
	c := load(t)
	for _, name := range strings.Fields(`aws/trn1.2xlarge aws/trn1.32xlarge aws/trn1n.32xlarge aws/trn2.3xlarge aws/trn2.48xlarge
		aws/trn2u.48xlarge aws/trn3-ultraserver-gen1 aws/trn3-ultraserver-gen2 aws/inf1.24xlarge aws/inf2.48xlarge aws/p4d.24xlarge
		aws/p4de.24xlarge aws/p5.4xlarge aws/p5.48xlarge aws/p5e.48xlarge aws/p5en.48xlarge aws/p6-b200.48xlarge aws/p6-b300.48xlarge
		aws/g5.48xlarge aws/g6.48xlarge aws/g6e.48xlarge azure/NC24ads_A100_v4 azure/Standard_ND96isr_H100_v5 azure/nd96isr_h200_v5
		azure/ND96isr_MI300X_v5 azure/ND128isr_NDR_GB200_v6 gcp/tpu-v6e-8 gcp/a3-highgpu-8g nebius/h100-sxm-8
		lambda/gpu_8x_b200_sxm6 crusoe/mi300x-192gb-ib.8x coreweave/gb200-4x`) {
		provider, typeName, _ := strings.Cut(name, "/")
		if _, err := c.Type(provider, typeName); err != nil {
			t.Error(err)
		}
	}
	prices := map[string]string{
		"aws p5.48xlarge us-east-1 on-demand": "55.04", "aws p5.48xlarge us-east-1 spot": "32.64",
		"aws trn2.48xlarge us-east-2 capacity-block": "35.7608", "azure ND96isr_MI300X_v5 eastus2 on-demand": "48",
		"nebius h200-sxm-8 eu-north1 on-demand": "28", "gcp tpu-v6e-8 us-central1 spot": "4.35",
	}
	for _, o := range c.Offers {
		name := strings.Join([]string{o.Type.Provider, o.Type.Name, o.Region, string(o.Option)}, " ")
		if want, listed := prices[name]; listed {
			delete(prices, name)
			if o.Price.Decimal() != want {
				t.Errorf("%s: %s, want %s", name, o.Price, want)
			}
		}
	}
	for name := range prices {
		t.Errorf("no offer %s", name)
	}
}

func TestNotSoldThisWayIsAbsent(t *testing.T) {
	c := load(t)
	trn2, err := c.Type("aws", "trn2.48xlarge")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range c.OffersOf(trn2) {
		if o.Option == OnDemand {
			t.Errorf("trn2.48xlarge is not sold on demand: %+v", o)
		}
	}
}

func TestLookupSaysWhatIsNear(t *testing.T) {
	c := load(t)
	for _, test := range []struct{ provider, name, want string }{
		{"aws", "p5.48xlarg", "did you mean p5.48xlarge?"},
		{"asw", "p5.48xlarge", "did you mean aws?"},
	} {
		_, err := c.Type(test.provider, test.name)
		if !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s: %v, want %s", test.provider, test.name, err, test.want)
		}
	}
}

func TestSelect(t *testing.T) {
	c := load(t)
	h100, err := chip.Find("H100")
	if err != nil {
		t.Fatal(err)
	}
	offers := c.Select(Filter{Provider: "AWS", Chip: h100, Region: "us-*", Option: OnDemand, MinChips: 8})
	if len(offers) != 2 {
		t.Fatalf("got %d offers: %v", len(offers), offers)
	}
	for _, o := range offers {
		if o.Type.Name != "p5.48xlarge" || !strings.HasPrefix(o.Region, "us-") {
			t.Errorf("got %v", o.key())
		}
	}
	if n := len(c.Select(Filter{})); n != len(c.Offers) {
		t.Errorf("an empty filter selects %d of %d", n, len(c.Offers))
	}
}

func TestPricesPerUnitOfWork(t *testing.T) {
	c := load(t)
	offer := func(f Filter) Offer {
		offers := c.Select(f)
		if len(offers) != 1 {
			t.Fatalf("%+v selects %d offers", f, len(offers))
		}
		return offers[0]
	}
	p5 := offer(Filter{Type: "p5.48xlarge", Region: "us-east-1", Option: OnDemand})
	if got := p5.PerChip().Decimal(); got != "6.88" {
		t.Errorf("p5.48xlarge per chip: %s", got)
	}
	// 55.04 / (8 × 0.7945 PFLOP/s)
	rate, measured, known := p5.PerUsefulPFLOP()
	if !known || !measured || rate.Float64() < 8.6595 || rate.Float64() > 8.6596 {
		t.Errorf("p5.48xlarge per useful PFLOP-hour: %s %v %v", rate, measured, known)
	}
	if _, measured, known := offer(Filter{Type: "trn1.2xlarge", Option: OnDemand}).PerUsefulPFLOP(); !known || measured {
		t.Error("nobody measured Trainium1: its peak is used and marked")
	}
	if _, _, known := offer(Filter{Type: "c7i.xlarge", Region: "us-east-1", Option: OnDemand}).PerUsefulPFLOP(); known {
		t.Error("the speed of a host processor is not known")
	}
}

func TestLikeHost(t *testing.T) {
	c := load(t)
	o, err := c.LikeHost(2, 8<<30)
	if err != nil || o.Type.Name != "m7i.large" || o.Region != "us-east-1" {
		t.Errorf("got %+v, %v", o, err)
	}
	if o, err = c.LikeHost(2, 4<<30); err != nil || o.Type.Name != "c7i.large" {
		t.Errorf("got %+v, %v", o, err)
	}
	if _, err = c.LikeHost(10_000, 0); !fault.Is(err, fault.NotFound) {
		t.Errorf("got %v", err)
	}
}

func TestReadRefusesBrokenTables(t *testing.T) {
	table := func(name string) []byte {
		data, err := tables.ReadFile("data/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, row := range map[string]string{
		"types.csv":  "aws,x.large,H999,1,1,1,1,ethernet,1,,s,2026-01-01\n",
		"offers.csv": "aws,nonesuch,us-east-1,on-demand,1,,,USD,s,2026-01-01\n",
	} {
		files := fstest.MapFS{
			"data/types.csv":  &fstest.MapFile{Data: table("types.csv")},
			"data/offers.csv": &fstest.MapFile{Data: table("offers.csv")},
		}
		files["data/"+name].Data = append(files["data/"+name].Data, row...)
		if _, err := read(files); err == nil {
			t.Errorf("a broken row of %s was read", name)
		}
	}
}
