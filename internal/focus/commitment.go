package focus

import (
	"encoding/csv"
	"io"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/contract"
)

// WriteCommitments writes the Contract Commitment data set of FOCUS 1.3: one
// row for each clause that commits to something.
func WriteCommitments(w io.Writer, contracts []*contract.Contract, states []billing.Status) error {
	out := csv.NewWriter(w)
	err := out.Write([]string{"BillingCurrency", "ContractCommitmentCategory", "ContractCommitmentCost", "ContractCommitmentDescription",
		"ContractCommitmentId", "ContractCommitmentPeriodEnd", "ContractCommitmentPeriodStart", "ContractCommitmentQuantity",
		"ContractCommitmentType", "ContractCommitmentUnit", "ContractId", "ContractPeriodEnd", "ContractPeriodStart"})
	if err != nil {
		return err
	}
	byName := map[string]*contract.Contract{}
	for _, c := range contracts {
		byName[c.Name] = c
	}
	stamp := func(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05Z") }
	for _, s := range states {
		c := byName[s.Contract]
		category, quantity, unit := "Spend", "", ""
		if q, u, usage := committedUsage(c, s.Clause); usage {
			category, quantity, unit = "Usage", q, u
		}
		record := []string{string(c.Currency), category, trimZeros(amount(s.Life, c.Currency).Decimal()),
			strings.ReplaceAll(s.Kind, "_", " ") + " with " + c.Counterparty, s.Contract + "/" + s.Clause, stamp(s.To), stamp(s.From),
			quantity, commitmentType(s.Kind), unit, s.Contract, stamp(c.Term.To.Time), stamp(c.Term.From.Time)}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// committedUsage returns the quantity of a clause that commits to usage.
func committedUsage(c *contract.Contract, name string) (quantity, unit string, usage bool) {
	for i := range c.Clauses {
		clause := &c.Clauses[i]
		if clause.Name != name {
			continue
		}
		switch {
		case clause.ReservedInstances != nil:
			return clause.ReservedInstances.Count.String(), "Instances", true
		case clause.CapacityBlock != nil:
			return clause.CapacityBlock.Count.String(), "Instances", true
		case clause.TakeOrPay != nil:
			return clause.TakeOrPay.Quantity.String(), pricingUnit(clause.TakeOrPay.Unit), true
		case clause.Ramp != nil:
			return clause.Ramp.Schedule[len(clause.Ramp.Schedule)-1].Quantity.String(), pricingUnit(clause.Ramp.Unit), true
		case clause.ChipCovenant != nil && clause.ChipCovenant.Share != nil:
			return clause.ChipCovenant.Share.String(), "Share of work", true
		}
	}
	return "", "", false
}

func commitmentType(kind string) string {
	names := map[string]string{
		"savings_plan": "Savings Plan", "reserved_instances": "Reserved Instance", "capacity_block": "Capacity Block", "commitment": "Spend Commitment",
		"enterprise_agreement": "Enterprise Agreement", "macc": "Consumption Commitment", "monthly_minimum": "Monthly Minimum", "take_or_pay": "Take-or-Pay",
		"ramp": "Capacity Ramp", "prepayment": "Prepayment", "chip_covenant": "Chip Covenant",
	}
	return or(names[kind], kind)
}
