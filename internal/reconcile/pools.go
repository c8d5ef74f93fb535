package reconcile

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// poolCache keeps the last observation of each site: looking at a site may
// mean running its tools.
type poolCache struct {
	mu    sync.Mutex
	sites map[string]sitePools
}

type sitePools struct {
	at    time.Time // monotonic
	pools []fleet.Pool
	err   error
}

// Pools returns the priced pools of all sites, by ID. A site that cannot be
// observed keeps its last pools.
func (l *Loop) Pools(ctx context.Context) []fleet.Pool {
	var all []fleet.Pool
	for site := range l.Engines {
		pools, _ := l.SitePools(ctx, site)
		all = append(all, pools...)
	}
	slices.SortFunc(all, func(a, b fleet.Pool) int { return strings.Compare(a.ID(), b.ID()) })
	return all
}

// SitePools returns the priced pools of a site, and why they could not be
// observed anew where that is so.
func (l *Loop) SitePools(ctx context.Context, site string) ([]fleet.Pool, error) {
	l.pools.mu.Lock()
	defer l.pools.mu.Unlock()
	last := l.pools.sites[site]
	if last.err == nil && last.pools != nil && time.Since(last.at) < l.PoolsEvery {
		return last.pools, nil
	}
	eng, ok := l.Engines[site]
	if !ok {
		return nil, fault.Newf(fault.NotFound, "no site %q is connected", site)
	}
	seen, err := eng.Pools(ctx)
	if err != nil {
		l.Log.Warn("pools cannot be observed", "site", site, "error", err)
		last.err = err
	} else {
		last = sitePools{at: time.Now(), pools: make([]fleet.Pool, len(seen))}
		for i, pool := range seen {
			last.pools[i] = l.Price(pool)
		}
	}
	if l.pools.sites == nil {
		l.pools.sites = map[string]sitePools{}
	}
	l.pools.sites[site] = last
	return last.pools, last.err
}

// pool finds a pool by ID; one that is gone has no capacity.
func (l *Loop) pool(ctx context.Context, id string) (fleet.Pool, error) {
	site, _, _ := strings.Cut(id, "/")
	pools, err := l.SitePools(ctx, site)
	for _, pool := range pools {
		if pool.ID() == id {
			return pool, nil
		}
	}
	if err != nil {
		return fleet.Pool{}, err
	}
	return fleet.Pool{}, fault.Newf(fault.NoCapacity, "pool %s is gone", id)
}

// chipmaker names who makes a pool's chips; general-purpose processors count
// as the host's.
func chipmaker(pool fleet.Pool) string {
	if found, err := chip.Find(pool.Chip); err == nil {
		return string(found.Maker)
	}
	return string(chip.Host)
}
