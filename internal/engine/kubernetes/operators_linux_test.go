package kubernetes

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/enginetest"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/lab/kubelab"
)

// operatorsLab is a cluster with Kueue and JobSet.
func operatorsLab(t *testing.T) *lab {
	t.Helper()
	if flag.Lookup("operators").Value.String() != "true" {
		t.Skip("NOT TESTED: gangs through Kueue and as JobSets, whose programs take minutes to build: make e2e-kueue")
	}
	l := newLab(t, kubelab.Options{Nodes: 3, Gang: true, NodeGrace: 10 * time.Second, Operators: []string{"kueue", "jobset"}})
	l.Create(t, "", "apiVersion: kueue.x-k8s.io/v1beta2\nkind: ResourceFlavor\nmetadata: {name: any}")
	return l
}

// TestOperators runs gangs through a real Kueue, and as sets of a real JobSet.
func TestOperators(t *testing.T) {
	l := operatorsLab(t)
	for i := range 3 {
		node := kubelab.NodeName(i + 1)
		l.Device(t, node, "nvidia.com/gpu", 8)
		l.Label(t, node, map[string]string{typeLabel: "p5.48xlarge"})
	}
	for name, f := range map[string]form{"jobs": jobForm, "sets": jobSetForm} {
		t.Run(name, func(t *testing.T) {
			for _, tt := range []struct {
				name string
				test func(*testing.T, *lab, form)
			}{
				{"a queue that is not there", testQueueless},
				{"a full queue", testQueueFull},
				{"a stop while it waits", testStopInQueue},
				{"preempted by Kueue", testKueuePreempts},
				{"deletion leaves nothing", testNothingLeft},
			} {
				t.Run(tt.name, func(t *testing.T) { tt.test(t, l, f) })
			}
		})
	}
	t.Run("two starts, one a set and one a job", func(t *testing.T) { testRivals(t, l) })
}

// TestConformanceWithOperators is the engine's suite with what Kueue and JobSet
// change: who lets a gang run, and what it is in the cluster.
func TestConformanceWithOperators(t *testing.T) {
	l := operatorsLab(t)
	t.Run("suite", func(t *testing.T) {
		t.Run("jobs in a queue", func(t *testing.T) {
			enginetest.Run(t, func(t *testing.T) enginetest.Site { return l.queued(t, jobForm, 1000) })
		})
		t.Run("sets in a queue", func(t *testing.T) {
			enginetest.Run(t, func(t *testing.T) enginetest.Site { return l.queued(t, jobSetForm, 1000) })
		})
		t.Run("sets", func(t *testing.T) {
			enginetest.Run(t, func(t *testing.T) enginetest.Site { return l.newSiteOf(t, jobSetForm) })
		})
	})
	t.Run("the loss of a node", func(t *testing.T) { enginetest.RunLoss(t, l.queued(t, jobSetForm, 1000)) })
}

// queued is a site with a queue of its own that has so many GPUs.
func (l *lab) queued(t *testing.T, f form, gpus int) *labSite {
	t.Helper()
	s := l.newSiteOf(t, f)
	s.queue = "gangs"
	l.Create(t, s.namespace, "apiVersion: kueue.x-k8s.io/v1beta2\nkind: LocalQueue\nmetadata: {name: gangs}\nspec: {clusterQueue: "+s.namespace+"}")
	l.Create(t, "", fmt.Sprintf(`apiVersion: kueue.x-k8s.io/v1beta2
kind: ClusterQueue
metadata: {name: %s}
spec:
  namespaceSelector: {}
  preemption: {withinClusterQueue: LowerPriority}
  resourceGroups:
  - coveredResources: [cpu, memory, nvidia.com/gpu]
    flavors:
    - name: any
      resources:
      - {name: cpu, nominalQuota: 1000}
      - {name: memory, nominalQuota: 1000Gi}
      - {name: nvidia.com/gpu, nominalQuota: %d}
`, s.namespace, gpus))
	return s
}

