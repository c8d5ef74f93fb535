package reconcile

import (
	"context"
	"errors"
	"fmt"
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
	sites map[string]*sitePools
}

// of returns the entry of a site.
func (c *poolCache) of(name string) *sitePools {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sites == nil {
		c.sites = map[string]*sitePools{}
	}
	if c.sites[name] == nil {
		c.sites[name] = &sitePools{}
	}
	return c.sites[name]
}

// sitePools is the last observation of a site. Its lock is held while the site
// is looked at, so that nobody looks twice.
type sitePools struct {
	mu         sync.Mutex
	generation int
	at         time.Time // monotonic
	pools      []fleet.Pool
	err        error
}

// Pools returns the priced pools of all sites, by ID. A site that cannot be
// observed keeps its last pools, marked with its fault.
func (l *Loop) Pools(ctx context.Context) []fleet.Pool {
	places := l.Sites.List()
	found := make([][]fleet.Pool, len(places))
	var looking sync.WaitGroup
	for i, place := range places {
		looking.Go(func() { found[i], _ = l.SitePools(ctx, place.Name) })
	}
	looking.Wait()
	all := slices.Concat(found...)
	slices.SortFunc(all, func(a, b fleet.Pool) int { return strings.Compare(a.ID(), b.ID()) })
	return all
}

// SitePools returns the priced pools of a site, and why they could not be
// observed anew where that is so.
func (l *Loop) SitePools(ctx context.Context, name string) ([]fleet.Pool, error) {
	place, err := l.Sites.Find(name)
	if err != nil {
		return nil, err
	}
	last := l.pools.of(name)
	last.mu.Lock()
	defer last.mu.Unlock()
	if last.generation != place.Generation {
		last.generation, last.at, last.pools, last.err = place.Generation, time.Time{}, nil, nil
	}
	if last.at.IsZero() || time.Since(last.at) >= l.PoolsEvery {
		l.observePools(ctx, name, last)
	}
	pools := make([]fleet.Pool, len(last.pools))
	for i, pool := range last.pools {
		pools[i] = l.dress(pool, place)
		if last.err != nil {
			pools[i].Fault = last.err.Error()
		}
	}
	return pools, last.err
}

// away says of each site that never could be observed why not.
func (l *Loop) away(ctx context.Context) []string {
	var away []string
	for _, place := range l.Sites.List() {
		if pools, err := l.SitePools(ctx, place.Name); err != nil && len(pools) == 0 {
			away = append(away, fmt.Sprintf("site %s cannot be reached now: %s", place.Name, err))
		}
	}
	return away
}

func (l *Loop) observePools(ctx context.Context, name string, last *sitePools) {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	eng, err := l.Sites.Engine(name)
	var seen []fleet.Pool
	if err == nil {
		seen, err = eng.Pools(ctx)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return // the caller went away: nothing is known of the site
	}
	if last.at, last.err = time.Now(), err; err == nil {
		last.pools = seen
	}
	if l.silent.news("pools of "+name, err) {
		l.Log.Warn("pools cannot be observed", "site", name, "error", err)
	}
}

// dress adds to an observed pool what its site's file says, and its price.
func (l *Loop) dress(pool fleet.Pool, place Place) fleet.Pool {
	pool.Draining = place.Draining
	if place.File != nil {
		if declared := place.File.Pool(pool.Name); declared != nil && declared.Ends != nil {
			pool.Ends, pool.Notice = declared.Ends.Time, declared.NoticeOf()
		}
	}
	return l.Price(pool, place.File)
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
