package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/switchyard-ai/switchyard/internal/budget"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

// BudgetsDir holds the budgets in force, a file each.
func (c Config) BudgetsDir() string { return filepath.Join(c.StateDir, "budgets") }

// Budgets reads the budgets in force. Files that are malformed are reported as
// spec.Faults, and so is a name that two budgets have.
func (c Config) Budgets() ([]*budget.Budget, error) {
	files, err := filepath.Glob(filepath.Join(c.BudgetsDir(), "*.yaml"))
	if err != nil {
		return nil, err
	}
	return readAll(files, "budget", budget.Parse, budgetName)
}

func budgetName(b *budget.Budget) string { return b.Name }

// AddBudgets puts budgets in force, in place of earlier ones of their names. All
// files are checked before one is kept.
func (c Config) AddBudgets(files []spec.Text) ([]*budget.Budget, error) {
	budgets, err := parseAll(files, "budget", budget.Parse, budgetName)
	if err != nil {
		return nil, err
	}
	for _, b := range budgets {
		text, err := spec.Format(b)
		if err == nil {
			err = keep(c.BudgetsDir(), b.Name+".yaml", text)
		}
		if err != nil {
			return nil, err
		}
	}
	return budgets, nil
}

// RemoveBudget takes a budget out of force.
func (c Config) RemoveBudget(name string) error {
	err := os.Remove(filepath.Join(c.BudgetsDir(), filepath.Base(name)+".yaml"))
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var names []string
	budgets, err := c.Budgets()
	for _, b := range budgets {
		names = append(names, b.Name)
	}
	return errors.Join(err, fault.Newf(fault.NotFound, "no budget %q%s", name, spec.DidYouMean(name, names)))
}
