package planner

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// Options of a plan.
type Options struct {
	Gap       float64       // proved relative gap at which to stop; 0.5% where 0
	TimeLimit time.Duration // of one solve; 0 for none
	Work      float64       // deterministic limit in place of time
	Progress  func(lp.Progress)
	Start     *plan.FirstStage                  // of an earlier plan: tried first
	Split     bool                              // solve futures by themselves whatever the size
	Asking    func(done, all int, words string) // told of each question of many, before it is asked, and when all are

	// Each calls a function for 0 … n−1, in any order or at once, and returns
	// one of its errors; nil: one after the other. What is planned does not depend on it.
	Each func(n int, do func(i int) error) error
}

// all calls a function for 0 … n−1.
func (o Options) all(n int, do func(i int) error) error {
	if o.Each != nil {
		return o.Each(n, do)
	}
	for i := range n {
		if err := do(i); err != nil {
			return err
		}
	}
	return nil
}

func (o Options) lp() lp.Options {
	gap := o.Gap
	if gap == 0 {
		gap = 0.005
	}
	return lp.Options{RelativeGap: gap, TimeLimit: o.TimeLimit, Work: o.Work, Progress: o.Progress}
}

// answer is a solved question.
type answer struct {
	*model
	lp.Solution
}

// ask solves a question. An infeasible one names its conflict in the error,
// which is of kind Conflict.
func (p *Problem) ask(ctx context.Context, solver lp.Solver, q question, o Options) (*answer, error) {
	m := p.build(q)
	options := o.lp()
	if o.Start != nil {
		options.Start = m.startFrom(ctx, solver, o)
	}
	solution, err := solver.Solve(ctx, m.lp, options)
	if err != nil {
		return nil, err
	}
	switch solution.Status {
	case lp.Infeasible:
		return nil, m.conflict(ctx, solver)
	case lp.Unbounded:
		return nil, fault.New(fault.Internal, "the model is unbounded: some contract pays without limit")
	case lp.Unknown:
		return nil, fault.New(fault.Transient, "no plan was found within the limit; give it more time")
	}
	if !m.lp.HasIntegers() || solution.Status == lp.Optimal && math.IsInf(solution.Bound, -1) {
		solution.Bound, solution.Gap = solution.Objective, 0
	}
	return &answer{m, solution}, nil
}

// unproved is why a plan without a bound is refused: how good it is, nobody knows.
func unproved() error {
	return fault.New(fault.Transient, "a plan was found, but within the time limit nothing was proved of how close to the best it is; give it more time (--time-limit)")
}

// proved reports whether a bound is known.
func proved(bound float64) bool { return !math.IsInf(bound, 0) && !math.IsNaN(bound) }

// Relaxed returns the optimum of a problem's linear relaxation: no plan costs less.
func Relaxed(ctx context.Context, solver lp.Solver, p *Problem) (float64, error) {
	m := p.build(question{weighted: true})
	solution, err := solver.Solve(ctx, m.lp.Relaxed(), lp.Options{})
	if err != nil {
		return 0, err
	}
	if solution.Status != lp.Optimal {
		return 0, fault.Newf(fault.Conflict, "the relaxation is %s", solution.Status)
	}
	return solution.Objective * m.scale, nil
}

// startFrom solves with the first stage of an earlier plan held: a first
// incumbent, and no more than that.
func (m *model) startFrom(ctx context.Context, solver lp.Solver, o Options) []float64 {
	hold := policyOf(o.Start, m.futures)
	if !hold.fits(m.zero()) {
		return nil
	}
	held := m.ask
	held.hold = hold
	start, err := solver.Solve(ctx, m.Problem.build(held).lp, lp.Options{RelativeGap: o.lp().RelativeGap / 10, TimeLimit: o.TimeLimit, Work: o.Work})
	if err != nil || start.Values == nil {
		return nil
	}
	return start.Values
}

// family is constraints that stand and fall together in the user's eyes.
type family struct {
	kind    rowKind
	subject string
}

