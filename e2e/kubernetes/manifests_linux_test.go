package kubernetes_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/lab/kubelab"
	"github.com/switchyard-ai/switchyard/internal/lab/yardlab"
)

var update = flag.Bool("update", false, "write examples/pytorch/manifests anew")

// notRun heads every manifest of a chip that is not here.
const notRun = "# NOT RUN: made by yard run --dry-run, and taken by a real API server in a strict dry run.\n"

// TestManifests: what yard hands to an EKS cluster for the variants of the
// PyTorch example. The site is that of the examples; its nodes offer what such
// instances do and run nothing; the API server is a real one.
func TestManifests(t *testing.T) {
	yardlab.Need(t, "e2e-pytorch")
	w := &world{Yard: yardlab.New(t, kubelab.Build(t, "./cmd/yard"), ""), Cluster: kubelab.Start(t, kubelab.Options{Gang: true})}
	w.StartKwok(t)
	w.AddFakeNodes(t, "trn2", 2, map[string]string{"node.kubernetes.io/instance-type": "trn2.48xlarge"}, map[string]string{
		"cpu": "190", "memory": "2000Gi", "pods": "110", "aws.amazon.com/neuron": "16", "vpc.amazonaws.com/efa": "16", "hugepages-2Mi": "10Gi",
	})
	w.AddFakeNodes(t, "p5", 2, map[string]string{"node.kubernetes.io/instance-type": "p5.48xlarge", "karpenter.sh/capacity-type": "spot"}, map[string]string{
		"cpu": "190", "memory": "2000Gi", "pods": "110", "nvidia.com/gpu": "8", "vpc.amazonaws.com/efa": "32", "hugepages-2Mi": "10Gi",
	})
	w.Up(t)
	w.CLI(t, "sites", "add", w.eks(t))
	for _, tt := range []struct {
		name, file, pool string
		wants            []string
	}{
		{"cuda-p5", "accelerators", "p5-spot", []string{`nvidia.com/gpu: "8"`, `vpc.amazonaws.com/efa: "32"`, "hugepages-2Mi: 5Gi", "IPC_LOCK", "name: NCCL_SOCKET_IFNAME", "name: FI_PROVIDER", "mountPath: /dev/shm"}},
		{"neuron-trn2", "accelerators", "trn2-block", []string{`aws.amazon.com/neuron: "16"`, `vpc.amazonaws.com/efa: "16"`, "hugepages-2Mi: 5Gi", "name: NEURON_RT_ROOT_COMM_ID", "name: FI_EFA_USE_DEVICE_RDMA", "name: NEURON_COMPILE_CACHE_URL", "mountPath: /dev/shm"}},
		{"nxd-trn2", "nxd", "trn2-block", []string{`aws.amazon.com/neuron: "16"`, "train_nxd.py --tensor-parallel 16", "name: FI_PROVIDER"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := w.CLI(t, "run", "../../examples/pytorch/"+tt.file+".yaml", "--dry-run", "--on", "eks-ohio/"+tt.pool)
			got := notRun + strings.ReplaceAll(out, "../../examples", "examples")
			for _, want := range append(tt.wants, "kind: PodGroup", "kind: Service", "the cluster has checked this") {
				if !strings.Contains(strings.Join(strings.Fields(got), " "), want) { // YAML folds long lines
					t.Errorf("the manifest lacks %s", want)
				}
			}
			sameFile(t, "../../examples/pytorch/manifests/"+tt.name+".yaml", got)
		})
	}
	if runs := w.CLI(t, "runs"); !strings.Contains(runs, "No run") {
		t.Errorf("a dry run left\n%s", runs)
	}
	w.nothingLeft(t)
}

// eks is the site of the examples, reached as the lab is. Its queue is Kueue's,
// which the lab has not.
func (w *world) eks(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../../examples/sites/eks-trn2-p5.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for before, after := range map[string]string{
		"kubeconfig: ~/.kube/config\n":                                     "kubeconfig: " + w.KubeconfigFile() + "\n",
		"  context: arn:aws:eks:us-east-2:111122223333:cluster/training\n": "",
		"namespace: switchyard\n":                                          "namespace: " + namespace + "\n",
		"  queue: training\n":                                              "",
	} {
		if !strings.Contains(text, before) {
			t.Fatalf("the example has no %q", before)
		}
		text = strings.ReplaceAll(text, before, after)
	}
	return w.Write(t, "eks.yaml", text)
}

// sameFile compares with a file of the repository, or writes it anew.
func sameFile(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != got {
		t.Errorf("%s is not what yard makes now (%v); go test ./e2e/kubernetes -run TestManifests -e2e -update\n%s", path, err, got)
	}
}
