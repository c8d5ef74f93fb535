package ledger

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// MarksSetting is the name under which the store keeps the marks.
const MarksSetting = "ledger.billed"

// Mark says how far the use of one currency is billed: charges stand for the
// entries of use up to an ID that begin before a time. It is written in the
// transaction that books the charges, so it is never ahead of them.
type Mark struct {
	From    time.Time `json:"from"`    // the first hour of the bill
	To      time.Time `json:"to"`      // charges stand for the hours before it
	Through int64     `json:"through"` // and for use up to this ID

	Billed    time.Time `json:"billed"`    // how far the contracts in force are applied: behind To while they are new
	Contracts string    `json:"contracts"` // fingerprint of the contracts
	KeptFrom  time.Time `json:"kept_from"` // the days that billing keeps in the store
	KeptTo    time.Time `json:"kept_to"`
}

// Marks are the marks by currency. Where nothing is billed there is none, and
// use costs what it was placed at.
type Marks map[units.Currency]Mark

// ParseMarks reads what Marks.String wrote; "" is no marks.
func ParseMarks(text string) (Marks, error) {
	marks := Marks{}
	if text == "" {
		return marks, nil
	}
	if err := json.Unmarshal([]byte(text), &marks); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "what is billed of the ledger")
	}
	return marks, nil
}

func (m Marks) String() string {
	data, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("ledger: marks do not marshal: %v", err))
	}
	return string(data)
}

// Covers reports whether charges stand for an entry of use.
func (m Marks) Covers(e Entry) bool {
	mark, known := m[e.Cost.Currency]
	return known && e.IsUse() && !e.Imputed && e.ID <= mark.Through && e.From.Before(mark.To)
}

// Money returns what an entry counts for, in micro-units: what is or will be
// billed, and the effective cost, in which purchases are spread over what they
// pay for. Use counts at the rate of its placement until charges stand for it,
// and then the charges count. What is withheld is in no sum.
func (m Marks) Money(e Entry) (billed, effective int64) {
	switch {
	case e.Category == Withheld, m.Covers(e):
		return 0, 0
	case e.IsCharge():
		return e.Cost.Micros, e.Effective
	}
	return e.Cost.Micros, e.Cost.Micros
}

// Amend returns what to append so that the charges of some hours become those
// wanted: reversals of what no longer holds, and what is new. booked is all
// that was ever booked in these hours; entries of use among it are left alone.
// Amending again returns nothing.
func Amend(booked, want []Entry, at time.Time, note string) []Entry {
	gone := map[int64]bool{}
	for _, e := range booked {
		gone[e.Reverses] = true
	}
	stands := map[string]Entry{}
	revisions := map[string]int{}
	for _, e := range booked {
		if !e.IsCharge() || e.Reverses != 0 {
			continue
		}
		subject, _, _ := strings.Cut(e.Key, revision)
		revisions[subject]++
		if !gone[e.ID] {
			stands[subject] = e
		}
	}
	var out []Entry
	for _, e := range want {
		old, known := stands[e.Key]
		delete(stands, e.Key)
		if known && sameCharge(old, e) {
			continue
		}
		if known {
			out = append(out, Reverse(old, at, note))
			e.Note = note
		}
		e.Key = fmt.Sprintf("%s%s%d", e.Key, revision, revisions[e.Key]+1)
		e.Booked = at.UTC().Round(0)
		out = append(out, e)
	}
	left := make([]Entry, 0, len(stands))
	for _, e := range stands {
		left = append(left, e)
	}
	slices.SortFunc(left, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	for _, e := range left {
		out = append(out, Reverse(e, at, note))
	}
	return out
}

// revision stands before the number of times that a charge was made anew.
const revision = " #"

// sameCharge reports whether two charges differ in nothing but their booking.
func sameCharge(a, b Entry) bool {
	if a.Rate.Cmp(b.Rate) != 0 || a.Rate.Currency != b.Rate.Currency || !a.From.Equal(b.From) || !a.To.Equal(b.To) {
		return false
	}
	a.Rate, a.From, a.To = b.Rate, b.From, b.To
	a.ID, a.Key, a.Booked, a.Note = b.ID, b.Key, b.Booked, b.Note
	return a == b
}
