package focus

import (
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/ledger"
)

// FromEntry writes a ledger entry as a row: a charge as billing's own, use as
// node-hours of a run at the rate in force. A reversing entry has negative cost
// and quantity.
func FromEntry(e ledger.Entry, account Account) Row {
	if e.IsCharge() {
		return fromPosted(e, account)
	}
	if e.Category == ledger.Egress {
		return fromEgress(e, account)
	}
	hours := big.NewRat(int64(e.To.Sub(e.From)), int64(time.Hour))
	hours.Mul(hours, big.NewRat(int64(e.Nodes), 1))
	if e.Reverses != 0 {
		hours.Neg(hours)
	}
	provider := or(displayName(e.Provider), "unknown")
	r := Row{
		BilledCost: e.Cost, EffectiveCost: e.Cost, ListCost: e.Cost, ContractedCost: e.Cost,
		BillingAccountID: account.ID, BillingAccountName: account.Name, BillingAccountType: "Organization",
		ChargePeriodStart: e.From, ChargePeriodEnd: e.To, ChargeCategory: "Usage", ChargeFrequency: "Usage-Based",
		PricingCategory: "Standard", PricingQuantity: hours, ConsumedQuantity: hours, PricingUnit: "Hours", ConsumedUnit: "Hours",
		ListUnitPrice: e.Rate.Rat(), ContractedUnitPrice: e.Rate.Rat(), PricingCurrency: e.Cost.Currency,
		Provider: provider, Publisher: provider, InvoiceIssuer: provider,
		ServiceCategory: "Compute", ServiceName: "Compute", ServiceSubcategory: "Virtual Machines",
		ResourceID: e.Pool, ResourceType: "Pool",
		SkuID: or(e.Provider, "unknown") + "." + or(e.Chip, "cpu"), SkuPriceID: or(e.Provider, "unknown") + "." + or(e.Chip, "cpu") + "/node-hour",
		SkuMeter: or(e.Chip, "cpu") + " node-hours", Charge: string(e.Category),
		ChargeDescription: fmt.Sprintf("%d nodes of %s for run %s, attempt %d", e.Nodes, e.Pool, e.Run, e.Attempt),
	}
	r.BillingPeriodStart, r.BillingPeriodEnd = monthOf(e.From)
	r.InvoiceID = account.ID + "-" + r.BillingPeriodStart.Format("2006-01")
	r.correct(e)
	tags, err := json.Marshal(map[string]string{"run": e.Run, "project": e.Project})
	if err == nil {
		r.Tags = string(tags)
	}
	return r
}

// fromEgress writes what data cost that left a place.
func fromEgress(e ledger.Entry, account Account) Row {
	quantity, ok := new(big.Rat).SetString(e.Quantity)
	if !ok {
		quantity = new(big.Rat)
	}
	provider := or(displayName(e.Provider), "unknown")
	r := Row{
		BilledCost: e.Cost, EffectiveCost: e.Cost, ListCost: e.Cost, ContractedCost: e.Cost,
		BillingAccountID: account.ID, BillingAccountName: account.Name, BillingAccountType: "Organization",
		ChargePeriodStart: e.From, ChargePeriodEnd: e.To, ChargeCategory: "Usage", ChargeFrequency: "Usage-Based",
		PricingCategory: "Standard", PricingQuantity: quantity, ConsumedQuantity: quantity, PricingUnit: "GB", ConsumedUnit: "GB",
		ListUnitPrice: e.Rate.Rat(), ContractedUnitPrice: e.Rate.Rat(), PricingCurrency: e.Cost.Currency,
		Provider: provider, Publisher: provider, InvoiceIssuer: provider,
		ServiceCategory: "Networking", ServiceName: "Data Transfer", ServiceSubcategory: "Other (Networking)",
		ResourceID: e.Pool, ResourceName: e.Pool, ResourceType: "Pool",
		SkuID: or(e.Provider, "unknown") + ".egress", SkuPriceID: or(e.Provider, "unknown") + ".egress/GB",
		SkuMeter: "data out", Charge: string(e.Category),
		ChargeDescription: fmt.Sprintf("a checkpoint of run %s to its attempt %d: %s", e.Run, e.Attempt, e.Note),
	}
	r.BillingPeriodStart, r.BillingPeriodEnd = monthOf(e.From)
	r.InvoiceID = account.ID + "-" + r.BillingPeriodStart.Format("2006-01")
	if e.Reverses != 0 {
		r.ChargeClass, r.ListUnitPrice, r.ContractedUnitPrice = "Correction", nil, nil
	}
	if tags, err := json.Marshal(map[string]string{"run": e.Run, "project": e.Project}); err == nil {
		r.Tags = string(tags)
	}
	return r
}

// fromPosted writes a charge of the ledger, with the run that it is about.
func fromPosted(e ledger.Entry, account Account) Row {
	charge, line := billing.ChargeOf(e)
	charge.Reversal = false
	r := FromCharge(charge, line, e.Cost.Currency, account)
	r.correct(e)
	if e.Run == "" {
		return r
	}
	r.ResourceID, r.ResourceType = e.Pool, "Pool"
	r.ChargeDescription += fmt.Sprintf(", for run %s, attempt %d", e.Run, e.Attempt)
	if tags, err := json.Marshal(map[string]string{"run": e.Run, "project": e.Project}); err == nil {
		r.Tags = string(tags)
	}
	return r
}

// correct marks what corrects a billing period that is over: a reversal, or
// what stands in its place. Within the period FOCUS knows no corrections.
func (r *Row) correct(e ledger.Entry) {
	if (e.Reverses != 0 || e.Note != "") && !e.Booked.Before(r.BillingPeriodEnd) {
		r.ChargeClass, r.ListUnitPrice, r.ContractedUnitPrice, r.CommitmentQuantity, r.CommitmentUnit = "Correction", nil, nil, nil, ""
	}
}
