package client

import (
	"context"
	"net/http"
	"net/url"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
)

// AddBudgets puts the budgets of files in force, all or none, and says where all
// stand.
func (c *Client) AddBudgets(ctx context.Context, files []v1.File) ([]v1.Budget, error) {
	var out v1.BudgetList
	err := c.call(ctx, http.MethodPost, "/v1/budgets", nil, v1.FileList{Files: files}, &out)
	return out.Budgets, err
}

// RemoveBudget takes a budget out of force.
func (c *Client) RemoveBudget(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/v1/budgets/"+url.PathEscape(name), nil, nil, nil)
}

// ContractsInForce returns the files of the contracts in force.
func (c *Client) ContractsInForce(ctx context.Context) (out v1.ContractsInForce, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/contracts", nil, nil, &out)
	return out, err
}

// AddContracts puts files of contracts in force, all or none.
func (c *Client) AddContracts(ctx context.Context, files []v1.File) (out v1.ContractsInForce, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/contracts", nil, v1.FileList{Files: files}, &out)
	return out, err
}

// RemoveContract takes a contract out of force.
func (c *Client) RemoveContract(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/v1/contracts/"+url.PathEscape(name), nil, nil, nil)
}
