package scheduler

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/units"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

func h100x8() *catalog.InstanceType {
	return &catalog.InstanceType{Provider: "aws", Name: "p5.48xlarge", Chips: 8, Chip: &chip.Chip{ID: "H100", Maker: chip.NVIDIA, Family: chip.CUDA}}
}

func offerOf(t *catalog.InstanceType, region string, option catalog.Option, price string) catalog.Offer {
	return catalog.Offer{Type: t, Region: region, Option: option, Price: units.MustRate(price, units.USD)}
}

func terms() Terms {
	w := &workload.Workload{}
	w.Variants = map[chip.Family]workload.Variant{chip.CUDA: {}}
	return Terms{Workload: w, Tokens: 1e9, Params: 1e9, File: "train.yaml"}
}

func rankOne(t *testing.T, terms Terms, speed Speed, offer catalog.Offer) *RankedCandidate {
	t.Helper()
	ranked := Rank(terms, []Speed{speed}, []catalog.Offer{offer}, ListPrices, DefaultAssumptions(), noon)
	if len(ranked) != 1 {
		t.Fatalf("%d candidates", len(ranked))
	}
	return ranked[0]
}

func TestRankAddsUpTimeAndMoney(t *testing.T) {
	p5 := h100x8()
	c := rankOne(t, terms(), Speed{Type: p5, Nodes: 2, TokensPerSecond: 1e5, Low: 0.9e5, High: 1.1e5, Status: "measured"}, offerOf(p5, "us-east-1", catalog.OnDemand, "55.04"))
	if !c.Feasible || c.Chips != 16 {
		t.Fatalf("%+v", c)
	}
	// 10,000 s of steps and 600 s of set-up, plus small losses.
	if c.Seconds < 10_600 || c.Seconds > 10_900 {
		t.Errorf("%g s", c.Seconds)
	}
	want := offerOf(p5, "", "", "55.04").Price.ForHours(2, seconds(c.Seconds))
	if c.Cost != want || c.CostLow.Micros >= c.Cost.Micros || c.CostHigh.Micros <= c.Cost.Micros {
		t.Errorf("cost %s (%s to %s), want %s", c.Cost, c.CostLow, c.CostHigh, want)
	}
	if got := c.CostPerMillion.Float64() * 1000; !near(got, c.Cost) {
		t.Errorf("%g per 1,000M tokens, cost %s", got, c.Cost)
	}
	total := 0.0
	for _, part := range c.Whole {
		total += part.Seconds
	}
	if total != c.Seconds {
		t.Errorf("the parts sum to %g s of %g", total, c.Seconds)
	}
}

func near(value float64, amount units.Amount) bool {
	exact, _ := amount.Rat().Float64()
	return value > exact*0.999999 && value < exact*1.000001
}

