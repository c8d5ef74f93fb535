package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/config"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// forceCommands put contracts in force on the ledger, and take them out.
func (a *app) forceCommands() []*cobra.Command {
	add := &cobra.Command{
		Use:   "add FILE…",
		Short: "Put contracts in force: the ledger is billed under them",
		Long: "Add copies contract files into the state directory. From then on the ledger is billed under them, from\n" +
			"its first use on: charges by clause and category stand beside the use, and budgets count them. A file of\n" +
			"the same name is replaced, and what it changes is restated; one that leaves out a contract of it is refused.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return a.with(ctx, func(p *plane) error { return a.addContracts(ctx, p, args) })
		},
	}
	remove := &cobra.Command{
		Use:   "remove CONTRACT",
		Short: "Take a contract out of force: the ledger is billed anew without it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return a.with(ctx, func(p *plane) error {
				if err := p.RemoveContract(ctx, args[0]); err != nil {
					return err
				}
				_, err := fmt.Fprintf(a.stdout, "contract %s is no longer in force\n", args[0])
				return err
			})
		},
	}
	return []*cobra.Command{a.planeFlags(add), a.planeFlags(remove)}
}

func (a *app) addContracts(ctx context.Context, p *plane, paths []string) error {
	paths, err := contractFiles(paths)
	if err != nil {
		return err
	}
	added, err := loadContracts(paths)
	if err != nil {
		return err
	}
	files, err := a.filesOf(paths)
	if err != nil {
		return err
	}
	if _, err := p.AddContracts(ctx, files); err != nil {
		return a.refused(err, "nothing was added")
	}
	for _, one := range added {
		if _, err := fmt.Fprintf(a.stdout, "contract %s with %s is in force: %s, %s to %s\n", one.Name, one.Counterparty,
			countOf(len(one.Clauses), "clause"), one.Term.From.Format("2006-01-02"), one.Term.To.Format("2006-01-02")); err != nil {
			return err
		}
	}
	return nil
}

// inForce reads the contracts in force, and of each currency a book of what the
// ledger holds of use in it.
func (a *app) inForce(ctx context.Context) (parts []contractPart, err error) {
	err = a.with(ctx, func(p *plane) error {
		inForce, err := p.ContractsInForce(ctx)
		if err != nil {
			return err
		}
		var files []spec.Text
		for _, file := range inForce.Files {
			files = append(files, spec.Text{File: file.File, Data: []byte(file.Content)})
		}
		contracts, err := config.ParseContracts(files)
		if err != nil {
			return err
		}
		if len(contracts) == 0 {
			return fault.New(fault.Invalid, "no contract is in force: add some (yard contracts add FILE), or name files with --contracts (docs/contracts.md)")
		}
		if parts, err = contractParts(contracts); err != nil {
			return err
		}
		books := map[units.Currency]*billing.Book{}
		for _, part := range parts {
			books[part.book.Currency()] = part.book
		}
		return p.EachLedgerEntry(ctx, "", func(e v1.LedgerEntry) error {
			entry, err := ledgerEntry(e)
			if err != nil {
				return err
			}
			book := books[entry.Cost.Currency]
			if !entry.IsUse() || entry.Imputed || book == nil {
				return nil
			}
			return book.Take(entry)
		})
	})
	return parts, err
}
