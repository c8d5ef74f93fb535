package sqlite

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/store"
)

// pragma sets something on the writer's connection.
func pragma(t *testing.T, s *Store, text string) {
	t.Helper()
	session, err := s.writer.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.writer.give(session)
	stmt, err := session.prepared(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stmt.ExecContext(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// big is a transaction of n settings of a page each, for writer w.
func big(w, n int) func(store.Tx) error {
	return func(tx store.Tx) error {
		for i := range n {
			if err := tx.PutSetting(fmt.Sprintf("%d/%d", w, i), string(make([]byte, 4096))); err != nil {
				return err
			}
		}
		return tx.PutRun(fleet.Run{ID: fmt.Sprint(w)})
	}
}

// fill updates until one fails and returns how many did not, with the failure.
func fill(s *Store) (done int, err error) {
	for ; done < 1000; done++ {
		if err := s.Update(bg(), big(done, 20)); err != nil {
			return done, err
		}
	}
	return done, nil
}

// wantDone checks that n transactions are there, each whole.
func wantDone(s *Store, n int) error {
	return s.View(bg(), func(tx store.Tx) error {
		runs, err := tx.Runs(store.RunFilter{})
		if err != nil || len(runs) != n {
			return fmt.Errorf("%d transactions are left of %d: %w", len(runs), n, err)
		}
		for w := range n + 1 {
			for i := range 20 {
				value, err := tx.Setting(fmt.Sprintf("%d/%d", w, i))
				if err != nil || (value != "") != (w < n) {
					return fmt.Errorf("transaction %d of %d is not whole: %w", w, n, err)
				}
			}
		}
		return nil
	})
}

func TestFullDatabase(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "state.db"))
	if err := s.Update(t.Context(), func(store.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	pragma(t, s, `PRAGMA max_page_count = 200`)
	done, err := fill(s)
	if !fault.Is(err, fault.Transient) || done == 0 {
		t.Fatalf("%d transactions, then %v (%s); want some, then a transient fault", done, err, fault.KindOf(err))
	}
	if err := wantDone(s, done); err != nil {
		t.Error(err)
	}
	// SQLite has rolled back by itself when a statement meets a full disk. A
	// caller that does not look must not commit the rest of its work alone.
	pragma(t, s, `PRAGMA max_page_count = 200`)
	err = s.Update(t.Context(), func(tx store.Tx) error {
		_ = big(done, 100)(tx)
		_ = tx.PutSetting("after", "the failure")
		return nil
	})
	if !fault.Is(err, fault.Transient) {
		t.Errorf("a failure that was overlooked: got %v, want a transient fault", err)
	}
	if err := wantDone(s, done); err != nil {
		t.Error(err)
	}
	if err := s.View(t.Context(), func(tx store.Tx) error {
		after, err := tx.Setting("after")
		if after != "" {
			t.Error("what followed the failure was committed")
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	pragma(t, s, `PRAGMA max_page_count = 100000`)
	if err := s.Update(t.Context(), big(done, 20)); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if err := wantDone(s, done+1); err != nil {
		t.Error(err)
	}
}
