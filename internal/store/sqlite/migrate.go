package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/pressly/goose/v3"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// applicationID marks the file as ours ("YARD") in SQLite's header; the first
// migration sets it.
const applicationID = 0x59415244

// migrations are the steps from an empty database to the version this program
// knows. Those of a released version are never changed.
func migrations() fs.FS {
	sub, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return sub
}

// open is Open with given migrations, so that tests can add some.
func open(ctx context.Context, path string, steps fs.FS) (*Store, error) {
	writer, err := newPool(path, 1, false)
	if err != nil {
		return nil, classify(err, "open "+path)
	}
	if err := migrate(ctx, path, writer.db, steps); err != nil {
		_ = writer.close() // it never served
		return nil, err
	}
	reader, err := newPool(path, readers, true)
	if err != nil {
		_ = writer.close()
		return nil, classify(err, "open "+path)
	}
	return &Store{path: path, writer: writer, reader: reader}, nil
}

// migrate brings the file to the version of the steps. It looks at the file
// without touching it first.
func migrate(ctx context.Context, path string, db *sql.DB, steps fs.FS) error {
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, steps, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fault.Wrap(fault.Internal, err, "store: read migrations")
	}
	sources := provider.ListSources()
	known := sources[len(sources)-1].Version
	found, err := inspect(ctx, path)
	if err != nil {
		return err
	}
	if err := refuseNewer(path, found, known); err != nil || found == known {
		return err
	}
	if !exists(path) {
		if err := createPrivate(path); err != nil { // SQLite gives its log the same permissions
			return fault.Wrap(fault.Invalid, err, "store: create")
		}
	}
	if _, err := provider.Up(ctx); err != nil {
		return classify(err, "migrate "+path)
	}
	return classify(syncDir(filepath.Dir(path)), "create "+path)
}

func refuseNewer(path string, found, known int64) error {
	if found <= known {
		return nil
	}
	return fault.Newf(fault.Conflict, "%s has state version %d and this yard knows versions up to %d; "+
		"nothing was changed: use a newer yard, or restore a backup", path, found, known)
}

// knownVersion is the version that this program writes.
func knownVersion() (int64, error) {
	names, err := fs.Glob(migrations(), "*.sql")
	if err != nil || len(names) == 0 {
		return 0, errors.Join(errors.New("no migrations"), err)
	}
	return goose.NumericComponent(names[len(names)-1]) // Glob sorts
}

// inspect returns the version of the database in the file without changing a
// byte of it, and 0 for a file that is missing or empty. What is not a database
// of ours is fault.Invalid.
func inspect(ctx context.Context, path string) (int64, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, fault.Wrap(fault.Internal, err, "store: open "+path)
	case info.Size() == 0 && !exists(path+"-wal"):
		return 0, nil
	}
	db, err := openReadOnly(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	var id, tables, version int64
	if err := db.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&id); err != nil {
		return 0, classify(err, "read "+path)
	}
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema`).Scan(&tables); err != nil {
		return 0, classify(err, "read "+path)
	}
	if tables == 0 && id == 0 { // created, and killed before the first migration
		return 0, nil
	}
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&version)
	switch {
	case err != nil && id == applicationID:
		return 0, classify(err, "read the version of "+path)
	case err != nil, id != applicationID && version > 0:
		return 0, fault.Newf(fault.Invalid, "%s is a database of another program", path)
	}
	return version, nil
}

// openReadOnly opens a database such that nothing in its folder changes, where
// possible: with a write-ahead log that holds data, SQLite needs an index of it.
func openReadOnly(path string) (*sql.DB, error) {
	options := []string{"mode", "ro", "_busy_timeout", busyMillis()}
	if !exists(path + "-wal") {
		options = append(options, "immutable", "1")
	}
	name, err := dsn(path, options...)
	if err != nil {
		return nil, classify(err, "open "+path)
	}
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, classify(err, "open "+path)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// syncDir makes the names in a folder durable. Windows has no such call: its
// file systems log changes of names by themselves.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
