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
