//go:build linux

package slurm_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/enginetest"
	"github.com/switchyard-ai/switchyard/internal/engine/slurm"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/lab/slurmlab"
	"github.com/switchyard-ai/switchyard/internal/site"
)

// wide is a gang with so many ranks on each of the nodes.
func wide(key string, nodes, perNode int, script string) engine.Gang {
	gang := enginetest.Shell(key, nodes*perNode, script)
	gang.Nodes = nodes
	return gang
}

func TestGangOnFourNodes(t *testing.T) {
	lab := lab(t)
	e := open(lab, sharedDir(t))
	gang := wide("four", 4, 2, `echo "$RANK of $WORLD_SIZE on $SLURMD_NODENAME as $LOCAL_RANK at $MASTER_ADDR gpus $CUDA_VISIBLE_DEVICES $TOKEN"`)
	gang.Pool, gang.Chips = "h100", 4
	gang.Secrets = map[string]string{"TOKEN": token}
	enginetest.Start(t, e, gang)
	status := enginetest.Await(t, e, "four", engine.Exited)
	if status.ExitCode != 0 || !slices.Equal(status.Nodes, slurmlab.Nodes()) {
		t.Errorf("status %+v; want a plain exit on four nodes", status)
	}
	for rank := range 8 {
		want := fmt.Sprintf("%d of 8 on n%d as %d at 127.0.0.1 gpus 0,1,2,3 %s\n", rank, rank/2+1, rank%2, token)
		if log, _ := enginetest.ReadLog(t, e, "four", rank, 0); log != want {
			t.Errorf("log of rank %d: %q; want %q", rank, log, want)
		}
	}
}

func TestSlowRankOnOneNode(t *testing.T) {
	lab := lab(t)
	enginetest.SlowNode(t, open(lab, sharedDir(t)), wide("lopsided", 2, 1, enginetest.Training))
}

// A rank's failure on one node ends the ranks of the others.
func TestFailureOnOneNode(t *testing.T) {
	lab := lab(t)
	e := open(lab, sharedDir(t))
	enginetest.Start(t, e, wide("fails", 4, 1, `if [ "$RANK" = 2 ]; then exit 7; fi; sleep 600`))
	status := enginetest.Await(t, e, "fails", engine.Exited)
	if status.ExitCode != 7 || status.Rank != 2 || status.Preempted || status.Lost || status.Stopped {
		t.Errorf("status %+v; want code 7 of rank 2", status)
	}
}

// The keeper of a node that is killed takes the gang with it.
func TestKeeperKilled(t *testing.T) {
	lab := lab(t)
	e := open(lab, sharedDir(t))
	enginetest.Start(t, e, wide("orphan", 2, 1, `echo ready; if [ "$RANK" = 1 ]; then kill -KILL $PPID; fi; sleep 600`))
	status := enginetest.Await(t, e, "orphan", engine.Exited)
	if status.ExitCode == 0 || !strings.Contains(status.Reason, "keeper of a node died") {
		t.Errorf("status %+v; want a failure that tells of the keeper", status)
	}
}

