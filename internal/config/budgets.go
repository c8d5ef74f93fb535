package config

import (
	"os"
	"path/filepath"

	"github.com/switchyard-ai/switchyard/internal/budget"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

// BudgetsDir holds the budgets in force, a file each.
func (c Config) BudgetsDir() string { return filepath.Join(c.StateDir, "budgets") }

// Budgets reads the budgets in force. A file that is malformed is reported as
// spec.Faults, and so is a name that two budgets have.
func (c Config) Budgets() ([]*budget.Budget, error) {
	files, err := filepath.Glob(filepath.Join(c.BudgetsDir(), "*.yaml"))
	if err != nil {
		return nil, err
	}
	var budgets []*budget.Budget
	var faults spec.Faults
	owner := map[string]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		read, err := budget.Parse(file, data)
		if err != nil {
			return nil, err
		}
		for _, b := range read {
			if other, taken := owner[b.Name]; taken {
				faults = append(faults, spec.Fault{File: file, Field: "name", Message: "budget " + b.Name + " is also in " + other})
			}
			owner[b.Name] = file
		}
		budgets = append(budgets, read...)
	}
	return budgets, faults.Err()
}
