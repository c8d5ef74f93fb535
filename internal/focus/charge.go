package focus

import (
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Account is who is billed.
type Account struct{ ID, Name string }

// FromCharge writes a charge, and the line of usage that it is about, as a row.
func FromCharge(c billing.Charge, line billing.Line, currency units.Currency, account Account) Row {
	r := Row{
		BilledCost: amount(c.Billed, currency), EffectiveCost: amount(c.Effective, currency),
		BillingAccountID: account.ID, BillingAccountName: account.Name, BillingAccountType: "Organization",
		ChargePeriodStart: c.From, ChargePeriodEnd: c.To, PricingCurrency: currency,
		Contract: c.Contract, Clause: c.Clause, ClauseKind: c.Kind, Charge: string(c.Category),
		ServiceCategory: "Compute", ServiceSubcategory: "Virtual Machines",
	}
	r.BillingPeriodStart, r.BillingPeriodEnd = monthOf(c.From)
	r.InvoiceID = account.ID + "-" + r.BillingPeriodStart.Format("2006-01")
	if c.Reversal {
		r.ChargeClass = "Correction"
	}
	r.product(c, line)
	r.category(c)
	r.prices(c)
	r.ChargeDescription = describe(c)
	return r
}

// product fills in what was used, where, and by whom.
func (r *Row) product(c billing.Charge, line billing.Line) {
	p := c.Product
	r.Provider = or(displayName(p.Provider), or(displayName(line.Provider), c.Contract))
	if r.Provider == "" {
		r.Provider = "unknown"
	}
	r.Publisher, r.InvoiceIssuer = r.Provider, r.Provider
	r.RegionID, r.RegionName, r.AvailabilityZone = p.Region, p.Region, p.Zone
	r.ServiceName = or(p.Service, "Compute")
	if p.Option == "marketplace" {
		r.ServiceCategory, r.ServiceSubcategory = "Other", "Other (Other)"
		r.ServiceName = or(p.Service, "Marketplace") // a service has one category
	}
	r.ResourceID = line.Resource // which has no display name of its own
	if line.Resource != "" {
		r.ResourceType = "Instance"
	}
	r.SubAccountID, r.SubAccountName = line.Account, line.Account
	if line.Account != "" {
		r.SubAccountType = "Account"
	}
	tags := map[string]string{}
	for key, value := range map[string]string{"project": line.Project, "class": line.Class} {
		if value != "" {
			tags[key] = value
		}
	}
	if len(tags) > 0 {
		data, err := json.Marshal(tags)
		if err == nil {
			r.Tags = string(data)
		}
	}
}

// category maps a charge to the categories of FOCUS.
func (r *Row) category(c billing.Charge) {
	r.ChargeCategory, r.ChargeFrequency = "Usage", "Usage-Based"
	switch c.Category {
	case billing.Used:
		r.PricingCategory = "Standard"
		if c.Product.Option == "spot" {
			r.PricingCategory = "Dynamic"
		}
		if c.Kind == "capacity_reservation" {
			r.ReservationID, r.ReservationStatus = r.clauseID(), "Used"
		}
	case billing.Covered:
		r.PricingCategory = "Committed"
		r.commitment(c, "Used")
	case billing.Unused:
		if c.Kind == "capacity_reservation" {
			r.PricingCategory = "Standard"
			r.ReservationID, r.ReservationStatus, r.ResourceID, r.ResourceType = r.clauseID(), "Unused", r.clauseID(), "Capacity reservation"
			break
		}
		r.PricingCategory = "Committed"
		r.commitment(c, "Unused")
		r.ResourceID, r.ResourceName, r.ResourceType = r.CommitmentID, r.CommitmentName, r.CommitmentType
	case billing.Fee:
		r.ChargeCategory, r.ChargeFrequency, r.PricingCategory = "Purchase", "Recurring", "Standard"
		r.commitment(c, "")
		r.ResourceID, r.ResourceName, r.ResourceType = r.CommitmentID, r.CommitmentName, r.CommitmentType
	case billing.Prepaid:
		r.ChargeCategory, r.ChargeFrequency, r.PricingCategory = "Purchase", "One-Time", "Standard"
	case billing.Minimum, billing.Shortfall, billing.Deficiency:
		// A purchase has no effective cost of its own: what is paid for nothing is
		// an adjustment, what becomes credit is a purchase.
		r.ChargeCategory, r.ChargeFrequency = "Adjustment", "One-Time"
		if c.Effective == 0 {
			r.ChargeCategory, r.PricingCategory = "Purchase", "Standard"
		}
	case billing.Reduction, billing.Drawdown, billing.MakeUp:
		r.ChargeCategory, r.ChargeFrequency = "Credit", "Usage-Based"
	default:
		r.ChargeCategory, r.ChargeFrequency = "Adjustment", "One-Time"
	}
	if c.Category == billing.Withheld {
		withheld := r.BilledCost
		r.Withheld = &withheld
		r.BilledCost.Micros, r.EffectiveCost.Micros = 0, 0
	}
}

func (r *Row) clauseID() string { return r.Contract + "/" + r.Clause }

func (r *Row) commitment(c billing.Charge, status string) {
	spend := c.Kind == "savings_plan" || c.Kind == "commitment"
	r.CommitmentID, r.CommitmentName, r.CommitmentStatus = r.clauseID(), c.Clause, status
	r.CommitmentType = map[string]string{
		"savings_plan": "Savings Plan", "commitment": "Spend Commitment", "reserved_instances": "Reserved Instance",
		"capacity_block": "Capacity Block", "ramp": "Capacity Ramp",
	}[c.Kind]
	if spend {
		r.CommitmentCategory, r.CommitmentUnit = "Spend", string(r.BilledCost.Currency)
		r.CommitmentQuantity = r.EffectiveCost.Rat()
		if c.Category == billing.Fee {
			r.CommitmentQuantity = r.BilledCost.Rat()
		}
		return
	}
	r.CommitmentCategory, r.CommitmentUnit, r.CommitmentQuantity = "Usage", "Hours", c.Quantity.Rat()
}

// prices fills in quantities, unit prices and the costs at them. A correction
// has no unit prices, as FOCUS wants it.
func (r *Row) prices(c billing.Charge) {
	currency := r.BilledCost.Currency
	quantity := c.Quantity.Rat()
	switch {
	case r.ChargeCategory == "Usage" && quantity.Sign() != 0 && c.Product.ListRate != "":
		r.PricingQuantity, r.PricingUnit = quantity, pricingUnit(c.Product.Unit)
		r.ConsumedQuantity, r.ConsumedUnit = quantity, r.PricingUnit
		r.SkuID, r.SkuPriceID = skuOf(c.Product), skuOf(c.Product)+"/"+or(c.Product.Option, "on-demand")
		r.SkuMeter = or(c.Product.InstanceType, or(c.Product.Service, "Compute")) + " " + r.PricingUnit
		list, _ := new(big.Rat).SetString(c.Product.ListRate)
		r.ListUnitPrice, r.ContractedUnitPrice = list, list
		r.ListCost, r.ContractedCost = amount(c.List, currency), amount(c.List, currency)
		if c.Category == billing.Used && c.Billed != c.List {
			r.ContractedCost = r.BilledCost
			r.ContractedUnitPrice = new(big.Rat).Quo(r.BilledCost.Rat(), quantity)
		}
		if c.Category == billing.Unused {
			r.ConsumedQuantity, r.ConsumedUnit = nil, ""
		}
	case r.ChargeCategory == "Usage" && c.Category != billing.Unused: // rounding made up
		r.ListCost, r.ContractedCost = amount(0, currency), amount(0, currency) // unit price × no quantity
		r.PricingQuantity, r.PricingUnit = new(big.Rat), pricingUnit(c.Product.Unit)
		r.ConsumedQuantity, r.ConsumedUnit = new(big.Rat), r.PricingUnit
		r.SkuID, r.SkuPriceID = skuOf(c.Product), skuOf(c.Product)+"/"+or(c.Product.Option, "on-demand")
		r.SkuMeter = or(c.Product.InstanceType, or(c.Product.Service, "Compute")) + " " + r.PricingUnit
		r.ListUnitPrice, r.ContractedUnitPrice = new(big.Rat), new(big.Rat)
		if list, ok := new(big.Rat).SetString(c.Product.ListRate); ok {
			r.ListUnitPrice, r.ContractedUnitPrice = list, list
		}
	case r.ChargeCategory == "Usage" || r.ChargeCategory == "Purchase":
		r.PricingQuantity, r.PricingUnit = big.NewRat(1, 1), "Units"
		r.ListCost, r.ContractedCost = r.BilledCost, r.BilledCost
		r.ListUnitPrice, r.ContractedUnitPrice = r.BilledCost.Rat(), r.BilledCost.Rat()
		r.SkuID, r.SkuPriceID = r.clauseID(), r.clauseID()+"/"+r.Charge
		r.SkuMeter = "Commitment"
	default:
		r.ListCost, r.ContractedCost = r.BilledCost, r.BilledCost // related to no price
	}
	if r.ChargeClass == "Correction" {
		r.ListUnitPrice, r.ContractedUnitPrice = nil, nil
	}
}

func skuOf(p billing.Product) string {
	parts := []string{p.Provider, p.Region, or(p.InstanceType, or(p.Service, p.Chip)), p.Unit}
	return strings.Trim(strings.Join(parts, "."), ".")
}

func pricingUnit(unit string) string {
	switch strings.ToLower(unit) {
	case "", "hour", "hours":
		return "Hours"
	case "gb-hour", "gb-hours":
		return "GB-Hours"
	case "gb-second", "gb-seconds":
		return "GB-Seconds"
	case "vcpu-hour", "vcpu-hours":
		return "vCPU-Hours"
	}
	if unitForm.MatchString(unit) {
		return unit
	}
	return "Units"
}

// unitForm is the form of units that FOCUS knows: capitalised words, with a
// number before them and a time after them.
var unitForm = regexp.MustCompile(`^([0-9]+ )?[A-Z][A-Za-z]*(-[A-Z][a-z]+)?$`)

func displayName(provider string) string {
	names := map[string]string{"aws": "AWS", "azure": "Microsoft", "gcp": "Google Cloud"}
	if name, known := names[strings.ToLower(provider)]; known {
		return name
	}
	return provider
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func describe(c billing.Charge) string {
	product := or(c.Product.InstanceType, or(c.Product.Service, c.Product.Chip))
	by := "list price"
	if c.Contract != "" {
		by = contract.Party{Contract: c.Contract, Clause: c.Clause}.String()
	}
	if product == "" {
		return fmt.Sprintf("%s of %s", c.Category, by)
	}
	return fmt.Sprintf("%s: %s by %s", product, c.Category, by)
}
