package kubelab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// node is a real one: containerd and a kubelet.
type node struct {
	cluster *Cluster
	number  int
	name    string
	dir     string
}

func (n *node) socket() string { return filepath.Join(n.dir, "containerd.sock") }

func (n *node) address() string { return fmt.Sprintf("10.99.77.%d", n.number) }

func (n *node) cgroup() string { return n.cluster.lab.id + "-n" + strconv.Itoa(n.number) }

// NodeName is the name of the node with a number from 1.
func NodeName(number int) string { return fmt.Sprintf("n%d", number) }

func (c *Cluster) startNode(t testing.TB, number int) *node {
	t.Helper()
	n := &node{cluster: c, number: number, name: NodeName(number), dir: c.path(NodeName(number))}
	c.must(t, makeCgroup(n.cgroup()))
	c.must(t, c.lab.run("ip", "addr", "add", n.address()+"/32", "dev", "lo"))
	c.must(t, n.write())
	n.start(t)
	return n
}

// start starts the node's programs and gives it the image that every pod needs.
func (n *node) start(t testing.TB) {
	t.Helper()
	c := n.cluster
	c.must(t, c.lab.start(n.name+"-containerd", "containerd", "--config", filepath.Join(n.dir, "containerd.toml")))
	pause := Shell(pauseImage)
	file := filepath.Join(n.dir, "pause.tar")
	c.must(t, pause.write(file, []string{"sleep", "1000000000"}))
	Eventually(t, "containerd takes images", func() bool { return n.importImage(file) == nil })
	n.startKubelet(t)
}

func (n *node) startKubelet(t testing.TB) {
	t.Helper()
	c := n.cluster
	c.must(t, c.lab.start(n.name+"-kubelet", filepath.Join(c.bin, "kubelet"), "--config="+filepath.Join(n.dir, "kubelet.yaml"), "--kubeconfig="+c.path("node.yaml"),
		"--root-dir="+filepath.Join(n.dir, "kubelet"), "--cert-dir="+filepath.Join(n.dir, "certs"), "--node-ip="+n.address(), "--hostname-override="+n.name))
}

// write writes the files that the node's programs read.
func (n *node) write() error {
	files := map[string]string{
		"containerd.toml": fmt.Sprintf(`version = 2
root = "%[1]s/root"
state = "%[1]s/state"
[grpc]
  address = "%[2]s"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "%[3]s"
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "%[1]s/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
`, n.dir, n.socket(), pauseImage),
		"cni/10-lab.conflist": fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "lab%[1]d", "plugins": [
  {"type": "bridge", "bridge": "cni%[1]d", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "%[2]s/ipam", "ranges": [[{"subnet": "10.88.%[1]d.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "loopback"}]}`, n.number, n.dir),
		"kubelet.yaml": fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %[1]s
port: 10250
healthzPort: 0
readOnlyPort: 0
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
cgroupRoot: /%[2]s
failCgroupV1: false
failSwapOn: false
resolvConf: ""
containerRuntimeEndpoint: unix://%[3]s
podLogsDir: %[4]s/pods
maxPods: 110
nodeStatusUpdateFrequency: 2s
nodeLeaseDurationSeconds: 8
syncFrequency: 10s
evictionHard: {memory.available: "50Mi", nodefs.available: "1%%", imagefs.available: "1%%", nodefs.inodesFree: "1%%"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
enforceNodeAllocatable: [pods]
serializeImagePulls: false
registryPullQPS: 0
eventRecordQPS: 50
kubeAPIQPS: 100
kubeAPIBurst: 200
`, n.address(), n.cgroup(), n.socket(), n.dir),
	}
	for name, text := range files {
		path := filepath.Join(n.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Device gives a node a number of chips that nobody checks. The kubelet leaves
// extended resources that it does not know of as they are.
func (c *Cluster) Device(t testing.TB, node, resource string, count int) {
	t.Helper()
	patch := fmt.Sprintf(`[{"op":"add","path":"/status/capacity/%s","value":"%d"}]`, strings.ReplaceAll(resource, "/", "~1"), count)
	_, err := c.Client(t).CoreV1().Nodes().Patch(t.Context(), node, types.JSONPatchType, []byte(patch), metav1.PatchOptions{}, "status")
	c.must(t, err)
	Eventually(t, "node "+node+" offers "+resource, func() bool {
		found, err := c.Client(t).CoreV1().Nodes().Get(context.Background(), node, metav1.GetOptions{})
		if err != nil {
			return false
		}
		offered := found.Status.Allocatable[corev1.ResourceName(resource)]
		return offered.Value() == int64(count)
	})
}

// Label sets labels of a node.
func (c *Cluster) Label(t testing.TB, node string, labels map[string]string) {
	t.Helper()
	var pairs []string
	for key, value := range labels {
		pairs = append(pairs, fmt.Sprintf("%q:%q", key, value))
	}
	_, err := c.Client(t).CoreV1().Nodes().Patch(t.Context(), node, types.MergePatchType,
		[]byte(`{"metadata":{"labels":{`+strings.Join(pairs, ",")+`}}}`), metav1.PatchOptions{})
	c.must(t, err)
}

// KillNode ends a node as a power failure would: its kubelet, its containerd
// and every process of its pods.
func (c *Cluster) KillNode(t testing.TB, number int) {
	t.Helper()
	n := c.nodes[number-1]
	c.must(t, c.lab.kill(n.name+"-kubelet"))
	c.must(t, c.lab.kill(n.name+"-containerd"))
	killMentioning(n.socket()) // the keepers of its containers
	killCgroup(n.cgroup())
}

// CutNode kills a node's kubelet alone: its pods go on, and nobody sees them.
func (c *Cluster) CutNode(t testing.TB, number int) {
	t.Helper()
	c.must(t, c.lab.kill(c.nodes[number-1].name+"-kubelet"))
}

// ReviveNode starts a node again that was killed or cut off.
func (c *Cluster) ReviveNode(t testing.TB, number int) {
	t.Helper()
	n := c.nodes[number-1]
	_ = c.lab.kill(n.name + "-containerd") // it runs after a cut
	n.start(t)
	c.awaitReady(t, n.name, true)
}

// killMentioning kills the processes whose command line has the text, which
// no other than this lab's has.
func killMentioning(text string) {
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(data), text) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
	}
}

// AwaitNode waits until a node is ready, or is not.
func (c *Cluster) AwaitNode(t testing.TB, number int, ready bool) {
	t.Helper()
	c.awaitReady(t, NodeName(number), ready)
}

func (c *Cluster) awaitReady(t testing.TB, name string, ready bool) {
	t.Helper()
	client := c.Client(t)
	Eventually(t, fmt.Sprintf("ready of node %s is %t", name, ready), func() bool {
		found, err := client.CoreV1().Nodes().Get(context.Background(), name, metav1.GetOptions{})
		if err != nil {
			return false
		}
		for _, condition := range found.Status.Conditions {
			if condition.Type == corev1.NodeReady {
				return (condition.Status == corev1.ConditionTrue) == ready
			}
		}
		return false
	})
}
