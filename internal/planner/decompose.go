package planner

import (
	"context"
	"math"
	"slices"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// largeColumns is how many columns of all futures make a portfolio be
// decomposed: one program of more takes minutes before its first answer.
const largeColumns = 60_000

// large reports whether the portfolio is decomposed by its futures.
func (p *Problem) large() bool {
	if len(p.futures) < 2 {
		return false
	}
	perFuture := (len(p.works)*len(p.groups) + len(p.lines)*(1+len(p.deals))/2) * len(p.Periods)
	return perFuture*len(p.futures) > largeColumns
}

// rounds is how often the futures are brought together.
const rounds = 6

// decompose plans by progressive hedging: each future is relaxed and solved by
// itself with prices on the first stage; the mean of what they want is held in
// all of them, which is a plan; and the prices move until they agree. Prices
// that sum to nothing make the sum of the futures' optima a bound on any plan
// (Rockafellar and Wets 1991 for the method; Gade et al. 2016 for the bound).
//
// CVaR is the dearest weighting of the futures within limits, so any weighting
// within them gives a bound, and that of the best plan so far the sharpest.
func decompose(ctx context.Context, solver lp.Solver, p *Problem, o Options) (*plan.Plan, error) {
	d := &decomposition{Problem: p, solver: solver, o: o, bound: -inf, best: inf}
	for range p.futures {
		d.prices = append(d.prices, d.zero())
	}
	d.groups = p.sharing()
	d.weights = p.probabilities()
	d.wants, d.bases, d.least = make([]*decided, len(p.futures)), make([]*lp.Basis, len(p.futures)), make([]float64, len(p.futures))
	for round := range rounds {
		if err := d.relax(ctx, round == 0); err != nil {
			return nil, err
		}
		if err := d.try(ctx, round == 0); err != nil {
			return nil, err
		}
		if d.done(ctx) {
			break
		}
		if round+1 < rounds {
			d.move()
		}
	}
	if d.parts == nil {
		return nil, fault.New(fault.Conflict, "no plan was found that all futures can keep; give work a price of not being served, or plan with one future to see the conflict")
	}
	return writePlan(ctx, solver, d.parts, d.first, d.best, d.bound, o)
}

type decomposition struct {
	*Problem
	solver lp.Solver
	o      Options

	wants   []*decided // by future: the relaxed first stage
	prices  []*decided // by future, of what it decides; of futures that share a decision their weighted sum is nothing
	groups  sharing
	weights []float64 // of futures; the probabilities where risk does not count
	bases   []*lp.Basis
	least   []float64 // by future: what it costs by itself at least
	worth   *decided  // cost of a unit of each first-stage variable
	bound   float64

	best  float64
	parts []part
	first policy
	tried []policy
}

// done reports whether the plan is close enough to the bound.
func (d *decomposition) done(ctx context.Context) bool {
	return d.best < inf && (relative(d.best, d.bound) <= d.o.lp().RelativeGap || ctx.Err() != nil)
}

// try holds the candidates, first of all what an earlier plan decided, until
// one is close enough.
func (d *decomposition) try(ctx context.Context, first bool) error {
	candidates := d.candidates()
	if start := policyOf(d.o.Start, d.futures); first && start.fits(d.zero()) {
		candidates = append([]policy{start.forEach(len(d.futures))}, candidates...)
	}
	for _, candidate := range candidates {
		if d.done(ctx) {
			return nil
		}
		if err := d.hold(ctx, candidate); err != nil {
			return err
		}
	}
	return nil
}

func (p *Problem) probabilities() []float64 {
	var all []float64
	for _, f := range p.futures {
		all = append(all, f.probability)
	}
	return all
}

// risk is what costs by future count: (1−λ)·expected + λ·CVaR.
func (p *Problem) risk(costs []float64) float64 {
	expected, weight := 0.0, p.Portfolio.Risk.Weight
	for s, c := range costs {
		expected += p.futures[s].probability * c
	}
	if weight == 0 {
		return expected
	}
	return (1-weight)*expected + weight*CVaR(costs, p.probabilities(), p.Portfolio.Risk.Tail)
}

// weighting is the one of the futures under which costs count what risk says.
func (p *Problem) weighting(costs []float64) []float64 {
	weight, tail := p.Portfolio.Risk.Weight, p.Portfolio.Risk.Tail
	weights := p.probabilities()
	if weight == 0 {
		return weights
	}
	left := 1.0
	for _, s := range dearestFirst(costs) {
		part := min(left, p.futures[s].probability/(1-tail))
		left -= part
		weights[s] = (1-weight)*p.futures[s].probability + weight*part
	}
	return weights
}

// sharing is the groups of futures that share each decision, in the order of a path.
type sharing struct {
	deals, buys, ports [][][]int
}

func (p *Problem) sharing() sharing {
	var g sharing
	for _, d := range p.deals {
		g.deals = append(g.deals, alike(p.futures, d.start))
	}
	for _, b := range p.buyingOptions() {
		g.buys = append(g.buys, alike(p.futures, p.Periods[b.period].From))
	}
	for _, b := range p.portingOptions() {
		g.ports = append(g.ports, alike(p.futures, p.Periods[b.period].From))
	}
	return g
}

// mean is the weighted mean of each decision over the futures that share it. A
// group of no weight, which then counts for nothing, has its plain mean.
func (g sharing) mean(paths []*decided, weights []float64) policy {
	means := make(policy, len(paths))
	for s := range paths {
		means[s] = paths[s].clone()
	}
	g.each(func(groups [][]int, number func(*decided) *float64) {
		for _, group := range groups {
			sum, weight, plain := 0.0, 0.0, 0.0
			for _, s := range group {
				sum += weights[s] * *number(paths[s])
				weight += weights[s]
				plain += *number(paths[s]) / float64(len(group))
			}
			if weight > 0 {
				plain = sum / weight
			}
			for _, s := range group {
				*number(means[s]) = plain
			}
		}
	})
	return means
}

// each calls a function for each number of a path, with the groups that share it.
func (g sharing) each(do func(groups [][]int, number func(*decided) *float64)) {
	for i, groups := range g.deals {
		do(groups, func(d *decided) *float64 { return &d.Sign[i] })
		do(groups, func(d *decided) *float64 { return &d.Size[i] })
	}
	for i, groups := range g.buys {
		do(groups, func(d *decided) *float64 { return &d.Buy[i] })
	}
	for i, groups := range g.ports {
		do(groups, func(d *decided) *float64 { return &d.Port[i] })
	}
}

// loose calls a function for each number that a future shares with no other: by
// then it is known to be the one, and may decide for itself.
func (g sharing) loose(s int, do func(number func(*decided) *float64)) {
	g.each(func(groups [][]int, number func(*decided) *float64) {
		if slices.ContainsFunc(groups, func(group []int) bool { return len(group) == 1 && group[0] == s }) {
			do(number)
		}
	})
}

// loosened is a path with what only its future decides left open.
func (g sharing) loosened(path *decided, s int) *decided {
	open := path.clone()
	g.loose(s, func(number func(*decided) *float64) { *number(open) = math.NaN() })
	return open
}

// zero is a path on which nothing is decided.
func (p *Problem) zero() *decided {
	return &decided{make([]float64, len(p.deals)), make([]float64, len(p.deals)), make([]float64, len(p.buyingOptions())), make([]float64, len(p.portingOptions()))}
}

func (d *decomposition) alone(s int) []future {
	one := d.futures[s]
	one.probability = 1
	return []future{one}
}

// relax solves each future's relaxation under its prices and adds the bound up.
func (d *decomposition) relax(ctx context.Context, first bool) error {
	models := make([]*model, len(d.futures))
	for s := range d.futures {
		models[s] = d.build(question{futures: d.alone(s), tilt: d.prices[s]})
	}
	solutions := make([]lp.Solution, len(models))
	err := d.o.all(len(models), func(s int) (err error) {
		solutions[s], err = d.solver.Solve(ctx, models[s].lp.Relaxed(), lp.Options{TimeLimit: d.o.TimeLimit, Basis: d.bases[s]})
		return err
	})
	if err != nil {
		return err
	}
	sum, costs := 0.0, make([]float64, len(models))
	for s, solution := range solutions {
		m := models[s]
		if solution.Status == lp.Infeasible {
			return m.conflict(ctx, d.solver)
		}
		if solution.Status != lp.Optimal {
			return fault.Newf(fault.Transient, "the relaxation of %s ended as %s; give it more time", d.futures[s].name, solution.Status)
		}
		d.wants[s], d.bases[s] = m.recourse[0].exact(solution.Values), solution.Basis
		if d.worth == nil {
			d.worth = m.unitCosts()
		}
		costs[s] = solution.Objective * m.scale
		sum += d.weights[s] * costs[s]
	}
	if first { // without prices any weighting gives a bound, so the dearest may be taken
		copy(d.least, costs)
		sum = d.risk(costs)
		d.weights = d.weighting(costs)
	}
	d.bound = math.Max(d.bound, sum)
	d.report()
	return nil
}

func (d *decomposition) report() {
	if d.o.Progress != nil {
		gap := inf
		if d.best < inf {
			gap = relative(d.best, d.bound)
		}
		d.o.Progress(lp.Progress{Incumbent: d.best, Bound: d.bound, Gap: gap})
	}
}

// unitCosts is what a unit of each first-stage variable costs by itself.
func (m *model) unitCosts() *decided {
	d, r := &decided{}, m.recourse[0]
	for i := range m.deals {
		d.Sign = append(d.Sign, m.lp.Cost(r.sign[i][0].Var)*m.scale)
		d.Size = append(d.Size, m.lp.Cost(r.size[i][0].Var)*m.scale/r.size[i][0].Coefficient)
	}
	for _, b := range r.buys {
		d.Buy = append(d.Buy, m.lp.Cost(b.v)*m.scale)
	}
	for _, b := range r.ports {
		d.Port = append(d.Port, m.lp.Cost(b.v)*m.scale)
	}
	return d
}

// mean is what the futures that share a decision want of it on average.
func (d *decomposition) mean() policy {
	return d.groups.mean(d.wants, d.weights)
}

// candidates are first stages that can be signed: the mean, rounded, with what
// is wanted on average half and, another, what is wanted at all.
func (d *decomposition) candidates() []policy {
	var all []policy
	for _, threshold := range []float64{0.5, 0.05} {
		mean := d.mean()
		for _, c := range mean {
			d.round(c, threshold)
		}
		if !d.known(mean) {
			d.tried = append(d.tried, mean)
			all = append(all, mean)
		}
	}
	return all
}

// round makes of what is wanted on average what can be signed: what is whole is
// taken above a threshold.
func (d *decomposition) round(c *decided, threshold float64) {
	for i, deal := range d.deals {
		switch {
		case deal.fixed && deal.Size == nil:
			c.Sign[i], c.Size[i] = 1, 1
		case deal.Size == nil:
			c.Sign[i] = decide(c.Sign[i] > threshold)
			c.Size[i] = c.Sign[i]
		default:
			if step := deal.Size.Step; step > 0 {
				c.Size[i] = math.Round(c.Size[i]/step) * step
			}
			c.Size[i] = math.Round(c.Size[i]*1e6) / 1e6
			c.Sign[i] = decide(c.Size[i] > 1e-6)
			c.Size[i] *= c.Sign[i]
		}
	}
	for i := range c.Buy {
		c.Buy[i] = math.Round(c.Buy[i])
	}
	for i := range c.Port {
		c.Port[i] = decide(c.Port[i] > threshold)
	}
}

func (d *decomposition) known(c policy) bool {
	for _, old := range d.tried {
		same := true
		for s := range c {
			each(func(x ...*float64) { same = same && *x[0] == *x[1] }, c[s], old[s])
		}
		if same {
			return true
		}
	}
	return false
}

func decide(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// hold plays what is decided in all futures and keeps it where it is the best.
func (d *decomposition) hold(ctx context.Context, first policy) error {
	parts, costs := make([]part, len(d.futures)), append([]float64{}, d.least...)
	step := len(d.futures)
	if d.best < inf {
		step = 2 // most are soon seen to be no better
	}
	for from := 0; from < len(parts); from += step {
		to := min(from+step, len(parts))
		for s := from; s < to; s++ {
			parts[s] = part{&answer{model: d.build(question{futures: d.alone(s), hold: policy{d.groups.loosened(first.in(s), s)}})}, 0}
		}
		err := d.o.all(to-from, func(i int) error { return d.place(ctx, parts[from+i].answer, d.bases[from+i]) })
		if err != nil {
			return err
		}
		for s := from; s < to; s++ {
			if parts[s].Values == nil {
				return nil // this future cannot keep it
			}
			costs[s] = parts[s].Objective * parts[s].scale
		}
		if d.risk(costs) > d.best {
			return nil
		}
	}
	found := first.forEach(len(parts))
	for s, p := range parts { // what only this future decides, it decided now
		d.groups.loose(s, func(number func(*decided) *float64) { *number(found[s]) = *number(p.policy(p.Values)[0]) })
	}
	d.best, d.parts, d.first = d.risk(costs), parts, found
	d.reweigh(costs)
	d.report()
	return nil
}

// place finds the best placement under a first stage that is held. What is left
// is often a linear program, and close to the relaxed one.
func (d *decomposition) place(ctx context.Context, a *answer, basis *lp.Basis) error {
	solution, err := d.solver.Solve(ctx, a.lp.Relaxed(), lp.Options{TimeLimit: d.o.TimeLimit, Basis: basis})
	if err == nil && solution.Values != nil && !a.lp.IsWhole(solution.Values) {
		o := d.o
		o.Progress = nil
		solution, err = d.solver.Solve(ctx, a.lp, o.lp())
	}
	a.Solution = solution
	return err
}

// reweigh takes the weighting of the best plan's costs; prices must sum to
// nothing under it.
func (d *decomposition) reweigh(costs []float64) {
	if d.Portfolio.Risk.Weight == 0 {
		return
	}
	d.weights = d.weighting(costs)
	for s, off := range d.groups.mean(d.prices, d.weights) {
		each(func(x ...*float64) { *x[0] -= *x[1] }, d.prices[s], off)
	}
}

// move raises the price of what a future wants more of than the mean. A step
// is the variable's own cost over how far the futures are apart.
func (d *decomposition) move() {
	mean := d.mean()
	spread := d.zero()
	for s, want := range d.wants {
		each(func(x ...*float64) { *x[0] = math.Max(*x[0], math.Abs(*x[1]-*x[2])) }, spread, want, mean[s])
	}
	const step = 0.1
	for s, want := range d.wants {
		each(func(x ...*float64) {
			price, want, mean, cost, spread := x[0], *x[1], *x[2], math.Abs(*x[3]), *x[4]
			if spread > 1e-9 {
				*price += step * cost / spread * (want - mean)
			}
		}, d.prices[s], want, mean[s], d.worth, spread)
	}
}
