package contract

// Period is the window over which a clause counts.
type Period string

// The periods. A month is a calendar month in UTC, clipped to the clause; a
// year runs from the clause's start to its anniversary; total is the clause's
// whole life.
const (
	Hour  Period = "hour"
	Month Period = "month"
	Year  Period = "year"
	Total Period = "total"
)

// Values lists the periods.
func (Period) Values() []string {
	return []string{string(Hour), string(Month), string(Year), string(Total)}
}

// Basis says in which dollars a commitment is counted.
type Basis string

// The bases: what is paid after discounts, or the list price of what was used.
const (
	Discounted Basis = "discounted"
	List       Basis = "list"
)

// Values lists the bases.
func (Basis) Values() []string { return []string{string(Discounted), string(List)} }

// Charge classes that may count towards (retire) a commitment.
const (
	RetireUsage       = "usage"       // usage at what it costs
	RetireFees        = "fees"        // fees of plans, reservations and minimums of the same contract
	RetireMarketplace = "marketplace" // purchases through the provider's marketplace
)

// Retires names a charge class that counts towards a commitment.
type Retires string

// Values lists the charge classes.
func (Retires) Values() []string { return []string{RetireUsage, RetireFees, RetireMarketplace} }

// RateRule sets a price for the usage that it admits: a rate per unit, or a
// share off the list price. The first rule that admits the usage applies.
type RateRule struct {
	Scope
	Rate     *Number `json:"rate,omitempty"`
	Discount *Share  `json:"discount,omitempty"`
}

// Commitment is money that will be spent in each window, or charged as a
// shortfall at its end. By the hour it works as a savings plan and needs rates
// or a discount.
type Commitment struct {
	Period   Period     `json:"period" jsonschema:"required"`
	Amount   *Number    `json:"amount,omitempty"`  // of each window
	Amounts  []Number   `json:"amounts,omitempty"` // instead: one a year, in order
	Basis    Basis      `json:"basis,omitempty"`   // discounted where absent
	Discount *Share     `json:"discount,omitempty"`
	Rates    []RateRule `json:"rates,omitempty"` // hourly: what covered usage costs

	Retires        []Retires `json:"retires,omitempty"`         // usage and fees where absent
	MarketplaceCap *Share    `json:"marketplace_cap,omitempty"` // of the amount; no cap where absent
}

// Discount is a lower price: a share off list, rates of their own, or tiers by
// what was used in a window.
type Discount struct {
	Percent *Share     `json:"percent,omitempty"`
	Rates   []RateRule `json:"rates,omitempty"`
	Tiers   *Tiers     `json:"tiers,omitempty"`
	Stacks  bool       `json:"stacks,omitempty"` // percent: taken off what other discounts left, not off list
	Fees    bool       `json:"fees,omitempty"`   // percent that stacks: off fees of plans and reservations too
}

// TierMode says what a tier's discount is taken off.
type TierMode string

// The modes: only what lies above the tier's threshold, or everything used in
// the window once the threshold is passed.
const (
	Marginal    TierMode = "marginal"
	Retroactive TierMode = "retroactive"
)

// Values lists the modes.
func (TierMode) Values() []string { return []string{string(Marginal), string(Retroactive)} }

// Measure is what is counted.
type Measure string

// The measures.
const (
	Spend    Measure = "spend"    // money after rates and shares, before tiers
	ListCost Measure = "list"     // money at list price
	Quantity Measure = "quantity" // units as metered
	ChipTime Measure = "chip-hours"
)

// Values lists the measures.
func (Measure) Values() []string {
	return []string{string(Spend), string(ListCost), string(Quantity), string(ChipTime)}
}

// Tiers are discounts that grow with what was used in a window.
type Tiers struct {
	Measure Measure  `json:"measure,omitempty"` // spend where absent
	Window  Period   `json:"window" jsonschema:"required"`
	Mode    TierMode `json:"mode,omitempty"` // marginal where absent
	Steps   []Tier   `json:"steps" jsonschema:"required"`
}