func testQueueless(t *testing.T, l *lab, f form) {
	s := l.newSiteOf(t, f)
	s.queue = "nowhere"
	if err := s.Open(t).Start(t.Context(), gpu("queueless", 2, "true")); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), `no LocalQueue "nowhere"`) {
		t.Errorf("start: %v; want it refused, with the queue named", err)
	}
}

// testQueueFull: of two gangs that the queue has no room for together the second
// waits for quota, without a pod, and runs when the first has gone.
func testQueueFull(t *testing.T, l *lab, f form) {
	s := l.queued(t, f, 16)
	e := s.Open(t)
	enginetest.Start(t, e, gpu("first", 2, "echo ready; sleep 600"))
	enginetest.AwaitLog(t, e, "first", 1, "ready")
	enginetest.Start(t, e, gpu("second", 2, "echo ready"))
	enginetest.Eventually(t, "the second gang waits for quota", func() bool {
		status, err := e.Observe(t.Context(), "second")
		return err == nil && status.State == engine.Starting && status.Waits == fault.Quota &&
			strings.Contains(status.Reason, "queue gangs") && strings.Contains(status.Reason, "insufficient unused quota for nvidia.com/gpu")
	})
	if status, err := e.Observe(t.Context(), "second"); err == nil {
		t.Logf("it says: %s", status.Reason)
	}
	if pods := l.podsOf(t, s, "second"); pods > 0 {
		t.Errorf("%d pods of a gang that was not admitted", pods)
	}
	if err := e.Stop(t.Context(), "first", 0); err != nil {
		t.Fatal(err)
	}
	if status := enginetest.Await(t, e, "second", engine.Exited); status.ExitCode != 0 || status.Preempted {
		t.Errorf("status %+v; want it run once there is room", status)
	}
	// More than the queue can ever hold is said likewise.
	enginetest.Start(t, e, gpu("huge", 3, "true"))
	enginetest.Eventually(t, "the reason of a gang that never fits", func() bool {
		status, err := e.Observe(t.Context(), "huge")
		return err == nil && status.Waits == fault.Quota && strings.Contains(status.Reason, "nvidia.com/gpu")
	})
	enginetest.StopAfter(t, e, "huge")
}

// testStopInQueue: a gang that is stopped while it waits is never admitted.
func testStopInQueue(t *testing.T, l *lab, f form) {
	s := l.queued(t, f, 16)
	e := s.Open(t)
	enginetest.Start(t, e, gpu("first", 2, "echo ready; sleep 600"))
	enginetest.AwaitLog(t, e, "first", 1, "ready")
	enginetest.Start(t, e, gpu("second", 2, "echo ready"))
	enginetest.Eventually(t, "the second gang waits", func() bool {
		status, err := e.Observe(t.Context(), "second")
		return err == nil && status.Waits == fault.Quota
	})
	if err := e.Stop(t.Context(), "second", 0); err != nil {
		t.Fatal(err)
	}
	if status := enginetest.Await(t, e, "second", engine.Exited); !status.Stopped || !status.Started.IsZero() {
		t.Errorf("status %+v; want it stopped before it began", status)
	}
	if err := e.Stop(t.Context(), "first", 0); err != nil {
		t.Fatal(err)
	}
	enginetest.Await(t, e, "first", engine.Exited)
	// The room that came free is the next one's: the queue has forgotten it.
	enginetest.Start(t, e, gpu("third", 2, "echo ready"))
	enginetest.Await(t, e, "third", engine.Exited)
	if pods := l.podsOf(t, s, "second"); pods > 0 {
		t.Errorf("%d pods of a gang that was stopped in the queue", pods)
	}
}