// conflict names an irreducible set of what cannot hold together: in one future
// where that suffices, and without regard to what must be whole where that does.
func (m *model) conflict(ctx context.Context, solver lp.Solver) error {
	if len(m.futures) > 1 {
		for s := range m.futures {
			ask := m.ask
			if ask.futures = m.futures[s : s+1]; ask.hold != nil {
				ask.hold = policy{ask.hold.in(s)}
			}
			one := m.Problem.build(ask)
			solution, err := solver.Solve(ctx, one.lp, lp.Options{})
			if err != nil {
				return err
			}
			if solution.Status == lp.Infeasible {
				return one.conflict(ctx, solver)
			}
		}
	}
	var families []family
	rows := map[family][]lp.Row{}
	for i, info := range m.info {
		if info.kind == rowGroup || info.kind == rowLink || info.kind == rowDraw || info.kind == rowForce || info.kind == rowTier || info.kind == rowWarrant {
			continue
		}
		f := family{info.kind, info.subject}
		if rows[f] == nil {
			families = append(families, f)
		}
		rows[f] = append(rows[f], lp.Row(i))
	}
	work := m.lp.Relaxed()
	if solution, err := solver.Solve(ctx, work, lp.Options{}); err != nil {
		return err
	} else if solution.Status != lp.Infeasible {
		work = m.lp.Clone()
	}
	var kept []family
	for _, f := range families {
		saved := make([][2]float64, len(rows[f]))
		for i, row := range rows[f] {
			saved[i][0], saved[i][1] = m.lp.Limits(row)
			work.Limit(row, -inf, inf)
		}
		solution, err := solver.Solve(ctx, work, lp.Options{})
		if err != nil {
			return err
		}
		if solution.Status == lp.Infeasible {
			continue // not needed for the conflict
		}
		for i, row := range rows[f] {
			work.Limit(row, saved[i][0], saved[i][1])
		}
		kept = append(kept, f)
	}
	return m.conflictWords(ctx, solver, work, kept, rows)
}

// conflictWords narrows each family of the conflict to its constraints that
// matter and says them.
func (m *model) conflictWords(ctx context.Context, solver lp.Solver, work *lp.Model, kept []family, rows map[family][]lp.Row) error {
	var candidates []lp.Row
	for _, f := range kept {
		candidates = append(candidates, rows[f]...)
	}
	const few = 400
	if len(candidates) <= few {
		if narrowed, err := lp.Conflict(ctx, solver, work, candidates); err == nil && narrowed != nil {
			candidates = narrowed
		}
	}
	words := m.gatherWords(candidates)
	const most = 12
	if len(words) > most {
		words = append(words[:most:most], fmt.Sprintf("and %d more", len(words)-most))
	}
	if len(words) == 0 {
		return fault.New(fault.Conflict, "no plan can serve the demand: the offers left have no capacity for it")
	}
	future := ""
	if len(m.futures) == 1 && len(m.Problem.futures) > 1 {
		future = " if " + m.futures[0].name
	}
	return fault.Newf(fault.Conflict, "no plan can keep all of these%s, and any plan can keep them without one of them:\n  %s", future, strings.Join(words, "\n  "))
}

// prices solves the linear program with all integers of an answer fixed: its
// duals are the prices of the decision.
func (a *answer) prices(ctx context.Context, solver lp.Solver) ([]float64, error) {
	solution, err := solver.Solve(ctx, a.lp.Fixed(a.Values), lp.Options{})
	if err != nil {
		return nil, err
	}
	if solution.Status != lp.Optimal || solution.Duals == nil {
		return make([]float64, a.lp.Constraints()), nil
	}
	return solution.Duals, nil
}

// value is an expression's value in the answer.
func (a *answer) value(terms []lp.Term) float64 {
	sum := 0.0
	for _, t := range terms {
		sum += t.Coefficient * a.Values[t.Var]
	}
	return sum
}

// CVaR returns the mean of the worst 1−tail of the costs.
func CVaR(costs, probabilities []float64, tail float64) float64 {
	left, sum := 1-tail, 0.0
	for _, i := range dearestFirst(costs) {
		part := min(left, probabilities[i])
		sum += part * costs[i]
		left -= part
	}
	return sum / (1 - tail)
}

// dearestFirst orders costs, the largest first.
func dearestFirst(costs []float64) []int {
	order := make([]int, len(costs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(costs[j], costs[i]) })
	return order
}
