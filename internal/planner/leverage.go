package planner

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// Hold is what one provider or chipmaker has over the buyer. Costs are
// discounted, against the best plan.
type Hold struct {
	Of       string   `json:"of"`
	Name     string   `json:"name"`
	Share    float64  `json:"share"`               // of chip-hours in the best plan
	LeaveNow *float64 `json:"leave_now,omitempty"` // nil: there is no plan without it
	LeaveIn  *float64 `json:"leave_in_a_year,omitempty"`
	WalkAway *float64 `json:"walk_away,omitempty"`       // price rise at which the best plan drops it to its floor; nil: beyond the search
	Searched float64  `json:"searched_to"`               // price rise up to which was looked
	Floor    float64  `json:"floor_share"`               // what the best plan still uses then
	AskFor   *float64 `json:"discount_to_ask,omitempty"` // for a promise of ten points more than the best plan gives
	Promise  float64  `json:"promised_share,omitempty"`
}

// Worth is what a contract, covenant or tranche is worth: the cost of the best
// plan without it, less that with it.
type Worth struct {
	What        string   `json:"what"`
	Kind        string   `json:"kind"` // contract, covenant, tranche
	With        *float64 `json:"with,omitempty"`
	Without     *float64 `json:"without,omitempty"`
	Value       *float64 `json:"value,omitempty"`
	Verdict     string   `json:"verdict"` // accept, refuse, indifferent
	Indifferent string   `json:"indifferent_at,omitempty"`
}

// Leverage answers what every provider and chipmaker could extort.
type Leverage struct {
	Best   float64 `json:"best"`
	Gap    float64 `json:"gap"` // of each figure's two plans, relative to their cost
	Holds  []Hold  `json:"holds"`
	Worths []Worth `json:"worths"`
}

// Levers works out the leverage over a portfolio. Each figure is a difference
// of two plans, so it is known to the sum of their gaps.
func Levers(ctx context.Context, solver lp.Solver, p *Problem, o Options) (*Leverage, error) {
	best, err := p.ask(ctx, solver, question{weighted: true}, o)
	if err != nil {
		return nil, err
	}
	l := levers{p: p, solver: solver, o: o, best: best}
	out := &Leverage{Best: best.Objective * best.scale, Gap: relative(best.Objective, best.Bound)}
	for _, dimension := range []plan.Dimension{plan.ByProvider, plan.ByChipmaker} {
		for _, name := range p.values(string(dimension)) {
			hold, err := l.hold(ctx, dimension, name)
			if err != nil {
				return nil, err
			}
			out.Holds = append(out.Holds, *hold)
		}
	}
	if out.Worths, err = l.worths(ctx); err != nil {
		return nil, err
	}
	return out, nil
}

type levers struct {
	p      *Problem
	solver lp.Solver
	o      Options
	best   *answer
}

// cost solves a question; nil where no plan answers it.
func (l levers) cost(ctx context.Context, q question) (*float64, *answer, error) {
	q.weighted = true
	options := l.o
	options.Progress = nil
	a, err := l.p.ask(ctx, l.solver, q, options)
	switch {
	case fault.Is(err, fault.Conflict):
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	}
	cost := a.Objective * a.scale
	return &cost, a, nil
}

func (l levers) hold(ctx context.Context, of plan.Dimension, name string) (*Hold, error) {
	mine := func(o offer) bool { return strings.EqualFold(o.is(string(of)), name) }
	h := &Hold{Of: string(of), Name: name, Share: l.best.shareOf(mine)}
	base := l.best.Objective * l.best.scale
	for _, leave := range []struct {
		from time.Time
		to   **float64
	}{{l.p.start, &h.LeaveNow}, {l.p.start.AddDate(1, 0, 0), &h.LeaveIn}} {
		cost, _, err := l.cost(ctx, question{avoid: mine, from: leave.from})
		if err != nil {
			return nil, err
		}
		if cost != nil {
			more := max(*cost-base, 0)
			*leave.to = &more
		}
	}
	if h.Share < 1e-6 {
		return h, nil
	}
	if err := l.walkAway(ctx, h, mine); err != nil {
		return nil, err
	}
	return h, l.askFor(ctx, h, of, name, mine)
}

// highest is the price rise up to which a walk-away price is looked for.
const highest = 2.0

// walkAway finds the price rise at which the best plan drops a provider to what
// it uses at the highest one, by bisection.
func (l levers) walkAway(ctx context.Context, h *Hold, mine func(offer) bool) error {
	used := func(rise float64) (float64, error) {
		_, a, err := l.cost(ctx, question{reprice: func(o offer) float64 {
			if mine(o) {
				return 1 + rise
			}
			return 1
		}})
		if err != nil || a == nil {
			return 1, err
		}
		return a.shareOf(mine), nil
	}
	h.Searched = highest
	floor, err := used(highest)
	if err != nil {
		return err
	}
	h.Floor = floor
	const same = 0.01
	if floor > h.Share-same {
		return nil // it keeps its place at any price that was looked at
	}
	low, high := 0.0, highest
	const steps = 6 // to a 64th of the range: three points of price
	for range steps {
		middle := (low + high) / 2
		share, err := used(middle)
		if err != nil {
			return err
		}
		if share <= floor+same {
			high = middle
		} else {
			low = middle
		}
	}
	h.WalkAway = &high
	return nil
}

