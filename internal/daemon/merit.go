package daemon

import (
	"context"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/clock"
	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/quote"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/server"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// marketIn is the market that placements and quotes share.
func marketIn(offers *catalog.Catalog) *quote.Market {
	return &quote.Market{Catalog: offers, Constants: estimate.Default(), Assumptions: scheduler.DefaultAssumptions()}
}

// meritIn predicts what a workload costs on a connected pool, as quotes do.
func meritIn(market *quote.Market) func(*workload.Workload, fleet.Pool) (scheduler.Prospect, bool) {
	return func(w *workload.Workload, pool fleet.Pool) (scheduler.Prospect, bool) {
		return market.Best(context.Background(), w, pool, clock.System())
	}
}

// quote answers a quote over the catalog and the pools as they are now.
func (d *Daemon) quote(market *quote.Market) server.Quoter {
	return func(ctx context.Context, file string, content []byte) (*quote.Quote, error) {
		now := clock.System()
		w, err := d.parse(file, content, now)
		if err != nil {
			return nil, err
		}
		prices, err := d.loop.PoolPrices(ctx)
		if err != nil {
			return nil, err
		}
		dispatched := func(pool fleet.Pool) scheduler.Price { return prices(pool, w.Project) }
		return market.Quote(ctx, quote.Request{Workload: w, File: file, Pools: d.loop.Pools(ctx), PoolPrices: dispatched, Now: now})
	}
}
