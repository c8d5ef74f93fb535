package cli

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/plan"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// planReport is a plan as a page that stands alone, with how it was sought.
func planReport(made *plan.Plan, sought chart) []byte {
	var b strings.Builder
	title := "Plan of " + made.Portfolio
	fmt.Fprintf(&b, pageHead, html.EscapeString(title))
	fmt.Fprintf(&b, "<h1>%s</h1><p>Decided as of %s, for %s to %s · %s</p>\n<p class=\"lead\">%s.</p>\n", html.EscapeString(title), made.AsOf.Format(time.DateOnly),
		made.From.Format(time.DateOnly), made.To.Format(time.DateOnly), html.EscapeString(made.ID), html.EscapeString(sentence(made)))
	q := made.Quality
	fmt.Fprintf(&b, "<p>%s Weighted by risk it costs %s, and no plan can cost less than %s: a gap of %.2f%%.</p>\n",
		html.EscapeString(strings.ReplaceAll(planMoney(made), "\n", " ")), modelMoney(q.Objective), modelMoney(q.Bound), 100*q.Gap)
	reportDecisions(&b, made)
	reportYears(&b, made)
	reportIfs(&b, made)
	for _, c := range planCharts(made) {
		b.WriteString(c.html())
	}
	b.WriteString(meritOrder(made).html())
	if len(sought.labels) > 0 {
		b.WriteString(sought.html())
	}
	reportStanding(&b, made)
	reportSources(&b, made)
	b.WriteString("</body></html>\n")
	return []byte(b.String())
}

