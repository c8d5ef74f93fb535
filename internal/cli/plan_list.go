package cli

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"

	"github.com/switchyard-ai/switchyard/internal/config"
	"github.com/switchyard-ai/switchyard/internal/plan"
)

// keptPlan is a plan of the state directory.
type keptPlan struct {
	ID        string    `json:"id"`
	Made      time.Time `json:"made"`
	AsOf      time.Time `json:"as_of"`
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Portfolio string    `json:"portfolio"`
	Currency  string    `json:"currency"`
	Objective float64   `json:"objective"`
	Gap       float64   `json:"gap"`
	Parent    string    `json:"parent,omitempty"`
}

func (a *app) planListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the plans that were made here",
		Long: "List the plans that are kept in the state directory, the newest first: the day of their\n" +
			"decision, their portfolio, their objective (discounted cost, risk weighed in) and how close\n" +
			"to the best they are proved to be.",
		Example: "  yard plan list\n  yard plan show plan-2bfaa8ba8405\n  yard quote train.yaml --plan plan-2bfaa8ba8405",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return a.listPlans() },
	}
	cmd.Flags().StringVar(&a.flags.StateDir, "state-dir", "", "directory of yard's state (default $YARD_STATE_DIR or ~/.local/state/yard)")
	return a.withOutput(cmd)
}

func (a *app) listPlans() error {
	c, err := config.Load(a.flags, os.Getenv)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(c.StateDir, "plans", "*.json"))
	if err != nil {
		return err
	}
	plans := []keptPlan{}
	var unread strings.Builder
	for _, file := range files {
		made, err := readKept(file)
		if err != nil {
			fmt.Fprintf(&unread, "%s is left out: %s\n", filepath.Base(file), err)
			continue
		}
		plans = append(plans, made)
	}
	slices.SortFunc(plans, func(x, y keptPlan) int { return cmp.Or(y.Made.Compare(x.Made), strings.Compare(x.ID, y.ID)) })
	return a.print(plansListing(plans, unread.String()))
}

func readKept(file string) (keptPlan, error) {
	info, err := os.Stat(file)
	if err != nil {
		return keptPlan{}, err
	}
	data, err := config.ReadUpTo(file, mostPlan)
	if err != nil {
		return keptPlan{}, err
	}
	made, err := plan.Read(data)
	if err != nil {
		return keptPlan{}, err
	}
	return keptPlan{
		ID: made.ID, Made: info.ModTime().UTC().Truncate(time.Second), AsOf: made.AsOf, From: made.From, To: made.To, Portfolio: made.Portfolio,
		Currency: string(made.Currency), Objective: made.Quality.Objective, Gap: made.Quality.Gap, Parent: made.Parent,
	}, nil
}

// micros writes what the planner computed as a plain decimal, to the millionth.
func micros(x float64) string { return decimal.NewFromFloat(x).Round(6).String() }

func plansListing(plans []keptPlan, unread string) listing {
	l := listing{
		document: struct {
			Plans []keptPlan `json:"plans"`
		}{plans},
		columns: []column{
			{"PLAN", "id", false}, {"MADE", "made", false}, {"AS OF", "as_of", false}, {"PORTFOLIO", "portfolio", false},
			{"OBJECTIVE", "objective", true}, {"GAP", "gap", true}, {"PARENT", "parent", false},
		},
		extra: []column{{"", "currency", false}, {"", "from", false}, {"", "to", false}},
		exact: [][]string{},
		after: unread,
	}
	for _, p := range plans {
		l.cells = append(l.cells, []string{
			p.ID, p.Made.Local().Format(time.DateTime), p.AsOf.Format(time.DateOnly), p.Portfolio, modelMoney(p.Objective), fmt.Sprintf("%.2f%%", 100*p.Gap), p.Parent,
		})
		l.exact = append(l.exact, []string{
			p.ID, stamp(p.Made), stamp(p.AsOf), p.Portfolio, micros(p.Objective), micros(p.Gap), p.Parent, p.Currency, stamp(p.From), stamp(p.To),
		})
	}
	if len(plans) == 0 {
		l.after += "No plan was made here yet: yard plan PORTFOLIO.yaml\n"
	} else {
		l.after += "\nAll of one: yard plan show PLAN\n"
	}
	return l
}
