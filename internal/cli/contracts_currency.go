package cli

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

// contractPart is the contracts of one currency, and the bill under them: no
// sum crosses currencies.
type contractPart struct {
	contracts []*contract.Contract
	book      *billing.Book
}

// contractParts parts contracts by currency, in order.
func contractParts(contracts []*contract.Contract) ([]contractPart, error) {
	by := billing.ByCurrency(contracts)
	var parts []contractPart
	for _, currency := range slices.Sorted(maps.Keys(by)) {
		book, err := billing.NewBook(by[currency])
		if err != nil {
			return nil, err
		}
		parts = append(parts, contractPart{by[currency], book})
	}
	return parts, nil
}

// contractsAsked reads the contracts that a command is about, with their use.
func (a *app) contractsAsked(ctx context.Context, f contractFlags) ([]contractPart, error) {
	if len(f.contracts) == 0 {
		if len(f.usage) > 0 {
			return nil, fault.New(fault.Invalid, "--usage goes with --contracts; contracts in force have the use of the ledger")
		}
		return a.inForce(ctx)
	}
	contracts, err := loadContracts(f.contracts)
	if err != nil || len(f.usage) == 0 {
		parts, failed := contractParts(contracts)
		if err == nil {
			err = failed
		}
		return parts, err
	}
	book, err := billing.NewBook(contracts) // usage is of one currency
	if err != nil {
		return nil, err
	}
	for _, file := range f.usage {
		if err := a.readUsage(file, billFlags{}, book); err != nil {
			return nil, err
		}
	}
	return []contractPart{{contracts, book}}, nil
}

// contractNamed refuses a name, where one is given, that no contract has.
func contractNamed(parts []contractPart, name string) error {
	var names []string
	for _, part := range parts {
		if name == "" || part.named(name) != nil {
			return nil
		}
		for _, c := range part.contracts {
			names = append(names, c.Name)
		}
	}
	return fault.Newf(fault.NotFound, "no contract %q%s", name, spec.DidYouMean(name, names))
}

// named returns the contract of a name, nil where the part has none.
func (p contractPart) named(name string) *contract.Contract {
	for _, c := range p.contracts {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// standing settles the book up to a date and says where its contracts stand.
func (p contractPart) standing(at time.Time, only string) contractsJSON {
	from, _, _ := p.book.Life()
	if start, _, some := p.book.Span(); some && start.Before(from) {
		from = start
	}
	if at.Before(from.Add(time.Hour)) {
		from = at.Add(-time.Hour)
	}
	p.book.Settle(from, at, func(billing.Charge) {})
	return p.document(at, only)
}

// hhiJSON is the concentration of what is committed in one currency.
type hhiJSON struct {
	Currency string      `json:"currency"`
	HHI      json.Number `json:"hhi"`
}

// joinContracts lays what is shown of each currency together; nothing is summed.
func joinContracts(docs []contractsJSON) contractsJSON {
	if len(docs) == 1 {
		return docs[0]
	}
	all := contractsJSON{Clauses: []statusJSON{}, Shares: []shareJSON{}}
	for _, doc := range docs {
		all.At = doc.At
		if doc.UseFrom != nil && (all.UseFrom == nil || doc.UseFrom.Before(*all.UseFrom)) {
			all.UseFrom = doc.UseFrom
		}
		if doc.UseTo != nil && (all.UseTo == nil || doc.UseTo.After(*all.UseTo)) {
			all.UseTo = doc.UseTo
		}
		all.Clauses = append(all.Clauses, doc.Clauses...)
		all.Shares = append(all.Shares, doc.Shares...)
		all.HHIs = append(all.HHIs, hhiJSON{doc.Currency, doc.HHI})
	}
	return all
}

func (d contractsJSON) indexes() []hhiJSON {
	if d.Currency != "" {
		return []hhiJSON{{d.Currency, d.HHI}}
	}
	return d.HHIs
}

func (d contractsJSON) currencies() string {
	var names []string
	for _, index := range d.indexes() {
		names = append(names, index.Currency)
	}
	return strings.Join(names, " and ")
}

// inCurrency names a currency where there are several.
func inCurrency(d contractsJSON, currency string) string {
	if d.Currency != "" {
		return ""
	}
	return " in " + currency
}
