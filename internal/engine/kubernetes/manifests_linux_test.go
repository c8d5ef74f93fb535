package kubernetes

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/lab/kubelab"
	"github.com/switchyard-ai/switchyard/internal/site"
)

const root = "../../.."

// manifests reads the objects of a file, strictly: a field that Kubernetes does
// not have is an error.
func manifests(t *testing.T, path string) []runtime.Object {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	var objects []runtime.Object
	documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(data)))
	buffer := make([]byte, 1<<20)
	for {
		n, err := documents.Read(buffer)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode(buffer[:n], nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		objects = append(objects, object)
	}
}

// grant gives the account yard of a namespace the rights of deploy/, and
// returns how to reach the cluster as that account. For gangs that are Jobs the
// rights to JobSets are left out.
func grant(t *testing.T, c *kubelab.Cluster, namespace string, f form) *rest.Config {
	t.Helper()
	client := c.Client(t)
	for _, object := range manifests(t, "deploy/kubernetes/rbac.yaml") {
		if role, ok := object.(*rbacv1.Role); ok && f == jobForm {
			role.Rules = slices.DeleteFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, jobSetForm.resource().Resource) })
		}
		if err := create(t.Context(), client, object, namespace, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	config := c.Config(kubelab.Admin)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + namespace + ":yard",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
	return config
}

// create makes an object of deploy/ in a namespace, as kustomize would.
func create(ctx context.Context, c clientset.Interface, object runtime.Object, namespace string, o metav1.CreateOptions) error {
	var err error
	switch x := object.(type) {
	case *corev1.Namespace:
		_, err = c.CoreV1().Namespaces().Create(ctx, x, o)
	case *corev1.ServiceAccount:
		_, err = c.CoreV1().ServiceAccounts(namespace).Create(ctx, x, o)
	case *corev1.PersistentVolumeClaim:
		_, err = c.CoreV1().PersistentVolumeClaims(namespace).Create(ctx, x, o)
	case *corev1.Service:
		_, err = c.CoreV1().Services(namespace).Create(ctx, x, o)
	case *appsv1.Deployment:
		_, err = c.AppsV1().Deployments(namespace).Create(ctx, x, o)
	case *rbacv1.Role:
		_, err = c.RbacV1().Roles(namespace).Create(ctx, x, o)
	case *rbacv1.RoleBinding:
		x.Subjects[0].Namespace = namespace
		_, err = c.RbacV1().RoleBindings(namespace).Create(ctx, x, o)
	case *rbacv1.ClusterRole:
		if _, err = c.RbacV1().ClusterRoles().Create(ctx, x, o); apierrors.IsAlreadyExists(err) {
			err = nil
		}
	case *rbacv1.ClusterRoleBinding:
		x.Name, x.Subjects[0].Namespace = x.Name+"-"+namespace, namespace
		_, err = c.RbacV1().ClusterRoleBindings().Create(ctx, x, o)
	default:
		err = errors.New("deploy/ has an object that the test does not know")
	}
	return err
}

// TestDeploy: the API server takes every object of deploy/, and the files of
// the kustomization are all there are.
func testDeploy(t *testing.T, l *lab) {
	data, err := os.ReadFile(filepath.Join(root, "deploy/kubernetes/kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "deploy/kubernetes/*.yaml"))
	if err != nil || len(files) != 4 {
		t.Fatalf("files of deploy/kubernetes: %v, %v", files, err)
	}
	client := l.Client(t)
	space := l.newSite(t).namespace
	for _, file := range files {
		name := filepath.Base(file)
		if name == "kustomization.yaml" {
			continue
		}
		if !strings.Contains(string(data), "- "+name) {
			t.Errorf("the kustomization lacks %s", name)
		}
		for _, object := range manifests(t, "deploy/kubernetes/"+name) {
			err := create(t.Context(), client, object, space, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
			if err != nil && !apierrors.IsAlreadyExists(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// testExamples: the API server takes the Jobs that the engine makes for the
// pools of every site in examples/ that is for Kubernetes.
func testExamples(t *testing.T, l *lab) {
	files, err := filepath.Glob(filepath.Join(root, "examples/sites/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := site.Parse(file, data)
		if err != nil {
			t.Fatal(err)
		}
		if parsed.Engine != site.KubernetesEngine {
			continue
		}
		space := l.newSite(t)
		parsed.Kubernetes.Namespace = space.namespace
		e := space.openFile(t, parsed, Options{Catalog: offers(t)})
		for _, pool := range parsed.Pools {
			gang := engine.Gang{
				Key: "try-" + pool.Name, Run: "try", Pool: pool.Name, Nodes: 2, Ranks: 16, Command: []string{"train"}, Image: "registry.example.com/train:1",
				Checkpoint: &engine.Checkpoint{URL: "s3://example/run", Epoch: 1}, CacheKey: "llama-8b/neuron", Memory: 1 << 30,
				SecretRefs: map[string]string{"HF_TOKEN": "hub/token"}, Avoid: []string{"bad-node"},
			}
			job, err := e.build(gang, facilities{means: native})
			if err != nil {
				t.Errorf("%s, pool %s: %v", file, pool.Name, err)
				continue
			}
			if n := job.Spec.Template.Spec.Containers[0].Resources.Limits; len(n) < 2 {
				t.Errorf("%s, pool %s: limits %v; want chips and memory", file, pool.Name, n)
			}
			if _, err := e.api.jobs.Create(t.Context(), job, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}); err != nil {
				t.Errorf("%s, pool %s: %v", file, pool.Name, err)
			}
			tested++
		}
	}
	if tested < 3 {
		t.Errorf("%d pools tested; want those of EKS and AKS", tested)
	}
}
