package planner

import (
	"fmt"
	"math"
	"sort"
	"time"

	"github.com/switchyard-ai/switchyard/internal/plan"
)

// decisions lists what was decided, with reasons.
func (a *answer) decisions(first *decided, binding []plan.Binding) []plan.Decision {
	var all []plan.Decision
	signed := map[string]bool{}
	for i, d := range a.deals {
		signed[d.Contract] = signed[d.Contract] || first.Sign[i] > 0.5 && first.Size[i] > 0
	}
	seen := map[string]bool{}
	for i, d := range a.deals {
		taken := first.Sign[i] > 0.5 && first.Size[i] > 0
		switch {
		case d.fixed:
			all = append(all, plan.Decision{Action: plan.Hold, What: d.Contract, Size: first.Size[i], At: d.start, Reasons: a.reasons(i, first, binding)})
		case taken:
			all = append(all, plan.Decision{Action: plan.Sign, What: d.Contract, Size: first.Size[i], At: d.start, Reasons: a.reasons(i, first, binding)})
		case !signed[d.Contract] && !seen[d.Contract]:
			all = append(all, plan.Decision{Action: plan.Decline, What: d.Contract, At: d.start, Reasons: a.reasons(i, first, binding)})
		}
		seen[d.Contract] = true
	}
	for i, b := range a.buys {
		if n := math.Round(first.Buy[i]); n > 0 {
			all = append(all, plan.Decision{Action: plan.Buy, What: a.offers[b.offer].Name, Size: n, At: a.Periods[b.period].From,
				Reasons: []string{fmt.Sprintf("ready %s", b.ready.Format(time.DateOnly))}})
		}
	}
	for i, b := range a.ports {
		if first.Port[i] > 0.5 {
			all = append(all, plan.Decision{Action: plan.Port, What: b.model + " to " + b.family, Size: 1, At: a.Periods[b.period].From,
				Reasons: []string{fmt.Sprintf("costs %s, ready %s", money(b.cost), b.ready.Format(time.DateOnly))}})
		}
	}
	return all
}

// reasons says what a contract gives and asks in the first future.
func (a *answer) reasons(d int, first *decided, binding []plan.Binding) []string {
	var all []string
	r, name := a.recourse[0], a.deals[d].Contract
	nodes, saved := 0.0, 0.0
	for _, c := range r.columns {
		o := a.offers[a.lines[c.line].offer]
		if c.deal == d || o.deal == name {
			hours := a.Values[c.v] * a.Periods[c.period].Hours()
			nodes += hours
			saved += hours * (c.list - c.rate)
		}
	}
	if nodes > 0.5 {
		all = append(all, fmt.Sprintf("serves %s node-hours in %s", grouped(nodes), r.f.name))
	}
	for _, s := range r.shorts {
		if owed := a.Values[s.v] * s.price * a.scale; s.deal == d && owed > 0.5 {
			all = append(all, fmt.Sprintf("%s of %s in %s: %s", s.kind, s.label, a.Periods[s.period].Label(), money(owed)))
		}
	}
	for _, b := range binding {
		if len(b.Subject) > len(name) && b.Subject[:len(name)+1] == name+"/" {
			all = append(all, b.Words)
		}
	}
	if first.Sign[d] < 0.5 && len(all) == 0 {
		all = append(all, "nothing that it gives is worth what it asks in these futures (yard leverage says at what figure it would be)")
	}
	if k := r.f.terms[d]; first.Sign[d] > 0.5 && k != nil {
		all = append(all, a.freeAtMargin(d, k)...)
	}
	return all
}

// freeAtMargin says where a floor is not met, so that more usage costs nothing.
func (a *answer) freeAtMargin(d int, k *terms) []string {
	var all []string
	r := a.recourse[0]
	for _, f := range k.floors {
		for _, s := range r.shorts {
			if s.deal == d && s.label == f.label && a.Values[s.v]*a.scale > 1 {
				all = append(all, fmt.Sprintf("the floor %s is not met in the window to %s: more usage there is free at the margin up to %s",
					f.label, a.Periods[s.period].Label(), money(a.Values[s.v]*a.scale)))
			}
		}
	}
	return all
}

// binding sums up the shadow prices of constraints by what they are about.
func (a *answer) binding(duals []float64) []plan.Binding {
	type sum struct {
		worth, yearly, nodeDays float64
		first                   int
	}
	sums := map[family]*sum{}
	var order []family
	for i, info := range a.info {
		price := math.Abs(duals[i])
		if price < 1e-9 || info.kind == rowGroup || info.kind == rowLink || info.kind == rowDraw || info.kind == rowForce || info.kind == rowTier || info.kind == rowCover || info.kind == rowDemand || info.kind == rowSign {
			continue
		}
		f := family{info.kind, info.subject}
		if sums[f] == nil {
			sums[f] = &sum{first: info.period}
			order = append(order, f)
		}
		s := sums[f]
		if info.kind == rowCapacity && info.period >= 0 {
			days := a.Periods[info.period].Hours() / 24
			s.nodeDays = math.Max(s.nodeDays, price*a.scale/days/a.weight(info.future, duals)/a.disc[info.period])
			s.worth += price * a.scale
			continue
		}
		worth := price * a.scale * a.hundredth(i)
		s.worth += worth
		s.yearly += worth / a.perYear(info.period)
	}
	var all []plan.Binding
	for _, f := range order {
		s := sums[f]
		b := plan.Binding{Kind: string(f.kind), Subject: f.subject, Cost: s.worth, Yearly: s.yearly, Unit: "per 1%"}
		b.Words = a.bindingWords(f, a.yearly(s.yearly), s.nodeDays)
		if f.kind == rowCapacity {
			b.Cost, b.Unit = s.nodeDays, "per node-day"
		}
		if b.Words != "" {
			all = append(all, b)
		}
	}
	rank := func(b plan.Binding) float64 { return sums[family{rowKind(b.Kind), b.Subject}].worth }
	sort.SliceStable(all, func(i, j int) bool { return rank(all[i]) > rank(all[j]) })
	const most = 30
	return all[:min(len(all), most)]
}