func TestRankSaysWhatRulesACandidateOut(t *testing.T) {
	p5 := h100x8()
	fast := Speed{Type: p5, Nodes: 2, TokensPerSecond: 1e5}
	demand := offerOf(p5, "us-east-1", catalog.OnDemand, "55.04")
	for _, c := range []struct {
		name   string
		change func(*Terms, *Speed, *catalog.Offer)
		want   string
	}{
		{"family", func(t *Terms, _ *Speed, _ *catalog.Offer) {
			t.Workload.Variants = map[chip.Family]workload.Variant{chip.CPU: {}, chip.Neuron: {}}
		}, "needs a cuda variant in train.yaml (has: cpu, neuron)"},
		{"maker", func(t *Terms, _ *Speed, _ *catalog.Offer) {
			t.Workload.Place.Forbid.Chipmakers = []chip.Maker{chip.NVIDIA}
		}, "chipmaker nvidia is forbidden"},
		{"provider", func(t *Terms, _ *Speed, _ *catalog.Offer) { t.Workload.Place.Allow.Providers = []string{"azure"} }, "provider aws is not among the allowed (azure)"},
		{"region", func(t *Terms, _ *Speed, _ *catalog.Offer) { t.Workload.Place.Forbid.Regions = []string{"us-east-1"} }, "region us-east-1 is forbidden"},
		{"option", func(t *Terms, _ *Speed, _ *catalog.Offer) {
			t.Workload.Place.Allow.Options = []catalog.Option{catalog.Spot}
		}, "option on-demand is not among the allowed (spot)"},
		{"memory", func(_ *Terms, s *Speed, _ *catalog.Offer) { s.Infeasible = "does not fit in memory" }, "does not fit in memory"},
		{"deadline", func(t *Terms, _ *Speed, _ *catalog.Offer) { t.Workload.Deadline.Time = noon.Add(time.Hour) }, "misses the deadline by 118 minutes at 16 chips"},
		{"budget", func(t *Terms, _ *Speed, _ *catalog.Offer) {
			t.Workload.Budget.Amount = units.Amount{Micros: 1e6, Currency: units.USD}
		}, "exceeds the budget by $"},
		{"announced", func(_ *Terms, _ *Speed, o *catalog.Offer) { o.Type.Announced = true }, "announced, not yet sold"},
		{"block too long", func(_ *Terms, s *Speed, o *catalog.Offer) {
			s.TokensPerSecond, o.Option = 50, catalog.CapacityBlock
		}, "a capacity block lasts at most 182"},
		{"block too large", func(_ *Terms, s *Speed, o *catalog.Offer) { s.Nodes, o.Option = 65, catalog.CapacityBlock }, "a capacity block holds at most 64 instances"},
		{"hopeless", func(_ *Terms, s *Speed, _ *catalog.Offer) { s.TokensPerSecond = 0.1 }, "would take more than a century"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked, speed, offer := terms(), fast, demand
			fresh := *p5
			speed.Type, offer.Type = &fresh, &fresh
			c.change(&asked, &speed, &offer)
			got := rankOne(t, asked, speed, offer)
			if got.Feasible || !strings.Contains(strings.Join(got.Reasons, "; "), c.want) {
				t.Errorf("feasible %v, reasons %q, want %q", got.Feasible, got.Reasons, c.want)
			}
		})
	}
}

func TestRankPaysCapacityBlocksByWholeDays(t *testing.T) {
	p5 := h100x8()
	for _, c := range []struct {
		tokensPerSecond float64
		days            int64
	}{{1e5, 1}, {1e4, 2}, {800, 21}} { // about 0.12, 1.2 and 14.5 days of steps
		got := rankOne(t, terms(), Speed{Type: p5, Nodes: 1, TokensPerSecond: c.tokensPerSecond}, offerOf(p5, "us-east-1", catalog.CapacityBlock, "39.33"))
		want := c.days * 24 * 39_330_000
		if got.Cost.Micros != want {
			t.Errorf("%g tokens/s: %s, want %d days", c.tokensPerSecond, got.Cost, c.days)
		}
	}
}

func TestRankWaitsForSpotWithoutPaying(t *testing.T) {
	p5 := h100x8()
	speed := Speed{Type: p5, Nodes: 1, TokensPerSecond: 1e4}
	demand := rankOne(t, terms(), speed, offerOf(p5, "r", catalog.OnDemand, "10"))
	spot := rankOne(t, terms(), speed, offerOf(p5, "r", catalog.Spot, "10"))
	if spot.Seconds < demand.Seconds/0.53 || spot.Cost.Micros > demand.Cost.Micros*3/2 {
		t.Errorf("on demand %g s %s, spot %g s %s", demand.Seconds, demand.Cost, spot.Seconds, spot.Cost)
	}
}

