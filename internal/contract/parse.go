package contract

import (
	"fmt"
	"regexp"

	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Parse reads the contracts of a file. Everything wrong in it is returned at
// once as spec.Faults.
func Parse(file string, data []byte) ([]*Contract, error) {
	documents, err := spec.Parse(file, data)
	if err != nil {
		return nil, err
	}
	var contracts []*Contract
	var faults spec.Faults
	for _, document := range documents {
		c := &Contract{File: file}
		if kind := document.Kind(); kind != Kind {
			document.Faultf("kind", "found %q; a contract file has kind: %s", clip(kind), Kind)
		} else {
			c = Decode(document)
		}
		if found, ok := document.Faults().(spec.Faults); ok {
			faults = append(faults, found...)
		}
		contracts = append(contracts, c)
	}
	return contracts, faults.Err()
}

// Decode reads one document of kind Contract. What is wrong is recorded in the
// document.
func Decode(document *spec.Document) *Contract {
	c := &Contract{File: document.File}
	document.Decode(c)
	if document.Faults() == nil {
		c.complete()
		validate(document, c)
	}
	return c
}

// complete fills what the file leaves to its defaults.
func (c *Contract) complete() {
	if c.Currency == "" {
		c.Currency = units.USD
	}
	counts, numbers := map[string]int{}, map[string]int{}
	for i := range c.Clauses {
		counts[c.Clauses[i].Kind()]++
	}
	for i := range c.Clauses {
		clause := &c.Clauses[i]
		kind := clause.Kind()
		numbers[kind]++
		switch {
		case clause.Name != "" || kind == "":
		case counts[kind] == 1:
			clause.Name = hyphens(kind)
		default:
			clause.Name = fmt.Sprintf("%s-%d", hyphens(kind), numbers[kind])
		}
	}
}

var underscore = regexp.MustCompile("_")

func hyphens(kind string) string { return underscore.ReplaceAllString(kind, "-") }

// kindNames lists the kinds of clause in the order of the documentation, each
// with whether the clause sets it.
func (c *Clause) kinds() []struct {
	name string
	set  bool
} {
	return []struct {
		name string
		set  bool
	}{
		{"commitment", c.Commitment != nil},
		{"discount", c.Discount != nil},
		{"prepayment", c.Prepayment != nil},
		{"monthly_minimum", c.MonthlyMinimum != nil},
		{"take_or_pay", c.TakeOrPay != nil},
		{"ramp", c.Ramp != nil},
		{"capacity_reservation", c.CapacityReservation != nil},
		{"capacity_block", c.CapacityBlock != nil},
		{"reserved_instances", c.ReservedInstances != nil},
		{"savings_plan", c.SavingsPlan != nil},
		{"enterprise_agreement", c.EnterpriseAgreement != nil},
		{"macc", c.MACC != nil},
		{"chip_covenant", c.ChipCovenant != nil},
		{"warrant", c.Warrant != nil},
		{"exclusivity", c.Exclusivity != nil},
		{"right_of_first_refusal", c.RightOfFirstRefusal != nil},
		{"concentration_cap", c.ConcentrationCap != nil},
		{"termination_fee", c.TerminationFee != nil},
	}
}

// Kind returns the name of the clause's kind, or "" where none is set.
func (c *Clause) Kind() string {
	for _, kind := range c.kinds() {
		if kind.set {
			return kind.name
		}
	}
	return ""
}
