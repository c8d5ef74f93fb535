package config

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

// Files of a directory in force change all at once. Those that come are written
// together into one journal; the rename that gives it its name puts all of them
// in force, and only then each is written under its own name. Readers put what
// the journal holds before the directory's files, so a process killed between
// leaves no part: the next change writes what is left of it.
const (
	journalName = ".adding"
	freshFiles  = ".new-*" // not in force; one that is left was killed while it was written
)

// mostName bounds a file's name in bytes, so that a file system takes it.
const mostName = 200

// mostLooks bounds how often a directory is read that changes while it is read.
const mostLooks = 100

// plainName refuses a name that a file in force cannot have.
func plainName(name string) error {
	if len(name) > mostName {
		return fault.Newf(fault.Invalid, "a file's name has %d bytes; at most %d are valid", len(name), mostName)
	}
	printable := func(r rune) bool { return unicode.IsPrint(r) && r != '/' }
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !printable(r) }) {
		return fault.Newf(fault.Invalid, "found the file name %q; one of printable characters without slashes is valid", name)
	}
	if name == "" || strings.HasPrefix(name, ".") {
		return fault.Newf(fault.Invalid, "found the file name %q; one that does not begin with a dot is valid", name)
	}
	return nil
}

// texts reads the files in force of a directory, as they were at one instant,
// in the order of their names.
func texts(dir string) ([]spec.Text, error) {
	for range mostLooks {
		before, err := look(dir)
		if err != nil {
			return nil, err
		}
		all, failed := textsNow(dir)
		after, err := look(dir)
		if err != nil {
			return nil, err
		}
		if slices.EqualFunc(before, after, sameFile) {
			return all, failed
		}
	}
	return nil, fault.Newf(fault.Transient, "the %s in force change faster than they can be read", filepath.Base(dir))
}

func look(dir string) ([]fs.FileInfo, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []fs.FileInfo
	for _, entry := range entries {
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, info)
	}
	return all, nil
}

func sameFile(a, b fs.FileInfo) bool {
	return a.Name() == b.Name() && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
}

func textsNow(dir string) ([]spec.Text, error) {
	coming, err := journal(dir)
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var all []spec.Text
	for _, file := range files {
		if _, replaced := coming[filepath.Base(file)]; replaced {
			continue
		}
		data, err := ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // taken out of force just now
		}
		if err != nil {
			return nil, err
		}
		all = append(all, spec.Text{File: file, Data: data})
	}
	for name, data := range coming {
		all = append(all, spec.Text{File: filepath.Join(dir, name), Data: data})
	}
	slices.SortFunc(all, func(a, b spec.Text) int { return strings.Compare(a.File, b.File) })
	return all, nil
}

// journal reads the files that are in force and may not have been written under
// their names yet.
func journal(dir string) (map[string][]byte, error) {
	data, err := os.ReadFile(filepath.Join(dir, journalName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var coming map[string][]byte
	if err := json.Unmarshal(data, &coming); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, filepath.Base(dir)+"/"+journalName)
	}
	for name := range coming {
		if err := plainName(name); err != nil {
			return nil, err
		}
	}
	return coming, nil
}

// keepAll puts files of a directory in force, by name, all or none.
func keepAll(dir string, files map[string][]byte) error {
	for name := range files {
		if err := plainName(name); err != nil {
			return err
		}
		if info, err := os.Lstat(filepath.Join(dir, name)); err == nil && info.IsDir() {
			return fault.Newf(fault.Conflict, "%s/%s of the state directory is a directory; remove it there", filepath.Base(dir), name)
		}
	}
	if err := complete(dir); err != nil {
		return err
	}
	if err := commit(dir, files); err != nil {
		return err
	}
	// They are in force: what cannot be written now is left to the next change.
	_ = complete(dir)
	return nil
}

// commit puts files in force: all of them from the rename of the journal on.
func commit(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	data, err := json.Marshal(files)
	if err != nil {
		return err
	}
	return keep(dir, journalName, data)
}

// complete writes what the journal holds under its names, and removes what a
// process left that was killed before it put anything in force.
func complete(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, freshFiles))
	if err != nil {
		return err
	}
	for _, file := range left {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	coming, err := journal(dir)
	if err != nil || coming == nil {
		return err
	}
	for name, data := range coming {
		if err := keep(dir, name, data); err != nil {
			return err
		}
	}
	return os.Remove(filepath.Join(dir, journalName))
}

// drop takes a file out of force.
func drop(dir, name string) error {
	if err := complete(dir); err != nil {
		return err
	}
	return os.Remove(filepath.Join(dir, name))
}

// keep writes a file of a directory whole or not at all: a control plane may
// read it now, and the machine may stop at any time.
func keep(dir, name string, data []byte) error {
	file, err := os.CreateTemp(dir, freshFiles)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return synced(dir)
}

// synced makes the names of a directory durable.
func synced(dir string) error {
	open, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(open.Sync(), open.Close())
}

// parseAll reads texts. Files that are malformed are reported together as
// spec.Faults, and so is a name that two things of the kind have.
func parseAll[T any](files []spec.Text, kind string, parse func(file string, data []byte) ([]T, error), name func(T) string) ([]T, error) {
	var all []T
	var faults spec.Faults
	owner := map[string]string{}
	for _, text := range files {
		read, err := parse(text.File, text.Data)
		var wrong spec.Faults
		if errors.As(err, &wrong) {
			faults = append(faults, wrong...)
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, one := range read {
			if other, taken := owner[name(one)]; taken {
				faults = append(faults, spec.Fault{File: text.File, Field: "name", Message: kind + " " + name(one) + " is also in " + other})
			}
			owner[name(one)] = text.File
		}
		all = append(all, read...)
	}
	return all, faults.Err()
}
