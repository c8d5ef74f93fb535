package cli

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/quote"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// marginalPricer prices offers by what more usage would add to the bill under
// contracts, from now on, given an outlook of usage.
type marginalPricer struct {
	book *billing.Book
	now  time.Time
	one  billing.Quantity
}

// marginalPrices makes a pricer of contracts; without any it is nil, and every
// offer has its list price.
func (a *app) marginalPrices(paths, outlook []string, now time.Time) (*marginalPricer, error) {
	if len(paths) == 0 {
		return nil, nil
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
	return &marginalPricer{book, now, one}, err
}

// price is that of the first node-hour of an offer.
func (p *marginalPricer) price(offer catalog.Offer) scheduler.Price {
	if p == nil {
		return scheduler.ListPrices(offer)
	}
	price := scheduler.Price{List: offer.Price, Marginal: offer.Price}
	if offer.Price.Currency != p.book.Currency() {
		return price
	}
	m, err := p.book.Marginal(lineOf(offer), p.now, p.one)
	if err != nil { // outside the life of every contract
		return price
	}
	price.Marginal = p.rate(m.Micros)
	if price.Marginal.Cmp(price.List) != 0 {
		price.Reason = m.Reason
	}
	return price
}

func (p *marginalPricer) rate(micros int64) units.Rate {
	return units.RateOfRat(units.Amount{Micros: micros, Currency: p.book.Currency()}.Rat(), p.book.Currency())
}

// mostRuns bounds how many candidates are priced over their whole run.
const mostRuns = 2000

// runs prices candidates over their whole run, from the first node-hour to the
// last, and puts them in order anew. The cheapest by their first node-hour come
// first, until those at the head of the order have all been priced so: a run
// that uses up what a commitment leaves free pays more for its later hours.
func (p *marginalPricer) runs(q *quote.Quote, offers *catalog.Catalog, budget units.Amount, head int) {
	if p == nil {
		return
	}
	done := map[*scheduler.RankedCandidate]bool{}
	for range mostRuns {
		at := slices.IndexFunc(q.Candidates[:min(head, q.Feasible)], func(c *scheduler.RankedCandidate) bool { return !done[c] })
		if at < 0 {
			return
		}
		c := q.Candidates[at]
		done[c] = true
		p.run(c, offers)
		if over, err := c.Cost.Sub(budget); c.Run != nil && budget.Micros > 0 && err == nil && over.Micros > 0 {
			c.Feasible = false
			c.Reasons = append(c.Reasons, fmt.Sprintf("exceeds the budget by %s", over.Short()))
			q.Feasible--
		}
		slices.SortStableFunc(q.Candidates, func(x, y *scheduler.RankedCandidate) int {
			if x.Feasible && y.Feasible {
				return cmp.Compare(x.Cost.Micros, y.Cost.Micros)
			}
			return cmp.Compare(outOfOrder(x), outOfOrder(y))
		})
	}
}

// outOfOrder puts what is ruled out behind what is not.
func outOfOrder(c *scheduler.RankedCandidate) int {
	if c.Feasible {
		return 0
	}
	return 1
}

// run prices one candidate over its whole run, where that is not what its first
// node-hour costs.
func (p *marginalPricer) run(c *scheduler.RankedCandidate, offers *catalog.Catalog) {
	at := slices.IndexFunc(offers.Offers, func(o catalog.Offer) bool {
		return o.Type.Provider == c.Provider && o.Type.Name == c.InstanceType && o.Region == c.Region && o.Option == c.Option
	})
	if at < 0 || c.Site != "" || c.Priced.Seconds <= 0 || c.ListRate.Currency != p.book.Currency() {
		return
	}
	length := time.Duration(max(c.Priced.Seconds, 1) * float64(time.Second)).Round(time.Second)
	pace, err := billing.ParseQuantity(fmt.Sprint(c.Nodes))
	if err != nil {
		return
	}
	run, err := p.book.MarginalRun(lineOf(offers.Offers[at]), p.now, p.now.Add(length), pace)
	if err != nil || run.First == run.Last && p.rate(run.First).Cmp(c.MarginalRate) == 0 {
		return
	}
	nodeHours := big.NewRat(int64(length/time.Second)*int64(c.Nodes), int64(time.Hour/time.Second))
	sum := units.Amount{Micros: run.Micros, Currency: p.book.Currency()}
	price := scheduler.RunPrice{First: p.rate(run.First), Last: p.rate(run.Last), Mean: units.RateOfRat(new(big.Rat).Quo(sum.Rat(), nodeHours), sum.Currency), Reason: run.Reason}
	c.Reprice(price)
	c.Reasons = append(c.Reasons, fmt.Sprintf("its first node-hour costs %s, its last %s, %s on average: %s",
		hourly(price.First), hourly(price.Last), hourly(price.Mean), run.Reason))
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
