// Package sqlite owns the store in one SQLite file: its schema, the migrations
// between versions, transactions, backup, check and restore.
//
// It refuses a database of a newer version, which it leaves as it found it, and
// any change to what the ledger holds: triggers in the schema forbid both
// update and deletion. It does not lock the state directory; its caller does.
package sqlite

import (
	"context"
	"sync"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/store"
)

// readers is how many views run at once, beside the one update.
const readers = 4

// Store is a store in one SQLite file. Its methods are safe for concurrent use.
type Store struct {
	path   string
	writer *pool // one session: updates queue in Go, not on SQLite's lock
	reader *pool

	mu     sync.Mutex // guards closed, and under from growing once it is set
	closed bool
	under  sync.WaitGroup // transactions under way
}

var _ store.Store = (*Store)(nil)

// Open opens the store in the file, which it creates or migrates forward as
// needed. A database of a newer version is refused with fault.Conflict and
// stays untouched; a file that is not a Switchyard database is fault.Invalid.
func Open(ctx context.Context, path string) (*Store, error) {
	return open(ctx, path, migrations())
}

// Update runs fn in one serializable read-write transaction. It waits for
// other updates as long as ctx allows; the commit ends in an fsync. A failing
// disk, a full one say, is fault.Transient, and the store stays usable. fn must
// not call Update.
func (s *Store) Update(ctx context.Context, fn func(store.Tx) error) error {
	return s.transact(ctx, s.writer, fn)
}

// View runs fn on the snapshot that is current when View begins.
func (s *Store) View(ctx context.Context, fn func(store.Tx) error) error {
	return s.transact(ctx, s.reader, func(t store.Tx) error {
		// SQLite takes the snapshot at the first read of a transaction.
		if _, err := t.Setting(""); err != nil {
			return err
		}
		return fn(t)
	})
}

// Close waits for transactions under way and closes the file. A second Close
// is harmless.
func (s *Store) Close() error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	s.under.Wait()
	if again {
		return nil
	}
	// The writer goes last: the last connection folds the write-ahead log into
	// the file, which a read-only one could not.
	readErr := s.reader.close()
	if err := s.writer.close(); err != nil {
		return classify(err, "close the store")
	}
	return classify(readErr, "close the store")
}

// enter counts a transaction in, unless the store is closed.
func (s *Store) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fault.New(fault.Conflict, "the store is closed")
	}
	s.under.Add(1)
	return nil
}

// transact runs fn between a begin and a commit on a session of the pool, and
// rolls back when fn fails or panics.
func (s *Store) transact(ctx context.Context, p *pool, fn func(store.Tx) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.under.Done()
	session, err := p.take(ctx)
	if err != nil {
		return err
	}
	t := &tx{ctx: ctx, session: session, readOnly: p.readOnly}
	defer func() {
		t.finish()
		p.give(session)
	}()
	if err := t.begin(); err != nil {
		return err
	}
	if err := fn(t); err != nil {
		return err
	}
	return t.commit()
}
