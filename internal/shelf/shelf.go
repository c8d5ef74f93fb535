// Package shelf owns the directory in which a bill is kept between invocations:
// a book of billing, put away as a head and a file for each day, and the digests
// of the usage files that are in it.
//
// It refuses to read what it keeps (billing) and to change a file: a bill that
// is kept anew is written beside the old one, and one rename puts it in force. A
// process killed at any instruction leaves the old bill or the new one.
package shelf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Taken is a usage file that is in the bill.
type Taken struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// catalog is the file that names all others; it is replaced whole.
type catalog struct {
	Version    int               `json:"version"`
	Generation int               `json:"generation"`
	Resources  bool              `json:"resources"` // usage is kept by resource
	Taken      []Taken           `json:"taken"`
	Head       string            `json:"head"`
	Days       map[string]string `json:"days"` // file by day
}

const (
	catalogName    = "bill.json"
	catalogVersion = 1
	lockName       = "lock"
	partSuffix     = ".part"
)

// Shelf is an open directory. It is not safe for concurrent use.
type Shelf struct {
	dir     string
	lock    *flock.Flock
	catalog catalog
}

// Open opens a directory, which is made where it is missing, and holds it:
// while another process does, that is fault.Conflict. A directory with files of
// another program is fault.Invalid.
func Open(dir string) (*Shelf, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "state")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "state")
	}
	for _, e := range entries {
		if name := e.Name(); name != catalogName && name != lockName && !strings.HasSuffix(name, partSuffix) {
			return nil, fault.Newf(fault.Invalid, "%s holds %s, which is no part of a bill; name an empty directory", dir, name)
		}
	}
	s := &Shelf{dir: dir, lock: flock.New(filepath.Join(dir, lockName))}
	if held, err := s.lock.TryLock(); err != nil || !held {
		return nil, fault.Newf(fault.Conflict, "%s is in use by another yard", dir)
	}
	if err := s.read(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Shelf) read() error {
	data, err := os.ReadFile(filepath.Join(s.dir, catalogName))
	if errors.Is(err, fs.ErrNotExist) {
		s.catalog = catalog{Version: catalogVersion, Days: map[string]string{}}
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &s.catalog); err != nil {
		return fault.Wrap(fault.Invalid, err, filepath.Join(s.dir, catalogName))
	}
	if s.catalog.Version != catalogVersion {
		return fault.Newf(fault.Conflict, "%s was kept in form %d and this yard knows form %d; bill anew into an empty directory", s.dir, s.catalog.Version, catalogVersion)
	}
	if s.catalog.Days == nil {
		s.catalog.Days = map[string]string{}
	}
	return nil
}

// Close lets go of the directory.
func (s *Shelf) Close() error { return s.lock.Unlock() }

// Empty reports whether no bill is kept yet.
func (s *Shelf) Empty() bool { return s.catalog.Head == "" }

// Resources reports whether the bill holds usage by resource.
func (s *Shelf) Resources() bool { return s.catalog.Resources }

// Taken lists the usage files that are in the bill.
func (s *Shelf) Taken() []Taken { return s.catalog.Taken }

// Days counts the days that are kept.
func (s *Shelf) Days() int { return len(s.catalog.Days) }

// Holds returns the name under which a file of this digest was taken.
func (s *Shelf) Holds(digest string) (name string, ok bool) {
	for _, t := range s.catalog.Taken {
		if t.SHA256 == digest {
			return t.Name, true
		}
	}
	return "", false
}

// Head returns what Book.Head wrote.
func (s *Shelf) Head() ([]byte, error) { return s.file(s.catalog.Head) }

// Day returns what Book.Day wrote of a day, nil where nothing was.
func (s *Shelf) Day(day time.Time) ([]byte, error) {
	name, known := s.catalog.Days[day.Format(time.DateOnly)]
	if !known {
		return nil, nil
	}
	return s.file(name)
}

func (s *Shelf) file(name string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(s.dir, filepath.Base(name)))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "state")
	}
	return data, nil
}

// Keep puts the book away, with the files that were taken into it since.
func (s *Shelf) Keep(book *billing.Book, taken []Taken, resources bool) error {
	next := catalog{
		Version: catalogVersion, Generation: s.catalog.Generation + 1, Resources: resources,
		Taken: append(append([]Taken{}, s.catalog.Taken...), taken...), Days: map[string]string{},
	}
	for day, name := range s.catalog.Days {
		next.Days[day] = name
	}
	for _, day := range book.Touched() {
		text := day.Format(time.DateOnly)
		data := book.Day(day)
		if data == nil {
			delete(next.Days, text)
			continue
		}
		next.Days[text] = fmt.Sprintf("%s-%d%s", text, next.Generation, partSuffix)
		if err := s.write(next.Days[text], data); err != nil {
			return err
		}
	}
	next.Head = fmt.Sprintf("head-%d%s", next.Generation, partSuffix)
	if err := s.write(next.Head, book.Head()); err != nil {
		return err
	}
	data, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return err
	}
	const fresh = "next" + partSuffix
	if err := s.write(fresh, append(data, '\n')); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(s.dir, fresh), filepath.Join(s.dir, catalogName)); err != nil {
		return err
	}
	s.catalog = next
	return s.sweep()
}

// write makes a file durable under a name that is not in force yet.
func (s *Shelf) write(name string, data []byte) error {
	file, err := os.OpenFile(filepath.Join(s.dir, name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Sync(), file.Close())
}

// sweep removes the parts that are not in force: of the bill before, and of
// one that was killed while it was kept.
func (s *Shelf) sweep() error {
	inForce := map[string]bool{s.catalog.Head: true}
	for _, name := range s.catalog.Days {
		inForce[name] = true
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), partSuffix) && !inForce[e.Name()] {
			err = errors.Join(err, os.Remove(filepath.Join(s.dir, e.Name())))
		}
	}
	return err
}
