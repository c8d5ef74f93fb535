package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

// ContractsDir holds the contracts in force, in files as they were added.
func (c Config) ContractsDir() string { return filepath.Join(c.StateDir, "contracts") }

// ContractTexts reads the files of the contracts in force, as they are.
func (c Config) ContractTexts() ([]spec.Text, error) {
	files, err := filepath.Glob(filepath.Join(c.ContractsDir(), "*.yaml"))
	if err != nil {
		return nil, err
	}
	return texts(files)
}

// Contracts reads the contracts in force. Files that are malformed, and a name
// that two contracts have, are reported as spec.Faults.
func (c Config) Contracts() ([]*contract.Contract, error) {
	files, err := c.ContractTexts()
	if err != nil {
		return nil, err
	}
	return ParseContracts(files)
}

// ParseContracts reads contracts that are to be in force together.
func ParseContracts(files []spec.Text) ([]*contract.Contract, error) {
	return parseAll(files, "contract", contract.Parse, func(one *contract.Contract) string { return one.Name })
}

// AddContracts puts files of contracts in force; one replaces an earlier one of
// its name. All are checked, alone and with those in force, before one is kept.
func (c Config) AddContracts(files []spec.Text) ([]*contract.Contract, error) {
	added, err := ParseContracts(files)
	if err != nil {
		return nil, err
	}
	if err := c.together(added, files); err != nil {
		return nil, err
	}
	for _, file := range files {
		if err := keep(c.ContractsDir(), forceName(file.File), file.Data); err != nil {
			return nil, err
		}
	}
	return added, nil
}

// forceName is the name of a contract file in force.
func forceName(path string) string {
	return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)) + ".yaml"
}

// together refuses contracts of a name that another file in force has, and those
// that cannot be billed together.
func (c Config) together(added []*contract.Contract, files []spec.Text) error {
	replaced := map[string]bool{}
	for _, file := range files {
		if replaced[forceName(file.File)] {
			return fault.Newf(fault.Invalid, "%s: another file of that name is added with it", file.File)
		}
		replaced[forceName(file.File)] = true
	}
	inForce, err := c.ContractTexts()
	if err != nil {
		return err
	}
	inForce = slices.DeleteFunc(inForce, func(file spec.Text) bool { return replaced[filepath.Base(file.File)] })
	others, err := ParseContracts(inForce)
	if err != nil {
		return err
	}
	for _, other := range others {
		for _, one := range added {
			if one.Name == other.Name {
				return fault.Newf(fault.Conflict, "contract %s is in force from %s; remove it first: yard contracts remove %s", one.Name, filepath.Base(other.File), one.Name)
			}
		}
	}
	for _, contracts := range billing.ByCurrency(slices.Concat(added, others)) {
		if _, err := billing.NewBook(contracts); err != nil {
			return err
		}
	}
	return nil
}

// RemoveContract takes a contract out of force with its file. A file that is
// malformed is removed by its own name, with or without .yaml.
func (c Config) RemoveContract(name string) error {
	files, err := c.ContractTexts()
	if err != nil {
		return err
	}
	var names []string
	for _, file := range files {
		held, err := contract.Parse(file.File, file.Data)
		if err != nil {
			if base := filepath.Base(file.File); base == name || base == name+".yaml" {
				return os.Remove(file.File)
			}
			continue
		}
		for _, one := range held {
			names = append(names, one.Name)
		}
		if !slices.ContainsFunc(held, func(one *contract.Contract) bool { return one.Name == name }) {
			continue
		}
		if len(held) > 1 {
			return fault.Newf(fault.Conflict, "%s holds %d contracts; take %s out of it and add it again: yard contracts add", file.File, len(held), name)
		}
		return os.Remove(file.File)
	}
	return fault.Newf(fault.NotFound, "no contract %q is in force%s", name, spec.DidYouMean(name, names))
}
