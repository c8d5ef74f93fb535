package planner

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// terms is a contract in the form that the model takes, per unit of its size.
type terms struct {
	contract  *contract.Contract // as it binds within the horizon, at size 1
	bundles   []bundle
	floors    []floor
	takes     []take
	covenants []covenant
	caps      []capClause
	rates     []rateClause
	stacks    []stackClause
	exclusive []exclusiveClause
	tiers     []tierClause
	warrants  []warrant
}

// bundle is a commitment by the hour: a fee, and what it covers.
type bundle struct {
	label    string
	use      []float64   // by line: capacity that a node uses; 0 where it is not covered
	useAt    [][]float64 // by period and line, where prices decide the use; else nil
	capacity []float64   // by period
	fee      []float64   // by period: money
	option   string      // purchase option that covered usage has; "" for the line's own
	adds     bool        // the capacity is beyond what the offers have
}

func (b bundle) useOf(l, t int) float64 {
	if b.useAt != nil {
		return b.useAt[t][l]
	}
	return b.use[l]
}

// floor is money to be spent in each window, or charged.
type floor struct {
	label    string
	clause   string
	lines    []bool
	list     bool // counted at list price
	usage    bool
	fees     bool // fees of the same contract's commitments count
	windows  []span
	prepaid  bool              // the amount is paid when the window opens, and usage draws it down
	subtotal bool              // windows overlap (milestones), each counted from the start
	lots     []lot             // prepayment of a MACC
	credit   []map[int]float64 // by window of a MACC: where its shortfall may be drawn
}

// span is a window as parts of periods.
type span struct {
	part   map[int]float64 // of each period
	amount float64
	first  int // period
	due    int // period
	end    time.Time
}

// take is a quantity of which a share is paid for, with what can be made up.
type take struct {
	label   string
	lines   []bool
	price   float64
	windows []span // amounts are quantities in node-hours
	until   []int  // by window: the last window that may make up its deficiency; −1 for none
}

// covenant is a share of work, or a power, on chips of the investor.
type covenant struct {
	label    string
	lines    []bool
	on       []float64 // by line: what a node counts towards it
	all      []float64
	share    float64
	absolute float64 // kilowatts; in place of a share
	windows  []span
	cures    []span  // by window; none where a breach cannot be cured
	loss     float64 // of a breach: tranche and fee
	fee      float64
	measure  contract.Measure
}

type capClause struct {
	label    string
	of, name string
	lines    []bool
	share    float64
	measure  contract.Measure
	windows  []span
}

// rateClause sets prices: the lowest counts, but forced ones always.
type rateClause struct {
	label  string
	rate   [][]float64 // by period and line; negative where the clause is silent
	forced bool
}

// stackClause takes a share off what is left.
type stackClause struct {
	lines []bool
	share []float64 // by period
	fees  bool
}

type exclusiveClause struct {
	label   string
	holder  string
	classes []string
	part    []float64 // by period
}

// termsOf puts the contract of a deal into the form of the model.
func (p *Problem) termsOf(d deal, effects []plan.Effect, prices [][]float64) *terms {
	c := p.effective(d, effects)
	if c == nil {
		return nil
	}
	t := &terms{contract: c}
	for i := range c.Clauses {
		p.addClause(t, d, &c.Clauses[i], effects, prices)
	}
	return t
}

