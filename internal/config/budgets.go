package config

import (
	"os"
	"path/filepath"

	"github.com/switchyard-ai/switchyard/internal/budget"
)

// BudgetsDir holds the budgets in force, a file each.
func (c Config) BudgetsDir() string { return filepath.Join(c.StateDir, "budgets") }

// Budgets reads the budgets in force. A file that is malformed is reported as
// spec.Faults.
func (c Config) Budgets() ([]*budget.Budget, error) {
	files, err := filepath.Glob(filepath.Join(c.BudgetsDir(), "*.yaml"))
	if err != nil {
		return nil, err
	}
	var budgets []*budget.Budget
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		read, err := budget.Parse(file, data)
		if err != nil {
			return nil, err
		}
		budgets = append(budgets, read...)
	}
	return budgets, nil
}
