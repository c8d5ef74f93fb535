package planner

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/plan"
)

// decisionsOf lists what was decided, with reasons. What is decided otherwise
// where another future is seen is a decision of its own.
func decisionsOf(parts []part, chosen policy, binding []plan.Binding) []plan.Decision {
	a := parts[0]
	var all []plan.Decision
	signed := map[string]bool{}
	for i, d := range a.deals {
		signed[d.Contract] = signed[d.Contract] || chosen.some(func(one *decided) bool { return one.Sign[i] > 0.5 && one.Size[i] > 0 })
	}
	seen := map[string]bool{}
	for i, d := range a.deals {
		one := plan.Decision{Action: plan.Sign, What: d.Contract, At: d.start}
		switch {
		case d.fixed:
			one.Action, one.Size, one.Reasons = plan.Hold, chosen.in(0).Size[i], a.reasons(i, chosen.in(0), binding)
			all = append(all, one)
		case !signed[d.Contract] && !seen[d.Contract]:
			one.Action, one.Reasons = plan.Decline, a.reasons(i, chosen.in(0), binding)
			all = append(all, one)
		default:
			all = append(all, onPaths(parts, chosen, one, func(path *decided) float64 { return path.Sign[i] * path.Size[i] },
				func(p part, path *decided) []string { return p.reasons(i, path, binding) })...)
		}
		seen[d.Contract] = true
	}
	for i, b := range a.recourse[a.s].buys {
		one := plan.Decision{Action: plan.Buy, What: a.offers[b.offer].Name, At: a.Periods[b.period].From}
		all = append(all, onPaths(parts, chosen, one, func(path *decided) float64 { return math.Round(path.Buy[i]) },
			func(part, *decided) []string { return []string{"ready " + b.ready.Format(time.DateOnly)} })...)
	}
	for i, b := range a.recourse[a.s].ports {
		one := plan.Decision{Action: plan.Port, What: b.model + " to " + b.family, At: a.Periods[b.period].From}
		all = append(all, onPaths(parts, chosen, one, func(path *decided) float64 { return math.Round(path.Port[i]) },
			func(p part, _ *decided) []string { return p.portReasons(b) })...)
	}
	return all
}

// onPaths is one decision for each size that it has in some futures; where all
// have the same, one that depends on nothing.
func onPaths(parts []part, chosen policy, one plan.Decision, size func(*decided) float64, why func(part, *decided) []string) []plan.Decision {
	var all []plan.Decision
	var names [][]string
	for s, p := range parts {
		d := one
		if d.Size = size(chosen.in(s)); d.Size <= 0 {
			continue
		}
		at := slices.IndexFunc(all, func(other plan.Decision) bool { return math.Abs(other.Size-d.Size) <= 1e-6*d.Size })
		if at < 0 {
			at = len(all)
			d.Reasons = why(p, chosen.in(s))
			all, names = append(all, d), append(names, nil)
		}
		names[at] = append(names[at], p.recourse[p.s].f.name)
	}
	for i := range all {
		if len(names[i]) < len(parts) {
			all[i].If = names[i]
		}
	}
	return all
}

// portReasons says what a port costs, and what it carries in the first future,
// or in the one in which it carries the most.
func (a part) portReasons(b port) []string {
	const little = 0.01
	best, where := a.portCarries(a.s, b), a.futures[a.s].name
	for s := 0; s < len(a.recourse) && best < little; s++ {
		if share := a.portCarries(s, b); share > best {
			best, where = share, a.futures[s].name
		}
	}
	return []string{
		fmt.Sprintf("costs %s, ready %s", money(b.cost), b.ready.Format(time.DateOnly)),
		fmt.Sprintf("then carries %s of %s if %s", percent2(best), b.model, where),
	}
}

// portCarries is the part of a model's work on a family once it is ready there.
func (a *answer) portCarries(s int, b port) float64 {
	r := a.recourse[s]
	moved, done := 0.0, 0.0
	for w, work := range a.works {
		if work.Model != b.model {
			continue
		}
		for g, group := range a.groups {
			for t, period := range a.Periods {
				if v := r.placed[w][g][t]; v != none {
					units := a.Values[v] * r.eta(w, g, t) * period.Part(b.ready, a.end) * period.Hours()
					done += units
					if group.family == b.family {
						moved += units
					}
				}
			}
		}
	}
	if done == 0 {
		return 0
	}
	return moved / done
}

// percent2 is a share for people: whole percents, but for small ones.
func percent2(share float64) string {
	if share > 0 && share < 0.01 {
		return fmt.Sprintf("%.1g%%", 100*share)
	}
	return fmt.Sprintf("%.0f%%", 100*share)
}

// reasons says what a contract gives and asks in the first future.
func (a part) reasons(d int, first *decided, binding []plan.Binding) []string {
	r, name := a.recourse[a.s], a.deals[d].Contract
	if first.Sign[d] < 0.5 {
		return []string{"nothing that it gives is worth what it asks in these futures (yard leverage says at what figure it would be)"}
	}
	all := append(a.carried(d), a.given(name)...)
	all = append(all, a.owed(d)...)
	if k := r.f.terms[d]; k != nil {
		all = append(all, a.freeAtMargin(d, k, first.Size[d])...)
	}
	for _, b := range binding {
		if strings.HasPrefix(b.Subject, name+"/") {
			all = append(all, b.Words)
		}
	}
	if len(all) == 0 {
		all = append(all, "asks for nothing that is not used anyway")
	}
	return all
}

