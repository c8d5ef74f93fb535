package ledger

import (
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// The suffixes of keys of corrections. An entry is reversed and restated at
// most once, so they keep keys unique.
const (
	reversed = " reversed"
	restated = " restated"
)

// Accrued is what the attempt cost from its start until then, at its rate,
// rounded once. It is zero before the start and stays what it was at the end.
func Accrued(a fleet.Attempt, until time.Time) units.Amount {
	if a.Started.IsZero() {
		return units.Amount{Currency: a.Rate.Currency}
	}
	return accrued(a, a.Rate, within(a, until))
}

func accrued(a fleet.Attempt, rate units.Rate, until time.Time) units.Amount {
	return rate.ForHours(a.Nodes, until.Sub(a.Started.Round(0)))
}

// within moves an instant into the attempt's span.
func within(a fleet.Attempt, at time.Time) time.Time {
	if !a.Ended.IsZero() && at.After(a.Ended) {
		at = a.Ended
	}
	if at.Before(a.Started) {
		at = a.Started
	}
	return at.UTC().Round(0) // wall time alone: it is what the ledger keeps
}

// UsageEntries books the use of an attempt between two instants, of which only
// what lies in the attempt's span counts: none if it has not started. Entries
// are cut at UTC hours, so that each has one hour's price and one day.
//
// The cost of a slice is the rounded cost up to its end less the rounded cost
// up to its begin. So the entries of an attempt sum to what the whole costs,
// rounded once, however its time is cut into calls. The key is the attempt's
// with the begin of the slice: booking a slice twice changes nothing.
func UsageEntries(a fleet.Attempt, project string, from, to, booked time.Time) []Entry {
	if a.Started.IsZero() {
		return nil
	}
	var entries []Entry
	end := within(a, to)
	for begin := within(a, from); begin.Before(end); {
		cut := begin.Truncate(time.Hour).Add(time.Hour)
		if cut.After(end) {
			cut = end
		}
		e := Entry{
			Key:      a.Key() + "@" + begin.Format(time.RFC3339Nano),
			Category: Usage,
			Run:      a.Run, Attempt: a.Number, Project: project, Pool: a.Pool,
			Provider: a.Provider, Chipmaker: a.Chipmaker, Chip: a.Chip,
			Region: a.Region, InstanceType: a.InstanceType, Option: a.Option,
			From: begin, To: cut, Nodes: a.Nodes, Chips: a.Chips,
			Rate: a.Rate, Imputed: a.Imputed,
			Cost: sliceCost(a, a.Rate, begin, cut), Booked: booked.UTC().Round(0),
		}
		entries = append(entries, e)
		begin = cut
	}
	return entries
}

// sliceCost is the share of [from, to) in an attempt's cost at a rate.
func sliceCost(a fleet.Attempt, rate units.Rate, from, to time.Time) units.Amount {
	upTo, before := accrued(a, rate, to), accrued(a, rate, from)
	return units.Amount{Micros: upTo.Micros - before.Micros, Currency: upTo.Currency}
}

// Reverse takes an entry back: the same use or charge with the opposite cost.
// The entry carries the ID that it was given on append.
func Reverse(e Entry, booked time.Time, note string) Entry {
	e.Key += reversed
	e.Reverses, e.ID = e.ID, 0
	e.Cost = e.Cost.Neg()
	e.List, e.Effective = -e.List, -e.Effective
	if back, of := strings.CutPrefix(e.Quantity, "-"); of {
		e.Quantity = back
	} else if e.Quantity != "" && e.Quantity != "0" {
		e.Quantity = "-" + e.Quantity
	}
	e.Booked, e.Note = booked.UTC().Round(0), note
	return e
}

// Restate corrects the rate of an entry of the attempt: its reversal and what
// stands in its place.
func Restate(a fleet.Attempt, e Entry, rate units.Rate, booked time.Time, note string) []Entry {
	corrected := e
	corrected.Rate, corrected.Cost = rate, sliceCost(a, rate, e.From, e.To)
	return replace(e, corrected, booked, note)
}

func replace(e, corrected Entry, booked time.Time, note string) []Entry {
	corrected.ID, corrected.Key = 0, e.Key+restated
	corrected.Booked, corrected.Note = booked.UTC().Round(0), note
	return []Entry{Reverse(e, booked, note), corrected}
}

// Settle corrects what was booked beyond the end of an attempt that turned out
// to have ended earlier. It takes the attempt's entries, in any order and with
// those of other attempts among them, and returns what to append: reversals,
// and for the slice that the end cuts, its true part.
func Settle(a fleet.Attempt, entries []Entry, booked time.Time, note string) []Entry {
	if a.Ended.IsZero() {
		return nil
	}
	gone := map[int64]bool{}
	for _, e := range entries {
		if e.Reverses != 0 {
			gone[e.Reverses] = true
		}
	}
	end := within(a, a.Ended)
	var corrections []Entry
	for _, e := range entries {
		switch {
		case e.Run != a.Run, e.Attempt != a.Number, e.Reverses != 0, gone[e.ID], !e.To.After(end):
		case e.From.Before(end):
			corrected := e
			corrected.To, corrected.Cost = end, sliceCost(a, e.Rate, e.From, end)
			corrections = append(corrections, replace(e, corrected, booked, note)...)
		default:
			corrections = append(corrections, Reverse(e, booked, note))
		}
	}
	return corrections
}
