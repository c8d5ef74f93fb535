package settle

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Audit bills the ledger from nothing, apart from all that billing remembers,
// and says where the charges that stand are not those that the contracts in
// force make. It settles first, and changes nothing after that. Memory grows with
// the use.
func (s *Settler) Audit(ctx context.Context) ([]ledger.Problem, error) {
	if err := s.Settle(ctx); err != nil {
		return nil, err
	}
	contracts, err := s.Contracts()
	if err != nil {
		return nil, err
	}
	by := billing.ByCurrency(contracts)
	var problems []ledger.Problem
	err = s.Store.View(ctx, func(tx store.Tx) error {
		marks, err := marksIn(tx)
		if err != nil {
			return err
		}
		for _, currency := range slices.Sorted(maps.Keys(marks)) {
			book, err := billing.NewBookIn(currency, by[currency])
			if err != nil {
				return err
			}
			found, err := audit(tx, book, currency, marks[currency])
			if err != nil {
				return err
			}
			problems = append(problems, found...)
		}
		return nil
	})
	return problems, err
}

// audit compares the charges of one currency, a day at a time.
func audit(tx store.Tx, book *billing.Book, currency units.Currency, mark ledger.Mark) ([]ledger.Problem, error) {
	book.KeepOpen()
	err := tx.Entries(store.EntryFilter{}, func(e ledger.Entry) error {
		if e.ID > mark.Through || !billable(e, currency) {
			return nil
		}
		return book.Take(e)
	})
	if err != nil {
		return nil, err
	}
	book.Settle(mark.From, mark.Billed, func(billing.Charge) {})
	var problems []ledger.Problem
	for day := mark.From.Truncate(day24); day.Before(mark.To); day = day.Add(day24) {
		changed := map[time.Time]bool{}
		for hour := day; hour.Before(day.Add(day24)); hour = hour.Add(time.Hour) {
			changed[hour] = true
		}
		w := work{tx: tx, currency: currency, changed: changed}
		use, booked, err := w.entriesOf(day)
		if err != nil {
			return nil, err
		}
		for _, hour := range slices.SortedFunc(maps.Keys(changed), time.Time.Compare) {
			for _, e := range ledger.Amend(booked[hour], book.Post(hour, use[hour]), hour, "") {
				problems = append(problems, ledger.Problem{Attempt: "bill", Entry: e.Reverses, Message: misfit(e)})
			}
		}
	}
	return problems, nil
}

// misfit says what is wrong with the charges, from the entry that would amend it.
func misfit(e ledger.Entry) string {
	what := fmt.Sprintf("%s of %s by %s/%s", e.Charge, e.From.Format(time.RFC3339), e.Contract, e.Clause)
	if e.Contract == "" {
		what = fmt.Sprintf("%s of %s at list price", e.Charge, e.From.Format(time.RFC3339))
	}
	if e.Reverses != 0 {
		return "charges " + what + ", which the contracts in force do not make so"
	}
	return what + " is not charged, and the contracts in force make it " + e.Cost.String()
}
