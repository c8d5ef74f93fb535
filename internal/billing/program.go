package billing

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/units"
)

const hourSeconds = 3600

// clause is a clause of a contract with what billing needs at hand.
type clause struct {
	*contract.Clause
	contract   *contract.Contract
	kind       string
	scope      contract.Scope
	from, to   int64   // unix seconds
	provider   string  // of the fee, where the scope names one
	terminated bool    // ended early: what was committed beyond is the termination fee's matter
	ends       []int64 // ends of the windows over which it accumulates
	feesOf     []bool  // by clause: whether its fees are this one's concern
	full       num     // capacity of a full hour; of a ramp it varies
	least      num     // take-or-pay: quantity of a window that is charged in any case
}

func (c *clause) active(hour int64) bool { return c.from < hour+hourSeconds && c.to > hour }

// fraction returns the part of the hour in which the clause is in force.
func (c *clause) fraction(hour int64) num {
	from, to := max(c.from, hour), min(c.to, hour+hourSeconds)
	if to <= from {
		return num{}
	}
	return lowest(to-from, hourSeconds)
}

// program is a set of contracts made ready for billing.
type program struct {
	currency units.Currency
	clauses  []*clause
	bundles  []*bundle
	breaks   []int64           // times at which the set of clauses in force changes
	cuts     map[int64][]int64 // by hour: times within it at which a clause begins or ends
}

// stages of application within an hour, in order.
const (
	stageBlock = iota
	stageRamp
	stageZonal
	stageRegional
	stageInstancePlan
	stagePlan
	stageHourly
)

// bundle is commitments by the hour that differ in nothing but size and dates.
// They act as one, so that splitting a commitment changes no bill.
type bundle struct {
	stage   int
	key     string
	clause  *clause // the first member; all agree in what matters
	members []int   // clauses
	owner   string
	shared  bool
	years   int
	breadth int
}

// compile reads contracts of a currency, "" for that of the first of them.
func compile(currency units.Currency, contracts []*contract.Contract) (*program, error) {
	p := &program{currency: currency, cuts: map[int64][]int64{}}
	for _, c := range contracts {
		if p.currency == "" {
			p.currency = c.Currency
		}
		if c.Currency != p.currency {
			return nil, fault.Newf(fault.Invalid, "contract %s is in %s and others in %s; bill them apart", c.Name, c.Currency, p.currency)
		}
		for i := range c.Clauses {
			p.clauses = append(p.clauses, newClause(c, &c.Clauses[i]))
		}
	}
	if p.currency == "" {
		p.currency = units.USD
	}
	for i, c := range p.clauses {
		if err := c.bounded(); err != nil {
			return nil, err
		}
		for _, other := range p.clauses {
			c.feesOf = append(c.feesOf, c.concerns(other))
		}
		if b := newBundle(c); b != nil {
			p.bundle(b, i)
		}
		p.breaks = append(p.breaks, floorHour(c.from), ceilHour(c.to))
		for _, at := range []int64{c.from, c.to} {
			if mod(at, hourSeconds) != 0 {
				p.cuts[floorHour(at)] = append(p.cuts[floorHour(at)], at)
			}
		}
	}
	sort.SliceStable(p.bundles, func(i, j int) bool { return p.bundleBefore(p.bundles[i], p.bundles[j]) })
	sort.Slice(p.breaks, func(i, j int) bool { return p.breaks[i] < p.breaks[j] })
	return p, nil
}

// largestSum bounds what one clause commits to, in units of money: sums are
// kept in int64 micro-units, which end at nine times as much.
const largestSum = 1_000_000_000_000

// bounded refuses a clause whose sums could not be booked.
func (c *clause) bounded() error {
	upfront, recurring := c.fee()
	sums := []num{upfront, recurring}
	if c.Ramp != nil {
		for _, step := range c.Ramp.Schedule {
			hours := lowest(c.to-c.from, hourSeconds)
			sums = append(sums, numOf(step.Quantity.Exact()).mul(numOf(c.Ramp.Price.Exact())).mul(hours))
		}
	}
	var committed num
	for w := range c.agreedWindows() {
		committed = committed.add(c.committed(w))
	}
	for _, sum := range append(sums, committed) {
		if sum.cmp(whole(largestSum)) > 0 {
			return fault.Newf(fault.Invalid, "contract %s, clause %s: its sums exceed a trillion", c.contract.Name, c.Name)
		}
	}
	return nil
}

