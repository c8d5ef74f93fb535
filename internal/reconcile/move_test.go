package reconcile

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// elsewhere is a fake site beside this machine.
type elsewhere struct {
	*fakeEngine
	pools []fleet.Pool
	store string // URL of checkpoints; "" for none
	drain bool
}

func (e *elsewhere) Pools(context.Context) ([]fleet.Pool, error) { return slices.Clone(e.pools), nil }

// world is a rig with two sites of one cpu pool each, between which runs move.
type worldRig struct {
	*rig
	sites  map[string]*elsewhere
	mu     sync.Mutex
	copies map[string]int // of checkpoints, by stores
}

func poolAt(name, rate string, nodes int) fleet.Pool {
	return fleet.Pool{
		Site: name, Name: "p", Provider: "owned", Family: "cpu", Chip: "cpu", ChipsPerNode: 1, Nodes: nodes, MaxNodes: nodes,
		Cores: 8, Memory: 1 << 40, Rate: units.MustRate(rate, units.USD),
	}
}

func newWorld(t *testing.T, script func(key string) script) *worldRig {
	r := &worldRig{rig: &rig{t: t, store: newMemStore()}, sites: map[string]*elsewhere{}, copies: map[string]int{}}
	r.engine = newFakeEngine(r.now, 0, script) // this machine has no room
	for name, rate := range map[string]string{"east": "10", "west": "12"} {
		r.sites[name] = &elsewhere{
			fakeEngine: newFakeEngine(r.now, 0, script), pools: []fleet.Pool{poolAt(name, rate, 2)}, store: "file:///shared/" + name,
		}
	}
	r.restart()
	return r
}

func (r *worldRig) restart() {
	r.rig.restart()
	sites := NewSites(SitesOptions{
		Store: r.store, Local: r.engine, Log: slog.New(slog.DiscardHandler),
		Open: func(s *site.Site) (engine.Engine, error) { return r.sites[s.Name], nil },
	})
	sites.mu.Lock()
	for name, e := range r.sites {
		file := fmt.Sprintf("kind: Site\nname: %s\nengine: slurm\nslurm: {dir: /shared}\n", name)
		if e.store != "" {
			file += "checkpoints: " + e.store + "\n"
		}
		sites.put(fleet.Site{Name: name, Engine: "slurm", Spec: []byte(file), Draining: e.drain})
	}
	sites.mu.Unlock()
	r.loop.Sites = sites
	r.loop.Copy = func(_ context.Context, from, to string) (int64, error) {
		r.mu.Lock()
		r.copies[from+" > "+to]++
		r.mu.Unlock()
		time.Sleep(90 * time.Second) // the bubble's clock
		return 112_500_000_000, nil
	}
}

// long lets much time go by, with a pass each minute.
func (r *worldRig) long(d time.Duration) {
	r.t.Helper()
	for range d / time.Minute {
		if err := r.loop.Tick(context.Background()); err != nil {
			r.t.Fatal(err)
		}
		time.Sleep(time.Minute)
	}
}

// drains sets whether a site drains.
func (r *worldRig) drains(name string, drain bool) {
	r.sites[name].drain = drain
	r.loop.Sites.mu.Lock()
	defer r.loop.Sites.mu.Unlock()
	r.loop.Sites.places[name].Draining = drain
}

// training is a script that goes on from the newest checkpoint of its run.
func training(r **worldRig, steps int64, per time.Duration) func(key string) script {
	return func(key string) script {
		s := script{steps: steps, every: 100, per: per}
		for _, a := range (*r).store.state.attempts[key[:strings.LastIndex(key, "-")]] {
			s.from = max(s.from, a.Progress.CheckpointStep)
		}
		return s
	}
}

func (r *worldRig) verifyAll() {
	r.t.Helper()
	r.verify()
	for name, e := range r.sites {
		for key, count := range e.starts {
			if count != 1 {
				r.t.Errorf("%s was started %d times on %s", key, count, name)
			}
			for other, f := range r.sites {
				if other != name && f.starts[key] > 0 {
					r.t.Errorf("%s was started on %s and %s", key, name, other)
				}
			}
		}
	}
}

func (r *worldRig) verbs(id string) string {
	var verbs []string
	for _, d := range r.store.state.decisions[id] {
		verbs = append(verbs, strings.TrimSpace(d.Verb+" "+d.Subject))
	}
	return strings.Join(verbs, ", ")
}

func TestARunMovesByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *worldRig
		r = newWorld(t, training(&r, 3600, time.Second))
		run := r.submit("")
		r.pass(10 * time.Minute)
		move, _, err := r.loop.AskMove(context.Background(), MoveRequest{Run: run.ID, To: "west", DryRun: true})
		if err != nil || move.To != "west/p" {
			t.Fatalf("%+v, %v", move, err)
		}
		r.pass(time.Minute)
		r.wants(run.ID, fleet.Running, 1)
		if _, _, err = r.loop.AskMove(context.Background(), MoveRequest{Run: run.ID, To: "west"}); err != nil {
			t.Fatal(err)
		}
		if _, _, err = r.loop.AskMove(context.Background(), MoveRequest{Run: run.ID, To: "east"}); !fault.Is(err, fault.Conflict) {
			t.Errorf("a second move at once: %v", err)
		}
		r.long(2 * time.Hour)
		got, attempts := r.wants(run.ID, fleet.Succeeded, 2)
		first, second := attempts[0], attempts[1]
		if first.State != fleet.AttemptStopped || first.Reason != "moves to west/p: asked by a user" || second.Pool != "west/p" || got.Target != "" {
			t.Errorf("%+v\n%+v\n%+v", got, first, second)
		}
		if took := second.Ended.Sub(second.Started); took > 50*time.Minute || first.Store != "file:///shared/east/"+run.ID {
			t.Errorf("it began anew: %s, from %s", took, first.Store)
		}
		if got := r.verbs(run.ID); got != "place east/p, send west/p, place west/p" {
			t.Errorf("decisions: %s", got)
		}
		way := "file:///shared/east/" + run.ID + " > file:///shared/west/" + run.ID
		if len(r.copies) != 1 || r.copies[way] != 1 || second.Started.Sub(first.Ended) < 90*time.Second {
			t.Errorf("copies %v; it began %s after the first ended", r.copies, second.Started.Sub(first.Ended))
		}
		if got.Failures != 0 {
			t.Errorf("%d failures were counted", got.Failures)
		}
		r.verifyAll()
	})
}

// What leaves a cloud is paid for: the way of a checkpoint is booked once, by
// the list, also where the process dies before and after.
func TestEgressIsBookedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *worldRig
		r = newWorld(t, training(&r, 7200, time.Second))
		r.sites["east"].pools[0].Provider, r.sites["east"].pools[0].Region = "aws", "us-east-1"
		run := r.submit("")
		r.long(10 * time.Minute)
		if _, _, err := r.loop.AskMove(context.Background(), MoveRequest{Run: run.ID, To: "west"}); err != nil {
			t.Fatal(err)
		}
		deaths := 0
		r.crash = func(point string) {
			if (point == pointBrought || point == pointStarting) && deaths < 4 {
				deaths++
				panic(crashed{})
			}
		}
		for range 180 {
			func() {
				defer func() {
					if p := recover(); p != nil {
						r.restart()
					}
				}()
				if err := r.loop.Tick(context.Background()); err != nil {
					t.Error(err)
				}
			}()
			time.Sleep(time.Minute)
		}
		r.wants(run.ID, fleet.Succeeded, 2)
		var ways []ledger.Entry
		for _, e := range r.store.state.entries {
			if e.Category == ledger.Egress {
				ways = append(ways, e)
			}
		}
		if deaths != 4 || len(ways) != 1 || ways[0].Cost.Decimal() != "10.125000" || ways[0].Pool != "east/p" || ways[0].Attempt != 2 {
			t.Errorf("%d deaths, %+v", deaths, ways)
		}
		r.verifyAll()
	})
}

// A target that nobody has is answered with the nearest, and those that are valid.
func TestATargetThatIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *worldRig
		r = newWorld(t, training(&r, 3600, time.Second))
		run := r.submit("")
		r.pass(time.Minute)
		for to, want := range map[string]string{
			"wst/p":   `no other connected pool is "wst/p" (yard sites); did you mean west/p? valid: local, local/cpu, west, west/p`,
			"nowhere": `no other connected pool is "nowhere" (yard sites); valid: local, local/cpu, west, west/p`,
		} {
			_, _, err := r.loop.AskMove(context.Background(), MoveRequest{Run: run.ID, To: to})
			if !fault.Is(err, fault.NotFound) || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		}
		r.sites["west"].pools = nil
		r.loop.pools = poolCache{}
		_, _, err := r.loop.AskMove(context.Background(), MoveRequest{Run: run.ID, To: "west"})
		if !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "; valid: local, local/cpu") {
			t.Error(err)
		}
	})
}

func TestRunsLeaveASiteThatDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *worldRig
		r = newWorld(t, training(&r, 36000, time.Second))
		a, b, c := r.submit("a"), r.submit("b"), r.submit("c") // east has room for two
		r.pass(5 * time.Minute)
		r.drains("east", true)
		r.pass(20 * time.Minute)
		var there, here []string
		for _, run := range []fleet.Run{a, b, c} {
			got, attempts := r.run(run.ID)
			if last := attempts[len(attempts)-1]; last.Site == "west" {
				there = append(there, run.ID)
			} else {
				here = append(here, run.ID)
				if got.State != fleet.Queued || last.State != fleet.AttemptStopped || got.Failures != 0 {
					t.Errorf("what stayed: %+v %+v", got, last)
				}
			}
		}
		if len(there) != 2 || len(here) != 1 {
			t.Fatalf("west has room for two: %v went, %v stayed", there, here)
		}
		// The third finds no room, is told of once, and waits for some.
		if got := r.verbs(here[0]); got != "place east/p, stay, drain "+here[0]+"-1" {
			t.Errorf("decisions: %s", got)
		}
		stay := r.store.state.decisions[here[0]][1]
		if !strings.Contains(strings.Join(stay.Reasons, "; "), "site east drains; ") || !strings.Contains(stay.Reasons[len(stay.Reasons)-1], "west/p has 0 of 2 nodes free") {
			t.Errorf("%q", stay.Reasons)
		}
		r.long(20 * time.Hour)
		for _, run := range []fleet.Run{a, b, c} {
			if got, _ := r.run(run.ID); got.State != fleet.Succeeded {
				t.Errorf("%s is %s", run.ID, got.State)
			}
		}
		r.verifyAll()
	})
}

func TestARunMovesWhereItIsCheaper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *worldRig
		r = newWorld(t, training(&r, 360000, time.Second))
		run := r.submit("")
		r.long(2 * time.Hour)
		r.wants(run.ID, fleet.Running, 1)
		r.sites["west"].pools[0].Rate = units.MustRate("6", units.USD)
		r.long(200 * time.Hour)
		_, attempts := r.wants(run.ID, fleet.Succeeded, 2)
		if attempts[1].Pool != "west/p" {
			t.Errorf("%+v", attempts[1])
		}
		move := r.store.state.decisions[run.ID][1]
		if why := strings.Join(move.Reasons, "; "); move.Verb != "move" || !strings.Contains(why, "% less") || !strings.Contains(why, "score") {
			t.Errorf("%+v", move)
		}
		r.verifyAll()
	})
}

// Its target is full or gone when it gets there: it goes by merit order.
func TestTheTargetVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *worldRig
		r = newWorld(t, training(&r, 3600, time.Second))
		run := r.submit("")
		r.pass(time.Minute)
		if _, _, err := r.loop.AskMove(context.Background(), MoveRequest{Run: run.ID, To: "west/p"}); err != nil {
			t.Fatal(err)
		}
		r.sites["west"].pools = nil
		r.loop.pools = poolCache{}
		r.long(2 * time.Hour)
		_, attempts := r.wants(run.ID, fleet.Succeeded, 2)
		d := r.store.state.decisions[run.ID]
		if attempts[1].Pool != "east/p" || !strings.Contains(d[len(d)-1].Reasons[0], "west/p, where it was to go, cannot take it any more") {
			t.Errorf("%+v\n%+v", attempts[1], d[len(d)-1])
		}
		r.verifyAll()
	})
}

func TestWhatRulesAMoveOut(t *testing.T) {
	const twoFamilies = `kind: Training
name: job
variants:
  cpu: {command: [train], checkpoint: {writes: safetensors}}
  neuron: {command: [train], checkpoint: {reads: [%s]}}
place: {forbid: {regions: [mars]}}
`
	for _, c := range []struct {
		name, reads, want string
		change            func(*worldRig)
	}{
		{"store", "safetensors", "site west keeps checkpoints in a directory of its own", func(r *worldRig) { r.sites["west"].store = "" }},
		{"format", "nxd", "the cpu variant writes safetensors and the neuron variant reads nxd", neuronWest},
		{"qualification", "safetensors", "job is not qualified for neuron (yard qualify", neuronWest},
		{"variant", "safetensors", "needs a tpu variant in the file", func(r *worldRig) { r.sites["west"].pools[0].Family = "tpu" }},
		{"residency", "safetensors", "region mars is forbidden", func(r *worldRig) { r.sites["west"].pools[0].Region = "mars" }},
		{"room", "safetensors", "west/p has 0 of 0 nodes free", func(r *worldRig) { r.sites["west"].pools[0].Nodes, r.sites["west"].pools[0].MaxNodes = 0, 0 }},
		{"drain", "safetensors", "site west drains", func(r *worldRig) { r.sites["west"].drain = true }},
		{"quota", "safetensors", "project default holds", func(r *worldRig) {
			r.sites["west"].pools[0].ChipsPerNode = 8
			r.store.state.quotas["default"] = 4
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r *worldRig
				r = newWorld(t, training(&r, 36000, time.Second))
				c.change(r)
				r.restart()
				run, err := r.loop.Submit(context.Background(), Request{File: "j.yaml", Content: fmt.Appendf(nil, twoFamilies, c.reads)})
				if err != nil {
					t.Fatal(err)
				}
				r.pass(10 * time.Minute)
				_, _, err = r.loop.AskMove(context.Background(), MoveRequest{Run: run.ID, To: "west"})
				if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), c.want) && !(c.name == "room" && strings.Contains(err.Error(), "has 0 nodes")) {
					t.Errorf("%v", err)
				}
				r.long(time.Hour)
				r.wants(run.ID, fleet.Running, 1)
			})
		})
	}
}

