package planner

import (
	"context"
	"fmt"
	"math"
	"sort"
	"strconv"
	"time"

	"github.com/switchyard-ai/switchyard/internal/lp"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// Solve plans: it decides, and says what was decided and why. Portfolios that
// are too large for one program are decomposed by their futures.
func Solve(ctx context.Context, solver lp.Solver, p *Problem, o Options) (*plan.Plan, error) {
	if p.large() || o.Split && len(p.futures) > 1 {
		return decompose(ctx, solver, p, o)
	}
	a, err := p.ask(ctx, solver, question{weighted: true}, o)
	if err != nil {
		return nil, err
	}
	if !proved(a.Bound) {
		return nil, unproved()
	}
	if a, err = p.prune(ctx, solver, a, o); err != nil {
		return nil, err
	}
	return a.plan(ctx, solver, o)
}

// plan writes an answer down.
func (a *answer) plan(ctx context.Context, solver lp.Solver, o Options) (*plan.Plan, error) {
	return writePlan(ctx, solver, a.parts(), a.policy(a.Values), a.Objective*a.scale, a.Bound*a.scale, o)
}

func (a *answer) parts() []part {
	var parts []part
	for s := range a.recourse {
		parts = append(parts, part{a, s})
	}
	return parts
}

// part is one future of an answer.
type part struct {
	*answer
	s int
}

// writePlan writes a plan down, of which each future may come out of an answer
// of its own.
func writePlan(ctx context.Context, solver lp.Solver, parts []part, decided policy, objective, bound float64, o Options) (*plan.Plan, error) {
	if !proved(bound) {
		return nil, unproved()
	}
	a := parts[0].answer
	duals, err := a.prices(ctx, solver)
	if err != nil {
		return nil, err
	}
	portfolio := a.Portfolio
	out := &plan.Plan{
		Portfolio: portfolio.Name, AsOf: portfolio.AsOf.Time, From: a.start, To: a.end, Currency: portfolio.Currency,
		Choice: decided.stage(a.Problem.futures), Notes: a.Notes,
	}
	futures := make([]*plan.Future, len(parts))
	err = o.all(len(parts), func(i int) (err error) {
		futures[i], err = parts[i].future(parts[i].s, decided.in(i))
		return err
	})
	if err != nil {
		return nil, err
	}
	var costs, probabilities []float64
	for i, one := range parts {
		f := futures[i]
		f.Cost, f.Probability = one.value(one.recourse[one.s].cost)*one.scale, a.Problem.futures[i].probability
		costs = append(costs, f.Cost)
		out.Futures = append(out.Futures, *f)
		probabilities = append(probabilities, f.Probability)
		out.Quality.Expected += f.Probability * f.Cost
		out.Quality.Modelled += f.Probability * f.Modelled
		out.Quality.Billed += f.Probability * float64(f.Spend.Micros) / 1e6
	}
	q := &out.Quality
	q.CVaR = CVaR(costs, probabilities, portfolio.Risk.Tail)
	q.Status, q.Objective, q.Bound, q.Gap = string(a.Status), objective, bound, relative(objective, bound)
	q.Variables, q.Rows = a.lp.Variables(), a.lp.Constraints()
	if q.Modelled != 0 {
		q.Difference = (q.Billed - q.Modelled) / math.Abs(q.Modelled)
	}
	const most = 0.005 // of spend: how far billing of the rounded schedule may be from the model
	for _, f := range out.Futures {
		if stated := float64(f.Spend.Micros) / 1e6; math.Abs(stated-f.Modelled) > most*math.Max(math.Abs(stated), 1) {
			out.Notes = append(out.Notes, fmt.Sprintf("if %s, billing says %s and the model %s: the model is coarse there, go by the bill", f.Name, money(stated), money(f.Modelled)))
		}
	}
	out.Years = a.years(&out.Futures[0])
	out.Binding = a.binding(duals)
	out.Dispatch = a.dispatch(duals)
	out.Decisions = decisionsOf(parts, decided, out.Binding)
	standing, err := a.standing(decided.in(0), &out.Futures[0])
	if err != nil {
		return nil, err
	}
	out.Covenants = standing
	return out, out.Seal()
}

// relative is the gap between an objective and its bound.
func relative(objective, bound float64) float64 {
	if objective == bound {
		return 0
	}
	return math.Abs(objective-bound) / math.Max(math.Abs(objective), 1e-9)
}

// future writes down what one future does, and has it billed.
func (a *answer) future(s int, first *decided) (*plan.Future, error) {
	r := a.recourse[s]
	uses := a.uses(r)
	billed, err := a.billOf(a.contractsOf(r.f, first), uses)
	if err != nil {
		return nil, err
	}
	capital := a.capital(a, first, r.f)
	out := &plan.Future{Name: r.f.name, Probability: r.f.probability, Billed: a.amount(billed.total), Withheld: a.amount(billed.withheld)}
	committed := a.committed(r.f, first)
	total := int64(0)
	for t, period := range a.Periods {
		result := plan.PeriodResult{Period: period, Label: period.Label(), Spend: a.amount(billed.byPeriod[t] + capital[t]), Committed: committed[t]}
		total += capital[t]
		billed.byYear[period.From.Year()] += capital[t]
		out.Modelled += a.value(r.spend[t]) * a.scale
		out.Periods = append(out.Periods, result)
	}
	out.Annual = billed.byYear
	out.Capital, out.Spend = a.amount(total), a.amount(total+billed.total)
	a.nodes(r, out)
	a.work(r, out)
	a.cashOf(r, out)
	for _, u := range r.unserved {
		if units := a.Values[u.v] * u.hours; units > 1e-6 {
			out.Unserved = append(out.Unserved, plan.Unserved{Demand: a.works[u.work].Name, Period: a.Periods[u.period].Label(), Units: units})
		}
	}
	for _, b := range r.breaches {
		if a.Values[b.v] > 0.5 {
			out.Breaches = append(out.Breaches, b.label+" in "+a.Periods[b.period].Label())
		}
	}
	for _, v := range r.vested {
		if a.Values[v.v] > 0.5 {
			out.Vested = append(out.Vested, plan.Vested{Warrant: v.label, Period: a.Periods[v.period].Label(), Shares: v.shares, Value: v.value[v.period]})
		}
	}
	for _, slack := range r.slacks {
		if a.Values[slack.v] > 1e-6 {
			out.Broken = append(out.Broken, slack.words)
		}
	}
	return out, nil
}

// nodes writes down what is taken from where. Sources of the same line at the
// same list price are one usage to billing, so they are rounded up together.
func (a *answer) nodes(r *recourse, out *plan.Future) {
	exact := map[useKey]float64{}
	for _, c := range r.columns {
		nodes := a.Values[c.v]
		if nodes < 1e-7 {
			continue
		}
		o := a.offers[a.lines[c.line].offer]
		source := "list"
		if c.deal >= 0 {
			source = a.deals[c.deal].Contract
		} else if o.deal != "" {
			source = o.deal
		}
		before := exact[c.key()]
		exact[c.key()] += nodes * a.Periods[c.period].Hours()
		period := &out.Periods[c.period]
		option := o.Option
		if c.option != "" {
			option = c.option
		}
		period.Nodes = append(period.Nodes, plan.Nodes{
			Offer: o.Name, Provider: o.Provider, Chipmaker: o.Chipmaker, Chip: o.Chip, Class: a.lines[c.line].class, Source: source, Option: option,
			NodeHours: wholeUp(exact[c.key()]) - wholeUp(before), Chips: nodes * float64(o.Chips),
			List: strconv.FormatFloat(c.list, 'f', -1, 64), Rate: c.rate,
		})
	}
}

func (a *answer) work(r *recourse, out *plan.Future) {
	for w := range a.works {
		for g, group := range a.groups {
			for t := range a.Periods {
				v := r.placed[w][g][t]
				if v == none || a.Values[v] < 1e-7 {
					continue
				}
				period := &out.Periods[t]
				period.Work = append(period.Work, plan.Placed{
					Demand: a.works[w].Name, Provider: group.provider, Region: group.region, Chip: group.chip, Class: group.class,
					Chips: a.Values[v], Units: a.Values[v] * r.eta(w, g, t) * period.Hours(),
				})
			}
		}
	}
}

func (a *answer) cashOf(r *recourse, out *plan.Future) {
	for t, v := range r.cash {
		cash := a.Values[v] * a.scale
		out.Periods[t].Cash = &cash
		if out.CashLow == nil || cash < out.CashLow.Amount {
			out.CashLow = &plan.Low{Amount: cash, Period: a.Periods[t].Label()}
		}
	}
}

// years sums a future up by calendar year; a period that reaches over a new
// year counts in both by its days.
func (a *answer) years(f *plan.Future) []plan.Year {
	var all []plan.Year
	for n := a.start.Year(); time.Date(n, 1, 1, 0, 0, 0, 0, time.UTC).Before(a.end); n++ {
		y := plan.Year{Year: n, Spend: a.amount(f.Annual[n]), Providers: map[string]float64{}, Chipmakers: map[string]float64{}}
		from := time.Date(n, 1, 1, 0, 0, 0, 0, time.UTC)
		burn, months := -float64(f.Annual[n])/1e6, 0.0
		for t := range f.Periods {
			part := f.Periods[t].Part(from, from.AddDate(1, 0, 0))
			if part == 0 {
				continue
			}
			yearOf(&y, &f.Periods[t], part, f.Periods[t].Part(from.AddDate(1, 0, 0), a.end) == 0)
			burn += part * (a.futures[0].income[t] - a.futures[0].costs[t])
			months += part * f.Periods[t].Hours() / monthHours
		}
		normalise(y.Providers)
		normalise(y.Chipmakers)
		y.HHI, y.ChipHHI = HHI(y.Providers), HHI(y.Chipmakers)
		if fin := a.Portfolio.Financing; fin != nil {
			burn /= -months
			y.NetBurn = &burn
			if cash := a.cashBy(f, from.AddDate(1, 0, 0)); burn > 0 && cash != nil {
				runway := (*cash - float(fin.Floor)) / burn
				y.Runway = &runway
			}
		}
		all = append(all, y)
	}
	return all
}

// yearOf adds the part of a period that lies in a year; cash at the period's
// end counts in the year in which that is.
func yearOf(y *plan.Year, period *plan.PeriodResult, part float64, ends bool) {
	y.Committed += period.Committed * part
	for _, n := range period.Nodes {
		list, _ := strconv.ParseFloat(n.List, 64)
		y.Providers[n.Provider] += float64(n.NodeHours) * list * part
		y.Chipmakers[n.Chipmaker] += n.Chips * period.Hours() * part
	}
	if ends && period.Cash != nil && (y.CashLow == nil || *period.Cash < y.CashLow.Amount) {
		y.CashLow = &plan.Low{Amount: *period.Cash, Period: period.Label}
	}
}

// cashBy is the cash at the end of the last period that is over by then.
func (a *answer) cashBy(f *plan.Future, by time.Time) *float64 {
	var cash *float64
	for i := range f.Periods {
		if !f.Periods[i].To.After(by) {
			cash = f.Periods[i].Cash
		}
	}
	return cash
}

func normalise(shares map[string]float64) {
	sum := 0.0
	for _, name := range sortedNames(shares) {
		sum += shares[name]
	}
	for name := range shares {
		if sum > 0 {
			shares[name] /= sum
		}
	}
}

// HHI is the Herfindahl index of shares: the sum of squared percentages.
func HHI(shares map[string]float64) float64 {
	sum := 0.0
	for _, name := range sortedNames(shares) {
		sum += 1e4 * shares[name] * shares[name]
	}
	return sum
}

func sortedNames(m map[string]float64) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
