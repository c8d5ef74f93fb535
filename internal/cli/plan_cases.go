package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/plan"
)

// gatheredDecision is a decision with all its cases, where it depends on the
// scenario that is seen by then.
type gatheredDecision struct {
	plan.Decision
	cases []plan.Decision // the largest first
}

// fewCases is how many cases the summary names.
const fewCases = 3

// gathered brings together the cases of one thing decided on one day.
func gathered(all []plan.Decision) []gatheredDecision {
	var out []gatheredDecision
	for _, d := range all {
		at := slices.IndexFunc(out, func(g gatheredDecision) bool {
			return len(g.cases) > 0 && len(d.If) > 0 && g.Action == d.Action && g.What == d.What && g.At.Equal(d.At)
		})
		if at < 0 {
			at = len(out)
			out = append(out, gatheredDecision{Decision: d})
		}
		if len(d.If) > 0 {
			out[at].cases = append(out[at].cases, d)
		}
	}
	for i := range out {
		slices.SortStableFunc(out[i].cases, func(a, b plan.Decision) int {
			switch {
			case a.Size > b.Size:
				return -1
			case a.Size < b.Size:
				return 1
			}
			return 0
		})
	}
	return out
}

// words is what is decided, with the range of its sizes.
func (g gatheredDecision) words() string {
	if len(g.cases) < 2 {
		return decided(g.Decision)
	}
	most, least := g.cases[0], g.cases[len(g.cases)-1]
	if g.Action == plan.Buy {
		return fmt.Sprintf("%s to %s %s", roundedSize(least.Size), roundedSize(most.Size), g.What)
	}
	return fmt.Sprintf("%s × %s to %s", g.What, roundedSize(least.Size), roundedSize(most.Size))
}

// caseWords says in which scenarios, and where nothing of it is done.
func (g gatheredDecision) caseWords(few int, made *plan.Plan) string {
	var parts []string
	named := map[string]bool{}
	for i, c := range g.cases {
		for _, name := range c.If {
			named[name] = true
		}
		switch {
		case len(g.cases) == 1:
			parts = append(parts, "if "+orWords(c.If, few))
		case i < few:
			parts = append(parts, fmt.Sprintf("× %s if %s", roundedSize(c.Size), orWords(c.If, few)))
		case i == few:
			parts = append(parts, countOf(len(g.cases)-few, "more case"))
		}
	}
	var not []string
	for _, f := range made.Futures {
		if !named[f.Name] {
			not = append(not, f.Name)
		}
	}
	if len(not) > 0 {
		parts = append(parts, "not if "+orWords(not, few))
	}
	return strings.Join(parts, "; ")
}

// orWords names scenarios, the first few of many.
func orWords(names []string, few int) string {
	if len(names) > few {
		names = append(names[:few:few], fmt.Sprintf("%d more", len(names)-few))
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}
