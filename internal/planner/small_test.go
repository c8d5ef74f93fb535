package planner_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/plan"
	"github.com/switchyard-ai/switchyard/internal/planner"
)

// small is a model whose optimum is proved by enumeration: one provider on
// demand without limit, one cheaper with a capacity, and contracts that each
// are signed or not. With those fixed, serving is a merit order.
type small struct {
	demand     []int // nodes by day
	dear       float64
	cheap      float64
	capacity   int
	blocks     [2]struct{ count, rate int } // capacity blocks over all days
	floor      float64                      // take-or-pay of the dear provider, whole horizon
	covered    int                          // reserved instances on offer: count
	hourly     float64
	percentOff int // of an agreement with a commitment
	commit     float64
}

func (s small) yaml() string {
	var b strings.Builder
	days := len(s.demand)
	fmt.Fprintf(&b, "kind: Portfolio\nname: small\nhorizon: {from: 2026-03-01T11:30:00Z, to: %s, periods: [{every: day}]}\ndemand:\n- {name: work, class: inference, throughput: {H100: 1}, steps: [", s.day(days))
	for i, d := range s.demand {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "{from: %s, value: %d}", s.day(i), d)
	}
	fmt.Fprintf(&b, "]}\noffers:\n- {name: d.large, provider: dear, chip: H100, price: %g}\n- {name: c.large, provider: cheap, chip: H100, price: %g, capacity: %d}\n", s.dear, s.cheap, s.capacity)
	b.WriteString("contracts:\n- {contract: floor, status: signed}\n- {contract: block0, status: offered}\n- {contract: block1, status: offered}\n- {contract: reserved, status: offered}\n- {contract: agreement, status: offered}\n")
	contract := func(name, party, clause string) {
		fmt.Fprintf(&b, "---\nkind: Contract\nname: %s\ncounterparty: %s\nterm: {from: 2026-03-01T11:30:00Z, to: %s}\nscope: {providers: [%s]}\nclauses: [%s]\n", name, party, s.day(days), party, clause)
	}
	contract("floor", "dear", fmt.Sprintf("{commitment: {period: total, amount: %g}}", s.floor))
	for i, block := range s.blocks {
		contract(fmt.Sprint("block", i), "dear", fmt.Sprintf("{capacity_block: {instance_type: d.large, count: %d, rate: %d}}", block.count, block.rate))
	}
	contract("reserved", "dear", fmt.Sprintf("{reserved_instances: {instance_type: d.large, count: %d, hourly: %g}}", s.covered, s.hourly))
	contract("agreement", "cheap", fmt.Sprintf("{enterprise_agreement: {discount: %d%%, commitment: %g}}", s.percentOff, s.commit))
	return b.String()
}

func (s small) day(i int) string { return fmt.Sprintf("2026-03-%02dT11:30:00Z", i+1) }

// best enumerates the sixteen ways to sign. Given those, each day serves out of
// what costs nothing more (blocks, reservations), then by price; usage of the
// dear provider counts towards its floor, so it may pay to prefer it: that is
// one number more to enumerate, the node-days moved from cheap to dear.
func (s small) best() float64 {
	best := math.Inf(1)
	for signed := range 16 {
		best = min(best, s.signed(signed))
	}
	return best
}

func (s small) signed(bits int) float64 {
	hours := 24 * float64(len(s.demand))
	fixed, free, covered, cheap, commit := 0.0, 0, 0, s.cheap, 0.0
	for i, block := range s.blocks {
		if bits>>i&1 == 1 {
			fixed += float64(block.count*block.rate) * hours
			free += block.count
		}
	}
	if bits>>2&1 == 1 {
		fixed += float64(s.covered) * s.hourly * hours
		covered = s.covered
	}
	if bits>>3&1 == 1 {
		cheap *= 1 - float64(s.percentOff)/100
		commit = s.commit
	}
	onDear, onCheap, room := 0.0, 0.0, 0.0 // node-hours
	for _, d := range s.demand {
		left := max(d-free-covered, 0)
		byPrice := min(left, s.capacity)
		if cheap >= s.dear {
			byPrice = 0
		}
		onCheap += 24 * float64(byPrice)
		onDear += 24 * float64(left-byPrice)
		room += 24 * float64(min(left, s.capacity))
	}
	pays := func(x float64) float64 { // node-hours on cheap
		dear, low := (onDear+onCheap-x)*s.dear, x*cheap
		return fixed + dear + math.Max(s.floor-dear, 0) + low + math.Max(commit-low, 0)
	}
	// Piecewise linear in x: the best is at an end or where a floor is just met.
	best := math.Inf(1)
	for _, x := range []float64{0, room, onCheap, (onDear + onCheap) - s.floor/s.dear, commit / cheap} {
		best = math.Min(best, pays(math.Min(math.Max(x, 0), room)))
	}
	return best
}

func TestTwentySmallModelsHaveTheOptimumThatEnumerationProves(t *testing.T) {
	if testing.Short() {
		t.Skip("many solves; go test without -short runs them")
	}
	random := rand.New(rand.NewPCG(5, 20))
	signs := map[plan.Action]int{}
	for n := range 20 {
		s := small{dear: 40 + float64(random.IntN(20)), cheap: 25 + float64(random.IntN(20)), capacity: random.IntN(12), floor: float64((1 + random.IntN(8)) * 5000)}
		for range 3 + random.IntN(3) {
			s.demand = append(s.demand, random.IntN(20))
		}
		s.demand[0] += 3
		s.blocks[0].count, s.blocks[0].rate = 1+random.IntN(6), 15+random.IntN(35)
		s.blocks[1].count, s.blocks[1].rate = 1+random.IntN(6), 15+random.IntN(35)
		s.covered, s.hourly = 1+random.IntN(5), float64(15+random.IntN(35))
		s.percentOff, s.commit = 5+random.IntN(25), float64((1+random.IntN(8))*4000)
		made := solve(t, s.yaml())
		want := s.best()
		if math.Abs(made.Quality.Objective-want) > 1e-6*want {
			t.Errorf("model %d: %.4f, and enumeration proves %.4f\n%s", n, made.Quality.Objective, want, s.yaml())
		}
		if billed := float64(made.Futures[0].Spend.Micros) / 1e6; math.Abs(billed-want) > 0.005*want {
			t.Errorf("model %d: billing says %.4f of a plan of %.4f\n%s", n, billed, want, s.yaml())
		}
		violations, err := planner.Check(problem(t, s.yaml()), made)
		if err != nil || len(violations) > 0 {
			t.Errorf("model %d: %v %v", n, violations, err)
		}
		for _, d := range made.Decisions {
			signs[d.Action]++
		}
	}
	if signs[plan.Sign] < 8 || signs[plan.Decline] < 8 {
		t.Errorf("the models are too easy: %v", signs)
	}
}
