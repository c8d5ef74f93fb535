package v1

import "time"

// Budget is where a budget stands.
type Budget struct {
	Name       string     `json:"name"`
	Period     string     `json:"period" doc:"day, week, month, quarter, year or total; in UTC"`
	From       *time.Time `json:"from,omitempty" doc:"start of the period; total has none"`
	To         *time.Time `json:"to,omitempty" doc:"end of the period; total has none"`
	Amount     Money      `json:"amount"`
	Spent      Money      `json:"spent" doc:"booked, and used by live attempts since"`
	Share      Decimal    `json:"share" doc:"spent ÷ amount"`
	Forecast   *Money     `json:"forecast,omitempty" doc:"at the period's end, at the pace of the last 24 hours"`
	Does       string     `json:"does,omitempty" doc:"warn, hold or drain; empty below every threshold"`
	NextAt     Decimal    `json:"next_at,omitempty" doc:"the next threshold, as a share of the amount"`
	NextDoes   string     `json:"next_does,omitempty" doc:"what it does"`
	Other      []Money    `json:"not_compared,omitempty" doc:"spent in other currencies, which are not compared"`
	Projects   []string   `json:"projects,omitempty" doc:"empty covers all, as do the next ones"`
	Models     []string   `json:"models,omitempty"`
	Providers  []string   `json:"providers,omitempty"`
	Chipmakers []string   `json:"chipmakers,omitempty"`
	Why        string     `json:"why" doc:"the same in a sentence"`
}

// BudgetList is all budgets.
type BudgetList struct {
	Budgets []Budget `json:"budgets"`
	Fault   string   `json:"fault,omitempty" doc:"why their files cannot be read; those read last stay in force"`
}
