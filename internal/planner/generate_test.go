package planner_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// buyer is a generated portfolio. The same seed gives the same buyer.
type buyer struct {
	seed      uint64
	months    int // of the horizon, at the start in months
	quarters  int // and then in quarters
	classes   int
	offers    int
	contracts int
	scenarios int

	// For properties: changes that must not, or must in a known way, change the optimum.
	prefix string  // of every name
	scale  float64 // of demand, capacity and every threshold of money
	extra  string  // further lines of the portfolio
	more   string  // further contracts to sign
	docs   string  // and their documents
	hedge  bool
	signed bool    // one commitment is in force
	dearer float64 // factor on the prices of aws; 0 for none
}

type chipOf struct {
	name, provider string
	speed, price   float64 // of an H100, and dollars per chip-hour
}

// market is chips where they are sold, with list prices per chip-hour of the
// order of the catalog's.
func market() []chipOf {
	return []chipOf{
		{"H100", "aws", 1, 6.9}, {"H200", "aws", 1.25, 7.9}, {"Trainium2", "aws", 0.6, 2.24}, {"B200", "aws", 2.2, 14.2},
		{"H100", "azure", 1, 7.6}, {"MI300X", "azure", 0.95, 6.0}, {"H200", "azure", 1.25, 8.2},
		{"H100", "gcp", 1, 7.1}, {"TPU-v5p", "gcp", 0.85, 4.2}, {"TPU-v6e", "gcp", 0.9, 2.7}, {"H100", "coreweave", 1, 6.2}, {"B200", "coreweave", 2.2, 10.5},
	}
}

