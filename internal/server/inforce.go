package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

// InForce is how the files of budgets and contracts in force are read and
// changed. Calls that change them never overlap.
type InForce struct {
	Contracts      func() ([]spec.Text, error)
	AddContracts   func([]spec.Text) error
	RemoveContract func(name string) error
	AddBudgets     func([]spec.Text) error
	RemoveBudget   func(name string) error
	BudgetFault    func() error  // why the files of budgets cannot be read
	BillFault      func() string // why the ledger cannot be billed, "" where it is
}

func (s *server) routeInForce(api huma.API) {
	route(api, http.MethodGet, "/v1/budgets", "list-budgets", "Where each budget stands, and what it does", s.listBudgets)
	route(api, http.MethodPost, "/v1/budgets", "add-budgets", "Put the budgets of files in force, all or none", s.addBudgets)
	route(api, http.MethodDelete, "/v1/budgets/{name}", "remove-budget", "Take a budget out of force", s.removeBudget)
	route(api, http.MethodGet, "/v1/contracts", "list-contracts", "The files of the contracts in force", s.listContracts)
	route(api, http.MethodPost, "/v1/contracts", "add-contracts", "Put files of contracts in force, all or none", s.addContracts)
	route(api, http.MethodDelete, "/v1/contracts/{name}", "remove-contract", "Take a contract out of force", s.removeContract)
}

// Named names a budget or a contract.
type Named struct {
	Name string `path:"name"`
}

type filesIn struct{ Body v1.FileList }

func (f filesIn) texts() []spec.Text {
	var all []spec.Text
	for _, file := range f.Body.Files {
		all = append(all, spec.Text{File: file.File, Data: []byte(file.Content)})
	}
	return all
}

func (s *server) change(do func() error) error {
	s.forces.Lock()
	defer s.forces.Unlock()
	return do()
}

func (s *server) addBudgets(ctx context.Context, in *filesIn) (*body[v1.BudgetList], error) {
	if err := s.change(func() error { return s.InForce.AddBudgets(in.texts()) }); err != nil {
		return nil, err
	}
	return s.listBudgets(ctx, nil)
}

func (s *server) removeBudget(ctx context.Context, in *Named) (*body[v1.BudgetList], error) {
	if err := s.change(func() error { return s.InForce.RemoveBudget(in.Name) }); err != nil {
		return nil, err
	}
	return s.listBudgets(ctx, nil)
}

// listContracts bills first, so that the fault is about the files as they are.
func (s *server) listContracts(ctx context.Context, _ *struct{}) (*body[v1.ContractsInForce], error) {
	s.settle(ctx)
	out, err := s.contractsInForce()
	if err != nil {
		return nil, err
	}
	out.Body.Fault = s.InForce.BillFault()
	return out, nil
}

func (s *server) contractsInForce() (*body[v1.ContractsInForce], error) {
	files, err := s.InForce.Contracts()
	if err != nil {
		return nil, err
	}
	out := v1.ContractsInForce{Files: []v1.File{}}
	for _, file := range files {
		out.Files = append(out.Files, v1.File{File: file.File, Content: string(file.Data)})
	}
	return answer(out), nil
}

func (s *server) addContracts(_ context.Context, in *filesIn) (*body[v1.ContractsInForce], error) {
	if err := s.change(func() error { return s.InForce.AddContracts(in.texts()) }); err != nil {
		return nil, err
	}
	return s.contractsInForce()
}

func (s *server) removeContract(_ context.Context, in *Named) (*body[v1.ContractsInForce], error) {
	if err := s.change(func() error { return s.InForce.RemoveContract(in.Name) }); err != nil {
		return nil, err
	}
	return s.contractsInForce()
}
