package config

import (
	"path/filepath"

	"github.com/switchyard-ai/switchyard/internal/budget"
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
	return readAll(files, "budget", budget.Parse, func(one *budget.Budget) string { return one.Name })
}
