package focus

import (
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/units"
)

// The versions of FOCUS that are written.
const (
	Version12 = "1.2"
	Version13 = "1.3"
)

// Row is one row of the FOCUS Cost and Usage data set. Empty text and nil
// numbers are null.
type Row struct {
	BilledCost, EffectiveCost, ListCost, ContractedCost units.Amount

	BillingAccountID, BillingAccountName, BillingAccountType string
	BillingPeriodStart, BillingPeriodEnd                     time.Time
	ChargePeriodStart, ChargePeriodEnd                       time.Time
	ChargeCategory, ChargeClass, ChargeDescription           string
	ChargeFrequency, PricingCategory                         string
	PricingQuantity, ConsumedQuantity                        *big.Rat
	PricingUnit, ConsumedUnit                                string
	ListUnitPrice, ContractedUnitPrice                       *big.Rat
	PricingCurrency                                          units.Currency

	Provider, Publisher, InvoiceIssuer               string
	InvoiceID                                        string
	ServiceCategory, ServiceName, ServiceSubcategory string
	RegionID, RegionName, AvailabilityZone           string
	ResourceID, ResourceName, ResourceType           string
	SkuID, SkuPriceID, SkuMeter, SkuPriceDetails     string
	SubAccountID, SubAccountName, SubAccountType     string
	Tags                                             string // JSON

	CommitmentID, CommitmentName, CommitmentCategory, CommitmentStatus, CommitmentType, CommitmentUnit string
	CommitmentQuantity                                                                                 *big.Rat
	ReservationID, ReservationStatus                                                                   string

	Contract, Clause, ClauseKind, Charge string        // x_ columns of ours
	Withheld                             *units.Amount // a covenant's tranche that is not paid
}

type columnKind int

const (
	textColumn columnKind = iota
	moneyColumn
	numberColumn
	timeColumn
)

// column is one column of the data set: its name, its kind, whether it may be
// null, and where its value is.
type column struct {
	name   string
	kind   columnKind
	text   func(*Row) *string
	money  func(*Row) *units.Amount
	number func(*Row) **big.Rat
	time   func(*Row) *time.Time
}

func textOf(name string, at func(*Row) *string) column {
	return column{name: name, kind: textColumn, text: at}
}

func moneyOf(name string, at func(*Row) *units.Amount) column {
	return column{name: name, kind: moneyColumn, money: at}
}

func numberOf(name string, at func(*Row) **big.Rat) column {
	return column{name: name, kind: numberColumn, number: at}
}

func timeOf(name string, at func(*Row) *time.Time) column {
	return column{name: name, kind: timeColumn, time: at}
}