func TestPoolsOfTheLab(t *testing.T) {
	lab := lab(t)
	pools, err := openWith(lab, sharedDir(t), func(s *site.Site) { s.Pools = nil }).Pools(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range pools {
		got = append(got, fmt.Sprintf("%s %s %s×%d %d/%d nodes %d cores", p.Name, p.Family, p.Chip, p.ChipsPerNode, p.Nodes, p.MaxNodes, p.Cores))
	}
	want := []string{
		"brief.gpu.h100.8 cuda H100×8 2/2 nodes 8 cores", "brief.neuron.16 neuron Trainium2×16 2/2 nodes 8 cores",
		"gpu.gpu.h100.8 cuda H100×8 4/4 nodes 8 cores", "gpu.neuron.16 neuron Trainium2×16 4/4 nodes 8 cores",
		"main.gpu.h100.8 cuda H100×8 4/4 nodes 8 cores", "main.neuron.16 neuron Trainium2×16 4/4 nodes 8 cores",
		"scavenge.gpu.h100.8 cuda H100×8 2/2 nodes 8 cores", "scavenge.neuron.16 neuron Trainium2×16 2/2 nodes 8 cores",
		"urgent.gpu.h100.8 cuda H100×8 4/4 nodes 8 cores", "urgent.neuron.16 neuron Trainium2×16 4/4 nodes 8 cores",
	}
	if !slices.Equal(got, want) {
		t.Errorf("pools\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// A gang runs in a pool that nobody declared.
	e := openWith(lab, sharedDir(t), func(s *site.Site) { s.Pools = nil })
	gang := enginetest.Shell("found", 1, `echo "$CUDA_VISIBLE_DEVICES"`)
	gang.Pool = "main.gpu.h100.8"
	enginetest.Start(t, e, gang)
	enginetest.Await(t, e, "found", engine.Exited)
	if log, _ := enginetest.ReadLog(t, e, "found", 0, 0); log != "0,1,2,3,4,5,6,7\n" {
		t.Errorf("log %q; want all eight GPUs", log)
	}
}

func TestRefusals(t *testing.T) {
	lab := lab(t)
	for name, tt := range map[string]struct {
		site func(*site.Site)
		gang func(*engine.Gang)
		want fault.Kind
	}{
		"no such partition":        {func(s *site.Site) { s.Pools[0].Partition = "nope" }, nil, fault.Invalid},
		"no such resource":         {func(s *site.Site) { s.Pools[0].GRES = "gpu:a100:1" }, nil, fault.Invalid},
		"no such feature":          {func(s *site.Site) { s.Pools[0].Constraint = "nope" }, nil, fault.Invalid},
		"no such account":          {func(s *site.Site) { s.Slurm.Account = "nope" }, nil, fault.Invalid},
		"a limit of the QOS":       {func(s *site.Site) { s.Slurm.QOS = "small" }, func(g *engine.Gang) { g.Nodes, g.Ranks = 2, 2 }, fault.Quota},
		"avoiding all nodes":       {nil, func(g *engine.Gang) { g.Avoid = slurmlab.Nodes() }, fault.NoCapacity},
		"more memory than there":   {nil, func(g *engine.Gang) { g.Memory = 1 << 50 }, fault.Invalid},
		"a mount from elsewhere":   {nil, func(g *engine.Gang) { g.Mounts = []engine.Mount{{Path: "/data", From: "s3://data"}} }, fault.Invalid},
		"a secret outside":         {nil, func(g *engine.Gang) { g.SecretRefs = map[string]string{"T": "../etc"} }, fault.Invalid},
		"a node without any ranks": {nil, func(g *engine.Gang) { g.Nodes, g.Ranks = 4, 5 }, fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			e := openWith(lab, sharedDir(t), func(s *site.Site) {
				if tt.site != nil {
					tt.site(s)
				}
			})
			gang := enginetest.Shell("refused", 1, "true")
			if tt.gang != nil {
				tt.gang(&gang)
			}
			if err := e.Start(t.Context(), gang); !fault.Is(err, tt.want) {
				t.Errorf("start: %v (%s); want %s", err, fault.KindOf(err), tt.want)
			}
			if keys, err := e.List(t.Context()); tt.want == fault.Invalid && (err != nil || len(keys) > 0) {
				t.Errorf("list: %v, %v; want nothing of a gang that is invalid", keys, err)
			}
			if err := e.Stop(t.Context(), "refused", 0); err != nil {
				t.Error(err)
			}
		})
	}
}

// What no wait can heal is not waited for, though Slurm would.
func TestNeverRuns(t *testing.T) {
	lab := lab(t)
	e := open(lab, sharedDir(t))
	enginetest.Start(t, e, wide("five", 5, 1, "true"))
	status := enginetest.Await(t, e, "five", engine.Exited)
	if !status.Invalid || !status.Started.IsZero() || !strings.Contains(status.Reason, "PartitionNodeLimit") {
		t.Errorf("status %+v; want it invalid, for want of nodes", status)
	}
}

// A gang that waits says why, and a stop takes it out of the queue.
func TestWaitsAndStops(t *testing.T) {
	lab := lab(t)
	e := open(lab, sharedDir(t))
	enginetest.Start(t, e, wide("holder", 4, 1, "sleep 600"))
	enginetest.Await(t, e, "holder", engine.Running)
	enginetest.Start(t, e, wide("waiter", 4, 1, "true"))
	enginetest.Eventually(t, "it waits for resources", func() bool {
		return strings.Contains(enginetest.Await(t, e, "waiter", engine.Starting).Reason, "no nodes are free")
	})
	if err := e.Stop(t.Context(), "waiter", time.Hour); err != nil {
		t.Fatal(err)
	}
	if status := enginetest.Await(t, e, "waiter", engine.Exited); !status.Stopped || !status.Started.IsZero() {
		t.Errorf("status %+v; want it stopped before it began", status)
	}
}

// counted is a Runner that counts and may change calls.
func counted(inner slurm.Runner, calls *atomic.Int64, forget string) slurm.Runner {
	return func(ctx context.Context, input, name string, args ...string) (string, string, error) {
		if name == "squeue" {
			calls.Add(1)
		}
		out, errs, err := inner(ctx, input, name, args...)
		if name == "squeue" && forget != "" {
			out = strings.Join(slices.DeleteFunc(strings.SplitAfter(out, "\n"), func(line string) bool { return strings.Contains(line, forget) }), "")
		}
		return out, errs, err
	}
}

// All gangs that are looked at together share one call of squeue.
func TestOneCallForAllGangs(t *testing.T) {
	lab, dir := lab(t), sharedDir(t)
	e := open(lab, dir)
	enginetest.Start(t, e, wide("holder", 4, 1, "sleep 600"))
	enginetest.Await(t, e, "holder", engine.Running)
	var keys []string
	for i := range 10 {
		gang := enginetest.Shell(fmt.Sprintf("queued-%d", i), 1, "true")
		keys = append(keys, gang.Key)
		enginetest.Start(t, e, gang)
	}
	var calls atomic.Int64
	watcher := openOver(dir, counted(slurm.System("", lab.Conf()), &calls, ""))
	began := time.Now()
	for _, key := range keys {
		enginetest.Await(t, watcher, key, engine.Starting)
	}
	if most := 1 + int64(time.Since(began)/(500*time.Millisecond)); calls.Load() > most {
		t.Errorf("%d calls of squeue for %d gangs; want at most %d", calls.Load(), len(keys), most)
	}
	for _, key := range keys {
		if err := e.Stop(t.Context(), key, 0); err != nil {
			t.Error(err)
		}
	}
}

// A job that the controller has forgotten is known from the accounting, with its
// own times.
func TestEndFromAccounting(t *testing.T) {
	lab, dir := lab(t), sharedDir(t)
	e := open(lab, dir)
	if err := e.Start(t.Context(), enginetest.Shell("past", 1, "exit 3")); err != nil {
		t.Fatal(err)
	}
	job := awaitJobEnd(t, lab, "past")
	var calls atomic.Int64
	later := openOver(dir, counted(slurm.System("", lab.Conf()), &calls, dir))
	var status engine.Status
	enginetest.Eventually(t, "the accounting knows the end", func() bool {
		var err error
		if status, err = later.Observe(t.Context(), "past"); err != nil {
			t.Fatal(err)
		}
		return status.State == engine.Exited
	})
	out, err := lab.Call(t.Context(), "env", "SLURM_TIME_FORMAT=%s", "sacct", "--noheader", "--parsable2", "--allocations", "--jobs="+job, "--format=Start,End")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%d|%d\n", status.Started.Unix(), status.Ended.Unix())
	if out != want || status.ExitCode != 3 || status.Lost {
		t.Errorf("status %+v; want code 3, and sacct's times %s", status, out)
	}
}

// Neither queue nor accounting know a job: nothing can run under its number.
func TestJobUnknown(t *testing.T) {
	lab, dir := lab(t), sharedDir(t)
	e := open(lab, dir)
	if err := e.Start(t.Context(), enginetest.Shell("gone", 1, "true")); err != nil {
		t.Fatal(err)
	}
	awaitJobEnd(t, lab, "gone")
	folder := filepath.Join(dir, "gangs", "gone")
	for name, text := range map[string]string{"job": `{"id": "999999"}`, "claim": "999999\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, left := range []string{"exit.json", "nodes/0/report.json"} {
		if err := os.RemoveAll(filepath.Join(folder, left)); err != nil {
			t.Fatal(err)
		}
	}
	status := enginetest.Await(t, e, "gone", engine.Exited)
	if !status.Lost || status.ExitCode == 0 || status.Ended.Before(status.Started) {
		t.Errorf("status %+v; want it lost", status)
	}
}

// awaitJobEnd waits until the gang's job has ended and returns its number.
func awaitJobEnd(t *testing.T, lab *slurmlab.Lab, name string) string {
	t.Helper()
	var id string
	enginetest.Eventually(t, "the job of "+name+" ends", func() bool {
		out, err := lab.Call(t.Context(), "squeue", "--noheader", "--states=all", "--name="+name, "--format=%i %T", "--sort=-i")
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(out, "\n")
		number, state, _ := strings.Cut(first, " ")
		id = number
		return slices.Contains([]string{"COMPLETED", "FAILED", "CANCELLED"}, state)
	})
	return id
}

// The site of the examples, which docs/slurm.md shows, makes jobs that Slurm
// would run: sbatch --test-only takes the script that a preview shows.
func TestExampleSite(t *testing.T) {
	lab := lab(t)
	data, err := os.ReadFile("../../../examples/sites/slurm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	of, err := site.Parse("slurm.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	of.Slurm.Dir, of.Slurm.SSH, of.Slurm.Config = sharedDir(t), "", lab.Conf()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	e := slurm.New(*of, []string{self}, slurm.System("", lab.Conf()))
	for _, pool := range of.Pools {
		for _, nodes := range []int{1, 2} {
			gang := wide("example", nodes, 8, "true")
			gang.Pool, gang.Cores, gang.Memory, gang.Avoid, gang.Priority = pool.Name, 4, 8<<30, []string{"n1"}, -10
			if said, checked, err := e.Preview(t.Context(), gang); err != nil || !checked || !strings.Contains(said, "\n#SBATCH --partition="+pool.Partition+"\n") {
				t.Errorf("pool %s, %d nodes: %q, %v; want a script that Slurm takes", pool.Name, nodes, said, err)
			}
		}
	}
	pools, err := e.Pools(t.Context())
	if err != nil || len(pools) != 2 || pools[0].Nodes != 4 || pools[1].Nodes != 2 || pools[1].Option != "spot" {
		t.Errorf("pools %+v, %v; want four nodes and two that are preemptible", pools, err)
	}
}

func TestPageShowsTheExample(t *testing.T) {
	page, err := os.ReadFile("../../../docs/slurm.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("../../../examples/sites/slurm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```yaml\n"+string(example)+"```\n") {
		t.Error("docs/slurm.md does not show examples/sites/slurm.yaml as it stands")
	}
}
