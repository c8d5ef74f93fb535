package daemon

import (
	"context"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/clock"
	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/quote"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/units"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// meritIn predicts what a workload costs on a connected pool, as quotes do.
func meritIn(offers *catalog.Catalog) func(*workload.Workload, fleet.Pool) (int, units.Amount, bool) {
	market := &quote.Market{Catalog: offers, Constants: estimate.Default(), Assumptions: scheduler.DefaultAssumptions()}
	return func(w *workload.Workload, pool fleet.Pool) (int, units.Amount, bool) {
		return market.Best(context.Background(), w, pool, clock.System())
	}
}