// columnsOf lists the columns of a version in the order in which they are
// written.
func columnsOf(version string) []column {
	columns := []column{
		textOf("AvailabilityZone", func(r *Row) *string { return &r.AvailabilityZone }),
		moneyOf("BilledCost", func(r *Row) *units.Amount { return &r.BilledCost }),
		textOf("BillingAccountId", func(r *Row) *string { return &r.BillingAccountID }),
		textOf("BillingAccountName", func(r *Row) *string { return &r.BillingAccountName }),
		textOf("BillingAccountType", func(r *Row) *string { return &r.BillingAccountType }),
		textOf("BillingCurrency", func(r *Row) *string { return (*string)(&r.BilledCost.Currency) }),
		timeOf("BillingPeriodEnd", func(r *Row) *time.Time { return &r.BillingPeriodEnd }),
		timeOf("BillingPeriodStart", func(r *Row) *time.Time { return &r.BillingPeriodStart }),
		textOf("CapacityReservationId", func(r *Row) *string { return &r.ReservationID }),
		textOf("CapacityReservationStatus", func(r *Row) *string { return &r.ReservationStatus }),
		textOf("ChargeCategory", func(r *Row) *string { return &r.ChargeCategory }),
		textOf("ChargeClass", func(r *Row) *string { return &r.ChargeClass }),
		textOf("ChargeDescription", func(r *Row) *string { return &r.ChargeDescription }),
		textOf("ChargeFrequency", func(r *Row) *string { return &r.ChargeFrequency }),
		timeOf("ChargePeriodEnd", func(r *Row) *time.Time { return &r.ChargePeriodEnd }),
		timeOf("ChargePeriodStart", func(r *Row) *time.Time { return &r.ChargePeriodStart }),
		textOf("CommitmentDiscountCategory", func(r *Row) *string { return &r.CommitmentCategory }),
		textOf("CommitmentDiscountId", func(r *Row) *string { return &r.CommitmentID }),
		textOf("CommitmentDiscountName", func(r *Row) *string { return &r.CommitmentName }),
		numberOf("CommitmentDiscountQuantity", func(r *Row) **big.Rat { return &r.CommitmentQuantity }),
		textOf("CommitmentDiscountStatus", func(r *Row) *string { return &r.CommitmentStatus }),
		textOf("CommitmentDiscountType", func(r *Row) *string { return &r.CommitmentType }),
		textOf("CommitmentDiscountUnit", func(r *Row) *string { return &r.CommitmentUnit }),
		numberOf("ConsumedQuantity", func(r *Row) **big.Rat { return &r.ConsumedQuantity }),
		textOf("ConsumedUnit", func(r *Row) *string { return &r.ConsumedUnit }),
		moneyOf("ContractedCost", func(r *Row) *units.Amount { return &r.ContractedCost }),
		numberOf("ContractedUnitPrice", func(r *Row) **big.Rat { return &r.ContractedUnitPrice }),
		moneyOf("EffectiveCost", func(r *Row) *units.Amount { return &r.EffectiveCost }),
		textOf("InvoiceId", func(r *Row) *string { return &r.InvoiceID }),
		textOf("InvoiceIssuerName", func(r *Row) *string { return &r.InvoiceIssuer }),
		moneyOf("ListCost", func(r *Row) *units.Amount { return &r.ListCost }),
		numberOf("ListUnitPrice", func(r *Row) **big.Rat { return &r.ListUnitPrice }),
		textOf("PricingCategory", func(r *Row) *string { return &r.PricingCategory }),
		textOf("PricingCurrency", func(r *Row) *string { return (*string)(&r.PricingCurrency) }),
		numberOf("PricingCurrencyContractedUnitPrice", func(r *Row) **big.Rat { return &r.ContractedUnitPrice }),
		moneyOf("PricingCurrencyEffectiveCost", func(r *Row) *units.Amount { return &r.EffectiveCost }),
		numberOf("PricingCurrencyListUnitPrice", func(r *Row) **big.Rat { return &r.ListUnitPrice }),
		numberOf("PricingQuantity", func(r *Row) **big.Rat { return &r.PricingQuantity }),
		textOf("PricingUnit", func(r *Row) *string { return &r.PricingUnit }),
		textOf("ProviderName", func(r *Row) *string { return &r.Provider }),
		textOf("PublisherName", func(r *Row) *string { return &r.Publisher }),
		textOf("RegionId", func(r *Row) *string { return &r.RegionID }),
		textOf("RegionName", func(r *Row) *string { return &r.RegionName }),
		textOf("ResourceId", func(r *Row) *string { return &r.ResourceID }),
		textOf("ResourceName", func(r *Row) *string { return &r.ResourceName }),
		textOf("ResourceType", func(r *Row) *string { return &r.ResourceType }),
		textOf("ServiceCategory", func(r *Row) *string { return &r.ServiceCategory }),
		textOf("ServiceName", func(r *Row) *string { return &r.ServiceName }),
		textOf("ServiceSubcategory", func(r *Row) *string { return &r.ServiceSubcategory }),
		textOf("SkuId", func(r *Row) *string { return &r.SkuID }),
		textOf("SkuMeter", func(r *Row) *string { return &r.SkuMeter }),
		textOf("SkuPriceDetails", func(r *Row) *string { return &r.SkuPriceDetails }),
		textOf("SkuPriceId", func(r *Row) *string { return &r.SkuPriceID }),
		textOf("SubAccountId", func(r *Row) *string { return &r.SubAccountID }),
		textOf("SubAccountName", func(r *Row) *string { return &r.SubAccountName }),
		textOf("SubAccountType", func(r *Row) *string { return &r.SubAccountType }),
		textOf("Tags", func(r *Row) *string { return &r.Tags }),
		textOf("x_Charge", func(r *Row) *string { return &r.Charge }),
		textOf("x_Clause", func(r *Row) *string { return &r.Clause }),
		textOf("x_ClauseKind", func(r *Row) *string { return &r.ClauseKind }),
		textOf("x_Contract", func(r *Row) *string { return &r.Contract }),
		{name: "x_WithheldAmount", kind: moneyColumn, money: func(r *Row) *units.Amount { return r.Withheld }},
	}
	if version == Version13 {
		own := slices.IndexFunc(columns, func(c column) bool { return strings.HasPrefix(c.name, "x_") })
		columns = slices.Insert(columns, own, // columns of ours come last
			textOf("ContractApplied", func(r *Row) *string { return &r.CommitmentID }),
			textOf("HostProviderName", func(r *Row) *string { return &r.Provider }),
			textOf("ServiceProviderName", func(r *Row) *string { return &r.Provider }))
	}
	return columns
}
