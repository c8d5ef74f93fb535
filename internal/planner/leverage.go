package planner

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// Difference is what one plan costs more than another, discounted. Both are
// known to their gaps only, so the truth lies between Low and High.
type Difference struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Leaving is what it costs to use nothing of a provider or chipmaker from some
// day on. The parts are of the expected cost and sum to it.
type Leaving struct {
	Difference
	Owed      float64 `json:"owed"`      // charged by contracts for what is not used
	Unserved  float64 `json:"unserved"`  // price of the work that nobody else can do
	Elsewhere float64 `json:"elsewhere"` // dearer capacity, new contracts, ports, and λ times the worse tail
	Worst     float64 `json:"worst_unserved_share,omitempty"`
	Who       string  `json:"worst_unserved,omitempty"`
}

// Hold is what one provider or chipmaker has over the buyer. Costs are
// discounted, against the best plan.
type Hold struct {
	Of       string   `json:"of"`
	Name     string   `json:"name"`
	Share    float64  `json:"share"`               // of chip-hours in the best plan
	LeaveNow *Leaving `json:"leave_now,omitempty"` // nil: there is no plan without it
	LeaveIn  *Leaving `json:"leave_in_a_year,omitempty"`
	WalkAway *float64 `json:"walk_away,omitempty"`       // price rise at which the best plan drops it to its floor; nil: beyond the search
	Searched float64  `json:"searched_to,omitempty"`     // price rise up to which was looked
	Floor    float64  `json:"floor_share"`               // what the best plan still uses then
	AskFor   *float64 `json:"discount_to_ask,omitempty"` // for the promise of more than the best plan gives; nil: it has no more to give
	Promise  float64  `json:"promised_share,omitempty"`
}

// Leverage answers what every provider and chipmaker could extort.
type Leverage struct {
	Best   float64 `json:"best"`
	Gap    float64 `json:"gap"` // of the best plan
	Holds  []Hold  `json:"holds"`
	Worths []Worth `json:"worths"`
}

// Levers works out the leverage over a portfolio. Each figure is a difference
// of two plans.
func Levers(ctx context.Context, solver lp.Solver, p *Problem, o Options) (*Leverage, error) {
	l := &levers{p: p, solver: solver, o: o}
	l.count()
	var err error
	if l.best, err = l.ask(ctx, "the best plan", question{}); err != nil {
		return nil, err
	}
	first := l.best.policy(l.best.Values).stage(l.best.futures)
	l.first = &first
	out := &Leverage{Best: l.best.Objective * l.best.scale, Gap: relative(l.best.Objective, l.best.Bound)}
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
	if o.Asking != nil {
		o.Asking(l.asked, l.all, "")
	}
	return out, nil
}

type levers struct {
	p      *Problem
	solver lp.Solver
	o      Options
	best   *answer
	first  *plan.FirstStage // of the best plan: where other questions start from
	asked  int
	all    int // questions, as far as known
}

// Questions about one provider or chipmaker that is used, and what of them is
// asked of one that is not.
const (
	steps     = 6 // of bisecting the price rise: to a 64th of the range, three points of price
	perHold   = 2 + 1 + steps + 1
	perUnused = 2
)

func (l *levers) count() {
	l.all = 1 + perHold*(len(l.p.values(string(plan.ByProvider)))+len(l.p.values(string(plan.ByChipmaker)))) + l.countWorths()
}

// ask solves a question; fault.Conflict where no plan answers it.
func (l *levers) ask(ctx context.Context, words string, q question) (*answer, error) {
	q.weighted = true
	options := l.o
	options.Progress, options.Start = nil, l.first
	if l.o.Asking != nil {
		l.o.Asking(l.asked, l.all, words)
	}
	l.asked++
	a, err := l.p.ask(ctx, l.solver, q, options)
	if err == nil && !proved(a.Bound) {
		return nil, unproved()
	}
	return a, err
}

// maybe is ask; nil where no plan answers the question.
func (l *levers) maybe(ctx context.Context, words string, q question) (*answer, error) {
	a, err := l.ask(ctx, words, q)
	if fault.Is(err, fault.Conflict) {
		return nil, nil
	}
	return a, err
}

// more is what a plan costs more than another.
func more(a, than *answer) Difference {
	return Difference{
		Value: a.Objective*a.scale - than.Objective*than.scale,
		Low:   a.Bound*a.scale - than.Objective*than.scale,
		High:  a.Objective*a.scale - than.Bound*than.scale,
	}
}

