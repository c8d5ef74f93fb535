package server

import (
	"context"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/budget"
)

func (s *server) listBudgets(ctx context.Context, _ *struct{}) (*body[v1.BudgetList], error) {
	out := v1.BudgetList{Budgets: []v1.Budget{}}
	standings, err := s.Loop.Standings(ctx)
	if err != nil {
		return nil, err
	}
	for _, standing := range standings {
		out.Budgets = append(out.Budgets, wireBudget(standing))
	}
	if err := s.InForce.BudgetFault(); err != nil {
		out.Fault = err.Error()
	}
	return answer(out), nil
}

func wireBudget(s budget.Standing) v1.Budget {
	b := s.Budget
	out := v1.Budget{
		Name: b.Name, Period: string(b.Period), Amount: wireAmount(b.Amount.Amount), Spent: wireAmount(s.Spent),
		Share: v1.Decimal(s.Share().FloatString(6)), Does: string(s.Does()), Why: s.String(),
		Projects: b.Projects, Models: b.Models, Providers: b.Providers, Chipmakers: b.Chipmakers,
	}
	if !s.To.IsZero() {
		out.From, out.To = &s.From, &s.To
	}
	if sum, ok := s.Forecast(); ok {
		wire := wireAmount(sum)
		out.Forecast = &wire
	}
	if next := s.Next(); next != nil {
		out.NextAt, out.NextDoes = v1.Decimal(next.At.Decimal.String()), string(next.Do)
	}
	if len(s.Other) > 0 {
		out.Other = wireAmounts(s.Other)
	}
	return out
}
