package reconcile

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/units"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// sign puts contracts in force, and bills the ledger under them as it stands.
func (r *worldRig) sign(text string) {
	r.t.Helper()
	contracts, err := contract.Parse("c.yaml", []byte(text))
	if err != nil {
		r.t.Fatal(err)
	}
	signed := r.now()
	r.loop.Bills = func(_ context.Context, known string) ([]*billing.Book, string, error) {
		hour := r.now().Truncate(time.Hour)
		state := fmt.Sprint(len(text), signed, hour)
		if state == known {
			return nil, state, nil
		}
		book, err := billing.NewBook(contracts)
		if err != nil {
			return nil, "", err
		}
		book.KeepOpen()
		for _, e := range r.store.state.entries {
			if e.IsUse() && !e.From.Before(signed.Truncate(time.Hour)) && e.From.Before(hour) {
				if err := book.Take(e); err != nil {
					return nil, "", err
				}
			}
		}
		book.Settle(signed, hour, func(billing.Charge) {})
		return []*billing.Book{book}, state, book.Err()
	}
}

// kind gives the pool of a site an instance type that contracts can name.
func (r *worldRig) kind(site, name string) { r.sites[site].pools[0].InstanceType = name }

// onePlan covers one node of west, at half of its price.
const onePlan = `kind: Contract
name: plan
counterparty: west
term: {from: 2000-01-01, to: 2000-03-01}
scope: {instance_types: [m7]}
clauses: [{name: hours, savings_plan: {type: compute, hourly: 6, discount: 50%}}]
`

// floor obliges to more of west in a year than all its nodes come to.
const floor = `kind: Contract
name: deal
counterparty: west
term: {from: 2000-01-01, to: 2000-03-01}
scope: {instance_types: [m7]}
clauses: [{name: floor, commitment: {period: year, amount: %s}}]
`

// Runs that are placed at once take what a plan leaves unused once, and the
// others go by what they add to the bill.
func TestRunsGoWhereTheyAddLeastToTheBill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *worldRig
		r = newWorld(t, training(&r, 36000, time.Second))
		r.kind("west", "m7")
		r.sign(onePlan)
		a, b, c := r.submit("a"), r.submit("b"), r.submit("c")
		r.pass(time.Minute)
		at := map[string]int{}
		for _, run := range []fleet.Run{a, b, c} {
			_, attempts := r.wants(run.ID, fleet.Running, 1)
			at[attempts[0].Site]++
			if attempts[0].Site == "west" {
				why := strings.Join(r.store.state.decisions[run.ID][0].Reasons, "; ")
				if want := "a node-hour there costs nothing now in place of $12.00: uses what plan/hours leaves unused"; !strings.Contains(why, want) {
					t.Errorf("%q, without %q", why, want)
				}
				if attempts[0].Rate.Decimal() != "12" {
					t.Errorf("its use is booked at %s: the ledger bills it under the plan", attempts[0].Rate)
				}
			}
		}
		if at["west"] != 1 || at["east"] != 2 {
			t.Errorf("%v, and the plan covers one node of west", at)
		}
	})
}

// A floor that what runs leaves unmet draws a run there, and says why; one that
// is met draws none.
func TestAFloorDrawsRuns(t *testing.T) {
	for _, c := range []struct {
		amount string
		moves  bool
	}{{"1M", true}, {"1", false}} {
		synctest.Test(t, func(t *testing.T) {
			var r *worldRig
			r = newWorld(t, training(&r, 72000, time.Second))
			r.kind("west", "m7")
			run := r.submit("")
			r.long(2 * time.Hour)
			r.wants(run.ID, fleet.Running, 1)
			r.sign(fmt.Sprintf(floor, c.amount))
			r.long(24 * time.Hour)
			if !c.moves {
				r.wants(run.ID, fleet.Succeeded, 1)
				return
			}
			_, attempts := r.wants(run.ID, fleet.Succeeded, 2)
			move := r.store.state.decisions[run.ID][1]
			why := strings.Join(move.Reasons, "; ")
			if want := "a node-hour there costs nothing now in place of $12.00: counts towards deal/floor, which the outlook leaves unmet"; attempts[1].Site != "west" ||
				move.Verb != "move" || !strings.Contains(why, want) {
				t.Errorf("%+v on %s, without %q", move, attempts[1].Pool, want)
			}
			r.verifyAll()
		})
	}
}

