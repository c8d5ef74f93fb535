package cli

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/plan"
	"github.com/switchyard-ai/switchyard/internal/units"
)

func planJSON(made *plan.Plan) ([]byte, error) {
	data, err := json.MarshalIndent(made, "", "  ")
	return append(data, '\n'), fault.Wrap(fault.Internal, err, "plan")
}

// modelMoney is a modelled amount for people.
func modelMoney(x float64) string {
	return units.Amount{Micros: int64(math.Round(math.Min(math.Abs(x), 9e12)*1e6)) * int64(math.Copysign(1, x)), Currency: units.USD}.Short()
}

// planListing is the one-screen summary of a plan.
func planListing(made *plan.Plan, how solved, report string) listing {
	providers, makers := topNames(made, func(y plan.Year) map[string]float64 { return y.Providers }), topNames(made, func(y plan.Year) map[string]float64 { return y.Chipmakers })
	columns := []column{{title: "YEAR", field: "year"}, {title: "SPEND", field: "spend", number: true}, {title: "COMMITTED", field: "committed", number: true}}
	for _, name := range providers {
		columns = append(columns, column{title: name, field: "provider_" + name, number: true})
	}
	for _, name := range makers {
		columns = append(columns, column{title: name + " chips", field: "chipmaker_" + name, number: true})
	}
	columns = append(columns, column{title: "HHI", field: "hhi", number: true}, column{title: "CASH LOW", field: "cash_low", number: true})
	l := listing{document: made, columns: columns}
	for _, y := range made.Years {
		cells := []string{fmt.Sprint(y.Year), y.Spend.Short(), modelMoney(y.Committed)}
		exact := []string{fmt.Sprint(y.Year), y.Spend.Decimal(), fmt.Sprint(y.Committed)}
		for _, name := range providers {
			cells, exact = append(cells, percentage(y.Providers[name])), append(exact, fmt.Sprint(y.Providers[name]))
		}
		for _, name := range makers {
			cells, exact = append(cells, percentage(y.Chipmakers[name])), append(exact, fmt.Sprint(y.Chipmakers[name]))
		}
		cells, exact = append(cells, units.Grouped(int64(math.Round(y.HHI)))), append(exact, fmt.Sprint(y.HHI))
		low, lowExact := "", ""
		if y.CashLow != nil {
			low, lowExact = modelMoney(y.CashLow.Amount)+" ("+monthName(y.CashLow.Period)+")", fmt.Sprint(y.CashLow.Amount)
		}
		l.cells, l.exact = append(l.cells, append(cells, low)), append(l.exact, append(exact, lowExact))
	}
	l.before = planHeadline(made, how) + "\n"
	if lines := decisionLines(made); lines != "" {
		l.before += lines + "\n"
	}
	l.after = planAfter(made, report)
	return l
}

// monthName is the month of a period's label, where it has one: the year is
// beside it.
func monthName(label string) string {
	at, err := time.Parse("2006-01", label)
	if err != nil {
		return label
	}
	return at.Format("Jan")
}

// topNames lists the names of the largest shares over all years, four at most.
func topNames(made *plan.Plan, of func(plan.Year) map[string]float64) []string {
	sums := map[string]float64{}
	for _, y := range made.Years {
		for name, part := range of(y) {
			sums[name] += part
		}
	}
	var names []string
	for name := range sums {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		if sums[names[i]] != sums[names[j]] {
			return sums[names[i]] > sums[names[j]]
		}
		return names[i] < names[j]
	})
	const most = 4
	return names[:min(most, len(names))]
}

// solved is how a plan was just made; zero for one that was made before.
type solved struct {
	took, limit time.Duration
	gap         float64 // that was asked for
}

// shortOf reports whether a gap is wider than the one asked for, by more than the
// solver's rounding.
func shortOf(gap, asked float64) bool { return asked > 0 && gap > asked*1.001+1e-9 }

// planHeadline is what was decided, and how well.
func planHeadline(made *plan.Plan, how solved) string {
	facts := fmt.Sprintf("gap %.2f%%, ", 100*made.Quality.Gap)
	switch asked := how.gap; {
	case shortOf(made.Quality.Gap, asked) && how.took >= how.limit && how.limit > 0:
		facts = "stopped by the time limit at " + facts
	case shortOf(made.Quality.Gap, asked):
		facts += fmt.Sprintf("where %.2f%% was asked for, ", 100*asked)
	}
	if !made.AsOf.IsZero() {
		facts = "as of " + made.AsOf.Format(time.DateOnly) + ", " + facts
	}
	if how.took > 0 {
		facts += fmt.Sprintf("%.0f s, ", how.took.Seconds())
	}
	return fmt.Sprintf("%s.     %s%s\n", sentence(made), facts, made.ID)
}

