package reconcile

import (
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/store"
)

// clockNote explains corrections in the ledger.
const clockNote = "booked past the attempt's end: the clock was set back"

// meter books the use of an attempt up to o.meterTo and moves Metered there in
// the same transaction. Where an end turns out to be before what is booked, it
// takes the rest back.
func (l *Loop) meter(tx store.Tx, o *outcome) error {
	a, booked := &o.attempt, l.Clock()
	if a.Started.IsZero() {
		return nil // no command began: nothing was used
	}
	entries := ledger.UsageEntries(*a, o.run.Project, latest(a.Started, a.Metered), o.meterTo, booked)
	if a.Metered.After(o.meterTo) {
		var own []ledger.Entry
		err := tx.Entries(store.EntryFilter{Run: a.Run}, func(e ledger.Entry) error {
			own = append(own, e)
			return nil
		})
		if err != nil {
			return err
		}
		entries = ledger.Settle(*a, own, booked, clockNote)
	}
	for _, entry := range entries {
		if _, err := tx.AppendEntry(entry); err != nil {
			return err
		}
	}
	a.Metered = o.meterTo
	return nil
}
