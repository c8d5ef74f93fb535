//go:build linux

package slurm_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/enginetest"
	"github.com/switchyard-ai/switchyard/internal/engine/slurm"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/lab/slurmlab"
	"github.com/switchyard-ai/switchyard/internal/site"
)

// restLab is the lab, with its slurmrestd running.
func restLab(t *testing.T) (*slurmlab.Lab, slurmlab.REST) {
	t.Helper()
	lab := lab(t)
	if missing := slurmlab.MissingREST(); missing != "" {
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip("SKIPPED: " + missing)
	}
	rest, err := lab.StartREST(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return lab, rest
}

// tokenFile holds a token as scontrol writes it.
func tokenFile(t *testing.T, token string) *site.FromPlace {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("SLURM_JWT="+token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &site.FromPlace{File: file}
}

// overREST is an engine that has none of Slurm's commands.
func overREST(dir string, rest site.SlurmREST, change func(*site.Site)) *slurm.Engine {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	of := labSpec(dir)
	of.Slurm.REST = &rest
	if change != nil {
		change(&of)
	}
	return slurm.New(of, []string{self}, nil)
}

// restSite is the lab as slurmrestd shows it.
type restSite struct {
	labSite
	rest site.SlurmREST
}

func (s restSite) Open(*testing.T) engine.Engine { return overREST(s.dir, s.rest, nil) }

func TestConformanceOverREST(t *testing.T) {
	lab, at := restLab(t)
	rest := site.SlurmREST{URL: at.URL, Token: tokenFile(t, at.Token)}
	t.Run("suite", func(t *testing.T) {
		enginetest.Run(t, func(t *testing.T) enginetest.Site { return restSite{labSite{lab, sharedDir(t)}, rest} })
	})
}

// What a job asks for, and what is told of it, is the same by slurmrestd: over its
// socket, as over TCP.
func TestGangOverREST(t *testing.T) {
	lab, at := restLab(t)
	rest, dir := site.SlurmREST{URL: at.Socket, Version: "v0.0.38", User: "root", Token: tokenFile(t, at.Token)}, sharedDir(t)
	e := overREST(dir, rest, func(s *site.Site) { s.Slurm.Account = "research" })
	gang := wide("asked", 2, 1, `echo "$RANK on $SLURMD_NODENAME gpus $CUDA_VISIBLE_DEVICES"`)
	gang.Pool, gang.Chips, gang.Cores, gang.Memory = "h100", 4, 2, 1<<30
	gang.Avoid, gang.Priority, gang.TimeLimit = []string{"n1", "n4"}, -10, time.Hour
	enginetest.Start(t, e, gang)
	status := enginetest.Await(t, e, "asked", engine.Exited)
	if status.ExitCode != 0 || !slices.Equal(status.Nodes, []string{"n2", "n3"}) {
		t.Errorf("status %+v; want a plain exit on n2 and n3", status)
	}
	for rank := range 2 {
		want := fmt.Sprintf("%d on n%d gpus 0,1,2,3\n", rank, rank+2)
		if log, _ := enginetest.ReadLog(t, e, "asked", rank, 0); log != want {
			t.Errorf("log of rank %d: %q; want %q", rank, log, want)
		}
	}
	said, err := lab.Call(t.Context(), "scontrol", "--oneliner", "show", "job", awaitJobEnd(t, lab, "asked"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Requeue=0", "Account=research", "TimeLimit=01:00:00", "Nice=10", "CPUs/Task=2", "MinMemoryNode=1G", "Partition=main", "Comment=yard run run-asked", "TresPerNode=gres:gpu:h100:4",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("the job is %s; want %s", said, want)
		}
	}
	wantSameAccount(t, e, open(lab, dir))
	byCommands, err := open(lab, dir).Pools(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pools, err := e.Pools(t.Context())
	if err != nil || !slices.Equal(pools, byCommands) {
		t.Errorf("pools %+v, %v; want those of the commands, %+v", pools, err, byCommands)
	}
}

// With ssh it is the other machine that asks slurmrestd, with the token there.
func TestRESTFromTheLoginNode(t *testing.T) {
	lab, at := restLab(t)
	of := labSpec(sharedDir(t))
	of.Slurm.SSH, of.Slurm.REST = "lab", &site.SlurmREST{URL: at.URL, Token: tokenFile(t, at.Token)}
	e := openRemote(t, of, []string{"sh", "-c"})
	enginetest.Start(t, e, enginetest.Shell("there", 1, "echo began"))
	if status := enginetest.Await(t, e, "there", engine.Exited); status.ExitCode != 0 || status.Lost {
		t.Errorf("status %+v; want a plain exit", status)
	}
	if log, _ := enginetest.ReadLog(t, e, "there", 0, 0); log != "began\n" {
		t.Errorf("log %q", log)
	}
	awaitJobEnd(t, lab, "there")
	used, err := e.Used(t.Context(), time.Now().Add(-time.Hour))
	if err != nil || len(used) > 1 || len(used) == 1 && used[0].Key != "there" {
		t.Errorf("used %+v, %v; want that of the gang alone", used, err)
	}
}

// wantSameAccount waits until the accounting has the one job, and compares what is
// told of it.
func wantSameAccount(t *testing.T, rest, commands *slurm.Engine) {
	t.Helper()
	enginetest.Eventually(t, "the accounting tells the same both ways", func() bool {
		since := time.Now().Add(-time.Hour)
		want, err := commands.Used(t.Context(), since)
		if err != nil {
			t.Fatal(err)
		}
		got, err := rest.Used(t.Context(), since)
		if err != nil {
			t.Fatal(err)
		}
		return len(want) == 1 && !want[0].End.IsZero() && slices.Equal(got, want)
	})
}

func TestRefusalsOverREST(t *testing.T) {
	_, at := restLab(t)
	rest := site.SlurmREST{URL: at.URL, Token: tokenFile(t, at.Token)}
	for name, tt := range map[string]struct {
		site func(*site.Site)
		gang func(*engine.Gang)
		want fault.Kind
	}{
		"no such partition":  {func(s *site.Site) { s.Pools[0].Partition = "nope" }, nil, fault.Invalid},
		"no such resource":   {func(s *site.Site) { s.Pools[0].GRES = "gpu:a100:1" }, nil, fault.Invalid},
		"no such account":    {func(s *site.Site) { s.Slurm.Account = "nope" }, nil, fault.Invalid},
		"a limit of the QOS": {func(s *site.Site) { s.Slurm.QOS = "small" }, func(g *engine.Gang) { g.Nodes, g.Ranks = 2, 2 }, fault.Quota},
		"avoiding all nodes": {nil, func(g *engine.Gang) { g.Avoid = slurmlab.Nodes() }, fault.NoCapacity},
	} {
		t.Run(name, func(t *testing.T) {
			e := overREST(sharedDir(t), rest, tt.site)
			gang := enginetest.Shell("refused", 1, "true")
			if tt.gang != nil {
				tt.gang(&gang)
			}
			if err := e.Start(t.Context(), gang); !fault.Is(err, tt.want) {
				t.Errorf("start: %v (%s); want %s", err, fault.KindOf(err), tt.want)
			}
			if err := e.Stop(t.Context(), "refused", 0); err != nil {
				t.Error(err)
			}
		})
	}
}

// A gang that waits is taken out of the queue, one that runs is preempted, both
// by slurmrestd.
func TestWaitsAndPreemptedOverREST(t *testing.T) {
	_, at := restLab(t)
	e := overREST(sharedDir(t), site.SlurmREST{URL: at.URL, Token: tokenFile(t, at.Token)}, nil)
	enginetest.Start(t, e, wide("low", 4, 1, leavesInOrder))
	for rank := range 4 {
		enginetest.AwaitLog(t, e, "low", rank, "ready")
	}
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
	high := wide("high", 4, 1, "true")
	high.Pool = "urgent"
	enginetest.Start(t, e, high)
	if status := enginetest.Await(t, e, "low", engine.Exited); !status.Preempted || status.Stopped || status.Lost {
		t.Errorf("status %+v; want it preempted", status)
	}
	wantSaved(t, e, "low", 4)
	enginetest.Await(t, e, "high", engine.Exited)
}

// The warning before the time limit comes to the ranks.
func TestTimeLimitOverREST(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a warning of a limit of one minute")
	}
	_, at := restLab(t)
	e := overREST(sharedDir(t), site.SlurmREST{URL: at.URL, Token: tokenFile(t, at.Token)}, nil)
	gang := wide("limited", 2, 1, leavesInOrder)
	gang.TimeLimit = time.Minute
	enginetest.Start(t, e, gang)
	status := enginetest.Await(t, e, "limited", engine.Exited)
	if !status.Preempted || !strings.Contains(status.Reason, "time limit") {
		t.Errorf("status %+v; want it ended for its time limit", status)
	}
	wantSaved(t, e, "limited", 2)
}

// What keeps slurmrestd from answering is told so that it can be mended, and is
// never taken for a fault of the run.
func TestRESTDoesNotAnswer(t *testing.T) {
	_, at := restLab(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	good := tokenFile(t, at.Token)
	signature := strings.LastIndex(at.Token, ".")
	const expired = "e30.eyJleHAiOjE3OTUzMDAwMDAsInN1biI6InJvb3QifQ.eA" // at 1795300000, of root
	for name, tt := range map[string]struct {
		rest site.SlurmREST
		want string
	}{
		"a forged token":      {site.SlurmREST{URL: at.URL, Token: tokenFile(t, at.Token[:signature]+".Zm9yZ2Vk")}, "(a token that Slurm refuses is told of in this way)"},
		"an expired token":    {site.SlurmREST{URL: at.URL, Token: tokenFile(t, expired)}, "expired at 2026-11-21T22:26:40Z: make another (scontrol token)"},
		"no token":            {site.SlurmREST{URL: at.URL}, "takes a request without a token not for anyone (401)"},
		"a token that is not": {site.SlurmREST{URL: at.URL, Token: &site.FromPlace{File: "/no/such/token"}}, "reading the token for slurmrestd at " + at.URL},
		"an unset variable":   {site.SlurmREST{URL: at.URL, Token: &site.FromPlace{Env: "NO_SUCH_TOKEN"}}, "needs a token, and $NO_SUCH_TOKEN is empty"},
		"another version":     {site.SlurmREST{URL: at.URL, Version: "v0.0.41", Token: good}, "offers v0.0.36, v0.0.37, v0.0.38; wanted is v0.0.41 (slurm.rest.version; yard speaks v0.0.38)"},
		"nobody listens":      {site.SlurmREST{URL: closed, Token: good}, "connection refused"},
		"no such socket":      {site.SlurmREST{URL: "unix:///no/such/socket", Token: good}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			e := overREST(sharedDir(t), tt.rest, nil)
			if _, err := e.Pools(t.Context()); !fault.Is(err, fault.Transient) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("pools: %v (%s); want %q, transient", err, fault.KindOf(err), tt.want)
			} else if strings.Contains(err.Error(), at.Token[:signature]) {
				t.Errorf("%v tells the token", err)
			}
			if err := e.Start(t.Context(), enginetest.Shell("kept", 1, "true")); !fault.Is(err, fault.Transient) {
				t.Errorf("start: %v (%s); want it transient", err, fault.KindOf(err))
			}
		})
	}
}
