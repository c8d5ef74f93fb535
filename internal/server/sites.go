package server

import (
	"context"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/reconcile"
	"github.com/switchyard-ai/switchyard/internal/store"
)

func (s *server) routeSites(api huma.API) {
	route(api, http.MethodGet, "/v1/sites", "list-sites", "The connected sites with their pools", s.listSites)
	route(api, http.MethodPost, "/v1/sites", "add-site", "Connect the site of a file, or change it; it must answer", s.addSite)
	route(api, http.MethodGet, "/v1/sites/{name}", "get-site", "A site with its pools", s.getSite)
	route(api, http.MethodPost, "/v1/sites/{name}/drain", "drain-site", "Keep new runs off a site and move its own away, or end that", s.drainSite)
	route(api, http.MethodDelete, "/v1/sites/{name}", "remove-site", "Disconnect a site where no run is live", s.removeSite)
}

// SitePath names a site.
type SitePath struct {
	Name string `path:"name"`
}

func (s *server) listSites(ctx context.Context, _ *struct{}) (*body[v1.SiteList], error) {
	live, err := s.live(ctx)
	if err != nil {
		return nil, err
	}
	places := s.Sites.List()
	out := v1.SiteList{Sites: make([]v1.Site, len(places))}
	var looking sync.WaitGroup // one that is away holds up no other
	for i, place := range places {
		looking.Go(func() { out.Sites[i] = s.site(ctx, place, live) })
	}
	looking.Wait()
	return answer(out), nil
}

func (s *server) getSite(ctx context.Context, in *SitePath) (*body[v1.Site], error) {
	place, err := s.Sites.Find(in.Name)
	if err != nil {
		return nil, err
	}
	live, err := s.live(ctx)
	if err != nil {
		return nil, err
	}
	return answer(s.site(ctx, place, live)), nil
}

func (s *server) addSite(ctx context.Context, in *struct{ Body v1.SiteFile }) (*body[v1.Site], error) {
	place, pools, err := s.Loop.AddSite(ctx, in.Body.File, []byte(in.Body.Content), in.Body.DryRun)
	if err != nil {
		return nil, err
	}
	live, err := s.live(ctx)
	if err != nil {
		return nil, err
	}
	return answer(s.dispatched(ctx, wireSite(place, pools, nil, live), pools)), nil
}

func (s *server) drainSite(ctx context.Context, in *struct {
	SitePath
	Body v1.SiteDrain
}) (*body[v1.Site], error) {
	place, err := s.Loop.DrainSite(ctx, in.Name, in.Body.Drain)
	if err != nil {
		return nil, err
	}
	return s.getSite(ctx, &SitePath{place.Name})
}

func (s *server) removeSite(ctx context.Context, in *SitePath) (*body[v1.SiteList], error) {
	if err := s.Loop.RemoveSite(ctx, in.Name); err != nil {
		return nil, err
	}
	return s.listSites(ctx, nil)
}

func (s *server) site(ctx context.Context, place reconcile.Place, live []fleet.Attempt) v1.Site {
	pools, err := s.Loop.SitePools(ctx, place.Name)
	return s.dispatched(ctx, wireSite(place, pools, err, live), pools)
}

// dispatched adds to the pools of a site what their next hour costs.
func (s *server) dispatched(ctx context.Context, site v1.Site, pools []fleet.Pool) v1.Site {
	prices, err := s.Loop.PoolPrices(ctx)
	if err != nil {
		return site // the rates stand
	}
	for i, pool := range pools {
		price := prices(pool, "")
		site.Pools[i].DispatchRate, site.Pools[i].Contracts = wireRate(price.Marginal), price.Contracts
		if price.Marginal.Cmp(price.List) != 0 {
			site.Pools[i].DispatchReason = price.Reason
		}
	}
	return site
}

// wireSite is a site with what live attempts hold of it.
func wireSite(place reconcile.Place, pools []fleet.Pool, fault error, live []fleet.Attempt) v1.Site {
	site := v1.Site{Name: place.Name, Engine: place.Engine, Health: "ok", Draining: place.Draining, File: place.SpecFile, Pools: []v1.Pool{}}
	if !place.Added.IsZero() {
		site.Added = &place.Added
	}
	if place.File != nil {
		site.Checkpoints = place.File.Checkpoints
	}
	if fault != nil {
		site.Health, site.Fault = "away", fault.Error()
	}
	for _, attempt := range live {
		if attempt.Site == place.Name {
			site.Live++
		}
	}
	for _, pool := range pools {
		site.Pools = append(site.Pools, used(wirePool(pool), live))
	}
	return site
}

// used adds what live attempts hold of a pool.
func used(pool v1.Pool, live []fleet.Attempt) v1.Pool {
	for _, attempt := range live {
		if attempt.Pool != pool.ID {
			continue
		}
		pool.UsedCores += attempt.Cores
		if attempt.Cores == 0 {
			pool.UsedNodes += attempt.Nodes
		}
	}
	pool.FreeNodes = max(0, pool.Nodes-pool.UsedNodes-pool.OthersNodes)
	if pool.UsedCores > 0 && pool.Nodes == 1 {
		pool.FreeNodes = 0 // a part of the one node is held
	}
	return pool
}

func (s *server) live(ctx context.Context) ([]fleet.Attempt, error) {
	var live []fleet.Attempt
	err := s.Store.View(ctx, func(tx store.Tx) error {
		var err error
		live, err = tx.LiveAttempts()
		return err
	})
	return live, err
}
