package cli

import (
	"fmt"
	"html"
	"sort"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/plan"
)

// planReport is a plan as a page that stands alone.
func planReport(made *plan.Plan) []byte {
	var b strings.Builder
	title := "Plan of " + made.Portfolio
	fmt.Fprintf(&b, pageHead, html.EscapeString(title))
	fmt.Fprintf(&b, "<h1>%s</h1><p>As of %s, for %s to %s. %s</p>\n", html.EscapeString(title), made.AsOf.Format(time.DateOnly),
		made.From.Format(time.DateOnly), made.To.Format(time.DateOnly), html.EscapeString(made.ID))
	reportDecisions(&b, made)
	for _, c := range planCharts(made) {
		b.WriteString(c.html())
	}
	b.WriteString("</body></html>\n")
	return []byte(b.String())
}

func reportDecisions(b *strings.Builder, made *plan.Plan) {
	q := made.Quality
	fmt.Fprintf(b, "<p>Expected cost %s, in the worst futures %s (discounted). No plan can cost less than %s: a gap of %.2f%%.</p>\n<h2>Decisions</h2><table><tr><th>What</th><th>Why</th></tr>\n",
		modelMoney(q.Expected), modelMoney(q.CVaR), modelMoney(q.Bound), 100*q.Gap)
	for _, d := range made.Decisions {
		fmt.Fprintf(b, "<tr><td>%s</td><td style=\"text-align:left\">%s</td></tr>\n", html.EscapeString(d.Says()), html.EscapeString(strings.Join(d.Reasons, "; ")))
	}
	b.WriteString("</table>\n<h2>What binds</h2><ul>\n")
	for _, binding := range made.Binding {
		fmt.Fprintf(b, "<li>%s</li>\n", html.EscapeString(binding.Words))
	}
	b.WriteString("</ul>\n")
	if len(made.Variants) == 0 {
		return
	}
	b.WriteString("<h2>Reported values</h2><table><tr><th>Figure</th><th>Value</th><th>Source</th><th>What changes</th></tr>\n")
	for _, v := range made.Variants {
		text := strings.Join(v.Changes, "; ")
		switch {
		case v.Taken:
			text = "taken"
		case v.Error != "":
			text = "there is no plan: " + v.Error
		case text == "":
			text = "nothing"
		}
		fmt.Fprintf(b, "<tr><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>\n", html.EscapeString(v.Figure), html.EscapeString(v.Value), html.EscapeString(v.Source), html.EscapeString(text))
	}
	b.WriteString("</table>\n")
}

func planCharts(made *plan.Plan) []chart {
	first := made.Futures[0]
	var labels []string
	for _, p := range first.Periods {
		labels = append(labels, p.Label)
	}
	charts := []chart{
		{title: "Capacity by chip", note: "Chips in use on average, in " + first.Name + ".", labels: labels, format: wholeNumber,
			bars: stack(first, func(n plan.Nodes) (string, float64) { return n.Chip, n.Chips })},
		{title: "Spend against commitments", note: "What billing charges in each period, and what signed contracts oblige to spend.", labels: labels, format: modelMoney,
			bars: []series{{"spend", spendOf(first)}}, lines: []series{{"committed", committedOf(first)}}},
		{title: "Exposure by provider", note: "Share of chips in use.", labels: labels, format: percentage,
			bars: asShares(stack(first, func(n plan.Nodes) (string, float64) { return n.Provider, n.Chips }))},
		{title: "Exposure by chipmaker", note: "Share of chips in use.", labels: labels, format: percentage,
			bars: asShares(stack(first, func(n plan.Nodes) (string, float64) { return n.Chipmaker, n.Chips }))},
		fan(made, labels), meritChart(made),
	}
	if first.CashLow != nil {
		charts = append(charts, cashChart(made, labels))
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

func spendOf(f plan.Future) []float64 {
	var all []float64
	for _, p := range f.Periods {
		all = append(all, float64(p.Spend.Micros)/1e6)
	}
	return all
}

func committedOf(f plan.Future) []float64 {
	var all []float64
	for _, p := range f.Periods {
		all = append(all, p.Committed)
	}
	return all
}

func cashChart(made *plan.Plan, labels []string) chart {
	c := chart{title: "Cash", note: "At the end of each period, by future.", labels: labels, format: modelMoney}
	for _, f := range made.Futures {
		s := series{name: f.Name}
		for _, p := range f.Periods {
			if p.Cash != nil {
				s.values = append(s.values, *p.Cash)
			}
		}
		c.lines = append(c.lines, s)
	}
	return c
}

// fan is what has been spent so far in each future.
func fan(made *plan.Plan, labels []string) chart {
	c := chart{title: "Futures", note: "Spend so far, by future.", labels: labels, format: modelMoney}
	for _, f := range made.Futures {
		s, sum := series{name: fmt.Sprintf("%s (%.0f%%)", f.Name, 100*f.Probability)}, 0.0
		for _, spent := range spendOf(f) {
			sum += spent
			s.values = append(s.values, sum)
		}
		c.lines = append(c.lines, s)
	}
	return c
}

// meritChart ranks the offers of the first period by their dispatch price.
func meritChart(made *plan.Plan) chart {
	c := chart{title: "Merit order", note: "Dispatch price of a node-hour in the first period, cheapest first: cash now, and the opportunity cost of longer commitments.",
		format: func(x float64) string { return fmt.Sprintf("$%.2f", x) }}
	var now []plan.Dispatch
	for _, d := range made.Dispatch {
		if d.Period.From.Equal(made.From) {
			now = append(now, d)
		}
	}
	sort.SliceStable(now, func(i, j int) bool { return now[i].Price < now[j].Price })
	price := series{name: "dispatch price"}
	list := series{name: "list price"}
	for _, d := range now {
		c.labels = append(c.labels, strings.TrimSpace(d.Offer+" "+d.Class))
		price.values, list.values = append(price.values, d.Price), append(list.values, d.List)
	}
	c.bars, c.lines = []series{price}, []series{list}
	return c
}