// reportTable writes a table; columns whose heading starts with a dot are text,
// and those that are empty throughout are left out.
func reportTable(b *strings.Builder, title string, heads []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	heads, rows = withoutEmpty(heads, rows)
	class := func(i int) string {
		if strings.HasPrefix(heads[i], ".") {
			return ` class="text"`
		}
		return ""
	}
	fmt.Fprintf(b, "<section><h2>%s</h2><div class=\"wide\"><table><tr>", html.EscapeString(title))
	for i, head := range heads {
		fmt.Fprintf(b, "<th%s>%s</th>", class(i), html.EscapeString(strings.TrimPrefix(head, ".")))
	}
	b.WriteString("</tr>\n")
	for _, row := range rows {
		b.WriteString("<tr>")
		for i, cell := range row {
			if lines := strings.Split(cell, "\n"); len(lines) > 1 {
				for k := range lines {
					lines[k] = "<li>" + html.EscapeString(lines[k]) + "</li>"
				}
				fmt.Fprintf(b, "<td%s><ul>%s</ul></td>", class(i), strings.Join(lines, ""))
				continue
			}
			fmt.Fprintf(b, "<td%s>%s</td>", class(i), html.EscapeString(cell))
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</table></div></section>\n")
}

// withoutEmpty drops the columns of which no cell says anything.
func withoutEmpty(heads []string, rows [][]string) ([]string, [][]string) {
	var kept []int
	for i := range heads {
		if slices.ContainsFunc(rows, func(row []string) bool { return row[i] != "" }) {
			kept = append(kept, i)
		}
	}
	pick := func(cells []string) []string {
		var out []string
		for _, i := range kept {
			out = append(out, cells[i])
		}
		return out
	}
	var fewer [][]string
	for _, row := range rows {
		fewer = append(fewer, pick(row))
	}
	return pick(heads), fewer
}

func reportDecisions(b *strings.Builder, made *plan.Plan) {
	var rows [][]string
	for _, d := range gathered(made.Decisions) {
		when, worth := d.At.Format(time.DateOnly), ""
		if d.Action == plan.Decline || d.Action == plan.Hold {
			when = ""
		}
		if d.Worth != nil {
			worth = strings.TrimPrefix(worthWords(d.Decision), "worth ")
		}
		why := strings.Join(d.Reasons, "\n")
		if len(d.cases) > 0 {
			why = d.caseWords(len(made.Futures), made)
		}
		rows = append(rows, []string{string(d.Action) + " " + d.words(), when, worth, why})
	}
	reportTable(b, "Decisions", []string{"What", "From", "Worth", ".Why"}, rows)
	rows = nil
	for _, binding := range made.Binding {
		rows = append(rows, []string{binding.Subject, binding.Words})
	}
	reportTable(b, "What binds, and what it would cost or save to move it", []string{".What", ".Shadow price"}, rows)
}

func reportYears(b *strings.Builder, made *plan.Plan) {
	providers, makers := topNames(made, func(y plan.Year) map[string]float64 { return y.Providers }), topNames(made, func(y plan.Year) map[string]float64 { return y.Chipmakers })
	heads := []string{".Year", "Spend", "Committed"}
	for _, name := range makers {
		providers = append(providers, name+" chips")
	}
	heads = append(append(heads, providers...), "HHI", "Burn/month", "Runway", "Cash low")
	var rows [][]string
	for _, y := range made.Years {
		row := []string{fmt.Sprint(y.Year), y.Spend.Short(), modelMoney(y.Committed)}
		for _, name := range providers {
			share := y.Providers[name]
			if maker, of := strings.CutSuffix(name, " chips"); of {
				share = y.Chipmakers[maker]
			}
			row = append(row, percentage(share))
		}
		burn, runway, low := "", "", ""
		if y.NetBurn != nil {
			burn, runway = modelMoney(*y.NetBurn), "grows"
		}
		if y.Runway != nil {
			runway = runwayWords(*y.Runway)
		}
		if y.CashLow != nil {
			low = modelMoney(y.CashLow.Amount)
		}
		rows = append(rows, append(row, units.Grouped(int64(math.Round(y.HHI))), burn, runway, low))
	}
	reportTable(b, "Years, if "+made.Futures[0].Name, heads, rows)
	b.WriteString("<p>Providers by spend at list price, chips by chip-hours. Committed adds up all contracts; one dollar may count towards two of them.")
	if slices.ContainsFunc(made.Years, func(y plan.Year) bool { return y.NetBurn != nil }) {
		b.WriteString(" Burn is spend and other costs less revenue; runway is months from the end of the year to the floor of cash at that burn, without further raises.")
	}
	b.WriteString("</p>\n")
}

// runwayWords is a runway in months, as far as that means something.
func runwayWords(months float64) string {
	const long = 120
	if months > long {
		return "over 10 years"
	}
	if math.Round(months) == 1 {
		return "1 month"
	}
	return fmt.Sprintf("%.0f months", months)
}

func reportIfs(b *strings.Builder, made *plan.Plan) {
	lines := planIfs(made)
	if len(lines) == 0 {
		return
	}
	b.WriteString("<section><h2>If</h2><ul>\n")
	for _, line := range lines {
		fmt.Fprintf(b, "<li>%s</li>\n", html.EscapeString(line))
	}
	b.WriteString("</ul></section>\n")
	var rows [][]string
	for _, v := range made.Variants {
		taken := ""
		if v.Taken {
			taken = "this plan"
		}
		rows = append(rows, []string{v.Figure, v.Value, taken, v.Source, v.Means})
	}
	reportTable(b, "Figures of which several values are reported", []string{"Figure", "Value", "Taken", ".Source", ".What it means"}, rows)
}

// reportStanding is where each clause stands at the end of the likeliest future.
func reportStanding(b *strings.Builder, made *plan.Plan) {
	var rows [][]string
	for _, s := range made.Covenants {
		asked, done := modelMoney(s.Committed), modelMoney(s.Retired)
		if s.Floor > 0 {
			asked, done = covenantFigure(s, s.Floor), covenantFigure(s, s.Share)
		}
		rows = append(rows, []string{s.Contract + "/" + s.Clause, s.Kind, s.Period, asked, done, s.State})
	}
	reportTable(b, "Where each clause stands at the end, if "+made.Futures[0].Name, []string{"Clause", ".Kind", "To", "Asked for", "Done", ".State"}, rows)
}

// reportSources lists where the portfolio's figures are from.
func reportSources(b *strings.Builder, made *plan.Plan) {
	portfolio, err := made.Parse()
	if err != nil {
		return // a plan that was sealed parses; a report is no place to fail
	}
	var rows [][]string
	add := func(what, source string) {
		if source != "" {
			rows = append(rows, []string{what, source})
		}
	}
	for _, d := range portfolio.Demand {
		add("demand "+d.Name, d.Source)
	}
	for _, o := range portfolio.Offers {
		add("offer "+o.Name, o.Source)
	}
	for _, c := range portfolio.Contracts {
		add("contract "+c.Contract, strings.Join(c.Sources, "; "))
	}
	for _, q := range portfolio.Qualification {
		add("qualification of "+q.Model, q.Source)
	}
	if f := portfolio.Financing; f != nil {
		add("financing", f.Source)
		for _, i := range f.Inflows {
			add("inflow "+i.Name, i.Source)
		}
	}
	for _, s := range portfolio.Scenarios {
		add("scenario "+s.Name, s.Source)
	}
	reportTable(b, "Where the figures are from", []string{"Figure", ".Source"}, rows)
}

func planCharts(made *plan.Plan) []chart {
	first := made.Futures[0]
	axis := chart{}
	for _, p := range first.Periods {
		axis.labels, axis.widths = append(axis.labels, p.Label), append(axis.widths, p.Hours())
	}
	on := func(title, note string, format func(float64) string) chart {
		c := axis
		c.title, c.note, c.format = title, note, format
		return c
	}
	capacity := on("Capacity by chip", "Chips in use on average, if "+first.Name+".", wholeNumber)
	capacity.bars = stack(first, func(n plan.Nodes) (string, float64) { return n.Chip, n.Chips })
	spend := on("Spend against commitments", "A month, on average over each period: what billing charges, and what signed contracts oblige to spend, if "+first.Name+".", modelMoney)
	spend.axis, spend.bars, spend.lines = axisMoney, []series{{"spend", monthly(first, spendOf)}}, []series{{"committed", monthly(first, committedOf)}}
	providers := on("Exposure by provider", "Share of chips in use.", percentage)
	providers.bars = asShares(stack(first, func(n plan.Nodes) (string, float64) { return n.Provider, n.Chips }))
	makers := on("Exposure by chipmaker", "Share of chips in use.", percentage)
	makers.bars = asShares(stack(first, func(n plan.Nodes) (string, float64) { return n.Chipmaker, n.Chips }))
	charts := []chart{capacity, spend}
	if first.CashLow != nil {
		cash := on("Cash", "At the end of each period, in each future.", modelMoney)
		cash.axis, cash.lines = axisMoney, cashOf(made)
		charts = append(charts, cash)
	}
	charts = append(charts, providers, makers)
	if len(made.Futures) > 1 {
		fan := on("Futures", "Spend a month in each future, with the probability of each.", modelMoney)
		fan.axis, fan.band = axisMoney, true
		for _, f := range made.Futures {
			fan.lines = append(fan.lines, series{fmt.Sprintf("%s (%.0f%%)", f.Name, 100*f.Probability), monthly(f, spendOf)})
		}
		charts = append(charts, fan)
	}
	return charts
}

// stack sums what a future uses by a name, in each period.
func stack(f plan.Future, of func(plan.Nodes) (string, float64)) []series {
	values := map[string][]float64{}
	for i, p := range f.Periods {
		for _, n := range p.Nodes {
			name, size := of(n)
			if values[name] == nil {
				values[name] = make([]float64, len(f.Periods))
			}
			values[name][i] += size
		}
	}
	var names []string
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	var all []series
	for _, name := range names {
		all = append(all, series{name, values[name]})
	}
	return all
}

func asShares(all []series) []series {
	for i := range all[:min(len(all), 1)] {
		for t := range all[i].values {
			sum := 0.0
			for _, s := range all {
				sum += s.values[t]
			}
			for k := range all {
				if sum > 0 {
					all[k].values[t] /= sum
				}
			}
		}
	}
	return all
}

func spendOf(p plan.PeriodResult) float64 { return float64(p.Spend.Micros) / 1e6 }

func committedOf(p plan.PeriodResult) float64 { return p.Committed }

// monthly spreads what each period has over its months.
func monthly(f plan.Future, of func(plan.PeriodResult) float64) []float64 {
	const monthHours = 8766.0 / 12
	var all []float64
	for _, p := range f.Periods {
		all = append(all, of(p)*monthHours/p.Hours())
	}
	return all
}

func cashOf(made *plan.Plan) []series {
	var all []series
	for _, f := range made.Futures {
		s := series{name: f.Name}
		for _, p := range f.Periods {
			if p.Cash != nil {
				s.values = append(s.values, *p.Cash)
			}
		}
		all = append(all, s)
	}
	if portfolio, err := made.Parse(); err == nil && portfolio.Financing != nil && !portfolio.Financing.Floor.IsZero() {
		floor, _ := portfolio.Financing.Floor.Float64()
		all = append(all, series{"floor", slices.Repeat([]float64{floor}, len(made.Futures[0].Periods))})
	}
	return all
}

// meritOrder ranks the offers of the first period by their dispatch price.
func meritOrder(made *plan.Plan) ranking {
	k := ranking{title: "Merit order in " + made.Futures[0].Periods[0].Label, barName: "dispatch price", mark: "list price",
		note:   "What one more node-hour really costs, cheapest first: the cash that it adds to the bill now, and the opportunity cost of commitments over longer windows.",
		format: func(x float64) string { return fmt.Sprintf("$%.2f", x) }}
	for _, d := range made.Dispatch {
		if d.Period.From.Equal(made.From) {
			k.rows = append(k.rows, ranked{strings.TrimSpace(d.Offer + " " + d.Class), d.Price, d.List, d.Reason})
		}
	}
	slices.SortStableFunc(k.rows, func(a, b ranked) int { return cmp.Compare(a.value, b.value) })
	const most = 30
	k.others = max(len(k.rows)-most, 0)
	k.rows = k.rows[:min(most, len(k.rows))]
	return k
}
