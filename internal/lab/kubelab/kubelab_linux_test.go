package kubelab

import (
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

// TestPrograms builds what every cluster needs; alone, it may take its time.
func TestPrograms(t *testing.T) {
	Need(t)
	programs(t)
}

// TestClusterRunsAPod also shows what the tests of other
// packages rely on: a node that dies is seen to.
func TestClusterRunsAPod(t *testing.T) {
	c := Start(t, Options{Nodes: 2})
	c.Import(t, Shell("switchyard.test/shell:1"))
	client := c.Client(t)
	Eventually(t, "the namespace has its service account", func() bool {
		_, err := client.CoreV1().ServiceAccounts("default").Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil
	})
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "hello"},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "main", Image: "switchyard.test/shell:1", Command: []string{"sh", "-c", "echo hello"}, ImagePullPolicy: corev1.PullNever}},
		},
	}
	if _, err := client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "the pod has ended well", func() bool {
		found, err := client.CoreV1().Pods("default").Get(t.Context(), "hello", metav1.GetOptions{})
		return err == nil && found.Status.Phase == corev1.PodSucceeded
	})
	log, err := client.CoreV1().Pods("default").GetLogs("hello", &corev1.PodLogOptions{}).DoRaw(t.Context())
	if err != nil || string(log) != "hello\n" {
		t.Errorf("log %q, %v; want hello", log, err)
	}
}
