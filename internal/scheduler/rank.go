package scheduler

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/units"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// Parallelism is how a model is spread over chips.
type Parallelism struct {
	DP         int `json:"dp"`
	TP         int `json:"tp"`
	PP         int `json:"pp"`
	EP         int `json:"ep"`
	CP         int `json:"cp"`
	MicroBatch int `json:"micro_batch"`
}

// Part is a share of a step or of a run, for explanations.
type Part struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Speed is what one instance type at one node count does for a workload. It is
// computed once and joined with prices afterwards.
type Speed struct {
	Type            *catalog.InstanceType
	Nodes           int
	Parallelism     Parallelism
	TokensPerSecond float64
	Low, High       float64 // tokens/s, 80% interval
	Parts           []Part  // of one step
	Status          string  // "measured" or "extrapolated"
	Infeasible      string  // why it cannot run there, "" where it can
}

// Terms are what a training workload asks of every candidate.
type Terms struct {
	Workload *workload.Workload
	File     string  // for messages: where the variants are written
	Tokens   float64 // to train on
	Params   float64 // of the model, for the size of checkpoints; 0: there are none
}

// Prospect is what a workload would take on a pool, at the size that costs
// least there.
type Prospect struct {
	Nodes           int
	Cost            units.Amount  // of the whole run; of an hour for a service
	TokensPerSecond float64       // 0 for a service
	SetUp           time.Duration // from a start to the first step
	Measured        bool          // the speed was measured there
}

// RankedCandidate is a place in the merit order: an offer at a size, with what the whole run
// would take and cost there. JSON field names are stable.
type RankedCandidate struct {
	Provider     string         `json:"provider"`
	Region       string         `json:"region"`
	InstanceType string         `json:"instance_type"`
	Option       catalog.Option `json:"option"`
	Site         string         `json:"site,omitempty"` // the connected site that can run it
	Chip         string         `json:"chip"`
	Chipmaker    chip.Maker     `json:"chipmaker"`
	Chips        int            `json:"chips"`
	Nodes        int            `json:"nodes"`
	Parallelism  Parallelism    `json:"parallelism"`

	TokensPerSecond float64      `json:"tokens_per_second"`
	Seconds         float64      `json:"seconds"` // from start to end, losses and waiting included
	Cost            units.Amount `json:"cost"`
	CostLow         units.Amount `json:"cost_low"`
	CostHigh        units.Amount `json:"cost_high"`
	CostPerMillion  Decimal      `json:"cost_per_million_tokens"`
	ListRate        units.Rate   `json:"list_rate"`     // per node-hour
	MarginalRate    units.Rate   `json:"marginal_rate"` // per node-hour, contracts considered
	Status          string       `json:"status"`
	Run             *RunPrice    `json:"run_price,omitempty"` // where the run changes the price of its node-hours
	Served          *Served      `json:"served,omitempty"`    // services only

	Feasible  bool     `json:"feasible"`
	Connected bool     `json:"connected"`
	Reasons   []string `json:"reasons"`

	Step  []Part `json:"-"` // one step
	Whole []Part `json:"-"` // the whole run

	Priced Priced `json:"-"`
}

// Decimal is an exact number in JSON.
type Decimal struct{ units.Rate }

// MarshalJSON writes the exact digits as a JSON number.
func (d Decimal) MarshalJSON() ([]byte, error) { return []byte(d.Rate.Decimal()), nil }

// Sizes returns the node counts worth asking an estimate for: powers of two of
// nodes from one up to the most chips, and the most itself.
func Sizes(chipsPerNode, minChips, maxChips int) []int {
	var sizes []int
	for nodes := 1; nodes*chipsPerNode <= maxChips; nodes *= 2 {
		if nodes*chipsPerNode >= minChips {
			sizes = append(sizes, nodes)
		}
	}
	if most := maxChips / chipsPerNode; most > 0 && most*chipsPerNode >= minChips && !slices.Contains(sizes, most) {
		sizes = append(sizes, most)
	}
	return sizes
}

// Rank joins speeds with offers and prices into the merit order: feasible
// candidates by the cost of the whole run, then the others by the same order.
func Rank(terms Terms, speeds []Speed, offers []catalog.Offer, prices Prices, assumptions Assumptions, now time.Time) []*RankedCandidate {
	byType := map[*catalog.InstanceType][]*Speed{}
	for i := range speeds {
		byType[speeds[i].Type] = append(byType[speeds[i].Type], &speeds[i])
	}
	var ranked []*RankedCandidate
	for _, offer := range offers {
		price, excluded := prices(offer), Exclusions(terms.Workload, terms.File, offer)
		for _, speed := range byType[offer.Type] {
			ranked = append(ranked, judge(terms, offer, speed, price, excluded, assumptions, now))
		}
	}
	SortMerit(ranked)
	return ranked
}

