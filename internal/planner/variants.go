package planner

import (
	"context"
	"maps"
	"slices"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// Request is a portfolio to plan, as text: a plan keeps it, so that it stands alone.
type Request struct {
	File       string
	Text       []byte
	Choice     plan.Choice
	Catalog    *catalog.Catalog
	Throughput Throughput
	Options    Options
	Parent     string // ID of the plan that this one replaces
}

// problem reads and compiles the request under a choice of reported values.
func (r Request) problem(choice plan.Choice) (*Problem, error) {
	portfolio, err := plan.Parse(r.File, r.Text, choice)
	if err != nil {
		return nil, err
	}
	return Compile(portfolio, r.Catalog, r.Throughput)
}

// Make plans a portfolio under the chosen reported values, and under each other
// one, and says what each would change.
func Make(ctx context.Context, solver lp.Solver, r Request) (*plan.Plan, error) {
	p, err := r.problem(r.Choice)
	if err != nil {
		return nil, err
	}
	made, err := Solve(ctx, solver, p, r.Options)
	if err != nil {
		return nil, err
	}
	made.Source, made.Figures, made.Used, made.Parent = string(r.Text), r.Choice.Figures, r.Choice.Used, r.Parent
	if err := p.weigh(ctx, solver, made, r.Options); err != nil {
		return nil, err
	}
	if err := r.vary(ctx, solver, made); err != nil {
		return nil, err
	}
	return made, made.Seal()
}

// vary fills in what each reported value makes of the plan.
func (r Request) vary(ctx context.Context, solver lp.Solver, made *plan.Plan) error {
	figures := plan.ReportedFigures(r.Text, &made.AsOf)
	for _, name := range slices.Sorted(maps.Keys(figures)) {
		values := figures[name]
		taken := min(r.Choice.Figures[name], len(values)-1)
		for i, value := range values {
			if len(values) < 2 {
				continue
			}
			v := plan.Variant{Figure: name, Value: value.Value, Source: value.Source, Means: value.Means, Taken: i == taken, Objective: made.Quality.Objective, Changes: []string{}}
			if i != taken {
				choice := plan.Choice{AsOf: r.Choice.AsOf, Figures: maps.Clone(r.Choice.Figures), Used: r.Choice.Used}
				if choice.Figures == nil {
					choice.Figures = map[string]int{}
				}
				choice.Figures[name] = i
				if err := r.variant(ctx, solver, made, choice, &v); err != nil {
					return err
				}
			}
			made.Variants = append(made.Variants, v)
		}
	}
	return nil
}

func (r Request) variant(ctx context.Context, solver lp.Solver, made *plan.Plan, choice plan.Choice, v *plan.Variant) error {
	p, err := r.problem(choice)
	if err != nil {
		return err
	}
	options := r.Options
	options.Progress, options.Start = nil, &made.Choice
	a, err := p.ask(ctx, solver, question{weighted: true}, options)
	if err != nil {
		v.Error = err.Error() // a value under which no plan exists is an answer too
		return ctx.Err()
	}
	other := &plan.Plan{Decisions: decisionsOf(a.parts(), a.policy(a.Values), nil)}
	v.Objective, v.Changes = a.Objective*a.scale, plan.Diff(made, other)
	v.Changes = append(v.Changes, a.otherBreaches(made.Futures[0].Breaches)...)
	return nil
}

// otherBreaches says which covenants are kept or broken otherwise than before,
// in the first future.
func (a *answer) otherBreaches(before []string) []string {
	var now, changes []string
	for _, b := range a.recourse[0].breaches {
		if a.Values[b.v] > 0.5 {
			now = append(now, b.label+" in "+a.Periods[b.period].Label())
		}
	}
	for _, words := range before {
		if !slices.Contains(now, words) {
			changes = append(changes, "keep "+words+" in place of breaking it")
		}
	}
	for _, words := range now {
		if !slices.Contains(before, words) {
			changes = append(changes, "break "+words)
		}
	}
	return changes
}
