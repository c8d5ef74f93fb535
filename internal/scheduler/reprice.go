package scheduler

import (
	"math"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/units"
)

// Priced is what the cost of a candidate was made from.
type Priced struct {
	Seconds, Low, High float64 // billed on every node: expected, and for an 80% interval
	Tokens             int64
}

// RunPrice is what a node-hour of a whole run costs under contracts, where that
// is not the price of its first.
type RunPrice struct {
	First  units.Rate `json:"first"` // per node-hour
	Last   units.Rate `json:"last"`
	Mean   units.Rate `json:"mean"` // of the whole run
	Reason string     `json:"reason"`
}

// Reprice sets the cost of a candidate from the mean price of its node-hours.
func (c *RankedCandidate) Reprice(price RunPrice) {
	cost := func(s float64) units.Amount {
		return price.Mean.ForHours(c.Nodes, seconds(math.Min(longest, s)))
	}
	c.Run = &price
	c.Cost, c.CostLow, c.CostHigh = cost(c.Priced.Seconds), cost(c.Priced.Low), cost(c.Priced.High)
	if c.CostLow.Micros > c.CostHigh.Micros { // a run that earns money earns more where it is longer
		c.CostLow, c.CostHigh = c.CostHigh, c.CostLow
	}
	c.CostPerMillion = Decimal{c.Cost.Per(decimal.New(max(1, c.Priced.Tokens), -6))}
}
