package cli

import (
	"encoding/json"
	"fmt"
	"math"
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
func planListing(made *plan.Plan, file string, took time.Duration, report string) listing {
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
			low, lowExact = modelMoney(y.CashLow.Amount)+" ("+y.CashLow.Period+")", fmt.Sprint(y.CashLow.Amount)
		}
		l.cells, l.exact = append(l.cells, append(cells, low)), append(l.exact, append(exact, lowExact))
	}
	l.before = planHeadline(made, took) + "\n"
	l.after = planAfter(made, report)
	return l
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

func planHeadline(made *plan.Plan, took time.Duration) string {
	var b strings.Builder
	var lines []string
	for _, d := range made.Decisions {
		if d.Action == plan.Hold {
			continue
		}
		line := strings.ToUpper(string(d.Action[:1])) + d.Says()[1:]
		if len(d.Reasons) > 0 {
			line += ": " + d.Reasons[0]
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		lines = []string{"Nothing new to sign or buy."}
	}
	const most = 14
	if len(lines) > most {
		lines = append(lines[:most:most], fmt.Sprintf("and %d more (-o json)", len(lines)-most))
	}
	b.WriteString(strings.Join(lines, "\n"))
	q := made.Quality
	fmt.Fprintf(&b, "\n\nExpected cost %s, in the worst tenth of futures %s (discounted) · gap %.2f%% · %.0f s · %s\n", modelMoney(q.Expected), modelMoney(q.CVaR),
		100*q.Gap, took.Seconds(), made.ID)
	return b.String()
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
	for _, f := range made.Futures {
		for _, breach := range f.Breaches {
			fmt.Fprintf(&b, "If %s: breach of %s\n", f.Name, breach)
		}
	}
	for _, v := range made.Variants {
		if v.Taken {
			continue
		}
		text := "the decisions stay"
		if len(v.Changes) > 0 {
			text = strings.Join(v.Changes, "; ")
		}
		if v.Error != "" {
			text = "there is no plan"
		}
		fmt.Fprintf(&b, "If %s is %s (%s): %s\n", v.Figure, v.Value, v.Source, text)
	}
	for _, note := range made.Notes {
		fmt.Fprintf(&b, "Note: %s\n", note)
	}
	fmt.Fprintf(&b, "\nBilling says %s for the likeliest future; the model %s (%+.2f%% in expectation).\n", made.Futures[0].Spend.Short(),
		modelMoney(made.Futures[0].Modelled), 100*made.Quality.Difference)
	if report != "" {
		fmt.Fprintf(&b, "Report: %s.  ", report)
	}
	fmt.Fprintf(&b, "What would leaving cost? yard leverage %s\n", made.ID)
	return b.String()
}