// sentence is what was decided, in one sentence.
func sentence(made *plan.Plan) string {
	parts := map[plan.Action][]string{}
	depends := false
	for _, d := range gathered(atAllDates(made.Decisions)) {
		if parts[d.Action] = append(parts[d.Action], d.words()); len(d.cases) > 0 {
			depends = true
		}
	}
	var clauses []string
	for _, action := range []plan.Action{plan.Sign, plan.Decline, plan.Buy, plan.Port} {
		names := parts[action]
		const most = 4
		if len(names) > most {
			names = append(names[:most:most], fmt.Sprintf("%d more", len(names)-most))
		}
		if len(names) > 0 {
			clauses = append(clauses, string(action)+" "+joinWords(names))
		}
	}
	if len(clauses) == 0 {
		clauses = []string{"nothing new to sign or buy"}
	}
	if depends {
		clauses = append(clauses, "some of it by what is seen then")
	}
	text := strings.Join(clauses, "; ")
	return strings.ToUpper(text[:1]) + text[1:]
}

// atAllDates sums what is bought of one thing at several dates; what depends on
// what is seen stays apart.
func atAllDates(all []plan.Decision) []plan.Decision {
	var out []plan.Decision
	for _, d := range all {
		at := slices.IndexFunc(out, func(o plan.Decision) bool {
			return o.Action == plan.Buy && d.Action == plan.Buy && o.What == d.What && len(o.If)+len(d.If) == 0
		})
		if at < 0 {
			out = append(out, d)
			continue
		}
		out[at].Size += d.Size
	}
	return out
}

// decided is what a decision is about, with its size.
func decided(d plan.Decision) string {
	switch {
	case d.Action == plan.Buy:
		return fmt.Sprintf("%s %s", units.Grouped(int64(math.Round(d.Size))), d.What)
	case d.Size != 0 && d.Size != 1:
		return fmt.Sprintf("%s × %s", d.What, roundedSize(d.Size))
	}
	return d.What
}

// roundedSize is a size to three figures.
func roundedSize(x float64) string {
	if x >= 1000 {
		return units.Grouped(int64(math.Round(x)))
	}
	return fmt.Sprintf("%.3g", x)
}