// perYear takes the discount of a period off, and spreads over the years of the
// horizon: of one shorter than a year, the whole counts.
func (a *answer) perYear(period int) float64 {
	years := math.Max(a.end.Sub(a.start).Hours()/yearHours, 1)
	if period < 0 {
		return years
	}
	return years * a.disc[period]
}

// yearly is a yearly amount for people.
func (a *answer) yearly(x float64) string {
	if a.end.Sub(a.start).Hours() < yearHours {
		return money(x)
	}
	return money(x) + " a year"
}

// hundredth is one percent in the units of a constraint's right side: a share
// constraint loosened by one percentage point, a floor by one percent.
func (a *answer) hundredth(row int) float64 {
	info := a.info[row]
	lower, upper := a.lp.Limits(lpRow(row))
	switch info.kind {
	case rowHedge, rowCap, rowCovenant:
		if info.most > 0 {
			return 0.01 * info.most
		}
		return 0.01 * a.sharedOf(row)
	case rowQualified:
		return 0.01 * info.most
	case rowExclusive:
		return 0.01
	case rowSurvive:
		return 0.01 * math.Abs(lower)
	case rowCash:
		return 1 / a.scale * math.Max(1e-2*a.largestCash(), 1)
	case rowFloor, rowTake:
		size := 0.0
		for _, t := range a.lp.Terms(lpRow(row)) {
			if t.Coefficient < 0 {
				size = math.Max(size, -t.Coefficient*a.Values[t.Var])
			}
		}
		return 0.01 * size
	}
	return 0.01 * math.Max(math.Abs(finite(lower)), math.Abs(finite(upper)))
}

func finite(x float64) float64 {
	if math.IsInf(x, 0) {
		return 0
	}
	return x
}

func (a *answer) largestCash() float64 {
	if f := a.Portfolio.Financing; f != nil {
		return float(f.Cash)
	}
	return 0
}

// sharedOf is the whole of which a constraint takes a share s: its terms are
// (1−s)·x of what counts and −s·x of the rest. Binaries of covenants are apart.
func (a *answer) sharedOf(row int) float64 {
	info := a.info[row]
	own, rest := 0.0, 0.0
	for _, t := range a.lp.Terms(lpRow(row)) {
		if info.kind == rowCovenant && a.lp.IsInteger(t.Var) {
			continue
		}
		if part := t.Coefficient * a.Values[t.Var]; part > 0 {
			own += part
		} else {
			rest -= part
		}
	}
	switch {
	case info.share >= 1:
		return rest
	case info.share <= 0:
		return own
	}
	return own/(1-info.share) + rest/info.share
}

func (a *answer) bindingWords(f family, worth string, nodeDay float64) string {
	switch f.kind {
	case rowCapacity:
		return fmt.Sprintf("capacity of %s is short: one more node is worth up to %s a day", f.subject, money(nodeDay))
	case rowCovenant:
		return fmt.Sprintf("covenant %s binds: one more percent would cost %s", f.subject, worth)
	case rowFloor, rowTake:
		return fmt.Sprintf("commitment %s steers usage: one percent more of it would cost %s", f.subject, worth)
	case rowHedge, rowCap:
		return fmt.Sprintf("%s binds: one percent less strict would save %s", f.subject, worth)
	case rowSurvive:
		return fmt.Sprintf("surviving without %s binds: one more percent would cost %s", f.subject, worth)
	case rowCash:
		return fmt.Sprintf("cash binds: one percent more of it at the start would save %s", worth)
	case rowQualified:
		return fmt.Sprintf("validating %s sooner would save %s for each percent of its work", f.subject, worth)
	case rowWarrant:
		return fmt.Sprintf("warrant %s waits for power in use", f.subject)
	case rowExclusive:
		return fmt.Sprintf("exclusivity %s binds", f.subject)
	}
	return ""
}

// money is an amount for people.
func money(x float64) string {
	sign := ""
	if x < 0 {
		sign, x = "-", -x
	}
	switch {
	case x >= 1e12:
		return fmt.Sprintf("%s$%.2fT", sign, x/1e12)
	case x >= 1e9:
		return fmt.Sprintf("%s$%.2fB", sign, x/1e9)
	case x >= 1e6:
		return fmt.Sprintf("%s$%.1fM", sign, x/1e6)
	case x >= 1e4:
		return fmt.Sprintf("%s$%.0fk", sign, x/1e3)
	}
	return fmt.Sprintf("%s$%.2f", sign, x)
}

func grouped(x float64) string {
	text := fmt.Sprintf("%.0f", x)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