// testKueuePreempts: a gang whose place a more urgent one gets has been
// preempted. Its program did not fail, no node is to blame, and Kueue does not
// start it again.
func testKueuePreempts(t *testing.T, l *lab, f form) {
	s := l.queued(t, f, 16)
	l.Create(t, "", "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: urgent}\nvalue: 1000")
	e := s.Open(t)
	enginetest.Start(t, e, gpu("humble", 2, "echo ready; sleep 600"))
	for rank := range 2 {
		enginetest.AwaitLog(t, e, "humble", rank, "ready")
	}
	file := s.file()
	file.Kubernetes.PriorityClass = "urgent"
	urgent := s.openFile(t, file, Options{})
	enginetest.Start(t, urgent, gpu("urgent", 1, "echo ready; sleep 600"))
	status := enginetest.Await(t, e, "humble", engine.Exited)
	if !status.Preempted || status.BadNode != "" || status.Stopped || status.Started.IsZero() || !strings.Contains(status.Reason, "Preempted to accommodate") {
		t.Errorf("status %+v; want it preempted by Kueue, and no node to blame", status)
	}
	enginetest.AwaitLog(t, urgent, "urgent", 0, "ready")
	if err := urgent.Stop(t.Context(), "urgent", 0); err != nil {
		t.Fatal(err)
	}
	enginetest.Await(t, urgent, "urgent", engine.Exited)
	enginetest.Start(t, e, gpu("next", 2, "echo ready")) // goes where the preempted one would
	enginetest.Await(t, e, "next", engine.Exited)
	if pods := l.podsOf(t, s, "humble"); pods > 0 {
		t.Errorf("Kueue started %d pods of a gang again that has ended", pods)
	}
}

// testNothingLeft: what a gang leaves when it is forgotten is its fence.
func testNothingLeft(t *testing.T, l *lab, f form) {
	s := l.queued(t, f, 16)
	e := s.Open(t)
	enginetest.Start(t, e, gpu("done", 2, "echo ready"))
	enginetest.Await(t, e, "done", engine.Exited)
	if n := l.count(t, s, f.version(), f.resource().Resource); n != 1 {
		t.Errorf("%d objects of kind %s; want the gang", n, f)
	}
	if err := e.Forget(t.Context(), "done"); err != nil {
		t.Fatal(err)
	}
	enginetest.Eventually(t, "nothing is left", func() bool {
		return l.count(t, s, "batch/v1", "jobs")+l.count(t, s, jobSetForm.version(), "jobsets")+l.count(t, s, "kueue.x-k8s.io/v1beta2", "workloads")+
			l.podsOf(t, s, "done") == 0
	})
	services, err := l.Client(t).CoreV1().Services(s.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(services.Items) > 0 {
		t.Errorf("services %v, %v; want none", services.Items, err)
	}
}

// testRivals: two engines start a gang at the moment when JobSet comes, and one
// does not see it yet. One gang runs, once.
func testRivals(t *testing.T, l *lab) {
	s := l.newSiteOf(t, jobSetForm)
	e := s.Open(t).(*shells)
	gang := gpu("twice", 2, "echo began")
	gang.Image = shellImage
	if err := e.watch.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	job, err := e.build(gang, facilities{means: native})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.api.jobs.Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if job, err = e.build(gang, facilities{means: native, jobSet: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.createRecord(t.Context(), job, jobSetForm); err != nil {
		t.Fatal(err)
	}
	enginetest.Start(t, e, gang)
	if status := enginetest.Await(t, e, "twice", engine.Exited); status.ExitCode != 0 {
		t.Errorf("status %+v; want it run", status)
	}
	for rank := range 2 {
		if log, _ := enginetest.ReadLog(t, e, "twice", rank, 0); log != "began\n" {
			t.Errorf("log of rank %d: %q; want one start", rank, log)
		}
	}
	if n := l.count(t, s, jobSetForm.version(), "jobsets"); n != 0 {
		t.Errorf("%d sets are left; want none beside the job", n)
	}
}

func (l *lab) podsOf(t *testing.T, s *labSite, key string) int {
	t.Helper()
	pods, err := l.Client(t).CoreV1().Pods(s.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: labelGang + "=" + objectName(key)})
	if err != nil {
		t.Fatal(err)
	}
	return len(pods.Items)
}

// count is how many objects of a kind are in a site's namespace.
func (l *lab) count(t *testing.T, s *labSite, version, resource string) int {
	t.Helper()
	data, err := l.Client(t).BatchV1().RESTClient().Get().AbsPath("/apis", version, "namespaces", s.namespace, resource).Do(context.Background()).Raw()
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	return len(list.Items)
}
