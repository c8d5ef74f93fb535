package kubernetes

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/enginetest"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/lab/kubelab"
)

func offers(t *testing.T) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCluster is what only Kubernetes does, on a real one.
func TestCluster(t *testing.T) {
	l := newLab(t, kubelab.Options{Nodes: 3, Gang: true, NodeGrace: 10 * time.Second})
	for i := range 3 {
		node := kubelab.NodeName(i + 1)
		l.Device(t, node, "nvidia.com/gpu", 8)
		l.Label(t, node, map[string]string{"node.kubernetes.io/instance-type": "p5.48xlarge", "topology.kubernetes.io/region": "us-east-1", "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"})
	}
	for _, tt := range []struct {
		name string
		test func(*testing.T, *lab)
	}{
		{"deploy", testDeploy},
		{"examples", testExamples},
		{"pools", testPools},
		{"nodes that others hold", testOthers},
		{"image that is not there", testImage},
		{"out of memory", testOutOfMemory},
		{"secrets", testSecrets},
		{"killed between submit and record", testHalfStarted},
		{"gangs wait whole", testWaitsWhole},
		{"old fences go", testFences},
		{"preempted by priority", testPreempted},
		{"pod deleted by others", testPodDeleted},
		{"API server restarts", testRestart},
		{"a node cut off is fenced", testCutOff},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, l) })
	}
}

func testPools(t *testing.T, l *lab) {
	e := l.newSite(t).open(t, Options{Catalog: offers(t)})
	pools, err := e.Pools(t.Context())
	if err != nil || len(pools) != 1 {
		t.Fatalf("pools %+v, %v; want one", pools, err)
	}
	p := pools[0]
	if p.Name != "p5-48xlarge" || p.InstanceType != "p5.48xlarge" || p.Chip != "H100" || p.ChipsPerNode != 8 || p.Nodes != 3 || p.Family != "cuda" || p.Region != "us-east-1" || p.Cores < 1 {
		t.Errorf("pool %+v; want three p5.48xlarge", p)
	}
}

// testOthers: a node on which somebody else has chips is not free. Those of the
// site's own gangs are its own.
func testOthers(t *testing.T, l *lab) {
	others := func() int {
		pools, err := l.newSite(t).open(t, Options{Catalog: offers(t)}).Pools(t.Context())
		if err != nil || len(pools) != 1 {
			t.Fatalf("pools %+v, %v; want one", pools, err)
		}
		return pools[0].Others
	}
	if n := others(); n != 0 {
		t.Errorf("others hold %d nodes; want none", n)
	}
	s := l.newSite(t)
	e := s.open(t, Options{Catalog: offers(t)})
	enginetest.Start(t, e, gpu("own", 2, "echo ready; sleep 600"))
	enginetest.AwaitLog(t, e, "own", 1, "ready")
	if pools, err := e.Pools(t.Context()); err != nil || pools[0].Others != 0 {
		t.Errorf("pools %+v, %v; want no others beside the gang of the site itself", pools, err)
	}
	if n := others(); n != 2 {
		t.Errorf("others hold %d nodes; want the two of the gang of another site", n)
	}
}

// gpu is a gang that takes all chips of its nodes.
func gpu(key string, nodes int, script string) engine.Gang {
	gang := enginetest.Spread(key, nodes, nodes, script)
	gang.Pool = "p5-48xlarge"
	return gang
}

func testImage(t *testing.T, l *lab) {
	e := l.newSite(t).Open(t)
	gang := gpu("imageless", 1, "true")
	gang.Image = "switchyard.test/absent:1"
	enginetest.Start(t, e, gang)
	status := enginetest.Await(t, e, "imageless", engine.Exited)
	if !status.Invalid || !strings.Contains(status.Reason, "switchyard.test/absent:1") || !status.Started.IsZero() {
		t.Errorf("status %+v; want it invalid, with the image named", status)
	}
	gang.Key, gang.Pool = "poolless", "nowhere"
	if err := e.Start(t.Context(), gang); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "p5-48xlarge") {
		t.Errorf("unknown pool: %v; want it invalid, with the pools there are", err)
	}
}

func testOutOfMemory(t *testing.T, l *lab) {
	e := l.newSite(t).Open(t)
	gang := gpu("greedy", 1, "dd if=/dev/zero of=/dev/null bs=400M count=1; echo survived; exit 3")
	gang.Memory = 128 << 20
	gang.Command = []string{"sh", "-c", "exec dd if=/dev/zero of=/dev/null bs=400M count=1"}
	enginetest.Start(t, e, gang)
	status := enginetest.Await(t, e, "greedy", engine.Exited)
	if status.ExitCode != 137 || !strings.Contains(status.Reason, "out of memory") || status.Preempted {
		t.Errorf("status %+v; want it killed: out of memory", status)
	}
}

