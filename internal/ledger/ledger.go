// Package ledger owns the append-only record of what was used and what it
// cost: entries, their balance, and the proof that nothing is missing.
//
// It refuses to change an entry: a correction is a reversing entry beside it.
package ledger

import (
	"time"

	"github.com/switchyard-ai/switchyard/internal/units"
)

// Category says what an entry books.
type Category string

// The categories of entries. Usage is what was metered, at the rate of its
// placement, and Egress what a checkpoint's way to another place costs by the
// list; the others are what billing makes of it under contracts, each of
// a charge of one hour, and together they are the bill.
const (
	Usage        Category = "usage"        // node-hours of an attempt at the offer in force
	Egress       Category = "egress"       // data that left a place, when a run moved
	Charged      Category = "charge"       // use at its price, of a contract or of the list
	Purchase     Category = "purchase"     // what a commitment or a prepayment costs, when it falls due
	Amortisation Category = "amortisation" // use that a commitment pays for: its share of the purchase
	Unused       Category = "unused"       // commitment that no use used
	Credit       Category = "credit"       // taken off: discounts, drawdown, make-up
	Adjustment   Category = "adjustment"   // minimums, shortfalls, deficiencies, penalties, what expired
	Withheld     Category = "withheld"     // a tranche that an investor does not pay: in no sum
)

// Categories lists the values of Category.
func Categories() []Category {
	return []Category{Usage, Egress, Charged, Purchase, Amortisation, Unused, Credit, Adjustment, Withheld}
}

// Entry is one line of the ledger. Entries are never changed.
type Entry struct {
	ID       int64    `json:"id"`  // assigned on append, ascending
	Key      string   `json:"key"` // unique: the same fact is booked once
	Category Category `json:"category"`
	Reverses int64    `json:"reverses,omitempty"` // ID of the entry that this one takes back

	Run          string `json:"run"` // of a charge: "" where it is about no use
	Attempt      int    `json:"attempt"`
	Project      string `json:"project"`
	Pool         string `json:"pool"`
	Provider     string `json:"provider"`
	Region       string `json:"region,omitempty"`
	InstanceType string `json:"instance_type,omitempty"`
	Option       string `json:"option,omitempty"`
	Chipmaker    string `json:"chipmaker"`
	Chip         string `json:"chip"`

	From    time.Time    `json:"from"` // the span of use: [From, To)
	To      time.Time    `json:"to"`
	Nodes   int          `json:"nodes"` // 0 in a charge and in egress: see Quantity
	Chips   int          `json:"chips"` // of a charge: on each unit
	Rate    units.Rate   `json:"rate"`  // per node-hour; of a charge the list price; of egress per GB
	Imputed bool         `json:"imputed"`
	Cost    units.Amount `json:"cost"` // of a charge: billed
	Booked  time.Time    `json:"booked"`
	Note    string       `json:"note,omitempty"`

	// Of charges, and the last three of egress: which clause made it, and what it is in full.
	Contract   string `json:"contract,omitempty"` // "" for the list price
	Clause     string `json:"clause,omitempty"`
	ClauseKind string `json:"clause_kind,omitempty"` // as in contract files
	Charge     string `json:"charge,omitempty"`      // billing's own category
	Quantity   string `json:"quantity,omitempty"`    // exact: a whole number or a fraction
	List       int64  `json:"list,omitempty"`        // micro-units of Cost's currency: quantity at list price
	Effective  int64  `json:"effective,omitempty"`   // micro-units: with purchases spread over what they pay for
}

// IsCharge reports whether the entry is of a bill, not of what was metered.
func (e Entry) IsCharge() bool { return e.Category != Usage && e.Category != Egress }

// IsUse reports whether the entry is of metered use, for which a bill's charges
// stand once there are some.
func (e Entry) IsUse() bool { return e.Category == Usage }
