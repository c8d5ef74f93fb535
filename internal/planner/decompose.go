package planner

import (
	"context"
	"math"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// largeColumns is how many columns of all futures make a portfolio be
// decomposed: one program of more takes minutes before its first answer.
const largeColumns = 60_000

// large reports whether the portfolio is decomposed by its futures. CVaR binds
// futures together, so a portfolio with a weight on it stays whole.
func (p *Problem) large() bool {
	if len(p.futures) < 2 || p.Portfolio.Risk.Weight > 0 {
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
func decompose(ctx context.Context, solver lp.Solver, p *Problem, o Options) (*plan.Plan, error) {
	d := &decomposition{Problem: p, solver: solver, o: o, bound: -inf, best: inf}
	target := o.lp().RelativeGap
	for round := range rounds {
		if err := d.relax(ctx); err != nil {
			return nil, err
		}
		for _, candidate := range d.candidates() {
			if err := d.hold(ctx, candidate); err != nil {
				return nil, err
			}
		}
		if d.best < inf && (relative(d.best, d.bound) <= target || ctx.Err() != nil) {
			break
		}
		if round+1 < rounds {
			d.move()
		}
	}
	if d.parts == nil {
		return nil, fault.New(fault.Conflict, "no plan was found that all futures can keep; give work a price of not being served, or plan with one future to see the conflict")
	}
	return writePlan(ctx, solver, d.parts, d.first, d.best, d.bound)
}

type decomposition struct {
	*Problem
	solver lp.Solver
	o      Options

	wants  []*decided // by future: the relaxed first stage
	prices []*decided
	worth  *decided // cost of a unit of each first-stage variable
	bound  float64

	best  float64
	parts []part
	first *decided
	tried []*decided
}

// each applies a function to the numbers of first stages, side by side.
func each(f func(x ...*float64), all ...*decided) {
	lists := func(d *decided) [][]float64 { return [][]float64{d.Sign, d.Size, d.Buy, d.Port} }
	for k := range lists(all[0]) {
		for i := range lists(all[0])[k] {
			var x []*float64
			for _, d := range all {
				x = append(x, &lists(d)[k][i])
			}
			f(x...)
		}
	}
}

func (d *decomposition) zero() *decided {
	return &decided{make([]float64, len(d.deals)), make([]float64, len(d.deals)), make([]float64, len(d.buyingOptions())), make([]float64, len(d.portingOptions()))}
}

func (d *decomposition) alone(s int) []future {
	one := d.futures[s]
	one.probability = 1
	return []future{one}
}

// relax solves each future's relaxation under its prices and adds the bound up.
func (d *decomposition) relax(ctx context.Context) error {
	sum := 0.0
	for s := range d.futures {
		q := question{futures: d.alone(s)}
		if d.prices != nil {
			q.tilt = d.prices[s]
		}
		m := d.build(q)
		solution, err := d.solver.Solve(ctx, m.lp.Relaxed(), lp.Options{TimeLimit: d.o.TimeLimit})
		if err != nil {
			return err
		}
		if solution.Status == lp.Infeasible {
			return m.conflict(ctx, d.solver)
		}
		if solution.Status != lp.Optimal {
			return fault.Newf(fault.Transient, "the relaxation of %s ended as %s; give it more time", d.futures[s].name, solution.Status)
		}
		if len(d.wants) <= s {
			d.wants = append(d.wants, nil)
		}
		d.wants[s] = m.exactFirst(solution.Values)
		if d.worth == nil {
			d.worth = m.unitCosts()
		}
		sum += d.futures[s].probability * solution.Objective * m.scale
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
	d := &decided{}
	for i := range m.deals {
		d.Sign = append(d.Sign, m.lp.Cost(m.sign[i][0].Var)*m.scale)
		d.Size = append(d.Size, m.lp.Cost(m.size[i][0].Var)*m.scale/m.size[i][0].Coefficient)
	}
	for _, b := range m.buys {
		d.Buy = append(d.Buy, m.lp.Cost(b.v)*m.scale)
	}
	for _, b := range m.ports {
		d.Port = append(d.Port, m.lp.Cost(b.v)*m.scale)
	}
	return d
}

// mean is what the futures want on average.
func (d *decomposition) mean() *decided {
	mean := d.zero()
	for s, want := range d.wants {
		each(func(x ...*float64) { *x[0] += d.futures[s].probability * *x[1] }, mean, want)
	}
	return mean
}

// candidates are first stages that can be signed: the mean, rounded, with what
// is wanted on average half and, another, what is wanted at all.
func (d *decomposition) candidates() []*decided {
	var all []*decided
	for _, threshold := range []float64{0.5, 0.05} {
		c := d.mean()
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
		if !d.known(c) {
			d.tried = append(d.tried, c)
			all = append(all, c)
		}
	}
	return all
}

func (d *decomposition) known(c *decided) bool {
	for _, old := range d.tried {
		same := true
		each(func(x ...*float64) { same = same && *x[0] == *x[1] }, c, old)
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

// hold plays a first stage in all futures and keeps it where it is the best.
func (d *decomposition) hold(ctx context.Context, first *decided) error {
	sum := 0.0
	var parts []part
	for s := range d.futures {
		o := d.o
		o.Progress, o.Start = nil, nil
		m := d.build(question{futures: d.alone(s), hold: first})
		solution, err := d.solver.Solve(ctx, m.lp, o.lp())
		if err != nil {
			return err
		}
		if solution.Values == nil {
			return nil // this future cannot keep it
		}
		a := &answer{m, solution}
		sum += d.futures[s].probability * a.Objective * a.scale
		parts = append(parts, part{a, 0})
		if sum > d.best {
			return nil
		}
	}
	d.best, d.parts, d.first = sum, parts, first
	d.report()
	return nil
}

// move raises the price of what a future wants more of than the mean. A step
// is the variable's own cost over how far the futures are apart.
func (d *decomposition) move() {
	mean := d.mean()
	if d.prices == nil {
		for range d.futures {
			d.prices = append(d.prices, d.zero())
		}
	}
	spread := d.zero()
	for _, want := range d.wants {
		each(func(x ...*float64) { *x[0] = math.Max(*x[0], math.Abs(*x[1]-*x[2])) }, spread, want, mean)
	}
	const step = 0.1
	for s, want := range d.wants {
		each(func(x ...*float64) {
			price, want, mean, cost, spread := x[0], *x[1], *x[2], math.Abs(*x[3]), *x[4]
			if spread > 1e-9 {
				*price += step * cost / spread * (want - mean)
			}
		}, d.prices[s], want, mean, d.worth, spread)
	}
}
