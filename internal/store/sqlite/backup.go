package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Backup writes a consistent copy of the store to a new file, while
// transactions go on. The file is whole and durable, or it is empty or absent.
// A path that exists is fault.Conflict.
func (s *Store) Backup(ctx context.Context, path string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.under.Done()
	if err := reserve(path); err != nil {
		return err
	}
	if err := s.copyTo(ctx, path); err != nil {
		return errors.Join(classify(err, "back up to "+path), os.Remove(path))
	}
	return nil
}

// copyTo writes the copy under another name first, so that a crash leaves no
// half of one under the name that was asked for.
func (s *Store) copyTo(ctx context.Context, path string) error {
	partial := path + ".partial"
	if err := os.Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := createPrivate(partial); err != nil { // SQLite fills an empty file
		return err
	}
	defer func() { _ = os.Remove(partial) }() // gone already when all went well
	conn, err := s.writer.db.Conn(ctx)        // beside the writer's session: it only reads
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, `VACUUM INTO ?1`, partial); err != nil {
		return err
	}
	return install(partial, path)
}

// reserve creates an empty file under a name that must be free.
func reserve(path string) error {
	err := createPrivate(path)
	if errors.Is(err, fs.ErrExist) {
		return fault.Newf(fault.Conflict, "%s exists; a backup needs a new name", path)
	}
	return fault.Wrap(fault.Invalid, err, "store: back up")
}

// createPrivate creates an empty file that only its owner may read: workload
// files and the server's token are in the state.
func createPrivate(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}

// install makes a file's bytes durable and gives it its name, in one step.
func install(from, to string) error {
	file, err := os.OpenFile(from, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

// Check verifies that the file is a whole Switchyard database and returns its
// version. It changes nothing. Damage is fault.Invalid, a newer version than
// this program knows fault.Conflict, a missing file fault.NotFound.
func Check(ctx context.Context, path string) (version int64, err error) {
	if !exists(path) {
		return 0, fault.Newf(fault.NotFound, "no file %s", path)
	}
	version, err = inspect(ctx, path)
	switch {
	case fault.Is(err, fault.Internal):
		return 0, fault.Wrap(fault.Invalid, err, path+" is damaged")
	case err != nil:
		return 0, err
	}
	if version == 0 {
		return 0, fault.Newf(fault.Invalid, "%s holds no Switchyard state", path)
	}
	known, err := knownVersion()
	if err != nil {
		return 0, fault.Wrap(fault.Internal, err, "store: read migrations")
	}
	if err := refuseNewer(path, version, known); err != nil {
		return version, err
	}
	return version, checkPages(ctx, path)
}

// checkPages runs SQLite's own verification of every page, index and reference.
func checkPages(ctx context.Context, path string) error {
	db, err := openReadOnly(path)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	var verdict string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict); err != nil {
		return fault.Wrap(fault.Invalid, err, path+" is damaged")
	}
	if verdict != "ok" {
		return fault.Newf(fault.Invalid, "%s is damaged: %s", path, verdict)
	}
	rows, err := db.QueryContext(ctx, `PRAGMA foreign_key_check`)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, path+" is damaged")
	}
	defer func() { _ = rows.Close() }()
	if rows.Next() {
		return fault.Newf(fault.Invalid, "%s is damaged: a row refers to one that is missing", path)
	}
	return classify(rows.Err(), "check "+path)
}

// Restore puts a copy of the backup in the place of the database, in one step:
// whenever it is cut short, the old state or the new one is there, whole. What
// was there before is kept beside it as database+".replaced". The lock file is
// the one that the state directory's holder locks (flock); when another process
// holds it, Restore changes nothing and returns fault.Conflict.
func Restore(ctx context.Context, backup, database, lock string) error {
	held := flock.New(lock)
	locked, err := held.TryLock()
	if err != nil {
		return fault.Wrap(fault.Internal, err, "store: lock "+lock)
	}
	if !locked {
		return fault.Newf(fault.Conflict, "%s is in use by another yard; stop it before a restore", filepath.Dir(database))
	}
	defer func() { _ = held.Unlock() }() // the lock file stays: removing it would race with the next holder
	if _, err := Check(ctx, backup); err != nil {
		return err
	}
	partial := database + ".partial"
	if err := copyBackup(ctx, backup, partial); err != nil {
		_ = os.Remove(partial)
		return err
	}
	if err := setAside(ctx, database); err != nil {
		return err
	}
	return classify(install(partial, database), "restore "+database)
}

// copyBackup copies a database file and verifies the copy, which is what will
// be used.
func copyBackup(ctx context.Context, from, to string) error {
	if exists(from + "-wal") {
		return fault.Newf(fault.Invalid, "%s is a store in use, not a backup: make one with yard backup", from)
	}
	if err := copyFile(from, to); err != nil {
		return fault.Wrap(fault.Transient, err, "store: copy "+from)
	}
	_, err := Check(ctx, to)
	return err
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Sync(), target.Close())
}

// setAside keeps the old database under a second name and makes sure that no
// write-ahead log of it is left, which SQLite would replay into the new one.
func setAside(ctx context.Context, database string) error {
	if !exists(database) {
		return nil
	}
	kept := database + ".replaced"
	for _, old := range []string{kept, kept + "-wal"} {
		if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fault.Wrap(fault.Internal, err, "store: restore")
		}
	}
	if err := fold(ctx, database); err != nil || exists(database+"-wal") {
		// It is too damaged to be folded; its log goes with it to the kept name.
		if err := os.Rename(database+"-wal", kept+"-wal"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fault.Wrap(fault.Internal, err, "store: restore")
		}
	}
	if err := os.Remove(database + "-shm"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(fault.Internal, err, "store: restore")
	}
	if err := copyFile(database, kept); err != nil {
		return fault.Wrap(fault.Transient, err, "store: keep the state that is replaced")
	}
	return nil
}

// fold moves what the write-ahead log holds into the database, which closing
// the last connection to it does.
func fold(ctx context.Context, database string) error {
	name, err := dsn(database, "_busy_timeout", busyMillis())
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	return errors.Join(err, db.Close())
}
