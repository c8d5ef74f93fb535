package planner

import (
	"context"
	"fmt"
	"reflect"
	"sort"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// Stressed is what a plan that is held does under one shock.
type Stressed struct {
	Shock    string    `json:"shock"`
	Scenario bool      `json:"scenario"` // of the portfolio; else of the grid
	Cost     float64   `json:"cost"`     // discounted, with penalties for what broke
	Best     float64   `json:"best"`     // of the plan that had known
	Regret   float64   `json:"regret"`
	Unserved float64   `json:"unserved"` // worst share of a demand that is not served
	Who      string    `json:"unserved_demand,omitempty"`
	CashLow  *plan.Low `json:"cash_low,omitempty"`
	Broken   []string  `json:"broken"`        // covenants and limits
	Gap      *float64  `json:"gap,omitempty"` // the wider of its two plans; nil: none was proved within the time limit
}

// Stress holds the plan's first stage and lets only the recourse answer, under
// each scenario and a grid of shocks. Regret is what that costs more than the
// best plan for that future alone; both may break limits at the same price.
func Stress(ctx context.Context, solver lp.Solver, p *Problem, made *plan.Plan, o Options) ([]Stressed, error) {
	shocks := p.shocks()
	var all []Stressed
	for i, f := range shocks {
		one, err := p.stress(ctx, solver, f, p.follow(&made.Choice, &shocks[i]), o)
		if err != nil {
			return nil, fmt.Errorf("under %s: %w", f.name, err)
		}
		one.Scenario = i < len(p.futures)
		all = append(all, one)
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].Regret > all[j].Regret })
	return all, nil
}

func (p *Problem) stress(ctx context.Context, solver lp.Solver, f future, hold policy, o Options) (Stressed, error) {
	f.probability = 1
	held, err := p.ask(ctx, solver, question{futures: []future{f}, hold: hold, soft: true}, o)
	if err != nil {
		return Stressed{}, err
	}
	free, err := p.ask(ctx, solver, question{futures: []future{f}, soft: true}, o)
	if err != nil {
		return Stressed{}, err
	}
	out := Stressed{Shock: f.name, Cost: held.Objective * held.scale, Best: free.Objective * free.scale, Broken: []string{}}
	if proved(held.Bound) && proved(free.Bound) {
		gap := max(relative(held.Objective, held.Bound), relative(free.Objective, free.Bound))
		out.Gap = &gap
	}
	out.Regret = max(out.Cost-out.Best, 0)
	result, err := held.future(0, held.policy(held.Values)[0])
	if err != nil {
		return Stressed{}, err
	}
	out.Unserved, out.Who = held.worstUnserved(result)
	out.CashLow = result.CashLow
	out.Broken = append(append(out.Broken, result.Breaches...), result.Broken...)
	return out, nil
}

// worstUnserved is the demand of which the largest share is not served.
func (a *answer) worstUnserved(f *plan.Future) (worst float64, who string) {
	for i, w := range a.works {
		missing, all := 0.0, w.Total
		for _, u := range f.Unserved {
			if u.Demand == w.Name {
				missing += u.Units
			}
		}
		for t, period := range a.Periods {
			if w.Total == 0 {
				all += a.futures[0].demand[i][t] * period.Hours()
			}
		}
		if all > 0 && missing/all > worst+1e-9 {
			worst, who = missing/all, w.Name
		}
	}
	return worst, who
}

// shocks are the portfolio's scenarios, then a grid: each provider and each
// chipmaker dearer, with less supply and later; chips that under-perform;
// demand up and down. A shock that changes no figure is none.
func (p *Problem) shocks() []future {
	shocks := append([]future{}, p.futures...)
	calm := p.future("", 1, nil)
	add := func(name string, effects ...plan.Effect) {
		if f := p.future(name, 1, effects); !p.same(&f, &calm) {
			shocks = append(shocks, f)
		}
	}
	factor := func(x float64) *float64 { return &x }
	for _, provider := range p.values(string(plan.ByProvider)) {
		add(provider+" 30% dearer", plan.Effect{What: plan.Price, Providers: []string{provider}, Factor: factor(1.3)})
		add(provider+" supplies half", plan.Effect{What: plan.Supply, Providers: []string{provider}, Factor: factor(0.5)})
		add(provider+" six months late", plan.Effect{What: plan.Delay, Providers: []string{provider}, For: &contract.Span{Months: 6}})
	}
	for _, maker := range p.values(string(plan.ByChipmaker)) {
		add(maker+" chips 20% slower", plan.Effect{What: plan.Throughput, Chipmakers: []string{maker}, Factor: factor(0.8)})
	}
	add("demand up 30%", plan.Effect{What: plan.Traffic, Factor: factor(1.3)})
	add("demand down 30%", plan.Effect{What: plan.Traffic, Factor: factor(0.7)})
	if p.Portfolio.Financing != nil {
		add("revenue down 20%", plan.Effect{What: plan.Income, Factor: factor(0.8)})
	}
	for _, d := range (&model{Problem: p}).uniqueDeals() {
		if !d.fixed {
			add(d.Contract+" is blocked", plan.Effect{What: plan.Block, Contracts: []string{d.Contract}})
		}
	}
	return shocks
}

// same reports whether two futures have the same figures throughout.
func (p *Problem) same(a, b *future) bool {
	for _, w := range p.works {
		if p.totalFactor(w, a) != p.totalFactor(w, b) {
			return false
		}
	}
	return reflect.DeepEqual(a.demand, b.demand) && reflect.DeepEqual(a.price, b.price) && reflect.DeepEqual(a.capacity, b.capacity) &&
		reflect.DeepEqual(a.factor, b.factor) && reflect.DeepEqual(a.terms, b.terms) && reflect.DeepEqual(a.income, b.income)
}
