package plan

import (
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Kind is the value of `kind` in a portfolio file.
const Kind = "Portfolio"

// Portfolio is everything that a plan decides on: kind Portfolio in YAML, with
// the contracts that it names as further documents of kind Contract.
type Portfolio struct {
	Kind          string                `json:"kind" jsonschema:"required"`
	Name          string                `json:"name" jsonschema:"required"`
	Currency      units.Currency        `json:"currency,omitempty"` // USD where absent
	AsOf          *contract.Instant     `json:"as_of,omitempty"`    // day of the decision: what became known later is left out
	Figures       map[string][]Reported `json:"figures,omitempty"`  // written ${name} elsewhere in the file
	Horizon       Horizon               `json:"horizon" jsonschema:"required"`
	Demand        []Demand              `json:"demand" jsonschema:"required"`
	Sites         []Site                `json:"sites,omitempty"` // whose power offers share
	Offers        []Offer               `json:"offers,omitempty"`
	Catalog       []Selection           `json:"catalog,omitempty"` // offers of the catalog
	Purchases     []Purchase            `json:"purchases,omitempty"`
	Contracts     []Signing             `json:"contracts,omitempty"`
	Qualification []Qualification       `json:"qualification,omitempty"`
	Financing     *Financing            `json:"financing,omitempty"`
	Hedges        []Hedge               `json:"hedges,omitempty"`
	Survive       []Survival            `json:"survive,omitempty"`
	Scenarios     []Scenario            `json:"scenarios,omitempty"`
	Reveal        *contract.Span        `json:"reveal,omitempty"` // how long after it begins an effect of a scenario is seen: what is decided later may depend on it; never where absent
	Risk          Risk                  `json:"risk,omitempty"`
	Notes         string                `json:"notes,omitempty"`

	Terms []*contract.Contract `json:"-"` // the contracts of the file, by the order of its documents
	Used  map[string]Used      `json:"-"` // what demands with a history used, by their name
}

// Reported is one of several values that sources give for a figure.
type Reported struct {
	Value  string            `json:"value" jsonschema:"required"`
	Source string            `json:"source" jsonschema:"required"`
	Known  *contract.Instant `json:"known,omitempty"`
	Lapsed *contract.Instant `json:"lapsed,omitempty"` // from when it is no more
	Means  string            `json:"means,omitempty"`  // what the value implies, where it is true
}

// Horizon is the time that is planned. From defaults to the first of the month
// after the day of the decision.
type Horizon struct {
	From    *contract.Instant `json:"from,omitempty"`
	To      contract.Instant  `json:"to" jsonschema:"required"`
	Periods []Stretch         `json:"periods,omitempty"` // months where absent
}

// Stretch is a part of the horizon cut into periods of one length; the last
// one reaches to the end.
type Stretch struct {
	Every Every          `json:"every" jsonschema:"required"`
	For   *contract.Span `json:"for,omitempty"`
}

// Every is the length of a period.
type Every string

// The lengths.
const (
	Hourly    Every = "hour"
	Daily     Every = "day"
	Monthly   Every = "month"
	Quarterly Every = "quarter"
	Yearly    Every = "year"
	Whole     Every = "total" // of a hedge: the whole horizon
)

// Values lists the lengths.
func (Every) Values() []string { return []string{"hour", "day", "month", "quarter", "year", "total"} }

// Next returns the end of a period that starts at the time.
func (e Every) Next(at time.Time) time.Time {
	switch e {
	case Hourly:
		return at.Add(time.Hour)
	case Daily:
		return at.AddDate(0, 0, 1)
	case Quarterly:
		return at.AddDate(0, 3, 0)
	case Yearly:
		return at.AddDate(1, 0, 0)
	case Whole:
		const forever = 200 // years
		return at.AddDate(forever, 0, 0)
	}
	return at.AddDate(0, 1, 0)
}

// Class is a kind of work.
type Class string

// The classes: training programmes have a total to do in a window; services
// have traffic that is served as it comes; batch is work that may be done at
// any time within its window.
const (
	Training  Class = "training"
	Inference Class = "inference"
	Batch     Class = "batch"
)

// Values lists the classes.
func (Class) Values() []string { return []string{"training", "inference", "batch"} }

// Demand is one class of work that is forecast, in units of work of its own.
type Demand struct {
	Name      string            `json:"name" jsonschema:"required"`
	Class     Class             `json:"class" jsonschema:"required"`
	Model     string            `json:"model,omitempty"` // what qualification is about; the name where absent
	From      *contract.Instant `json:"from,omitempty"`
	To        *contract.Instant `json:"to,omitempty"`       // deadline of a training programme
	Rate      float64           `json:"rate,omitempty"`     // units of work per hour, on average
	Total     float64           `json:"total,omitempty"`    // training: units of work until the deadline
	Most      float64           `json:"most,omitempty"`     // training: units of work per hour that can be done at once
	Growth    float64           `json:"growth,omitempty"`   // factor from year to year, continuous: 1.6 is 60% more
	Season    []float64         `json:"season,omitempty"`   // factors of the twelve months, January first
	Steps     []Step            `json:"steps,omitempty"`    // the rate from dates on, in place of rate and growth
	History   *History          `json:"history,omitempty"`  // the rate by what the ledger says was used, in place of rate
	Headroom  float64           `json:"headroom,omitempty"` // capacity above the mean rate that the SLO needs at the peak: 0.3 is 30%
	Every     Every             `json:"every,omitempty"`    // batch: the window in which the work may be moved; quarter where absent
	Critical  bool              `json:"critical,omitempty"` // counts for survival
	Unserved  *contract.Number  `json:"unserved,omitempty"` // price of a unit not served; must be served where absent
	Providers []string          `json:"providers,omitempty"`
	Regions   []string          `json:"regions,omitempty"`
	Chips     []string          `json:"chips,omitempty"`
	Known     *contract.Instant `json:"known,omitempty"`

	Throughput map[string]float64 `json:"throughput,omitempty"` // units of work per chip-hour, by chip
	Estimate   *Estimate          `json:"estimate,omitempty"`   // chips without a throughput: tokens by the estimator
	Source     string             `json:"source,omitempty"`
}

// Estimate asks the estimator for tokens per chip-hour: of a training (sequence,
// batch and chips), or of a service that keeps its SLO (input and output).
type Estimate struct {
	Model    string         `json:"model" jsonschema:"required"` // a preset
	Sequence int            `json:"sequence,omitempty"`          // tokens
	Batch    int            `json:"batch,omitempty"`             // sequences per step
	Chips    int            `json:"chips,omitempty"`             // in one gang
	Input    int            `json:"input,omitempty"`             // tokens of a request
	Output   int            `json:"output,omitempty"`
	TTFT     units.Duration `json:"ttft,omitempty"`   // to the first token, 95th percentile; no matter where absent
	TPOT     units.Duration `json:"tpot,omitempty"`   // per further token, 95th percentile; no matter where absent
	Tokens   float64        `json:"tokens,omitempty"` // tokens (input and output) in one unit of work; 1 where absent
}

// Serves reports whether it is about a service.
func (e Estimate) Serves() bool { return e.Output > 0 }

// Step is a value from a date on.
type Step struct {
	From  contract.Instant `json:"from" jsonschema:"required"`
	Value float64          `json:"value"`
}

// Site is a place whose power is shared by the offers and purchases that name it.
type Site struct {
	Name      string  `json:"name" jsonschema:"required"`
	Megawatts float64 `json:"megawatts,omitempty"`
	Ramp      []Step  `json:"ramp,omitempty"` // megawatts from dates on, in place of megawatts
	Source    string  `json:"source,omitempty"`
}

// Offer is nodes that can be had at a price.
type Offer struct {
	Name         string            `json:"name" jsonschema:"required"`
	Provider     string            `json:"provider" jsonschema:"required"`
	Region       string            `json:"region,omitempty"`
	InstanceType string            `json:"instance_type,omitempty"` // the name where absent
	Option       string            `json:"option,omitempty"`        // on-demand where absent
	Chip         string            `json:"chip" jsonschema:"required"`
	Chipmaker    string            `json:"chipmaker,omitempty"`           // known for chips of the catalog
	Family       string            `json:"family,omitempty"`              // known for chips of the catalog
	Chips        int               `json:"chips,omitempty"`               // in a node; 1 where absent
	Kilowatts    float64           `json:"kilowatts,omitempty"`           // of a node
	Price        contract.Number   `json:"price" jsonschema:"required"`   // of a node-hour
	Yearly       float64           `json:"yearly_price_factor,omitempty"` // what the price is multiplied by each January
	Capacity     *float64          `json:"capacity,omitempty"`            // nodes; no limit where absent
	Ramp         []Step            `json:"ramp,omitempty"`                // nodes from dates on, in place of capacity
	From         *contract.Instant `json:"from,omitempty"`
	To           *contract.Instant `json:"to,omitempty"`
	Contract     string            `json:"contract,omitempty"` // only under this contract, capacity by its size
	Site         string            `json:"site,omitempty"`     // whose power its nodes draw: kilowatts says how much
	Surge        float64           `json:"surge,omitempty"`    // share of the free capacity that can be had at once in an emergency
	Known        *contract.Instant `json:"known,omitempty"`
	Source       string            `json:"source,omitempty"`
}

// Selection takes offers from the catalog; names may hold * and ?.
type Selection struct {
	Provider     string   `json:"provider,omitempty"`
	InstanceType string   `json:"instance_type,omitempty"`
	Region       string   `json:"region,omitempty"`
	Option       string   `json:"option,omitempty"`
	Chip         string   `json:"chip,omitempty"`
	Capacity     *float64 `json:"capacity,omitempty"` // nodes of each
	Yearly       float64  `json:"yearly_price_factor,omitempty"`
}

// Purchase is hardware that could be bought. The price of the embedded offer is
// what a node costs to run for an hour, its capacity is what may be bought.
type Purchase struct {
	Offer
	NodePrice contract.Number   `json:"node_price" jsonschema:"required"` // of one node
	Lead      contract.Span     `json:"lead,omitempty"`
	Life      contract.Span     `json:"life" jsonschema:"required"` // over which its worth falls to nothing
	Until     *contract.Instant `json:"until,omitempty"`            // last day to buy
}

// Status is how far a contract is.
type Status string

// The statuses.
const (
	Signed  Status = "signed"
	Offered Status = "offered"
)

// Values lists the statuses.
func (Status) Values() []string { return []string{"signed", "offered"} }

// Signing is a contract of the portfolio: one in force, or one that could be
// signed, whole, in sizes, and at other dates than its terms say.
type Signing struct {
	Contract string             `json:"contract" jsonschema:"required"`
	Status   Status             `json:"status" jsonschema:"required"`
	Starts   []contract.Instant `json:"starts,omitempty"` // other days on which its term could start
	Size     *Size              `json:"size,omitempty"`   // its terms are those of size 1
	Requires []string           `json:"requires,omitempty"`
	Excludes []string           `json:"excludes,omitempty"`
	Retired  *contract.Number   `json:"retired,omitempty"` // spent already towards its commitment over the whole term
	Cost     *contract.Number   `json:"cost,omitempty"`    // once, for signing
	Known    *contract.Instant  `json:"known,omitempty"`
	Lapsed   *contract.Instant  `json:"lapsed,omitempty"` // from when it can be signed no more
	Shares   *Shares            `json:"shares,omitempty"` // what its warrant is expected to be worth
	Sources  []string           `json:"sources,omitempty"`
}

// Shares says what shares of a warrant are expected to be worth. They are
// valued when they vest, and not as cash.
type Shares struct {
	Price  []Step          `json:"price" jsonschema:"required"` // of one, from dates on
	Counts *contract.Share `json:"counts,omitempty"`            // part of their value over the strike that counts as a gain; all where absent
}

// Size is how much of a contract may be signed.
type Size struct {
	Min  float64 `json:"min,omitempty"`
	Max  float64 `json:"max" jsonschema:"required"`
	Step float64 `json:"step,omitempty"` // any size where absent
}

// Qualification is where a model's variants are validated, and what porting it
// elsewhere costs.
type Qualification struct {
	Model    string    `json:"model" jsonschema:"required"`
	Families []string  `json:"families" jsonschema:"required"`
	Porting  []Porting `json:"porting,omitempty"`
	Source   string    `json:"source,omitempty"`
}

// Porting is an option to validate a model for another chip family.
type Porting struct {
	Family string          `json:"family" jsonschema:"required"`
	Cost   contract.Number `json:"cost" jsonschema:"required"`
	Takes  contract.Span   `json:"takes" jsonschema:"required"`
}

// Financing is the money of the buyer.
type Financing struct {
	Cash    contract.Number `json:"cash" jsonschema:"required"` // at the start
	Floor   contract.Number `json:"floor,omitempty"`            // below which it must not fall
	Revenue []Money         `json:"revenue,omitempty"`          // a month
	Other   []Money         `json:"other_costs,omitempty"`      // a month, for what is not compute
	Inflows []Inflow        `json:"inflows,omitempty"`
	Source  string          `json:"source,omitempty"`
}

// Money is an amount a month from a date on.
type Money struct {
	From   contract.Instant `json:"from" jsonschema:"required"`
	Amount contract.Number  `json:"amount" jsonschema:"required"`
}

// Inflow is money received once: a raise, a loan, a tranche.
type Inflow struct {
	Name     string            `json:"name" jsonschema:"required"`
	At       contract.Instant  `json:"at" jsonschema:"required"`
	Amount   contract.Number   `json:"amount" jsonschema:"required"`
	Requires string            `json:"requires,omitempty"` // a contract that must have been signed
	Counts   *contract.Share   `json:"counts,omitempty"`   // part of it that is a gain; the rest is paid for in shares or debt. None where absent
	Known    *contract.Instant `json:"known,omitempty"`
	Source   string            `json:"source,omitempty"`
}

// Dimension is what a share is taken of.
type Dimension string

// The dimensions.
const (
	ByProvider  Dimension = "provider"
	ByChipmaker Dimension = "chipmaker"
	ByRegion    Dimension = "region"
	ByChip      Dimension = "chip"
)

// Values lists the dimensions.
func (Dimension) Values() []string { return []string{"provider", "chipmaker", "region", "chip"} }

// Hedge bounds the share of one provider, chipmaker, region or chip.
type Hedge struct {
	Name    string            `json:"name,omitempty"`
	Of      Dimension         `json:"of" jsonschema:"required"`
	Which   string            `json:"which,omitempty"` // each of them where absent
	AtMost  *contract.Share   `json:"at_most,omitempty"`
	AtLeast *contract.Share   `json:"at_least,omitempty"`
	Measure contract.Measure  `json:"measure,omitempty"` // spend where absent
	Per     Every             `json:"per,omitempty"`     // period of the plan where absent
	From    *contract.Instant `json:"from,omitempty"`
	To      *contract.Instant `json:"to,omitempty"`
}

// Survival asks that critical demand can be served without any one provider or
// chipmaker.
type Survival struct {
	Of    Dimension         `json:"of" jsonschema:"required"`
	Share contract.Share    `json:"share" jsonschema:"required"` // of critical demand
	From  *contract.Instant `json:"from,omitempty"`
}

// Scenario is a future that may come.
type Scenario struct {
	Name        string            `json:"name" jsonschema:"required"`
	Probability float64           `json:"probability" jsonschema:"required"`
	Effects     []Effect          `json:"effects,omitempty"`
	Reveal      *contract.Instant `json:"reveal,omitempty"` // when it is told from all others, in place of the portfolio's reveal
	Known       *contract.Instant `json:"known,omitempty"`
	Source      string            `json:"source,omitempty"`
}

// What an effect changes.
type What string

// The effects.
const (
	Price      What = "price"       // of offers, by a factor
	Supply     What = "supply"      // capacity of offers, by a factor
	Delay      What = "delay"       // deliveries of offers and contracts come later by a span
	Throughput What = "throughput"  // of chips, by a factor
	Block      What = "block"       // a contract that is not yet signed starts later by a span, or never
	Traffic    What = "demand"      // by a factor
	Income     What = "revenue"     // by a factor
	SharePrice What = "share_price" // of contracts' warrants, by a factor
)

// Values lists the effects.
func (What) Values() []string {
	return []string{"price", "supply", "delay", "throughput", "block", "demand", "revenue", "share_price"}
}

// Effect is one thing that is different in a scenario.
type Effect struct {
	What       What              `json:"what" jsonschema:"required"`
	Providers  []string          `json:"providers,omitempty"`
	Chipmakers []string          `json:"chipmakers,omitempty"`
	Chips      []string          `json:"chips,omitempty"`
	Offers     []string          `json:"offers,omitempty"`
	Contracts  []string          `json:"contracts,omitempty"`
	Demand     []string          `json:"demand,omitempty"`
	Factor     *float64          `json:"factor,omitempty"`
	For        *contract.Span    `json:"for,omitempty"` // of a delay or a block; for ever where absent
	From       *contract.Instant `json:"from,omitempty"`
	To         *contract.Instant `json:"to,omitempty"`
}

// Risk is the attitude: minimise (1−weight)·expected cost + weight·CVaR.
type Risk struct {
	Weight   float64 `json:"weight,omitempty"`   // λ
	Tail     float64 `json:"tail,omitempty"`     // β; 0.9 where absent: the worst tenth
	Discount float64 `json:"discount,omitempty"` // of money a year from now: 0.08 is 8%
}
