package planner

import (
	"context"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// Future is one way in which things may turn out.
type Future struct {
	Name    string
	Effects []plan.Effect
}

// Outcome is what one first stage comes to in one future.
type Outcome struct {
	Cost  float64 // discounted, as the model values it
	Spend float64 // by billing of the rounded schedule, with capital
	Lost  float64 // price of work not served
}

// Play holds a first stage in a future that the planner need not have seen, and
// lets only placement answer, with some providers alone where they are named;
// a nil first stage lets everything answer: the clairvoyant. What must hold may
// break at a price, so that there is always an outcome.
func Play(ctx context.Context, solver lp.Solver, p *Problem, hold *plan.FirstStage, f Future, only []string, o Options) (Outcome, error) {
	return Replay(ctx, solver, p, hold, f, time.Time{}, only, o)
}

// Replay is Play where the buyer plans again on a day: what is signed, bought or
// ported from then on is decided knowing what the future has shown by then,
// taken to persist. A zero day plans no more.
func Replay(ctx context.Context, solver lp.Solver, p *Problem, hold *plan.FirstStage, f Future, again time.Time, only []string, o Options) (Outcome, error) {
	one := p.future(f.Name, 1, f.Effects)
	a, err := p.ask(ctx, solver, question{futures: []future{one}, hold: p.follow(hold, &one), free: again, soft: true, avoid: othersThan(only)}, o)
	if err != nil {
		return Outcome{}, err
	}
	result, err := a.future(0, a.policy(a.Values)[0])
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{Cost: a.Objective * a.scale, Spend: float64(result.Spend.Micros) / 1e6}
	for _, u := range a.recourse[0].unserved {
		out.Lost += a.Values[u.v] * u.hours * u.price
	}
	return out, nil
}

func othersThan(only []string) func(offer) bool {
	if len(only) == 0 {
		return nil
	}
	return func(o offer) bool { return !slices.Contains(only, o.Provider) }
}

// Alone plans with some providers only, the named ones with at least a share of
// chip-hours, and returns the first stage and its cost.
func Alone(ctx context.Context, solver lp.Solver, p *Problem, only []string, least map[string]float64, o Options) (*plan.FirstStage, float64, error) {
	q := question{weighted: true, avoid: othersThan(only), soft: true}
	for _, name := range sortedNames(least) {
		share := contract.Share{Decimal: decimal.NewFromFloat(least[name])}
		q.hedge = &plan.Hedge{Of: plan.ByProvider, Which: name, AtLeast: &share, AtMost: &share, Measure: contract.ChipTime, Per: plan.Whole}
	}
	a, err := p.ask(ctx, solver, q, o)
	if err != nil {
		return nil, 0, err
	}
	first := a.policy(a.Values).stage(a.futures)
	return &first, a.Objective * a.scale, nil
}

// Nothing is the first stage that signs, buys and ports nothing new.
func (p *Problem) Nothing() *plan.FirstStage {
	first := &plan.FirstStage{
		Sign: make([]float64, len(p.deals)), Size: make([]float64, len(p.deals)),
		Buy: make([]float64, len(p.buyingOptions())), Port: make([]float64, len(p.portingOptions())),
	}
	for i, d := range p.deals {
		if d.fixed {
			first.Sign[i], first.Size[i] = 1, 1
		}
	}
	return first
}

// Used is the nodes of each offer in use in the first period.
type Used map[string]float64

// Use places the first future's work under a first stage and returns what its
// first period uses.
func Use(ctx context.Context, solver lp.Solver, p *Problem, hold *plan.FirstStage, o Options) (Used, error) {
	a, err := p.ask(ctx, solver, question{futures: p.futures[:1], hold: p.follow(hold, &p.futures[0]), soft: true}, o)
	if err != nil {
		return nil, err
	}
	used := Used{}
	for _, c := range a.recourse[0].columns {
		if c.period == 0 {
			used[a.offers[a.lines[c.line].offer].Name] += a.Values[c.v]
		}
	}
	return used, nil
}

// CommitTo signs what covers a use: of each contract that comes in sizes, the
// size that the use of its lines would fill; other contracts are left.
func CommitTo(p *Problem, first *plan.FirstStage, used Used) {
	left := Used{}
	for name, nodes := range used {
		left[name] = nodes
	}
	for d, deal := range p.deals {
		k := p.futures[0].terms[d]
		if deal.fixed || deal.Size == nil || k == nil || len(k.bundles) == 0 {
			continue
		}
		b := k.bundles[0]
		t := slices.IndexFunc(b.capacity, func(x float64) bool { return x > 0 })
		if t < 0 {
			continue
		}
		fill := 0.0
		for l, line := range p.lines {
			if use := b.useOf(l, t); use > 0 {
				name := p.offers[line.offer].Name
				fill += left[name] * use
				left[name] = 0 // committed to once
			}
		}
		if size := min(fill/b.capacity[t], deal.Size.Max); size > 0 {
			first.Sign[d], first.Size[d] = 1, size
		}
	}
}
