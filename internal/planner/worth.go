package planner

import (
	"context"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// mostWeighed is how many contracts on offer are weighed with the plan itself;
// of more, `yard leverage` says what each is worth.
const mostWeighed = 8

// weigh plans again with each contract on offer decided the other way, and says
// what that would cost more.
func (p *Problem) weigh(ctx context.Context, solver lp.Solver, made *plan.Plan, o Options) error {
	o.Progress, o.Start = nil, &made.Choice
	offered := map[string]bool{}
	for _, d := range p.deals {
		if !d.fixed {
			offered[d.Contract] = true
		}
	}
	if p.large() || len(offered) > mostWeighed {
		return nil
	}
	asked := map[string]plan.Decision{} // what depends on what is seen is several decisions of one contract
	for i := range made.Decisions {
		d := &made.Decisions[i]
		if known, again := asked[d.What]; again {
			d.Worth, d.Within = known.Worth, known.Within
			continue
		}
		if !offered[d.What] || d.Action != plan.Sign && d.Action != plan.Decline {
			continue
		}
		other, err := p.ask(ctx, solver, question{weighted: true, sign: map[string]bool{d.What: d.Action == plan.Decline}}, o)
		if fault.Is(err, fault.Conflict) {
			d.Reasons = append(d.Reasons, "there is no plan otherwise")
			continue
		}
		if err != nil {
			return err
		}
		if !proved(other.Bound) {
			d.Reasons = append(d.Reasons, "what it is worth was not proved within the time limit")
			continue
		}
		worth := other.Objective*other.scale - made.Quality.Objective
		d.Worth = &worth
		d.Within = (other.Objective-other.Bound)*other.scale + made.Quality.Objective - made.Quality.Bound
		asked[d.What] = *d
	}
	return nil
}
