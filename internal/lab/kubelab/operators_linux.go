package kubelab

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// operator is a controller with kinds of its own, as its module has it.
type operator struct {
	name   string // of its program
	module string
	main   string // the package of its program
	port   int    // of its webhooks, in the lab
	config string // its configuration; %[1]s is the folder of its certificate
	hooks  []string
}

// operators are those that a lab can run, in the order in which they start.
// What they would do beside gangs (metrics, a view of their queues, election of
// a leader) is off, and of their webhooks those of other kinds are left out.
func operators() []operator {
	return []operator{
		{"jobset", "sigs.k8s.io/jobset", "sigs.k8s.io/jobset", 9444, `apiVersion: config.jobset.x-k8s.io/v1alpha1
kind: Configuration
health: {healthProbeBindAddress: ":8082"}
metrics: {bindAddress: "0"}
webhook: {port: 9444, certDir: %[1]s}
leaderElection: {leaderElect: false}
internalCertManagement: {enable: false}
clientConnection: {qps: 500, burst: 1000}
`, []string{"jobset", "pod"}},
		{"kueue", "sigs.k8s.io/kueue", "sigs.k8s.io/kueue/cmd/kueue", 9443, `apiVersion: config.kueue.x-k8s.io/v1beta2
kind: Configuration
namespace: kueue-system
health: {healthProbeBindAddress: ":8081"}
metrics: {bindAddress: "0"}
webhook: {port: 9443, certDir: %[1]s}
leaderElection: {leaderElect: false}
internalCertManagement: {enable: false}
clientConnection: {qps: 500, burst: 1000}
featureGates: {VisibilityOnDemand: false}
integrations: {frameworks: [batch/job, jobset.x-k8s.io/jobset]}
`, []string{"batch-v1-job", "jobset", "kueue-x-k8s-io"}},
	}
}

// operatorsFolder has the module that the operators are built in.
const operatorsFolder = "tools/queue"

// startOperator brings an operator's kinds, program and webhooks to the cluster.
func (c *Cluster) startOperator(t testing.TB, o operator) {
	t.Helper()
	source, err := o.source(t.Context())
	c.must(t, err)
	crds, err := filepath.Glob(filepath.Join(source, "config/components/crd/bases/*.yaml"))
	c.must(t, err)
	for _, file := range crds {
		text, err := os.ReadFile(file)
		c.must(t, err)
		c.Create(t, "", string(text))
	}
	c.Create(t, "", "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+o.name+"-system}")
	certs := c.path(o.name + "-certs")
	authority, err := c.certificate(certs)
	c.must(t, err)
	config := c.path(o.name + ".yaml")
	c.must(t, os.WriteFile(config, fmt.Appendf(nil, o.config, certs), 0o600))
	// Kueue reads the certificate of metrics from a fixed place below /etc,
	// served or not: it gets an /etc of its own with that alone. It ends where
	// its kinds are not served yet, and is started again as a kubelet would.
	script := `mount -t tmpfs none /etc && mkdir -p /etc/kueue/metrics && ln -s "$1" /etc/kueue/metrics/certs && shift && while ! "$@"; do sleep 1; done`
	c.must(t, c.lab.start(o.name, "unshare", "--mount", "sh", "-c", script, "sh", certs,
		filepath.Join(c.bin, o.name), "--kubeconfig="+c.path("admin.yaml"), "--config="+config))
	Eventually(t, o.name+" serves its webhooks", func() bool {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", c.lab.addr, o.port), time.Second)
		if err == nil {
			_ = conn.Close() // it said all it had to
		}
		return err == nil
	})
	hooks, err := os.ReadFile(filepath.Join(source, "config/components/webhook/manifests.yaml"))
	c.must(t, err)
	for _, object := range documents(t, string(hooks)) {
		object.SetName(o.name + "-" + object.GetName())
		o.wire(object, c.lab.addr, authority)
		c.create(t, "", object)
	}
}

// source is the folder of the operator's module, as tools/queue requires it.
func (o operator) source(ctx context.Context) (string, error) {
	root, err := module()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", o.module)
	cmd.Dir = filepath.Join(root, operatorsFolder)
	out, err := cmd.Output()
	if err != nil {
		return "", err
	}
	var found struct{ Dir string }
	return found.Dir, json.Unmarshal(out, &found)
}

// wire leads a configuration's webhooks to the operator, which is no pod here.
func (o operator) wire(configuration *unstructured.Unstructured, address string, authority []byte) {
	all, _, _ := unstructured.NestedSlice(configuration.Object, "webhooks")
	var kept []any
	for _, item := range all {
		hook := item.(map[string]any)
		path, _, _ := unstructured.NestedString(hook, "clientConfig", "service", "path")
		if !slices.ContainsFunc(o.hooks, func(part string) bool { return strings.Contains(path, part) }) {
			continue
		}
		hook["clientConfig"] = map[string]any{
			"url":      fmt.Sprintf("https://%s:%d%s", address, o.port, path),
			"caBundle": base64.StdEncoding.EncodeToString(authority),
		}
		if strings.HasSuffix(path, "-v1-pod") { // as its kustomization has it
			hook["objectSelector"] = map[string]any{"matchExpressions": []any{map[string]any{"key": "jobset.sigs.k8s.io/jobset-name", "operator": "Exists"}}}
		}
		kept = append(kept, hook)
	}
	configuration.Object["webhooks"] = kept
}

// certificate makes a folder with a certificate for the lab's address, which is
// its own authority, and returns it.
func (c *Cluster) certificate(folder string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab"}, IPAddresses: []net.IP{net.ParseIP(c.lab.addr)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), // clocks of labs may be skewed
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return public, errors.Join(
		os.MkdirAll(folder, 0o700),
		os.WriteFile(filepath.Join(folder, "tls.crt"), public, 0o600),
		os.WriteFile(filepath.Join(folder, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	)
}

// Create creates the objects of a YAML text, those of a namespace in that one.
func (c *Cluster) Create(t testing.TB, namespace, text string) {
	t.Helper()
	for _, object := range documents(t, text) {
		c.create(t, namespace, object)
	}
}

func documents(t testing.TB, text string) []*unstructured.Unstructured {
	t.Helper()
	var found []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(text)), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(object.Object) > 0 {
			found = append(found, object)
		}
	}
}

// create waits for kinds and webhooks that are on their way.
func (c *Cluster) create(t testing.TB, namespace string, object *unstructured.Unstructured) {
	t.Helper()
	config := c.Config(Admin)
	config.WarningHandler = rest.NoWarnings{}
	client, err := dynamic.NewForConfig(config)
	c.must(t, err)
	resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	var to dynamic.ResourceInterface = client.Resource(resource)
	if namespace != "" {
		to = client.Resource(resource).Namespace(namespace)
	}
	var last error
	Eventually(t, fmt.Sprintf("%s %s is there", object.GetKind(), object.GetName()), func() bool {
		_, last = to.Create(context.Background(), object, metav1.CreateOptions{})
		if apierrors.IsInvalid(last) {
			t.Fatal(last)
		}
		return last == nil || apierrors.IsAlreadyExists(last)
	})
}
