package config

import (
	"path/filepath"

	"github.com/switchyard-ai/switchyard/internal/contract"
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
	return readAll(files, "contract", contract.Parse, func(one *contract.Contract) string { return one.Name })
}