func (p *Problem) addClause(t *terms, d deal, c *contract.Clause, effects []plan.Effect, prices [][]float64) {
	label := d.Contract + "/" + c.Name
	from, to := t.contract.Starts(c), t.contract.Ends(c)
	lines := p.fits(t.contract.ScopeOf(c), c)
	switch {
	case c.Commitment != nil && c.Commitment.Period != contract.Hour:
		k := c.Commitment
		f := floor{label: label, clause: c.Name, lines: lines, list: k.Basis == contract.List}
		f.usage, f.fees = retires(k.Retires)
		f.windows = p.spans(k.Period, from, to, func(i int) float64 { return amountAt(k.Amount, k.Amounts, i) })
		t.floors = append(t.floors, f)
	case c.EnterpriseAgreement != nil:
		p.addAgreement(t, label, c, lines, from, to)
	case c.MonthlyMinimum != nil:
		t.floors = append(t.floors, floor{label: label, clause: c.Name, lines: lines, usage: true,
			windows: p.spans(contract.Month, from, to, func(int) float64 { return float(c.MonthlyMinimum.Amount) })})
	case c.Prepayment != nil:
		t.floors = append(t.floors, floor{label: label, clause: c.Name, lines: lines, usage: true, prepaid: true,
			windows: p.spans(contract.Total, from, to, func(int) float64 { return float(c.Prepayment.Amount) })})
	case c.MACC != nil:
		p.addMACC(t, label, c, lines, from, to)
	case c.TakeOrPay != nil:
		p.addTake(t, label, c.TakeOrPay, lines, from, to)
	case c.ChipCovenant != nil:
		p.addCovenant(t, label, c.ChipCovenant, lines, from, to)
	case c.ConcentrationCap != nil:
		k := c.ConcentrationCap
		period := k.Per
		if period == "" {
			period = contract.Month
		}
		t.caps = append(t.caps, capClause{label, k.Of, k.Name, lines, k.Share.InexactFloat64(), k.Measure, p.spans(period, from, to, nil)})
	case c.Exclusivity != nil:
		t.exclusive = append(t.exclusive, exclusiveClause{label, c.Exclusivity.Holder, c.Exclusivity.Classes, p.parts(from, to)})
	case c.Discount != nil:
		p.addDiscount(t, label, c.Discount, lines, from, to, prices)
	case c.Warrant != nil:
		p.addWarrant(t, d, label, c.Warrant, lines, from, to, effects)
	case c.RightOfFirstRefusal != nil, c.TerminationFee != nil:
		// No cash in the horizon by themselves: rights move starts, and leaving is
		// what the leverage question asks for.
	default:
		p.addBundle(t, label, c, lines, from, to, prices)
	}
}

func retires(classes []contract.Retires) (usage, fees bool) {
	if classes == nil {
		return true, true
	}
	return slices.Contains(classes, contract.RetireUsage), slices.Contains(classes, contract.RetireFees)
}

func (p *Problem) addAgreement(t *terms, label string, c *contract.Clause, lines []bool, from, to time.Time) {
	k := c.EnterpriseAgreement
	if k.Discount != nil {
		share := p.parts(from, to)
		for i := range share {
			share[i] *= k.Discount.InexactFloat64()
		}
		t.stacks = append(t.stacks, stackClause{lines, share, k.Fees})
	}
	if k.Commitment == nil && len(k.Commitments) == 0 {
		return
	}
	f := floor{label: label, clause: c.Name, lines: lines, list: k.Basis == contract.List}
	f.usage, f.fees = retires(k.Retires)
	f.windows = p.spans(orTotal(k.Period), from, to, func(i int) float64 { return amountAt(k.Commitment, k.Commitments, i) })
	t.floors = append(t.floors, f)
}

func (p *Problem) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(p.Notes, text) {
		p.Notes = append(p.Notes, text)
	}
}

func (p *Problem) addTake(t *terms, label string, k *contract.TakeOrPay, lines []bool, from, to time.Time) {
	period := k.Per
	if period == "" {
		period = contract.Year
	}
	share := 1.0
	if k.Floor != nil {
		share = k.Floor.InexactFloat64()
	}
	price := float(k.Price)
	out := take{label: label, lines: lines, price: price}
	out.windows = p.spans(period, from, to, func(int) float64 { return share * float(k.Quantity) })
	for i, w := range windowsOf(period, from, to) {
		last := -1
		if k.MakeUp != nil {
			until := to
			if k.MakeUp.Expires != nil {
				until = k.MakeUp.Expires.After(w.to)
			}
			for j, next := range windowsOf(period, from, to) {
				if j > i && !next.to.After(until) {
					last = j
				}
			}
		}
		out.until = append(out.until, last)
	}
	if len(out.until) != len(out.windows) {
		out.until = slices.Repeat([]int{-1}, len(out.windows)) // windows shorter than periods were joined
	}
	t.takes = append(t.takes, out)
	t.rates = append(t.rates, rateClause{label, p.rateTable(lines, from, to, func(int, int) float64 { return price }), true})
}

