// Package storetest owns the conformance suite of the store port: what every
// adapter must do, whatever it stores in.
//
// It refuses to look inside a store, and leaves what only one adapter can show
// (migrations, a full disk, a killed process) to that adapter's own tests.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// start is the hour at which the suite's stories begin.
func start() time.Time { return time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC) }

// Run tests the stores that open makes, each empty at first. The suite closes
// them.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	tests := []struct {
		name string
		test func(*testing.T, store.Store)
	}{
		{"every field comes back", everyField},
		{"absent objects are not found", absent},
		{"runs are replaced by ID and listed newest first", runs},
		{"a submission is known once", submissions},
		{"attempts are listed by number, live ones by age", attempts},
		{"decisions keep their order", decisions},
		{"the ledger books a key once", entriesOnce},
		{"the ledger is read by filter, in order, in pages", entriesFiltered},
		{"a reader of the ledger may use the transaction", entriesNested},
		{"an entry is reversed once", reversedOnce},
		{"the use of pools", poolUses},
		{"sites", sites},
		{"sites, quotas and settings", small},
		{"a failed update leaves no trace", failedUpdate},
		{"a panic leaves no trace", panicked},
		{"an update cancelled before its commit leaves no trace", cancelled},
		{"a failed statement does not end the transaction", survivesConflict},
		{"a view sees one snapshot", snapshot},
		{"a view cannot write", viewWrites},
		{"a transaction is over when its function returned", stale},
		{"updates serialise", serialise},
		{"close waits, refuses what comes after, and may be repeated", closing},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			test.test(t, s)
		})
	}
}

// Exact compares values of the port: times as instants, rates as numbers, NaN
// as itself.
func Exact() cmp.Option {
	return cmp.Options{
		cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }),
		cmp.Comparer(func(a, b units.Rate) bool { return a.Cmp(b) == 0 && a.Currency == b.Currency }),
		cmp.Comparer(func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }),
	}
}

// queued returns a run that was submitted some minutes after start.
func queued(id string, minutes int) fleet.Run {
	return fleet.Run{
		ID: id, Name: "gpt", Kind: "Training", Project: "lab", Spec: []byte("kind: Training\n"), SpecFile: "train.yaml",
		State: fleet.Queued, Submitted: start().Add(time.Duration(minutes) * time.Minute), Submission: "submit-" + id,
	}
}

func recorded(run string, number, minutes int) fleet.Attempt {
	return fleet.Attempt{
		Run: run, Number: number, Epoch: number, Pool: "local/cpu", Site: "local", Nodes: 1, Ranks: 2,
		State: fleet.AttemptRecorded, Created: start().Add(time.Duration(minutes) * time.Minute),
		Provider: "local", Chipmaker: "intel", Chip: "cpu", Chips: 1, Rate: units.MustRate("0.10", units.USD),
	}
}

func entry(run string, hour int) ledger.Entry {
	from := start().Add(time.Duration(hour) * time.Hour)
	return ledger.Entry{
		Key: fmt.Sprintf("%s-1@%d", run, hour), Category: ledger.Usage, Run: run, Attempt: 1, Project: "lab",
		Pool: "local/cpu", Provider: "local", Chipmaker: "intel", Chip: "cpu", From: from, To: from.Add(time.Hour),
		Nodes: 1, Chips: 1, Rate: units.MustRate("0.10", units.USD), Cost: units.Amount{Micros: 100_000, Currency: units.USD},
		Booked: from.Add(time.Hour),
	}
}

func update(t *testing.T, s store.Store, fn func(store.Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), fn); err != nil {
		t.Fatalf("update: %v", err)
	}
}

func view(t *testing.T, s store.Store, fn func(store.Tx) error) {
	t.Helper()
	if err := s.View(context.Background(), fn); err != nil {
		t.Fatalf("view: %v", err)
	}
}

func wantKind(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("got %v (%s), want a fault of kind %s", err, fault.KindOf(err), kind)
	}
}

