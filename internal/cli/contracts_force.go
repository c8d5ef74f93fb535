package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/config"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

// forceCommands put contracts in force on the ledger, and take them out.
func (a *app) forceCommands() []*cobra.Command {
	add := &cobra.Command{
		Use:   "add FILE…",
		Short: "Put contracts in force: the ledger is billed under them",
		Long: "Add copies contract files into the state directory. From then on the ledger is billed under them, from\n" +
			"its first use on: charges by clause and category stand beside the use, and budgets count them. A file of\n" +
			"the same name is replaced, and what it changes is restated.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.addContracts(args) },
	}
	remove := &cobra.Command{
		Use:   "remove CONTRACT",
		Short: "Take a contract out of force: the ledger is billed anew without it",
		Args:  cobra.ExactArgs(1),
		RunE:  func(_ *cobra.Command, args []string) error { return a.removeContract(args[0]) },
	}
	for _, child := range []*cobra.Command{add, remove} {
		child.Flags().StringVar(&a.flags.StateDir, "state-dir", "", "directory of yard's state (default $YARD_STATE_DIR or ~/.local/state/yard)")
	}
	return []*cobra.Command{add, remove}
}

func (a *app) addContracts(paths []string) error {
	added, err := loadContracts(paths)
	if err != nil {
		return err
	}
	files, err := contractFiles(paths)
	if err != nil {
		return err
	}
	c, err := config.Load(a.flags, os.Getenv)
	if err != nil {
		return err
	}
	if err := clashes(c, added, files); err != nil {
		return err
	}
	if err := os.MkdirAll(c.ContractsDir(), 0o700); err != nil {
		return err
	}
	for _, path := range files {
		if err := copyWhole(path, filepath.Join(c.ContractsDir(), forceName(path))); err != nil {
			return err
		}
	}
	for _, one := range added {
		if _, err := fmt.Fprintf(a.stdout, "contract %s with %s is in force: %s, %s to %s\n", one.Name, one.Counterparty,
			countOf(len(one.Clauses), "clause"), one.Term.From.Format("2006-01-02"), one.Term.To.Format("2006-01-02")); err != nil {
			return err
		}
	}
	return nil
}

// forceName is the name of a contract file in force.
func forceName(path string) string {
	return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)) + ".yaml"
}

// clashes refuses contracts of a name that another file in force has, and those
// that cannot be billed together.
func clashes(c config.Config, added []*contract.Contract, files []string) error {
	replaced := map[string]bool{}
	for _, file := range files {
		if replaced[forceName(file)] {
			return fault.Newf(fault.Invalid, "%s: another file of that name is added with it", file)
		}
		replaced[forceName(file)] = true
	}
	inForce, err := c.ContractFiles()
	if err != nil {
		return err
	}
	all := slices.Clone(added)
	for _, file := range inForce {
		if replaced[filepath.Base(file)] {
			continue
		}
		others, err := loadContracts([]string{file})
		if err != nil {
			return err
		}
		for _, other := range others {
			for _, one := range added {
				if one.Name == other.Name {
					return fault.Newf(fault.Conflict, "contract %s is in force from %s; remove it first: yard contracts remove %s", one.Name, filepath.Base(file), one.Name)
				}
			}
		}
		all = append(all, others...)
	}
	for _, contracts := range billing.ByCurrency(all) {
		if _, err := billing.NewBook(contracts); err != nil {
			return err
		}
	}
	return nil
}

// copyWhole copies a file whole or not at all: a control plane may read it now.
func copyWhole(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(to), ".contract-*")
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), to)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

func (a *app) removeContract(name string) error {
	c, err := config.Load(a.flags, os.Getenv)
	if err != nil {
		return err
	}
	files, err := c.ContractFiles()
	if err != nil {
		return err
	}
	var names []string
	for _, file := range files {
		held, err := loadContracts([]string{file})
		if err != nil {
			return err
		}
		for _, one := range held {
			names = append(names, one.Name)
		}
		if !slices.ContainsFunc(held, func(one *contract.Contract) bool { return one.Name == name }) {
			continue
		}
		if len(held) > 1 {
			return fault.Newf(fault.Conflict, "%s holds %s; take %s out of it and add it again: yard contracts add", file, countOf(len(held), "contract"), name)
		}
		if err := os.Remove(file); err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.stdout, "contract %s is no longer in force\n", name)
		return err
	}
	return fault.Newf(fault.NotFound, "no contract %q is in force%s", name, spec.DidYouMean(name, names))
}

// inForce reads the contracts in force and, where they are of one currency, a
// book of what the ledger holds of use in it.
func (a *app) inForce(ctx context.Context) ([]*contract.Contract, *billing.Book, error) {
	c, err := config.Load(a.flags, os.Getenv)
	if err != nil {
		return nil, nil, err
	}
	contracts, err := c.Contracts()
	if err != nil {
		return nil, nil, err
	}
	if len(contracts) == 0 {
		return nil, nil, fault.New(fault.Invalid, "no contract is in force: add some (yard contracts add FILE), or name files with --contracts (docs/contracts.md)")
	}
	book, err := billing.NewBook(contracts)
	if err != nil {
		return nil, nil, err
	}
	err = a.with(ctx, func(p *plane) error {
		entries, err := p.LedgerEntries(ctx, "")
		if err != nil {
			return err
		}
		for _, e := range entries {
			entry, err := ledgerEntry(e)
			if err != nil {
				return err
			}
			if !entry.IsUse() || entry.Imputed || entry.Cost.Currency != book.Currency() {
				continue
			}
			if err := book.Take(entry); err != nil {
				return err
			}
		}
		return nil
	})
	return contracts, book, err
}
