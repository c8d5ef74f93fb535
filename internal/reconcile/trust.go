package reconcile

import (
	"context"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/store"
)

const (
	// seenOver is how far back a pool's interruptions count, and seenEvery how
	// often they are counted.
	seenOver  = 14 * 24 * time.Hour
	seenEvery = 10 * time.Minute
)

// interruptions is how often each pool took gangs away, as last counted.
type interruptions struct {
	mu      sync.Mutex
	counted time.Time // monotonic
	byPool  map[string]store.PoolUse
}

// countInterruptions counts, from time to time, what attempts met with in each
// pool: one that keeps taking gangs away gets dearer in the merit order.
func (l *Loop) countInterruptions(ctx context.Context) error {
	seen := &l.seen
	if !seen.counted.IsZero() && time.Since(seen.counted) < seenEvery {
		return nil
	}
	now := l.Clock()
	return l.Store.View(ctx, func(tx store.Tx) error {
		uses, err := tx.PoolUses(now.Add(-seenOver), now)
		if err != nil {
			return err
		}
		seen.mu.Lock()
		defer seen.mu.Unlock()
		seen.counted, seen.byPool = time.Now(), map[string]store.PoolUse{}
		for _, use := range uses {
			seen.byPool[use.Pool] = use
		}
		return nil
	})
}

// mark adds to a pool how often it took gangs away.
func (i *interruptions) mark(pool fleet.Pool) fleet.Pool {
	i.mu.Lock()
	defer i.mu.Unlock()
	use := i.byPool[pool.ID()]
	pool.Interruptions, pool.Observed = use.Lost, use.Hours
	return pool
}
