package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/plan"
	"github.com/switchyard-ai/switchyard/internal/planner"
)

// The headline says the day of the decision, and why a gap is wider than asked.
func TestPlanHeadline(t *testing.T) {
	made := &plan.Plan{ID: "plan-1", AsOf: time.Date(2025, 12, 17, 0, 0, 0, 0, time.UTC), Quality: plan.Quality{Gap: 0.0226}}
	for _, c := range []struct {
		how  solved
		want string
	}{
		{solved{}, "     as of 2025-12-17, gap 2.26%, plan-1\n"},
		{solved{took: 9 * time.Second, limit: time.Minute, gap: 0.03}, "     as of 2025-12-17, gap 2.26%, 9 s, plan-1\n"},
		{solved{took: 9 * time.Second, limit: 5 * time.Second, gap: 0.005}, "     as of 2025-12-17, stopped by the time limit at gap 2.26%, 9 s, plan-1\n"},
		{solved{took: 9 * time.Second, gap: 0.005}, "     as of 2025-12-17, gap 2.26%, where 0.50% was asked for, 9 s, plan-1\n"},
	} {
		if got := planHeadline(made, c.how); !strings.HasSuffix(got, c.want) {
			t.Errorf("%+v: %q does not end in %q", c.how, got, c.want)
		}
	}
}

// What depends on what is seen is one line: the largest sizes first, and where
// nothing is done.
func TestCasesOfADecision(t *testing.T) {
	at := time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC)
	one := func(size float64, names ...string) plan.Decision {
		return plan.Decision{Action: plan.Sign, What: "deal", Size: size, At: at, If: names, Reasons: []string{"because"}}
	}
	made := &plan.Plan{Decisions: []plan.Decision{one(2, "a", "b"), one(40, "c"), one(3, "d"), one(4, "e"), {Action: plan.Decline, What: "other", Reasons: []string{"no"}}}}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		made.Futures = append(made.Futures, plan.Future{Name: name})
	}
	want := "  sign deal × 2 to 40  2027-04-01  × 40 if c; × 4 if e; × 3 if d; 1 more case; not if f\n  decline other                    no\n"
	if got := decisionLines(made); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got, want := sentence(made), "Sign deal × 2 to 40; decline other; some of it by what is seen then"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Figures whose solves ended before their gap are not shown without a warning.
func TestStressWarnsOfItsGaps(t *testing.T) {
	close, wide := 0.004, 0.02
	if text := stressGaps([]planner.Stressed{{Gap: &close}}, 0.005); text != "" {
		t.Errorf("a warning of nothing: %q", text)
	}
	text := stressGaps([]planner.Stressed{{Gap: &close}, {Gap: &wide}, {}}, 0.005)
	for _, want := range []string{"before the gap of 0.50%: 1 of 3 shocks, the widest at 2.00%", "nothing proved: 1 of 3 shocks"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not say %q", text, want)
		}
	}
}
