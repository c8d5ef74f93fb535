package reconcile

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-ai/switchyard/internal/budget"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// limit puts one budget a day in force; the fake pool costs 1.23 an hour.
func (r *rig) limit(amount, covers string, thresholds ...string) {
	r.t.Helper()
	text := fmt.Sprintf("kind: Budget\nname: daily\namount: %s\nperiod: day\n%sthresholds: [%s]\n", amount, covers, strings.Join(thresholds, ", "))
	budgets, err := budget.Parse("daily.yaml", []byte(text))
	if err != nil {
		r.t.Fatal(err)
	}
	r.loop.Budgets = func() ([]*budget.Budget, error) { return budgets, nil }
	r.loop.Interval = 10 * time.Second // these tests take days
}

func TestABudgetHoldsUntilTheNextPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble begins at midnight UTC
		r := newRig(t, 1, always(script{takes: 2 * time.Hour}))
		r.limit("$2", "", "{at: 100%, do: hold}")
		first := r.submit("a")
		r.pass(3 * time.Hour)
		r.wants(first.ID, fleet.Succeeded, 1) // $2.46: what runs is not stopped
		second := r.submit("b")
		r.pass(time.Hour)
		run, _ := r.wants(second.ID, fleet.Queued, 0)
		if run.Reason != "held by budget daily" {
			t.Errorf("reason %q", run.Reason)
		}
		want := "budget daily: $2.46 of $2.00 spent today; holds new runs at 100%"
		queue, err := r.loop.Queue(context.Background())
		if err != nil || len(queue) != 1 || queue[0].Reasons[0] != want {
			t.Errorf("queue %+v, %v; want %s", queue, err, want)
		}
		holds := r.store.state.decisions[second.ID]
		if len(holds) != 1 || holds[0].Verb != "hold" || holds[0].Reasons[0] != want {
			t.Errorf("decisions %+v", holds)
		}
		r.pass(20*time.Hour + time.Minute) // past midnight
		run, _ = r.wants(second.ID, fleet.Running, 1)
		if run.Reason != "" {
			t.Errorf("reason %q of a run that was held", run.Reason)
		}
		r.verify()
	})
}

func TestABudgetOfAnotherHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, covers := range []string{"projects: [sales]\n", "models: [llama]\n", "providers: [aws]\n", "chipmakers: [nvidia]\n"} {
			r := newRig(t, 1, always(script{takes: time.Hour}))
			r.limit("$0.000001", covers, "{at: 1%, do: drain}")
			run, second := r.submit("a"), r.submit("b")
			r.pass(3 * time.Hour)
			r.wants(run.ID, fleet.Succeeded, 1)
			r.wants(second.ID, fleet.Succeeded, 1)
		}
	})
}

func TestABudgetDrainsAndTheRunResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, func(key string) script { return script{takes: 20 * time.Hour, stubborn: time.Second, checkpoint: 7} })
		r.limit("$12.30", "providers: [local]\n", "{at: 50%, do: warn}", "{at: 100%, do: drain}")
		run := r.submit("a")
		r.pass(9 * time.Hour)
		r.wants(run.ID, fleet.Running, 1)
		r.pass(2 * time.Hour) // 12.30 are spent after ten hours
		held, attempts := r.wants(run.ID, fleet.Queued, 1)
		if attempts[0].State != fleet.AttemptStopped || !strings.HasPrefix(attempts[0].Reason, "drained by budget daily: ") {
			t.Errorf("attempt %s: %s", attempts[0].State, attempts[0].Reason)
		}
		if took := attempts[0].Ended.Sub(attempts[0].Started); took < 10*time.Hour || took > 10*time.Hour+time.Minute {
			t.Errorf("drained after %s", took)
		}
		if held.Failures != 0 || held.StopAsked || held.Reason != "held by budget daily" {
			t.Errorf("the run after it was drained: %+v", held)
		}
		r.pass(14 * time.Hour)
		_, attempts = r.wants(run.ID, fleet.Running, 2)
		if begun := attempts[1].Started; begun.Hour() != 0 || begun.Minute() != 0 {
			t.Errorf("resumed at %s", begun)
		}
		r.verify()
	})
}

func TestADrainSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: 20 * time.Hour, stubborn: time.Second}))
		r.limit("$1.23", "", "{at: 100%, do: drain}")
		run := r.submit("a")
		r.engine.faults["stop"] = fault.New(fault.Transient, "the site does not answer") // marked, and not stopped
		r.pass(2 * time.Hour)
		r.wants(run.ID, fleet.Running, 1)
		delete(r.engine.faults, "stop")
		r.restart()
		r.limit("$100", "", "{at: 100%, do: drain}") // what was begun is finished
		r.pass(time.Minute)
		again, attempts := r.wants(run.ID, fleet.Running, 2)
		if attempts[0].State != fleet.AttemptStopped || again.Failures != 0 {
			t.Errorf("%+v", attempts[0])
		}
		r.verify()
	})
}

func TestAThresholdIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: 50 * time.Hour}))
		r.limit("$2.46", "", "{at: 50%, do: warn}", "{at: 100%, do: warn}")
		var log bytes.Buffer
		r.loop.Log = slog.New(slog.NewTextHandler(&log, nil))
		r.submit("a")
		r.pass(20 * time.Hour)
		if n := strings.Count(log.String(), "budget threshold reached"); n != 2 {
			t.Errorf("%d warnings on the first day, want one per threshold:\n%s", n, log.String())
		}
		r.pass(20 * time.Hour)
		if n := strings.Count(log.String(), "budget threshold reached"); n != 4 {
			t.Errorf("%d warnings in two days, want 4", n)
		}
		r.restart()
		r.limit("$2.46", "", "{at: 50%, do: warn}", "{at: 100%, do: warn}")
		r.loop.Log = slog.New(slog.NewTextHandler(&log, nil))
		r.pass(time.Minute)
		if n := strings.Count(log.String(), "budget threshold reached"); n != 4 {
			t.Errorf("%d warnings after a restart, want none again", n-4)
		}
	})
}

func TestOtherCurrenciesAreNotCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: time.Hour}))
		r.limit("1 EUR", "", "{at: 1%, do: hold}")
		r.submit("a")
		run := r.submit("b")
		r.pass(4 * time.Hour)
		r.wants(run.ID, fleet.Succeeded, 1)
		standings, err := r.loop.Standings(context.Background())
		if err != nil || len(standings) != 1 || standings[0].Spent.Micros != 0 || len(standings[0].Other) != 1 || standings[0].Other[0].Micros != 2_460_000 {
			t.Errorf("%+v, %v", standings, err)
		}
	})
}

func TestUnreadableBudgetsLeaveTheLastInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: time.Hour}))
		r.limit("$1", "", "{at: 1%, do: hold}")
		r.submit("a")
		run := r.submit("b")
		r.pass(time.Minute)
		r.loop.Budgets = func() ([]*budget.Budget, error) { return nil, fault.New(fault.Invalid, "daily.yaml:1:1: …") }
		r.pass(4 * time.Hour)
		r.wants(run.ID, fleet.Queued, 0)
	})
}

const modelled = `kind: Training
name: modelled
model: {preset: llama-3.1-8b}
tokens: 1B
sequence_length: 8192
global_batch: 128
variants: {cpu: {command: [train]}}
`

func TestABudgetOfAModelCountsItsRunsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: time.Hour}))
		r.limit("$1.23", "models: [llama-3.1-8b]\n", "{at: 100%, do: hold}")
		ask := func(key, content string) fleet.Run {
			run, err := r.loop.Submit(context.Background(), Request{Key: key, File: "job.yaml", Content: []byte(content), Dir: "/work"})
			if err != nil {
				t.Fatal(err)
			}
			r.pass(2 * time.Hour)
			return run
		}
		ask("plain", file)
		r.wants(ask("first", modelled).ID, fleet.Succeeded, 1)
		r.wants(ask("second", modelled).ID, fleet.Queued, 0)
		r.wants(ask("plain too", file).ID, fleet.Succeeded, 1)
		r.restart() // the ledger's runs are read from the store
		r.limit("$1.23", "models: [llama-3.1-8b]\n", "{at: 100%, do: hold}")
		r.store.state.entries = append(r.store.state.entries, ledger.Entry{Run: "elsewhere", From: r.now(), Cost: units.Amount{Micros: 1, Currency: units.USD}})
		standings, err := r.loop.Standings(context.Background())
		if err != nil || standings[0].Spent.Micros != 1_230_000 {
			t.Errorf("%+v, %v", standings, err)
		}
	})
}

// Where contracts are in force the charges count, at their effective cost, in
// place of the use that they bill.
func TestABudgetCountsChargesForUseThatIsBilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, always(script{takes: 2 * time.Hour}))
		r.limit("$10", "providers: [local]\n", "{at: 100%, do: hold}")
		run := r.submit("a")
		r.pass(3 * time.Hour)
		r.wants(run.ID, fleet.Succeeded, 1) // $2.46
		now := r.loop.Clock()
		charge := func(category ledger.Category, provider string, billed, effective int64) ledger.Entry {
			return ledger.Entry{
				ID: int64(len(r.store.state.entries) + 1), Key: fmt.Sprint(len(r.store.state.entries)), Category: category, Provider: provider,
				From: now.Add(-time.Hour), To: now, Cost: units.Amount{Micros: billed, Currency: units.USD}, Effective: effective,
			}
		}
		r.store.state.settings[ledger.MarksSetting] = ledger.Marks{units.USD: {To: now, Through: int64(len(r.store.state.entries))}}.String()
		r.store.state.entries = append(r.store.state.entries,
			charge(ledger.Purchase, "local", 90_000_000, 0), charge(ledger.Amortisation, "local", 0, 1_500_000),
			charge(ledger.Unused, "local", 0, 500_000), charge(ledger.Charged, "aws", 7_000_000, 7_000_000), charge(ledger.Withheld, "local", 5_000_000, 5_000_000),
		)
		r.loop.Recount()
		standings, err := r.loop.Standings(context.Background())
		if err != nil || len(standings) != 1 || standings[0].Spent.Micros != 2_000_000 {
			t.Errorf("%+v, %v; want $2 spent: the effective cost of what local was used for, and of what was not used", standings, err)
		}
	})
}
