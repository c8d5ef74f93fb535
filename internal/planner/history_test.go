package planner_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/plan"
	"github.com/switchyard-ai/switchyard/internal/planner"
)

const fromHistory = `kind: Portfolio
name: grown
as_of: 2026-04-01
horizon: {from: 2026-04-01, to: 2026-05-01}
demand:
- {name: chat, class: inference, history: {project: chat, over: 90d, TREND}, throughput: {H100: 2, MI300X: 1}}
offers: [{name: a, provider: a, chip: H100, price: 1}]
`

// usedBy is use of three slices of thirty days: a tenth more each, half of the
// work on MI300X, which does half of what an H100 does.
func usedBy(t *testing.T, text string) map[string]plan.Used {
	t.Helper()
	portfolio, err := plan.Parse("test.yaml", []byte(text), plan.Choice{})
	if err != nil {
		t.Fatal(err)
	}
	used := portfolio.Demand[0].History.Empty(portfolio.AsOf.Time)
	if len(used.Slices) != 3 {
		t.Fatalf("%d slices of 90 days, want 3", len(used.Slices))
	}
	chips := 100.0
	for _, s := range used.Slices {
		used.Add("H100", chips, s.From, s.To)
		used.Add("MI300X", 2*chips, s.From, s.To)
		chips *= 1.1
	}
	used.Add("H100", 1e6, used.Slices[0].From.Add(-time.Hour), used.Slices[0].From) // before the window
	used.Add("H100", 5, used.Slices[0].From, used.Slices[0].To)
	used.Add("H100", -5, used.Slices[0].From, used.Slices[0].To) // taken back
	return map[string]plan.Used{"chat": used}
}

func compiledWith(t *testing.T, text string, used map[string]plan.Used) (*planner.Problem, error) {
	t.Helper()
	portfolio, err := plan.Parse("test.yaml", []byte(text), plan.Choice{Used: used})
	if err != nil {
		t.Fatal(err)
	}
	return planner.Compile(portfolio, nil, nil)
}

func TestDemandIsTakenFromWhatWasUsed(t *testing.T) {
	steady := strings.Replace(fromHistory, ", TREND", "", 1)
	p, err := compiledWith(t, steady, usedBy(t, steady))
	if err != nil {
		t.Fatal(err)
	}
	made, err := planner.Solve(t.Context(), solver(t), p, planner.Options{Gap: 1e-9})
	if err != nil {
		t.Fatal(err)
	}
	// 400 units an hour, 440 and 484 are 441.33 on average: 220.67 H100s for the 720 hours of April.
	spends(t, made, math.Ceil(720*(400+440+484)/3.0/2))

	growing := strings.Replace(fromHistory, "TREND", "trend: true", 1)
	p, err = compiledWith(t, growing, usedBy(t, growing))
	if err != nil {
		t.Fatal(err)
	}
	made, err = planner.Solve(t.Context(), solver(t), p, planner.Options{Gap: 1e-9})
	if err != nil {
		t.Fatal(err)
	}
	// A tenth more in thirty days: from the mean at 45 days before April to its middle, 15 days after its start, two months of growth.
	want := 720 * (400 + 440 + 484) / 3.0 / 2 * 1.1 * 1.1
	if math.Abs(made.Quality.Objective-want) > 0.001*want {
		t.Errorf("growing use costs %.2f, want %.2f", made.Quality.Objective, want)
	}
	if len(made.Notes) != 1 || !strings.Contains(made.Notes[0], "growing by the factor 3.19 a year") {
		t.Errorf("notes %q", made.Notes)
	}
}

func TestAHistoryThatCannotBeReadIsRefused(t *testing.T) {
	text := strings.Replace(fromHistory, ", TREND", "", 1)
	for want, change := range map[string]func(map[string]plan.Used){
		"none is given": func(u map[string]plan.Used) { delete(u, "chat") },
		"ran on B200":   func(u map[string]plan.Used) { u["chat"].Slices[1].ChipHours["B200"] = 7 },
		"has no use of it from 2026-01-01 to 2026-04-01": func(u map[string]plan.Used) {
			for i := range u["chat"].Slices {
				u["chat"].Slices[i].ChipHours = nil
			}
		},
	} {
		used := usedBy(t, text)
		change(used)
		if _, err := compiledWith(t, text, used); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
