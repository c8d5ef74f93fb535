package slurm

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine/agent"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/site"
)

func TestParseGRES(t *testing.T) {
	for text, want := range map[string][]gres{
		"gpu:h100:8(S:0-1),neuron:16":     {{"gpu", "h100", 8}, {"neuron", "", 16}},
		"gpu:8":                           {{"gpu", "", 8}},
		"gpu:mi300x":                      {{"gpu", "mi300x", 1}},
		"gpu":                             {{"gpu", "", 1}},
		"(null)":                          nil,
		"":                                nil,
		"gpu:a100:4(IDX:0-3),gpu:a10:2,":  {{"gpu", "a100", 4}, {"gpu", "a10", 2}},
		"shard:h100:32(S:0,1),tpu:v5e:8,": {{"shard", "h100", 32}, {"tpu", "v5e", 8}},
	} {
		if got := parseGRES(text); !slices.Equal(got, want) {
			t.Errorf("%q: %v; want %v", text, got, want)
		}
	}
}

func TestGRESOf(t *testing.T) {
	for _, tt := range []struct {
		gres  string
		chips int
		want  string
	}{
		{"gpu:h100:8", 0, "gpu:h100:8"}, {"gpu:h100:8", 4, "gpu:h100:4"}, {"gpu", 2, "gpu:2"}, {"gpu:8", 1, "gpu:1"}, {"", 3, ""},
	} {
		if got := gresOf(tt.gres, tt.chips); got != tt.want {
			t.Errorf("%d of %q: %q; want %q", tt.chips, tt.gres, got, tt.want)
		}
	}
}

func TestMatchesFeatures(t *testing.T) {
	have := []string{"ib", "h100", "rack1"}
	for constraint, want := range map[string]bool{
		"": true, "ib": true, "ib&h100": true, "ib&a100": false, "a100|h100": true, "a100|b200": false, "[rack1|rack2]": true, "h100*4": true,
	} {
		if got := matchesFeatures(constraint, have); got != want {
			t.Errorf("%q: %v; want %v", constraint, got, want)
		}
	}
}

// A node as Slurm 22.05 prints it, with a value that has spaces in it.
const nodeLine = `NodeName=n1 Arch=x86_64 CoresPerSocket=1 CPUAlloc=0 CPUEfctv=8 CPUTot=8 CPULoad=0.50 AvailableFeatures=rack1,ib ActiveFeatures=rack1,ib Gres=gpu:h100:8,neuron:16 NodeAddr=10.0.0.1 NodeHostName=vm Version=22.05.8 OS=Linux 6.1.0 #1 SMP x RealMemory=16000 AllocMem=0 State=IDLE+DRAIN ThreadsPerCore=1 Partitions=main,urgent  Reason=bad disk [root@2026-11-22T02:00:00]
`