// addDiscount reads a discount.
func (p *Problem) addDiscount(t *terms, label string, k *contract.Discount, lines []bool, from, to time.Time, prices [][]float64) {
	switch {
	case k.Tiers != nil:
		p.addTiers(t, label, k.Tiers, lines, from, to)
	case k.Stacks && k.Percent != nil:
		share := p.parts(from, to)
		for i := range share {
			share[i] *= k.Percent.InexactFloat64()
		}
		t.stacks = append(t.stacks, stackClause{lines, share, k.Fees})
	default:
		t.rates = append(t.rates, rateClause{label, p.rateTable(lines, from, to, func(l, i int) float64 {
			return p.ruleRate(k.Rates, k.Percent, l, prices[p.lines[l].offer][i])
		}), false})
	}
}

// ruleRate is what rate rules, or else a share off list, make of a price; −1
// where neither speaks of the line.
func (p *Problem) ruleRate(rules []contract.RateRule, percent *contract.Share, l int, list float64) float64 {
	for _, rule := range rules {
		switch {
		case !rule.Admits(p.subject(p.lines[l])):
		case rule.Rate != nil:
			return float(*rule.Rate)
		default:
			return list * (1 - rule.Discount.InexactFloat64())
		}
	}
	if percent != nil {
		return list * (1 - percent.InexactFloat64())
	}
	return -1
}

// rateTable fills prices by period and line for the lines and time of a clause;
// a period that the clause covers in part counts when it covers most of it.
func (p *Problem) rateTable(lines []bool, from, to time.Time, rate func(l, t int) float64) [][]float64 {
	table := make([][]float64, len(p.Periods))
	for i, part := range p.parts(from, to) {
		table[i] = make([]float64, len(lines))
		for l := range lines {
			table[i][l] = -1
			if lines[l] && part > 0.5 {
				table[i][l] = rate(l, i)
			}
		}
	}
	return table
}

// parts returns what of each period lies in [from, to).
func (p *Problem) parts(from, to time.Time) []float64 {
	parts := make([]float64, len(p.Periods))
	for i, t := range p.Periods {
		parts[i] = t.Part(from, to)
	}
	return parts
}

// spans cuts [from, to) into the windows of a clause as parts of periods.
// Windows within one period are joined: even use within a period makes that exact.
func (p *Problem) spans(period contract.Period, from, to time.Time, amount func(int) float64) []span {
	var all []span
	for i, w := range windowsOf(period, from, to) {
		s := span{part: map[int]float64{}, first: -1}
		for t, part := range p.parts(w.from, w.to) {
			if part > 0 {
				s.part[t] = part
				s.due = t
				if s.first < 0 {
					s.first = t
				}
			}
		}
		if s.first < 0 {
			continue
		}
		s.end = w.to
		if amount != nil {
			s.amount = amount(i)
		}
		if last := len(all) - 1; last >= 0 && len(s.part) == 1 && len(all[last].part) == 1 && all[last].due == s.due {
			all[last].amount += s.amount
			all[last].part[s.due] += s.part[s.due]
			all[last].end = s.end
			continue
		}
		all = append(all, s)
	}
	return all
}

// fits reports which lines a clause is about, by the rules of billing:
// commitments by the hour and prices leave spot and marketplace alone unless
// the scope names purchase options.
func (p *Problem) fits(scope contract.Scope, c *contract.Clause) []bool {
	lines := make([]bool, len(p.lines))
	for l := range p.lines {
		subject := p.subject(p.lines[l])
		if c.CapacityBlock != nil {
			subject.Option = blockOption
		}
		plain := subject.Option == "" || strings.EqualFold(subject.Option, onDemandOption) || scope.Limits("options")
		fit := scope.Admits(subject)
		switch {
		case c.CapacityBlock != nil:
			fit = fit && strings.EqualFold(c.CapacityBlock.InstanceType, subject.InstanceType)
		case c.CapacityReservation != nil:
			fit = fit && plain && strings.EqualFold(c.CapacityReservation.InstanceType, subject.InstanceType)
		case c.ReservedInstances != nil, c.Ramp != nil, c.SavingsPlan != nil, c.Commitment != nil && c.Commitment.Period == contract.Hour:
			fit = fit && plain
		case c.TakeOrPay != nil, c.Discount != nil:
			fit = fit && (scope.Limits("options") || !strings.EqualFold(subject.Option, "marketplace"))
		}
		lines[l] = fit
	}
	return lines
}

const (
	onDemandOption = "on-demand"
	blockOption    = "capacity-block"
)
