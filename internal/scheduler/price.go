package scheduler

import (
	"fmt"
	"time"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Price is what an offer or a pool costs per node-hour: its list price, and what
// a node-hour adds to the bill under the contracts, with the reason where the
// two differ.
type Price struct {
	List, Marginal units.Rate
	Reason         string
	// Contracts are those in force that touch the price. Without any it is the
	// list price, whatever runs.
	Contracts []string
	// Of is the mean price of so many nodes for so long, where it depends on
	// that; nil where it does not.
	Of func(nodes int, length time.Duration) Price
}

// Prices tells the price of an offer.
type Prices func(catalog.Offer) Price

// ListPrices takes every offer at its list price.
func ListPrices(offer catalog.Offer) Price { return Price{List: offer.Price, Marginal: offer.Price} }

// Contracted reports whether the price depends on contracts, and so on what
// else runs.
func (p Price) Contracted() bool { return len(p.Contracts) > 0 }

// rateOr is the price of a node-hour under the contracts, or without any a rate.
func (p Price) rateOr(rate units.Rate) units.Rate {
	if p.Contracted() {
		return p.Marginal
	}
	return rate
}

// Words says what a node-hour costs under the contracts and why, "" where that
// is its list price. where is "here" or "there".
func (p Price) Words(where string) string {
	if !p.Contracted() || p.Marginal.Cmp(p.List) == 0 {
		return ""
	}
	hour := p.Marginal.ForHours(1, time.Hour)
	says := "costs " + hour.Short()
	switch {
	case hour.Micros == 0:
		says = "costs nothing now"
	case hour.Micros < 0:
		says = "takes " + hour.Neg().Short() + " off the bill"
	}
	return fmt.Sprintf("a node-hour %s %s in place of %s: %s", where, says, p.List.ForHours(1, time.Hour).Short(), p.Reason)
}
