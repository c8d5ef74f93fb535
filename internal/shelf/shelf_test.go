package shelf

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

var start = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

func terms(t *testing.T) []*contract.Contract {
	t.Helper()
	contracts, err := contract.Parse("c.yaml", []byte("kind: Contract\nname: c\ncounterparty: A\nterm: {from: 2026-06-01, to: 2026-07-01}\nclauses:\n  - discount: {tiers: {window: month, steps: [{above: 10, discount: 5%}]}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	return contracts
}

func opened(t *testing.T, dir string) *Shelf {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// use adds a row of a day to a book and settles it.
func use(t *testing.T, b *billing.Book, day, units int) {
	t.Helper()
	line, err := b.Line(billing.Line{Subject: contract.Subject{Provider: "aws"}, ListRate: "1"})
	if err != nil {
		t.Fatal(err)
	}
	quantity, err := billing.ParseQuantity(fmt.Sprint(units))
	if err != nil {
		t.Fatal(err)
	}
	from := start.AddDate(0, 0, day)
	if err := b.Add(line, from, from.Add(time.Hour), quantity); err != nil {
		t.Fatal(err)
	}
	b.Settle(start, start.AddDate(0, 0, 10), func(billing.Charge) {})
}

func reopened(t *testing.T, s *Shelf) *billing.Book {
	t.Helper()
	head, err := s.Head()
	if err != nil {
		t.Fatal(err)
	}
	b, err := billing.Reopen(terms(t), head, s.Day)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// bill is all charges of a book as text.
func bill(b *billing.Book) string {
	var out strings.Builder
	b.Charges(func(c billing.Charge) { fmt.Fprintln(&out, c.From, c.Category, c.Quantity, c.Billed) })
	return out.String()
}

func TestWhatIsKeptComesBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "bill")
	s := opened(t, dir)
	if !s.Empty() {
		t.Error("a new directory keeps a bill")
	}
	book, err := billing.NewBook(terms(t))
	if err != nil {
		t.Fatal(err)
	}
	use(t, book, 3, 8)
	if err := s.Keep(book, []Taken{{"a.csv", "aa"}}, true); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !fault.Is(err, fault.Conflict) {
		t.Errorf("a directory in use: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = opened(t, dir)
	if name, ok := s.Holds("aa"); !ok || name != "a.csv" || s.Empty() || !s.Resources() || s.Days() != 10 {
		t.Errorf("%q %v %+v", name, ok, s.catalog)
	}
	again := reopened(t, s)
	if got, want := bill(again), bill(book); got != want || got == "" {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A process killed while it keeps a bill leaves files that are not in force:
// the old bill is read, and the next one that is kept removes them.
func TestKilledWhileKeeping(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	book, err := billing.NewBook(terms(t))
	if err != nil {
		t.Fatal(err)
	}
	use(t, book, 3, 8)
	if err := s.Keep(book, nil, false); err != nil {
		t.Fatal(err)
	}
	want := bill(book)
	_ = s.Close()
	for _, name := range []string{"head-2.part", "2026-06-04-2.part", "next.part"} { // half written
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = opened(t, dir)
	if got := bill(reopened(t, s)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	book = reopened(t, s)
	use(t, book, 5, 4)
	if err := s.Keep(book, nil, false); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 10+3 { // ten days, the head, the catalog, the lock
		t.Errorf("%d files, %v: %v", len(entries), err, entries)
	}
	if got := bill(reopened(t, s)); got == want {
		t.Error("the new row is not in the bill")
	}
}

func TestDamageIsSaid(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	book, err := billing.NewBook(terms(t))
	if err != nil {
		t.Fatal(err)
	}
	use(t, book, 3, 8)
	if err := s.Keep(book, nil, false); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "2026-06-04-1.part")); err != nil {
		t.Fatal(err)
	}
	again := reopened(t, s)
	bill(again)
	if !fault.Is(again.Err(), fault.Invalid) {
		t.Errorf("a day is gone: %v", again.Err())
	}
	_ = s.Close()
	for content, kind := range map[string]fault.Kind{"{": fault.Invalid, `{"version": 99}`: fault.Conflict} {
		if err := os.WriteFile(filepath.Join(dir, catalogName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); !fault.Is(err, kind) {
			t.Errorf("%s: %v", content, err)
		}
	}
}