func wantEqual(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, Exact()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// fill sets every field of a struct to something that is not its zero value
// and differs from its neighbours, so that a field that a store forgets or
// swaps shows, including one that is added later.
func fill(t *testing.T, value reflect.Value, seed *int64) {
	t.Helper()
	*seed++
	switch v := value.Addr().Interface().(type) {
	case *time.Time:
		*v = start().Add(time.Duration(*seed) * (time.Hour + time.Nanosecond))
		return
	case *units.Rate:
		*v = units.MustRate(fmt.Sprintf("%d.000000000007", *seed), "EUR")
		return
	case *units.Amount:
		*v = units.Amount{Micros: *seed * 1_000_003, Currency: "JPY"}
		return
	}
	switch value.Kind() {
	case reflect.Struct:
		for i := range value.NumField() {
			fill(t, value.Field(i), seed)
		}
	case reflect.String:
		value.SetString(fmt.Sprintf("text %d, 'quoted' \x00 ü", *seed))
	case reflect.Int, reflect.Int64:
		value.SetInt(*seed)
	case reflect.Float64:
		value.SetFloat(float64(*seed) / 3)
	case reflect.Bool:
		value.SetBool(true)
	case reflect.Slice:
		value.Set(reflect.MakeSlice(value.Type(), 2, 2))
		for i := range 2 {
			fill(t, value.Index(i), seed)
		}
	case reflect.Pointer:
		value.Set(reflect.New(value.Type().Elem()))
		fill(t, value.Elem(), seed)
	case reflect.Uint8:
		value.SetUint(uint64(*seed & 0xff))
	default:
		t.Fatalf("teach fill about %s", value.Type())
	}
}

func filled[T any](t *testing.T, seed int64) T {
	t.Helper()
	var value T
	fill(t, reflect.ValueOf(&value).Elem(), &seed)
	return value
}

func everyField(t *testing.T, s store.Store) {
	run, attempt, decision := filled[fleet.Run](t, 1), filled[fleet.Attempt](t, 100), filled[fleet.Decision](t, 200)
	booked, site := filled[ledger.Entry](t, 300), filled[fleet.Site](t, 400)
	attempt.Run, decision.Run = run.ID, run.ID
	booked.ID, booked.Reverses = 1, 0
	bare := fleet.Run{ID: "bare"}
	diverged := fleet.Attempt{Run: "bare", Number: 1, Progress: fleet.Progress{Loss: math.NaN(), EvalLoss: math.Inf(1)}}
	update(t, s, func(tx store.Tx) error {
		_, err := tx.AppendEntry(booked)
		return errors.Join(tx.PutRun(run), tx.PutAttempt(attempt), tx.AppendDecision(decision), err, tx.PutSite(site),
			tx.PutRun(bare), tx.PutAttempt(diverged))
	})
	view(t, s, func(tx store.Tx) error {
		gotRun, err1 := tx.Run(run.ID)
		gotBare, err2 := tx.Run("bare")
		gotAttempts, err3 := tx.Attempts(run.ID)
		gotDiverged, err4 := tx.Attempts("bare")
		gotDecisions, err5 := tx.Decisions(run.ID)
		gotSites, err6 := tx.Sites()
		wantEqual(t, gotRun, run)
		wantEqual(t, gotBare, bare)
		wantEqual(t, gotAttempts, []fleet.Attempt{attempt})
		wantEqual(t, gotDiverged, []fleet.Attempt{diverged})
		wantEqual(t, gotDecisions, []fleet.Decision{decision})
		wantEqual(t, gotSites, []fleet.Site{site})
		wantEqual(t, entries(t, tx, store.EntryFilter{}), []ledger.Entry{booked})
		return errors.Join(err1, err2, err3, err4, err5, err6)
	})
}

func entries(t *testing.T, tx store.Tx, filter store.EntryFilter) []ledger.Entry {
	t.Helper()
	var found []ledger.Entry
	err := tx.Entries(filter, func(e ledger.Entry) error {
		found = append(found, e)
		return nil
	})
	if err != nil {
		t.Errorf("entries: %v", err)
	}
	return found
}

func absent(t *testing.T, s store.Store) {
	update(t, s, func(tx store.Tx) error {
		_, err := tx.Run("nobody")
		wantKind(t, err, fault.NotFound)
		_, err = tx.RunBySubmission("never")
		wantKind(t, err, fault.NotFound)
		wantKind(t, tx.DeleteSite("nowhere"), fault.NotFound)
		return nil
	})
	wantKind(t, s.Update(context.Background(), func(tx store.Tx) error { return tx.PutAttempt(recorded("nobody", 1, 0)) }),
		fault.NotFound)
	wantKind(t, s.Update(context.Background(), func(tx store.Tx) error {
		return tx.AppendDecision(fleet.Decision{Run: "nobody", Verb: "wait"})
	}), fault.NotFound)
	view(t, s, func(tx store.Tx) error {
		attempts, err1 := tx.Attempts("nobody")
		decisions, err2 := tx.Decisions("nobody")
		setting, err3 := tx.Setting("unset")
		wantEqual(t, len(attempts)+len(decisions), 0)
		wantEqual(t, setting, "")
		return errors.Join(err1, err2, err3)
	})
}
