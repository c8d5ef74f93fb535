// Package settle owns the loop that bills the ledger: it takes in what was
// metered, lets billing say what the contracts in force make of it, and appends
// the charges, and the reversals of those that no longer hold.
//
// It refuses to price (billing) and to change what is booked. A pass rereads
// the state and compares: what stands in the ledger with what billing says.
// Charges, what billing remembers, and how far it came are written in one
// transaction, so a process that is killed between books nothing twice and
// drops nothing.
package settle

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/clock"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Options is what a settler works with. All fields are needed unless they say
// otherwise.
type Options struct {
	Store store.Store
	Clock clock.Clock
	Log   *slog.Logger
	// Contracts returns the contracts in force.
	Contracts func() ([]*contract.Contract, error)
	Every     time.Duration      // between passes
	Settled   func()             // called after charges were booked; may be nil
	Crash     func(point string) // called at every point below; may be nil
}

// The points at which a crash is of interest.
const (
	pointAppending = "settle.appending" // some charges of a transaction are appended
	pointAppended  = "settle.appended"  // all are, and nothing is committed
	pointSettled   = "settle.settled"   // committed
)

// Settler bills the ledger of a store. Its methods are safe for concurrent use.
type Settler struct {
	Options
	enough int        // charges, after which a transaction bills no further day
	pass   sync.Mutex // passes never overlap

	told sync.Mutex
	last string // the failure that was logged last
}

const (
	// late is how long after an hour its use is taken to be booked; what comes
	// later restates the bill.
	late = 5 * time.Minute
	// manyCharges are as many as a transaction books before it leaves further
	// days to the next.
	manyCharges = 20_000
	// restatedNote explains corrections in the ledger.
	restatedNote = "restated: use or contracts changed after it was billed"
)

// New returns a settler that does nothing until Run or Settle.
func New(options Options) *Settler {
	if options.Crash == nil {
		options.Crash = func(string) {}
	}
	if options.Settled == nil {
		options.Settled = func() {}
	}
	return &Settler{Options: options, enough: manyCharges}
}

