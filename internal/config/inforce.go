package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

// texts reads files whole.
func texts(files []string) ([]spec.Text, error) {
	var all []spec.Text
	for _, file := range files {
		data, err := ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // taken out of force just now
		}
		if err != nil {
			return nil, err
		}
		all = append(all, spec.Text{File: file, Data: data})
	}
	return all, nil
}

// readAll reads files of things in force.
func readAll[T any](files []string, kind string, parse func(file string, data []byte) ([]T, error), name func(T) string) ([]T, error) {
	all, err := texts(files)
	if err != nil {
		return nil, err
	}
	return parseAll(all, kind, parse, name)
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

// keep writes a file of a directory whole or not at all: a control plane may
// read it now, and the machine may stop at any time.
func keep(dir, name string, data []byte) error {
	if strings.HasPrefix(name, ".") {
		return fault.Newf(fault.Invalid, "%q: a file in force has a name that does not begin with a dot", name)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, ".new-*")
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
	return nil
}
