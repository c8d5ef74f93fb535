package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/store"
)

// several writes one object of each kind that a transaction can.
func several(tx store.Tx) error {
	_, err := tx.AppendEntry(entry("a", 0))
	return errors.Join(tx.PutRun(queued("a", 0)), tx.PutAttempt(recorded("a", 1, 0)),
		tx.AppendDecision(fleet.Decision{Run: "a", Verb: "place"}), err,
		tx.PutSite(fleet.Site{Name: "local"}), tx.PutQuota("lab", 3), tx.PutSetting("token", "x"))
}

// wantEmpty finds nothing of several, and a store that works.
func wantEmpty(t *testing.T, s store.Store) {
	t.Helper()
	view(t, s, func(tx store.Tx) error {
		runs, err1 := tx.Runs(store.RunFilter{})
		attempts, err2 := tx.LiveAttempts()
		sites, err3 := tx.Sites()
		quotas, err4 := tx.Quotas()
		token, err5 := tx.Setting("token")
		decisions, err6 := tx.Decisions("a")
		booked := entries(t, tx, store.EntryFilter{})
		if n := len(runs) + len(attempts) + len(sites) + len(quotas) + len(token) + len(decisions) + len(booked); n > 0 {
			t.Errorf("%d objects are left", n)
		}
		return errors.Join(err1, err2, err3, err4, err5, err6)
	})
	update(t, s, several)
}

func failedUpdate(t *testing.T, s store.Store) {
	reason := errors.New("changed my mind")
	err := s.Update(t.Context(), func(tx store.Tx) error { return errors.Join(several(tx), reason) })
	if !errors.Is(err, reason) {
		t.Errorf("got %v, want the function's own error", err)
	}
	wantEmpty(t, s)
}

func panicked(t *testing.T, s store.Store) {
	func() {
		defer func() {
			if got := recover(); got != "broken invariant" {
				t.Errorf("recovered %v, want the function's own panic", got)
			}
		}()
		_ = s.Update(t.Context(), func(tx store.Tx) error {
			if err := several(tx); err != nil {
				t.Error(err)
			}
			panic("broken invariant")
		})
	}()
	wantEmpty(t, s)
}

func cancelled(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Update(ctx, func(tx store.Tx) error {
		err := several(tx)
		cancel()
		return err
	})
	wantKind(t, err, fault.Transient)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it to say that the context was cancelled", err)
	}
	wantKind(t, s.Update(ctx, several), fault.Transient)
	wantEmpty(t, s)
}

func survivesConflict(t *testing.T, s store.Store) {
	second := queued("second", 1)
	second.Submission = queued("a", 0).Submission
	update(t, s, func(tx store.Tx) error {
		err := several(tx)
		wantKind(t, tx.PutRun(second), fault.Conflict)
		return errors.Join(err, tx.PutSetting("after", "kept"))
	})
	view(t, s, func(tx store.Tx) error {
		after, err := tx.Setting("after")
		wantEqual(t, after, "kept")
		_, runErr := tx.Run("a")
		return errors.Join(err, runErr)
	})
}

func snapshot(t *testing.T, s store.Store) {
	update(t, s, func(tx store.Tx) error { return tx.PutSetting("n", "before") })
	view(t, s, func(early store.Tx) error {
		// An update commits while the view is open, before its first read.
		update(t, s, func(tx store.Tx) error { return errors.Join(tx.PutSetting("n", "after"), several(tx)) })
		n, err1 := early.Setting("n")
		runs, err2 := early.Runs(store.RunFilter{})
		wantEqual(t, n, "before")
		wantEqual(t, len(runs), 0)
		view(t, s, func(late store.Tx) error {
			n, err := late.Setting("n")
			wantEqual(t, n, "after")
			return err
		})
		return errors.Join(err1, err2)
	})
	// What is not committed is not seen.
	update(t, s, func(tx store.Tx) error {
		err := tx.PutSetting("n", "open")
		view(t, s, func(beside store.Tx) error {
			n, err := beside.Setting("n")
			wantEqual(t, n, "after")
			return err
		})
		n, ownErr := tx.Setting("n")
		wantEqual(t, n, "open")
		return errors.Join(err, ownErr)
	})
}

func viewWrites(t *testing.T, s store.Store) {
	view(t, s, func(tx store.Tx) error {
		_, entryErr := tx.AppendEntry(entry("a", 0))
		for _, err := range []error{
			entryErr, tx.PutRun(queued("a", 0)), tx.PutSite(fleet.Site{Name: "x"}), tx.PutQuota("x", 1),
			tx.PutQuota("x", -1), tx.PutSetting("x", "y"), tx.DeleteSite("x"),
			tx.AppendDecision(fleet.Decision{Run: "a"}), tx.PutAttempt(recorded("a", 1, 0)),
		} {
			wantKind(t, err, fault.Internal)
		}
		return nil
	})
	wantEmpty(t, s)
}

func stale(t *testing.T, s store.Store) {
	var kept store.Tx
	update(t, s, func(tx store.Tx) error { kept = tx; return nil })
	wantKind(t, kept.PutSetting("late", "x"), fault.Internal)
	view(t, s, func(tx store.Tx) error { kept = tx; return nil })
	_, err := kept.Setting("late")
	wantKind(t, err, fault.Internal)
}

// serialise has workers read, add one and write; a lost update would show.
func serialise(t *testing.T, s store.Store) {
	const workers, times = 8, 12
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := range times {
				err := s.Update(t.Context(), func(tx store.Tx) error {
					text, err := tx.Setting("n")
					n, _ := strconv.Atoi(text) // "" counts as 0
					_, entryErr := tx.AppendEntry(entry(fmt.Sprintf("w%d", w), i))
					return errors.Join(err, entryErr, tx.PutSetting("n", strconv.Itoa(n+1)))
				})
				if err != nil {
					t.Error(err)
				}
				// Views run beside the updates and see both or neither.
				err = s.View(t.Context(), func(tx store.Tx) error {
					text, err := tx.Setting("n")
					if n := strconv.Itoa(len(entries(t, tx, store.EntryFilter{}))); n != text {
						t.Errorf("a view sees %s entries and a count of %s", n, text)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	view(t, s, func(tx store.Tx) error {
		n, err := tx.Setting("n")
		wantEqual(t, n, strconv.Itoa(workers*times))
		return err
	})
}

func closing(t *testing.T, s store.Store) {
	inside, done := make(chan struct{}), make(chan error)
	go func() {
		done <- s.Update(context.Background(), func(tx store.Tx) error {
			close(inside)
			return several(tx)
		})
	}()
	<-inside
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the update under way: %v", err)
	}
	wantKind(t, s.Update(t.Context(), several), fault.Conflict)
	wantKind(t, s.View(t.Context(), several), fault.Conflict)
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}
