package cli

import (
	"time"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// marginalPrices prices offers by what one more node-hour would add to the bill
// under contracts, now, given an outlook of usage. Without contracts every
// offer has its list price.
func (a *app) marginalPrices(paths, outlook []string, now time.Time) (scheduler.Prices, error) {
	if len(paths) == 0 {
		return scheduler.ListPrices, nil
	}
	contracts, err := loadContracts(paths)
	if err != nil {
		return nil, err
	}
	book, err := billing.NewBook(contracts)
	if err != nil {
		return nil, err
	}
	for _, file := range outlook {
		if err := a.readUsage(file, billFlags{}, book); err != nil {
			return nil, err
		}
	}
	book.SettleToEnd(func(billing.Charge) {})
	one, err := billing.ParseQuantity("1")
	if err != nil {
		return nil, err
	}
	return func(offer catalog.Offer) scheduler.Price {
		price := scheduler.Price{List: offer.Price, Marginal: offer.Price}
		if offer.Price.Currency != book.Currency() {
			return price
		}
		m, err := book.Marginal(lineOf(offer), now, one)
		if err != nil { // outside the life of every contract
			return price
		}
		price.Marginal = units.RateOfRat(units.Amount{Micros: m.Micros, Currency: book.Currency()}.Rat(), book.Currency())
		if price.Marginal.Cmp(price.List) != 0 {
			price.Reason = m.Reason
		}
		return price
	}, nil
}

// lineOf is the usage that a node-hour of an offer would be metered as.
func lineOf(offer catalog.Offer) billing.Line {
	line := billing.Line{
		Subject: contract.Subject{
			Provider: offer.Type.Provider, Region: offer.Region, InstanceType: offer.Type.Name, Option: string(offer.Option), Unit: "hour",
		},
		ListRate: offer.Price.Decimal(), Chips: offer.Type.Chips,
	}
	if offer.Type.Chip != nil {
		line.Chip, line.Chipmaker = offer.Type.Chip.ID, string(offer.Type.Chip.Maker)
	}
	return line
}
