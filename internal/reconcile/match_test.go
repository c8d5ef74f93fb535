package reconcile

import (
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/units"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// TestMatchFollowsTheMeritOrder gives the dear pool the cheaper run, as a fast
// chip often has, and a third pool no prediction.
func TestMatchFollowsTheMeritOrder(t *testing.T) {
	w := &workload.Workload{}
	w.Variants = map[chip.Family]workload.Variant{chip.CPU: {Command: []string{"true"}}}
	pool := func(name, rate string) fleet.Pool {
		return fleet.Pool{Site: "s", Name: name, Family: "cpu", Chip: "cpu", ChipsPerNode: 1, Nodes: 8, MaxNodes: 8, Cores: 4, Rate: units.MustRate(rate, units.USD)}
	}
	costs := map[string]int64{"slow": 9e6, "fast": 5e6}
	l := New(Options{
		Merit: func(_ *workload.Workload, p fleet.Pool) (int, units.Amount, bool) {
			cost, known := costs[p.Name]
			return 4, units.Amount{Micros: cost, Currency: units.USD}, known
		},
	})
	l.parsed.byRun = map[string]*workload.Workload{"r": w}
	got := l.match(fleet.Run{ID: "r"}, []fleet.Pool{pool("unknown", "0.01"), pool("slow", "1"), pool("fast", "3")}, time.Unix(0, 0))
	var names []string
	for _, c := range got.Candidates {
		names = append(names, c.Pool)
	}
	if strings.Join(names, " ") != "s/fast s/slow s/unknown" {
		t.Fatalf("%q, ruled out %q", names, got.RuledOut)
	}
	if got.Candidates[0].Need.Nodes != 4 || got.Candidates[2].Need.Nodes != 1 {
		t.Errorf("sizes %+v", got.Candidates)
	}
	if why := got.Candidates[0].Reasons[0]; why != "the whole run costs least here, $5.00, of 3 pools that can take it" {
		t.Error(why)
	}
}