// SortMerit sorts candidates into merit order.
func SortMerit(candidates []*RankedCandidate) {
	slices.SortFunc(candidates, func(a, b *RankedCandidate) int {
		return cmp.Or(
			-compareBool(a.Feasible, b.Feasible),
			-compareBool(a.TokensPerSecond > 0, b.TokensPerSecond > 0),
			cmp.Compare(a.Cost.Micros, b.Cost.Micros),
			cmp.Compare(a.Seconds, b.Seconds),
			cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.InstanceType, b.InstanceType),
			cmp.Compare(a.Region, b.Region), cmp.Compare(a.Option, b.Option), cmp.Compare(a.Nodes, b.Nodes),
		)
	})
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// newCandidate is an offer at a size with its price and what excludes it.
func newCandidate(offer catalog.Offer, nodes int, price Price, excluded []string) *RankedCandidate {
	return &RankedCandidate{
		Provider: offer.Type.Provider, Region: offer.Region, InstanceType: offer.Type.Name, Option: offer.Option,
		Chip: offer.Type.Chip.ID, Chipmaker: offer.Type.Chip.Maker, Chips: nodes * offer.Type.Chips, Nodes: nodes,
		ListRate: price.List, MarginalRate: price.Marginal, Reasons: append([]string{}, excluded...),
		Cost: units.Amount{Currency: price.Marginal.Currency}, CostLow: units.Amount{Currency: price.Marginal.Currency}, CostHigh: units.Amount{Currency: price.Marginal.Currency},
	}
}

// judge prices one candidate and collects every reason against it.
func judge(terms Terms, offer catalog.Offer, speed *Speed, price Price, excluded []string, a Assumptions, now time.Time) *RankedCandidate {
	c := newCandidate(offer, speed.Nodes, price, excluded)
	c.Parallelism, c.Status, c.Step = speed.Parallelism, speed.Status, speed.Parts
	if speed.Infeasible != "" {
		c.Reasons = append(c.Reasons, speed.Infeasible)
		return c
	}
	c.TokensPerSecond = speed.TokensPerSecond
	work := terms.Tokens / speed.TokensPerSecond
	g := goodput{}
	if terms.Params > 0 {
		every := time.Duration(terms.Workload.CheckpointOf(offer.Type.Chip.Family).Every).Seconds()
		g = a.goodput(terms.Params, c.Chips, c.Nodes, offer.Option, every)
	}
	c.Whole = wholeRun(work, g, a, offer.Option)
	billed := 0.0
	for _, part := range c.Whole {
		c.Seconds += part.Seconds
		if part.Name != PartWaiting {
			billed += part.Seconds
		}
	}
	if !c.book(terms, offer, &price, speed, billed) {
		return c
	}
	c.checkLimits(terms, now)
	c.Feasible = len(c.Reasons) == 0
	if price.Reason != "" {
		c.Reasons = append(c.Reasons, price.Reason)
	}
	return c
}

// Names of the parts of a run.
const (
	partSteps       = "training steps"
	partSetUp       = "set-up"
	partCheckpoints = "checkpoints"
	partRework      = "work lost to failures and interruptions"
	PartWaiting     = "waiting for spot capacity" // the only part that is not paid for
)

func wholeRun(work float64, g goodput, a Assumptions, option catalog.Option) []Part {
	parts := []Part{
		{partSteps, work}, {partSetUp, a.SetUpSeconds},
		{partCheckpoints, work * g.checkpoints}, {partRework, work * g.rework},
	}
	if option == catalog.Spot {
		busy := work * g.factor()
		parts = append(parts, Part{PartWaiting, busy/a.SpotAvailability - busy})
	}
	return parts
}

// longest is the longest run that is priced, in seconds: beyond a century the
// candidate is hopeless and its cost would leave the range of an amount.
const longest = 100 * 365 * 86400