// Tier is one step: its discount applies above the threshold.
type Tier struct {
	Above    Number `json:"above" jsonschema:"required"`
	Discount Share  `json:"discount" jsonschema:"required"`
}

// Prepayment is money paid ahead that usage draws down until it expires.
type Prepayment struct {
	Amount  Number   `json:"amount" jsonschema:"required"`
	At      *Instant `json:"at,omitempty"`      // when it is paid; the clause's start where absent
	Expires *Instant `json:"expires,omitempty"` // what is left is lost; the clause's end where absent
}

// MonthlyMinimum is the least that each calendar month costs.
type MonthlyMinimum struct {
	Amount Number `json:"amount" jsonschema:"required"`
}

// TakeOrPay is a quantity of which a share is paid for, taken or not; what was
// paid for and not taken may be made up later, free, until it expires.
type TakeOrPay struct {
	Quantity Number  `json:"quantity" jsonschema:"required"` // annual contract quantity (of each window)
	Unit     string  `json:"unit,omitempty"`
	Per      Period  `json:"per,omitempty"`               // year where absent
	Floor    *Share  `json:"floor,omitempty"`             // share of the quantity that is paid for; all where absent
	Price    Number  `json:"price" jsonschema:"required"` // per unit, of all usage in scope
	MakeUp   *MakeUp `json:"make_up,omitempty"`
}

// MakeUp lets deficiencies be taken later.
type MakeUp struct {
	Expires *Span `json:"expires,omitempty"` // after the window that paid; at the clause's end where absent
}

// Ramp is a capacity that grows by a schedule. What must be paid for is the
// lesser of what was scheduled and what was delivered.
type Ramp struct {
	Price     Number     `json:"price" jsonschema:"required"` // per unit and hour
	Unit      string     `json:"unit,omitempty"`
	Schedule  []RampStep `json:"schedule" jsonschema:"required"`
	Delivered []RampStep `json:"delivered,omitempty"` // as scheduled where absent
}

// RampStep is the quantity from a date on.
type RampStep struct {
	From     Instant `json:"from" jsonschema:"required"`
	Quantity Number  `json:"quantity" jsonschema:"required"`
}

// CapacityReservation is capacity held on demand: paid at the on-demand rate,
// used or not, by the second; reservations and plans discount it.
type CapacityReservation struct {
	InstanceType string `json:"instance_type" jsonschema:"required"`
	Count        Number `json:"count" jsonschema:"required"`
	Rate         Number `json:"rate" jsonschema:"required"` // on demand, per instance-hour
	Owner        string `json:"owner,omitempty"`            // account that pays for what is unused
	Zone         string `json:"zone,omitempty"`
	Platform     string `json:"platform,omitempty"`
}

// CapacityBlock is capacity for fixed days, paid upfront at the rate of the
// day of purchase; no plan discounts it and it cannot be cancelled.
type CapacityBlock struct {
	InstanceType string   `json:"instance_type" jsonschema:"required"`
	Count        Number   `json:"count" jsonschema:"required"`
	Rate         *Number  `json:"rate,omitempty"`      // per instance-hour; or
	Fee          *Number  `json:"fee,omitempty"`       // the whole fee
	Purchased    *Instant `json:"purchased,omitempty"` // the clause's start where absent
}

// Payment is when the fee of a commitment falls due.
type Payment string

// The ways of payment.
const (
	NoUpfront      Payment = "none"
	PartialUpfront Payment = "partial" // half at the start unless `upfront` says otherwise
	AllUpfront     Payment = "all"
)

// Values lists the ways of payment.
func (Payment) Values() []string {
	return []string{string(NoUpfront), string(PartialUpfront), string(AllUpfront)}
}

