package cli

import (
	"context"
	"time"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// pools returns the connected pools, as the control plane observes them.
func (p *plane) pools(ctx context.Context) (connected, error) {
	sites, err := p.Sites(ctx)
	if err != nil {
		return connected{}, err
	}
	found := connected{touched: map[string]bool{}}
	for _, site := range sites {
		for _, pool := range site.Pools {
			observed, err := poolOf(pool)
			if err != nil {
				return connected{}, err
			}
			found.pools = append(found.pools, observed)
			found.touched[pool.ID] = len(pool.Contracts) > 0
		}
	}
	return found, nil
}

// connected is the connected pools, and whose price contracts in force touch.
type connected struct {
	pools   []fleet.Pool
	touched map[string]bool // by pool ID
}

func poolOf(p v1.Pool) (fleet.Pool, error) {
	rate, err := units.ParseRate(string(p.Rate.Amount), units.Currency(p.Rate.Currency))
	return fleet.Pool{
		Site: p.Site, Name: p.Name, Provider: p.Provider, Region: p.Region, InstanceType: p.InstanceType, Option: p.Option,
		Family: p.Family, Chip: p.Chip, ChipsPerNode: p.ChipsPerNode, Nodes: p.Nodes, MaxNodes: p.MaxNodes,
		Cores: p.Cores, Memory: p.Memory, Rate: rate, Imputed: p.Imputed, RateSource: p.RateSource,
		Unpriced: p.Unpriced,
	}, err
}

// poolPrices asks the control plane for the prices of pools, as it places runs
// by them. Where it does not answer any more, a pool's rate stands.
func (p *plane) poolPrices(ctx context.Context, known connected, project string) func(fleet.Pool) scheduler.Price {
	return func(pool fleet.Pool) scheduler.Price {
		if !known.touched[pool.ID()] {
			return scheduler.Price{List: pool.Rate, Marginal: pool.Rate}
		}
		of := func(nodes int, length time.Duration) scheduler.Price {
			price := scheduler.Price{List: pool.Rate, Marginal: pool.Rate}
			answer, err := p.Price(ctx, v1.PriceRequest{Pool: pool.ID(), Project: project, Nodes: nodes, Seconds: length.Seconds()})
			if err != nil {
				return price
			}
			rate, err := units.ParseRate(string(answer.DispatchRate.Amount), units.Currency(answer.DispatchRate.Currency))
			if err != nil {
				return price
			}
			price.Marginal, price.Reason, price.Contracts = rate, answer.Reason, answer.Contracts
			return price
		}
		price := of(1, time.Hour)
		if price.Contracted() {
			price.Of = of
		}
		return price
	}
}
