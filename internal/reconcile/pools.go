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

// sitePools is the last observation of a site.
type sitePools struct {
	look sync.Mutex // held while the site is looked at, so that nobody looks twice

	mu         sync.Mutex // guards the rest
	generation int        // of the site that was observed
	at         time.Time  // monotonic; zero before the first observation
	pools      []fleet.Pool
	err        error
}

// fresh reports whether the last observation is of the site as it is now, and
// not older than that.
func (s *sitePools) fresh(place Place, age time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generation == place.Generation && !s.at.IsZero() && time.Since(s.at) < age
}

// record keeps an observation. One that failed leaves the pools of before.
func (s *sitePools) record(place Place, seen []fleet.Pool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation != place.Generation || err == nil {
		s.pools = seen
	}
	s.generation, s.at, s.err = place.Generation, time.Now(), err
}

// Pools returns the priced pools of all sites, by ID, each observed anew where
// its last observation is old. A site that cannot be observed keeps its last
// pools, marked with its fault.
func (l *Loop) Pools(ctx context.Context) []fleet.Pool {
	var looking sync.WaitGroup
	for _, place := range l.Sites.List() {
		looking.Go(func() { _, _ = l.SitePools(ctx, place.Name) }) // its fault marks the pools
	}
	looking.Wait()
	return l.knownPools()
}

// poolsSoon is Pools for a pass: a site that takes long to answer is looked at
// beside it, and meanwhile is as it was last.
func (l *Loop) poolsSoon(ctx context.Context) []fleet.Pool {
	var looking sync.WaitGroup
	for _, place := range l.Sites.List() {
		last := l.pools.of(place.Name)
		if last.fresh(place, l.PoolsEvery) || !last.look.TryLock() {
			continue // it is known, or somebody looks
		}
		last.look.Unlock()
		looking.Add(1)
		l.beside.Go(func() {
			defer looking.Done()
			_, _ = l.SitePools(ctx, place.Name)
		})
	}
	waited(&looking, passPatience)
	return l.knownPools()
}

// waited waits for a group, but not longer than that.
func waited(group *sync.WaitGroup, patience time.Duration) {
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }() // ends with what it waits for
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

func (l *Loop) knownPools() []fleet.Pool {
	var all []fleet.Pool
	for _, place := range l.Sites.List() {
		pools, _ := l.lastPools(place)
		all = append(all, pools...)
	}
	slices.SortFunc(all, func(a, b fleet.Pool) int { return strings.Compare(a.ID(), b.ID()) })
	return all
}

// lastPools returns the priced pools of a site as they were last observed.
func (l *Loop) lastPools(place Place) ([]fleet.Pool, error) {
	last := l.pools.of(place.Name)
	last.mu.Lock()
	defer last.mu.Unlock()
	if last.generation != place.Generation || last.at.IsZero() {
		return nil, fault.New(fault.Transient, "it has not answered yet")
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

// SitePools returns the priced pools of a site, and why they could not be
// observed anew where that is so.
func (l *Loop) SitePools(ctx context.Context, name string) ([]fleet.Pool, error) {
	place, err := l.Sites.Find(name)
	if err != nil {
		return nil, err
	}
	last := l.pools.of(name)
	last.look.Lock()
	defer last.look.Unlock()
	if !last.fresh(place, l.PoolsEvery) {
		l.observePools(ctx, place, last)
	}
	return l.lastPools(place)
}

// away says of each site that could never be observed why not.
func (l *Loop) away() []string {
	var away []string
	for _, place := range l.Sites.List() {
		if pools, err := l.lastPools(place); err != nil && len(pools) == 0 {
			away = append(away, fmt.Sprintf("site %s cannot be reached now: %s", place.Name, err))
		}
	}
	return away
}

func (l *Loop) observePools(ctx context.Context, place Place, last *sitePools) {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	eng, err := l.Sites.Engine(place.Name)
	var seen []fleet.Pool
	if err == nil {
		seen, err = eng.Pools(ctx)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return // the caller went away: nothing is known of the site
	}
	last.record(place, seen, err)
	if l.silent.news("pools of "+place.Name, err) {
		l.Log.Warn("pools cannot be observed", "site", place.Name, "error", err)
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
	return l.Price(l.seen.mark(pool), place.File)
}

// pool finds a pool by ID; one that is gone has no capacity.
func (l *Loop) pool(ctx context.Context, id string) (fleet.Pool, error) {
	is := func(pool fleet.Pool) bool { return pool.ID() == id }
	known := l.knownPools()
	if at := slices.IndexFunc(known, is); at >= 0 {
		return known[at], nil
	}
	site, _, _ := strings.Cut(id, "/")
	pools, err := l.SitePools(ctx, site)
	if at := slices.IndexFunc(pools, is); at >= 0 {
		return pools[at], nil
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
