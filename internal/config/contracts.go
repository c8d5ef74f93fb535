package config

import (
	"os"
	"path/filepath"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

// ContractsDir holds the contracts in force, in files as they were added.
func (c Config) ContractsDir() string { return filepath.Join(c.StateDir, "contracts") }

// ContractFiles lists the files of the contracts in force.
func (c Config) ContractFiles() ([]string, error) {
	return filepath.Glob(filepath.Join(c.ContractsDir(), "*.yaml"))
}

// Contracts reads the contracts in force. A file that is malformed, and a name
// that two contracts have, are reported as spec.Faults.
func (c Config) Contracts() ([]*contract.Contract, error) {
	files, err := c.ContractFiles()
	if err != nil {
		return nil, err
	}
	var contracts []*contract.Contract
	var faults spec.Faults
	owner := map[string]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		read, err := contract.Parse(file, data)
		if err != nil {
			return nil, err
		}
		for _, one := range read {
			if other, taken := owner[one.Name]; taken {
				faults = append(faults, spec.Fault{File: file, Field: "name", Message: "contract " + one.Name + " is also in " + other})
			}
			owner[one.Name] = file
		}
		contracts = append(contracts, read...)
	}
	return contracts, faults.Err()
}