// What one run took is not there for the next: of two that could go to the one
// node that a plan covers, one goes, and nobody comes back.
func TestRunsDoNotGoForTheSameHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *worldRig
		r = newWorld(t, training(&r, 72000, time.Second))
		r.kind("west", "m7")
		a, b := r.submit("a"), r.submit("b")
		r.long(2 * time.Hour)
		r.sign(onePlan)
		r.long(12 * time.Hour)
		moves := 0
		for _, run := range []fleet.Run{a, b} {
			_, attempts := r.run(run.ID)
			moves += len(attempts) - 1
		}
		if moves != 1 {
			t.Errorf("%d moves: %s; %s", moves, r.verbs(a.ID), r.verbs(b.ID))
		}
		r.verifyAll()
	})
}

// settleSeeds is how many draws TestMovesUnderContractsSettle makes.
var settleSeeds = flag.Int("settle.seeds", 5, "draws of contracts under which runs must settle")

// Whatever is signed, runs settle: none comes back to the pool that it left, and
// after half a day nothing moves for money any more.
func TestMovesUnderContractsSettle(t *testing.T) {
	kinds := []string{
		"savings_plan: {type: compute, hourly: 6, discount: 50%}",
		"savings_plan: {type: compute, hourly: 14, discount: 30%}",
		"commitment: {period: year, amount: 20K}",
		"commitment: {period: month, amount: 5K}",
		"discount: {tiers: {window: month, mode: retroactive, steps: [{above: 9K, discount: 25%}]}}",
		"discount: {percent: 15%}",
	}
	for seed := range *settleSeeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			draw := rand.New(rand.NewPCG(uint64(seed), 7))
			var clauses []string
			for i, kind := range draw.Perm(len(kinds))[:1+draw.IntN(3)] {
				scope := []string{"m7", "c7", "'*'"}[draw.IntN(3)]
				clauses = append(clauses, fmt.Sprintf("  - {name: c%d, scope: {instance_types: [%s]}, %s}\n", i, scope, kinds[kind]))
			}
			west, count := []string{"8", "10", "12", "15"}[draw.IntN(4)], 1+draw.IntN(4)
			synctest.Test(t, func(t *testing.T) { settles(t, clauses, west, count) })
		})
	}
}

func settles(t *testing.T, clauses []string, west string, count int) {
	var r *worldRig
	r = newWorld(t, training(&r, 3600000, time.Second))
	r.kind("west", "m7")
	r.kind("east", "c7")
	r.sites["west"].pools[0].Rate = units.MustRate(west, units.USD)
	r.loop.PoolsEvery = 10 * time.Minute
	var runs []fleet.Run
	for i := range count {
		runs = append(runs, r.submit(fmt.Sprint(i)))
	}
	r.long(time.Hour)
	r.sign("kind: Contract\nname: deal\ncounterparty: all\nterm: {from: 2000-01-01, to: 2000-03-01}\nclauses:\n" + strings.Join(clauses, ""))
	r.long(12 * time.Hour)
	after := map[string]int{}
	for _, run := range runs {
		_, attempts := r.run(run.ID)
		after[run.ID] = len(attempts)
	}
	r.long(6 * time.Hour)
	for _, run := range runs {
		_, attempts := r.run(run.ID)
		been := map[string]int{}
		for _, a := range attempts {
			been[a.Pool]++
		}
		if been["west/p"] > 1 || been["east/p"] > 1 || len(attempts) != after[run.ID] {
			t.Errorf("%s of %d at %s in west, under\n%s%s", run.ID, count, west, strings.Join(clauses, ""), r.verbs(run.ID))
		}
	}
	r.verifyAll()
}

// The pace of an attempt that goes on from a checkpoint is that of its own
// steps: those before it took it no time.
func TestThePaceOfAnAttemptIsOfItsOwnSteps(t *testing.T) {
	a := fleet.Attempt{Number: 2, Started: noon, Progress: fleet.Progress{At: noon.Add(time.Hour), Step: 1060, Steps: 2060}}
	w := &workload.Workload{}
	if got := paceOf(w, a, 1000); got.step != 60 || got.left != 1000 {
		t.Errorf("%+v", got)
	}
	if got := paceOf(w, a, 1060); got.step != 0 {
		t.Errorf("it has made no step yet: %+v", got)
	}
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
