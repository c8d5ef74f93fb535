// Package contract owns the terms that people sign with providers: contracts,
// their scope, their clauses, what makes them valid, and which clauses of
// contracts in force together cannot all be kept.
//
// It refuses to price anything (billing) and to know what was used: a contract
// is what was agreed, not what came of it.
package contract

import (
	"time"

	"github.com/switchyard-ai/switchyard/internal/units"
)

// Kind is the value of `kind` in a contract file.
const Kind = "Contract"

// Contract is terms signed with one counterparty: a term, a currency, a scope,
// and clauses that may be combined freely.
type Contract struct {
	Kind         string         `json:"kind" jsonschema:"required"`
	Name         string         `json:"name" jsonschema:"required"`
	Counterparty string         `json:"counterparty" jsonschema:"required"`
	Currency     units.Currency `json:"currency,omitempty"` // USD where the file has none
	Signed       *Instant       `json:"signed,omitempty"`
	Offered      *Instant       `json:"offered,omitempty"` // when it was offered: read by rights of first refusal
	Term         Term           `json:"term" jsonschema:"required"`
	Scope        Scope          `json:"scope,omitempty"`
	Clauses      []Clause       `json:"clauses" jsonschema:"required"`
	Notes        string         `json:"notes,omitempty"`

	File string `json:"-"` // where it was read from, for messages
}

// Term is a span of time [From, To) in UTC.
type Term struct {
	From Instant `json:"from" jsonschema:"required"`
	To   Instant `json:"to" jsonschema:"required"`
}

// Clause is one promise of a contract. Exactly one of the kinds is set.
type Clause struct {
	Name  string   `json:"name,omitempty"`  // defaults to the kind, numbered where it repeats
	From  *Instant `json:"from,omitempty"`  // within the contract's term; its start where absent
	To    *Instant `json:"to,omitempty"`    // within the contract's term; its end where absent
	Scope *Scope   `json:"scope,omitempty"` // narrows the contract's scope

	Commitment          *Commitment          `json:"commitment,omitempty"`
	Discount            *Discount            `json:"discount,omitempty"`
	Prepayment          *Prepayment          `json:"prepayment,omitempty"`
	MonthlyMinimum      *MonthlyMinimum      `json:"monthly_minimum,omitempty"`
	TakeOrPay           *TakeOrPay           `json:"take_or_pay,omitempty"`
	Ramp                *Ramp                `json:"ramp,omitempty"`
	CapacityReservation *CapacityReservation `json:"capacity_reservation,omitempty"`
	CapacityBlock       *CapacityBlock       `json:"capacity_block,omitempty"`
	ReservedInstances   *ReservedInstances   `json:"reserved_instances,omitempty"`
	SavingsPlan         *SavingsPlan         `json:"savings_plan,omitempty"`
	EnterpriseAgreement *EnterpriseAgreement `json:"enterprise_agreement,omitempty"`
	MACC                *MACC                `json:"macc,omitempty"`
	ChipCovenant        *ChipCovenant        `json:"chip_covenant,omitempty"`
	Warrant             *Warrant             `json:"warrant,omitempty"`
	Exclusivity         *Exclusivity         `json:"exclusivity,omitempty"`
	RightOfFirstRefusal *RightOfFirstRefusal `json:"right_of_first_refusal,omitempty"`
	ConcentrationCap    *ConcentrationCap    `json:"concentration_cap,omitempty"`
	TerminationFee      *TerminationFee      `json:"termination_fee,omitempty"`
}

// Starts returns when the clause begins to bind.
func (c *Contract) Starts(clause *Clause) time.Time {
	if clause.From != nil {
		return clause.From.Time
	}
	return c.Term.From.Time
}

// Ends returns when the clause ceases to bind: its own end, the contract's, or
// the date at which the contract was terminated, whichever is first.
func (c *Contract) Ends(clause *Clause) time.Time {
	end := c.Term.To.Time
	if clause.To != nil {
		end = clause.To.Time
	}
	if at := c.Terminated(); at != nil && at.Before(end) {
		return *at
	}
	return end
}

// Terminated returns when the contract was terminated, or nil.
func (c *Contract) Terminated() *time.Time {
	for i := range c.Clauses {
		if fee := c.Clauses[i].TerminationFee; fee != nil && fee.On != nil {
			return &fee.On.Time
		}
	}
	return nil
}

// ScopeOf returns what a clause is about: the scope of its contract, narrowed
// by its own.
func (c *Contract) ScopeOf(clause *Clause) Scope {
	if clause.Scope == nil {
		return c.Scope
	}
	return c.Scope.Narrow(*clause.Scope)
}
