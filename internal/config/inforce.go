package config

import (
	"os"

	"github.com/switchyard-ai/switchyard/internal/spec"
)

// readAll reads files of things in force. A file that is malformed is reported
// as spec.Faults, and so is a name that two things of the kind have.
func readAll[T any](files []string, kind string, parse func(file string, data []byte) ([]T, error), name func(T) string) ([]T, error) {
	var all []T
	var faults spec.Faults
	owner := map[string]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		read, err := parse(file, data)
		if err != nil {
			return nil, err
		}
		for _, one := range read {
			if other, taken := owner[name(one)]; taken {
				faults = append(faults, spec.Fault{File: file, Field: "name", Message: kind + " " + name(one) + " is also in " + other})
			}
			owner[name(one)] = file
		}
		all = append(all, read...)
	}
	return all, faults.Err()
}
