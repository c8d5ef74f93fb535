package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/plan"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// planPrices prices offers by the dispatch prices of a plan: what a node-hour
// adds to the bill now, and what it costs the plan's longer commitments. Offers
// that the plan does not hold keep their list price.
func (a *app) planPrices(name string, now time.Time) (scheduler.Prices, error) {
	made, err := a.readPlan(name)
	if err != nil {
		return nil, err
	}
	prices := map[string]plan.Dispatch{}
	for _, d := range made.Dispatch {
		if now.Before(d.Period.From) || !now.Before(d.Period.To) {
			continue
		}
		key := dispatchKey(d.Provider, d.Region, d.Instance, d.Option)
		if known, seen := prices[key]; !seen || d.Price < known.Price {
			prices[key] = d
		}
	}
	if len(prices) == 0 {
		return nil, fault.Newf(fault.Invalid, "%s has no prices for %s: it plans %s to %s (--as-of sets the day)", made.ID, now.Format(time.DateOnly),
			made.From.Format(time.DateOnly), made.To.Format(time.DateOnly))
	}
	return func(offer catalog.Offer) scheduler.Price {
		d, known := prices[dispatchKey(offer.Type.Provider, offer.Region, offer.Type.Name, string(offer.Option))]
		if !known {
			d, known = prices[dispatchKey(offer.Type.Provider, "", offer.Type.Name, string(offer.Option))]
		}
		if !known || offer.Price.Currency != made.Currency {
			return scheduler.ListPrices(offer)
		}
		rate, err := units.ParseRate(strconv.FormatFloat(d.Price, 'f', 6, 64), made.Currency)
		if err != nil {
			return scheduler.ListPrices(offer)
		}
		return scheduler.Price{List: offer.Price, Marginal: rate, Reason: fmt.Sprintf("%s: %s", made.ID, d.Reason)}
	}, nil
}

func dispatchKey(words ...string) string { return strings.ToLower(strings.Join(words, "\x00")) }
