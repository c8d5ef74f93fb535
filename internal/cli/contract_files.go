package cli

import (
	"errors"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/config"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

// loadContracts reads the contracts of files and of the YAML files of
// directories, and reports all their faults at once.
func loadContracts(paths []string) ([]*contract.Contract, error) {
	files, err := contractFiles(paths)
	if err != nil {
		return nil, err
	}
	var contracts []*contract.Contract
	var faults spec.Faults
	owner := map[string]string{}
	for _, file := range files {
		data, err := config.ReadFile(file)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "contracts")
		}
		found, err := contract.Parse(file, data)
		var wrong spec.Faults
		if errors.As(err, &wrong) {
			faults = append(faults, wrong...)
			continue
		}
		for _, c := range found {
			if other, taken := owner[c.Name]; taken {
				faults = append(faults, spec.Fault{File: file, Field: "name", Message: "contract " + c.Name + " is also in " + other})
			}
			owner[c.Name] = file
		}
		contracts = append(contracts, found...)
	}
	return contracts, faults.Err()
}

func contractFiles(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "contracts")
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "contracts")
		}
		for _, entry := range entries {
			if ext := strings.ToLower(filepath.Ext(entry.Name())); !entry.IsDir() && (ext == ".yaml" || ext == ".yml") {
				files = append(files, filepath.Join(path, entry.Name()))
			}
		}
	}
	sort.Strings(files)
	if len(files) == 0 {
		return nil, fault.Newf(fault.Invalid, "no contract files (*.yaml) in %s", strings.Join(paths, ", "))
	}
	return files, nil
}
