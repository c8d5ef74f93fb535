package settle

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Books opens the bills of the ledger under the contracts in force, one for
// each currency, as far as they were settled: the state from which prices are
// foreseen. What is done to them reaches neither ledger nor store. state
// identifies them, "" where no contract is in force; where it is the one that is
// known already, there are no books.
func (s *Settler) Books(ctx context.Context, known string) (books []*billing.Book, state string, err error) {
	contracts, err := s.Contracts()
	if err != nil || len(contracts) == 0 {
		return nil, "", err
	}
	by := billing.ByCurrency(contracts)
	err = s.Store.View(ctx, func(tx store.Tx) error {
		marks, err := marksIn(tx)
		if err != nil {
			return err
		}
		var parts []string
		for _, currency := range slices.Sorted(maps.Keys(by)) {
			parts = append(parts, string(currency), billing.Fingerprint(by[currency]), marks[currency].Billed.Format(time.RFC3339))
		}
		if state = strings.Join(parts, " "); state == known {
			return nil
		}
		books = nil
		for _, currency := range slices.Sorted(maps.Keys(by)) {
			book, err := bookIn(tx, currency, by[currency], marks[currency])
			if err != nil {
				return err
			}
			books = append(books, book)
		}
		return nil
	})
	return books, state, err
}

// bookIn opens the bill of one currency, or begins one where none is kept under
// these contracts yet. The days that settling goes on from come with it, since
// it outlives the transaction.
func bookIn(tx store.Tx, currency units.Currency, contracts []*contract.Contract, mark ledger.Mark) (*billing.Book, error) {
	head, err := tx.Blob(headName(currency))
	if err != nil {
		return nil, err
	}
	if head == nil || mark.Contracts != billing.Fingerprint(contracts) {
		book, err := billing.NewBookIn(currency, contracts)
		if err == nil {
			book.KeepOpen()
		}
		return book, err
	}
	first := mark.Billed.Add(-time.Hour).Truncate(day24)
	days := map[time.Time][]byte{}
	for day := first; day.Before(mark.KeptTo); day = day.Add(day24) {
		if days[day], err = tx.Blob(dayName(currency, day)); err != nil {
			return nil, err
		}
	}
	book, err := billing.ReopenIn(currency, contracts, head, func(day time.Time) ([]byte, error) {
		if day.Before(first) {
			return nil, fault.Newf(fault.Internal, "the bill of %s is settled and was not brought", day.Format(time.DateOnly))
		}
		return days[day], nil
	})
	if err == nil {
		book.KeepOpen()
	}
	return book, err
}