// ReservedInstances are instances paid for every hour of the term. Regional
// ones may be flexible in size within their family.
type ReservedInstances struct {
	InstanceType string  `json:"instance_type" jsonschema:"required"`
	Count        Number  `json:"count" jsonschema:"required"`
	Hourly       *Number `json:"hourly,omitempty"`  // per instance and hour
	Upfront      *Number `json:"upfront,omitempty"` // per instance, at the start
	Zone         string  `json:"zone,omitempty"`    // set: a zonal reservation, never flexible in size
	Platform     string  `json:"platform,omitempty"`
	Tenancy      string  `json:"tenancy,omitempty"`
	Owner        string  `json:"owner,omitempty"`  // its usage is covered first
	Shared       *bool   `json:"shared,omitempty"` // covers other accounts too; true where absent
	SizeFlexible *bool   `json:"size_flexible,omitempty"`
	// Sizes gives normalised units by instance type, where the provider's own
	// (the embedded AWS table) do not apply: Azure's ratios, say.
	Sizes map[string]Number `json:"sizes,omitempty"`
}

// PlanType is the provider's kind of savings plan; it fixes the order of
// application.
type PlanType string

// The plan types.
const (
	EC2InstancePlan PlanType = "ec2-instance"
	ComputePlan     PlanType = "compute"
	AzurePlan       PlanType = "azure"
	GCPPlan         PlanType = "gcp"
)

// Values lists the plan types.
func (PlanType) Values() []string {
	return []string{string(EC2InstancePlan), string(ComputePlan), string(AzurePlan), string(GCPPlan)}
}

// SavingsPlan is an hourly commitment, used or lost.
type SavingsPlan struct {
	Type     PlanType   `json:"type" jsonschema:"required"`
	Hourly   Number     `json:"hourly" jsonschema:"required"` // commitment per hour, in dollars of the basis
	Basis    Basis      `json:"basis,omitempty"`              // discounted where absent; list: GCP before 2026
	Discount *Share     `json:"discount,omitempty"`           // off list, for usage without a rate of its own
	Rates    []RateRule `json:"rates,omitempty"`
	Years    int        `json:"years,omitempty"` // 1 or 3; from the term where absent
	Payment  Payment    `json:"payment,omitempty"`
	Upfront  *Number    `json:"upfront,omitempty"` // the part of the whole fee that is paid at the start
	Owner    string     `json:"owner,omitempty"`
	Shared   *bool      `json:"shared,omitempty"`
}

// EnterpriseAgreement is a discount on everything against a commitment: EDP,
// PPA and their like.
type EnterpriseAgreement struct {
	Discount       *Share    `json:"discount,omitempty"`
	Commitment     *Number   `json:"commitment,omitempty"`
	Commitments    []Number  `json:"commitments,omitempty"`     // instead: one a year
	Period         Period    `json:"period,omitempty"`          // total where absent
	Basis          Basis     `json:"basis,omitempty"`           // what retires: discounted (net) or list
	Retires        []Retires `json:"retires,omitempty"`         // all where absent
	MarketplaceCap *Share    `json:"marketplace_cap,omitempty"` // 25% where absent
	Fees           bool      `json:"fees,omitempty"`            // the discount is off fees of plans and reservations too
}

// MACC is Microsoft's consumption commitment with milestones. Buying
// prepayment retires it at once; what that prepayment later pays for does not.
type MACC struct {
	Amount        Number      `json:"amount" jsonschema:"required"`
	Milestones    []Milestone `json:"milestones,omitempty"`
	Prepayments   []Purchase  `json:"prepayments,omitempty"`
	CreditExpires *Span       `json:"credit_expires,omitempty"` // of shortfall credit; never where absent
}

// Milestone is what must have been retired by a date.
type Milestone struct {
	By     Instant `json:"by" jsonschema:"required"`
	Amount Number  `json:"amount" jsonschema:"required"`
}

// Purchase is prepayment bought on a day.
type Purchase struct {
	At      Instant  `json:"at" jsonschema:"required"`
	Amount  Number   `json:"amount" jsonschema:"required"`
	Expires *Instant `json:"expires,omitempty"`
}