func (l *levers) hold(ctx context.Context, of plan.Dimension, name string) (*Hold, error) {
	mine := func(o offer) bool { return strings.EqualFold(o.is(string(of)), name) }
	h := &Hold{Of: string(of), Name: name, Share: l.best.shareOf(mine)}
	var err error
	if h.LeaveNow, err = l.leave(ctx, "without "+name, mine, l.p.start); err != nil {
		return nil, err
	}
	if h.LeaveIn, err = l.leave(ctx, "without "+name+" in a year", mine, l.p.start.AddDate(1, 0, 0)); err != nil {
		return nil, err
	}
	if h.Share < 1e-6 {
		l.all -= perHold - perUnused
		return h, nil
	}
	if err := l.walkAway(ctx, h, mine); err != nil {
		return nil, err
	}
	return h, l.askFor(ctx, h, of, name, mine)
}

// leave uses nothing of some offers from a day on.
func (l *levers) leave(ctx context.Context, words string, mine func(offer) bool, from time.Time) (*Leaving, error) {
	a, err := l.maybe(ctx, words, question{avoid: mine, from: from})
	if err != nil || a == nil {
		return nil, err
	}
	out := &Leaving{Difference: more(a, l.best)}
	if out.Value < 1e-6*l.best.Objective*l.best.scale { // with less to choose from nothing gets cheaper
		out.Value = 0
		return out, nil
	}
	out.Owed = a.charged() - l.best.charged()
	out.Unserved = a.notServed() - l.best.notServed()
	out.Elsewhere = out.Value - out.Owed - out.Unserved
	out.Worst, out.Who = a.worstExpected()
	return out, nil
}

// highest is the price rise up to which a walk-away price is looked for.
const highest = 2.0

// walkAway finds the price rise at which the best plan drops a provider to what
// it uses at the highest one, by bisection.
func (l *levers) walkAway(ctx context.Context, h *Hold, mine func(offer) bool) error {
	used := func(rise float64) (float64, error) {
		a, err := l.maybe(ctx, h.Name+" at "+percent(1+rise)+" of its prices", question{reprice: func(o offer) float64 {
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
	if floor > 0.95*h.Share { // it keeps its place at any price that was looked at
		l.all -= steps
		return nil
	}
	dropped := floor + 0.05*(h.Share-floor)
	low, high := 0.0, highest
	for range steps {
		middle := (low + high) / 2
		share, err := used(middle)
		if err != nil {
			return err
		}
		if share <= dropped {
			high = middle
		} else {
			low = middle
		}
	}
	h.WalkAway = &high
	return nil
}

// askFor prices a promise: what the best plan costs more with up to ten points
// more of the chip-hours there, as a part of what would be spent there. A
// promise that work is left undone for is none that a discount could pay for.
func (l *levers) askFor(ctx context.Context, h *Hold, of plan.Dimension, name string, mine func(offer) bool) error {
	const least = 0.02
	for points := 0.1; points >= least; points /= 2 {
		promise := math.Min(h.Share+points, 1)
		if promise < h.Share+least/2 { // it has all the work already
			break
		}
		floor := contract.Share{Decimal: decimal.NewFromFloat(promise).Round(4)}
		a, err := l.maybe(ctx, name+" with "+percent(promise)+" of the work", question{
			hedge: &plan.Hedge{Name: "promise", Of: of, Which: name, AtLeast: &floor, Measure: contract.ChipTime, Per: plan.Whole}})
		if err != nil {
			return err
		}
		if a != nil {
			spent, cost := a.spentWith(mine), max(more(a, l.best).Value, 0)
			if undone := a.notServed() - l.best.notServed(); undone < 0.1*spent && cost < spent {
				part := cost / spent
				h.AskFor, h.Promise = &part, promise
				return nil
			}
		}
		l.all++
	}
	l.all--
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

// charged is what contracts are expected to charge for what is not used, discounted.
func (a *answer) charged() float64 {
	sum := 0.0
	for _, r := range a.recourse {
		for _, s := range r.shorts {
			sum += r.f.probability * a.Values[s.v] * s.price * a.scale * a.disc[s.period]
		}
	}
	return sum
}

// notServed is the expected price of work that is not served, discounted.
func (a *answer) notServed() float64 {
	sum := 0.0
	for _, r := range a.recourse {
		for _, u := range r.unserved {
			sum += r.f.probability * a.Values[u.v] * u.price * u.hours * a.disc[u.period]
		}
	}
	return sum
}

// worstExpected is the demand of which the largest part of what is expected is
// not served.
func (a *answer) worstExpected() (worst float64, who string) {
	for i, w := range a.works {
		missing, all := 0.0, 0.0
		for _, r := range a.recourse {
			for _, u := range r.unserved {
				if u.work == i {
					missing += r.f.probability * a.Values[u.v] * u.hours
				}
			}
			for t, period := range a.Periods {
				if w.Total == 0 {
					all += r.f.probability * r.f.demand[i][t] * period.Hours()
				}
			}
			all += r.f.probability * w.Total
		}
		if all > 0 && missing/all > worst+1e-4 {
			worst, who = missing/all, w.Name
		}
	}
	return worst, who
}
