package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // registers the "sqlite" driver
)

// busyTimeout is how long a statement waits for a lock that another process
// holds, such as a tool that reads the file, before it is fault.Transient.
const busyTimeout = 5 * time.Second

// pool hands out sessions, each to one transaction at a time.
type pool struct {
	db       *sql.DB
	readOnly bool
	free     chan *session
}

// session is one connection with its prepared statements.
type session struct {
	db    *sql.DB
	conn  *sql.Conn            // nil until first used, and after it broke
	stmts map[string]*sql.Stmt // by text, which is always one of few constants
}

// dsn names a database file to the driver. Options are key, value, key, value, …
func dsn(path string, options ...string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	query := url.Values{}
	for i := 0; i < len(options); i += 2 {
		query.Add(options[i], options[i+1])
	}
	slashed := filepath.ToSlash(absolute)
	if !strings.HasPrefix(slashed, "/") { // C:/…
		slashed = "/" + slashed
	}
	return (&url.URL{Scheme: "file", Path: slashed, RawQuery: query.Encode()}).String(), nil
}

// newPool makes a pool of n sessions, which connect when first used.
func newPool(path string, n int, readOnly bool) (*pool, error) {
	options := []string{
		"_busy_timeout", busyMillis(), "_journal_mode", "WAL", "_synchronous", "FULL", "_foreign_keys", "on",
		// With it, even INSERT OR REPLACE meets the trigger that guards the ledger.
		"_pragma", "recursive_triggers(1)",
	}
	if readOnly {
		options = append(options, "_query_only", "on")
	}
	name, err := dsn(path, options...)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, err
	}
	db.SetMaxIdleConns(n)
	p := &pool{db: db, readOnly: readOnly, free: make(chan *session, n)}
	for range n {
		p.free <- &session{db: db}
	}
	return p, nil
}

// take waits for a free session.
func (p *pool) take(ctx context.Context) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, classify(err, "begin")
	}
	select {
	case s := <-p.free:
		return s, nil
	case <-ctx.Done():
		return nil, classify(ctx.Err(), "wait for other transactions")
	}
}

func (p *pool) give(s *session) { p.free <- s }

// close closes all sessions, which must be free.
func (p *pool) close() error {
	var errs []error
	for range cap(p.free) {
		if s := <-p.free; s.conn != nil {
			s.closeStatements()
			errs = append(errs, s.conn.Close())
		}
	}
	return errors.Join(append(errs, p.db.Close())...)
}

// prepared returns the statement of the text on this session's connection.
func (s *session) prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if s.conn == nil {
		conn, err := s.db.Conn(ctx)
		if err != nil {
			return nil, err
		}
		s.conn, s.stmts = conn, map[string]*sql.Stmt{}
	}
	if stmt := s.stmts[text]; stmt != nil {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	s.stmts[text] = stmt
	return stmt, nil
}

// closeStatements ends the statements, without which SQLite would keep their
// connection open, and the log unfolded, after it is closed.
func (s *session) closeStatements() {
	for _, stmt := range s.stmts {
		_ = stmt.Close()
	}
}

// discard closes a connection whose state is unknown, for good: the session's
// next use makes a new one.
func (s *session) discard() {
	if s.conn == nil {
		return
	}
	s.closeStatements()
	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = s.conn.Close()
	s.conn, s.stmts = nil, nil
}
