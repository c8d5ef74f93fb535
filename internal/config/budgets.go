package config

import (
	"errors"
	"io/fs"
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
	files, err := texts(c.BudgetsDir())
	if err != nil {
		return nil, err
	}
	return parseAll(files, "budget", budget.Parse, budgetName)
}

func budgetName(b *budget.Budget) string { return b.Name }

// AddBudgets puts budgets in force, in place of earlier ones of their names. All
// files are checked first, and are in force at once.
func (c Config) AddBudgets(files []spec.Text) ([]*budget.Budget, error) {
	budgets, err := parseAll(files, "budget", budget.Parse, budgetName)
	if err != nil {
		return nil, err
	}
	kept := map[string][]byte{}
	for _, b := range budgets {
		if kept[b.Name+".yaml"], err = spec.Format(b); err != nil {
			return nil, err
		}
	}
	return budgets, keepAll(c.BudgetsDir(), kept)
}

// RemoveBudget takes a budget out of force.
func (c Config) RemoveBudget(name string) error {
	if plainName(name+".yaml") == nil {
		if err := drop(c.BudgetsDir(), name+".yaml"); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	var names []string
	budgets, err := c.Budgets()
	for _, b := range budgets {
		names = append(names, b.Name)
	}
	return errors.Join(err, fault.Newf(fault.NotFound, "no budget %.60q%s", name, spec.DidYouMean(name, names)))
}