// ChipCovenant binds work to chips of the investor: a share of the work, or a
// power, in each window; a breach not cured withholds a tranche.
type ChipCovenant struct {
	Chips      []string          `json:"chips,omitempty"`
	Chipmakers []string          `json:"chipmakers,omitempty"`
	Share      *Share            `json:"share,omitempty"`
	Megawatts  *Number           `json:"megawatts,omitempty"`
	Kilowatts  map[string]Number `json:"kilowatts,omitempty"` // per unit in use, by chip; for megawatts
	Measure    Measure           `json:"measure,omitempty"`   // chip-hours where absent
	Weights    map[string]Number `json:"weights,omitempty"`   // work per unit measured, by chip; 1 where absent
	Per        Period            `json:"per,omitempty"`       // month where absent
	Cure       *Span             `json:"cure,omitempty"`
	Tranche    *Number           `json:"tranche,omitempty"` // withheld on a breach that was not cured
	Fee        *Number           `json:"fee,omitempty"`     // charged on such a breach
}

// Warrant is equity that vests as compute is delivered and the price is met.
type Warrant struct {
	Shares       Number        `json:"shares" jsonschema:"required"`
	Strike       Number        `json:"strike" jsonschema:"required"`
	Tranches     []Tranche     `json:"tranches" jsonschema:"required"`
	Observations []Observation `json:"observations,omitempty"`
}

// Tranche vests when both are met.
type Tranche struct {
	Shares    Number  `json:"shares" jsonschema:"required"`
	Gigawatts Number  `json:"gigawatts,omitempty"` // cumulative
	Price     *Number `json:"price,omitempty"`     // of a share
}

// Observation is what was known on a day.
type Observation struct {
	At        Instant `json:"at" jsonschema:"required"`
	Gigawatts Number  `json:"gigawatts"`
	Price     Number  `json:"price"`
}

// Exclusivity keeps a class of work with the holder: none of it runs elsewhere.
type Exclusivity struct {
	Holder  string   `json:"holder" jsonschema:"required"`  // a provider
	Classes []string `json:"classes" jsonschema:"required"` // classes of work
}

// RightOfFirstRefusal lets the holder match an offer of a third party.
type RightOfFirstRefusal struct {
	Holder string       `json:"holder" jsonschema:"required"` // a provider
	Window Span         `json:"window" jsonschema:"required"`
	Offers []ThirdOffer `json:"offers,omitempty"`
}

// ThirdOffer is an offer of a third party that was put to the holder.
type ThirdOffer struct {
	Name     string  `json:"name" jsonschema:"required"`
	Provider string  `json:"provider" jsonschema:"required"`
	Offered  Instant `json:"offered" jsonschema:"required"`
	Quantity Number  `json:"quantity,omitempty"`
	Price    Number  `json:"price,omitempty"`
	Matched  bool    `json:"matched,omitempty"`
}

// ConcentrationCap bounds the share of one provider, chipmaker or chip.
type ConcentrationCap struct {
	Of      string  `json:"of" jsonschema:"required"` // provider, chipmaker or chip
	Name    string  `json:"name,omitempty"`           // which; each of them where absent
	Share   Share   `json:"share" jsonschema:"required"`
	Measure Measure `json:"measure,omitempty"` // spend where absent
	Per     Period  `json:"per,omitempty"`     // month where absent
}

// TerminationFee is what leaving costs: a sum, a share of what remains
// committed, or both. With a date the contract ends there.
type TerminationFee struct {
	Fee     *Number  `json:"fee,omitempty"`
	Percent *Share   `json:"percent,omitempty"` // of what remains committed
	On      *Instant `json:"on,omitempty"`
}

// Names reports whether the covenant is about work on the chip.
func (c *ChipCovenant) Names(chip, chipmaker string) bool {
	if len(c.Chips) > 0 {
		return matchAny(c.Chips, chip)
	}
	return matchAny(c.Chipmakers, chipmaker)
}
