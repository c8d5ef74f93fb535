package focus

import (
	"encoding/json"
	"math/big"
	"sort"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Verdict says how what a provider billed compares with what we metered.
type Verdict string

// The verdicts.
const (
	Matched  Verdict = "matched"
	Missing  Verdict = "missing"  // metered, not billed
	Extra    Verdict = "extra"    // billed, not metered
	Price    Verdict = "price"    // same quantity, another cost
	Quantity Verdict = "quantity" // another quantity
)

// Finding is one day of one thing, compared.
type Finding struct {
	Verdict  Verdict
	Provider string
	Day      time.Time
	What     string // the resource, service or tag that rows were matched by
	Metered  Side
	Billed   Side
	Stake    units.Amount // billed less metered
}

// Side is one side of a comparison.
type Side struct {
	Rows     int
	Quantity *big.Rat
	Cost     units.Amount
}

type matchKey struct {
	provider, what string
	day            int64
	currency       units.Currency
}

// Reconcile compares a provider's bill with what we metered, by provider, UTC
// day, and what rows have in common: "resource", "service", "sku", or a tag as
// "tag:run". Costs that differ by up to the tolerance are taken as equal.
func Reconcile(metered, billed []Row, by string, tolerance units.Amount) ([]Finding, error) {
	what, err := matcher(by)
	if err != nil {
		return nil, err
	}
	ours, theirs := sides{}, sides{}
	for _, side := range []struct {
		into sides
		rows []Row
	}{{ours, metered}, {theirs, billed}} {
		for i := range side.rows {
			if side.rows[i].ChargeCategory == "Tax" {
				continue
			}
			if err := side.into.add(&side.rows[i], what(&side.rows[i])); err != nil {
				return nil, err
			}
		}
	}
	var findings []Finding
	for key, side := range ours {
		findings = append(findings, compare(key, side, theirs[key], tolerance))
	}
	for key, side := range theirs {
		if ours[key] == nil {
			findings = append(findings, compare(key, nil, side, tolerance))
		}
	}
	sort.Slice(findings, func(i, j int) bool {
		a, b := findings[i], findings[j]
		if x, y := abs(a.Stake.Micros), abs(b.Stake.Micros); x != y {
			return x > y
		}
		if !a.Day.Equal(b.Day) {
			return a.Day.Before(b.Day)
		}
		return a.Provider+a.What < b.Provider+b.What
	})
	return findings, nil
}

func abs(n int64) int64 { return max(n, -n) }

func matcher(by string) (func(*Row) string, error) {
	switch {
	case by == "resource":
		return func(r *Row) string { return r.ResourceID }, nil
	case by == "service":
		return func(r *Row) string { return r.ServiceName }, nil
	case by == "sku":
		return func(r *Row) string { return r.SkuID }, nil
	case strings.HasPrefix(by, "tag:"):
		key := strings.TrimPrefix(by, "tag:")
		return func(r *Row) string {
			tags := map[string]any{}
			if json.Unmarshal([]byte(r.Tags), &tags) != nil {
				return ""
			}
			value, _ := tags[key].(string)
			return value
		}, nil
	}
	return nil, fault.Newf(fault.Invalid, "unknown way to match %q; valid: resource, service, sku, tag:KEY", by)
}

// sides adds rows up by what they are matched by.
type sides map[matchKey]*Side

func (s sides) add(r *Row, what string) error {
	day := r.ChargePeriodStart.UTC().Truncate(24 * time.Hour)
	key := matchKey{strings.ToLower(displayName(r.Provider)), what, day.Unix(), r.BilledCost.Currency}
	side := s[key]
	if side == nil {
		side = &Side{Quantity: new(big.Rat), Cost: units.Amount{Currency: r.BilledCost.Currency}}
		s[key] = side
	}
	side.Rows++
	if r.PricingQuantity != nil {
		side.Quantity.Add(side.Quantity, r.PricingQuantity)
	}
	cost, err := side.Cost.Add(r.BilledCost)
	side.Cost = cost
	return err
}

func compare(key matchKey, ours, theirs *Side, tolerance units.Amount) Finding {
	f := Finding{Provider: key.provider, What: key.what, Day: time.Unix(key.day, 0).UTC()}
	empty := Side{Quantity: new(big.Rat), Cost: units.Amount{Currency: key.currency}}
	f.Metered, f.Billed = empty, empty
	if ours != nil {
		f.Metered = *ours
	}
	if theirs != nil {
		f.Billed = *theirs
	}
	f.Stake = units.Amount{Micros: f.Billed.Cost.Micros - f.Metered.Cost.Micros, Currency: key.currency}
	switch {
	case theirs == nil:
		f.Verdict = Missing
	case ours == nil:
		f.Verdict = Extra
	case f.Metered.Quantity.Cmp(f.Billed.Quantity) != 0 && abs(f.Stake.Micros) > tolerance.Micros:
		f.Verdict = Quantity
	case abs(f.Stake.Micros) > tolerance.Micros:
		f.Verdict = Price
	default:
		f.Verdict = Matched
	}
	return f
}