// askFor prices a promise: what the best plan with ten points more of the
// chip-hours there costs more, as a part of what would be spent there.
func (l levers) askFor(ctx context.Context, h *Hold, of plan.Dimension, name string, mine func(offer) bool) error {
	h.Promise = math.Min(h.Share+0.1, 1)
	floor := contract.Share{Decimal: decimal.NewFromFloat(h.Promise).Round(4)}
	cost, a, err := l.cost(ctx, question{hedge: &plan.Hedge{Name: "promise", Of: of, Which: name, AtLeast: &floor, Measure: contract.ChipTime, Per: plan.Whole}})
	if err != nil || cost == nil {
		return err
	}
	if spent := a.spentWith(mine); spent > 0 {
		part := max(*cost-l.best.Objective*l.best.scale, 0) / spent
		h.AskFor = &part
	}
	return nil
}

// shareOf is the part of expected chip-hours on some offers.
func (a *answer) shareOf(mine func(offer) bool) float64 {
	own, all := 0.0, 0.0
	for _, r := range a.recourse {
		for _, c := range r.columns {
			o := a.offers[a.lines[c.line].offer]
			size := r.f.probability * a.Values[c.v] * float64(o.Chips) * a.Periods[c.period].Hours()
			all += size
			if mine(o) {
				own += size
			}
		}
	}
	if all == 0 {
		return 0
	}
	return own / all
}

// spentWith is the expected discounted spend at list price on some offers.
func (a *answer) spentWith(mine func(offer) bool) float64 {
	sum := 0.0
	for _, r := range a.recourse {
		for _, c := range r.columns {
			if mine(a.offers[a.lines[c.line].offer]) {
				sum += r.f.probability * a.Values[c.v] * c.list * a.Periods[c.period].Hours() * a.disc[c.period]
			}
		}
	}
	return sum
}

// worths values every contract that could be signed, every covenant and every
// tranche, by the best plans with and without it.
func (l levers) worths(ctx context.Context) ([]Worth, error) {
	var all []Worth
	base := l.best.Objective * l.best.scale
	signed := map[string]bool{}
	for i, d := range l.p.deals {
		signed[d.Contract] = signed[d.Contract] || l.best.Values[l.best.sign[i][0].Var] > 0.5
	}
	for _, d := range (&model{Problem: l.p}).uniqueDeals() {
		if !d.fixed {
			w := Worth{What: d.Contract, Kind: "contract"}
			other, _, err := l.cost(ctx, question{sign: map[string]bool{d.Contract: !signed[d.Contract]}})
			if err != nil {
				return nil, err
			}
			w.With, w.Without = &base, other
			if !signed[d.Contract] {
				w.With, w.Without = other, &base
			}
			all = append(all, l.judge(w, d.Contract))
		}
		for _, k := range l.covenantsOf(d.Contract) {
			without, _, err := l.cost(ctx, question{without: map[string]bool{k: true}})
			if err != nil {
				return nil, err
			}
			all = append(all, l.judge(Worth{What: k, Kind: "covenant", With: &base, Without: without}, d.Contract))
		}
	}
	if l.p.Portfolio.Financing == nil {
		return all, nil
	}
	for _, inflow := range l.p.Portfolio.Financing.Inflows {
		if inflow.Requires == "" {
			continue
		}
		without, _, err := l.cost(ctx, question{without: map[string]bool{inflow.Name: true}})
		if err != nil {
			return nil, err
		}
		all = append(all, l.judge(Worth{What: inflow.Name, Kind: "tranche", With: &base, Without: without}, inflow.Requires))
	}
	return all, nil
}

func (l levers) covenantsOf(name string) []string {
	var labels []string
	for i, d := range l.p.deals {
		if d.Contract != name || l.p.futures[0].terms[i] == nil {
			continue
		}
		for _, k := range l.p.futures[0].terms[i].covenants {
			labels = append(labels, k.label)
		}
		break
	}
	return labels
}

// judge says what to do at a value, and where it would turn.
func (l levers) judge(w Worth, name string) Worth {
	switch {
	case w.With == nil && w.Without == nil:
		w.Verdict = "no plan either way"
		return w
	case w.With == nil:
		w.Verdict = "refuse: no plan can keep it"
		return w
	case w.Without == nil:
		w.Verdict = "accept: there is no plan without it"
		return w
	}
	value := *w.Without - *w.With
	w.Value = &value
	within := (l.o.lp().RelativeGap + 1e-9) * math.Abs(*w.With)
	switch {
	case math.Abs(value) <= within:
		w.Verdict = "indifferent"
	case value > 0:
		w.Verdict = "accept"
	default:
		w.Verdict = "refuse"
	}
	switch {
	case w.Kind == "covenant":
		w.Indifferent = fmt.Sprintf("%s once, now, for dropping it", money(math.Max(-value, 0)))
	case value < 0:
		w.Indifferent = fmt.Sprintf("%s once, now, as a gain for signing", money(-value))
	default:
		w.Indifferent = fmt.Sprintf("%s once, now, as its price", money(value))
	}
	return w
}