func testSecrets(t *testing.T, l *lab) {
	s := l.newSite(t)
	client := l.Client(t)
	own := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "hub"}, StringData: map[string]string{"token": "from-the-site"}}
	if _, err := client.CoreV1().Secrets(s.namespace).Create(t.Context(), own, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	e := s.Open(t)
	gang := gpu("discreet", 1, `echo "$GIVEN and $HELD"; sleep 600`)
	gang.Secrets = map[string]string{"GIVEN": "from-yard"}
	gang.SecretRefs = map[string]string{"HELD": "hub/token"}
	enginetest.Start(t, e, gang)
	enginetest.AwaitLog(t, e, "discreet", 0, "from-yard and from-the-site")
	kubelab.Eventually(t, "the gang's Secret is gone", func() bool {
		list, err := client.CoreV1().Secrets(s.namespace).List(t.Context(), metav1.ListOptions{})
		return err == nil && len(list.Items) == 1
	})
	job, err := client.BatchV1().Jobs(s.namespace).Get(t.Context(), objectName("discreet"), metav1.GetOptions{})
	if err != nil || strings.Contains(job.String(), "from-yard") {
		t.Errorf("the Job holds the value of a secret (%v)", err)
	}
}

// testHalfStarted: an engine that dies after the Job's creation leaves a gang
// of which nothing begins until the start is repeated.
func testHalfStarted(t *testing.T, l *lab) {
	s := l.newSite(t)
	gang := gpu("half", 2, "echo began")
	gang.Image = shellImage
	died := s.open(t, Options{})
	if _, err := died.create(t.Context(), gang); err != nil {
		t.Fatal(err)
	}
	if err := died.Close(); err != nil {
		t.Fatal(err)
	}
	e := s.Open(t)
	if status := enginetest.Await(t, e, "half", engine.Starting); !status.Started.IsZero() {
		t.Errorf("status %+v; want it waiting", status)
	}
	enginetest.Start(t, e, gang)
	if status := enginetest.Await(t, e, "half", engine.Exited); status.ExitCode != 0 {
		t.Errorf("status %+v; want it run", status)
	}
	for rank := range 2 {
		if log, _ := enginetest.ReadLog(t, e, "half", rank, 0); log != "began\n" {
			t.Errorf("log of rank %d: %q; want one start", rank, log)
		}
	}
}

// testWaitsWhole: of two gangs that do not fit beside each other the second
// has no pod on any node until the first has gone.
func testWaitsWhole(t *testing.T, l *lab) {
	s := l.newSite(t)
	e := s.Open(t)
	enginetest.Start(t, e, gpu("first", 2, "echo ready; sleep 600"))
	enginetest.AwaitLog(t, e, "first", 1, "ready")
	enginetest.Start(t, e, gpu("second", 2, "echo ready"))
	enginetest.Eventually(t, "the second gang waits", func() bool {
		status, err := e.Observe(t.Context(), "second")
		return err == nil && strings.Contains(status.Reason, "waiting for nodes")
	})
	pods, err := l.Client(t).CoreV1().Pods(s.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: labelGang + "=" + objectName("second")})
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods.Items {
		if pod.Spec.NodeName != "" {
			t.Errorf("pod %s of a gang that does not fit is on node %s", pod.Name, pod.Spec.NodeName)
		}
	}
	if err := e.Stop(t.Context(), "first", 0); err != nil {
		t.Fatal(err)
	}
	if status := enginetest.Await(t, e, "second", engine.Exited); status.ExitCode != 0 {
		t.Errorf("status %+v; want it run once there is room", status)
	}
}

