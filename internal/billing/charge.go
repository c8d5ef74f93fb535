package billing

import (
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
)

// Category says what a charge is.
type Category string

// The categories of charges.
const (
	Used       Category = "usage"      // usage at its price; on demand, or a contract's rate
	Covered    Category = "covered"    // usage that a commitment pays for: billed 0, effective its share of the fee
	Unused     Category = "unused"     // commitment that no usage used: billed 0; of a capacity reservation: billed
	Fee        Category = "fee"        // what a commitment costs, used or not
	Reduction  Category = "discount"   // off usage or fees, by tiers or an agreement
	Prepaid    Category = "prepayment" // money paid ahead
	Drawdown   Category = "drawdown"   // usage paid out of a prepayment or credit
	Forfeited  Category = "forfeited"  // prepayment that expired: billed 0
	Minimum    Category = "minimum"    // what a month lacked to its minimum
	Shortfall  Category = "shortfall"  // what a window lacked to its commitment
	Deficiency Category = "deficiency" // quantity paid for and not taken
	MakeUp     Category = "make-up"    // quantity taken free that was paid for before
	Penalty    Category = "penalty"    // fee of a breach or of termination
	Withheld   Category = "withheld"   // a tranche not received: no invoice shows it
)

// Categories lists the values of Category.
func Categories() []Category {
	return []Category{Used, Covered, Unused, Fee, Reduction, Prepaid, Drawdown, Forfeited, Minimum, Shortfall, Deficiency, MakeUp, Penalty, Withheld}
}

// Invoiced reports whether charges of the category appear on an invoice.
func (c Category) Invoiced() bool { return c != Withheld }

// Product is what was used, as far as prices depend on it. Accounts, projects
// and resources share a charge; Book.Split divides it among them.
type Product struct {
	Provider, Region, Zone, Service, InstanceType, Chip, Chipmaker string
	Platform, Tenancy, Option, Unit                                string
	ListRate                                                       string
	Chips                                                          int
}

// Charge is one booked sum. Charges are never changed: a restatement adds a
// reversal and the new charge.
type Charge struct {
	From, To time.Time // the span that is charged for
	Contract string    // "" for usage at list price
	Clause   string
	Kind     string // of the clause, as in contract files
	Category Category
	Product  Product
	Quantity Quantity // in the product's unit; of an unused commitment, in its own unit

	List      int64 // micro-units: quantity at list price; 0 where there is none
	Billed    int64 // micro-units: what the invoice shows
	Effective int64 // micro-units: with fees spread over what they pay for

	Reversal bool // takes back an earlier charge
}

// entry is a charge as kept: indexes in place of names.
type entry struct {
	by        int32 // clause, or −1
	cell      int32 // or −1
	category  Category
	quantity  num
	list      int64
	billed    int64
	effective int64
}

func (e entry) equal(other entry) bool {
	return e.by == other.by && e.cell == other.cell && e.category == other.category && e.list == other.list &&
		e.billed == other.billed && e.effective == other.effective && e.quantity.cmp(other.quantity) == 0
}

// chargeOf writes an entry of an hour out in full.
func (b *Book) chargeOf(e entry, hour int64) Charge {
	charge := Charge{
		From: time.Unix(hour, 0).UTC(), To: time.Unix(hour+hourSeconds, 0).UTC(), Category: e.category,
		Quantity: Quantity{e.quantity}, List: e.list, Billed: e.billed, Effective: e.effective,
	}
	if e.by >= 0 {
		clause := b.clauses[e.by]
		charge.Contract, charge.Clause, charge.Kind = clause.contract.Name, clause.Name, clause.kind
		charge.Product.Provider = clause.provider
	}
	if e.cell >= 0 {
		charge.Product = b.cells[e.cell].product
	}
	return charge
}

// Party names the clause that made the charge.
func (c Charge) Party() contract.Party { return contract.Party{Contract: c.Contract, Clause: c.Clause} }

// reversed returns the charge that takes c back.
func (c Charge) reversed() Charge {
	c.Quantity = Quantity{c.Quantity.neg()}
	c.List, c.Billed, c.Effective = -c.List, -c.Billed, -c.Effective
	c.Reversal = true
	return c
}