func TestParseNodes(t *testing.T) {
	got := parseNodes(nodeLine + strings.Replace(strings.Replace(nodeLine, "IDLE+DRAIN", "MIXED", 1), "n1", "n2", 1))
	want := node{
		name: "n1", partitions: []string{"main", "urgent"}, features: []string{"rack1", "ib"},
		gres: []gres{{"gpu", "h100", 8}, {"neuron", "", 16}}, cores: 8, memory: 16000 << 20,
	}
	if len(got) != 2 || !reflect.DeepEqual(got[0], want) || !got[1].up {
		t.Errorf("got %+v; want %+v, and another that is up", got, want)
	}
	if records := parseRecords(nodeLine); records[0]["OS"] != "Linux 6.1.0 #1 SMP x" || records[0]["Reason"] != "bad disk [root@2026-11-22T02:00:00]" {
		t.Errorf("records %v; want values with spaces", records)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(nodeLine)
	f.Add("12|RUNNING|None|1795313352|N/A|n[1-4]|main|key|/shared/gangs/key\n")
	f.Add("gpu:h100:8(S:0-1),neuron:16")
	f.Fuzz(func(t *testing.T, text string) {
		for _, n := range parseNodes(text) {
			if n.name == "" {
				t.Errorf("a node without a name in %q", text)
			}
		}
		for _, j := range parseQueue(text) {
			if j.ended() && j.waiting() {
				t.Errorf("job %+v has ended and waits", j)
			}
		}
		for _, g := range parseGRES(text) {
			if g.name == "" {
				t.Errorf("a resource without a name in %q", text)
			}
		}
		matchesFeatures(text, []string{"a"})
	})
}

func TestKindOf(t *testing.T) {
	for said, want := range map[string]fault.Kind{
		"Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)": fault.Quota,
		"Unable to contact slurm controller (connect failure)":                                                               fault.Transient,
		"Batch job submission failed: Socket timed out on send/recv operation":                                               fault.Transient,
		"Batch job submission failed: Requested node configuration is not available":                                         fault.Invalid,
		"Batch job submission failed: Invalid partition name specified":                                                      fault.Invalid,
		"If munged is up, restart with --num-threads=10; Munge encode failed":                                                fault.Transient,
	} {
		if got := kindOf(said); got != want {
			t.Errorf("%q is %s; want %s", said, got, want)
		}
	}
	if got := plain("sbatch: error: QOSMaxNodePerJobLimit\nsbatch: error: Batch job submission failed: x\n"); got != "QOSMaxNodePerJobLimit; Batch job submission failed: x" {
		t.Errorf("plain: %q", got)
	}
}

func TestEnding(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1000+int64(s), 0).UTC() }
	ended := func(state string) job { return job{ID: "7", State: state, Start: at(0), End: at(60), Nodes: "n[1-2]"} }
	well := agent.Report{Host: "n1", Started: at(1), Ended: at(50)}
	cut := agent.Report{Host: "n2", Started: at(1)}
	told := agent.Report{Host: "n2", Started: at(1), Ended: at(55), Stopped: true, Reason: "stopped by SIGTERM"}
	failed := agent.Report{Host: "n2", Started: at(1), Ended: at(40), ExitCode: 9, Rank: 1, Reason: "rank 1 exited 9"}
	for name, tt := range map[string]struct {
		s    ending
		want string // "code preempted lost stopped: reason"
	}{
		"well":                         {ending{job: ended("COMPLETED"), reports: []agent.Report{well, well}}, "0 ---: "},
		"well, then cancelled":         {ending{job: ended("CANCELLED"), reports: []agent.Report{well, well}}, "0 ---: "},
		"a rank failed":                {ending{job: ended("FAILED"), reports: []agent.Report{told, failed}}, "9 ---: rank 1 exited 9"},
		"preempted":                    {ending{job: ended("PREEMPTED"), reports: []agent.Report{cut, cut}}, "143 P--: another job took its nodes"},
		"preempted, and left in time":  {ending{job: ended("COMPLETED"), reports: []agent.Report{told, told}}, "143 P--: Slurm told it to leave: another job takes its nodes, they are drained, or its time limit is near"},
		"time limit":                   {ending{job: ended("TIMEOUT"), reports: []agent.Report{cut, cut}}, "143 P--: the job's time limit"},
		"a node failed":                {ending{job: ended("NODE_FAIL"), reports: []agent.Report{cut, cut}, down: []string{"n2"}}, "143 P--: a node failed: n2"},
		"out of memory":                {ending{job: ended("OUT_OF_MEMORY"), reports: []agent.Report{cut, cut}}, "137 ---: killed: out of memory"},
		"cancelled by another":         {ending{job: ended("CANCELLED"), reports: []agent.Report{cut, cut}}, "137 -L-: lost: job 7 was cancelled, and not by yard"},
		"cancelled as a keeper began":  {ending{job: ended("CANCELLED"), reports: []agent.Report{told, {}}, hasCause: true, cause: endingRecord{Cause: causeFailed, Node: 2, Code: keeperCode("srun: error: n2: task 1: Terminated")}}, "137 -L-: lost: job 7 was cancelled, and not by yard"},
		"a keeper was killed":          {ending{job: ended("FAILED"), reports: []agent.Report{told, {}}, hasCause: true, cause: endingRecord{Cause: causeFailed, Node: 2, Code: keeperCode("srun: error: n2: task 1: Killed"), Reason: "x"}}, "137 ---: x"},
		"not known any more":           {ending{reports: []agent.Report{cut, cut}, claimed: true, sign: at(30)}, "137 -L-: lost: Slurm does not know its job any more"},
		"stopped":                      {ending{job: ended("CANCELLED"), reports: []agent.Report{told, told}, stopped: true}, "0 --S: stopped by SIGTERM"},
		"stopped in the queue":         {ending{job: job{ID: "7", State: "CANCELLED"}, reports: make([]agent.Report, 2), stopped: true}, "0 --S: stopped before it began"},
		"it was done before the stop":  {ending{job: ended("COMPLETED"), reports: []agent.Report{well, well}, stopped: true}, "0 ---: "},
		"nobody reported, though well": {ending{job: ended("COMPLETED"), reports: make([]agent.Report, 2), claimed: true}, "137 -L-: lost: job 7 ended as COMPLETED () without a report of every node"},
	} {
		got := tt.s.status()
		flags := []byte("---")
		for i, set := range []bool{got.Preempted, got.Lost, got.Stopped} {
			if set {
				flags[i] = "PLS"[i]
			}
		}
		if text := strings.Join([]string{strconv.Itoa(got.ExitCode), string(flags) + ":", got.Reason}, " "); text != tt.want {
			t.Errorf("%s: %q; want %q", name, text, tt.want)
		}
		if got.Ended.Before(got.Started) {
			t.Errorf("%s: ended %v before it started %v", name, got.Ended, got.Started)
		}
	}
}

// The notice leaves a job of a short limit half of it.
func TestNotice(t *testing.T) {
	for limit, want := range map[time.Duration]time.Duration{0: 70 * time.Second, time.Minute: 30 * time.Second, time.Hour: 70 * time.Second} {
		gang := accepted{}.Gang
		gang.TimeLimit = limit
		e := New(site.Site{Slurm: &site.Slurm{Dir: "/x"}}, []string{"yard"}, nil)
		if got := e.notice(gang); got != want {
			t.Errorf("limit %v: warned %v before; want %v", limit, got, want)
		}
	}
}

func TestEnvironOfJobs(t *testing.T) {
	got := jobEnviron([]string{"PATH=/bin", "YARD_TOKEN=x", "SLURM_JOB_ID=7", "SLURM_CONF=/c", "SBATCH_ACCOUNT=a", "HOME=/h", "YARD_CRASH_AT=batch:claimed", "YARD_CRASH_AT=start:leased"})
	if want := []string{"PATH=/bin", "SLURM_CONF=/c", "HOME=/h", "YARD_CRASH_AT=batch:claimed"}; !slices.Equal(got, want) {
		t.Errorf("environment %v; want %v", got, want)
	}
}