func (b buyer) yaml() string {
	random := rand.New(rand.NewPCG(b.seed, 77))
	if b.scale == 0 {
		b.scale = 1
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end := start.AddDate(0, b.months+3*b.quarters, 0)
	var out strings.Builder
	fmt.Fprintf(&out, "kind: Portfolio\nname: %sbuyer-%d\nhorizon: {from: %s, to: %s, periods: [{every: month, for: %dmo}, {every: quarter}]}\ndemand:\n",
		b.prefix, b.seed, start.Format(time.DateOnly), end.Format(time.DateOnly), b.months)
	total := b.demand(&out, random)
	b.supply(&out, random, total)
	docs := b.signings(&out, random, total, start, end)
	if b.hedge {
		out.WriteString("hedges:\n- {of: provider, at_most: 70%, measure: chip-hours}\n")
	}
	b.futures(&out, random)
	out.WriteString(b.extra)
	return out.String() + docs + b.docs
}

// demand writes the classes and returns their sum in H100s.
func (b buyer) demand(out *strings.Builder, random *rand.Rand) float64 {
	total := 0.0
	for i := range b.classes {
		rate := math.Round(math.Exp(2+2.5*random.Float64())) * b.scale
		total += rate
		growth, season := 1+0.8*random.Float64(), ""
		if random.IntN(2) == 0 {
			season = ", season: [0.9, 0.9, 0.95, 1, 1, 1, 1, 0.95, 1, 1.05, 1.2, 1.15]"
		}
		class := []string{"inference", "inference", "training", "batch"}[random.IntN(4)]
		fmt.Fprintf(out, "- {name: %swork%d, class: %s, rate: %g, growth: %.2f%s, unserved: 60, throughput: {", b.prefix, i, class, rate, growth, season)
		seen := map[string]bool{}
		for _, c := range market() {
			speed := c.speed * (0.75 + 0.5*random.Float64())
			if seen[c.name] || c.name != "H100" && random.IntN(4) == 0 {
				continue
			}
			seen[c.name] = true
			if len(seen) > 1 {
				out.WriteString(", ")
			}
			fmt.Fprintf(out, "%s: %.3f", c.name, speed)
		}
		out.WriteString("}}\n")
	}
	return total
}

func (b buyer) supply(out *strings.Builder, random *rand.Rand, total float64) {
	out.WriteString("offers:\n")
	chips := market()
	for i := range b.offers {
		c := chips[i%len(chips)]
		capacity := ""
		if i >= 2 && random.IntN(3) > 0 {
			capacity = fmt.Sprintf(", capacity: %g", b.scale*float64(1+int(total/b.scale*(0.05+0.3*random.Float64())/8)))
		}
		price := c.price * 8 * (0.9 + 0.3*random.Float64())
		if c.provider == "aws" && b.dearer > 0 {
			price *= b.dearer
		}
		fmt.Fprintf(out, "- {name: %so%d.48xlarge, provider: %s, region: r%d, chip: %s, chips: 8, price: %.4f, yearly_price_factor: %.2f%s}\n",
			b.prefix, i, c.provider, i/len(chips), c.name, price, 0.8+0.15*random.Float64(), capacity)
	}
}

// signings writes what could be signed: savings plans in sizes, reserved
// instances, agreements with a commitment.
func (b buyer) signings(out *strings.Builder, random *rand.Rand, total float64, start, end time.Time) string {
	if b.contracts == 0 && b.more == "" {
		return ""
	}
	out.WriteString("contracts:\n")
	var docs strings.Builder
	providers := []string{"aws", "azure", "gcp", "coreweave"}
	for i := range b.contracts {
		name := fmt.Sprintf("%sdeal%d", b.prefix, i)
		provider := providers[i%len(providers)]
		from := start.AddDate(0, 3*random.IntN(1+b.months/6), 0)
		to := from.AddDate(1+2*random.IntN(2), 0, 0)
		status, size, clause := "offered", "", ""
		switch i % 3 {
		case 0:
			size = fmt.Sprintf(", size: {max: %g}", math.Ceil(total/b.scale*6)*b.scale)
			clause = fmt.Sprintf("{savings_plan: {type: compute, hourly: 1, discount: %d%%}}", 25+random.IntN(20))
		case 1:
			size = fmt.Sprintf(", size: {max: %g}", math.Ceil(total/b.scale/16)*b.scale)
			offer := i % min(b.offers, len(market()))
			provider = market()[offer].provider
			clause = fmt.Sprintf("{reserved_instances: {instance_type: %so%d.48xlarge, count: 1, hourly: %.3f}}", b.prefix, offer, market()[offer].price*8*(0.45+0.2*random.Float64()))
		case 2:
			amount := math.Round(total/b.scale*0.25*8766*3*(0.5+random.Float64())/1000) * 1000 * b.scale
			clause = fmt.Sprintf("{enterprise_agreement: {discount: %d%%, period: year, commitments: [%s]}}", 8+random.IntN(14), strings.TrimSuffix(strings.Repeat(fmt.Sprintf("%.0f, ", amount), yearsOf(from, to)), ", "))
		}
		if b.signed && i == 2 {
			status = "signed"
		}
		fmt.Fprintf(out, "- {contract: %s, status: %s%s}\n", name, status, size)
		fmt.Fprintf(&docs, "---\nkind: Contract\nname: %s\ncounterparty: %s\nterm: {from: %s, to: %s}\nscope: {providers: [%s]}\nclauses: [%s]\n",
			name, provider, from.Format(time.DateOnly), to.Format(time.DateOnly), provider, clause)
	}
	out.WriteString(b.more)
	return docs.String()
}

func yearsOf(from, to time.Time) int {
	n := 0
	for at := from; at.Before(to); at = from.AddDate(n, 0, 0) {
		n++
	}
	return n
}

func (b buyer) futures(out *strings.Builder, random *rand.Rand) {
	if b.scenarios < 2 {
		return
	}
	out.WriteString("scenarios:\n")
	for i := range b.scenarios {
		fmt.Fprintf(out, "- {name: s%d, probability: %.12f, effects: [{what: demand, factor: %.3f}, {what: price, providers: [%s], factor: %.3f}]}\n", i, 1/float64(b.scenarios),
			math.Exp(0.3*random.NormFloat64()), []string{"aws", "azure", "gcp", "coreweave"}[random.IntN(4)], 0.8+0.6*random.Float64())
	}
}