// carried is the part of all chip-hours that a contract's prices, commitments
// and offers serve.
func (a part) carried(d int) []string {
	r, name := a.recourse[a.s], a.deals[d].Contract
	own, all, nodes := 0.0, 0.0, 0.0
	for _, c := range r.columns {
		o := a.offers[a.lines[c.line].offer]
		hours := a.Values[c.v] * a.Periods[c.period].Hours()
		all += hours * float64(o.Chips)
		if c.deal == d || o.deal == name || a.floored(d, c.line) {
			own += hours * float64(o.Chips)
			nodes += hours
		}
	}
	if nodes < 0.5 {
		return nil
	}
	return []string{fmt.Sprintf("carries %s of chip-hours (%s node-hours) if %s", percent2(own/all), short(nodes), r.f.name)}
}

// floored reports whether usage of a line counts towards a contract's floors.
func (a part) floored(d, line int) bool {
	k := a.recourse[a.s].f.terms[d]
	if k == nil {
		return false
	}
	for _, f := range k.floors {
		if f.lines[line] {
			return true
		}
	}
	return false
}

// given is what a contract brings beside capacity: money and shares.
func (a part) given(name string) []string {
	var all []string
	if f := a.Portfolio.Financing; f != nil {
		for _, inflow := range f.Inflows {
			if t := a.periodAt(inflow.At.Time); inflow.Requires == name && t >= 0 {
				all = append(all, fmt.Sprintf("brings %s (%s)", money(float(inflow.Amount)), inflow.Name))
			}
		}
	}
	sum, tranches := 0.0, 0
	for _, v := range a.recourse[a.s].vested {
		if strings.HasPrefix(v.label, name+"/") && a.Values[v.v] > 0.5 {
			sum += v.value[v.period]
			tranches++
		}
	}
	if tranches > 0 {
		all = append(all, fmt.Sprintf("%d of its tranches of shares vest, worth %s", tranches, money(sum)))
	}
	return all
}

// owed sums up what is paid for and not used.
func (a part) owed(d int) []string {
	sums, when := map[string]float64{}, map[string][]string{}
	var order []string
	for _, s := range a.recourse[a.s].shorts {
		if owed := a.Values[s.v] * s.price * a.scale; s.deal == d && owed > 0.5 {
			key := s.kind + " of " + s.label
			if sums[key] == 0 {
				order = append(order, key)
			}
			sums[key] += owed
			when[key] = append(when[key], a.Periods[s.period].Label())
		}
	}
	var all []string
	for _, key := range order {
		all = append(all, fmt.Sprintf("pays %s for nothing, the %s (%s)", money(sums[key]), key, strings.Join(when[key], ", ")))
	}
	return all
}

// freeAtMargin says of the first window of each floor that steers usage how many
// nodes it makes free at the margin: those paid for in any case.
func (a part) freeAtMargin(d int, k *terms, size float64) []string {
	var all []string
	r := a.recourse[a.s]
	for i := range k.floors {
		f := &k.floors[i]
		for _, w := range f.windows {
			floor, used := w.amount*size, 0.0
			byOffer := map[int]float64{}
			for _, c := range r.columns {
				part, inside := w.part[c.period]
				if !inside || !f.lines[c.line] || c.rate <= 0 {
					continue
				}
				hours := a.Values[c.v] * part * a.Periods[c.period].Hours()
				used += hours * c.rate
				byOffer[a.lines[c.line].offer] += hours
			}
			if floor <= 0 || used > floor*(1+1e-3) {
				continue
			}
			most := -1
			for o := range a.offers {
				if hours := byOffer[o]; hours > 0 && (most < 0 || hours > byOffer[most]) {
					most = o
				}
			}
			if most < 0 {
				break
			}
			hours := 0.0
			for _, t := range sortedPeriods(w.part) {
				hours += w.part[t] * a.Periods[t].Hours()
			}
			all = append(all, fmt.Sprintf("the floor of %s to %s makes the first %s %s nodes free at the margin", money(floor), w.end.Format("2006-01"),
				grouped(byOffer[most]/hours), a.offers[most].Name))
			break
		}
	}
	return all
}

// short is a large count for people.
func short(x float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e4, "k"}} {
		if x >= unit.size {
			if unit.size == 1e4 {
				return fmt.Sprintf("%.0fk", x/1e3)
			}
			return fmt.Sprintf("%.1f%s", x/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%.0f", x)
}

// binding sums up the shadow prices of constraints by what they are about.
// Those of qualification are left out: where nothing runs on a family yet, any
// price above the true one is a valid dual. What a port carries says it better.
func (a *answer) binding(duals []float64) []plan.Binding {
	type sum struct {
		worth, yearly, nodeDays float64
		first                   int
	}
	sums := map[family]*sum{}
	var order []family
	for i, info := range a.info {
		price := math.Abs(duals[i])
		if price < 1e-9 || info.kind == rowGroup || info.kind == rowLink || info.kind == rowDraw || info.kind == rowForce || info.kind == rowTier || info.kind == rowQualified || info.kind == rowCover || info.kind == rowDemand || info.kind == rowSign {
			continue
		}
		f := family{info.kind, info.subject}
		if sums[f] == nil {
			sums[f] = &sum{first: info.period}
			order = append(order, f)
		}
		s := sums[f]
		if (info.kind == rowCapacity || info.kind == rowSite) && info.period >= 0 {
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
		if f.kind == rowSite {
			b.Cost, b.Unit = s.nodeDays, "per megawatt-day"
		}
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
	case rowSite:
		return fmt.Sprintf("power of site %s is short: one more megawatt is worth up to %s a day", f.subject, money(nodeDay))
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
	case x >= 1e3:
		return fmt.Sprintf("%s$%s", sign, grouped(x))
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
