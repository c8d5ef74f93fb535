package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// tx is one transaction on one session. It keeps the context of the call that
// it lives in, since the port's methods carry none.
type tx struct {
	ctx      context.Context
	session  *session
	readOnly bool
	open     bool
	broken   error // why nothing more can be done in it
}

// statement prepares for one statement. A cancelled one would leave it open
// whether it took effect, so the context is looked at between statements, each
// of which is short, and does not reach them.
func (t *tx) statement(text string) (*sql.Stmt, context.Context, error) {
	if !t.open {
		return nil, nil, fault.New(fault.Internal, "store: the transaction is over")
	}
	if t.broken != nil {
		return nil, nil, t.broken
	}
	if err := t.ctx.Err(); err != nil {
		return nil, nil, err
	}
	whole := context.WithoutCancel(t.ctx)
	stmt, err := t.session.prepared(whole, text)
	return stmt, whole, err
}

// exec runs a statement that changes the store.
func (t *tx) exec(text string, args ...any) (sql.Result, error) {
	if t.readOnly {
		return nil, fault.New(fault.Internal, "store: a view cannot write")
	}
	return t.run(text, args...)
}

func (t *tx) run(text string, args ...any) (sql.Result, error) {
	stmt, ctx, err := t.statement(text)
	if err != nil {
		return nil, err
	}
	result, err := stmt.ExecContext(ctx, args...)
	return result, t.failed(err)
}

func (t *tx) query(text string, args ...any) (*sql.Rows, error) {
	stmt, ctx, err := t.statement(text)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	return rows, t.failed(err)
}

// failed notes a failure after which SQLite may have rolled back already, as
// on a full disk: what a caller that goes on writes would then be committed
// statement by statement. A refused value leaves the transaction as it was.
func (t *tx) failed(err error) error {
	var cause *sqlite.Error
	if errors.As(err, &cause) && cause.Code()&0xff != lib.SQLITE_CONSTRAINT {
		t.broken = err
	}
	return err
}

func (t *tx) begin() error {
	t.open = true
	text := "BEGIN IMMEDIATE"
	if t.readOnly {
		text = "BEGIN DEFERRED"
	}
	_, err := t.run(text)
	return classify(err, "begin")
}

// commit ends the transaction. When it fails, nothing of it remains.
func (t *tx) commit() error {
	if _, err := t.run("COMMIT"); err != nil {
		return classify(err, "commit")
	}
	t.open = false
	return nil
}

// finish makes sure that no transaction is left on the session.
func (t *tx) finish() {
	if !t.open {
		return
	}
	// Rolling back must work for a cancelled caller too. It fails where SQLite
	// did it already, on a full disk for example; a fresh connection is then
	// the one sure way to a known state.
	t.ctx, t.broken = context.WithoutCancel(t.ctx), nil
	if _, err := t.run("ROLLBACK"); err != nil {
		t.session.discard()
	}
	t.open = false
}

// scanner is the row of a query.
type scanner interface{ Scan(into ...any) error }

// all lists the rows of a query.
func all[T any](t *tx, scan func(scanner) (T, error), text string, args ...any) ([]T, error) {
	rows, err := t.query(text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells what mattered
	var found []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, t.failed(rows.Err())
}

// errAbsent says that a query for one row found none.
var errAbsent = errors.New("no such row")

// one returns the only row of a query, or errAbsent.
func one[T any](t *tx, scan func(scanner) (T, error), text string, args ...any) (T, error) {
	found, err := all(t, scan, text, args...)
	if err == nil && len(found) == 0 {
		err = errAbsent
	}
	if err != nil {
		var zero T
		return zero, err
	}
	return found[0], nil
}
