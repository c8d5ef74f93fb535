package kubelab

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"golang.org/x/sync/errgroup"
)

// fakeAnnotation marks the nodes that kwok plays.
const fakeAnnotation = "kwok.x-k8s.io/node"

// stages are kwok's own that every lab uses; how pods end is the test's.
func stages() []string {
	return []string{
		"node/fast/node-initialize.yaml", "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
		"pod/fast/pod-ready.yaml", "pod/fast/pod-delete.yaml",
	}
}

// StartKwok plays fake nodes: pods on them run at once and do nothing. The
// stages say how such pods end.
func (c *Cluster) StartKwok(t testing.TB, more ...string) {
	t.Helper()
	source, err := kwokModule(t.Context())
	c.must(t, err)
	var texts []string
	for _, stage := range stages() {
		data, err := os.ReadFile(filepath.Join(source, "kustomize", "stage", stage))
		c.must(t, err)
		texts = append(texts, string(data))
	}
	config := c.path("kwok.yaml")
	c.must(t, os.WriteFile(config, []byte(strings.Join(append(texts, more...), "\n---\n")), 0o600))
	c.must(t, c.lab.start("kwok", filepath.Join(c.bin, "kwok"), "--kubeconfig="+c.path("admin.yaml"), "--config="+config,
		"--manage-all-nodes=false", "--manage-nodes-with-annotation-selector="+fakeAnnotation+"=fake", "--node-lease-duration-seconds=120"))
}

// AddFakeNodes adds nodes with labels and resources, and waits until they are ready.
func (c *Cluster) AddFakeNodes(t testing.TB, prefix string, count int, labels map[string]string, resources map[string]string) {
	t.Helper()
	client := c.Client(t)
	list := corev1.ResourceList{}
	for name, amount := range resources {
		list[corev1.ResourceName(name)] = resource.MustParse(amount)
	}
	var group errgroup.Group
	group.SetLimit(16)
	for i := range count {
		name := fmt.Sprintf("%s-%d", prefix, i)
		own := maps.Clone(labels)
		own["kubernetes.io/hostname"] = name
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: own, Annotations: map[string]string{fakeAnnotation: "fake"}},
			Status:     corev1.NodeStatus{Capacity: list, Allocatable: list},
		}
		group.Go(func() error {
			_, err := client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{})
			return err
		})
	}
	c.must(t, group.Wait())
	Eventually(t, fmt.Sprintf("%d fake nodes are ready", count), func() bool {
		found, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return false
		}
		ready := 0
		for _, node := range found.Items {
			if !strings.HasPrefix(node.Name, prefix+"-") {
				continue
			}
			for _, condition := range node.Status.Conditions {
				if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
					ready++
				}
			}
		}
		return ready == count
	})
}
