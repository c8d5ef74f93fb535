package cli

import (
	"context"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// pools returns the connected pools, as the control plane observes them.
func (p *plane) pools(ctx context.Context) ([]fleet.Pool, error) {
	sites, err := p.Sites(ctx)
	if err != nil {
		return nil, err
	}
	var pools []fleet.Pool
	for _, site := range sites {
		for _, pool := range site.Pools {
			observed, err := poolOf(pool)
			if err != nil {
				return nil, err
			}
			pools = append(pools, observed)
		}
	}
	return pools, nil
}

func poolOf(p v1.Pool) (fleet.Pool, error) {
	rate, err := units.ParseRate(string(p.Rate.Amount), units.Currency(p.Rate.Currency))
	return fleet.Pool{
		Site: p.Site, Name: p.Name, Provider: p.Provider, Region: p.Region, InstanceType: p.InstanceType, Option: p.Option,
		Family: p.Family, Chip: p.Chip, ChipsPerNode: p.ChipsPerNode, Nodes: p.Nodes, MaxNodes: p.MaxNodes,
		Cores: p.Cores, Memory: p.Memory, Rate: rate, Imputed: p.Imputed, RateSource: p.RateSource,
	}, err
}

// pools returns the connected pools of the control plane that the flags name.
func (a *app) pools(ctx context.Context) (pools []fleet.Pool, err error) {
	err = a.with(ctx, func(p *plane) error {
		pools, err = p.pools(ctx)
		return err
	})
	return pools, err
}