func joinWords(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// decisionLines is each new decision with its date, worth and first reason.
func decisionLines(made *plan.Plan) string {
	var rows [][]string
	for _, d := range gathered(made.Decisions) {
		if d.Action == plan.Hold {
			continue
		}
		when, worth := "", ""
		if d.Action != plan.Decline {
			when = d.At.Format(time.DateOnly)
		}
		if d.Worth != nil {
			worth = worthWords(d.Decision)
		}
		why := d.Reasons[0]
		switch {
		case len(d.cases) > 0:
			why = d.caseWords(fewCases, made)
		case d.Action == plan.Port:
			why = strings.Join(d.Reasons, "; ")
		}
		rows = append(rows, []string{string(d.Action) + " " + d.words(), when, worth, why})
	}
	const most = 12
	text := aligned(rows[:min(most, len(rows))])
	if len(rows) > most {
		text += fmt.Sprintf("  and %d more decisions (-o json)\n", len(rows)-most)
	}
	return text
}

// aligned writes rows of cells in columns; one that is empty throughout is left out.
func aligned(rows [][]string) string {
	wide := map[int]int{}
	for _, row := range rows {
		for i, cell := range row {
			wide[i] = max(wide[i], len([]rune(cell)))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			if wide[i] > 0 {
				line += "  " + cell + strings.Repeat(" ", wide[i]-len([]rune(cell)))
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// worthWords says what a decision is worth, as far as two plans tell.
func worthWords(d plan.Decision) string {
	if math.Abs(*d.Worth) <= d.Within {
		return "as good as not, within " + modelMoney(d.Within)
	}
	return fmt.Sprintf("worth %s ± %s", modelMoney(*d.Worth), modelMoney(d.Within))
}

func planAfter(made *plan.Plan, report string) string {
	var b strings.Builder
	if len(made.Binding) > 0 {
		b.WriteString("\nWhat binds:")
		for _, binding := range made.Binding[:min(4, len(made.Binding))] {
			b.WriteString("\n  · " + binding.Words)
		}
		b.WriteString("\n")
	}
	b.WriteString(covenantLine(made))
	for _, line := range planIfs(made) {
		b.WriteString(line + "\n")
	}
	b.WriteString("\n" + planMoney(made))
	if report != "" {
		fmt.Fprintf(&b, "Report: %s     ", report)
	}
	fmt.Fprintf(&b, "Under shocks? yard stress %s     What would leaving cost? yard leverage %s\n", made.ID, made.ID)
	return b.String()
}

// covenantFigure is what a covenant counts, in its unit.
func covenantFigure(s plan.Standing, x float64) string {
	if s.Unit == "MW" {
		return units.Grouped(int64(math.Round(x))) + " MW"
	}
	return fmt.Sprintf("%.1f%%", 100*x)
}

// covenantLine is how the covenants of the likeliest future stand.
func covenantLine(made *plan.Plan) string {
	var parts []string
	for _, s := range made.Covenants {
		if s.State != "" {
			parts = append(parts, fmt.Sprintf("%s/%s %s of %s in %s: %s", s.Contract, s.Clause, covenantFigure(s, s.Share), covenantFigure(s, s.Floor), s.Period, s.State))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	const most = 3
	if len(parts) > most {
		parts = append(parts[:most:most], fmt.Sprintf("%d more windows (-o json)", len(parts)-most))
	}
	return "Covenants: " + strings.Join(parts, "; ") + "\n"
}

// planIfs says what differs in some futures, under other reported values, and
// what the model leaves out.
func planIfs(made *plan.Plan) []string {
	var lines, order []string
	where, worst := map[string][]string{}, map[string]float64{}
	note := func(f plan.Future, what string) {
		if where[what] == nil {
			order = append(order, what)
		}
		where[what] = append(where[what], f.Name)
	}
	for _, f := range made.Futures {
		for _, what := range breachWords(f) {
			note(f, what)
		}
		names, shares := notServed(f)
		for i, name := range names {
			what := name + " is not served in full"
			note(f, what)
			worst[what] = max(worst[what], shares[i])
		}
	}
	for _, what := range order {
		text := what
		if share := worst[what]; share > 0 {
			text += fmt.Sprintf(" (%.2g%% of it is left", 100*share) + map[bool]string{true: " at the worst)", false: ")"}[len(where[what]) > 1]
		}
		if len(made.Futures) > 1 {
			text = fmt.Sprintf("In %d of %d futures (%s): %s", len(where[what]), len(made.Futures), strings.Join(where[what], ", "), text)
		}
		lines = append(lines, text)
	}
	for _, v := range made.Variants {
		if v.Taken {
			continue
		}
		means := ""
		if v.Means != "" {
			means = ", " + v.Means
		}
		lines = append(lines, fmt.Sprintf("If %s is %s%s (%s): %s", v.Figure, v.Value, means, v.Source, variantWords(made, v)))
	}
	for _, note := range made.Notes {
		lines = append(lines, "Note: "+note)
	}
	return lines
}

func breachWords(f plan.Future) []string {
	var words []string
	for _, breach := range f.Breaches {
		words = append(words, strings.Replace(breach, " in ", " is broken in ", 1))
	}
	return words
}

// notServed lists the demands that a future leaves some work of, and how much.
func notServed(f plan.Future) (names []string, shares []float64) {
	left, done := map[string]float64{}, map[string]float64{}
	for _, u := range f.Unserved {
		if !slices.Contains(names, u.Demand) {
			names = append(names, u.Demand)
		}
		left[u.Demand] += u.Units
	}
	for _, p := range f.Periods {
		for _, w := range p.Work {
			done[w.Demand] += w.Units
		}
	}
	for _, name := range names {
		shares = append(shares, left[name]/(left[name]+done[name]))
	}
	return names, shares
}

func variantWords(made *plan.Plan, v plan.Variant) string {
	if v.Error != "" {
		return "there is no plan"
	}
	text := "the decisions stay"
	if len(v.Changes) > 0 {
		text = strings.Join(v.Changes, "; ")
	}
	switch more := v.Objective - made.Quality.Objective; {
	case math.Abs(more) <= made.Quality.Gap*math.Abs(made.Quality.Objective):
		return text + "; costs the same within the gap"
	case more > 0:
		return fmt.Sprintf("%s; costs %s more", text, modelMoney(more))
	default:
		return fmt.Sprintf("%s; costs %s less", text, modelMoney(-more))
	}
}

// planMoney is the plan's cost, cash and how far billing agrees.
func planMoney(made *plan.Plan) string {
	var b strings.Builder
	q := made.Quality
	fmt.Fprintf(&b, "Expected cost %s (discounted)", modelMoney(q.Expected))
	if len(made.Futures) > 1 {
		fmt.Fprintf(&b, ", %s in the worst futures (CVaR)", modelMoney(q.CVaR))
	}
	b.WriteString(".\n")
	if low := made.Futures[0].CashLow; low != nil {
		fmt.Fprintf(&b, "Cash is lowest in %s: %s%s.\n", low.Period, modelMoney(low.Amount), shortestRunway(made))
	}
	fmt.Fprintf(&b, "Billing says %s if %s; the model %s (%+.2f%% over all futures).\n", made.Futures[0].Spend.Short(), made.Futures[0].Name,
		modelMoney(made.Futures[0].Modelled), 100*q.Difference)
	return b.String()
}

func shortestRunway(made *plan.Plan) string {
	var worst *plan.Year
	for i := range made.Years {
		if y := &made.Years[i]; y.Runway != nil && (worst == nil || *y.Runway < *worst.Runway) {
			worst = y
		}
	}
	if worst == nil {
		return ", and grows each year"
	}
	return fmt.Sprintf("; shortest runway %s, at the end of %d", runwayWords(*worst.Runway), worst.Year)
}
