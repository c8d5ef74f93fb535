package quote

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/units"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// Request asks for the merit order of a workload.
type Request struct {
	Workload *workload.Workload
	File     string // name of the workload's file, for messages
	Pools    []fleet.Pool
	Prices   scheduler.Prices // nil: list prices
	// PoolPrices tells the price of a connected pool; nil: Prices does.
	PoolPrices func(pool fleet.Pool) scheduler.Price
	Now        time.Time

	PoolsOnly bool // leave the catalog's offers out
}

// Quote is a merit order. JSON field names are stable.
type Quote struct {
	Workload   string                       `json:"workload"`
	Kind       workload.Kind                `json:"kind"`
	Model      string                       `json:"model"`
	AsOf       time.Time                    `json:"as_of"`
	Considered int                          `json:"considered"`
	Feasible   int                          `json:"feasible"`
	Connected  int                          `json:"connected"`
	Uncertain  string                       `json:"uncertain,omitempty"` // why the first place is not certain, and what would settle it
	Candidates []*scheduler.RankedCandidate `json:"candidates"`
}

// localSetUp is what a start on this machine takes before the first step: the
// program is compiled and started; no node has to come.
const localSetUp = 10

// Quote returns the merit order over all offers and connected pools. A
// workload without a model is fault.Invalid.
func (m *Market) Quote(ctx context.Context, r Request) (*Quote, error) {
	w := r.Workload
	if why := w.Unquotable(); why != "" {
		return nil, fault.Newf(fault.Invalid, "%s: the workload cannot be quoted: %s", r.File, why)
	}
	if r.Prices == nil {
		r.Prices = scheduler.ListPrices
	}
	var candidates []*scheduler.RankedCandidate
	var err error
	switch w.Kind {
	case workload.KindTraining:
		candidates, err = m.training(ctx, r)
	case workload.KindService:
		candidates, err = m.services(ctx, r)
	case workload.KindBatch:
		candidates, err = m.batches(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	q := &Quote{
		Workload: w.Name, Kind: w.Kind, Model: w.Shape.ID, AsOf: r.Now,
		Considered: len(candidates), Candidates: candidates,
	}
	for _, c := range candidates {
		if c.Feasible {
			q.Feasible++
		}
		if c.Connected {
			q.Connected++
		}
	}
	q.Uncertain = uncertainty(candidates)
	return q, nil
}

func (m *Market) training(ctx context.Context, r Request) ([]*scheduler.RankedCandidate, error) {
	terms := termsOf(r.Workload, r.File)
	var ranked []*scheduler.RankedCandidate
	if !r.PoolsOnly {
		places := make([]place, len(m.Catalog.Types))
		for i, t := range m.Catalog.Types {
			places[i] = place{kind: t}
		}
		speeds, err := m.trainingSpeeds(ctx, r.Workload, places)
		if err != nil {
			return nil, err
		}
		ranked = scheduler.Rank(terms, speeds, m.Catalog.Offers, r.Prices, m.Assumptions, r.Now)
	}
	for _, pool := range r.Pools {
		own, err := m.pool(ctx, r, terms, pool)
		if err != nil {
			return nil, err
		}
		ranked = append(ranked, own...)
	}
	scheduler.SortMerit(ranked)
	return ranked, nil
}

// pool ranks the sizes of one connected pool at its own rate.
func (m *Market) pool(ctx context.Context, r Request, terms scheduler.Terms, pool fleet.Pool) ([]*scheduler.RankedCandidate, error) {
	kind, err := m.typeOf(pool)
	if err != nil {
		return nil, err
	}
	speeds, err := m.trainingSpeeds(ctx, r.Workload, []place{{kind, max(pool.Nodes, pool.MaxNodes)}})
	if err != nil {
		return nil, err
	}
	m.measured(r.Workload, pool, speeds)
	assumptions := m.assumptionsFor(pool)
	prices := r.Prices
	if r.PoolPrices != nil {
		prices = func(catalog.Offer) scheduler.Price { return r.PoolPrices(pool) }
	}
	ranked := scheduler.Rank(terms, speeds, []catalog.Offer{poolOffer(pool, kind)}, prices, assumptions, r.Now)
	for _, c := range ranked {
		c.Connected, c.Site = true, pool.Site
		if pool.Unpriced && !r.PoolsOnly {
			c.Feasible, c.Reasons = false, append(c.Reasons, pool.RateSource) // nothing is guessed
		}
	}
	return ranked, nil
}

// assumptionsFor are the assumptions with what is known of a pool.
func (m *Market) assumptionsFor(pool fleet.Pool) scheduler.Assumptions {
	a := m.Assumptions
	if pool.Provider == "local" {
		a.SetUpSeconds = localSetUp
	}
	return a.Seen(catalog.Option(pool.Option), pool.Interruptions, pool.Observed)
}

// trialError is the half-width of the interval around a speed that a trial
// measured, as a share of it: what steps of one run differ by.
const trialError = 0.05

// measured puts what a trial measured in the place of what is predicted: at the
// size that was tried, and at others in proportion to the prediction.
func (m *Market) measured(w *workload.Workload, pool fleet.Pool, speeds []scheduler.Speed) bool {
	if m.Measured == nil {
		return false
	}
	nodes, tokensPerSecond, ok := m.Measured(w, pool)
	at := slices.IndexFunc(speeds, func(s scheduler.Speed) bool { return s.Nodes == nodes })
	if !ok || at < 0 {
		return false
	}
	predicted := speeds[at].TokensPerSecond
	for i := range speeds {
		speed := &speeds[i]
		switch {
		case i == at:
			speed.TokensPerSecond, speed.Infeasible = tokensPerSecond, "" // it ran
		case predicted > 0:
			speed.TokensPerSecond *= tokensPerSecond / predicted
		default:
			continue // nothing to go by
		}
		speed.Low, speed.High = speed.TokensPerSecond*(1-trialError), speed.TokensPerSecond*(1+trialError)
		speed.Status = string(estimate.Measured)
	}
	return true
}

// Best returns what a workload takes on one connected pool at the size that
// costs least. It is false where nothing is feasible there or the workload
// cannot be quoted.
func (m *Market) Best(ctx context.Context, w *workload.Workload, pool fleet.Pool, now time.Time) (scheduler.Prospect, bool) {
	q, err := m.Quote(ctx, Request{Workload: w, Pools: []fleet.Pool{pool}, PoolsOnly: true, Now: now})
	if err != nil || q.Feasible == 0 {
		return scheduler.Prospect{}, false
	}
	best := q.Candidates[0]
	setUp := m.assumptionsFor(pool).SetUpSeconds
	tried := false
	if m.Measured != nil {
		_, _, tried = m.Measured(w, pool)
	}
	return scheduler.Prospect{
		Nodes: best.Nodes, Cost: best.Cost, TokensPerSecond: best.TokensPerSecond,
		SetUp: time.Duration(setUp * float64(time.Second)), Measured: tried,
	}, true
}

// connection is where an instance type is connected and how many nodes of it.
type connection struct {
	site  string
	nodes int
}

// offersAndPools returns the catalog's offers with those of the connected
// pools, at their own rates, and the connection of each connected type.
func (m *Market) offersAndPools(r Request) ([]catalog.Offer, map[string]connection, error) {
	var offers []catalog.Offer
	if !r.PoolsOnly {
		offers = append(offers, m.Catalog.Offers...)
	}
	connected := map[string]connection{}
	for _, pool := range r.Pools {
		kind, err := m.typeOf(pool)
		if err != nil {
			return nil, nil, err
		}
		offers = append(offers, poolOffer(pool, kind))
		connected[pool.Provider+" "+kind.Name] = connection{pool.Site, max(pool.Nodes, pool.MaxNodes)}
	}
	return offers, connected, nil
}

func poolOffer(pool fleet.Pool, kind *catalog.InstanceType) catalog.Offer {
	return catalog.Offer{Type: kind, Region: pool.Region, Option: catalog.Option(pool.Option), Price: pool.Rate, Source: pool.RateSource}
}

// atConnected marks the candidates on connected pools and drops those larger
// than their pool.
func atConnected(ranked []*scheduler.RankedCandidate, connected map[string]connection) []*scheduler.RankedCandidate {
	kept := ranked[:0]
	for _, c := range ranked {
		at, ok := connected[c.Provider+" "+c.InstanceType]
		if ok && c.Nodes > at.nodes {
			continue
		}
		c.Connected, c.Site = ok, at.site
		kept = append(kept, c)
	}
	return kept
}

// typeOf returns the instance type of a pool: the catalog's, or one made from
// what the engine observed.
func (m *Market) typeOf(pool fleet.Pool) (*catalog.InstanceType, error) {
	if t, err := m.Catalog.Type(pool.Provider, pool.InstanceType); err == nil {
		return t, nil
	}
	k, err := chip.Find(pool.Chip)
	if err != nil {
		return nil, err
	}
	return &catalog.InstanceType{
		Provider: pool.Provider, Name: pool.InstanceType, Chip: k, Chips: max(1, pool.ChipsPerNode),
		VCPUs: pool.Cores, HostMemory: units.Bytes(pool.Memory), Domain: max(1, pool.ChipsPerNode),
	}, nil
}

// uncertainty compares the best candidate with the best of another instance
// type: where the intervals of their costs overlap the order is not certain,
// and measuring the one with the wider interval would settle it.
func uncertainty(candidates []*scheduler.RankedCandidate) string {
	if len(candidates) == 0 || !candidates[0].Feasible {
		return ""
	}
	first := candidates[0]
	for i, second := range candidates[1:] {
		if !second.Feasible {
			return ""
		}
		if second.Chip == first.Chip {
			continue
		}
		if second.CostLow.Micros >= first.CostHigh.Micros {
			return ""
		}
		measure := first
		if width(second) > width(first) {
			measure = second
		}
		return fmt.Sprintf("1 and %d are within each other's error: one measurement of %s on %s would settle it", i+2, measure.Chip, measure.InstanceType)
	}
	return ""
}

// width is the relative width of a candidate's interval.
func width(c *scheduler.RankedCandidate) float64 {
	if c.Cost.Micros == 0 {
		return 0
	}
	return float64(c.CostHigh.Micros-c.CostLow.Micros) / float64(c.Cost.Micros)
}