func neuronWest(r *worldRig) {
	pool := &r.sites["west"].pools[0]
	pool.Family, pool.Chip, pool.ChipsPerNode = "neuron", "Trainium2", 16
}

// TestKilledWhileRunsMove dies at each point in turn while runs move by hand
// and by drain, and wants each run to end once, with nothing started twice.
func TestKilledWhileRunsMove(t *testing.T) {
	for _, point := range []string{
		pointMoving, pointMoved, pointBrought, pointStopSend, pointStopSent, changeRequeued.before(), changeRequeued.after(),
		pointRecording, pointRecorded, pointStarting, pointStarted, changeRunning.before(), changeRunning.after(),
	} {
		t.Run(point, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if killMoving(t, point) == 0 {
					t.Error("the point was never reached")
				}
			})
		})
	}
}

func killMoving(t *testing.T, point string) (deaths int) {
	var r *worldRig
	r = newWorld(t, training(&r, 36000, time.Second))
	r.sites["west"].pools[0].Rate = r.sites["east"].pools[0].Rate // nothing moves for money
	r.crash = dieAt(point, &deaths)
	survive := func(act func()) { survived(act, r.restart) }
	ctx := context.Background()
	a, b := r.submit("a"), r.submit("b")
	for minute := range 1200 {
		if minute == 60 {
			r.drains("east", true)
		}
		if minute == 200 {
			r.drains("east", false)
		}
		if minute > 250 && minute < 300 { // a person who repeats what was not answered
			survive(func() {
				_, _, err := r.loop.AskMove(ctx, MoveRequest{Run: a.ID, To: "east"})
				if err != nil && !fault.Is(err, fault.Conflict) {
					t.Error(err)
				}
			})
		}
		survive(func() {
			if err := r.loop.Tick(ctx); err != nil {
				t.Fatal(err)
			}
		})
		time.Sleep(time.Minute)
	}
	for _, run := range []fleet.Run{a, b} {
		got, attempts := r.run(run.ID)
		if got.State != fleet.Succeeded || got.Failures != 0 {
			t.Errorf("%s is %s after %d attempts: %s", run.ID, got.State, len(attempts), r.verbs(run.ID))
		}
		sites := ""
		for i, attempt := range attempts {
			if !attempt.State.Final() || attempt.Number != i+1 {
				t.Errorf("attempt %+v", attempt)
			}
			sites += attempt.Site + " "
		}
		want := map[string]string{a.ID: "east west east ", b.ID: "east west "}[run.ID]
		if sites != want {
			t.Errorf("%s ran on %s, want %s: %s", run.ID, sites, want, r.verbs(run.ID))
		}
	}
	r.verifyAll()
	return deaths
}

// A run that runs again no longer says why it waited.
func TestARunThatIsPlacedAgainTellsNoOldReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *worldRig
		r = newWorld(t, training(&r, 36000, time.Second))
		r.sites["west"].pools = nil
		run := r.submit("")
		r.pass(5 * time.Minute)
		r.drains("east", true)
		r.pass(20 * time.Minute)
		if got, _ := r.wants(run.ID, fleet.Queued, 1); !strings.HasPrefix(got.Reason, "drained by its site") {
			t.Fatalf("a run that waits says %q", got.Reason)
		}
		r.drains("east", false)
		r.pass(5 * time.Minute)
		if got, _ := r.wants(run.ID, fleet.Running, 2); got.Reason != "" {
			t.Errorf("a run that runs again still says %q", got.Reason)
		}
	})
}
