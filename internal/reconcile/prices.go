package reconcile

import (
	"context"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/store"
)

// PoolPrices returns what tells the price of a pool's node-hours to a run of a
// project that comes to it, as placements and moves see it: the mean of so many
// nodes for so long where contracts in force touch it, and of one node in the
// next hour where nobody says how many.
func (l *Loop) PoolPrices(ctx context.Context) (func(pool fleet.Pool, project string) scheduler.Price, error) {
	s := scheduler.Snapshot{Now: l.Clock(), Holder: map[string]string{}, Pools: l.knownPools()}
	runs, begun := map[string]fleet.Run{}, map[string]int64{}
	err := l.Store.View(ctx, func(tx store.Tx) (err error) {
		if s.Live, err = tx.LiveAttempts(); err != nil {
			return err
		}
		for _, a := range s.Live {
			run, err := tx.Run(a.Run)
			if err != nil {
				return err
			}
			runs[a.Run], s.Holder[a.Run] = run, run.Project
			if begun[a.Run], err = wentOnFrom(tx, a); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.Coming = l.coming(runs, s.Live, s.Pools)
	l.reprice(ctx, usesIn(s, runs, begun), false)
	return func(pool fleet.Pool, project string) scheduler.Price {
		of := func(nodes int, length time.Duration) scheduler.Price {
			return l.priceIn(pool, project, scheduler.Need{Nodes: nodes}, length)
		}
		price := of(1, time.Hour)
		if price.Contracted() {
			price.Of = of
		}
		return price
	}, nil
}
