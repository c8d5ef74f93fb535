package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/shelf"
)

// billKept goes on with a bill that is kept in a directory, or begins one.
func (a *app) billKept(f billFlags) (err error) {
	s, err := shelf.Open(f.state)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if s.Empty() && len(f.usage) == 0 {
		return fault.Newf(fault.Invalid, "%s keeps no bill yet: --usage is needed, a CSV file of what was used (docs/billing.md)", f.state)
	}
	if !s.Empty() && f.format != "" && !s.Resources() {
		return fault.Newf(fault.Conflict, "%s keeps usage added up over resources, which FOCUS needs apart; begin it anew with --format focus", f.state)
	}
	f.resources = s.Resources() || s.Empty() && f.format != ""
	contracts, err := billContracts(f)
	if err != nil {
		return err
	}
	recalled := 0
	book, err := keptBook(contracts, s, &recalled)
	if err != nil {
		return err
	}
	b := newBillView(book, f.charges)
	reversed, made := 0, 0
	emit := func(c billing.Charge) {
		if made++; c.Reversal {
			made--
			reversed++
		}
		if f.charges {
			b.add(c)
		}
	}
	if len(f.usage)+len(f.late) > 0 || f.to != "" || f.from != "" {
		if err := a.settleKept(f, s, book, emit); err != nil {
			return err
		}
	}
	if !f.charges {
		book.Balances(b.add)
	}
	b.kept = fmt.Sprintf("kept in %s: %s in %s; this time %s, %s reversed, %d made", f.state, countOf(len(s.Taken()), "file"), countOf(s.Days(), "day"),
		countOf(recalled, "day")+" brought back", countOf(reversed, "charge"), made)
	return a.showBill(f, book, b)
}

// keptBook opens the book that a shelf keeps, and counts the days that it
// brings back.
func keptBook(contracts []*contract.Contract, s *shelf.Shelf, recalled *int) (*billing.Book, error) {
	if s.Empty() {
		return billing.NewBook(contracts)
	}
	head, err := s.Head()
	if err != nil {
		return nil, err
	}
	book, err := billing.Reopen(contracts, head, func(day time.Time) ([]byte, error) {
		data, err := s.Day(day)
		if data != nil {
			*recalled++
		}
		return data, err
	})
	if fault.Is(err, fault.Conflict) {
		return nil, fault.Wrap(fault.Conflict, err, "the contracts are not those that the kept bill was made under; bill anew into an empty directory")
	}
	return book, err
}

// settleKept bills what is new and puts the book away. A file that is in the
// bill already is refused, and nothing changes.
func (a *app) settleKept(f billFlags, s *shelf.Shelf, book *billing.Book, emit func(billing.Charge)) error {
	taken, err := a.settleFiles(f, book, emit)
	if err != nil {
		return err
	}
	seen := map[string]string{}
	for _, t := range taken {
		name, known := s.Holds(t.SHA256)
		if other, twice := seen[t.SHA256]; twice {
			name, known = other, true
		}
		if known {
			return fault.Newf(fault.Conflict, "%s is in the bill already, as %s: its content is the same; nothing was changed", t.Name, name)
		}
		seen[t.SHA256] = t.Name
	}
	return s.Keep(book, taken, f.resources)
}