func newClause(c *contract.Contract, inner *contract.Clause) *clause {
	out := &clause{
		Clause: inner, contract: c, kind: inner.Kind(), scope: c.ScopeOf(inner),
		from: c.Starts(inner).Unix(), to: c.Ends(inner).Unix(),
	}
	out.terminated = c.Terminated() != nil && out.to == c.Terminated().Unix() && inner.TerminationFee == nil
	if names := out.scope.Names("providers"); len(names) == 1 {
		out.provider = strings.ToLower(names[0])
	} else if inner.SavingsPlan != nil {
		out.provider = map[contract.PlanType]string{contract.EC2InstancePlan: "aws", contract.ComputePlan: "aws",
			contract.AzurePlan: "azure", contract.GCPPlan: "gcp"}[inner.SavingsPlan.Type]
	}
	out.ends = windowEnds(out)
	out.full, out.least = out.fullHour(), out.floorOf()
	return out
}

// windowEnds lists the ends of the clause's windows, the last at its own end.
func windowEnds(c *clause) []int64 {
	period := c.period()
	start := time.Unix(c.from, 0).UTC()
	var ends []int64
	for n := 1; ; n++ {
		var end time.Time
		switch period {
		case contract.Month:
			end = time.Date(start.Year(), start.Month()+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
		case contract.Year:
			end = contract.Span{Months: 12 * n}.After(start)
		default:
			return []int64{c.to}
		}
		if end.Unix() >= c.to {
			return append(ends, c.to)
		}
		ends = append(ends, end.Unix())
	}
}

// period returns the window over which the clause accumulates.
func (c *clause) period() contract.Period {
	or := func(period, otherwise contract.Period) contract.Period {
		if period == "" {
			return otherwise
		}
		return period
	}
	switch {
	case c.Commitment != nil:
		return c.Commitment.Period
	case c.Discount != nil && c.Discount.Tiers != nil:
		return c.Discount.Tiers.Window
	case c.MonthlyMinimum != nil:
		return contract.Month
	case c.TakeOrPay != nil:
		return or(c.TakeOrPay.Per, contract.Year)
	case c.EnterpriseAgreement != nil:
		return or(c.EnterpriseAgreement.Period, contract.Total)
	case c.ChipCovenant != nil:
		return or(c.ChipCovenant.Per, contract.Month)
	case c.ConcentrationCap != nil:
		return or(c.ConcentrationCap.Per, contract.Month)
	}
	return contract.Total
}

// window returns the index of the window that holds the hour.
func (c *clause) window(hour int64) int {
	return sort.Search(len(c.ends), func(i int) bool { return c.ends[i] > hour })
}

func (p *program) bundle(b *bundle, index int) {
	for _, existing := range p.bundles {
		if existing.key == b.key {
			existing.members = append(existing.members, index)
			return
		}
	}
	b.members = []int{index}
	p.bundles = append(p.bundles, b)
}

// bundleBefore orders bundles where the provider's own order leaves a tie: by
// start and size, never by name before those.
func (p *program) bundleBefore(a, b *bundle) bool {
	if a.stage != b.stage {
		return a.stage < b.stage
	}
	if a.clause.from != b.clause.from {
		return a.clause.from < b.clause.from
	}
	if c := a.size(p).cmp(b.size(p)); c != 0 {
		return c > 0
	}
	return a.key < b.key
}

func (b *bundle) size(p *program) num {
	var sum num
	for _, m := range b.members {
		sum = sum.add(p.clauses[m].capacity(max(p.clauses[m].from, b.clause.from)))
	}
	return sum
}

func newBundle(c *clause) *bundle {
	b := &bundle{clause: c, shared: true, breadth: c.scope.Breadth()}
	identity := []any{c.kind, c.contract.Scope, c.Scope}
	switch {
	case c.CapacityBlock != nil:
		b.stage = stageBlock
		identity = append(identity, c.CapacityBlock.InstanceType, c.from, c.to)
	case c.Ramp != nil:
		b.stage = stageRamp
		identity = append(identity, c.Ramp.Price, c.Ramp.Unit)
	case c.ReservedInstances != nil:
		same := *c.ReservedInstances
		b.stage, b.owner = stageRegional, same.Owner
		if same.Zone != "" {
			b.stage = stageZonal
		}
		b.shared = same.Shared == nil || *same.Shared
		same.Count, same.Hourly, same.Upfront = contract.Number{}, nil, nil
		identity = append(identity, same)
	case c.SavingsPlan != nil:
		same := *c.SavingsPlan
		b.stage, b.owner, b.years = stagePlan, same.Owner, planYears(c)
		if same.Type == contract.EC2InstancePlan {
			b.stage = stageInstancePlan
		}
		b.shared = same.Shared == nil || *same.Shared
		same.Hourly, same.Upfront, same.Payment, same.Years = contract.Number{}, nil, "", b.years
		identity = append(identity, same)
	case c.Commitment != nil && c.Commitment.Period == contract.Hour:
		same := *c.Commitment
		b.stage = stageHourly
		same.Amount = nil
		identity = append(identity, same)
	default:
		return nil
	}
	data, err := json.Marshal(identity)
	if err != nil {
		panic(fmt.Sprintf("billing: a clause does not marshal: %v", err))
	}
	b.key = string(data)
	return b
}

func planYears(c *clause) int {
	if c.SavingsPlan.Years > 0 {
		return c.SavingsPlan.Years
	}
	const yearSeconds = 365 * 24 * hourSeconds
	return int((c.to - c.from + yearSeconds/2) / yearSeconds)
}

// capacity returns what the commitment covers in a full hour, in its own
// units: instances, normalised units, or dollars of its basis.
func (c *clause) capacity(hour int64) num {
	if c.Ramp != nil {
		return c.obligation(hour)
	}
	return c.full
}

func (c *clause) fullHour() num {
	switch {
	case c.CapacityBlock != nil:
		return numOf(c.CapacityBlock.Count.Exact())
	case c.ReservedInstances != nil:
		return numOf(c.ReservedInstances.Count.Exact()).mul(c.sizeOf(c.ReservedInstances.InstanceType))
	case c.SavingsPlan != nil:
		return numOf(c.SavingsPlan.Hourly.Exact())
	case c.Commitment != nil && c.Commitment.Amount != nil:
		return numOf(c.Commitment.Amount.Exact())
	}
	return num{}
}

// ownSize is the size of one unit as the contract counts them: normalised
// units of a reserved instance, else 1.
func (c *clause) ownSize() num {
	if c.ReservedInstances != nil {
		return c.sizeOf(c.ReservedInstances.InstanceType)
	}
	return whole(1)
}

// obligation is the lesser of what the ramp scheduled and what was delivered.
func (c *clause) obligation(hour int64) num {
	at := func(steps []contract.RampStep) num {
		var quantity num
		for _, step := range steps {
			if step.From.Unix() <= hour {
				quantity = numOf(step.Quantity.Exact())
			}
		}
		return quantity
	}
	scheduled := at(c.Ramp.Schedule)
	if c.Ramp.Delivered == nil {
		return scheduled
	}
	return lesser(scheduled, at(c.Ramp.Delivered))
}

// flexible reports whether the reservation covers other sizes of its family.
func (c *clause) flexible() bool {
	r := c.ReservedInstances
	if r.SizeFlexible != nil {
		return *r.SizeFlexible
	}
	return r.Zone == "" && (len(r.Sizes) > 0 || c.provider == "aws" && contract.FlexibleInSize(r.InstanceType, r.Platform, r.Tenancy))
}

// sizeOf returns normalised units of an instance type: 0 where the reservation
// does not cover it.
func (c *clause) sizeOf(instanceType string) num {
	r := c.ReservedInstances
	same := strings.EqualFold(instanceType, r.InstanceType)
	if !c.flexible() {
		if same {
			return whole(1)
		}
		return num{}
	}
	if len(r.Sizes) > 0 {
		for name, size := range r.Sizes {
			if strings.EqualFold(name, instanceType) {
				return numOf(size.Exact())
			}
		}
		return num{}
	}
	size, known := contract.NormalisedSize(instanceType)
	if !known || contract.Family(instanceType) != contract.Family(r.InstanceType) {
		if same {
			return whole(1)
		}
		return num{}
	}
	return numOf(size.Exact())
}

func floorHour(at int64) int64 { return at - mod(at, hourSeconds) }

func ceilHour(at int64) int64 { return floorHour(at + hourSeconds - 1) }

func mod(a, b int64) int64 { return (a%b + b) % b }
