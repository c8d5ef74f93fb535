package planner

import (
	"context"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/lp"
)

// prune drops decisions that do not pay, and adds ports that do. A search that
// stops within its gap may leave some of either that matter less than the gap: a
// port that carries nothing looks foolish to who signs it. The bound stays: no
// plan costs less.
func (p *Problem) prune(ctx context.Context, solver lp.Solver, a *answer, o Options) (*answer, error) {
	if !a.lp.HasIntegers() || relative(a.Objective, a.Bound) < 1e-9 {
		return a, nil
	}
	o.Progress, o.Start = nil, nil
	best, first := a, a.policy(a.Values)
	for _, change := range append(p.droppable(a, first), addable(a, first)...) {
		changed := first.clone()
		for _, path := range changed {
			change(path)
		}
		other, err := p.ask(ctx, solver, question{weighted: true, hold: changed}, o)
		if fault.Is(err, fault.Conflict) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if other.Objective < best.Objective {
			best, first = other, changed
		}
	}
	best.Bound = a.Bound
	best.Gap = relative(best.Objective, best.Bound)
	return best, nil
}

// addable lists the ports that are not made, each at its earliest date.
func addable(a *answer, first policy) []func(*decided) {
	var all []func(*decided)
	done := map[string]bool{}
	ports := a.recourse[0].ports
	for i, b := range ports {
		if first.some(func(d *decided) bool { return d.Port[i] > 0.5 }) {
			done[b.model+" "+b.family] = true
		}
	}
	for i, b := range ports {
		if key := b.model + " " + b.family; !done[key] {
			done[key] = true
			all = append(all, func(d *decided) { d.Port[i] = 1 })
		}
	}
	return all
}

// droppable lists the ways to decide one thing less.
func (p *Problem) droppable(a *answer, first policy) []func(*decided) {
	var all []func(*decided)
	for i, d := range p.deals {
		if !d.fixed && first.some(func(d *decided) bool { return d.Sign[i] > 0.5 }) {
			all = append(all, func(d *decided) { d.Sign[i], d.Size[i] = 0, 0 })
		}
	}
	for i := range a.recourse[0].buys {
		if first.some(func(d *decided) bool { return d.Buy[i] > 0 }) {
			all = append(all, func(d *decided) { d.Buy[i] = 0 })
		}
	}
	for i := range a.recourse[0].ports {
		if first.some(func(d *decided) bool { return d.Port[i] > 0.5 }) {
			all = append(all, func(d *decided) { d.Port[i] = 0 })
		}
	}
	return all
}