// testFences: a fence stands for long, and not for ever. Another site's stays.
func testFences(t *testing.T, l *lab) {
	s := l.newSite(t)
	client := l.Client(t)
	e := s.Open(t)
	if err := e.Stop(t.Context(), "never", 0); err != nil {
		t.Fatal(err)
	}
	alien := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "alien", Labels: map[string]string{labelSite: "another", labelFenced: "true"}}}
	if _, err := client.CoreV1().ConfigMaps(s.namespace).Create(t.Context(), alien, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	stands := func(name string) bool {
		_, err := client.CoreV1().ConfigMaps(s.namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
		return err == nil
	}
	for _, later := range []time.Duration{fenceAge - time.Hour, fenceAge + time.Hour} {
		if _, err := s.OpenSkewed(t, later).List(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := stands(objectName("never")), later < fenceAge; got != want {
			t.Errorf("after %v the fence stands: %t; want %t", later, got, want)
		}
	}
	if !stands("alien") {
		t.Error("the fence of another site is gone")
	}
}

func testPreempted(t *testing.T, l *lab) {
	s := l.newSite(t)
	client := l.Client(t)
	high := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "high"}, Value: 1000}
	if _, err := client.SchedulingV1().PriorityClasses().Create(t.Context(), high, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	e := s.Open(t)
	enginetest.Start(t, e, gpu("humble", 3, "echo ready; sleep 600"))
	for rank := range 3 {
		enginetest.AwaitLog(t, e, "humble", rank, "ready")
	}
	eight := corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("8")}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "urgent"}, Spec: corev1.PodSpec{
		PriorityClassName: "high", RestartPolicy: corev1.RestartPolicyNever,
		Containers: []corev1.Container{{Name: "main", Image: shellImage, ImagePullPolicy: corev1.PullNever, Command: []string{"sleep", "600"}, Resources: corev1.ResourceRequirements{Limits: eight}}},
	}}
	if _, err := client.CoreV1().Pods(s.namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	defer deleteNow(t, l, s.namespace, "urgent")
	status := enginetest.Await(t, e, "humble", engine.Exited)
	if !status.Preempted || status.BadNode != "" || status.Stopped || !strings.Contains(status.Reason, "Preemption") {
		t.Errorf("status %+v; want it preempted, and no node to blame", status)
	}
}

func deleteNow(t *testing.T, l *lab, namespace, pod string) {
	t.Helper()
	var now int64
	if err := l.Client(t).CoreV1().Pods(namespace).Delete(context.Background(), pod, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Error(err)
	}
}

func testPodDeleted(t *testing.T, l *lab) {
	s := l.newSite(t)
	e := s.Open(t)
	enginetest.Start(t, e, gpu("pruned", 2, `trap 'echo told; exit 0' TERM; echo ready; while true; do sleep 0.05; done`))
	for rank := range 2 {
		enginetest.AwaitLog(t, e, "pruned", rank, "ready")
	}
	pods, err := l.Client(t).CoreV1().Pods(s.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: labelIndex + "=1"})
	if err != nil || len(pods.Items) != 1 {
		t.Fatalf("pods %v, %v", pods, err)
	}
	if err := l.Client(t).CoreV1().Pods(s.namespace).Delete(t.Context(), pods.Items[0].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	status := enginetest.Await(t, e, "pruned", engine.Exited)
	if !status.Preempted || status.Stopped || !strings.Contains(status.Reason, "deleted") {
		t.Errorf("status %+v; want it taken away", status)
	}
	if log, _ := enginetest.ReadLog(t, e, "pruned", 0, 0); !strings.Contains(log, "told") {
		t.Errorf("log of rank 0 %q; want that it could leave in order", log)
	}
}

func testRestart(t *testing.T, l *lab) {
	e := l.newSite(t).Open(t)
	enginetest.Start(t, e, gpu("outlives", 1, `echo ready; while ! test -e "$YARD_SCRATCH/go"; do sleep 0.1; done`))
	enginetest.AwaitLog(t, e, "outlives", 0, "ready")
	l.StopAPI(t)
	if err := e.Start(t.Context(), gpu("meanwhile", 1, "true")); !fault.Is(err, fault.Transient) {
		t.Errorf("start without an API server: %v; want it transient", err)
	}
	l.StartAPI(t)
	enginetest.Eventually(t, "the engine is back", func() bool { return e.Start(t.Context(), gpu("meanwhile", 1, "echo here")) == nil })
	enginetest.StopAfter(t, e, "meanwhile")
	enginetest.Await(t, e, "meanwhile", engine.Exited)
	enginetest.Await(t, e, "outlives", engine.Running)
}

// testCutOff: the pods of a node that nobody hears of go on. The gang is given
// up for its node; what survives is killed when the node comes back, and until
// then fenced by its epoch.
func testCutOff(t *testing.T, l *lab) {
	s := l.newSite(t)
	e := s.Open(t)
	enginetest.Start(t, e, gpu("parted", 1, "echo ready; sleep 7654"))
	enginetest.AwaitLog(t, e, "parted", 0, "ready")
	node := enginetest.Await(t, e, "parted", engine.Running).Nodes[0]
	number := int(node[1] - '0')
	l.CutNode(t, number)
	status := enginetest.Await(t, e, "parted", engine.Exited)
	if !status.Preempted || status.BadNode != node {
		t.Errorf("status %+v; want it given up for node %s", status, node)
	}
	if !survives() {
		t.Error("the container ended with its kubelet: the test shows nothing")
	}
	l.ReviveNode(t, number)
	kubelab.Eventually(t, "the survivor is killed", func() bool { return !survives() })
}

func survives() bool { return exec.Command("pgrep", "-f", "sleep 7654$").Run() == nil }
