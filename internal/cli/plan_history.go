package cli

import (
	"context"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// history reads out of the ledger what the demands of a portfolio used that
// take their rate from there; nil where none does.
func (a *app) history(ctx context.Context, file string, text []byte, choice plan.Choice) (map[string]plan.Used, error) {
	portfolio, err := plan.Parse(file, text, choice)
	if err != nil {
		return nil, err
	}
	nothing := func() map[string]plan.Used {
		used := map[string]plan.Used{}
		for _, d := range portfolio.Demand {
			if d.History != nil {
				used[d.Name] = d.History.Empty(portfolio.AsOf.Time)
			}
		}
		return used
	}
	used := nothing()
	if len(used) == 0 {
		return nil, nil
	}
	err = a.with(ctx, func(p *plane) error {
		used = nothing()
		return p.EachLedgerEntry(ctx, "", func(e v1.LedgerEntry) error {
			if e.Category != string(ledger.Usage) {
				return nil
			}
			chips := float64(e.Chips)
			if e.Reverses != 0 {
				chips = -chips
			}
			for _, d := range portfolio.Demand {
				if d.History != nil && d.History.Admits(e.Project, e.Run) {
					used[d.Name].Add(e.Chip, chips, e.From, e.To)
				}
			}
			return nil
		})
	})
	return used, err
}