// book sets the cost from the billed seconds; false where it cannot be priced.
func (c *RankedCandidate) book(terms Terms, offer catalog.Offer, price *Price, speed *Speed, billed float64) bool {
	if !(c.Seconds < longest) {
		c.Reasons = append(c.Reasons, "would take more than a century")
		c.TokensPerSecond = 0
		return false
	}
	paid := billed
	if offer.Option == catalog.CapacityBlock {
		days, obstacle := blockDays(c.Seconds, c.Nodes)
		if obstacle != "" {
			c.Reasons = append(c.Reasons, obstacle)
		}
		paid = float64(days) * 86400
	}
	if price.Of != nil {
		*price = price.Of(c.Nodes, seconds(paid))
		c.ListRate, c.MarginalRate = price.List, price.Marginal
	}
	rate := price.Marginal
	c.Cost = rate.ForHours(c.Nodes, seconds(paid))
	c.CostLow, c.CostHigh = c.Cost, c.Cost
	c.Priced = Priced{Seconds: paid, Low: paid, High: paid, Tokens: int64(math.Max(1, terms.Tokens))}
	if speed.Low > 0 && speed.High > 0 && offer.Option != catalog.CapacityBlock {
		c.Priced.Low, c.Priced.High = paid*speed.TokensPerSecond/speed.High, paid*speed.TokensPerSecond/speed.Low
		c.CostLow = rate.ForHours(c.Nodes, seconds(math.Min(longest, c.Priced.Low)))
		c.CostHigh = rate.ForHours(c.Nodes, seconds(math.Min(longest, c.Priced.High)))
	}
	c.CostPerMillion = Decimal{c.Cost.Per(decimal.New(int64(math.Max(1, terms.Tokens)), -6))}
	return true
}

func seconds(s float64) time.Duration { return time.Duration(math.Round(s*1e3)) * time.Millisecond }

// Capacity blocks come for 1 to 14 days, or in steps of 7 days up to 182, and
// hold at most 64 instances. Source: AWS EC2 user guide, capacity blocks,
// as compiled 2026-11-21.
const (
	blockMaxDays  = 182
	blockMaxNodes = 64
)

func blockDays(needed float64, nodes int) (days int, obstacle string) {
	days = max(1, int(math.Ceil(needed/86400)))
	if days > 14 {
		days = (days + 6) / 7 * 7
	}
	switch {
	case nodes > blockMaxNodes:
		obstacle = fmt.Sprintf("a capacity block holds at most %d instances", blockMaxNodes)
	case days > blockMaxDays:
		obstacle = fmt.Sprintf("needs %d days and a capacity block lasts at most %d", days, blockMaxDays)
	}
	return days, obstacle
}

// Exclusions returns what the workload's own terms say against an offer.
func Exclusions(w *workload.Workload, file string, offer catalog.Offer) []string {
	var reasons []string
	family := offer.Type.Chip.Family
	if _, has := w.Variants[family]; !has {
		reasons = append(reasons, fmt.Sprintf("needs a %s variant in %s (has: %s)", family, file, joined(w.Families())))
	}
	reasons = append(reasons, w.Excludes(offer.Type.Provider, offer.Type.Chip.Maker, offer.Region, offer.Option)...)
	if offer.Type.Announced {
		reasons = append(reasons, "announced, not yet sold")
	}
	return reasons
}

// checkLimits compares with deadline and budget.
func (c *RankedCandidate) checkLimits(terms Terms, now time.Time) {
	deadline, budget := terms.Workload.Deadline, terms.Workload.Budget.Amount
	if end := now.Add(seconds(c.Seconds)); !deadline.IsZero() && end.After(deadline.Time) {
		c.Reasons = append(c.Reasons, fmt.Sprintf("misses the deadline by %s at %s chips", span(end.Sub(deadline.Time)), units.Grouped(int64(c.Chips))))
	}
	if budget == (units.Amount{}) {
		return
	}
	over, err := c.Cost.Sub(budget)
	switch {
	case err != nil:
		c.Reasons = append(c.Reasons, fmt.Sprintf("priced in %s and the budget is in %s", c.Cost.Currency, budget.Currency))
	case over.Micros > 0:
		c.Reasons = append(c.Reasons, fmt.Sprintf("exceeds the budget by %s", over.Short()))
	}
}

func joined(families []chip.Family) string {
	text := ""
	for i, family := range families {
		if i > 0 {
			text += ", "
		}
		text += string(family)
	}
	return text
}

// span is a duration for people: days, hours or minutes.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%.0f days", d.Hours()/24)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%.0f hours", d.Hours())
	}
	return fmt.Sprintf("%.0f minutes", math.Ceil(d.Minutes()))
}
