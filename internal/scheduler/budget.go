package scheduler

import (
	"github.com/switchyard-ai/switchyard/internal/budget"
)

// Held finds the first budget that holds new spending on a use, and says so;
// nil where none does.
func Held(standings []budget.Standing, use budget.Use) *budget.Standing {
	for i := range standings {
		if standings[i].Does().Holds() && standings[i].Budget.Covers(use) {
			return &standings[i]
		}
	}
	return nil
}

// Drained finds the first budget that ends what runs on a use; nil where none does.
func Drained(standings []budget.Standing, use budget.Use) *budget.Standing {
	for i := range standings {
		if standings[i].Does() == budget.Drain && standings[i].Budget.Covers(use) {
			return &standings[i]
		}
	}
	return nil
}

// Hold takes the candidates from a waiting run that a budget holds. useOf is
// what the run would be spent on in a pool.
func Hold(waiting Waiting, standings []budget.Standing, useOf func(pool string) budget.Use) Waiting {
	var free []Candidate
	for _, candidate := range waiting.Candidates {
		held := Held(standings, useOf(candidate.Pool))
		if held == nil {
			free = append(free, candidate)
			continue
		}
		if waiting.HeldBy == "" {
			waiting.HeldBy = held.Budget.Name
		}
		reason := held.String()
		if len(held.Budget.Providers)+len(held.Budget.Chipmakers) > 0 {
			reason = candidate.Pool + ": " + reason
		}
		if n := len(waiting.Held); n == 0 || waiting.Held[n-1] != reason {
			waiting.Held = append(waiting.Held, reason)
		}
	}
	waiting.Candidates = free
	return waiting
}
