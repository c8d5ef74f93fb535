package contract

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// Conflict is two clauses, or one clause and its contract's term, that cannot
// both be kept in [From, To).
type Conflict struct {
	First  Party     `json:"first"`
	Second Party     `json:"second"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Reason string    `json:"reason"`
}

// Party names a clause of a contract.
type Party struct {
	Contract string `json:"contract"`
	Clause   string `json:"clause"`
}

func (p Party) String() string { return p.Contract + "/" + p.Clause }

type bound struct {
	contract *Contract
	clause   *Clause
	from, to time.Time
}

func (b bound) party() Party { return Party{b.contract.Name, b.clause.Name} }

// Conflicts finds what contracts in force together cannot keep: exclusivity
// against exclusivity or against a floor elsewhere, a covenant that a cap or
// an exclusivity makes impossible, covenants and caps whose shares do not fit,
// a ramp past its term, and a start within a right of first refusal's window.
func Conflicts(contracts []*Contract) []Conflict {
	var clauses []bound
	for _, c := range contracts {
		for i := range c.Clauses {
			clause := &c.Clauses[i]
			clauses = append(clauses, bound{c, clause, c.Starts(clause), c.Ends(clause)})
		}
	}
	var found []Conflict
	for i, a := range clauses {
		found = append(found, alone(a)...)
		found = append(found, refusals(a, contracts)...)
		for j, b := range clauses {
			if i == j {
				continue
			}
			if reason := clash(a, b, i < j); reason != "" {
				if from, to, together := overlap(a, b); together {
					found = append(found, Conflict{a.party(), b.party(), from, to, reason})
				}
			}
		}
	}
	found = append(found, sums(clauses)...)
	sort.SliceStable(found, func(i, j int) bool { return found[i].From.Before(found[j].From) })
	return found
}

func overlap(a, b bound) (from, to time.Time, ok bool) {
	from, to = a.from, a.to
	if b.from.After(from) {
		from = b.from
	}
	if b.to.Before(to) {
		to = b.to
	}
	return from, to, from.Before(to)
}

// clash returns why a and b cannot both be kept. Symmetric cases are judged
// once, when a is the earlier one.
func clash(a, b bound, earlier bool) string {
	switch {
	case a.clause.Exclusivity != nil && b.clause.Exclusivity != nil:
		if earlier && !strings.EqualFold(a.clause.Exclusivity.Holder, b.clause.Exclusivity.Holder) {
			if class, shared := sharedClass(a.clause.Exclusivity.Classes, b.clause.Exclusivity.Classes); shared && a.contract.ScopeOf(a.clause).withoutSeller().Overlaps(b.contract.ScopeOf(b.clause).withoutSeller()) {
				return fmt.Sprintf("%s and %s both hold %s exclusively", a.clause.Exclusivity.Holder, b.clause.Exclusivity.Holder, class)
			}
		}
	case a.clause.Exclusivity != nil:
		return exclusivityAgainst(a, b)
	case a.clause.ChipCovenant != nil && b.clause.ConcentrationCap != nil:
		return covenantAgainstCap(a.clause.ChipCovenant, b.clause.ConcentrationCap)
	}
	return ""
}

// withoutSeller drops the dimensions that name who sells: two exclusivities are
// about the same work however their sellers are scoped.
func (s Scope) withoutSeller() Scope {
	s.Providers, s.Regions, s.Zones, s.InstanceTypes, s.Chips, s.Chipmakers = nil, nil, nil, nil, nil, nil
	inner := s.also
	s.also = nil
	for _, other := range inner {
		s.also = append(s.also, other.withoutSeller())
	}
	return s
}

func sharedClass(a, b []string) (string, bool) {
	for _, x := range a {
		for _, y := range b {
			if patternsOverlap(strings.ToLower(x), strings.ToLower(y)) {
				if x == "*" {
					x = y
				}
				if x == "*" {
					x = "all work"
				}
				return x, true
			}
		}
	}
	return "", false
}

// exclusivityAgainst finds a floor that obliges to use someone else for work
// that the exclusivity reserves.
func exclusivityAgainst(a, b bound) string {
	if b.clause.ChipCovenant != nil {
		maker := b.clause.ChipCovenant.Chipmakers
		if names := b.contract.ScopeOf(b.clause).Names("providers"); len(names) > 0 && !matchAny(names, a.clause.Exclusivity.Holder) && takes(a, b) {
			return fmt.Sprintf("%s holds %s exclusively, but the covenant asks for work on %s at %s",
				a.clause.Exclusivity.Holder, strings.Join(a.clause.Exclusivity.Classes, ", "), strings.Join(append(maker, b.clause.ChipCovenant.Chips...), ", "), strings.Join(names, ", "))
		}
		return ""
	}
	if !b.clause.isFloor() || !takes(a, b) {
		return ""
	}
	sellers := b.contract.ScopeOf(b.clause).Names("providers")
	if len(sellers) == 0 {
		sellers = []string{b.contract.Counterparty}
	}
	if matchAny(sellers, a.clause.Exclusivity.Holder) {
		return ""
	}
	return fmt.Sprintf("%s holds %s exclusively, but the %s obliges to pay %s for it",
		a.clause.Exclusivity.Holder, strings.Join(a.clause.Exclusivity.Classes, ", "), strings.ReplaceAll(b.clause.Kind(), "_", " "), strings.Join(sellers, ", "))
}

// takes reports whether the exclusivity a leaves nothing with which to meet b:
// it holds all work, or all classes that b is scoped to.
func takes(a, b bound) bool {
	held := a.clause.Exclusivity.Classes
	classes := b.contract.ScopeOf(b.clause).Names("classes")
	if len(classes) == 0 {
		return matchAny(held, "*") || containsStar(held)
	}
	for _, class := range classes {
		if !matchAny(held, class) {
			return false
		}
	}
	return true
}

func containsStar(names []string) bool {
	for _, name := range names {
		if name == "*" {
			return true
		}
	}
	return false
}

// isFloor reports whether the clause is paid for whether used or not.
func (c *Clause) isFloor() bool {
	agreement := c.EnterpriseAgreement
	return c.Commitment != nil || c.MonthlyMinimum != nil || c.TakeOrPay != nil || c.Ramp != nil || c.CapacityReservation != nil ||
		c.CapacityBlock != nil || c.ReservedInstances != nil || c.SavingsPlan != nil || c.MACC != nil ||
		(agreement != nil && (agreement.Commitment != nil || agreement.Commitments != nil))
}

func covenantAgainstCap(covenant *ChipCovenant, limit *ConcentrationCap) string {
	if covenant.Share == nil || covenant.Share.Cmp(limit.Share.Decimal) <= 0 {
		return ""
	}
	names := covenant.Chips
	if limit.Of == "chipmaker" {
		names = covenant.Chipmakers
	} else if limit.Of != "chip" {
		return ""
	}
	if len(names) == 0 {
		return ""
	}
	for _, name := range names {
		if limit.Name != "" && !matchAny([]string{name}, limit.Name) && !strings.EqualFold(name, limit.Name) {
			return ""
		}
	}
	if len(names) > 1 && limit.Name == "" {
		return ""
	}
	return fmt.Sprintf("the covenant asks for at least %s of the work on %s, the cap allows at most %s",
		percent(covenant.Share.Decimal), strings.Join(names, ", "), percent(limit.Share.Decimal))
}

// alone finds a ramp that its own term or termination cuts off.
func alone(a bound) []Conflict {
	if a.clause.Ramp == nil {
		return nil
	}
	var found []Conflict
	for _, step := range a.clause.Ramp.Schedule {
		if !step.From.Before(a.to) {
			found = append(found, Conflict{a.party(), Party{a.contract.Name, "term"}, a.to, step.From.Time,
				fmt.Sprintf("the ramp reaches %s on %s, past the end on %s", step.Quantity, stamp(step.From.Time), stamp(a.to))})
		}
	}
	return found
}

// refusals finds contracts, and offers on record, that start before a right of
// first refusal over them has lapsed.
func refusals(a bound, contracts []*Contract) []Conflict {
	right := a.clause.RightOfFirstRefusal
	if right == nil {
		return nil
	}
	var found []Conflict
	for _, other := range contracts {
		if other == a.contract || other.Offered == nil || other.Offered.Before(a.from) || !other.Offered.Before(a.to) {
			continue
		}
		sellers := other.Scope.Names("providers")
		if len(sellers) == 0 {
			sellers = []string{other.Counterparty}
		}
		earliest := right.Window.After(other.Offered.Time)
		if matchAny(sellers, right.Holder) || !other.Term.From.Before(earliest) {
			continue
		}
		found = append(found, Conflict{a.party(), Party{other.Name, "term"}, other.Term.From.Time, earliest,
			fmt.Sprintf("offered on %s, it may start on %s at the earliest: %s has until then to match", stamp(other.Offered.Time), stamp(earliest), right.Holder)})
	}
	return found
}

// sums finds covenants of one time whose shares add to more than the whole,
// and caps on every provider or chipmaker that add to less than it.
func sums(clauses []bound) []Conflict {
	var found []Conflict
	one := decimal.NewFromInt(1)
	for i, a := range clauses {
		for _, b := range clauses[i+1:] {
			x, y := a.clause.ChipCovenant, b.clause.ChipCovenant
			if x == nil || y == nil || x.Share == nil || y.Share == nil || x.Share.Add(y.Share.Decimal).Cmp(one) <= 0 {
				continue
			}
			if namesOverlap(x.Chips, y.Chips) && len(x.Chips) > 0 && len(y.Chips) > 0 || namesOverlap(x.Chipmakers, y.Chipmakers) && len(x.Chipmakers) > 0 && len(y.Chipmakers) > 0 {
				continue
			}
			if len(x.Chips) > 0 != (len(y.Chips) > 0) {
				continue // a chip may be of that chipmaker
			}
			if from, to, together := overlap(a, b); together {
				found = append(found, Conflict{a.party(), b.party(), from, to,
					fmt.Sprintf("the covenants ask for %s and %s of the work on different chips, more than all of it", percent(x.Share.Decimal), percent(y.Share.Decimal))})
			}
		}
	}
	return found
}

func percent(share decimal.Decimal) string { return share.Shift(2).String() + "%" }
