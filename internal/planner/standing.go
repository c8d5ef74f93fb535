package planner

import (
	"slices"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// standing says where each clause stands at the end of the first future:
// commitments as billing has them, take-or-pay and covenants by the schedule.
func (a *answer) standing(first *decided, f *plan.Future) ([]plan.Standing, error) {
	r := a.recourse[0]
	billed, err := a.billOf(a.contractsOf(r.f, first), a.uses(r))
	if err != nil {
		return nil, err
	}
	var all []plan.Standing
	for _, s := range billed.standing {
		if s.Life > 0 && s.LifeDone > 0 {
			all = append(all, plan.Standing{Contract: s.Contract, Clause: s.Clause, Kind: s.Kind, Committed: float64(s.Life) / 1e6, Retired: float64(s.LifeDone) / 1e6})
		}
	}
	check := checker{Problem: a.Problem, first: first, future: r.f, result: f}
	for i, k := range r.f.terms {
		if k == nil || first.Sign[i] < 0.5 {
			continue
		}
		for _, take := range k.takes {
			all = append(all, a.takeStanding(take, first.Size[i]))
		}
		for _, v := range k.covenants {
			if v.measure != contract.Spend && v.measure != contract.ListCost {
				all = append(all, check.covenantStanding(v)...)
			}
		}
	}
	return all, nil
}

// takeStanding is what a take-or-pay charges at the least, and what is taken.
func (a *answer) takeStanding(k take, size float64) plan.Standing {
	name, clause := parted(k.label)
	out := plan.Standing{Contract: name, Clause: clause, Kind: "take_or_pay"}
	for _, w := range k.windows {
		out.Committed += w.amount * size * k.price
		for _, c := range a.recourse[0].columns {
			if part, inside := w.part[c.period]; inside && k.lines[c.line] {
				out.Retired += a.Values[c.v] * part * a.Periods[c.period].Hours() * k.price
			}
		}
	}
	return out
}

// covenantStanding is each window of a covenant: what was asked and done.
func (c *checker) covenantStanding(v covenant) []plan.Standing {
	var all []plan.Standing
	name, clause := parted(v.label)
	for _, w := range v.windows {
		on, needed := c.worked(v, w)
		if needed == 0 {
			continue
		}
		out := plan.Standing{Contract: name, Clause: clause, Kind: "chip_covenant", Period: c.Periods[w.due].Label(), Unit: "of work", Floor: v.share, State: "kept"}
		if v.share == 0 {
			const kilowatts = 1000
			out.Floor, out.Unit = v.absolute/kilowatts, "MW"
		}
		out.Share = out.Floor * on / needed
		switch {
		case slices.Contains(c.result.Breaches, v.label+" in "+out.Period):
			out.State = "broken"
		case on >= needed*(1-checkTolerance)-1:
		case len(v.cures) > 0:
			out.State = "cured"
		default:
			out.State = "broken"
		}
		all = append(all, out)
	}
	return all
}

// parted cuts a clause's label into its contract and its own name.
func parted(label string) (name, clause string) {
	name, clause, _ = strings.Cut(label, "/")
	return name, clause
}
