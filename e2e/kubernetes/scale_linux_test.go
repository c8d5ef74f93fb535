package kubernetes_test

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	kuberuntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/kubernetes"
	"github.com/switchyard-ai/switchyard/internal/lab/kubelab"
	"github.com/switchyard-ai/switchyard/internal/lab/yardlab"
	"github.com/switchyard-ai/switchyard/internal/site"
)

// podEnds lets a fake pod end well some seconds after its agent was told to
// begin, with the report that an agent leaves.
const podEnds = `apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-released}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
      - {key: '.metadata.deletionTimestamp', operator: DoesNotExist}
      - {key: '.status.phase', operator: In, values: [Running]}
      - {key: '.metadata.annotations["switchyard.ai/release"]', operator: Exists}
  delay: {durationMilliseconds: 2000}
  next:
    statusTemplate: |
      {{ $now := Now }}
      containerStatuses:
      {{ range .spec.containers }}
      - image: {{ .image | Quote }}
        name: {{ .name | Quote }}
        ready: false
        restartCount: 0
        state:
          terminated:
            exitCode: 0
            reason: Completed
            startedAt: {{ $now | Quote }}
            finishedAt: {{ $now | Quote }}
            message: '{"node": 0, "started": "2026-01-01T00:00:00Z", "ended": "2026-01-01T00:00:02Z"}'
      {{ end }}
      phase: Succeeded
`

// kinds are the nodes of the fake site and the gangs that run there: 1,000
// nodes, 3,000 pods.
func kinds() []fakeKind {
	return []fakeKind{
		{"p5.48xlarge", "nvidia.com/gpu", "8", 600, map[int]int{512: 2, 128: 4, 64: 4, 32: 4, 16: 3, 8: 5}},
		{"trn2.48xlarge", "aws.amazon.com/neuron", "16", 400, map[int]int{256: 3, 64: 2, 32: 2, 16: 1, 8: 2}},
	}
}

type fakeKind struct {
	instance, resource, each string
	nodes                    int
	gangs                    map[int]int // by number of nodes
}

func (k fakeKind) pool() string { return strings.ReplaceAll(k.instance, ".", "-") }

// TestScale: no command of a partial gang is ever released, none is lost or
// doubled, and how long a gang waits from its submission to its last node.
// The test submits as yard's own scheduler does: when a pool has room.
func TestScale(t *testing.T) {
	yardlab.Need(t, "e2e-kubernetes-scale")
	scale(t, false)
}

// TestAllAtOnce is TestScale with every gang submitted at the beginning: the
// cluster's scheduler has to try those again and again that do not fit yet.
func TestAllAtOnce(t *testing.T) {
	yardlab.Need(t, "e2e-kubernetes-at-once")
	scale(t, true)
}

func scale(t *testing.T, atOnce bool) {
	t.Helper()
	c := kubelab.Start(t, kubelab.Options{Gang: true, NodeGrace: 5 * time.Minute})
	c.StartKwok(t, podEnds)
	pods := 0
	for _, k := range kinds() {
		c.AddFakeNodes(t, k.pool(), k.nodes, map[string]string{"node.kubernetes.io/instance-type": k.instance, "topology.kubernetes.io/region": "us-east-2"},
			map[string]string{"cpu": "190", "memory": "1900Gi", "pods": "110", k.resource: k.each})
		for nodes, gangs := range k.gangs {
			pods += nodes * gangs
		}
	}
	t.Logf("%d pods of gangs on 1,000 nodes", pods)
	seen := watchPods(t, c)
	offers, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	e, err := kubernetes.New(&site.Site{Name: "scale", Engine: site.KubernetesEngine, Provider: "aws",
		Kubernetes: &site.Kubernetes{AgentImage: "switchyard.test/yard:1"}}, kubernetes.Options{Config: c.Config(kubelab.Admin), Catalog: offers})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	began := time.Now()
	submitted := runAll(t, c, e, atOnce)
	t.Logf("%d gangs submitted and ended in %v", len(submitted), time.Since(began).Round(100*time.Millisecond))
	seen.report(t, submitted)
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	t.Logf("heap of this process, test and watches included: %d MiB", memory.HeapAlloc>>20)
}

// submission is when a gang was submitted, and its size.
type submission struct {
	at    time.Time
	nodes int
}

// waiting is the gangs that are not submitted yet, the largest first.
func waiting(k fakeKind) []engine.Gang {
	var gangs []engine.Gang
	for _, nodes := range slices.Backward(slices.Sorted(maps.Keys(k.gangs))) {
		for i := range k.gangs[nodes] {
			key := fmt.Sprintf("%s-%d-%d", k.resource[:3], nodes, i)
			gangs = append(gangs, engine.Gang{Key: key, Run: key, Pool: k.pool(), Nodes: nodes, Ranks: nodes, Command: []string{"train"}, Image: "train:1"})
		}
	}
	return gangs
}

