package settle

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/ledger"
)

const floor = `
kind: Contract
name: deal
counterparty: Amazon
term: {from: 2026-03-01, to: 2026-04-01}
scope: {providers: [aws]}
clauses: [{name: floor, commitment: {period: month, amount: %s}}]
`

// The books that prices are foreseen from begin where the ledger stands: of what
// counts towards a floor, what was used is gone, also when the process that
// settled is, and with it the days before.
func TestBooksBeginWhereTheLedgerStands(t *testing.T) {
	w := &world{store: newMemStore(), now: start.Add(time.Hour), contracts: contractsOf(t, fmt.Sprintf(floor, "1000"))}
	a := attempt("run-0", 1, "50", start, 18*time.Hour) // 900 of the floor
	w.meter(ledger.UsageEntries(a, "lab", a.Started, a.Ended, a.Ended)...)
	w.now = start.Add(50*time.Hour + 6*time.Minute)
	w.settle(t)
	open := func(known string) ([]*billing.Book, string) {
		books, state, err := w.settler().Books(context.Background(), known)
		if err != nil {
			t.Fatal(err)
		}
		return books, state
	}
	// price is what so many nodes add to the bill in an hour.
	price := func(books []*billing.Book, nodes string) string {
		pace, err := billing.ParseQuantity(nodes)
		if err != nil || len(books) != 1 {
			t.Fatal(err, len(books))
		}
		at := w.now.Truncate(time.Hour).Add(time.Hour)
		if err := books[0].Foresee(at, nil); err != nil {
			t.Fatal(err)
		}
		m, err := books[0].Shift(billing.Shift{Line: billing.LineOfAttempt(a, "lab"), From: at, To: at.Add(time.Hour), Pace: pace})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(m.Micros / 1e6)
	}
	books, state := open("")
	if got := price(books, "4"); got != "100" {
		t.Errorf("four nodes add %s: two of them are left of the floor", got)
	}
	if again, same := open(state); again != nil || same != state {
		t.Errorf("the bill has not changed, and is opened again: %q, %q", state, same)
	}
	w.now = w.now.Add(time.Hour)
	w.settle(t)
	if again, later := open(state); len(again) != 1 || later == state {
		t.Errorf("an hour later the bill is another: %q", later)
	}
	w.contracts = contractsOf(t, fmt.Sprintf(floor, "9000")) // not settled under these yet
	if books, changed := open(state); changed == state || price(books, "4") != "0" {
		t.Error("under another floor the hour costs nothing")
	}
	w.contracts = nil
	if books, none := open(state); books != nil || none != "" {
		t.Errorf("no contract is in force: %q", none)
	}
}
