package contract

import (
	"fmt"
	"slices"
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
	sellers  []string // who is paid under the clause, in the words of scopes where they are known
	makerOf  func(chip string) string
}

// sellersOf returns the providers that a clause is about: those of its scope,
// or of its kind; else its counterparty, with the providers that other
// contracts of the same counterparty name as theirs.
func sellersOf(c *Contract, clause *Clause, all []*Contract) []string {
	if names := c.ScopeOf(clause).Names("providers"); len(names) > 0 {
		return names
	}
	switch {
	case clause.MACC != nil:
		return []string{"azure"}
	case clause.SavingsPlan != nil:
		return []string{map[PlanType]string{EC2InstancePlan: "aws", ComputePlan: "aws", AzurePlan: "azure", GCPPlan: "gcp"}[clause.SavingsPlan.Type]}
	}
	sellers := []string{c.Counterparty}
	for _, other := range all {
		if !strings.EqualFold(other.Counterparty, c.Counterparty) {
			continue
		}
		sellers = append(sellers, other.Scope.Names("providers")...)
		for i := range other.Clauses {
			switch held := &other.Clauses[i]; {
			case held.Exclusivity != nil:
				sellers = append(sellers, held.Exclusivity.Holder)
			case held.RightOfFirstRefusal != nil:
				sellers = append(sellers, held.RightOfFirstRefusal.Holder)
			}
		}
	}
	return sellers
}

func (b bound) party() Party { return Party{b.contract.Name, b.clause.Name} }

// Conflicts finds what contracts in force together cannot keep: exclusivity
// against exclusivity or against a floor elsewhere, a covenant that a cap or
// an exclusivity makes impossible, covenants and caps whose shares do not fit,
// a ramp past its term, and a start within a right of first refusal's window.
// makerOf names the maker of a chip, "" where it is not known; it may be nil.
func Conflicts(contracts []*Contract, makerOf func(chip string) string) []Conflict {
	if makerOf == nil {
		makerOf = func(string) string { return "" }
	}
	var clauses []bound
	for _, c := range contracts {
		for i := range c.Clauses {
			clause := &c.Clauses[i]
			clauses = append(clauses, bound{c, clause, c.Starts(clause), c.Ends(clause), sellersOf(c, clause, contracts), makerOf})
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
		return covenantAgainstCap(a.clause.ChipCovenant, b.clause.ConcentrationCap, a.makerOf)
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
	holder := a.clause.Exclusivity.Holder
	if limit := b.clause.ConcentrationCap; limit != nil {
		if limit.Of != "provider" || limit.Name != "" && !strings.EqualFold(limit.Name, holder) || limit.Share.Cmp(decimal.NewFromInt(1)) >= 0 || !takes(a, b) {
			return ""
		}
		return fmt.Sprintf("%s holds %s exclusively, but the cap allows at most %s on one provider",
			holder, strings.Join(a.clause.Exclusivity.Classes, ", "), percent(limit.Share.Decimal))
	}
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
	if matchAny(b.sellers, holder) {
		return ""
	}
	seller := b.sellers[0]
	if names := b.contract.ScopeOf(b.clause).Names("providers"); len(names) > 0 {
		seller = strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s holds %s exclusively, but the %s obliges to pay %s for it",
		holder, strings.Join(a.clause.Exclusivity.Classes, ", "), strings.ReplaceAll(b.clause.Kind(), "_", " "), seller)
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

func covenantAgainstCap(covenant *ChipCovenant, limit *ConcentrationCap, makerOf func(chip string) string) string {
	if covenant.Share == nil || covenant.Share.Cmp(limit.Share.Decimal) <= 0 {
		return ""
	}
	names := covenant.Chips
	if limit.Of == "chipmaker" {
		names = makersOf(covenant, makerOf)
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

// makersOf lists the makers of the chips that a covenant asks for; none where
// that of a chip is not known.
func makersOf(covenant *ChipCovenant, makerOf func(chip string) string) []string {
	if len(covenant.Chipmakers) > 0 {
		return covenant.Chipmakers
	}
	var makers []string
	for _, name := range covenant.Chips {
		maker := makerOf(name)
		if maker == "" {
			return nil
		}
		if !slices.Contains(makers, maker) {
			makers = append(makers, maker)
		}
	}
	return makers
}

// sums finds covenants of one time, on different chips, whose shares add to more
// than the whole. The set that is told is the one in force when the last of
// them begins.
func sums(clauses []bound) []Conflict {
	var found []Conflict
	one := decimal.NewFromInt(1)
	for i, last := range clauses {
		if last.clause.ChipCovenant == nil || last.clause.ChipCovenant.Share == nil {
			continue
		}
		set, sum, to := []bound{last}, last.clause.ChipCovenant.Share.Decimal, last.to
		for j, other := range clauses {
			begins := other.from.Before(last.from) || other.from.Equal(last.from) && j < i
			if sum.Cmp(one) > 0 || !begins || !other.to.After(last.from) || !apart(other, set) {
				continue
			}
			set, sum = append(set, other), sum.Add(other.clause.ChipCovenant.Share.Decimal)
			if other.to.Before(to) {
				to = other.to
			}
		}
		if sum.Cmp(one) <= 0 {
			continue
		}
		first, rest := set[len(set)-1], set[:len(set)-1]
		shares := percent(first.clause.ChipCovenant.Share.Decimal)
		for _, other := range rest {
			shares += " and " + percent(other.clause.ChipCovenant.Share.Decimal)
		}
		found = append(found, Conflict{first.party(), last.party(), last.from, to,
			fmt.Sprintf("the covenants ask for %s of the work on different chips, more than all of it", shares)})
	}
	return found
}

// apart reports whether a covenant on a share of the work is on other chips than
// those of the set.
func apart(a bound, set []bound) bool {
	x := a.clause.ChipCovenant
	if x == nil || x.Share == nil {
		return false
	}
	for _, b := range set {
		y := b.clause.ChipCovenant
		if !a.contract.ScopeOf(a.clause).withoutSeller().Overlaps(b.contract.ScopeOf(b.clause).withoutSeller()) {
			return false // about other work
		}
		switch {
		case len(x.Chips) > 0 && len(y.Chips) > 0:
			if namesOverlap(x.Chips, y.Chips) {
				return false
			}
		default:
			left, right := makersOf(x, a.makerOf), makersOf(y, a.makerOf)
			if len(left) == 0 || len(right) == 0 || namesOverlap(left, right) {
				return false // a chip may be of that chipmaker
			}
		}
	}
	return true
}

func percent(share decimal.Decimal) string { return share.Shift(2).String() + "%" }