// Refresh settles, for who is about to read the ledger. A failure is logged,
// once: what was billed before is still there to read.
func (s *Settler) Refresh(ctx context.Context) {
	err := s.Settle(ctx)
	if ctx.Err() != nil {
		return
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	s.told.Lock()
	defer s.told.Unlock()
	if err != nil && text != s.last {
		s.Log.Error("the ledger cannot be billed under the contracts in force; it is tried again", "error", err)
	}
	s.last = text
}

// Fault says why the ledger could not be billed the last time, "" where it was.
func (s *Settler) Fault() string {
	s.told.Lock()
	defer s.told.Unlock()
	return s.last
}

// Run settles again and again until ctx ends.
func (s *Settler) Run(ctx context.Context) {
	ticker := time.NewTicker(s.Every)
	defer ticker.Stop()
	for {
		s.Refresh(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Settle bills all that is metered of the hours that are over. Where there are
// no contracts and never were, it does nothing.
func (s *Settler) Settle(ctx context.Context) error {
	s.pass.Lock()
	defer s.pass.Unlock()
	contracts, err := s.Contracts()
	if err != nil {
		return err
	}
	by := billing.ByCurrency(contracts)
	marks, err := s.marks(ctx)
	if err != nil {
		return err
	}
	for currency := range marks {
		if _, some := by[currency]; !some {
			by[currency] = nil // its contracts are gone: it is billed at list price
		}
	}
	for _, currency := range slices.Sorted(maps.Keys(by)) {
		for {
			more, err := s.step(ctx, currency, by[currency])
			if err != nil {
				return fault.Wrap(fault.KindOf(err), err, "billing use in "+string(currency))
			}
			if !more {
				break
			}
			s.Settled()
		}
	}
	return nil
}

func (s *Settler) marks(ctx context.Context) (marks ledger.Marks, err error) {
	err = s.Store.View(ctx, func(tx store.Tx) error {
		marks, err = marksIn(tx)
		return err
	})
	return marks, err
}

func marksIn(tx store.Tx) (ledger.Marks, error) {
	text, err := tx.Setting(ledger.MarksSetting)
	if err != nil {
		return nil, err
	}
	return ledger.ParseMarks(text)
}

// step is one transaction; it reports whether it did anything.
func (s *Settler) step(ctx context.Context, currency units.Currency, contracts []*contract.Contract) (bool, error) {
	limit := s.Clock().UTC().Add(-late).Truncate(time.Hour)
	due := false
	err := s.Store.View(ctx, func(tx store.Tx) (err error) {
		due, err = isDue(tx, currency, contracts, limit)
		return err
	})
	if err != nil || !due {
		return false, err
	}
	err = s.Store.Update(ctx, func(tx store.Tx) error {
		w, err := s.open(tx, currency, contracts)
		if err != nil {
			return err
		}
		return w.settle(limit)
	})
	if err == nil {
		s.Crash(pointSettled)
	}
	return err == nil, err
}

// isDue reports whether hours, use or contracts have come that are not billed.
func isDue(tx store.Tx, currency units.Currency, contracts []*contract.Contract, limit time.Time) (bool, error) {
	marks, err := marksIn(tx)
	if err != nil {
		return false, err
	}
	mark, known := marks[currency]
	if !known || mark.Billed.Before(limit) || mark.Contracts != billing.Fingerprint(contracts) {
		return true, nil
	}
	found := errors.New("found")
	err = tx.Entries(store.EntryFilter{After: mark.Through}, func(e ledger.Entry) error {
		if billable(e, currency) {
			return found
		}
		return nil
	})
	if errors.Is(err, found) {
		return true, nil
	}
	return false, err
}

// billable reports whether an entry is use that someone is paid for.
func billable(e ledger.Entry, currency units.Currency) bool {
	return e.IsUse() && !e.Imputed && e.Cost.Currency == currency
}

// work is the billing of one currency in one transaction.
type work struct {
	*Settler
	tx       store.Tx
	currency units.Currency
	marks    ledger.Marks
	mark     ledger.Mark
	book     *billing.Book
	changed  map[time.Time]bool // hours whose charges are to be compared
	booked   int                // charges, so far in this transaction
}

// headName and dayName are where billing's memory is kept.
func headName(currency units.Currency) string { return "bill/" + string(currency) + "/head" }

func dayName(currency units.Currency, day time.Time) string {
	return "bill/" + string(currency) + "/" + day.Format(time.DateOnly)
}

// open brings back the book, or begins a new one where there is none or the
// contracts are others.
func (s *Settler) open(tx store.Tx, currency units.Currency, contracts []*contract.Contract) (*work, error) {
	marks, err := marksIn(tx)
	if err != nil {
		return nil, err
	}
	w := &work{Settler: s, tx: tx, currency: currency, marks: marks, changed: map[time.Time]bool{}}
	w.mark = marks[currency]
	fingerprint := billing.Fingerprint(contracts)
	head, err := tx.Blob(headName(currency))
	if err != nil {
		return nil, err
	}
	if head != nil && w.mark.Contracts == fingerprint {
		w.book, err = billing.ReopenIn(currency, contracts, head, func(day time.Time) ([]byte, error) { return tx.Blob(dayName(currency, day)) })
	} else {
		if w.book, err = billing.NewBookIn(currency, contracts); err == nil {
			err = w.forget()
		}
		if w.mark.Contracts != "" {
			s.Log.Info("contracts changed: the ledger is billed anew", "currency", currency)
		}
	}
	if err != nil {
		return nil, err
	}
	w.mark.Contracts = fingerprint
	w.book.KeepOpen()
	return w, nil
}

// forget drops what billing kept under other contracts. What is booked stays
// until the bill made anew has come to it.
func (w *work) forget() error {
	for day := w.mark.KeptFrom; day.Before(w.mark.KeptTo); day = day.Add(day24) {
		if err := w.tx.PutBlob(dayName(w.currency, day), nil); err != nil {
			return err
		}
	}
	w.mark.KeptFrom, w.mark.KeptTo, w.mark.Through, w.mark.Billed = time.Time{}, time.Time{}, 0, time.Time{}
	return nil
}

const day24 = 24 * time.Hour

// settle takes in what was metered, restates what is billed, bills a day more or
// many quiet ones, and books the differences.
func (w *work) settle(limit time.Time) error {
	err := w.tx.Entries(store.EntryFilter{After: w.mark.Through}, func(e ledger.Entry) error {
		w.mark.Through = e.ID
		if !billable(e, w.currency) {
			return nil
		}
		return w.book.Take(e)
	})
	if err != nil {
		return err
	}
	from, billed := w.begin(limit)
	note := func(c billing.Charge) { w.changed[c.From] = true }
	if billed.After(from) {
		w.book.Settle(from, billed, note) // first what came late: it reads no more days than it must
	}
	for ok := true; ok; ok = billed.Before(limit) && w.booked < w.enough {
		to := latest(billed, earliest(billed.Add(day24), limit))
		if to.After(billed) {
			w.book.Settle(from, to, note)
		}
		if err := w.book.Err(); err != nil {
			return err
		}
		// Under other contracts an hour may have charges that have no successor.
		for hour := billed; hour.Before(earliest(to, w.mark.To)); hour = hour.Add(time.Hour) {
			w.changed[hour] = true
		}
		if err := w.amend(); err != nil {
			return err
		}
		billed = to
	}
	w.Crash(pointAppended)
	w.mark.From, w.mark.Billed, w.mark.To = from, billed, latest(billed, w.mark.To)
	return w.keep()
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// begin returns the first hour of the bill, and up to where it is billed. The
// bill begins with the day of the first use, or without use today: what a
// contract cost before yard knew of it is not booked.
func (w *work) begin(limit time.Time) (from, billed time.Time) {
	from = limit.Truncate(day24)
	if !w.mark.From.IsZero() {
		from = w.mark.From
	}
	if first, _, some := w.book.Span(); some && first.Truncate(day24).Before(from) {
		from = first.Truncate(day24)
	}
	billed = w.mark.Billed
	if billed.Before(from) {
		billed = from
	}
	return from, billed
}

// amend books what makes the charges of the changed hours those that hold.
func (w *work) amend() error {
	days := map[time.Time][]time.Time{}
	for hour := range w.changed {
		day := hour.Truncate(day24)
		days[day] = append(days[day], hour)
	}
	for _, day := range slices.SortedFunc(maps.Keys(days), time.Time.Compare) {
		use, booked, err := w.entriesOf(day)
		if err != nil {
			return err
		}
		hours := days[day]
		slices.SortFunc(hours, time.Time.Compare)
		for _, hour := range hours {
			for _, e := range ledger.Amend(booked[hour], w.book.Post(hour, use[hour]), w.Clock(), restatedNote) {
				if _, err := w.tx.AppendEntry(e); err != nil {
					return err
				}
				w.booked++
				w.Crash(pointAppending)
			}
		}
	}
	clear(w.changed)
	return nil
}

// entriesOf reads a day of the ledger: use and charges, by hour.
func (w *work) entriesOf(day time.Time) (use, booked map[time.Time][]ledger.Entry, err error) {
	use, booked = map[time.Time][]ledger.Entry{}, map[time.Time][]ledger.Entry{}
	err = w.tx.Entries(store.EntryFilter{From: day, To: day.Add(day24)}, func(e ledger.Entry) error {
		hour := e.From.UTC().Truncate(time.Hour)
		if w.changed[hour] && billable(e, w.currency) {
			use[hour] = append(use[hour], e)
		} else if w.changed[hour] && e.IsCharge() && e.Cost.Currency == w.currency {
			booked[hour] = append(booked[hour], e)
		}
		return nil
	})
	return use, booked, err
}

// keep writes what billing remembers and how far it came.
func (w *work) keep() error {
	for _, day := range w.book.Touched() {
		if err := w.tx.PutBlob(dayName(w.currency, day), w.book.Day(day)); err != nil {
			return err
		}
		if w.mark.KeptFrom.IsZero() || day.Before(w.mark.KeptFrom) {
			w.mark.KeptFrom = day
		}
		if end := day.Add(day24); end.After(w.mark.KeptTo) {
			w.mark.KeptTo = end
		}
	}
	if err := w.tx.PutBlob(headName(w.currency), w.book.Head()); err != nil {
		return err
	}
	// The charges themselves are no use: what is booked after them is new.
	err := w.tx.Entries(store.EntryFilter{After: w.mark.Through}, func(e ledger.Entry) error {
		w.mark.Through = e.ID
		return nil
	})
	if err != nil {
		return err
	}
	w.marks[w.currency] = w.mark
	return w.tx.PutSetting(ledger.MarksSetting, w.marks.String())
}