func TestCandidateJSONFieldsAreStable(t *testing.T) {
	p5 := h100x8()
	c := rankOne(t, terms(), Speed{Type: p5, Nodes: 1, TokensPerSecond: 1e5, Parallelism: Parallelism{DP: 8, TP: 1, PP: 1, EP: 1, CP: 1, MicroBatch: 2}}, offerOf(p5, "r", catalog.OnDemand, "10"))
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"provider", "region", "instance_type", "option", "chip", "chips", "nodes", "parallelism", "tokens_per_second", "seconds", "cost", "cost_per_million_tokens", "feasible", "connected", "reasons"} {
		if _, ok := fields[name]; !ok {
			t.Errorf("no field %s in %s", name, data)
		}
	}
	if _, ok := fields["cost_per_million_tokens"].(float64); !ok {
		t.Errorf("cost_per_million_tokens is not a number: %s", data)
	}
	for _, name := range []string{"dp", "tp", "pp", "ep", "cp", "micro_batch"} {
		if _, ok := fields["parallelism"].(map[string]any)[name]; !ok {
			t.Errorf("no field parallelism.%s", name)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		chips, least, most int
		want               []int
	}{
		{8, 0, 64, []int{1, 2, 4, 8}},
		{8, 16, 48, []int{2, 4, 6}},
		{16, 0, 8, nil},
		{1, 3, 3, []int{3}},
	} {
		if got := Sizes(c.chips, c.least, c.most); !slices.Equal(got, c.want) {
			t.Errorf("Sizes(%d, %d, %d) = %v, want %v", c.chips, c.least, c.most, got, c.want)
		}
	}
}

// TestMeritOrderProperties: a cheaper price never ranks lower, a faster speed
// never costs more, and the order of the input does not matter.
func TestMeritOrderProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p5 := h100x8()
		speed := Speed{Type: p5, Nodes: rapid.IntRange(1, 64).Draw(t, "nodes"), TokensPerSecond: rapid.Float64Range(1e3, 1e7).Draw(t, "speed")}
		option := rapid.SampledFrom([]catalog.Option{catalog.OnDemand, catalog.Spot}).Draw(t, "option")
		micros := rapid.Int64Range(1, 1e9).Draw(t, "price")
		dear := offerOf(p5, "a", option, units.Amount{Micros: micros + 1e6}.Decimal())
		cheap := offerOf(p5, "b", option, units.Amount{Micros: micros}.Decimal())
		faster := speed
		faster.TokensPerSecond *= 1.5
		one := Rank(terms(), []Speed{speed}, []catalog.Offer{dear, cheap}, ListPrices, DefaultAssumptions(), noon)
		two := Rank(terms(), []Speed{speed}, []catalog.Offer{cheap, dear}, ListPrices, DefaultAssumptions(), noon)
		if one[0].Region != "b" || !reflect.DeepEqual(one, two) {
			t.Fatalf("the merit order depends on the input's order or not on the price")
		}
		if better := Rank(terms(), []Speed{faster}, []catalog.Offer{cheap}, ListPrices, DefaultAssumptions(), noon); better[0].Cost.Micros > one[0].Cost.Micros {
			t.Fatalf("faster costs more: %s > %s", better[0].Cost, one[0].Cost)
		}
	})
}

// BenchmarkReprice joins 10,000 candidates with new prices: the part of a quote
// that is done again when only prices changed.
func BenchmarkReprice(b *testing.B) {
	var speeds []Speed
	var offers []catalog.Offer
	for i := range 100 {
		t := *h100x8()
		t.Name = fmt.Sprintf("type-%d", i)
		for nodes := 1; nodes <= 512; nodes *= 2 {
			speeds = append(speeds, Speed{Type: &t, Nodes: nodes, TokensPerSecond: 1e4 * float64(nodes), Low: 0.9e4 * float64(nodes), High: 1.1e4 * float64(nodes)})
		}
		for j := range 10 {
			offers = append(offers, offerOf(&t, fmt.Sprint(j), catalog.OnDemand, fmt.Sprintf("%d.%02d", 10+i, j)))
		}
	}
	for b.Loop() {
		if n := len(Rank(terms(), speeds, offers, ListPrices, DefaultAssumptions(), noon)); n != 10_000 {
			b.Fatal(n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e4, "ns/candidate")
}