// runAll runs every gang to its end and returns when each was submitted.
func runAll(t *testing.T, c *kubelab.Cluster, e *kubernetes.Engine, atOnce bool) map[string]submission {
	t.Helper()
	all, live := map[string]submission{}, map[string]string{} // pool by key
	queue, free := map[string][]engine.Gang{}, map[string]int{}
	total := 0
	for _, k := range kinds() {
		queue[k.pool()], free[k.pool()] = waiting(k), k.nodes
		total += len(queue[k.pool()])
	}
	for deadline := time.Now().Add(25 * time.Minute); len(all) < total || len(live) > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("gangs that did not end: %v\nscheduler: %s", live, c.Log("scheduler"))
		}
		for pool := range queue {
			queue[pool] = slices.DeleteFunc(queue[pool], func(gang engine.Gang) bool {
				if gang.Nodes > free[pool] && !atOnce {
					return false
				}
				at := time.Now()
				if err := e.Start(t.Context(), gang); err != nil {
					t.Fatalf("start %s: %v", gang.Key, err)
				}
				all[gang.Key], live[gang.Key] = submission{at, gang.Nodes}, pool
				free[pool] -= gang.Nodes
				return true
			})
		}
		for key, pool := range live {
			status, err := e.Observe(t.Context(), key)
			if err != nil {
				t.Fatalf("observe %s: %v", key, err)
			}
			if status.State != engine.Exited {
				continue
			}
			if status.ExitCode != 0 || status.Preempted || status.Lost || status.Invalid {
				t.Errorf("%s: %+v", key, status)
			}
			delete(live, key)
			t.Logf("%s of %d pods ended %v after its submission", key, all[key].nodes, time.Since(all[key].at).Round(100*time.Millisecond))
			free[pool] += all[key].nodes
		}
	}
	return all
}

// sightings is what a watch of all pods and Jobs has seen, apart from the engine.
type sightings struct {
	mu       sync.Mutex
	bound    map[string]map[string]string // gang → pod → node, of those that were ever bound
	released map[string]bool
	partial  []string             // gangs with a released pod before all were bound
	last     map[string]time.Time // when the last pod of a gang was bound
	jobs     map[string]int       // Jobs by key
	sizes    map[string]int
}

func watchPods(t *testing.T, c *kubelab.Cluster) *sightings {
	t.Helper()
	s := &sightings{bound: map[string]map[string]string{}, released: map[string]bool{}, last: map[string]time.Time{}, jobs: map[string]int{}, sizes: map[string]int{}}
	client := c.Client(t)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	watch := func(lists cache.ListerWatcher, object kuberuntime.Object, add func(any)) {
		handler := cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, o any) { add(o) }}
		_, controller := cache.NewInformerWithOptions(cache.InformerOptions{ListerWatcher: lists, ObjectType: object, Handler: handler})
		running.Go(func() { controller.RunWithContext(ctx) })
		for !controller.HasSynced() {
			time.Sleep(10 * time.Millisecond)
		}
	}
	watch(cache.NewListWatchFromClient(client.BatchV1().RESTClient(), "jobs", metav1.NamespaceAll, fields.Everything()), &batchv1.Job{}, s.job)
	watch(cache.NewListWatchFromClient(client.CoreV1().RESTClient(), "pods", metav1.NamespaceAll, fields.Everything()), &corev1.Pod{}, s.pod)
	t.Cleanup(func() { cancel(); running.Wait() })
	return s
}

func (s *sightings) job(object any) {
	job := object.(*batchv1.Job)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes[job.Name] = int(*job.Spec.Completions)
	s.jobs[job.Annotations["switchyard.ai/key"]+"/"+string(job.UID)]++
}

func (s *sightings) pod(object any) {
	pod := object.(*corev1.Pod)
	gang := pod.Labels["switchyard.ai/gang"]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bound[gang] == nil {
		s.bound[gang] = map[string]string{}
	}
	if _, known := s.bound[gang][pod.Name]; !known && pod.Spec.NodeName != "" {
		s.bound[gang][pod.Name], s.last[gang] = pod.Spec.NodeName, time.Now()
	}
	if pod.Annotations["switchyard.ai/release"] != "" && !s.released[gang] {
		s.released[gang] = true
		if len(s.bound[gang]) != s.sizes[gang] {
			s.partial = append(s.partial, gang)
		}
	}
}

func (s *sightings) report(t *testing.T, all map[string]submission) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.partial) > 0 {
		t.Errorf("released before all their pods were bound: %v", s.partial)
	}
	if len(s.jobs) != len(all) {
		t.Errorf("%d Jobs for %d gangs", len(s.jobs), len(all))
	}
	var waits []time.Duration
	pods := 0
	for key, sub := range all {
		gang := "yard-" + key
		nodes := map[string]bool{}
		for _, node := range s.bound[gang] {
			nodes[node] = true
		}
		if len(s.bound[gang]) != sub.nodes || len(nodes) != sub.nodes || !s.released[gang] {
			t.Errorf("%s: %d pods on %d nodes, released %t; want %d on as many", key, len(s.bound[gang]), len(nodes), s.released[gang], sub.nodes)
		}
		pods += len(s.bound[gang])
		waits = append(waits, s.last[gang].Sub(sub.at))
	}
	slices.Sort(waits)
	t.Logf("submit to scheduled of %d gangs, %d pods: median %v, 90%% %v, longest %v", len(waits), pods,
		waits[len(waits)/2].Round(time.Millisecond), waits[len(waits)*9/10].Round(time.Millisecond), waits[len(waits)-1].Round(time.Millisecond))
}
