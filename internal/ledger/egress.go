package ledger

import (
	"fmt"
	"math/big"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// bytesPerGB is the GB in which transfers are priced.
const bytesPerGB = 1_000_000_000

// Journey is data that left a place.
type Journey struct {
	From       fleet.Pool // the place
	Bytes      int64
	Rate       units.Rate // per GB of 10⁹ bytes
	Source     string     // of the rate
	Began, End time.Time
}

// EgressEntry books what it cost to bring a checkpoint to an attempt: under the
// attempt's key, so that it is booked once however often the copy is repeated.
// The money is the provider's whose place the data left.
func EgressEntry(a fleet.Attempt, project string, j Journey, booked time.Time) Entry {
	quantity := big.NewRat(j.Bytes, bytesPerGB)
	cost := j.Rate.Times(quantity)
	return Entry{
		Key: a.Key() + " egress", Category: Egress, Run: a.Run, Attempt: a.Number, Project: project,
		Pool: j.From.ID(), Provider: j.From.Provider, Region: j.From.Region,
		From: j.Began.UTC().Round(0), To: j.End.UTC().Round(0), Rate: j.Rate, Cost: cost, Booked: booked.UTC().Round(0),
		Quantity: quantity.RatString(), List: cost.Micros, Effective: cost.Micros,
		Note: fmt.Sprintf("%s GB to %s; price: %s", quantity.FloatString(3), a.Pool, j.Source),
	}
}

// egress checks an entry of data that left a place.
func (v *verifier) egress(e Entry) (err error) {
	if e.Reverses != 0 {
		return nil
	}
	if reversal, taken := v.reversals[e.ID]; taken {
		delete(v.reversals, e.ID)
		v.mirror(e, reversal)
		v.report.Computed, err = addAmount(v.report.Computed, units.Amount{Currency: e.Cost.Currency})
		return err
	}
	if v.accounts[attemptID{e.Run, e.Attempt}] == nil {
		v.problem(key(e), e.ID, "books the way to an attempt that never was")
		return nil
	}
	quantity, ok := new(big.Rat).SetString(e.Quantity)
	if !ok || quantity.Sign() < 0 || e.Nodes != 0 || e.To.Before(e.From) {
		v.problem(key(e), e.ID, "is not of data that left a place: %q GB", e.Quantity)
		return nil
	}
	cost := e.Rate.Times(quantity)
	if cost != e.Cost {
		v.problem(key(e), e.ID, "books %s; the way costs %s", e.Cost, cost)
	}
	v.report.Computed, err = addAmount(v.report.Computed, cost)
	return err
}
